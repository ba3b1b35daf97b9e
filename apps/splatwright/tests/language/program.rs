//! What the program and its rules say in Chinese, on saved machines, for every code and for errors.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use splat_toolchain::{
    Explained, Finding, Machine, Repo, Request, catalogue,
    ext::{self, ExtRequest},
    plan,
    rules::{self, tree::Tree},
};
use splatwright::language;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/splat-toolchain/tests/fixtures");

/// Runs the program in an empty folder, with the locale of the C library and of nobody.
fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_splatwright"));
    command.args(arguments).current_dir(folder.path()).env("SPLATWRIGHT_HOME", folder.path().join("cache"));
    for name in ["LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG", "LIBTORCH"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied()).output().unwrap()
}

fn chinese(arguments: &[&str]) -> (String, String) {
    let output = run(&[arguments, &["--lang", "zh"]].concat(), &[]);
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// Four English words in a row outside of commands and quotations: a sentence that nobody translated.
fn prose(text: &str) -> Option<String> {
    let outside: String = text.split('`').step_by(2).collect::<Vec<_>>().join("|");
    let words: Vec<&str> = outside.split([' ', '\n']).collect();
    let word =
        |word: &&str| word.len() > 1 && word.chars().all(|c| c.is_ascii_lowercase() || ",'".contains(c));
    words.windows(4).find(|four| four.iter().all(&word)).map(|four| four.join(" "))
}

fn is_chinese(text: &str) -> bool {
    text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
}

#[track_caller]
fn assert_chinese(name: &str, text: &str) {
    assert!(prose(text).is_none(), "{name}: `{}` in\n{text}", prose(text).unwrap());
}

/// Collects what is not Chinese, so that one run names all of it.
#[derive(Default)]
struct English(Vec<String>);

impl English {
    /// A sentence.
    fn add(&mut self, name: &str, text: &str) {
        let said = language::said(text);
        if !is_chinese(&said) || prose(&said).is_some() {
            self.0.push(format!("{name}: {said}"));
        }
    }

    /// What may be a path or a command alone.
    fn add_value(&mut self, name: &str, text: &str) {
        if prose(&language::said(text)).is_some() && !text.starts_with("cargo ") {
            self.add(name, text);
        }
    }
}

#[test]
fn every_code_is_explained() {
    for entry in catalogue::all() {
        let (out, error) = chinese(&["explain", entry.code]);
        assert_eq!(error, "");
        // Lines of a log and errors are quoted as tools say them.
        let quoted =
            |line: &&str| line.starts_with("日志里的样子") || line.ends_with("list index out of range");
        let told: Vec<&str> = out.lines().filter(|line| !quoted(line)).collect();
        assert!(told.iter().take(5).all(|line| is_chinese(line)), "{out}");
        assert_chinese(entry.code, &told.join("\n"));
    }
    let (out, _) = chinese(&["explain", "E21"]);
    assert!(out.starts_with("E21 ") && out.contains(" nvcc 接受的编译器被 torch 拒绝\n"), "{out}");
    assert!(out.contains("\n原因 ") && out.contains(" torch 有自己的编译器版本表"), "{out}");
}

#[test]
fn a_log_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("build.log");
    std::fs::write(&log, "a.cu(3): error: identifier \"FLT_MAX\" is undefined\nfatal error: glm/glm.hpp: No such file or directory\n").unwrap();
    let (out, _) = chinese(&["explain", log.to_str().unwrap()]);
    assert!(out.starts_with("首先：E41 没有包含 <cfloat>\n  依据：第 1 行: a.cu(3)"), "{out}");
    std::fs::write(&log, "my.cu(7): error: something new\n").unwrap();
    let (out, _) = chinese(&["explain", log.to_str().unwrap()]);
    assert_eq!(out.trim(), "没有已知的故障；第一行像错误的是第 1 行：my.cu(7): error: something new");
}

