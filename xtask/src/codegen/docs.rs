//! The header's comments as documentation of the Rust mirror: links, wrapped lines, and a sentence for what has none.

use std::{fmt::Write as _, sync::LazyLock};

use regex_lite::{Captures, Regex};

use super::{
    header::{Member, Struct},
    model::Model,
};

/// What [`linked`] looks at: code, a shape in brackets, `splat_camera.model`, a word.
static WORD: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?s)`[^`]*`|\[[^\]]*\]|splat_\w+\.\w+|\w+").expect("a pattern that compiles")
});

/// `text` as documentation, wrapped; names of the header become links and shapes become code.
pub(super) fn docs(model: &Model, text: &str, indent: &str) -> String {
    let mut out = String::new();
    for (i, paragraph) in text.split("\n\n").enumerate() {
        if i > 0 {
            let _ = writeln!(out, "{indent}///");
        }
        for line in wrapped(&linked(model, paragraph), 104 - indent.len()) {
            let _ = writeln!(out, "{indent}/// {line}");
        }
    }
    out
}

fn linked(model: &Model, text: &str) -> String {
    let link = |found: &Captures| {
        let token = &found[0];
        match model.link(token) {
            // What is in backticks stays as it is.
            _ if token.starts_with('`') => token.to_owned(),
            Some(target) => format!("[`{target}`]"),
            None if token.starts_with('[') || token.contains('_') => format!("`{token}`"),
            None => token.to_owned(),
        }
    };
    WORD.replace_all(text, link).into_owned()
}

/// Lines of at most `width` characters. No line begins with a sign that Markdown reads as a list or a heading.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always one");
        let begins = word.chars().next().is_some_and(|c| c.is_alphabetic() || matches!(c, '`' | '[' | '('));
        if line.is_empty() {
            line.push_str(word);
        } else if line.len() + 1 + word.len() > width && begins {
            lines.push(word.to_owned());
        } else {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines
}

/// The header's comment; without one, what the name and the type say.
pub(super) fn member_doc(it: &Struct, member: &Member) -> String {
    let Member { name, base, .. } = member;
    match name.as_str() {
        _ if !member.doc.is_empty() => member.doc.clone(),
        "struct_size" => "`sizeof` this struct, as whoever fills it knows it.".into(),
        "reserved" => "Zero.".into(),
        _ if member.parameters.is_some() && it.name.ends_with("_table") => {
            format!("`{name}`, or `None` if the engine does not offer it.")
        }
        _ if member.parameters.is_some() => format!("`{name}`"),
        _ if base.starts_with("splat_") => format!("See {base}."),
        _ => {
            let constant = if member.constant { "const " } else { "" };
            format!("`{constant}{base} {}{name}`", "*".repeat(member.pointers))
        }
    }
}
