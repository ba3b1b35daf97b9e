//! Reads the log of a build that somebody else ran and names every known failure and harmless warning in it.
//! The log may be of any size and in any encoding; it is gone through once. Only the log counts: what the machine has is
//! for [`probe`](fn@crate::probe) to say.

mod lines;
mod search;
mod text;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use serde::Serialize;

use self::{
    lines::{Lines, QUOTED, quote, reach},
    search::{Anchor, CONSEQUENCES, MACHINERY},
};
use crate::catalogue::{self, CONTEXT, Entry, Given, Weight};

/// A failure that the log shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// Its code in the catalogue.
    pub code: &'static str,
    /// How bad it is.
    pub weight: Weight,
    /// The number of the first line that shows it, from 1.
    pub line: usize,
    /// That line, shortened.
    pub text: String,
    /// How many lines show it.
    pub count: usize,
}

impl Hit {
    /// Its entry in the catalogue.
    pub fn entry(&self) -> Option<&'static Entry> {
        catalogue::of(self.code)
    }
}

/// How many lines [`Report::errors`] has at most.
pub const ERRORS: usize = 5;

/// What was found, the most important first: what ends a build before what spoils it later, earlier lines before later
/// ones (one failure causes the next), harmless messages last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How many lines the log has.
    pub lines: usize,
    /// The failures and harmless messages that it shows.
    pub hits: Vec<Hit>,
    /// The first [`ERRORS`] different lines in which a tool says that there is an error, explained or not. Lines that only
    /// report that another program failed are not among them.
    pub errors: Vec<String>,
    /// The first line that reads like an error and that no entry explains, with its number. Lines that only report that
    /// another program failed come last.
    pub unexplained: Option<(usize, String)>,
}

impl Report {
    /// What to solve first; `None` if everything found is harmless.
    pub fn first(&self) -> Option<&Hit> {
        self.hits.first().filter(|hit| hit.weight > Weight::Harmless)
    }

    /// Whether the log is explained: it shows a known failure, or harmless messages and no other error.
    pub fn is_explained(&self) -> bool {
        self.first().is_some() || (!self.hits.is_empty() && self.unexplained.is_none())
    }
}

/// Looks through a log.
pub fn scan(log: &[u8]) -> Report {
    let log = text::readable(log);
    let scan = go_through(&log);
    Report {
        lines: log.lines().count(),
        errors: scan.errors.iter().map(|(_, place)| quote(&log, *place)).collect(),
        hits: ranked(scan.hits.into_values().map(|(hit, _)| hit).collect()),
        unexplained: scan.unexplained.or(scan.consequence).map(|(number, at)| (number, quote(&log, at))),
    }
}

fn go_through(log: &str) -> Scan<'_> {
    let mut scan = Scan { log, ..Scan::default() };
    let mut tried = vec![0; MACHINERY.anchors.len()];
    let mut counter = Lines::default();
    for found in MACHINERY.search.find_overlapping_iter(log) {
        let number = counter.at(log.as_bytes(), found.start());
        scan.go_to(number, found.start());
        // A text that stands in a line many times is tried once.
        let id = found.pattern().as_usize();
        if tried[id] != scan.looks {
            tried[id] = scan.looks;
            MACHINERY.anchors[id].iter().for_each(|anchor| scan.take(anchor, found.start()));
        }
    }
    scan.leave_line();
    scan
}

/// Drops what follows from something else that was found, and puts the cause first.
fn ranked(mut hits: Vec<Hit>) -> Vec<Hit> {
    let superseded: BTreeSet<&str> =
        hits.iter().filter_map(Hit::entry).flat_map(|entry| entry.supersedes.iter().copied()).collect();
    hits.retain(|hit| !superseded.contains(hit.code));
    hits.sort_by_key(|hit| (Reverse(hit.weight), hit.line));
    hits
}

/// The state of going through a log.
#[derive(Default)]
struct Scan<'a> {
    log: &'a str,
    /// The line looked at, from 1.
    number: usize,
    /// The bytes of it that are looked at.
    range: Range<usize>,
    /// How often another line or another part of a long line was looked at.
    looks: usize,
    /// Where the line says that there is an error.
    error: Option<usize>,
    /// Whether an entry explains the line.
    explained: bool,
    /// What each code has shown so far, and the last line that did.
    hits: BTreeMap<&'static str, (Hit, usize)>,
    /// The line in which each context was last seen.
    contexts: BTreeMap<&'static str, usize>,
    /// Whether the log has a text, as far as anybody asked.
    has: BTreeMap<&'static str, bool>,
    /// The first different lines with an error: the line, and the error's place.
    errors: Vec<(&'a str, usize)>,
    unexplained: Option<(usize, usize)>,
    consequence: Option<(usize, usize)>,
}

