//! Reads the log of a build that somebody else ran and names every known failure and harmless warning in it.
//! Bytes in any encoding, of any size; one pass. It knows the log alone: what the machine has is the probe's to say.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use serde::Serialize;

use crate::catalogue::{self, Entry, Pattern, Weight};

/// What stands around a find is looked at this far, so that a log without line ends stays cheap.
const REACH: usize = 4096;
/// What is quoted of a line.
const QUOTED: usize = 300;
/// Error lines that are remembered while it is not yet known whether an entry explains them.
const KEPT: usize = 1000;

/// A failure that the log shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hit {
    pub code: &'static str,
    pub weight: Weight,
    /// Of the first occurrence, from 1.
    pub line: usize,
    /// That line, shortened.
    pub text: String,
    /// Lines that show it.
    pub count: usize,
}

impl Hit {
    pub fn entry(&self) -> Option<&'static Entry> {
        catalogue::of(self.code)
    }
}

/// What was found, the most important first: what ends a build before what spoils it later, earlier lines before later
/// ones (one failure causes the next), harmless messages last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub lines: usize,
    pub hits: Vec<Hit>,
    /// The first line that reads like an error and that no entry explains: number and text.
    pub unexplained: Option<(usize, String)>,
}

impl Report {
    /// What to mend first; `None` if everything found is harmless.
    pub fn first(&self) -> Option<&Hit> {
        self.hits.first().filter(|hit| hit.weight > Weight::Harmless)
    }
}

/// Texts that mark an error of any kind.
const ERRORS: &[&str] = &["error:", "Error:", "fatal error", "nvcc fatal", "LNK1", "error C", "error LNK"];

enum Anchor {
    Pattern(&'static Entry, &'static Pattern),
    Condition(&'static str),
    Error,
}

struct Machinery {
    search: AhoCorasick,
    /// What each searched text stands for.
    anchors: Vec<Vec<Anchor>>,
}

static MACHINERY: LazyLock<Machinery> = LazyLock::new(|| {
    let mut texts: Vec<&'static str> = Vec::new();
    let mut anchors: Vec<Vec<Anchor>> = Vec::new();
    let mut add = |text: &'static str, anchor: Anchor| match texts.iter().position(|known| *known == text) {
        Some(i) => anchors[i].push(anchor),
        None => {
            texts.push(text);
            anchors.push(vec![anchor]);
        }
    };
    for entry in catalogue::all() {
        for pattern in entry.patterns {
            // The longest text is the rarest.
            let text = pattern.all.iter().copied().max_by_key(|text| text.len()).unwrap_or_default();
            add(text, Anchor::Pattern(entry, pattern));
            for text in pattern.log_has {
                add(text, Anchor::Condition(text));
            }
        }
    }
    for text in ERRORS {
        add(text, Anchor::Error);
    }
    #[expect(clippy::expect_used, reason = "the texts are constants; a test builds it")]
    let search = AhoCorasick::builder()
        .kind(Some(AhoCorasickKind::DFA))
        .build(&texts)
        .expect("constant texts make an automaton");
    Machinery { search, anchors }
});

