//! A densification of one's own: every 50 steps the most opaque tenth is copied, and what has faded goes.
//!
//!     cargo run --release -p splat-train --example 02-own-densification
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use splat_train::{
    Change, Densify, Gaussians, Observation, Optimizer, Probe, Rates, Result, Rows, gradients, loss,
};
use tch::{Device, Kind, Tensor};

#[derive(Debug)]
struct CopyTheOpaque;

impl Densify for CopyTheOpaque {
    fn wants(&self, _: u64) -> (bool, bool) {
        (false, false) // Gradients of the projected centres are not looked at.
    }

    fn observe(&mut self, _: u64, _: &Observation<'_>) -> Result<()> {
        Ok(())
    }

    fn refine(&mut self, step: u64, g: &mut Gaussians, optimizer: &mut Optimizer) -> Result<Option<Change>> {
        if !step.is_multiple_of(50) {
            return Ok(None);
        }
        let _guard = tch::no_grad_guard();
        let opacities = g.opacities()?.view(-1);
        let kept = opacities.gt(0.02).nonzero().view(-1);
        let (_, copied) = opacities.topk((g.len() / 10).max(1) as i64, 0, true, false);
        let change = Change { cloned: copied.numel(), split: 0, pruned: g.len() - kept.numel() };
        // Kept rows first, new ones after: their moments begin at zero.
        let rows = Rows { index: Tensor::cat(&[&kept, &copied], 0), fresh_from: kept.numel() as i64 };
        g.select(&rows)?;
        optimizer.select(&rows)?;
        Ok(Some(change))
    }

    fn state(&self) -> Vec<(&'static str, &Tensor)> {
        Vec::new()
    }

    fn restore(&mut self, _: &mut dyn FnMut(&str) -> Result<Option<Tensor>>) -> Result<()> {
        Ok(())
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let floats = (Kind::Float, Device::Cpu);
    let mut gaussians = Gaussians::from_parameters([
        Tensor::rand([200, 3], floats) * 2.0 - 1.0,
        Tensor::zeros([200, 1, 3], floats),
        Tensor::zeros([200, 0, 3], floats),
        Tensor::full([200, 1], -1.0, floats),
        Tensor::full([200, 3], -2.0, floats),
        Tensor::from_slice(&[1.0f32, 0.0, 0.0, 0.0]).expand([200, 4], false),
    ])?;
    let core = splat_core::Camera::look_at(64, 64, 60.0, [0., 0., -3.], [0.; 3], [0., -1., 0.]);
    let camera = splat_tch::Camera::new(core, Device::Cpu)?;
    let settings = splat_tch::Settings { sh_degree: 0, raw: true, ..splat_tch::Settings::default() };
    let target = Tensor::full([3, 64, 64], 0.8, floats);
    let mut optimizer = Optimizer::for_gaussians(&gaussians, &Rates::default(), 1.0)?;
    let mut densify = CopyTheOpaque;
    for step in 1..=200 {
        let picture = gaussians.render(&camera, &settings, &Probe::default())?;
        let loss = loss::photometric(&picture.color, &target, 0.2)?;
        optimizer.step(&gaussians.parameters(), &gradients(&loss, &gaussians.parameters())?)?;
        if let Some(change) = densify.refine(step, &mut gaussians, &mut optimizer)? {
            println!("step {step}: loss {:.4}, {change:?}", loss.double_value(&[]));
        }
    }
    Ok(())
}
