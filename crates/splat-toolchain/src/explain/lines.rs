//! Lines of a log: their numbers, what is looked at of them, and what is quoted.

/// How far around a find a line is looked at, so that a log without line ends stays cheap.
const REACH: usize = 4096;
/// How many characters are quoted of a line.
pub(super) const QUOTED: usize = 300;

/// Numbers lines while going through the log once.
#[derive(Default)]
pub(super) struct Lines {
    at: usize,
    ends: usize,
}

impl Lines {
    /// The line, from 1, of a place not before the last one asked for by more than a match.
    pub(super) fn at(&mut self, log: &[u8], place: usize) -> usize {
        if place >= self.at {
            self.ends += memchr::memchr_iter(b'\n', &log[self.at..place]).count();
        } else {
            self.ends -= memchr::memchr_iter(b'\n', &log[place..self.at]).count();
        }
        self.at = place;
        self.ends + 1
    }
}

/// The line around a place, at most [`REACH`] to either side.
pub(super) fn reach(log: &str, place: usize) -> std::ops::Range<usize> {
    let from = log.floor_char_boundary(place.saturating_sub(REACH));
    let to = log.floor_char_boundary(place + REACH);
    let start = memchr::memrchr(b'\n', &log.as_bytes()[from..place]).map_or(from, |i| from + i + 1);
    let end = memchr::memchr(b'\n', &log.as_bytes()[place..to]).map_or(to, |i| place + i);
    start..end
}

/// The line around a place without control characters, shortened.
pub(super) fn quote(log: &str, place: usize) -> String {
    let line = log[reach(log, place)].trim();
    let mut quoted: String = line.chars().filter(|c| !c.is_control()).take(QUOTED + 1).collect();
    if let Some((cut, _)) = quoted.char_indices().nth(QUOTED) {
        quoted.truncate(cut);
        quoted += "...";
    }
    quoted
}