/// Looks through a log.
pub fn scan(log: &[u8]) -> Report {
    let decoded = decode(log);
    let log = decoded.as_deref().unwrap_or(log);
    let mut finds: Vec<(&'static Entry, &'static Pattern, usize, usize)> = Vec::new();
    let mut known: BTreeMap<(usize, &'static str), usize> = BTreeMap::new();
    let mut present: BTreeSet<&'static str> = BTreeSet::new();
    let mut errors: Vec<(usize, usize)> = Vec::new();
    let mut counter = Lines::default();
    let mut span = Span::default();
    for found in MACHINERY.search.find_overlapping_iter(log) {
        let number = counter.at(log, found.start());
        span.cover(log, found.start(), number);
        for anchor in &MACHINERY.anchors[found.pattern().as_usize()] {
            match anchor {
                Anchor::Condition(text) => {
                    present.insert(text);
                }
                Anchor::Error
                    if errors.len() < KEPT && errors.last().is_none_or(|(last, _)| *last != number) =>
                {
                    errors.push((number, found.start()));
                }
                Anchor::Error => {}
                Anchor::Pattern(entry, pattern) => {
                    if pattern.matches(span.text(log)) {
                        // Thousands of equal warnings need not each be kept.
                        let times =
                            known.entry((std::ptr::from_ref(*pattern).addr(), entry.code)).or_default();
                        *times += 1;
                        if *times <= KEPT
                            || finds.last().is_some_and(|find| find.2 != number) && *times <= 10 * KEPT
                        {
                            finds.push((entry, pattern, number, found.start()));
                        }
                    }
                }
            }
        }
    }
    let holds = |pattern: &Pattern| {
        pattern.log_has.is_empty() || pattern.log_has.iter().any(|text| present.contains(text))
    };
    finds.retain(|(_, pattern, ..)| holds(pattern));
    let explained: BTreeSet<usize> = finds.iter().map(|(_, _, number, _)| *number).collect();
    let unexplained = errors.iter().find(|(number, _)| !explained.contains(number));
    Report {
        lines: counter.at(log, log.len()) - usize::from(log.ends_with(b"\n") || log.is_empty()),
        hits: hits(log, &finds),
        unexplained: unexplained.map(|(number, at)| (*number, quote(log, *at))),
    }
}

fn hits(log: &[u8], finds: &[(&'static Entry, &'static Pattern, usize, usize)]) -> Vec<Hit> {
    let mut by_code: BTreeMap<&'static str, (Hit, BTreeSet<usize>)> = BTreeMap::new();
    for (entry, _, number, at) in finds {
        let new = || {
            let text = quote(log, *at);
            (Hit { code: entry.code, weight: entry.weight, line: *number, text, count: 0 }, BTreeSet::new())
        };
        let (hit, lines) = by_code.entry(entry.code).or_insert_with(new);
        if *number < hit.line {
            (hit.line, hit.text) = (*number, quote(log, *at));
        }
        lines.insert(*number);
    }
    let superseded: BTreeSet<&str> = by_code
        .keys()
        .filter_map(|code| catalogue::of(code))
        .flat_map(|entry| entry.supersedes.iter().copied())
        .collect();
    let mut hits: Vec<Hit> = by_code
        .into_values()
        .map(|(hit, lines)| Hit { count: lines.len(), ..hit })
        .filter(|hit| !superseded.contains(hit.code))
        .collect();
    hits.sort_by_key(|hit| (std::cmp::Reverse(hit.weight), hit.line));
    hits
}

/// Numbers lines while going through the log once.
#[derive(Default)]
struct Lines {
    at: usize,
    ends: usize,
}

impl Lines {
    /// The line, from 1, of a place not before the last one asked for by more than a match.
    fn at(&mut self, log: &[u8], place: usize) -> usize {
        if place >= self.at {
            self.ends += memchr::memchr_iter(b'\n', &log[self.at..place]).count();
        } else {
            self.ends -= memchr::memchr_iter(b'\n', &log[place..self.at]).count();
        }
        self.at = place;
        self.ends + 1
    }
}

/// The line around the last find, as text; read anew only when the line or its reach changes.
#[derive(Default)]
struct Span {
    number: usize,
    range: (usize, usize),
    lossy: Option<String>,
}

impl Span {
    fn cover(&mut self, log: &[u8], place: usize, number: usize) {
        let near =
            self.range.0 <= place && place + QUOTED < self.range.1 || self.range.1 < self.range.0 + REACH;
        if self.number == number && near {
            return;
        }
        self.number = number;
        self.range = reach(log, place);
        let bytes = &log[self.range.0..self.range.1];
        self.lossy = std::str::from_utf8(bytes).is_err().then(|| String::from_utf8_lossy(bytes).into_owned());
    }

    fn text<'a>(&'a self, log: &'a [u8]) -> &'a str {
        match &self.lossy {
            Some(text) => text,
            None => std::str::from_utf8(&log[self.range.0..self.range.1]).unwrap_or_default(),
        }
    }
}

/// The line around a place, at most [`REACH`] to either side.
fn reach(log: &[u8], place: usize) -> (usize, usize) {
    let from = place.saturating_sub(REACH);
    let to = (place + REACH).min(log.len());
    let start = memchr::memrchr(b'\n', &log[from..place]).map_or(from, |i| from + i + 1);
    let end = memchr::memchr(b'\n', &log[place..to]).map_or(to, |i| place + i);
    (start, end)
}

/// The line around a place as text without terminal colours, shortened.
fn quote(log: &[u8], place: usize) -> String {
    let (start, end) = reach(log, place);
    let text = String::from_utf8_lossy(&log[start..end]);
    let mut plain = String::new();
    let mut escape = false;
    for c in text.trim().chars() {
        match c {
            '\u{1b}' => escape = true,
            _ if escape => escape = !c.is_ascii_alphabetic(),
            c if c.is_control() => {}
            c => plain.push(c),
        }
    }
    match plain.char_indices().nth(QUOTED) {
        Some((cut, _)) => format!("{}...", &plain[..cut]),
        None => plain,
    }
}

/// What Windows says in Chinese, in the code page it says it in (936), and as the patterns have it.
const GBK: &[(&[u8], &str)] = &[
    (b"\xd5\xd2\xb2\xbb\xb5\xbd\xd6\xb8\xb6\xa8\xb5\xc4\xc4\xa3\xbf\xe9", "找不到指定的模块"),
    (b"\xd5\xd2\xb2\xbb\xb5\xbd\xd6\xb8\xb6\xa8\xb5\xc4\xb3\xcc\xd0\xf2", "找不到指定的程序"),
    (b"\xb2\xbb\xca\xc7\xc4\xda\xb2\xbf\xbb\xf2\xcd\xe2\xb2\xbf\xc3\xfc\xc1\xee", "不是内部或外部命令"),
];

/// UTF-8, if the log is something else: UTF-16 (PowerShell's `>`), or code page 936 where it holds a known phrase.
fn decode(log: &[u8]) -> Option<Vec<u8>> {
    let sample = &log[..log.len().min(2048)];
    let zeros = |offset: usize| sample.iter().skip(offset).step_by(2).filter(|byte| **byte == 0).count();
    let half = sample.len() / 2;
    let little = log.starts_with(b"\xff\xfe") || (half > 8 && zeros(1) * 2 > half);
    let big = log.starts_with(b"\xfe\xff") || (half > 8 && zeros(0) * 2 > half);
    if little || big {
        let units = log.chunks_exact(2).map(|pair| {
            let pair = [pair[0], pair[1]];
            if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) }
        });
        let text: String = char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')).collect();
        return Some(text.into_bytes());
    }
    let phrases = GBK.iter().filter(|(bytes, _)| memchr::memmem::find(log, bytes).is_some());
    phrases.fold(None, |changed: Option<Vec<u8>>, (bytes, text)| {
        let log = changed.as_deref().unwrap_or(log);
        let mut new = Vec::with_capacity(log.len() + 64);
        let mut from = 0;
        for at in memchr::memmem::find_iter(log, bytes) {
            new.extend_from_slice(&log[from..at]);
            new.extend_from_slice(text.as_bytes());
            from = at + bytes.len();
        }
        new.extend_from_slice(&log[from..]);
        Some(new)
    })
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
    fn a_line_of_megabytes_is_no_line() {
        let mut log = vec![b'x'; 3_000_000];
        for i in (0..log.len() - 100).step_by(997) {
            log[i..i + 7].copy_from_slice(b"#177-D ");
        }
        let start = std::time::Instant::now();
        let _ = scan(&log);
        assert!(start.elapsed().as_secs() < 5);
    }
}