/// The saved machines of splat-toolchain's tests: each a difference from a clean machine.
fn machines() -> Vec<(String, Value)> {
    let folder = Path::new(FIXTURES).join("machines");
    let mut all: Vec<(String, Value)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            (entry.file_name().to_string_lossy().replace(".json", ""), serde_json::from_str(&text).unwrap())
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn merge(into: &mut Value, patch: &Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (key, value) in patch {
                match value.is_null() && into.get(key).is_some_and(Value::is_string) {
                    true => _ = into.remove(key),
                    false => merge(into.entry(key).or_insert(Value::Null), value),
                }
            }
        }
        (into, patch) => *into = patch.clone(),
    }
}

/// What the rules and choices say to a saved machine, for both kinds of build.
fn told(machine: &Machine, fixture: &Value) -> (Vec<Explained>, Vec<Finding>) {
    let mut repo = serde_json::to_value(Repo {
        tch_locked: "0.24.0".parse().ok(),
        own_kernels: true,
        ..Repo::default()
    })
    .unwrap();
    merge(&mut repo, fixture.get("repo").unwrap_or(&Value::Object(serde_json::Map::new())));
    let repo: Repo = serde_json::from_value(repo).unwrap();
    let engines = vec!["cpu".parse().unwrap(), "cuda".parse().unwrap()];
    let own = plan(machine, &Request { engines: Some(engines), ..Request::default() }, &repo);
    let (mut choices, mut findings) = (own.choices, own.findings);
    match rules::ext::torch_of(machine, None) {
        Some(torch) => {
            let cuda = fixture.get("cuda").and_then(Value::as_str).map(str::to_owned);
            let tree: Option<Tree> =
                fixture.get("tree").map(|tree| serde_json::from_value(tree.clone()).unwrap());
            let plan = ext::plan(machine, torch, &ExtRequest { cuda, ..ExtRequest::default() }, &repo);
            findings.extend(rules::ext::all(machine, &plan, tree.as_ref()));
            choices.extend(plan.choices);
        }
        None => findings.push(rules::ext::no_torch(machine)),
    }
    (choices, findings)
}

#[test]
fn every_finding_on_the_saved_machines_is_chinese() {
    language::choose(["--lang", "zh"].map(Into::into));
    let machines = machines();
    let clean = |name: &str| machines.iter().find(|(known, _)| known == name).unwrap().1.clone();
    let (mut count, mut english) = (0, English::default());
    for (name, fixture) in machines.iter().filter(|(name, _)| !name.starts_with("clean")) {
        let mut machine = clean(fixture["base"].as_str().unwrap_or("clean"));
        merge(&mut machine, fixture.get("patch").unwrap_or(&Value::Object(serde_json::Map::new())));
        let (choices, findings) = told(&serde_json::from_value(machine).unwrap(), fixture);
        for finding in findings {
            count += 1;
            english.add(name, &finding.message);
            english.add_value(name, &finding.evidence);
            english.add_value(name, &finding.hint);
        }
        for choice in choices.iter().filter(|choice| !choice.because.is_empty()) {
            english.add(name, &choice.because);
            choice.rejected.iter().for_each(|(_, why)| english.add(name, why));
        }
    }
    assert!(english.0.is_empty(), "{}", english.0.join("\n"));
    assert!(count > 100, "{count} findings");
}

#[test]
fn doctor_and_plan_show_a_machine() {
    let root = &format!("{FIXTURES}/article-2.4");
    for kind in ["own", "ext"] {
        let (out, error) = chinese(&["doctor", "--root", root, "--verbose", "--for", kind]);
        assert_eq!(error, "");
        assert!(out.starts_with("项目"), "{out}");
        assert_chinese(kind, &out);
    }
    let (out, _) = chinese(&["doctor", "--root", root, "--for", "ext"]);
    assert!(
        out.contains("\n信息[E02] 工具包是 CUDA 12.6，torch 是用 12.4 编译的：torch 会给出警告，没有影响\n"),
        "{out}"
    );
    assert!(out.contains("\n  提示：手动：`set VSLANG=1033` 和 `chcp 65001`\n"), "{out}");
    assert!(out.ends_with("\n已就绪：可以执行 `splatwright ext build`\n"), "{out}");
    // JSON is for programs.
    let json = run(&["doctor", "--root", root, "--json", "--lang", "zh"], &[]).stdout;
    let value: Value = serde_json::from_slice(&json).unwrap();
    assert!(
        value["plan"]["findings"][0]["message"].is_string() && !is_chinese(&value.to_string()),
        "{value}"
    );
    let folder = tempfile::tempdir().unwrap();
    let snapshot = folder.path().join("snapshot.json");
    std::fs::write(&snapshot, json).unwrap();
    let (out, _) = chinese(&["plan", "--from", snapshot.to_str().unwrap()]);
    assert!(out.starts_with("方案"), "{out}");
    assert_chinese("plan", &out);
}

