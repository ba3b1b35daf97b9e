//! The loop around the steps: reports, evaluations of the held-out views, checkpoints, and an end in good order. Emits
//! events, prints nothing.
//!
//! Numbers are read back, which waits for the device, about four times a second, and there a loss that is no number ends
//! the run.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use tch::{Kind, Tensor};

use crate::checkpoint::Checkpoint;
use crate::events::Sample;
use crate::machine::MemoryWatch;
use crate::metrics::{Evaluator, Scores, Truth};
use crate::{Error, Evaluation, Event, Outcome, Result, Trainer, loss};

/// Seconds between reports.
const REPORT_EVERY: f64 = 0.25;

/// When and where a run saves itself, and what stops it.
#[derive(Debug)]
pub struct RunOptions<'a> {
    /// The run ends after the step in which this becomes true.
    pub stop: &'a AtomicBool,
    /// The file to save to, and the steps between saves (0: only at an early end).
    pub checkpoint: Option<(PathBuf, u64)>,
}

impl Trainer {
    /// Trains until the last step, or until the end of the step in which `options.stop` becomes true. Evaluates
    /// the held-out views before the first step, as the settings say, and after the last.
    ///
    /// # Errors
    /// [`Error::Diverged`]; what the rasterizer or torch refuse; a checkpoint that cannot be written only warns.
    pub fn run(&mut self, options: &RunOptions<'_>, listen: &mut dyn FnMut(&Event)) -> Result<Outcome> {
        self.run_watched(options, 0, &mut |_, event| listen(event))
    }

