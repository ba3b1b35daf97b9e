//! The loop around the steps: reports, evaluations (`evaluate.rs`), checkpoints (`saver.rs`), and an orderly end. It emits
//! events and prints nothing.
//!
//! About four times a second numbers are read back, which waits for the device. If the loss is NaN or infinite then, the run
//! ends.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tch::{Kind, Tensor};

use super::{StepResult, Trainer, saver::Saver};
use crate::{Error, Event, Outcome, Result, Sample, loss, memory_in_use_mib};

/// Seconds between reports.
const REPORT_EVERY: f64 = 0.25;

/// Where a run saves checkpoints, how often it reports, and what stops it.
#[derive(Debug, Clone)]
pub struct RunOptions<'a> {
    /// The run ends after the step in which this becomes true. By default it never does.
    pub stop: &'a AtomicBool,
    /// The file for checkpoints. By default there is none.
    pub checkpoint: Option<PathBuf>,
    /// Steps between checkpoints, by default 5000. 0: only at the end, after the last step, when the run is stopped or when it
    /// runs out of memory.
    pub checkpoint_every: u64,
    /// Stored unchanged in every checkpoint for the program that resumes the run, such as how the dataset was opened.
    pub note: serde_json::Value,
    /// An [`Event::Step`] follows at least every so many steps. By default 0: only about four times a second.
    pub report_every: u64,
}

impl Default for RunOptions<'_> {
    fn default() -> Self {
        static NEVER: AtomicBool = AtomicBool::new(false);
        Self {
            stop: &NEVER,
            checkpoint: None,
            checkpoint_every: 5000,
            note: serde_json::Value::Null,
            report_every: 0,
        }
    }
}

impl Trainer {
    /// Trains until the last step, or until the end of the step in which `options.stop` becomes true. Evaluates the held-out
    /// views before the first step, as the settings say, and after the last step.
    ///
    /// `listen` is called with every event and with the trainer, for example to look at the scene. Time spent in it is not
    /// counted as training time and does not affect the result.
    ///
    /// In a group every rank runs, and they write checkpoints side by side. If a rank fails, the others end with
    /// [`Error::Ranks`], which names it.
    ///
    /// # Errors
    /// [`Error::Diverged`]; what [`Trainer::step`] returns. A checkpoint that cannot be written is only a warning.
    pub fn run(
        &mut self,
        options: &RunOptions<'_>,
        mut listen: impl FnMut(&Self, &Event),
    ) -> Result<Outcome> {
        let ran = self.run_until(options, &mut listen);
        if let (Err(error), Some(shares)) = (&ran, &self.gaussians.shares) {
            // So that the others need not wait to find out. That this fails, too, adds nothing to the error.
            let _ = shares.group.leave(Some(&error.to_string()));
        }
        ran
    }

