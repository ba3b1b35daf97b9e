//! The catalogue: every way in which a CUDA extension, PyTorch, compilers and a driver are known to fail together,
//! under a code that never changes meaning. Text and log patterns only; rules over facts live in [`crate::rules`],
//! reading of logs in [`crate::explain`]. Sources: the toolkits' and torch's own files, and the issue threads named
//! by each entry (`gs#722` is an issue of the original Gaussian splatting repository; other names are short for theirs).

mod compiler;
mod device;
mod driver;
mod harmless;
mod linking;
mod ours;
mod paths;
mod python;
mod rust;
mod sources;
mod toolkit;

use serde::{Serialize, Serializer};

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

/// One line of a log that shows a failure.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    /// All stand in the line; the first is what is searched for.
    pub all: &'static [&'static str],
    /// None stands in the line.
    pub none: &'static [&'static str],
    /// One of them stands somewhere in the log; empty for no condition.
    pub log_has: &'static [&'static str],
    /// A further condition on the line.
    pub when: Option<fn(&str) -> bool>,
}

/// A failure and everything that can be said of it without looking at a machine.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Entry {
    pub code: &'static str,
    pub title: &'static str,
    pub weight: Weight,
    pub cause: &'static str,
    pub consequence: &'static str,
    /// What to do when another project's extension is built: one command where one does it.
    pub action: &'static str,
    /// Whether `cargo xtask ext build` does it by itself.
    pub automatic: bool,
    /// What this failure is to Splatwright's own build.
    pub own: &'static str,
    /// A rule finds it before anything is compiled (`cargo xtask doctor`).
    pub rule: bool,
    /// Lines of a log that show it.
    pub patterns: &'static [Pattern],
    /// Codes whose patterns match the same line or message and say less.
    pub supersedes: &'static [&'static str],
    /// Threads in which people met it.
    pub seen: &'static [&'static str],
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.all.join(" ... "))
    }
}

/// A pattern of these texts, all in one line.
const fn line(all: &'static [&'static str]) -> Pattern {
    Pattern { all, none: &[], log_has: &[], when: None }
}

impl Pattern {
    const fn without(mut self, none: &'static [&'static str]) -> Self {
        self.none = none;
        self
    }

    const fn in_log(mut self, log_has: &'static [&'static str]) -> Self {
        self.log_has = log_has;
        self
    }

    const fn when(mut self, test: fn(&str) -> bool) -> Self {
        self.when = Some(test);
        self
    }

    /// Whether a line shows it, as far as the line alone can tell.
    pub fn matches(&self, line: &str) -> bool {
        self.all.iter().all(|text| line.contains(text))
            && !self.none.iter().any(|text| line.contains(text))
            && self.when.is_none_or(|test| test(line))
    }
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

    /// Something that is done by itself.
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

/// The architecture in `compute_120`, `sm_61a`: 120, 61.
fn architecture(line: &str) -> Option<u32> {
    let after = ["compute_", "sm_"].iter().find_map(|prefix| Some(line.split_once(prefix)?.1))?;
    let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    after[..end].parse().ok()
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
            for pattern in entry.patterns {
                assert!(pattern.all.iter().all(|text| text.len() >= 4), "{}: {:?}", entry.code, pattern.all);
            }
        }
    }

    #[test]
    fn codes_are_unique_and_all_seventy_four_are_there() {
        let codes: Vec<&str> = all().map(|entry| entry.code).collect();
        let unique: std::collections::BTreeSet<&str> = codes.iter().copied().collect();
        assert_eq!(unique.len(), codes.len());
        let ranges =
            [(1, 13), (20, 33), (40, 45), (50, 58), (60, 64), (70, 77), (80, 88), (90, 93), (100, 105)];
        let expected: Vec<String> =
            ranges.iter().flat_map(|(from, to)| *from..=*to).map(|n: u32| format!("E{n:02}")).collect();
        assert_eq!(expected.len(), 74);
        for code in &expected {
            assert!(of(code).is_some(), "{code} is missing");
        }
        let beyond: Vec<&&str> =
            codes.iter().filter(|c| c.starts_with('E') && !expected.contains(&(**c).to_owned())).collect();
        assert!(beyond.is_empty(), "{beyond:?}");
    }

    #[test]
    fn superseded_codes_exist() {
        for entry in all() {
            assert!(entry.supersedes.iter().all(|code| of(code).is_some()), "{}", entry.code);
        }
    }
}
