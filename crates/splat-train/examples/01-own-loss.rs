//! Trains a COLMAP dataset with a loss of your own: Charbonnier instead of L1 and SSIM.
//!
//!     cargo run --release -p splat-train --example 01-own-loss -- DATA [STEPS]
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use splat_scene::{Dataset, OpenOptions};
use splat_train::{Comparison, Config, Event, Loss, Result, RunOptions, Trainer};
use tch::{Kind, Tensor};

/// Near zero like a square, farther away like an absolute value.
#[derive(Debug)]
struct Charbonnier;

impl Loss for Charbonnier {
    fn loss(&self, of: &Comparison<'_>) -> Result<Tensor> {
        Ok(((of.image - of.target).square() + 1e-6).sqrt().mean(Kind::Float))
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("give the folder of a dataset")?;
    let iterations: u64 = arguments.next().map_or(Ok(300), |n| n.parse())?;
    let dataset = Dataset::open(path, &OpenOptions { downscale: Some(8), ..OpenOptions::default() })?;
    let config = Config { iterations, eval_every: 100, ..Config::default() };
    let mut trainer = Trainer::builder(&dataset).config(config).loss(Box::new(Charbonnier)).build()?;
    trainer.run(&RunOptions::default(), |trainer, event| {
        if let Event::Evaluated(e) = event {
            println!("step {}: PSNR {:.2}, {} Gaussians", e.step, e.psnr, trainer.gaussians().len());
        }
    })?;
    Ok(())
}
