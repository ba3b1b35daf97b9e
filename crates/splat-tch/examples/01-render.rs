//! Renders a ring of Gaussians that it makes itself and writes a PNG.
//!
//!     cargo run --release -p splat-tch --example 01-render -- ring.png
#![expect(clippy::print_stdout, reason = "a program")]

use splat_tch::tch::{self, Device, Kind, Tensor};
use splat_tch::{Backend, Camera, CameraModel, Color, Gaussians, Settings, Shape, render};

type AnyError = Box<dyn std::error::Error>;

fn main() -> Result<(), AnyError> {
    let path = std::env::args().nth(1).ok_or("usage: 01-render OUT.png")?;
    let backend = Backend::auto();
    let device = backend.device();

    // Sixty Gaussians on a circle, flat discs turned about the y axis, coloured by their angle.
    let p = 60;
    let angle = Tensor::arange(p, (Kind::Float, device)) * (std::f64::consts::TAU / p as f64);
    let means = Tensor::stack(&[angle.cos(), (&angle * 3.0).sin() * 0.3, angle.sin()], 1);
    let opacities = Tensor::full([p], 0.9, (Kind::Float, device));
    let half = &angle * -0.5;
    let zero = half.zeros_like();
    let rotations = Tensor::stack(&[half.cos(), zero.shallow_clone(), half.sin(), zero], 1); // w x y z
    let scales = Tensor::from_slice(&[0.03_f32, 0.12, 0.06]).to_device(device).expand([p, 3], false);
    let hue = |shift: f64| ((&angle + shift).sin() + 1.0) * 0.5;
    let colors = Tensor::stack(&[hue(0.0), hue(2.1), hue(4.2)], 1);
    let shape = Shape::ScaleRotation { scales: &scales, rotations: &rotations };
    let gaussians = Gaussians::new(&means, &opacities, Color::Rgb(&colors), shape);

    // World y points down, as in COLMAP; the camera stands above the ring and looks at its middle.
    let model = CameraModel::look_at(640, 400, 45.0, [0.0, -1.6, -2.6], [0.0; 3], [0.0, -1.0, 0.0]);
    let camera = Camera::new(model, device)?;
    let settings = Settings { background: [0.06, 0.07, 0.1].into(), ..Settings::new(&backend) };

    let rendered = tch::no_grad(|| render(&gaussians, &camera, &settings))?;
    let visible = rendered.radii.gt(0).sum(Kind::Int64).int64_value(&[]);
    write_png(&path, &rendered.color)?;
    println!("{visible} of {p} Gaussians by engine {}, written to {path}", backend.name());
    Ok(())
}

/// `[3,H,W]` in 0..1 as 8-bit RGB.
fn write_png(path: &str, color: &Tensor) -> Result<(), AnyError> {
    let (_, height, width) = color.size3()?;
    let bytes = (color.clamp(0.0, 1.0) * 255.0).round().to_kind(Kind::Uint8).permute([1, 2, 0]);
    let bytes = Vec::<u8>::try_from(bytes.contiguous().view(-1).to_device(Device::Cpu))?;
    image::save_buffer(path, &bytes, width as u32, height as u32, image::ExtendedColorType::Rgb8)?;
    Ok(())
}
