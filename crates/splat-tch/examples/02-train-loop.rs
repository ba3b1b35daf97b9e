//! Fits Gaussians to an image with Adam, in a plain tch loop: render, loss, step.
//!
//!     cargo run --release -p splat-tch --example 02-train-loop
#![expect(clippy::print_stdout, reason = "a program")]

use splat_tch::tch::nn::{Adam, OptimizerConfig, VarStore};
use splat_tch::tch::{self, Device, Kind, Reduction, Tensor};
use splat_tch::{Backend, Camera, CameraModel, Color, Gaussians, Settings, Shape, Values};

const SIZE: i64 = 96;
const GAUSSIANS: i64 = 300;
const STEPS: i64 = 200;

/// A red disc over a gradient from blue to yellow, `[3,H,W]`.
fn target(device: Device) -> Tensor {
    let axis = Tensor::linspace(-1.0, 1.0, SIZE, (Kind::Float, device));
    let (y, x) = (axis.view([SIZE, 1]), axis.view([1, SIZE]));
    let t = ((&x + &y) * 0.25 + 0.5).expand([SIZE, SIZE], false);
    let sky = Tensor::stack(&[&t, &t, &(1.0 - &t)], 0);
    let disc = (x.square() + y.square()).lt(0.25);
    let red = Tensor::from_slice(&[0.9_f32, 0.15, 0.1]).to_device(device).view([3, 1, 1]);
    red.where_self(&disc, &sky)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let backend = Backend::auto();
    let device = backend.device();
    tch::manual_seed(0);
    let target = target(device);

    // Raw values: logits of opacities and logarithms of scales, so that any number is a valid Gaussian.
    let floats = (Kind::Float, device);
    let store = VarStore::new(device);
    let root = store.root();
    let means = root.var_copy("means", &(Tensor::rand([GAUSSIANS, 3], floats) * 2.4 - 1.2));
    let scales = root.var_copy("scales", &Tensor::full([GAUSSIANS, 3], -2.3, floats));
    let rotations = root.var_copy("rotations", &Tensor::randn([GAUSSIANS, 4], floats));
    let opacities = root.var_copy("opacities", &Tensor::zeros([GAUSSIANS], floats));
    let colors = root.var_copy("colors", &Tensor::full([GAUSSIANS, 3], 0.5, floats));
    let shape = Shape::ScaleRotation { scales: &scales, rotations: &rotations };
    let gaussians = Gaussians::new(&means, &opacities, Color::Rgb(&colors), shape);
    let mut adam = Adam::default().build(&store, 2e-2)?;

    let side = SIZE as u32;
    let model = CameraModel::look_at(side, side, 50.0, [0.0, 0.0, -2.5], [0.0; 3], [0.0, -1.0, 0.0]);
    let camera = Camera::new(model, device)?;
    let settings = Settings { values: Values::Raw, ..Settings::new(&backend) };

    let mut losses = Vec::new();
    for step in 0..=STEPS {
        let rendered = splat_tch::render(&gaussians, &camera, &settings)?;
        let loss = rendered.color.l1_loss(&target, Reduction::Mean);
        adam.backward_step(&loss);

        if step % 20 == 0 {
            losses.push(loss.double_value(&[]));
            println!("step {step:3}  loss {:.4}", losses[losses.len() - 1]);
        }
    }
    let (first, last) = (losses[0], losses[losses.len() - 1]);
    assert!(last < 0.3 * first, "the loss only went from {first:.4} to {last:.4}");
    Ok(())
}
