//! Shows events: a bar on a terminal, about twenty lines elsewhere, JSON lines on stdout when asked for.

use std::io::{IsTerminal, Write};

use indicatif::ProgressBar;
use splat_train::{Event, Outcome};

use super::common;

pub(crate) struct Progress {
    bar: ProgressBar,
    lines: bool,
    json: bool,
    quiet: bool,
    /// Steps between lines, and the step of the last one.
    every: u64,
    last: u64,
    /// Smoothed over reports: views differ in difficulty.
    loss: Option<f64>,
    psnr: Option<f64>,
}

impl Progress {
    pub(crate) fn new(quiet: bool, json: bool, iterations: u64) -> Self {
        Self {
            bar: common::bar(iterations, quiet),
            lines: !std::io::stderr().is_terminal() && !quiet,
            json,
            quiet,
            every: iterations.div_ceil(20),
            last: 0,
            loss: None,
            psnr: None,
        }
    }

    pub(crate) fn show(&mut self, event: &Event) {
        if self.json {
            // A reader that has gone away is no reason to lose the run.
            if let Ok(line) = serde_json::to_string(event) {
                let _ = writeln!(std::io::stdout(), "{line}");
            }
        }
        match event {
            Event::Placed { method, points, guessed, seconds } => self
                .say(&format!("{points} first points: {method}, {guessed} of them guesses ({seconds:.1} s)")),
            Event::Ready { train_views, test_views, gaussians, width, height, device, step } => {
                self.say(&format!(
                    "{train_views} photographs ({test_views} more held out), {width}x{height}, {gaussians} Gaussians on {device}"
                ));
                if *step > 0 {
                    self.say(&format!("continues after step {step}"));
                    self.last = *step;
                    self.bar.set_position(*step);
                    self.bar.reset_eta();
                }
            }
            Event::Step { step, iterations, loss, psnr, gaussians, steps_per_second, memory_mib, .. } => {
                let smooth = |old: Option<f64>, new: f64| Some(old.map_or(new, |o| 0.8 * o + 0.2 * new));
                self.loss = smooth(self.loss, *loss);
                self.psnr = smooth(self.psnr, *psnr);
                let (loss, psnr) = (self.loss.unwrap_or(*loss), self.psnr.unwrap_or(*psnr));
                let memory = memory_mib.map_or_else(String::new, |mib| format!("  {mib} MiB"));
                let message = format!(
                    "loss {loss:.4}  PSNR {psnr:.2}  {gaussians} Gaussians  {steps_per_second:.1} steps/s{memory}"
                );
                self.bar.set_position(*step);
                if self.lines && (*step >= self.last + self.every || step == iterations) {
                    self.last = *step;
                    anstream::eprintln!("{step}/{iterations}  {message}");
                }
                self.bar.set_message(message);
            }
            Event::Evaluated(e) => self.say(&format!(
                "held out, step {}: PSNR {:.2} dB, SSIM {:.4} ({:.1} s of training)",
                e.step, e.psnr, e.ssim, e.train_seconds
            )),
            Event::Warning { text } => self.bar.suspend(|| anstream::eprintln!("warning: {text}")),
            Event::Saved { path } => self.say(&format!("wrote {}", path.display())),
            // `Densified`, for one: the number of Gaussians is in every line.
            _ => {}
        }
    }

    pub(crate) fn finish(&self, outcome: &Outcome) {
        self.bar.finish_and_clear();
        let rate = outcome.steps as f64 / outcome.train_seconds.max(f64::MIN_POSITIVE);
        let early = if outcome.stopped_early { ", stopped early" } else { "" };
        self.say(&format!(
            "{} steps in {:.1} s ({rate:.1} a second){early}",
            outcome.steps, outcome.train_seconds
        ));
    }

    fn say(&self, text: &str) {
        if !self.quiet {
            self.bar.suspend(|| anstream::eprintln!("{text}"));
        }
    }
}
