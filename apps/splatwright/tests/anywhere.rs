//! The program outside a clone: what works there, what says that it needs one, and that texts name this program.

use std::process::{Command, Output};

use serde_json::Value;

fn run(arguments: &[&str]) -> (Output, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_splatwright"))
        .args(arguments)
        .args(["--lang", "en"])
        .current_dir(folder.path())
        .env("SPLATWRIGHT_HOME", folder.path().join("cache"))
        .env_remove("LIBTORCH")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, error) = (text(&output.stdout), text(&output.stderr));
    (output, out, error)
}

#[test]
fn the_doctor_knows_the_pins_that_are_compiled_in() {
    let (_, out, error) = run(&["doctor", "--json"]);
    let snapshot: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{error}"));
    let pins = snapshot["repo"]["requirements"].as_object().unwrap();
    assert!(pins.contains_key("vendor/requirements/torch-2.11.txt"), "{:?}", pins.keys());
    // With a Python, torch is brought by these pins; without one that is the finding. It is never a lack of pins.
    let findings = snapshot["plan"]["findings"].as_array().unwrap();
    assert!(findings.iter().all(|finding| finding["code"] != "S06"), "{findings:?}");
}

#[test]
fn commands_that_write_to_the_clone_ask_for_one() {
    for arguments in [&["switch", "torch", "2.11", "--dry-run"] as &[&str], &["wheel", "--engines", "cpu"]] {
        let (output, out, error) = run(arguments);
        assert_eq!(output.status.code(), Some(1), "{out}{error}");
        assert!(error.contains("needs a clone of the Splatwright repository"), "{error}");
        assert!(error.contains("hint: change to the clone's folder"), "{error}");
    }
    let (output, out, error) = run(&["switch", "list", "--json"]);
    assert!(output.status.success(), "{out}{error}");
}

#[test]
fn the_exit_code_of_explain_tells_known_from_unknown() {
    let logs = tempfile::tempdir().unwrap();
    let explained = |text: &str| {
        let log = logs.path().join("build.log");
        std::fs::write(&log, text).unwrap();
        let (output, out, error) = run(&["explain", log.to_str().unwrap()]);
        assert!(!out.is_empty() && error.is_empty(), "{out}{error}");
        output.status.code()
    };
    assert_eq!(explained("x.cu: error: identifier \"FLT_MAX\" is undefined\n"), Some(0));
    assert_eq!(explained("x.cu(201): warning #177-D: variable \"p_proj\" was declared\n"), Some(0));
    assert_eq!(explained("x.cu(3): warning #177-D\nx.cu(7): error: something new\n"), Some(3));
    assert_eq!(explained("all is well\n"), Some(3));
    assert_eq!(run(&["explain", "E21"]).0.status.code(), Some(0));
    let (output, _, error) = run(&["explain", "Z03"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("the catalogue has no code `Z03`"), "{error}");
}

#[test]
fn texts_name_this_program() {
    let (_, out, _) = run(&["explain", "E21"]);
    assert!(out.contains("splatwright doctor") && !out.contains("cargo xtask doctor"), "{out}");
    let (_, out, _) = run(&["explain", "--help"]);
    assert!(out.contains("| splatwright explain") && !out.contains("cargo xtask"), "{out}");
    let (_, _, error) = run(&["explain", "E999"]);
    assert!(error.contains("hint: splatwright explain --list"), "{error}");
}

#[test]
fn completions_and_man_pages_know_every_command() {
    let (_, help, _) = run(&["--help"]);
    assert!(help.contains("Exit codes: 0 done, 1 failed"), "{help}");
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter(|line| line.as_bytes()[2] != b' ')
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(["doctor", "fix", "ext", "man"].iter().all(|known| commands.contains(known)), "{commands:?}");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (output, script, error) = run(&["completions", shell]);
        assert!(output.status.success(), "{error}");
        assert!(commands.iter().all(|command| script.contains(command)), "{shell}: {script}");
    }
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("share/man1");
    let (output, _, error) = run(&["man", pages.to_str().unwrap()]);
    assert!(output.status.success(), "{error}");
    for command in commands {
        let page = std::fs::read_to_string(pages.join(format!("splatwright-{command}.1"))).unwrap();
        assert!(page.contains("SYNOPSIS"), "{command}: {page}");
    }
}

#[test]
fn no_color_is_respected() {
    let refused = |variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_splatwright"));
        command.args(["explain", "Z03", "--lang", "en"]).env_remove("NO_COLOR");
        String::from_utf8(command.envs(variables.iter().copied()).output().unwrap().stderr).unwrap()
    };
    let forced = ("CLICOLOR_FORCE", "1");
    assert!(refused(&[forced]).contains('\u{1b}'), "{}", refused(&[forced]));
    let plain = refused(&[forced, ("NO_COLOR", "1")]);
    assert!(plain.starts_with("error: ") && !plain.contains('\u{1b}'), "{plain}");
}
