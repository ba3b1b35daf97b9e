//! What a fresh build can show without any file: a picture of the embedded scene, and training steps on it.

use std::path::Path;

use splat_tch::Backend;
use tch::{Kind, Tensor};

use splat_verify::demo::{self, OwnedScene};

const STEPS: usize = 20;

/// Draws the embedded scene; fails when the picture is black.
pub(crate) fn draw(path: &Path) -> Result<(), String> {
    let camera = demo::knot_camera(640, 480);
    let scene = demo::knot(6_000);
    let settings = splat_core::Settings { background: [0.06, 0.07, 0.09], ..Default::default() };
    let rendered = splat_cpu::host::forward(&*splat_cpu::engine(), &scene.scene(), &camera, &settings)
        .map_err(|e| e.to_string())?;
    let plane = 640 * 480;
    let bytes: Vec<u8> = (0..plane)
        .flat_map(|i| {
            [0, 1, 2].map(|c| (rendered.color[c * plane + i].clamp(0.0, 1.0) * 255.0).round() as u8)
        })
        .collect();
    if bytes.iter().filter(|b| **b > 64).count() < plane / 100 {
        return Err("the picture is black".into());
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|e| format!("cannot make `{}`: {e}", parent.display()))?;
    }
    image::RgbImage::from_raw(640, 480, bytes)
        .ok_or("the picture has another size")?
        .save(path)
        .map_err(|e| format!("cannot write `{}`: {e}", path.display()))
}

/// Trains the knot's colours and opacities back from grey, on this backend.
pub(crate) fn train(backend: &Backend) -> Result<Vec<f64>, String> {
    steps(&demo::knot(800), backend).map_err(|e| e.to_string())
}

fn steps(scene: &OwnedScene, backend: &Backend) -> Result<Vec<f64>, splat_tch::Error> {
    let (p, device) = (scene.opacities.len() as i64, backend.device());
    let settings = splat_tch::Settings::new(backend);
    let on = |values: &[f32], n: i64| Tensor::from_slice(values).reshape([p, n]).to_device(device);
    let (means, scales, rotations) = (on(&scene.means3d, 3), on(&scene.scales, 3), on(&scene.rotations, 4));
    let camera = splat_tch::Camera::new(demo::knot_camera(96, 72), device)?;
    let render = |colors: &Tensor, opacities: &Tensor| {
        splat_tch::render(
            &splat_tch::Gaussians::new(
                &means,
                opacities,
                splat_tch::Color::Rgb(colors),
                splat_tch::Shape::ScaleRotation { scales: &scales, rotations: &rotations },
            ),
            &camera,
            &settings,
        )
    };
    let target = tch::no_grad(|| render(&on(&scene.color, 3), &on(&scene.opacities, 1)))?.color;
    let colors = Tensor::full([p, 3], 0.5, (Kind::Float, device)).set_requires_grad(true);
    let opacities = Tensor::zeros([p, 1], (Kind::Float, device)).set_requires_grad(true);
    let mut losses = Vec::with_capacity(STEPS);
    for _ in 0..STEPS {
        let loss = (render(&colors, &opacities.sigmoid())?.color - &target).square().mean(Kind::Float);
        for t in [&colors, &opacities] {
            let mut grad = t.grad();
            if grad.defined() {
                let _ = grad.zero_();
            }
        }
        loss.f_backward()?;
        // Plain gradient descent with a step that suits each tensor's scale: enough for a falling loss.
        tch::no_grad(|| {
            for (t, step) in [(&colors, 0.05), (&opacities, 0.1)] {
                let _ = t.shallow_clone().subtract_(&(t.grad().sign() * step));
            }
        });
        losses.push(loss.double_value(&[]));
    }
    let (first, last) = (losses[0], losses[STEPS - 1]);
    if last.is_nan() || last > 0.5 * first {
        return Err(splat_tch::Error::Torch(format!(
            "{STEPS} training steps took the loss from {first:.5} to {last:.5}; it should halve"
        )));
    }
    Ok(losses)
}
