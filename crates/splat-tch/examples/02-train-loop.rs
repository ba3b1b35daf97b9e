//! Fits Gaussians to a picture with Adam, in a plain tch loop: activations, render, loss, backward, step.
//!
//!     cargo run --release -p splat-tch --example 02-train-loop
#![expect(clippy::print_stdout, reason = "a program")]

use splat_tch::{Camera, Color, Gaussians, Settings, Shape, render};
use tch::nn::{Adam, OptimizerConfig, VarStore};
use tch::{Cuda, Device, Kind, Reduction, Tensor};

const SIZE: i64 = 96;
const SPLATS: i64 = 300;
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
    let cuda = Cuda::is_available() && splat_tch::engine("cuda").is_ok();
    let device = if cuda { Device::Cuda(0) } else { Device::Cpu };
    tch::manual_seed(0);
    let target = target(device);

    // Parameters before activation, so that any value is a valid splat.
    let store = VarStore::new(device);
    let root = store.root();
    let means = root.var_copy("means", &(Tensor::rand([SPLATS, 3], (Kind::Float, device)) * 2.4 - 1.2));
    let scales = root.var_copy("scales", &Tensor::full([SPLATS, 3], -2.3, (Kind::Float, device)));
    let rotations = root.var_copy("rotations", &Tensor::randn([SPLATS, 4], (Kind::Float, device)));
    let opacities = root.var_copy("opacities", &Tensor::zeros([SPLATS], (Kind::Float, device)));
    let colors = root.var_copy("colors", &Tensor::zeros([SPLATS, 3], (Kind::Float, device)));
    let mut adam = Adam::default().build(&store, 2e-2)?;

    let side = SIZE as u32;
    let view = splat_core::Camera::look_at(side, side, 50.0, [0.0, 0.0, -2.5], [0.0; 3], [0.0, -1.0, 0.0]);
    let (camera, settings) = (Camera::new(view, device)?, Settings::default());

    let (mut first, mut last) = (f64::NAN, f64::NAN);
    for step in 0..=STEPS {
        let length = rotations.square().sum_dim_intlist([1_i64].as_slice(), true, Kind::Float).sqrt();
        let picture = render(
            &Gaussians {
                means3d: &means,
                opacities: &opacities.sigmoid(),
                color: Color::Rgb(&colors.sigmoid()),
                shape: Shape::ScaleRotation { scales: &scales.exp(), rotations: &(&rotations / length) },
                means2d: None,
                means2d_abs: None,
                features: None,
            },
            &camera,
            &settings,
        )?;
        let loss = picture.color.l1_loss(&target, Reduction::Mean);
        adam.backward_step(&loss);
        if step % 20 == 0 {
            last = loss.double_value(&[]);
            first = if step == 0 { last } else { first };
            println!("step {step:3}  loss {last:.4}");
        }
    }
    assert!(last < 0.3 * first, "the loss only went from {first:.4} to {last:.4}");
    Ok(())
}
