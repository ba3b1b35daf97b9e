//! Our verdicts beside torch's own: `_check_cuda_version`, its compiler tables and its parser of TORCH_CUDA_ARCH_LIST,
//! run for real from an installed torch over a full matrix (16 toolkits by a fake nvcc, 8 versions of GCC, 16 of clang,
//! 8 of torch's CUDA; some 130 lists), and recorded for releases that are not installed. Where ours differ on purpose,
//! because the toolkit's own header says otherwise, the table of differences is the test.
#![cfg(unix)]
#![expect(clippy::print_stdout, reason = "what was compared or skipped is read from the test's output")]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use splat_toolchain::{
    Version, ext,
    machine::{CompilerKind, HostCeiling, HostCompiler},
    torch_checks::{Bounds, Check, Verdict, arch_flags, check},
};

const GCC: [&str; 8] = ["9.4.0", "10.2.1", "11.4.0", "12.2.0", "13.3.0", "14.1.0", "15.1.0", "16.1.0"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn compilers(name: &str) -> (CompilerKind, Vec<String>) {
    match name {
        "g++" => (CompilerKind::Gcc, GCC.map(str::to_owned).to_vec()),
        _ => (CompilerKind::Clang, (7..23).map(|major| format!("{major}.0.1")).collect()),
    }
}

/// Our verdict in the letters of `real.py`.
fn letter(torch: &Version, cuda: &str, nvcc: &str, kind: CompilerKind, compiler: &str) -> char {
    let asked = Check {
        torch,
        torch_cuda: &version(cuda),
        nvcc: &version(nvcc),
        kind,
        compiler: &version(compiler),
        unchecked: false,
    };
    match check(&asked) {
        Verdict::OtherMajor => 'M',
        Verdict::TooOld { .. } => '<',
        Verdict::TooNew { .. } => '>',
        Verdict::Accepted { minor_differs, bounds } => match (minor_differs, bounds) {
            (false, Bounds::Within) => '=',
            (false, _) => 'u',
            (true, Bounds::Within) => 'W',
            (true, _) => 'U',
        },
    }
}

/// Every line of torch's verdicts that is not ours, and how many verdicts were compared.
fn differences(verdicts: &str) -> (Vec<String>, usize) {
    let mut lines = verdicts.lines();
    let torch = version(lines.next().unwrap().strip_prefix("torch ").expect("the first line names torch"));
    let (mut wrong, mut count) = (Vec::new(), 0);
    for line in lines {
        let ours = if let Some(asked) = line.strip_prefix("check ") {
            let words: Vec<&str> = asked.split(' ').collect();
            let (kind, versions) = compilers(words[2]);
            count += versions.len();
            let letters: String =
                versions.iter().map(|compiler| letter(&torch, words[0], words[1], kind, compiler)).collect();
            format!("check {} {} {} {letters}", words[0], words[1], words[2])
        } else {
            let (list, _) = line.strip_prefix("arch ").unwrap().split_once('|').unwrap();
            count += 1;
            let flags = arch_flags(&torch, &list.replace("\\t", "\t"));
            format!("arch {list}|{}", flags.map_or_else(|_| "refused".to_owned(), |flags| flags.join(" ")))
        };
        if ours != line {
            wrong.push(format!("torch {torch}: {line}\n  ours: {ours}"));
        }
    }
    (wrong, count)
}

#[test]
fn our_verdicts_are_those_that_torch_gave() {
    for name in ["torch-2.4.0", "torch-2.7.1", "torch-2.11.0"] {
        let text = fs_err::read_to_string(folder().join(format!("{name}.txt"))).unwrap();
        let (wrong, count) = differences(&text);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(count > 3000, "{name}: {count} verdicts");
    }
}

/// The installed torch (LIBTORCH, as `.cargo/toolchain.toml` sets it) and every folder that
/// SPLATWRIGHT_CONFORMANCE lists (`:` between them; folders without libraries are loaded file by file).
#[test]
fn our_verdicts_are_those_of_the_torch_that_is_installed() {
    let listed = std::env::var("SPLATWRIGHT_CONFORMANCE").unwrap_or_default();
    let installed = std::env::var("LIBTORCH").unwrap_or_default();
    let folders: Vec<&str> = listed
        .split(':')
        .chain([installed.as_str()])
        .filter(|folder| Path::new(folder).join("utils/cpp_extension.py").is_file())
        .collect();
    if folders.is_empty() {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "CI must have a torch: LIBTORCH");
        println!("skipped: no installed torch (LIBTORCH, SPLATWRIGHT_CONFORMANCE)");
        return;
    }
    for torch in folders {
        let whole = Path::new(torch).join("lib/libtorch_python.so").is_file();
        let mut command = Command::new(python_for(Path::new(torch)));
        command.arg(folder().join("real.py")).arg(torch);
        if !whole {
            command.arg("--file-only");
        }
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{torch}: {}", String::from_utf8_lossy(&output.stderr));
        let (wrong, count) = differences(&text);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        println!(
            "{}: {count} verdicts of torch's own functions, all ours",
            text.lines().next().unwrap_or_default()
        );
    }
}

