//! The catalogue: every way in which a CUDA extension, PyTorch, compilers and a driver are known to fail together,
//! under a code that never changes its meaning. It holds texts and the patterns of logs only: rules over facts live in
//! [`crate::rules`], and logs are read in [`crate::explain`]. Its sources are the toolkits' and torch's own files, and
//! the issue threads that each entry names (`gs#722` is an issue of the original Gaussian splatting repository; the
//! other names are short for theirs).

mod compiler;
mod device;
mod driver;
mod extensions;
mod harmless;
mod linking;
mod ours;
mod paths;
mod pattern;
mod python;
mod rust;
mod sources;
mod toolkit;
pub mod wordings;

use serde::Serialize;

pub use pattern::{CONTEXT, Given, Glob, Pattern};

/// What a failure does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// An alarming message without consequences.
    Harmless,
    /// It builds, and fails, lies or is slow afterwards.
    Late,
    /// The build or the import ends.
    Fatal,
}

/// A failure and everything that can be said of it without looking at a machine.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Entry {
    /// The code: `E` for failures, `H` for harmless messages, `S` for what this project's own commands find.
    pub code: &'static str,
    /// What is wrong, in a few words.
    pub title: &'static str,
    /// How bad it is.
    pub weight: Weight,
    /// Why it happens.
    pub cause: &'static str,
    /// What the user sees of it.
    pub consequence: &'static str,
    /// What to do when another project's extension is built: one command where one does it.
    pub action: &'static str,
    /// Whether `cargo xtask ext build` does it by itself.
    pub automatic: bool,
    /// What this failure means for Splatwright's own build.
    pub own: &'static str,
    /// Whether a rule finds it before anything is compiled (`cargo xtask doctor`).
    pub rule: bool,
    /// Lines of a log that show it.
    pub patterns: &'static [Pattern],
    /// Codes that follow from this one or say less, and are left out where both are shown.
    pub supersedes: &'static [&'static str],
    /// Threads in which people met it.
    pub seen: &'static [&'static str],
}

const fn fatal(code: &'static str, title: &'static str) -> Entry {
    Entry {
        code,
        title,
        weight: Weight::Fatal,
        cause: "",
        consequence: "",
        action: "",
        automatic: false,
        own: "",
        rule: false,
        patterns: &[],
        supersedes: &[],
        seen: &[],
    }
}

const fn late(code: &'static str, title: &'static str) -> Entry {
    Entry { weight: Weight::Late, ..fatal(code, title) }
}

const fn harmless(code: &'static str, title: &'static str) -> Entry {
    Entry { weight: Weight::Harmless, ..fatal(code, title) }
}

impl Entry {
    const fn because(mut self, cause: &'static str) -> Self {
        self.cause = cause;
        self
    }

    const fn then(mut self, consequence: &'static str) -> Self {
        self.consequence = consequence;
        self
    }

    /// Something for a person to do.
    const fn mend(mut self, action: &'static str) -> Self {
        self.action = action;
        self
    }

    /// Something that `cargo xtask ext build` does by itself.
    const fn mended(mut self, action: &'static str) -> Self {
        self.action = action;
        self.automatic = true;
        self
    }

    const fn own(mut self, own: &'static str) -> Self {
        self.own = own;
        self
    }

    const fn ruled(mut self) -> Self {
        self.rule = true;
        self
    }

    const fn logs(mut self, patterns: &'static [Pattern]) -> Self {
        self.patterns = patterns;
        self
    }

    const fn over(mut self, codes: &'static [&'static str]) -> Self {
        self.supersedes = codes;
        self
    }

    const fn seen(mut self, threads: &'static [&'static str]) -> Self {
        self.seen = threads;
        self
    }
}

const SECTIONS: &[&[Entry]] = &[
    toolkit::ENTRIES,
    compiler::ENTRIES,
    sources::ENTRIES,
    device::ENTRIES,
    driver::ENTRIES,
    linking::ENTRIES,
    python::ENTRIES,
    paths::ENTRIES,
    rust::ENTRIES,
    ours::ENTRIES,
    extensions::ENTRIES,
    harmless::ENTRIES,
];

/// Every entry, in the order of the catalogue; the harmless ones last.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    SECTIONS.iter().copied().flatten()
}

/// The entry of a code, in any case: `E21`, `e21`.
pub fn of(code: &str) -> Option<&'static Entry> {
    all().find(|entry| entry.code.eq_ignore_ascii_case(code.trim()))
}

/// Whether a text has the form of a code, known or not: one letter and up to three digits.
pub fn is_code(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic())
        && (2..=4).contains(&text.len())
        && chars.all(|c| c.is_ascii_digit())
}

/// The architecture in `compute_120`, `sm_61a`, `cuda capability 6.1`: 120, 61, 61.
fn architecture(line: &str) -> Option<u32> {
    let after =
        ["compute_", "sm_", "cuda capability "].iter().find_map(|prefix| Some(line.split_once(prefix)?.1))?;
    let end = after.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(after.len());
    after[..end].replace('.', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_says_everything() {
        for entry in all() {
            for (what, text) in [
                ("title", entry.title),
                ("cause", entry.cause),
                ("consequence", entry.consequence),
                ("action", entry.action),
                ("own", entry.own),
            ] {
                assert!(!text.is_empty(), "{}: no {what}", entry.code);
            }
            assert!(entry.rule || !entry.patterns.is_empty(), "{}: neither rule nor pattern", entry.code);
            for glob in entry.patterns.iter().flat_map(Pattern::globs) {
                assert!(glob.anchor().len() >= 4, "{}: {glob:?}", entry.code);
            }
        }
    }

    #[test]
    fn codes_are_unique_and_well_formed() {
        let codes: std::collections::BTreeSet<&str> = all().map(|entry| entry.code).collect();
        assert_eq!(codes.len(), all().count());
        for code in codes {
            assert!(code.starts_with(['E', 'H', 'S', 'X']) && is_code(code), "{code}");
        }
    }

    #[test]
    fn no_hint_destroys_anything() {
        for entry in all() {
            for word in [
                "rm ",
                "del ",
                "rmdir",
                "uninstall",
                "delete",
                "git reset",
                "git clean",
                "git checkout",
                "--hard",
                "mkfs",
            ] {
                assert!(!entry.action.contains(word), "{}: {word}", entry.code);
            }
            let quotes = entry.action.matches('`').count();
            assert_eq!(quotes % 2, 0, "{}: a command is not closed", entry.code);
        }
    }

    #[test]
    fn superseded_codes_exist() {
        for entry in all() {
            assert!(entry.supersedes.iter().all(|code| of(code).is_some()), "{}", entry.code);
        }
    }
}
