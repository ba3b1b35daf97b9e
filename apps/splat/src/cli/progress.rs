//! Shows events: a line of progress on a terminal, about twenty lines elsewhere, JSON lines on stdout when asked for.

use std::io::IsTerminal;
use std::time::Duration;

use splat_train::{Event, Method, Outcome};

use super::bar::Bar;
use super::events;
use super::say::{self, grouped};

pub(crate) struct Progress {
    bar: Bar,
    lines: bool,
    json: bool,
    quiet: bool,
    iterations: u64,
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
            bar: Bar::new(iterations, quiet),
            lines: !std::io::stderr().is_terminal() && !quiet,
            json,
            quiet,
            iterations,
            every: iterations.div_ceil(20),
            last: 0,
            loss: None,
            psnr: None,
        }
    }

    pub(crate) fn show(&mut self, event: &Event) {
        if self.json {
            events::tell(event);
        }
        match event {
            Event::Placed { method, points, guessed, seconds } => {
                self.say(&placed(method, *points, *guessed, *seconds));
            }
            Event::Ready { train_views, test_views, gaussians, width, height, device, step } => {
                self.say(&format!(
                    "Training on {train_views} photos ({test_views} held out) at {width}x{height}, on the {}, with {} \
                     Gaussians",
                    spoken(device),
                    grouped(gaussians)
                ));
                if *step > 0 {
                    let done = if *step >= self.iterations { "; all its steps are done" } else { "" };
                    self.say(&format!("Resuming after step {step}{done}"));
                    self.last = *step;
                }
            }
            Event::Step { step, iterations, loss, psnr, gaussians, steps_per_second, memory_mib, .. } => {
                let smooth = |old: Option<f64>, new: f64| Some(old.map_or(new, |o| 0.8 * o + 0.2 * new));
                self.loss = smooth(self.loss, *loss);
                self.psnr = smooth(self.psnr, *psnr);
                let (loss, psnr) = (self.loss.unwrap_or(*loss), self.psnr.unwrap_or(*psnr));
                let mut parts = vec![
                    format!("loss {loss:.4}"),
                    format!("PSNR {psnr:.2}"),
                    format!("{} Gaussians", grouped(gaussians)),
                    format!("{steps_per_second:.1} steps/s"),
                ];
                parts.extend(memory_mib.map(|mib| format!("{} MiB", grouped(mib))));
                let shown: Vec<&str> = parts.iter().map(String::as_str).collect();
                self.bar.show(*step, &shown);
                if self.lines && (*step >= self.last + self.every || step == iterations) {
                    self.last = *step;
                    parts.extend(self.bar.left().filter(|_| step < iterations));
                    say::note(&format!("{step}/{iterations}  {}", parts.join("  ")));
                }
            }
            Event::Evaluated(e) => self.say(&format!(
                "Step {}, held-out photos: PSNR {:.2} dB, SSIM {:.4}, after {:.1} s of training",
                e.step, e.psnr, e.ssim, e.train_seconds
            )),
            Event::Warning { text } => self.bar.note(&format!("warning: {text}")),
            Event::Saved { path } => self.say(&format!("wrote {}", path.display())),
            // `Densified`, for one: the number of Gaussians is in every line.
            _ => {}
        }
    }

    /// The training was paused for so long.
    pub(crate) fn rested(&mut self, time: Duration) {
        self.bar.rested(time);
    }

    pub(crate) fn finish(&self, outcome: &Outcome) {
        self.bar.clear();
        let rate = outcome.steps as f64 / outcome.train_seconds.max(f64::MIN_POSITIVE);
        let done = if outcome.stopped_early {
            format!("Stopped after {} of {} steps,", outcome.steps, self.iterations)
        } else {
            format!("Finished {} steps", outcome.steps)
        };
        self.say(&format!("{done} in {:.1} s ({rate:.1} steps/s)", outcome.train_seconds));
        if outcome.stopped_early {
            self.say("to continue, run the same command with --resume");
        }
    }

    fn say(&self, text: &str) {
        if !self.quiet {
            self.bar.note(text);
        }
    }
}

fn placed(method: &str, points: usize, guessed: usize, seconds: f64) -> String {
    let points = grouped(points);
    if method == Method::Points.to_string() {
        return format!("Starting from the dataset's {points} points");
    }
    let guessed = match guessed {
        0 => String::new(),
        n => format!("; {} are uncertain", grouped(n)),
    };
    format!("Placed {points} starting points ({method}){guessed}; it took {seconds:.1} s")
}

/// `CPU` of `Cpu`, `GPU` of `Cuda(0)`, `GPU 1` of `Cuda(1)`.
pub(super) fn spoken(device: &str) -> String {
    match device.strip_prefix("Cuda(").and_then(|rest| rest.strip_suffix(')')) {
        Some("0") => "GPU".into(),
        Some(n) => format!("GPU {n}"),
        None => device.to_uppercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_and_devices_are_said_in_words() {
        assert_eq!(
            placed("the dataset's points", 25_784, 0, 0.0),
            "Starting from the dataset's 25,784 points"
        );
        assert_eq!(
            placed("plane sweep", 99_866, 20_945, 33.14),
            "Placed 99,866 starting points (plane sweep); 20,945 are uncertain; it took 33.1 s"
        );
        assert_eq!(["Cpu", "Cuda(0)", "Cuda(3)"].map(spoken), ["CPU", "GPU", "GPU 3"]);
    }
}
