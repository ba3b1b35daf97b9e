//! Rules on the text of a file: its header, its length, and what must not stand in it. Pure functions of path and text.

use std::{collections::BTreeMap, path::Path};

use super::{Complaint, EXCEPTIONS};

/// A file of more lines than this needs a reason.
const MAX_LINES: usize = 600;
/// A file of more bytes than this is data, not source.
const MAX_BYTES: usize = 1_500_000;

/// Where `unsafe` may stand: the C interface, the engines behind it, the bridges of splat-tch and splat-dist to C++, the engine made of stages, and the tests that call
/// across them.
const UNSAFE: &[&str] = &[
    "crates/splat-engine/",
    "crates/splat-cpu/",
    "crates/splat-cuda/",
    "crates/splat-inria/",
    "crates/splat-tch/src/ffi",
    "crates/splat-dist/src/ffi.rs",
    "crates/splat-verify/src/staged.rs",
    "crates/splat-tch/tests/",
];

// What is looked for is written in two halves, so that this file does not find itself.
const UNFINISHED: &[&str] = &[concat!("to", "do!("), concat!("db", "g!("), concat!("unimple", "mented!(")];
const NOTICE: &str = concat!("free for non-commercial, research ", "and evaluation use");
const HOMES: &[&str] =
    &[concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("/ro", "ot/"), concat!("C:\\Us", "ers\\")];
const REGISTRIES: &[&str] = &[
    concat!("py", "pi.org"),
    concat!("python", "hosted.org"),
    concat!("download.py", "torch.org"),
    concat!("static.cra", "tes.io"),
];

pub(super) struct Context<'a> {
    /// Relative to the repository, with `/`.
    pub(super) path: &'a str,
    pub(super) root: &'a Path,
    pub(super) long_files: &'a BTreeMap<String, String>,
}

/// Everything that is wrong with one file.
pub(super) fn check(context: &Context<'_>, text: &str) -> Vec<Complaint> {
    let mut found = Vec::new();
    let extension = context.path.rsplit_once('.').map_or("", |(_, extension)| extension);
    let source = matches!(extension, "rs" | "cu" | "cuh" | "cpp" | "cc" | "h" | "hpp" | "py");
    if source {
        found.extend(header(context.path, extension, text));
        found.extend(length(context, text));
    }
    if extension == "rs" {
        found.extend(rust(context.path, text));
    }
    found.extend(private(context, text));
    found
}

/// A file that would swell every clone.
pub(super) fn check_size(path: &str, bytes: usize) -> Option<Complaint> {
    (bytes > MAX_BYTES).then(|| {
        let what = format!("{:.1} MB; the limit is {:.1} MB", bytes as f64 / 1e6, MAX_BYTES as f64 / 1e6);
        complaint(path, 0, what, "keep data out of the repository, or make it smaller")
    })
}

/// Exceptions for files that are not there.
pub(super) fn check_listing(long_files: &BTreeMap<String, String>, files: &[String]) -> Vec<Complaint> {
    let gone = long_files.keys().filter(|path| !files.contains(path));
    gone.map(|path| {
        complaint(EXCEPTIONS, 0, format!("`{path}` is listed and does not exist"), "remove the line")
    })
    .collect()
}

fn complaint(path: &str, line: usize, what: impl Into<String>, remedy: impl Into<String>) -> Complaint {
    Complaint { path: path.to_owned(), line, what: what.into(), remedy: remedy.into() }
}

fn header(path: &str, extension: &str, text: &str) -> Option<Complaint> {
    // A crate's README as its documentation says more than a header.
    if extension == "rs" && text.lines().take(10).any(|line| line.starts_with("#![doc = include_str!(")) {
        return None;
    }
    let first = first_line(extension, text)?;
    let (good, wanted): (&[&str], _) = match extension {
        "rs" => {
            (&["//!"], "`//!` lines that say the module's job, its units and frames, and what it does not do")
        }
        "py" => (&["#", "\"\"\"", "r\"\"\""], "a docstring or comment that says the file's job"),
        _ => (&["//", "/*"], "a comment that says the file's job"),
    };
    let has = good.iter().any(|start| first.1.starts_with(start));
    (!has).then(|| complaint(path, first.0, "no header", format!("open with {wanted}")))
}

