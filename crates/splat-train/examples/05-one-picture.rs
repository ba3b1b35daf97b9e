//! Fits a single picture with flat Gaussians in front of one camera: PNG or JPEG in, PNG out.
//!
//!     cargo run --release -p splat-train --example 05-one-picture -- IN.png OUT.png [GAUSSIANS] [STEPS]
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use splat_train::{Backend, Gaussians, Optimizer, Probe, Rates, gradients, loss, render_settings};
use tch::{Kind, Tensor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, output, numbers @ ..] = arguments.as_slice() else { return Err("IN.png OUT.png".into()) };
    let count: i64 = numbers.first().map_or(Ok(2000), |n| n.parse())?;
    let steps: u64 = numbers.get(1).map_or(Ok(500), |n| n.parse())?;
    let backend = Backend::auto();
    let device = backend.device();
    let settings = splat_tch::Settings { sh_degree: 0, ..render_settings(&backend, false)? };

    let photo = splat_scene::Photo::read(input)?;
    let (w, h) = (photo.width, photo.height);
    let bytes = Tensor::from_slice(&photo.into_rgb([0.0; 3])).to_device(device);
    let target = bytes.view([i64::from(h), i64::from(w), 3]).permute([2, 0, 1]) / 255.0;

    // At depth 1, a world unit is a pixel.
    let intrinsics = [1.0, 1.0, f64::from(w) / 2.0, f64::from(h) / 2.0];
    let upright = [[1., 0., 0.], [0., 1., 0.], [0., 0., 1.]];
    let core = splat_core::Camera::from_pinhole(w, h, intrinsics, upright, [0.0; 3]);
    let camera = splat_tch::Camera::new(core, device)?;

    let floats = (Kind::Float, device);
    let size = Tensor::from_slice(&[w as f32, h as f32, 0.0]).to_device(device);
    let means = (Tensor::rand([count, 3], floats) - 0.5) * size;
    let means = means + Tensor::from_slice(&[0.0f32, 0.0, 1.0]).to_device(device);
    let pixels = (f64::from(w) * f64::from(h) / count as f64).sqrt();
    let gaussians = Gaussians::from_parameters([
        means,
        Tensor::zeros([count, 1, 3], floats),
        Tensor::zeros([count, 0, 3], floats),
        Tensor::zeros([count, 1], floats),
        Tensor::full([count, 3], pixels.ln(), floats),
        Tensor::from_slice(&[1.0f32, 0., 0., 0.]).to_device(device).expand([count, 4], false),
    ])?;
    // Positions move by a tenth of a Gaussian's size at first.
    let mut optimizer = Optimizer::for_gaussians(&backend, &gaussians, &Rates::default(), 1.0)?;
    optimizer.group_mut("means").rate = 0.1 * pixels;
    optimizer.group_mut("sh_first").rate = 0.02;
    for step in 1..=steps {
        let picture = gaussians.render(&camera, &settings, &Probe::default())?.color;
        let loss = loss::photometric(&backend, &picture, &target, 0.2)?;
        optimizer.step(&gaussians.parameters(), &gradients(&loss, &gaussians.parameters())?)?;
        if step.is_multiple_of(steps.div_ceil(5)) || step == steps {
            println!("step {step}: PSNR {:.2}", loss::psnr(&picture, &target)?.double_value(&[]));
        }
    }
    let _guard = tch::no_grad_guard();
    let picture = gaussians.render(&camera, &settings, &Probe::default())?.color.clamp(0.0, 1.0) * 255.0;
    let bytes = picture.round().to_kind(Kind::Uint8).permute([1, 2, 0]).contiguous().view(-1);
    Ok(splat_scene::save_png(output, w, h, &Vec::<u8>::try_from(bytes)?)?)
}
