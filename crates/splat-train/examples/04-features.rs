//! Feature splatting: 16 channels per Gaussian, blended like colours and fitted to feature images.
//!
//!     cargo run --release -p splat-train --example 04-features
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use splat_core::Values;
use splat_train::{Backend, Gaussians, Optimizer, Probe, gradients};
use tch::{Device, Kind, Tensor};

const CHANNELS: i64 = 16;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let floats = (Kind::Float, Device::Cpu);
    tch::manual_seed(0);
    let gaussians = Gaussians::from_parameters([
        Tensor::rand([600, 3], floats) * 2.0 - 1.0,
        Tensor::zeros([600, 1, 3], floats),
        Tensor::zeros([600, 0, 3], floats),
        Tensor::full([600, 1], 2.0, floats),
        Tensor::full([600, 3], -2.0, floats),
        Tensor::from_slice(&[1.0f32, 0.0, 0.0, 0.0]).expand([600, 4], false),
    ])?;
    let core = splat_core::Camera::look_at(64, 64, 60.0, [0., 0., -3.], [0.; 3], [0., -1., 0.]);
    let camera = splat_tch::Camera::new(core, Device::Cpu)?;
    let backend = Backend::cpu();
    let settings = splat_tch::Settings {
        sh_degree: 0,
        values: Values::Raw,
        alpha: true,
        ..splat_tch::Settings::new(&backend)
    };

    // In place of a network's output: waves of a different length in every channel.
    let place = Tensor::arange(64, floats) / 64.0;
    let frequency = (Tensor::arange(CHANNELS, floats) + 1.0).view([CHANNELS, 1, 1]);
    let wave = (frequency * place.view([1, 1, 64]) * 3.0).sin() * 0.5 + 0.5;
    let target = wave.expand([CHANNELS, 64, 64], false);

    let features = Tensor::zeros([600, CHANNELS], floats).set_requires_grad(true);
    let mut optimizer = Optimizer::new(&backend, [("features", &features, 0.02)])?;
    for step in 1..=150 {
        let picture =
            gaussians.render_with_features(&camera, &settings, &Probe::default(), Some(&features))?;
        let blended = picture.features.ok_or("there are features")?;
        // Only where something is rendered.
        let covered = picture.alpha.ok_or("asked for")?.detach();
        let loss = ((blended - &target * &covered).square() * &covered).mean(Kind::Float);
        optimizer.step(&[&features], &gradients(&loss, &[&features])?)?;
        if step % 30 == 0 {
            println!("step {step}: squared error {:.5}", loss.double_value(&[]));
        }
    }
    Ok(())
}
