//! Hints on errors: where an error is made, say what to do; the one renderer ([`crate::ui::report`]) prints it.

use std::fmt;

/// An error message with the one thing to do about it. Shows as its message; the hint is printed apart.
#[derive(Debug)]
pub struct Hinted {
    message: String,
    hint: String,
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Hinted {}

/// An error that says `message`, with a hint that names a command where there is one.
pub fn hinted(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
    Hinted { message: message.into(), hint: hint.into() }.into()
}

/// Puts a message and a hint on top of an error that happened below.
pub trait WithHint<T> {
    /// Puts `message` and `hint` on top of the error.
    fn with_hint(self, message: impl Into<String>, hint: impl Into<String>) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> WithHint<T> for Result<T, E> {
    fn with_hint(self, message: impl Into<String>, hint: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|e| e.into().context(Hinted { message: message.into(), hint: hint.into() }))
    }
}

/// The first hint found from the outermost context inwards.
pub fn of(error: &anyhow::Error) -> Option<&str> {
    // A `Hinted` used as context is reached by `downcast_ref`, one in the chain by walking it.
    error
        .downcast_ref::<Hinted>()
        .or_else(|| error.chain().find_map(|cause| cause.downcast_ref::<Hinted>()))
        .map(|hinted| hinted.hint.as_str())
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn the_hint_survives_contexts_above_and_causes_below() {
        let below = hinted("torch is absent", "cargo xtask build").context("cannot build");
        assert_eq!(of(&below), Some("cargo xtask build"));
        let io: std::io::Result<()> = Err(std::io::Error::other("disk full"));
        let above =
            io.with_hint("cannot write the plan", "free some space").context("switch failed").unwrap_err();
        assert_eq!(of(&above), Some("free some space"));
        assert_eq!(of(&anyhow::anyhow!("plain")), None);
    }
}