impl Scan<'_> {
    /// Looks at the line of a find.
    fn go_to(&mut self, number: usize, place: usize) {
        let ends = self.range.end == self.log.len() || self.log[self.range.end..].starts_with('\n');
        if number == self.number && (ends || place + QUOTED < self.range.end) {
            return;
        }
        if number != self.number {
            self.leave_line();
            self.number = number;
        }
        self.range = reach(self.log, place);
        self.looks += 1;
    }

    /// Remembers the line's error, and whether something explained it.
    fn leave_line(&mut self) {
        let explained = std::mem::take(&mut self.explained);
        let Some(place) = self.error.take() else { return };
        let line = &self.log[self.range.clone()];
        let is_consequence = CONSEQUENCES.iter().any(|text| line.contains(text));
        let is_new = self.errors.len() < ERRORS && !self.errors.iter().any(|(known, _)| *known == line);
        if is_new && !is_consequence {
            self.errors.push((line, place));
        }
        if !explained {
            let first = if is_consequence { &mut self.consequence } else { &mut self.unexplained };
            first.get_or_insert((self.number, place));
        }
    }

    fn take(&mut self, anchor: &Anchor, place: usize) {
        match anchor {
            Anchor::Error => self.error = self.error.or(Some(place)),
            Anchor::Context(text) => _ = self.contexts.insert(text, self.number),
            Anchor::Shows { entry, pattern, glob } => {
                let line = &self.log[self.range.clone()];
                if glob.matches(line) && pattern.allows(line) && self.holds(pattern.given) {
                    self.record(entry, place);
                }
            }
        }
    }

    fn holds(&mut self, given: Given) -> bool {
        match given {
            Given::Nothing => true,
            Given::InLog(texts) => texts.iter().any(|text| {
                let find = || memchr::memmem::find(self.log.as_bytes(), text.as_bytes()).is_some();
                *self.has.entry(text).or_insert_with(find)
            }),
            Given::JustBefore(texts) => texts.iter().any(|text| {
                let above = self.contexts.get(text).is_some_and(|line| line + CONTEXT >= self.number);
                above || self.log[self.range.clone()].contains(text)
            }),
        }
    }

    fn record(&mut self, entry: &'static Entry, place: usize) {
        self.explained = true;
        let (hit, last) = self.hits.entry(entry.code).or_insert_with(|| {
            let text = quote(self.log, place);
            (Hit { code: entry.code, weight: entry.weight, line: self.number, text, count: 0 }, 0)
        });
        // A line counts once, whichever of the entry's patterns it shows.
        hit.count += usize::from(*last != self.number);
        *last = self.number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(log: &[u8]) -> Vec<&'static str> {
        scan(log).hits.iter().map(|hit| hit.code).collect()
    }

    #[test]
    fn the_harmless_come_last_and_the_first_fatal_first() {
        let log = b"warning: #177-D: variable \"p_proj\" was declared but never referenced\n\
            TORCH_CUDA_ARCH_LIST is not set, all archs\n\
            foo.cu(3): error: identifier \"FLT_MAX\" is undefined\n\
            rasterizer_impl.h(20): error: identifier \"uint32_t\" is undefined\n\
            rasterizer_impl.h(21): error: identifier \"uint32_t\" is undefined\n";
        let report = scan(log);
        assert_eq!(codes(log), ["E41", "E40", "H02", "H01"]);
        assert_eq!(report.first().unwrap().line, 3);
        assert_eq!((report.hits[1].count, report.lines), (2, 5));
    }

    #[test]
    fn the_log_decides_between_two_meanings_of_one_line() {
        let message =
            "OSError: CUDA_HOME environment variable is not set. Please set it to your CUDA install root.\n";
        assert_eq!(codes(message.as_bytes()), ["E03"]);
        assert_eq!(codes(format!("torch 2.4.1+cpu\n{message}").as_bytes()), ["E04"]);
        assert_eq!(codes(b"nvcc fatal   : Unsupported gpu architecture 'compute_61'"), ["E53"]);
        assert_eq!(codes(b"nvcc fatal   : Unsupported gpu architecture 'compute_120'"), ["E52"]);
    }

    #[test]
    fn powershell_and_chinese_code_pages_are_read() {
        let text = "ImportError: DLL load failed while importing _C: 找不到指定的模块。\r\n";
        let utf16: Vec<u8> =
            [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        assert_eq!(codes(&utf16), ["E73"]);
        let gbk = b"'cuda126' \xb2\xbb\xca\xc7\xc4\xda\xb2\xbf\xbb\xf2\xcd\xe2\xb2\xbf\xc3\xfc\xc1\xee\r\n";
        assert_eq!(codes(gbk), ["E93"]);
    }

    #[test]
    fn what_nobody_knows_is_quoted() {
        let report =
            scan(b"ok\nmy.cu(7): error: no such thing\nerror: identifier \"FLT_MAX\" is undefined\n");
        assert_eq!(report.unexplained, Some((2, "my.cu(7): error: no such thing".to_owned())));
        assert_eq!(scan(b"\x1b[31mall good\x1b[0m\n"), Report { lines: 1, ..Report::default() });
        assert_eq!(scan(b""), Report::default());
    }

    #[test]
    fn the_tools_own_errors_are_quoted_once_each_whether_explained_or_not() {
        let mut log = "k.cu(7): error: identifier \"FLT_MAX\" is undefined\n".repeat(3);
        for i in 0..9 {
            log +=
                &format!("my.cu({i}): error: no such thing\nerror: command 'nvcc' failed with exit code 2\n");
        }
        let errors = scan(log.as_bytes()).errors;
        assert_eq!(errors.len(), ERRORS);
        assert!(errors[0].contains("FLT_MAX") && errors[4] == "my.cu(3): error: no such thing", "{errors:?}");
    }

    /// What is done for a log grows with its length and not faster, however often a text stands in a line: each look at
    /// 8 kB tries a pattern once, and a line without end gets one look for every few kilobytes.
    #[test]
    fn a_line_of_megabytes_is_looked_at_in_pieces() {
        for size in [1_000_000, 4_000_000] {
            let mut log = vec![b'x'; size];
            for i in (0..size - 100).step_by(97) {
                log[i..i + 7].copy_from_slice(b"LNK1181");
            }
            let scan = go_through(std::str::from_utf8(&log).unwrap());
            assert!((size / 8192..size / 2048).contains(&scan.looks), "{size}: {}", scan.looks);
        }
        let lines = "LNK1181 LNK1181 LNK1181\n".repeat(1000);
        assert_eq!(go_through(&lines).looks, 1000);
    }
}
