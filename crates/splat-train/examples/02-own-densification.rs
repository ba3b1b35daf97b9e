//! Trains a COLMAP dataset with a densification of your own: every 50 steps the most opaque tenth of the Gaussians is copied, and
//! Gaussians that have become transparent are removed.
//!
//!     cargo run --release -p splat-train --example 02-own-densification -- DATA [STEPS]
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use splat_scene::{Dataset, OpenOptions};
use splat_train::{Change, Config, Densify, Event, Gaussians, Optimizer, Result, Rows, RunOptions, Trainer};
use tch::Tensor;

#[derive(Debug)]
struct CopyTheOpaque;

impl Densify for CopyTheOpaque {
    fn refine(&mut self, step: u64, g: &mut Gaussians, optimizer: &mut Optimizer) -> Result<Option<Change>> {
        if step == 0 || !step.is_multiple_of(50) {
            return Ok(None);
        }
        let _guard = tch::no_grad_guard();
        let opacities = g.opacities()?.view(-1);
        let kept = opacities.gt(0.02).nonzero().view(-1);
        let (_, copied) = opacities.topk((g.len() / 10).max(1) as i64, 0, true, false);
        let change = Change { cloned: copied.numel(), split: 0, pruned: g.len() - kept.numel() };
        // Kept rows first, new ones after them: the moments of these start at zero.
        let rows = Rows { index: Tensor::cat(&[&kept, &copied], 0), fresh_from: kept.numel() as i64 };
        g.select(&rows)?;
        optimizer.select(&rows)?;
        Ok(Some(change))
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("give the folder of a dataset")?;
    let iterations: u64 = arguments.next().map_or(Ok(200), |n| n.parse())?;
    let dataset = Dataset::open(path, &OpenOptions { downscale: Some(8), ..OpenOptions::default() })?;
    let config = Config { iterations, max_points: Some(5000), ..Config::default() };
    let mut trainer = Trainer::builder(&dataset).config(config).densify(Box::new(CopyTheOpaque)).build()?;
    trainer.run(&RunOptions::default(), |_, event| match event {
        Event::Densified { step, change, gaussians } => {
            println!("step {step}: {change:?}, {gaussians} Gaussians")
        }
        Event::Evaluated(e) => println!("step {}: PSNR {:.2}", e.step, e.psnr),
        _ => {}
    })?;
    Ok(())
}
