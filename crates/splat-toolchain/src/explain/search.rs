//! The automaton that finds every text of the catalogue's patterns, and of errors in general, in one pass over a log.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use crate::catalogue::{self, Entry, Given, Glob, Pattern};

/// Texts that mark an error of any kind.
const ERRORS: &[&str] = &[
    "error:",
    "Error:",
    "ERROR:",
    "error :",
    "fatal error",
    "nvcc fatal",
    "nvcc error",
    "error C",
    "error LNK",
    "LNK1",
    "undefined reference",
    "undefined symbol",
    "ld: cannot find",
    "Segmentation fault",
    "core dumped",
    "terminate called",
    "panicked at",
    "Fehler:",
    "错误：",
];

/// Texts of errors that only say that something before them failed.
pub(super) const CONSEQUENCES: &[&str] = &[
    "subprocess-exited-with-error",
    "metadata-generation-failed",
    "legacy-install-failure",
    "failed-wheel-build",
    "Error compiling objects for extension",
    "CalledProcessError",
    "error: command '",
    "finished with status 'error'",
    "ERROR: Failed",
    "ERROR: Could not build wheels",
    "ld returned",
    "linker command failed",
    "LNK1120",
    "could not compile",
    "linking with",
    "failed to run custom build command",
    "process didn't exit successfully",
];

pub(super) enum Anchor {
    /// A text of an entry's pattern.
    Shows { entry: &'static Entry, pattern: &'static Pattern, glob: Glob },
    /// A text that patterns want to see shortly before them.
    Context(&'static str),
    /// A text that marks an error.
    Error,
}

pub(super) struct Machinery {
    pub search: AhoCorasick,
    /// What each searched text stands for.
    pub anchors: Vec<Vec<Anchor>>,
}

pub(super) static MACHINERY: LazyLock<Machinery> = LazyLock::new(|| {
    let mut anchors: BTreeMap<String, Vec<Anchor>> = BTreeMap::new();
    let mut add = |text: String, anchor: Anchor| anchors.entry(text).or_default().push(anchor);
    let mut contexts: BTreeSet<&'static str> = BTreeSet::new();
    for entry in catalogue::all() {
        for pattern in entry.patterns {
            for glob in pattern.globs() {
                add(glob.anchor().to_owned(), Anchor::Shows { entry, pattern, glob });
            }
            if let Given::JustBefore(texts) = pattern.given {
                contexts.extend(texts);
            }
        }
    }
    for text in contexts {
        add(text.to_owned(), Anchor::Context(text));
    }
    for text in ERRORS {
        add((*text).to_owned(), Anchor::Error);
    }
    let (texts, anchors): (Vec<String>, Vec<Vec<Anchor>>) = anchors.into_iter().unzip();
    #[expect(clippy::expect_used, reason = "the texts are constants; a test builds it")]
    let search = AhoCorasick::builder()
        .kind(Some(AhoCorasickKind::DFA))
        .build(&texts)
        .expect("constant texts make an automaton");
    Machinery { search, anchors }
});