    fn run_until(
        &mut self,
        options: &RunOptions<'_>,
        listen: &mut dyn FnMut(&Self, &Event),
    ) -> Result<Outcome> {
        self.announce(listen);
        let begin = Instant::now();
        let mut outcome = std::mem::take(&mut self.before);
        let wall_before = outcome.wall_seconds;
        let mut saver = Saver::default();
        if outcome.steps == 0 {
            self.evaluate_into(&mut outcome, options.stop, listen)?;
        }
        let mut reported = (Instant::now(), self.steps);
        let mut losses = Tensor::f_zeros([1], (Kind::Float, self.backend.device()))?;
        while self.steps < self.config.iterations {
            self.asked_to_stop = options.stop.load(Ordering::Relaxed);
            let result = match self.step() {
                Ok(result) => result,
                Err(error) => {
                    saver.wait(&mut |event| listen(self, event));
                    self.rescue(&error, options, &outcome, &mut |event| listen(self, event));
                    return Err(error);
                }
            };
            {
                let _guard = tch::no_grad_guard();
                let _ = losses.f_add_(&result.loss)?;
            }
            if let Some(change) = result.change {
                let gaussians = self.gaussians().total();
                listen(self, &Event::Densified { step: self.steps - 1, change, gaussians });
            }
            // Read once per step: a stop that comes later, for example during an evaluation, must not go by unsaved.
            // The ranks of a group stop together, after the step in which they told each other.
            let alone = self.gaussians.shares.is_none();
            let stopping = if alone { options.stop.load(Ordering::Relaxed) } else { self.stop_agreed };
            let last = self.steps == self.config.iterations || stopping;
            let evaluate = last || self.config.evaluates_at(self.steps);
            let due = |every: u64| every > 0 && self.steps.is_multiple_of(every);
            let save = options.checkpoint.as_ref().filter(|_| last || due(options.checkpoint_every));
            if !evaluate
                && !due(options.report_every)
                && save.is_none()
                && reported.0.elapsed().as_secs_f64() < REPORT_EVERY
            {
                continue;
            }
            let count = (self.steps - reported.1) as f64;
            let mean = losses.f_double_value(&[0])? / count;
            let report = self.report(result, mean, (count, reported.0), &mut outcome)?;
            let _ = losses.f_zero_()?;
            listen(self, &report);
            if evaluate && !stopping {
                self.evaluate_into(&mut outcome, options.stop, listen)?;
            }
            if let Some(path) = save {
                outcome.wall_seconds = wall_before + begin.elapsed().as_secs_f64();
                let checkpoint = self.noted(outcome.clone(), options)?;
                // It waits until the previous checkpoint is written, for which the other ranks of a group may have to wait.
                self.at_length(|| saver.save(checkpoint, path, &mut |event| listen(self, event)));
            }
            if stopping {
                // The state is saved already, so a second request to stop need not wait for this evaluation.
                self.evaluate_into(&mut outcome, &AtomicBool::new(false), listen)?;
                break;
            }
            reported = (Instant::now(), self.steps);
        }
        self.at_length(|| saver.wait(&mut |event| listen(self, event)));
        outcome.stopped_early = self.steps < self.config.iterations;
        outcome.wall_seconds = wall_before + begin.elapsed().as_secs_f64();
        Ok(outcome)
    }

    /// Does what may take long on this rank alone.
    fn at_length<T>(&self, work: impl FnOnce() -> T) -> T {
        match &self.gaussians.shares {
            Some(shares) => shares.group.busy(work),
            None => work(),
        }
    }

    /// The numbers of a report, also added to `outcome`. `mean` is the loss over the `count` steps since the instant `since`.
    fn report(
        &self,
        last: StepResult,
        mean: f64,
        (count, since): (f64, Instant),
        outcome: &mut Outcome,
    ) -> Result<Event> {
        let psnr = loss::psnr(&last.image, &last.target.color)?.f_double_value(&[])?;
        // The device has caught up, so only now does the clock show how long the steps took.
        let seconds = since.elapsed().as_secs_f64();
        outcome.train_seconds += seconds;
        outcome.steps = self.steps;
        if !mean.is_finite() {
            return Err(Error::Diverged { step: self.steps, loss: mean });
        }
        outcome.loss = Some(mean);
        let gaussians = self.gaussians().total();
        let train_seconds = outcome.train_seconds;
        outcome.sample(Sample { step: self.steps, loss: mean, psnr, gaussians, train_seconds });
        Ok(Event::Step {
            step: self.steps,
            iterations: self.config.iterations,
            loss: mean,
            psnr,
            gaussians,
            sh_degree: self.config.active_degree(self.steps),
            steps_per_second: count / seconds,
            memory_mib: memory_in_use_mib(&self.backend),
        })
    }

    fn announce(&self, listen: &mut dyn FnMut(&Self, &Event)) {
        let mut listen = |event: &Event| listen(self, event);
        if let Some(start) = &self.start {
            start.warnings.iter().for_each(|text| listen(&Event::Warning { text: text.clone() }));
            listen(&Event::Placed {
                method: start.method.to_string(),
                points: start.points.len(),
                guessed: start.guessed,
                seconds: start.took.as_secs_f64(),
            });
        }
        let first = self.views.camera(self.train.first().copied().unwrap_or(0)).core();
        listen(&Event::Ready {
            train_views: self.train.len(),
            test_views: self.test.len(),
            gaussians: self.gaussians().total(),
            width: first.width,
            height: first.height,
            device: format!("{:?}", self.backend.device()),
            step: self.steps,
        });
    }
}