/// An interpreter that the wheel was made for; any Python 3 where its tag is not known.
fn python_for(torch: &Path) -> String {
    let site = torch.parent().unwrap();
    let wheel = fs_err::read_dir(site).unwrap().flatten().find(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.starts_with("torch-") && name.ends_with(".dist-info")
    });
    let text =
        wheel.and_then(|entry| fs_err::read_to_string(entry.path().join("WHEEL")).ok()).unwrap_or_default();
    let tag =
        text.lines().find_map(|line| line.strip_prefix("Tag: cp3")).and_then(|tag| tag.split('-').next());
    let named = tag.map(|minor| format!("python3.{minor}"));
    let runs = |name: &String| {
        Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
    };
    named.filter(runs).unwrap_or_else(|| "python3".to_owned())
}

/// Toolkit, last GCC and first refused clang, from the `host_config.h` of each released toolkit.
const CEILINGS: &[(&str, u32, u32)] = &[
    ("11.8", 11, 15),
    ("12.0", 12, 15),
    ("12.1", 12, 16),
    ("12.2", 12, 17),
    ("12.3", 12, 17),
    ("12.4", 13, 18),
    ("12.5", 13, 18),
    ("12.6", 13, 19),
    ("12.8", 14, 20),
    ("12.9", 14, 20),
    ("13.0", 15, 21),
    ("13.1", 15, 22),
    ("13.2", 15, 22),
    ("13.3", 15, 22),
    ("13.5", 16, 23),
];

/// Where the toolkit's own header and torch 2.11's table disagree, we follow the header: nvcc is what compiles.
#[test]
fn the_differences_from_torch_are_these_and_no_others() {
    let torch = version("2.11.0");
    let mut table: Vec<String> = Vec::new();
    for (cuda, gcc_max, clang_below) in CEILINGS {
        let ceiling = HostCeiling {
            gcc_max: Some(*gcc_max),
            clang_below: Some(*clang_below),
            ..HostCeiling::default()
        };
        for name in ["g++", "clang++"] {
            let (kind, versions) = compilers(name);
            // Neighbours with one verdict share a line: first and last version, verdict.
            let mut runs: Vec<(String, String, String)> = Vec::new();
            for text in versions {
                let compiler = HostCompiler { kind, version: version(&text), ..HostCompiler::default() };
                let ours = ext::admits(&ceiling, &compiler);
                let theirs = letter(&torch, cuda, &format!("{cuda}.1"), kind, &text);
                let verdict = match (ours, theirs) {
                    (true, '=' | 'u') | (false, '<' | '>') => continue,
                    (true, _) => "nvcc takes it, torch refuses",
                    (false, 'u') => "nvcc refuses, torch has no bounds",
                    (false, _) => "nvcc refuses, torch takes it",
                };
                match runs.last_mut().filter(|run| run.2 == verdict) {
                    Some(run) => run.1 = text,
                    None => runs.push((text.clone(), text, verdict.into())),
                }
            }
            table.extend(runs.into_iter().map(|(first, last, verdict)| {
                let range = if first == last { first } else { format!("{first} to {last}") };
                format!("CUDA {cuda}, {name} {range}: {verdict}")
            }));
        }
    }
    insta::assert_snapshot!(table.join("\n"), @r#"
    CUDA 11.8, g++ 12.2.0 to 16.1.0: nvcc refuses, torch has no bounds
    CUDA 11.8, clang++ 15.0.1 to 22.0.1: nvcc refuses, torch has no bounds
    CUDA 12.1, clang++ 15.0.1: nvcc takes it, torch refuses
    CUDA 12.2, clang++ 16.0.1: nvcc takes it, torch refuses
    CUDA 12.3, g++ 13.3.0: nvcc refuses, torch takes it
    CUDA 12.3, clang++ 16.0.1: nvcc takes it, torch refuses
    CUDA 12.4, clang++ 17.0.1: nvcc takes it, torch refuses
    CUDA 12.6, clang++ 18.0.1: nvcc takes it, torch refuses
    CUDA 12.8, g++ 14.1.0: nvcc takes it, torch refuses
    CUDA 12.8, clang++ 19.0.1: nvcc takes it, torch refuses
    CUDA 12.9, g++ 14.1.0: nvcc takes it, torch refuses
    CUDA 12.9, clang++ 19.0.1: nvcc takes it, torch refuses
    CUDA 13.1, g++ 16.1.0: nvcc refuses, torch has no bounds
    CUDA 13.1, clang++ 22.0.1: nvcc refuses, torch has no bounds
    CUDA 13.2, g++ 16.1.0: nvcc refuses, torch has no bounds
    CUDA 13.2, clang++ 22.0.1: nvcc refuses, torch has no bounds
    CUDA 13.3, g++ 16.1.0: nvcc refuses, torch has no bounds
    CUDA 13.3, clang++ 22.0.1: nvcc refuses, torch has no bounds
    "#);
}