/// The first line that counts and its number; `None` for an empty file.
fn first_line<'a>(extension: &str, text: &'a str) -> Option<(usize, &'a str)> {
    let mut inside_attribute = false;
    for (i, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if inside_attribute || (extension == "rs" && trimmed.starts_with("#![")) {
            inside_attribute = !trimmed.ends_with(']');
        } else if !(trimmed.is_empty() || trimmed.starts_with("#!")) {
            return Some((i + 1, trimmed));
        }
    }
    None
}

fn length(context: &Context<'_>, text: &str) -> Option<Complaint> {
    let lines = text.lines().count();
    let listed = context.long_files.get(context.path);
    match (lines > MAX_LINES, listed) {
        (true, None) => Some(complaint(
            context.path,
            MAX_LINES + 1,
            format!("{lines} lines, over {MAX_LINES}"),
            format!("split it, or list it in {EXCEPTIONS} with a reason"),
        )),
        (_, Some(reason)) if reason.trim().is_empty() => Some(complaint(
            context.path,
            0,
            format!("listed in {EXCEPTIONS} without a reason"),
            "say why it is long",
        )),
        (false, Some(_)) => Some(complaint(
            context.path,
            0,
            format!("listed in {EXCEPTIONS} and only {lines} lines long"),
            "remove it from the list",
        )),
        _ => None,
    }
}

fn rust(path: &str, text: &str) -> Vec<Complaint> {
    let mut found = Vec::new();
    // Once per file: the remedy is the same for all of it.
    let mut may_be_unsafe = UNSAFE.iter().any(|allowed| path.starts_with(allowed));
    for (line, code) in code_lines(text) {
        for unfinished in UNFINISHED.iter().filter(|unfinished| code.contains(**unfinished)) {
            let what = format!("`{}` is left in", unfinished.trim_end_matches('('));
            found.push(complaint(path, line, what, "finish it or take it out"));
        }
        if !may_be_unsafe && has_unsafe(code) {
            may_be_unsafe = true;
            found.push(complaint(
                path,
                line,
                "`unsafe` outside the border files",
                format!("move it to {}", UNSAFE.join(", ")),
            ));
        }
    }
    found
}

/// Lines with what stands before a comment; text in quotes is not told from code.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(i, line)| {
        let end = line.find("//").unwrap_or(line.len());
        (i + 1, &line[..end])
    })
}

/// The keyword before a block, a function, an implementation, a trait, a foreign block, or in an attribute.
fn has_unsafe(code: &str) -> bool {
    let keyword = concat!("un", "safe");
    code.match_indices(keyword).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + keyword.len()..].trim_start();
        let whole = !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '"' || c == '`');
        whole
            && ["{", "fn ", "impl ", "impl<", "trait ", "extern ", "("]
                .iter()
                .any(|next| after.starts_with(next))
    })
}

/// What must not be committed whatever the file: licensed text, private paths, registries' names.
fn private(context: &Context<'_>, text: &str) -> Vec<Complaint> {
    let mut found = Vec::new();
    let here = context.root.display().to_string();
    let lock = context.path == "Cargo.lock";
    for (i, line) in text.lines().enumerate() {
        if line.to_lowercase().contains(NOTICE) {
            let remedy = "nothing of the original's text may be committed; see third_party/README.md";
            found.push(complaint(context.path, i + 1, "it carries the original's licence notice", remedy));
        }
        if let Some(path) = home_path(line).or_else(|| line.contains(&here).then_some(here.as_str())) {
            found.push(complaint(
                context.path,
                i + 1,
                format!("`{path}` is a path of one machine"),
                "name it relative to the repository",
            ));
        }
        if let Some(host) = REGISTRIES.iter().find(|host| !lock && line.contains(**host)) {
            let remedy = "packages come through the user's own pip and cargo, wherever those point";
            found.push(complaint(context.path, i + 1, format!("`{host}` is a registry's host name"), remedy));
        }
    }
    found
}