    /// [`Trainer::run`] for a listener that looks at the scene too: it gets the trainer with every event, and there is
    /// an [`Event::Step`] at least every `every` steps (0: when it is time). What it takes to look counts as no training
    /// time, and looking changes nothing of the result.
    ///
    /// # Errors
    /// As [`Trainer::run`].
    pub fn run_watched(
        &mut self,
        options: &RunOptions<'_>,
        every: u64,
        listen: &mut dyn FnMut(&Self, &Event),
    ) -> Result<Outcome> {
        self.announce(listen);
        let begin = Instant::now();
        let mut outcome = std::mem::take(&mut self.before);
        let wall_before = outcome.wall_seconds;
        let mut saver = Saver::default();
        let memory = MemoryWatch::start(self.device.is_cuda());
        if outcome.steps == 0 {
            self.evaluate_into(&mut outcome, listen)?;
        }
        let mut reported = (Instant::now(), self.steps);
        let mut losses = Tensor::f_zeros([1], (Kind::Float, self.device))?;
        while self.steps < self.config.iterations {
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
                let gaussians = self.gaussians().len();
                listen(self, &Event::Densified { step: self.steps - 1, change, gaussians });
            }
            // Asked once a step: a stop that comes later, such as during an evaluation, must not go by unsaved.
            let stopping = options.stop.load(Ordering::Relaxed);
            let last = self.steps == self.config.iterations || stopping;
            let evaluate = last || self.config.evaluates_at(self.steps);
            let save = options
                .checkpoint
                .as_ref()
                .filter(|(_, every)| stopping || *every > 0 && self.steps.is_multiple_of(*every) && !last);
            let look = every > 0 && self.steps.is_multiple_of(every);
            if !evaluate && !look && save.is_none() && reported.0.elapsed().as_secs_f64() < REPORT_EVERY {
                continue;
            }
            let count = (self.steps - reported.1) as f64;
            let psnr = loss::psnr(&result.image, &result.target.color)?.f_double_value(&[])?;
            let mean = losses.f_double_value(&[0])? / count;
            // The device has caught up: only now does the clock tell what the steps took.
            let seconds = reported.0.elapsed().as_secs_f64();
            outcome.train_seconds += seconds;
            outcome.steps = self.steps;
            if !mean.is_finite() {
                return Err(Error::Diverged { step: self.steps, loss: mean });
            }
            outcome.loss = Some(mean);
            let gaussians = self.gaussians().len();
            outcome.sample(Sample {
                step: self.steps,
                loss: mean,
                psnr,
                gaussians,
                train_seconds: outcome.train_seconds,
            });
            let report = Event::Step {
                step: self.steps,
                iterations: self.config.iterations,
                loss: mean,
                psnr,
                gaussians,
                sh_degree: self.config.active_degree(self.steps),
                steps_per_second: count / seconds,
                memory_mib: memory.now(),
            };
            let _ = losses.f_zero_()?;
            drop(result);
            listen(self, &report);
            if evaluate && !stopping {
                self.evaluate_into(&mut outcome, listen)?;
            }
            if let Some((path, _)) = save {
                outcome.wall_seconds = wall_before + begin.elapsed().as_secs_f64();
                saver.save(self.checkpoint(outcome.clone())?, path, &mut |event| listen(self, event));
            }
            if stopping {
                // Saved first: who asks twice does not wait for this.
                self.evaluate_into(&mut outcome, listen)?;
                break;
            }
            reported = (Instant::now(), self.steps);
        }
        saver.wait(&mut |event| listen(self, event));
        outcome.stopped_early = self.steps < self.config.iterations;
        outcome.wall_seconds = wall_before + begin.elapsed().as_secs_f64();
        Ok(outcome)
    }

    /// Saves what there is where the device has no room for a further step: with other settings or on another machine the run
    /// goes on from there. Parameters are copied to the host, which takes no memory of the device.
    fn rescue(
        &self,
        error: &Error,
        options: &RunOptions<'_>,
        outcome: &Outcome,
        listen: &mut dyn FnMut(&Event),
    ) {
        let Some((path, _)) = options.checkpoint.as_ref().filter(|_| error.is_out_of_memory()) else {
            return;
        };
        let warn = |text: String| Event::Warning { text };
        let whole =
            self.is_whole().then(|| self.checkpoint(Outcome { steps: self.steps, ..outcome.clone() }));
        match whole.map(|checkpoint| checkpoint.and_then(|c| c.write(path))) {
            None => listen(&warn(
                "a refinement was under way and is lost; the checkpoint before it stands".into(),
            )),
            Some(Ok(())) => listen(&Event::Saved { path: path.clone() }),
            Some(Err(e)) => listen(&warn(format!("{e}; the checkpoint before it stands"))),
        }
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
            gaussians: self.gaussians().len(),
            width: first.width,
            height: first.height,
            device: format!("{:?}", self.device),
            step: self.steps,
        });
    }

    /// The held-out views one after the other: name, photograph and render, `[3,H,W]`.
    pub fn held_out(&self) -> impl Iterator<Item = Result<(&str, Truth, Tensor)>> {
        self.test.iter().map(|&i| {
            let target = self.views.target(i, &self.background)?;
            let mask = target.mask.map(|m| m.f_ge(0.5)?.f_squeeze_dim(0)).transpose()?;
            Ok((self.views.name(i), Truth { photo: target.color, mask }, self.render(i)?))
        })
    }

    /// Scores of the held-out views.
    ///
    /// # Errors
    /// What the rasterizer or torch refuse; [`Error::NotFinite`] if a render holds NaN.
    pub fn evaluate(&self) -> Result<Scores> {
        let _guard = tch::no_grad_guard();
        let evaluator = Evaluator::default();
        let mut scores = Scores::default();
        for view in self.held_out() {
            let (name, truth, image) = view?;
            match evaluator.compare(name, &image, &truth)? {
                Some(score) => scores.views.push(score),
                None => scores.skipped.push(name.into()),
            }
        }
        Ok(scores)
    }

    fn evaluate_into(&self, outcome: &mut Outcome, listen: &mut dyn FnMut(&Self, &Event)) -> Result<()> {
        let scores = self.evaluate()?;
        if let (0, Some(first)) = (self.steps, scores.skipped.first()) {
            let n = scores.skipped.len();
            let text =
                format!("the masks leave nothing of {n} held-out views to score; the first is {first}");
            listen(self, &Event::Warning { text });
        }
        let Some(mean) = scores.mean() else { return Ok(()) };
        let evaluation = Evaluation {
            step: self.steps,
            psnr: mean.psnr,
            ssim: mean.ssim,
            gaussians: self.gaussians().len(),
            train_seconds: outcome.train_seconds,
        };
        outcome.evaluations.push(evaluation);
        listen(self, &Event::Evaluated(evaluation));
        Ok(())
    }
}

/// Writes checkpoints while training goes on, one at a time.
#[derive(Default)]
struct Saver {
    running: Option<JoinHandle<Result<PathBuf>>>,
}

impl Drop for Saver {
    /// A run that ends in an error keeps the checkpoint that is on its way.
    fn drop(&mut self) {
        self.wait(&mut |_| {});
    }
}

impl Saver {
    fn save(&mut self, checkpoint: Checkpoint, path: &Path, listen: &mut dyn FnMut(&Event)) {
        self.wait(listen);
        let path = path.to_owned();
        self.running = Some(std::thread::spawn(move || checkpoint.write(&path).map(|()| path)));
    }

    /// A disk that is full ends no training: the last checkpoint is whole, and the disk may have room next time.
    fn wait(&mut self, listen: &mut dyn FnMut(&Event)) {
        match self.running.take().map(JoinHandle::join) {
            None => {}
            Some(Ok(Ok(path))) => listen(&Event::Saved { path }),
            Some(Ok(Err(e))) => {
                let text = format!("{e}; the checkpoint before it stands, and training goes on");
                listen(&Event::Warning { text });
            }
            Some(Err(_)) => {
                listen(&Event::Warning { text: "the thread that saves checkpoints ended".into() })
            }
        }
    }
}
