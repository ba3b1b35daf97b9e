//! A loop of one's own with a loss of one's own (Charbonnier instead of L1 and SSIM), on a COLMAP dataset.
//!
//!     cargo run --release -p splat-train --example 01-own-loss -- DATA [STEPS]
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use splat_scene::{Dataset, Options};
use splat_train::{
    Adc, AdcConfig, Densify, Gaussians, Init, Observation, Optimizer, Order, Rates, Views, device_for,
    first_points, gradients, initial, loss, render_settings,
};
use tch::{Kind, Tensor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("give the folder of a dataset")?;
    let steps: u64 = arguments.next().map_or(Ok(300), |n| n.parse())?;
    let dataset = Dataset::open(path.as_ref(), &Options { downscale: Some(8), ..Options::default() })?;
    let (device, engine) = device_for("auto")?;
    let mut settings = render_settings(&engine, device, false)?;
    settings.sh_degree = 0;

    let start = first_points(&dataset, &Init::default())?;
    let mut gaussians = Gaussians::upload(&initial(&start.points, None, 3, 0)?, device)?;
    let (rates, extent) = (Rates::default(), dataset.scene_extent);
    let mut optimizer = Optimizer::for_gaussians(&gaussians, &rates, extent)?;
    let mut densify = Adc::new(AdcConfig::default(), extent, 0);
    let views = Views::load(&dataset, 1 << 30, device)?;
    let mut order = Order::new(&dataset.train, 0);
    let black = Tensor::zeros([3], (Kind::Float, device));

    for step in 1..=steps {
        let i = order.next().ok_or("no views to train on")?;
        let target = views.target(i, &black)?.color;
        let probe = densify.probe(step, &gaussians)?;
        let picture = gaussians.render(views.camera(i), &settings, &probe)?;
        // Charbonnier: near zero like a square, farther like an absolute value.
        let charbonnier = ((&picture.color - &target).square() + 1e-6).sqrt().mean(Kind::Float);

        let leaves: Vec<&Tensor> = gaussians.parameters().into_iter().chain(probe.leaves()).collect();
        let found = gradients(&charbonnier, &leaves)?;
        optimizer.set_rates(rates.at(step, extent));
        optimizer.step(&gaussians.parameters(), &found[..6])?;
        let (camera, radii, means) = (views.camera(i), &picture.radii, &gaussians.means.detach());
        let seen = Observation { camera, means, radii, means2d: found.get(6), means2d_abs: None };
        densify.observe(step, &seen)?;
        densify.refine(step, &mut gaussians, &mut optimizer)?;
        if step % 50 == 0 {
            let psnr = loss::psnr(&picture.color, &target)?.double_value(&[]);
            println!("step {step}: PSNR {psnr:.2}, {} Gaussians", gaussians.len());
        }
    }
    Ok(())
}
