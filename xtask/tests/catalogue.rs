//! What the catalogue tells people to type exists: every `cargo xtask` command and flag in its texts is one that the
//! program knows.

use std::{collections::BTreeSet, process::Command};

use splat_toolchain::catalogue;

/// The commands in backticks of all texts: words after `cargo xtask`.
fn commands() -> BTreeSet<Vec<String>> {
    let texts = catalogue::all().flat_map(|entry| [entry.cause, entry.consequence, entry.action, entry.own]);
    let mut found = BTreeSet::new();
    for text in texts {
        for quoted in text.split('`').skip(1).step_by(2) {
            if let Some(rest) = quoted.strip_prefix("cargo xtask ") {
                found.insert(rest.split_whitespace().map(str::to_owned).collect());
            }
        }
    }
    found
}

#[test]
fn every_command_that_the_catalogue_names_is_there() {
    let commands = commands();
    assert!(commands.len() > 8, "{commands:?}");
    let mut unknown = Vec::new();
    for words in &commands {
        let is_name = |word: &&String| {
            word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-')
        };
        // `switch cuda 12.6`: names until the first value; `ext build ...`: two of them.
        let names: Vec<&String> = words.iter().take_while(is_name).collect();
        let mut help = String::new();
        for count in (1..=names.len()).rev() {
            let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
                .args(&names[..count])
                .arg("--help")
                .output()
                .unwrap();
            if output.status.success() {
                help = String::from_utf8_lossy(&output.stdout).into_owned();
                break;
            }
        }
        let flags = words.iter().filter(|word| word.starts_with("--"));
        let missing: Vec<&String> = flags.filter(|flag| !help.contains(flag.as_str())).collect();
        if help.is_empty() || !missing.is_empty() {
            unknown.push(format!("cargo xtask {}: {missing:?}", words.join(" ")));
        }
    }
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
}
