//! A line of progress that fits the terminal, with an honest estimate of the time that is left.
//!
//! The estimate comes from how fast the work went lately; what was done before the first report, such as loading, is not in
//! it. On a terminal only, and on stderr.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::events::EventArgs;
use super::say;

/// Columns that stay free: the terminal writes `^C` behind the line, which must not wrap it.
const FREE: usize = 4;
/// Columns of the drawn bar; a narrow terminal does without.
const DRAWN: usize = 20;
/// Seconds after which what was measured counts for a third.
const MEMORY: f64 = 20.0;
/// Seconds to measure before an estimate is shown.
const FIRST: f64 = 1.0;

/// Progress of one piece of work at a time.
pub(crate) struct Bar {
    line: ProgressBar,
    of: u64,
    pace: Pace,
    began: Instant,
    /// Who else hears of it, and under which name.
    told: (EventArgs, &'static str),
}

impl Bar {
    /// For `of` pieces; shows nothing if `quiet`.
    pub(crate) fn new(of: u64, quiet: bool) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let style = ProgressStyle::with_template("{msg}").expect("the template is valid");
        let line = ProgressBar::with_draw_target(None, target).with_style(style);
        Self { line, of, pace: Pace::default(), began: Instant::now(), told: Default::default() }
    }

    /// The same progress as events, if they are wanted.
    pub(crate) fn telling(self, events: EventArgs, stage: &'static str) -> Self {
        Self { told: (events, stage), ..self }
    }

    /// `done` of the pieces are done; `parts` follow as far as they fit, the most important first.
    pub(crate) fn show(&mut self, done: u64, parts: &[&str]) {
        self.pace.hear(done, self.began.elapsed().as_secs_f64());
        let (events, stage) = self.told;
        events.progress(stage, done, self.of, self.pace.left(self.of));
        let width = console::Term::stderr().size_checked().map_or(80, |(_, columns)| usize::from(columns));
        self.line.set_message(composed(width, done, self.of, self.left(), parts));
    }

    /// The work rested for so long, which is not counted as its pace.
    pub(crate) fn rested(&mut self, time: Duration) {
        self.began += time;
    }

    /// The time left, in words, once enough was measured.
    pub(crate) fn left(&self) -> Option<String> {
        self.pace.left(self.of).map(|seconds| format!("{} left", duration(seconds)))
    }

    /// There are `of` pieces.
    pub(crate) fn of(&mut self, of: u64) {
        self.of = of;
    }

    /// A line above the bar.
    pub(crate) fn note(&self, text: &str) {
        self.line.suspend(|| say::note(text));
    }

    /// Removes the line.
    pub(crate) fn clear(&self) {
        self.line.finish_and_clear();
    }
}

/// Steps per second lately: old measurements fade.
#[derive(Debug, Default)]
pub(super) struct Pace {
    first: Option<f64>,
    last: Option<(u64, f64)>,
    steps: f64,
    seconds: f64,
}

impl Pace {
    pub(super) fn hear(&mut self, done: u64, now: f64) {
        if let Some((before, then)) = self.last {
            let took = now - then;
            let fade = (-took / MEMORY).exp();
            self.steps = self.steps * fade + done.saturating_sub(before) as f64;
            self.seconds = self.seconds * fade + took;
        }
        self.first.get_or_insert(now);
        self.last = Some((done, now));
    }

    /// Seconds until `of` steps are done, once enough was measured.
    pub(super) fn left(&self, of: u64) -> Option<f64> {
        let (done, now) = self.last?;
        let measured = now - self.first? >= FIRST && self.steps > 0.0;
        measured.then(|| of.saturating_sub(done) as f64 * self.seconds / self.steps)
    }
}

fn composed(width: usize, done: u64, of: u64, left: Option<String>, parts: &[&str]) -> String {
    let room = width.saturating_sub(FREE);
    let mut text = String::new();
    if room >= 3 * DRAWN {
        let filled = (DRAWN as u64 * done.min(of)).checked_div(of).unwrap_or(0) as usize;
        text = format!("[{}{}] ", "=".repeat(filled), " ".repeat(DRAWN - filled));
    }
    text += &format!("{done}/{of}");
    for part in left.as_deref().iter().chain(parts) {
        let longer = format!("{text}  {}", say::shown(part));
        if console::measure_text_width(&longer) > room {
            break;
        }
        text = longer;
    }
    console::truncate_str(&text, room, "").into_owned()
}

/// `20s`, `3m 05s`, `2h 10m`.
fn duration(seconds: f64) -> String {
    let s = seconds.ceil().clamp(0.0, 1e9) as u64;
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m {:02}s", s / 60, s % 60),
        _ => format!("{}h {:02}m", s / 3600, s % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_holds_the_line_and_what_the_terminal_adds() {
        let parts = ["loss 0.0123", "PSNR 27.31", "1,234,567 Gaussians", "101.5 steps/s", "\u{1b}[2J 相机"];
        for width in 0..200 {
            let text = composed(width, 29_999, 30_000, Some("1h 07m left".into()), &parts);
            assert!(console::measure_text_width(&text) <= width.saturating_sub(FREE), "{width}: {text}");
            assert!(!text.contains('\u{1b}'), "{text}");
        }
        assert_eq!(composed(30, 5, 9, Some("1m 01s left".into()), &parts), "5/9  1m 01s left");
        let wide = composed(120, 5, 10, None, &parts[..2]);
        assert_eq!(wide, "[==========          ] 5/10  loss 0.0123  PSNR 27.31");
    }

    /// Loading before the first report does not count, and a slower phase shows soon.
    #[test]
    fn the_time_left_is_that_of_the_work() {
        let mut pace = Pace::default();
        pace.hear(0, 300.0);
        assert_eq!(pace.left(1000), None);
        for i in 1..=10 {
            pace.hear(10 * i, 300.0 + i as f64);
        }
        let left = pace.left(1000).unwrap();
        assert!((left - 90.0).abs() < 1e-6, "{left}");
        for i in 1..=120 {
            pace.hear(100 + i, 310.0 + i as f64);
        }
        let left = pace.left(1000).unwrap();
        assert!((left - 780.0).abs() < 0.03 * 780.0, "one step a second by now: {left}");
        assert_eq!(
            [0.2, 59.0, 60.0, 185.0, 7800.0].map(duration),
            ["1s", "59s", "1m 00s", "3m 05s", "2h 10m"]
        );
    }
}
