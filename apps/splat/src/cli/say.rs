//! What the program says: results on stdout, everything else that people read on stderr.
//!
//! Names in datasets and scenes come from strangers. One that contains an escape sequence must not reach the terminal, and one
//! that contains a line break must not look like a line of this program: control characters are shown as escapes, and what
//! follows a line break is indented.

use std::borrow::Cow;
use std::io::Write;

use anyhow::{Context, Result};

/// `text` with every control character shown as its escape: for names.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return text.into();
    }
    let show = |c: char| if acts(c) { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(show).collect::<String>().into()
}

/// Whether a terminal acts on `c` instead of showing it: controls, and marks that turn the direction of writing.
fn acts(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A sentence that may contain foreign names, ready for the terminal.
pub(crate) fn sentence(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(shown).collect();
    lines.join("\n  ")
}

/// A line on stderr.
pub(crate) fn note(text: &str) {
    anstream::eprintln!("{}", sentence(text));
}

/// A warning on stderr.
pub(crate) fn warn(text: &str) {
    note(&format!("warning: {text}"));
}

/// Prints a result and a line break to stdout. It is no failure if the reader has gone (`splat info DATA | head`). Names in it
/// have been through [`shown`].
pub(crate) fn print(text: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{text}").and_then(|()| std::io::stdout().flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to stdout")
        }
        _ => Ok(()),
    }
}

/// A number with its thousands set apart: `25,784`.
pub(crate) fn grouped(n: impl ToString) -> String {
    let digits = n.to_string();
    let from_end = digits.len();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (from_end - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_act_on_the_terminal_or_imitate_a_line() {
        assert_eq!(shown("photo ü 7.png"), "photo ü 7.png");
        assert_eq!(shown("\u{1b}]0;x\u{7}\u{9b}31m\u{202e}gpj"), r"\u{1b}]0;x\u{7}\u{9b}31m\u{202e}gpj");
        assert_eq!(shown("a\nhint: rm"), r"a\nhint: rm");
        assert_eq!(sentence("first\nhint: second\u{8}"), "first\n  hint: second\\u{8}");
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(
            [7, 999, 1000, 25_784, 1_234_567].map(grouped),
            ["7", "999", "1,000", "25,784", "1,234,567"]
        );
    }
}
