//! A camera whose pose is slightly wrong finds the right one: gradients of the image reach the pose.
//!
//!     cargo run --release -p splat-train --example 03-pose-optimisation
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use splat_core::Values;
use splat_train::{Backend, Gaussians, Optimizer, Probe, gradients};
use tch::{Device, Kind, Tensor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let floats = (Kind::Float, Device::Cpu);
    tch::manual_seed(0);
    let gaussians = Gaussians::from_parameters([
        Tensor::rand([400, 3], floats) * 2.0 - 1.0,
        Tensor::randn([400, 1, 3], floats),
        Tensor::zeros([400, 0, 3], floats),
        Tensor::full([400, 1], 2.0, floats),
        Tensor::full([400, 3], -2.0, floats),
        Tensor::from_slice(&[1.0f32, 0.0, 0.0, 0.0]).expand([400, 4], false),
    ])?;
    let core = |eye| splat_core::Camera::look_at(96, 96, 50.0, eye, [0.; 3], [0., -1., 0.]);
    let (true_core, start_core) = (core([0., 0., -4.]), core([0.15, -0.1, -4.1]));
    let backend = Backend::cpu();
    let settings =
        splat_tch::Settings { sh_degree: 0, values: Values::Raw, ..splat_tch::Settings::new(&backend) };
    let photo = {
        let _guard = tch::no_grad_guard();
        let camera = splat_tch::Camera::new(true_core.clone(), Device::Cpu)?;
        gaussians.render(&camera, &settings, &Probe::default())?.color
    };
    // World-to-camera, row-major; `view` is column-major.
    let matrix = |core: &splat_core::Camera| Tensor::from_slice(&core.view).view([4, 4]).tr();
    let (true_view, start_view) = (matrix(&true_core), matrix(&start_core));

    // A motion of the camera's frame: three translations and three small rotations.
    let motion = Tensor::zeros([1, 6], floats).set_requires_grad(true);
    let mut generators = [[0.0f32; 16]; 6];
    for (k, place) in [3, 7, 11].into_iter().enumerate() {
        generators[k][place] = 1.0;
    }
    for (k, (row, column)) in [(2, 1), (0, 2), (1, 0)].into_iter().enumerate() {
        generators[3 + k][4 * row + column] = 1.0;
        generators[3 + k][4 * column + row] = -1.0;
    }
    let generators = Tensor::from_slice(generators.as_flattened()).view([6, 16]);
    let mut optimizer = Optimizer::new(&backend, [("pose", &motion, 5e-3)])?;
    for step in 1..=200 {
        let view = motion.mm(&generators).view([4, 4]).linalg_matrix_exp().mm(&start_view);
        let camera = splat_tch::Camera::with_pose(true_core.clone(), &view)?;
        let picture = gaussians.render(&camera, &settings, &Probe::default())?.color;
        let loss = (&picture - &photo).square().mean(Kind::Float);
        optimizer.groups[0].rate = 5e-3 * 0.98f64.powi(step);
        optimizer.step(&[&motion], &gradients(&loss, &[&motion])?)?;
        if step % 40 == 0 {
            let off = (view.detach() - &true_view).abs().max().double_value(&[]);
            println!("step {step}: squared error {:.2e}, pose off by {off:.4}", loss.double_value(&[]));
        }
    }
    Ok(())
}
