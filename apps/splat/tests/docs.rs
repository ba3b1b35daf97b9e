//! Completions and man pages: generated for every shell, and every command is in them.

use std::process::Command;

fn splat(args: &[&str]) -> String {
    let output =
        Command::new(splat_testdata::program(env!("CARGO_BIN_EXE_splat"))).args(args).output().unwrap();
    assert!(output.status.success(), "splat {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that `splat --help` lists.
fn commands() -> Vec<String> {
    let help = splat(&["--help"]);
    let lines = help.lines().skip_while(|l| *l != "Commands:").skip(1).take_while(|l| l.starts_with("  "));
    // Two spaces and a name; lines of a wrapped description are further in.
    let names: Vec<String> = lines
        .filter(|l| l.as_bytes().get(2).is_some_and(|b| *b != b' '))
        .filter_map(|l| l.split_whitespace().next().map(str::to_owned))
        .filter(|name| name != "help")
        .collect();
    for known in ["train", "view", "completions", "man"] {
        assert!(names.iter().any(|n| n == known), "{known}: {help}");
    }
    names
}

#[test]
fn completions_of_every_shell_know_every_command_and_its_options() {
    let commands = commands();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = splat(&["completions", shell]);
        for command in &commands {
            assert!(script.contains(command.as_str()), "{shell}: {command}");
        }
        for option in ["no-open", "iterations"] {
            assert!(script.contains(option), "{shell}: --{option}");
        }
    }
}

#[test]
fn bash_and_friends_take_the_completions() {
    // The shells of this machine; bash is on every one that runs these tests.
    for (shell, flag) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let script = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(script.path(), splat(&["completions", shell])).unwrap();
        let Ok(output) = Command::new(shell).arg(flag).arg(script.path()).output() else { continue };
        assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn every_command_has_a_man_page_with_its_options() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("share/man1");
    splat(&["man", pages.to_str().unwrap()]);
    let main = fs_err::read_to_string(pages.join("splat.1")).unwrap();
    for command in commands() {
        let page = fs_err::read_to_string(pages.join(format!("splat-{command}.1"))).unwrap();
        assert!(page.contains("SYNOPSIS"), "{command}");
        assert!(main.contains(&format!("splat\\-{command}(1)")), "{command} is not in splat.1");
        let help = splat(&[&command, "--help"]);
        // Descriptions may name options of other programs.
        let lines = help.lines().filter(|l| l.trim_start().starts_with('-'));
        let options = lines.filter_map(|l| l.split_once("--")?.1.split([' ', '\n', '=']).next());
        for option in options.filter(|o| o.chars().all(|c| c.is_ascii_lowercase() || c == '-')) {
            let escaped = option.replace('-', "\\-");
            assert!(page.contains(&format!("\\-\\-{escaped}")), "{command}: --{option}");
        }
    }
}

/// What cannot be written is an error as any other, and a reader that has gone is none.
#[cfg(target_os = "linux")]
#[test]
fn results_that_cannot_be_written_end_no_program_in_a_panic() {
    let print = |stdout: std::process::Stdio| {
        // Not `data`: a bundle of tests runs beside a folder of that name.
        let config = ["train", "no-such-folder", "-o", "out", "--print-config"];
        let output = Command::new(splat_testdata::program(env!("CARGO_BIN_EXE_splat")))
            .args(config)
            .stdout(stdout)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (code, said) = print(full.into());
    assert!(code == Some(1) && said.starts_with("error: cannot write to stdout"), "{code:?} {said}");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(print(writer.into()), (Some(0), String::new()));
}

#[test]
fn the_help_tells_the_exit_codes_and_no_color_is_respected() {
    assert!(splat(&["--help"]).contains("Exit codes: 0 done, 1 failed, 2 wrong arguments, 3 stopped"));
    let refused = |variables: &[(&str, &str)]| {
        let mut command = Command::new(splat_testdata::program(env!("CARGO_BIN_EXE_splat")));
        command.args(["train", "--no-such-option"]).env_remove("NO_COLOR").envs(variables.iter().copied());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let forced = ("CLICOLOR_FORCE", "1");
    assert!(refused(&[forced]).contains('\u{1b}'), "{}", refused(&[forced]));
    let plain = refused(&[forced, ("NO_COLOR", "1")]);
    assert!(plain.starts_with("error: ") && !plain.contains('\u{1b}'), "{plain}");
}
