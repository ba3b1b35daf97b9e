//! A library of a user's own on splat-tch: fits Gaussians to an image.

use splat_tch::tch::nn::{Adam, OptimizerConfig, VarStore};
use splat_tch::tch::{Kind, Reduction, Tensor};
use splat_tch::{Backend, Camera, CameraModel, Color, Error, Gaussians, Settings, Shape, Values};

/// The side of the image in pixels.
pub const SIDE: i64 = 48;

/// Losses before and after fitting `count` Gaussians to a red square for `steps` steps.
///
/// ```
/// let (first, last) = with_tch::fit(&splat_tch::Backend::cpu(), 40, 30).unwrap();
/// assert!(last < first);
/// ```
///
/// # Errors
/// What splat-tch refuses.
pub fn fit(backend: &Backend, count: i64, steps: usize) -> Result<(f64, f64), Error> {
    let device = backend.device();
    let floats = (Kind::Float, device);
    let target = Tensor::zeros([3, SIDE, SIDE], floats);
    let _ = target.get(0).narrow(0, 12, 24).narrow(1, 12, 24).fill_(1.0);

    let store = VarStore::new(device);
    let root = store.root();
    let grid = Tensor::linspace(-1.0, 1.0, count, floats);
    let spread = Tensor::stack(&[(&grid * 7.0).sin(), (&grid * 11.0).cos(), &grid * 0.1], 1);
    let means = root.var_copy("means", &spread);
    let scales = root.var_copy("scales", &Tensor::full([count, 3], -1.8, floats));
    let rotations = root.var_copy("rotations", &Tensor::ones([count, 4], floats));
    let opacities = root.var_copy("opacities", &Tensor::zeros([count], floats));
    let colors = root.var_copy("colors", &Tensor::full([count, 3], 0.5, floats));
    let shape = Shape::ScaleRotation { scales: &scales, rotations: &rotations };
    let gaussians = Gaussians::new(&means, &opacities, Color::Rgb(&colors), shape);
    let mut adam = Adam::default().build(&store, 3e-2).map_err(|e| Error::Torch(e.to_string()))?;

    let side = SIDE as u32;
    let model = CameraModel::look_at(side, side, 50.0, [0.0, 0.0, -2.5], [0.0; 3], [0.0, -1.0, 0.0]);
    let camera = Camera::new(model, device)?;
    let settings = Settings { values: Values::Raw, ..Settings::new(backend) };

    let mut losses = Vec::new();
    for _ in 0..=steps {
        let rendered = splat_tch::render(&gaussians, &camera, &settings)?;
        let loss = rendered.color.l1_loss(&target, Reduction::Mean);
        adam.backward_step(&loss);
        losses.push(loss.double_value(&[]));
    }
    Ok((losses[0], losses[steps]))
}

/// [`fit`] on the best backend, for callers that do not know splat-tch.
///
/// # Panics
/// If splat-tch refuses.
#[must_use]
pub fn fit_on_best(count: i64, steps: usize) -> (f64, f64) {
    fit(&Backend::auto(), count, steps).expect("the best backend works")
}
