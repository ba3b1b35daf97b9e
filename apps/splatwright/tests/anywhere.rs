//! The program outside a clone: what works there, what says that it needs one, and that texts name this program.

use std::process::{Command, Output};

use serde_json::Value;

fn run(arguments: &[&str]) -> (Output, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_splatwright"))
        .args(arguments)
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
fn texts_name_this_program() {
    let (_, out, _) = run(&["explain", "E21"]);
    assert!(out.contains("splatwright doctor") && !out.contains("cargo xtask doctor"), "{out}");
    let (_, out, _) = run(&["explain", "--help"]);
    assert!(out.contains("| splatwright explain") && !out.contains("cargo xtask"), "{out}");
    let (_, _, error) = run(&["explain", "E999"]);
    assert!(error.contains("hint: splatwright explain --list"), "{error}");
}
