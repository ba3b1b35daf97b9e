//! What shows a failure in a log: a line, and where the line alone cannot tell, what else the log says.

use std::fmt;

use serde::{Serialize, Serializer};

use super::wordings::{self, Kind};

/// How far above a line its context may stand: one call in a Python traceback.
pub const CONTEXT: usize = 12;

/// What must stand elsewhere in the log.
#[derive(Clone, Copy, Debug)]
pub enum Given {
    /// Nothing: the line alone tells.
    Nothing,
    /// One of these texts, anywhere.
    InLog(&'static [&'static str]),
    /// One of these texts, at most [`CONTEXT`] lines above or in the line itself.
    JustBefore(&'static [&'static str]),
}

/// Lines of a log that show a failure.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    /// How tools say it.
    pub kind: &'static Kind,
    /// What they say it of.
    pub subjects: &'static [&'static str],
    /// None of these stands in the line.
    pub without: &'static [&'static str],
    /// What else the log must say.
    pub given: Given,
    /// A further condition on the line.
    pub when: Option<fn(&str) -> bool>,
}

const fn of(kind: &'static Kind, subjects: &'static [&'static str]) -> Pattern {
    Pattern { kind, subjects, without: &[], given: Given::Nothing, when: None }
}

macro_rules! kinds {
    ($($name:ident $kind:ident)*) => {$(
        pub(super) const fn $name(subjects: &'static [&'static str]) -> Pattern {
            of(&wordings::$kind, subjects)
        }
    )*};
}

kinds! {
    texts TEXT
    header HEADER
    name NAME
    cccl CCCL
    library LIBRARY
    reference REFERENCE
    decorated DECORATED
    symbol SYMBOL
    shared SHARED
    module MODULE
    command COMMAND
}

impl Pattern {
    pub(super) const fn without(mut self, without: &'static [&'static str]) -> Self {
        self.without = without;
        self
    }

    pub(super) const fn in_log(mut self, texts: &'static [&'static str]) -> Self {
        self.given = Given::InLog(texts);
        self
    }

    pub(super) const fn just_before(mut self, texts: &'static [&'static str]) -> Self {
        self.given = Given::JustBefore(texts);
        self
    }

    pub(super) const fn when(mut self, test: fn(&str) -> bool) -> Self {
        self.when = Some(test);
        self
    }

    /// Each wording of each subject, with the rarest text in it.
    pub fn globs(&self) -> impl Iterator<Item = Glob> {
        self.subjects.iter().flat_map(|subject| {
            self.kind.wordings.iter().flat_map(|wording| {
                let straight = wording.contains('‘').then(|| wording.replace(['‘', '’'], "'"));
                let all = [Some((*wording).to_owned()), straight];
                all.into_iter().flatten().map(|wording| Glob::new(&wording, subject))
            })
        })
    }

    /// Whether a line that has one of the wordings shows the failure, as far as the line alone can tell.
    pub fn allows(&self, line: &str) -> bool {
        !self.without.iter().any(|text| line.contains(text)) && self.when.is_none_or(|test| test(line))
    }

    /// What shows the failure, for people: `LNK1181 ... cudart.lib`, `a compiler does not find the header glm/`.
    pub fn described(&self) -> String {
        let said = self.subjects.iter().map(|subject| subject.replace('*', " ... "));
        let subjects = said.collect::<Vec<_>>().join(if self.kind.meaning.is_empty() { " | " } else { ", " });
        if self.kind.meaning.is_empty() { subjects } else { self.kind.meaning.replace("{}", &subjects) }
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.described())
    }
}

/// Texts that stand in a line in this order.
#[derive(Debug)]
pub struct Glob {
    texts: Vec<String>,
    /// Which of them is searched for.
    anchor: usize,
}

impl Glob {
    fn new(wording: &str, subject: &str) -> Self {
        let texts: Vec<String> = wording.replace("{}", subject).split('*').map(str::to_owned).collect();
        let rare = subject.split('*').max_by_key(|text| text.len()).unwrap_or_default();
        let longest = texts
            .iter()
            .enumerate()
            .filter(|(_, text)| text.contains(rare))
            .max_by_key(|(_, text)| text.len());
        let anchor = longest.map_or(0, |(i, _)| i);
        Self { texts, anchor }
    }

    /// The text to search for; every line that matches has it.
    pub fn anchor(&self) -> &str {
        &self.texts[self.anchor]
    }

    /// Whether the line has the texts in their order.
    pub fn matches(&self, line: &str) -> bool {
        let mut rest = line;
        self.texts.iter().all(|text| {
            let found = rest.find(text.as_str());
            if let Some(at) = found {
                rest = &rest[at + text.len()..];
            }
            found.is_some()
        })
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.texts.join(" ... "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_wants_its_texts_in_order() {
        let missing = header(&["glm/"]);
        let shown = |line: &str| missing.globs().any(|glob| glob.matches(line));
        assert!(shown("a.h:6:10: fatal error: glm/gtc/type_ptr.hpp: No such file or directory"));
        assert!(shown(
            "a.h(6): fatal error C1083: 无法打开包括文件: “glm/glm.hpp”: No such file or directory"
        ));
        assert!(!shown("glm/glm.hpp:6:10: fatal error: a.h: No such file or directory"));
    }

    #[test]
    fn quotation_marks_may_be_straight_or_curly() {
        let unknown = name(&["FLT_MAX"]);
        for line in ["‘FLT_MAX’ was not declared in this scope", "'FLT_MAX' was not declared in this scope"]
        {
            assert!(unknown.globs().any(|glob| glob.matches(line)), "{line}");
        }
    }

    #[test]
    fn the_anchor_holds_the_subject() {
        assert!(library(&["cudart"]).globs().all(|glob| glob.anchor().contains("cudart")));
        let glob = texts(&["LNK1104*Files"]).globs().next().unwrap();
        assert_eq!(glob.anchor(), "LNK1104");
    }
}