#[test]
fn the_locale_decides_unless_the_option_does() {
    let said = |arguments: &[&str], variables: &[(&str, &str)]| {
        String::from_utf8(run(&[&["explain", "Z99"], arguments].concat(), variables).stderr).unwrap()
    };
    let english = "error: the catalogue has no code `Z99`, and there is no file of that name\nhint: splatwright explain --list\n";
    let chinese = "错误：目录里没有代码 `Z99`，也没有这个名称的文件\n提示：splatwright explain --list\n";
    assert_eq!(said(&[], &[]), english);
    assert_eq!(said(&[], &[("LANG", "de_DE.UTF-8")]), english);
    assert_eq!(said(&["--lang", "zh"], &[("LANG", "de_DE.UTF-8")]), chinese);
    assert_eq!(said(&["--lang=en"], &[("LANG", "zh_CN.UTF-8")]), english);
    if cfg!(unix) {
        assert_eq!(said(&[], &[("LANG", "zh_CN.UTF-8")]), chinese);
        assert_eq!(said(&[], &[("LANG", "en_US.UTF-8"), ("LC_MESSAGES", "zh_CN.UTF-8")]), chinese);
        assert_eq!(said(&[], &[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "C")]), english);
    }
}

#[test]
fn help_is_chinese() {
    for arguments in [
        &["--help"] as &[&str],
        &["doctor", "--help"],
        &["fix", "--help"],
        &["ext", "build", "--help"],
        &["torch", "install", "--help"],
        &["switch", "cuda", "-h"],
    ] {
        let (out, _) = chinese(arguments);
        assert!(out.contains("用法：") && out.contains("选项"), "{out}");
        assert_chinese(&arguments.join(" "), &out);
    }
}

#[test]
#[cfg(unix)]
fn fix_says_what_is_wrong() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_, error) = chinese(&["fix", "--python", "nowhere"]);
    assert!(
        error.starts_with("错误：这个目录下没有扩展：没有编译 CUDAExtension 的 setup.py\n提示：请指定它"),
        "{error}"
    );
    // An interpreter that answers as one does, beside a torch that is as much as the plan looks at.
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    for file in ["lib/libtorch.so", "include/ATen/ATen.h", "__init__.py"] {
        std::fs::create_dir_all(at("torch").join(file).parent().unwrap()).unwrap();
        std::fs::write(at("torch").join(file), "").unwrap();
    }
    std::fs::write(at("torch/version.py"), "__version__ = '2.4.0+cu124'\ncuda = '12.4'\n").unwrap();
    let answer = serde_json::json!({
        "executable": at("python"), "version": "3.11.7", "prefix": folder.path(), "torch": at("torch/__init__.py"), "suffix": ".so",
        "platform": "linux-x86_64", "include": folder.path(), "library": "", "setuptools": "65.5.0", "wheel": null,
    });
    std::fs::write(at("python"), format!("#!/bin/sh\necho '{answer}'\n")).unwrap();
    std::fs::set_permissions(at("python"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let python = at("python").display().to_string();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ext/faulty");
    let (out, error) = chinese(&["fix", "--dry-run", "--python", &python, source]);
    assert!(
        out.lines().filter(|line| line.contains("自动处理：") || line.contains("有误：")).count() >= 2,
        "{out}{error}"
    );
    assert_chinese("fix", &out);
    assert_chinese("fix", &error);
}
