//! A user's own training on splat-train: a loss and a densification that it does not have.

use splat_tch::tch::{self, Kind, Tensor};
use splat_train::{Change, Comparison, Densify, Gaussians, Loss, Observation, Optimizer, Result, Rows, Wants};

/// Near zero like a square, farther away like an absolute value.
#[derive(Debug)]
pub struct Charbonnier;

impl Loss for Charbonnier {
    fn loss(&self, of: &Comparison<'_>) -> Result<Tensor> {
        Ok(((of.image - of.target).square() + 1e-6).sqrt().mean(Kind::Float))
    }
}

/// Every ten steps copies the quarter of the Gaussians that contributed most to the images since the last time.
#[derive(Debug, Default)]
pub struct CopyTheBusy {
    weights: Option<Tensor>,
}

impl Densify for CopyTheBusy {
    fn wants(&self, _step: u64) -> Wants {
        Wants::default().weights()
    }

    fn observe(&mut self, _step: u64, seen: &Observation<'_>) -> Result<()> {
        if let Some(sum) = seen.weight_sum {
            let before = self.weights.take().unwrap_or_else(|| sum.zeros_like());
            self.weights = Some(before + sum);
        }
        Ok(())
    }

    fn refine(&mut self, step: u64, g: &mut Gaussians, optimizer: &mut Optimizer) -> Result<Option<Change>> {
        if step == 0 || !step.is_multiple_of(10) {
            return Ok(None);
        }
        let Some(weights) = self.weights.take() else { return Ok(None) };
        let _guard = tch::no_grad_guard();
        let (_, copied) = weights.topk((g.len() / 4) as i64, 0, true, false);
        let kept = Tensor::arange(g.len() as i64, (Kind::Int64, copied.device()));
        // Kept rows first, then the copies, whose moments start at zero.
        let rows = Rows { index: Tensor::cat(&[&kept, &copied], 0), fresh_from: g.len() as i64 };
        g.select(&rows)?;
        optimizer.select(&rows)?;
        Ok(Some(Change { cloned: copied.numel(), ..Change::default() }))
    }
}
