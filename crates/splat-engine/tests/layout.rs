//! The Rust mirror is what a C compiler makes of the header: every struct's size, every member's offset and size, every
//! constant's value. The lists are generated with the mirror; what the header's own text names is compared with them, so
//! that a generator that forgets something fails here too.

// Constants have the types of the members that they limit, i64 among them.
#[allow(clippy::unnecessary_cast)]
#[path = "layout/generated.rs"]
mod generated;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Command;

use generated::{CONSTANTS, STRUCTS, Struct};

fn include() -> std::path::PathBuf {
    splat_testdata::committed("crates/splat-engine/include")
}

#[test]
fn the_mirror_has_the_layout_and_the_constants_of_the_header() {
    let mut source = String::from("#include <stddef.h>\n#include \"splat_engine.h\"\n");
    let mut same = |expression: &str, rust: i64| {
        let text = format!("(long long)({expression}) == {rust}, \"Rust has {rust}\"");
        writeln!(source, "_Static_assert({text});").expect("a string takes every line");
    };
    for (name, value) in CONSTANTS {
        same(name, *value);
    }
    for Struct { c, size, members } in STRUCTS {
        same(&format!("sizeof({c})"), *size as i64);
        for (member, offset, width) in *members {
            same(&format!("offsetof({c}, {member})"), *offset as i64);
            same(&format!("sizeof((({c} *)0)->{member})"), *width as i64);
        }
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("layout.c");
    std::fs::write(&file, source).expect("layout.c is written");
    let cc = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let output = Command::new(&cc)
        .args(["-std=c11", "-Wall", "-Werror", "-fsyntax-only", "-I"])
        .arg(include())
        .arg(&file)
        .output()
        .expect("a C compiler");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{cc}` reads splat_engine.h otherwise than Rust:\n{said}");
}

#[test]
fn no_struct_has_a_gap_and_those_that_grow_begin_with_their_size() {
    let never_grow = ["splat_in", "splat_record", "splat_record_gradient"];
    for Struct { c, size, members } in STRUCTS {
        let mut at = 0;
        for (member, offset, width) in *members {
            assert_eq!(*offset, at, "there is a gap before `{c}.{member}`, where a later member could hide");
            at += width;
        }
        assert_eq!(at, *size, "there is a gap at the end of `{c}`");
        assert_eq!(members[0].0 == "struct_size", !never_grow.contains(c), "`{c}`");
    }
}

/// The header without its comments.
fn declarations() -> String {
    let header = std::fs::read_to_string(include().join("splat_engine.h")).expect("the header is there");
    let mut text = String::new();
    let mut rest = header.as_str();
    while let Some((before, after)) = rest.split_once("/*") {
        text += before;
        rest = after.split_once("*/").expect("comments end").1;
    }
    text + rest
}

#[test]
fn nothing_of_the_header_is_left_out() {
    let text = declarations();
    let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    let named: BTreeSet<&str> = words
        .filter(|word| word.starts_with("SPLAT_") && !["SPLAT_ENGINE_H", "SPLAT_API"].contains(word))
        .collect();
    assert_eq!(named, CONSTANTS.iter().map(|(name, _)| *name).collect());

    // Names of structs and how many members each has; an opaque struct has no body.
    let mut found = Vec::new();
    for (name, body) in text.split("typedef struct ").skip(1).filter_map(|s| s.split_once('{')) {
        let (name, body) = (name.trim(), body.split_once("\n}").expect("structs end").0);
        if !name.contains(';') {
            let count = |line: &str| {
                // A function is one member, whatever its parameters.
                let line = line.split_once(")(").map_or(line, |(name, _)| name);
                if line.trim().is_empty() { 0 } else { line.split(',').count() }
            };
            found.push((name, body.split(';').map(count).sum::<usize>()));
        }
    }
    let listed: Vec<_> = STRUCTS.iter().map(|s| (s.c, s.members.len())).collect();
    assert_eq!(found, listed);
}