/// A folder below somebody's home; documentation may speak of `me`, `you` and `user`.
fn home_path(line: &str) -> Option<&str> {
    HOMES.iter().find_map(|home| {
        let at = line.find(home)?;
        // A path begins there: `x/root/` is a folder of that name somewhere else.
        let before = line[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '}' | '>')) {
            return None;
        }
        let after = &line[at + home.len()..];
        let end = after
            .find(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '_' | '-')))
            .unwrap_or(after.len());
        let name = &after[..end];
        (!matches!(name, "me" | "you" | "user")).then(|| &line[at..at + home.len() + end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> Vec<String> {
        let long_files = BTreeMap::from([("long.rs".to_owned(), "one table".to_owned())]);
        let context = Context { path, root: Path::new("/checkout/here"), long_files: &long_files };
        check(&context, text).into_iter().map(|c| format!("{}:{} {}", c.path, c.line, c.what)).collect()
    }

    #[test]
    fn headers_by_language() {
        assert!(complaints("a.rs", "//! Job.\n").is_empty());
        assert!(
            complaints("a.rs", "#![expect(\n    unsafe_code,\n    reason = \"ffi\"\n)]\n//! Job.\n")
                .is_empty()
        );
        assert_eq!(complaints("a.rs", "\nfn main() {}\n"), ["a.rs:2 no header"]);
        assert_eq!(complaints("a.rs", "// Not a module's documentation.\n"), ["a.rs:1 no header"]);
        assert!(complaints("a.rs", "#![doc = include_str!(\"../README.md\")]\n\nmod a;\n").is_empty());
        assert!(complaints("a.py", "#!/usr/bin/env python3\n\"\"\"Job.\"\"\"\n").is_empty());
        assert_eq!(complaints("a.py", "import os\n"), ["a.py:1 no header"]);
        assert_eq!(complaints("a.h", "#pragma once\n"), ["a.h:1 no header"]);
        assert!(complaints("a.cu", "// Job.\n").is_empty());
        assert!(complaints("a.toml", "x = 1\n").is_empty());
        assert!(complaints("__init__.py", "").is_empty());
    }

    #[test]
    fn long_files_need_a_reason_and_short_ones_no_excuse() {
        let long = "//! Job.\n".repeat(MAX_LINES + 1);
        assert_eq!(complaints("a.rs", &long), ["a.rs:601 601 lines, over 600"]);
        assert!(complaints("long.rs", &long).is_empty());
        assert!(complaints("long.rs", "//! Job.\n")[0].contains("only 1 lines long"));
    }

    #[test]
    fn unsafe_stays_at_the_border() {
        let keyword = concat!("un", "safe");
        for code in ["{ f() }", "fn f() {}", "impl Send for X {}", "extern \"C\" {}"] {
            let text = format!("//! Job.\n{keyword} {code}\n");
            assert_eq!(complaints("crates/splat-core/src/a.rs", &text).len(), 1, "{text}");
            assert!(complaints("crates/splat-engine/src/a.rs", &text).is_empty(), "{text}");
            assert!(complaints("crates/splat-tch/src/ffi/a.rs", &text).is_empty(), "{text}");
        }
        assert_eq!(complaints("a.rs", &format!("//! Job.\n#[{keyword}(no_mangle)]\n")).len(), 1);
        for innocent in [
            format!("#![deny({keyword}_code)]"),
            format!("// {keyword} {{ }}"),
            format!("//! No {keyword} here."),
        ] {
            assert!(complaints("a.rs", &format!("//! Job.\n{innocent}\n")).is_empty(), "{innocent}");
        }
    }

    #[test]
    fn nothing_unfinished() {
        for macro_call in UNFINISHED {
            assert_eq!(
                complaints("a.rs", &format!("//! Job.\nfn f() {{ {macro_call}) }}\n")).len(),
                1,
                "{macro_call}"
            );
        }
    }

    #[test]
    fn nothing_private_and_nothing_licensed() {
        assert_eq!(complaints("a.md", &format!("This software is {NOTICE}\n")).len(), 1);
        assert_eq!(
            complaints("a.md", "see /checkout/here/docs\n"),
            ["a.md:1 `/checkout/here` is a path of one machine"]
        );
        for home in HOMES {
            assert_eq!(complaints("a.md", &format!("in {home}alice/x\n")).len(), 1, "{home}");
            assert!(complaints("a.md", &format!("in {home}me/x, https://x{home}y\n")).is_empty(), "{home}");
        }
        for host in REGISTRIES {
            assert_eq!(complaints("a.rs", &format!("//! {host}\n")).len(), 1, "{host}");
            assert!(complaints("Cargo.lock", host).is_empty());
        }
    }

    #[test]
    fn large_files_and_stale_exceptions() {
        assert!(check_size("a.bin", MAX_BYTES).is_none());
        assert!(check_size("a.bin", MAX_BYTES + 1).unwrap().what.starts_with("1.5 MB"));
        let listed = BTreeMap::from([("gone.rs".to_owned(), "x".to_owned())]);
        assert_eq!(check_listing(&listed, &["here.rs".to_owned()]).len(), 1);
        assert!(check_listing(&listed, &["gone.rs".to_owned()]).is_empty());
    }
}
