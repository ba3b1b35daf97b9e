//! Rendering the held-out views and scoring them, on request and during a run.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tch::{Device, Tensor};

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
            wait(self.backend.device());
            let begin = Instant::now();
            let image = self.render(i)?;
            self.as_stored(i, image, begin)
        })
    }

    /// View `i` with its render, which began at `begin`, after the response of its camera if that is learned.
    fn as_stored(&self, i: usize, mut image: Tensor, begin: Instant) -> Result<HeldOut<'_>> {
        if let Some(responses) = &self.responses {
            let _guard = tch::no_grad_guard();
            image = responses.apply(i, &image)?;
        }
        wait(self.backend.device());
        let milliseconds = 1e3 * begin.elapsed().as_secs_f64();
        let target = self.views.target(i, &self.background)?;
        let mask = target.mask.map(|m| m.f_ge(0.5)?.f_squeeze_dim(0)).transpose()?;
        let truth = Truth { photo: target.color, mask };
        Ok(HeldOut { name: self.views.name(i), truth, image, milliseconds })
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
        if self.gaussians.shares.is_some() {
            // The ranks of a group render together, to the end.
            return self.evaluate_shared(&evaluator).map(Some);
        }
        let mut scores = Scores::default();
        for view in self.held_out() {
            if stop.load(Ordering::Relaxed) {
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

    /// The scores of the held-out views, each rendered and compared by one rank of the group, on every rank.
    fn evaluate_shared(&self, evaluator: &Evaluator) -> Result<Scores> {
        let (group, settings) = (self.group()?, self.looking());
        let mut own: Vec<f64> = Vec::new();
        for (round, views) in self.test.chunks(group.world()).enumerate() {
            wait(self.backend.device());
            let begin = Instant::now();
            let Some(image) = self.shared_renders(views, &settings)? else { continue };
            let score = self.as_stored(views[group.rank()], image, begin)?.score(evaluator)?;
            own.push((round * group.world() + group.rank()) as f64);
            own.extend(score.map_or([f64::NAN; 4], |s| [s.psnr, s.cc_psnr, s.ssim, s.milliseconds]));
        }
        let own =
            Tensor::f_from_slice(&own)?.f_view([own.len() as i64 / 5, 5])?.f_to_device(group.device())?;
        let all = Vec::<Vec<f64>>::try_from(&group.all_rows(&own)?.f_to_device(Device::Cpu)?)?;
        group.check()?;
        let mut scores = Scores::default();
        for (place, &i) in self.test.iter().enumerate() {
            let name = self.views.name(i).to_owned();
            let row = all.iter().find(|row| row[0] == place as f64);
            match row.map(Vec::as_slice) {
                Some(&[_, psnr, cc_psnr, ssim, milliseconds]) if !ssim.is_nan() => {
                    scores.views.push(ViewScore { name, psnr, cc_psnr, ssim, lpips: None, milliseconds });
                }
                _ => scores.skipped.push(name),
            }
        }
        Ok(scores)
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
