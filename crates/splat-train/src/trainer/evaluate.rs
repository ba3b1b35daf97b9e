//! Rendering the held-out views and scoring them, on request and during a run.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tch::Tensor;

use super::Trainer;
use crate::metrics::{Evaluator, Scores, Truth, ViewScore, wait};
use crate::{Evaluation, Event, Outcome, Result};

/// A held-out view, rendered.
#[derive(Debug)]
pub struct HeldOut<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its photograph and mask.
    pub truth: Truth,
    /// The render, `[3,H,W]`, as its camera stores light if that is learned; not clamped.
    pub image: Tensor,
    /// Time of the render in milliseconds, including the wait for the device.
    pub milliseconds: f64,
}

impl HeldOut<'_> {
    /// How close the render is to the photograph; `None` if the mask leaves no pixel.
    ///
    /// # Errors
    /// As [`Evaluator::compare`].
    pub fn score(&self, evaluator: &Evaluator) -> Result<Option<ViewScore>> {
        let score = evaluator.compare(self.name, &self.image, &self.truth)?;
        Ok(score.map(|score| ViewScore { milliseconds: self.milliseconds, ..score }))
    }
}

impl Trainer {
    /// The held-out views one after another, each rendered; waits for the device. All ranks of a group must take all of them.
    pub fn held_out(&self) -> impl Iterator<Item = Result<HeldOut<'_>>> {
        self.test.iter().map(|&i| {
            let target = self.views.target(i, &self.background)?;
            let mask = target.mask.map(|m| m.f_ge(0.5)?.f_squeeze_dim(0)).transpose()?;
            wait(self.backend.device());
            let begin = Instant::now();
            let mut image = self.render(i)?;
            if let Some(responses) = &self.responses {
                let _guard = tch::no_grad_guard();
                image = responses.apply(i, &image)?;
            }
            wait(self.backend.device());
            let milliseconds = 1e3 * begin.elapsed().as_secs_f64();
            let truth = Truth { photo: target.color, mask };
            Ok(HeldOut { name: self.views.name(i), truth, image, milliseconds })
        })
    }

    /// The scores of the held-out views; waits for the device.
    ///
    /// # Errors
    /// [`Error::NotFinite`](crate::Error::NotFinite) if a render contains NaN; what the rasterizer reports, for example out of device memory.
    pub fn evaluate(&self) -> Result<Scores> {
        static NEVER: AtomicBool = AtomicBool::new(false);
        Ok(self.evaluate_until(&NEVER)?.unwrap_or_default())
    }

    /// The scores of the held-out views; `None` if `stop` became true before all were rendered.
    fn evaluate_until(&self, stop: &AtomicBool) -> Result<Option<Scores>> {
        let _guard = tch::no_grad_guard();
        let evaluator = Evaluator::default();
        let mut scores = Scores::default();
        for view in self.held_out() {
            // The ranks of a group render together, to the end.
            if stop.load(Ordering::Relaxed) && self.gaussians.shares.is_none() {
                return Ok(None);
            }
            let view = view?;
            match view.score(&evaluator)? {
                Some(score) => scores.views.push(score),
                None => scores.skipped.push(view.name.into()),
            }
        }
        Ok(Some(scores))
    }

    /// Adds the scores of the held-out views to `outcome`, unless `stop` becomes true meanwhile.
    pub(super) fn evaluate_into(
        &self,
        outcome: &mut Outcome,
        stop: &AtomicBool,
        listen: &mut dyn FnMut(&Self, &Event),
    ) -> Result<()> {
        let Some(scores) = self.evaluate_until(stop)? else { return Ok(()) };
        if let (0, Some(first)) = (self.steps, scores.skipped.first()) {
            let n = scores.skipped.len();
            let text = format!("the masks leave no pixel of {n} held-out views to score, among them {first}");
            listen(self, &Event::Warning { text });
        }
        let Some(mean) = scores.mean() else { return Ok(()) };
        let evaluation = Evaluation {
            step: self.steps,
            psnr: mean.psnr,
            ssim: mean.ssim,
            gaussians: self.gaussians().total(),
            train_seconds: outcome.train_seconds,
        };
        outcome.evaluations.push(evaluation);
        listen(self, &Event::Evaluated(evaluation));
        Ok(())
    }
}
