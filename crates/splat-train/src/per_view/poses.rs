//! Corrections of poses: small motions of each camera's frame, learned through the gradient of the render with respect to the
//! pose. World-to-camera, OpenCV axes; intrinsics do not change.

use splat_tch::{Backend, Camera};
use tch::{Device, Kind, Tensor};

use super::smooth::{Smooth, by_columns, orthonormal};
use super::{Photographed, Rows};
use crate::gaussians::to_host;
use crate::{Exponential, Optimizer, Result};

/// A correction of each view's pose, `[N,6]`: a motion of the camera's frame, so that the corrected world-to-camera matrix is
/// `[R | t] view`. The first three numbers are the translation in units of the scene's extent, the others the rotation
/// vector in radians. Initially zero. The corrections of the training views contain no common motion of the world and no
/// common change of its scale.
#[derive(Debug)]
#[non_exhaustive]
pub struct Poses {
    /// The corrections, `[N,6]`, a leaf.
    pub corrections: Tensor,
    /// The optimiser of the corrections.
    pub optimizer: Optimizer,
    /// How often each correction was updated, `[N]` on the host.
    pub updates: Tensor,
    rows: Rows,
    smooth: Smooth,
    /// `[6N,7]`, orthonormal: the motions and the scaling of the world as corrections.
    gauge: Tensor,
    /// `[3,9]`: the matrices of the cross products with x, y and z, row-major.
    generators: Tensor,
    /// `[3,3]` and `[1,4]`: the identity, and the last row of a motion.
    constants: [Tensor; 2],
    /// World-to-camera matrices `[4,4]` of the dataset, one per view.
    views: Vec<Tensor>,
    extent: f64,
    rate: Exponential,
    decay: f64,
}

impl Poses {
    /// Zero corrections. Each update moves the correction towards zero by `decay` times the learning rate.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn new(of: Photographed<'_>, rate: Exponential, decay: f64, backend: &Backend) -> Result<Self> {
        let device = backend.device();
        let views = of.cameras;
        // A scene seen from one place has an extent of 0.
        let extent = if of.extent > 0.0 { of.extent } else { 1.0 };
        let corrections = Tensor::f_zeros([views.len() as i64, 6], (Kind::Float, device))?;
        let corrections = corrections.f_set_requires_grad(true)?;
        let mut generators = [[0.0f32; 9]; 3];
        // (row, column) of the +1, whose mirror is -1.
        for (k, (row, column)) in [(2, 1), (0, 2), (1, 0)].into_iter().enumerate() {
            generators[k][3 * row + column] = 1.0;
            generators[k][3 * column + row] = -1.0;
        }
        let matrices = views.iter().map(|core| {
            let rows: Vec<f32> = (0..16).map(|k| core.view[4 * (k % 4) + k / 4]).collect();
            Ok(Tensor::f_from_slice(&rows)?.f_view([4, 4])?.f_to_device(device)?)
        });
        Ok(Self {
            optimizer: Optimizer::new(backend, [("poses", &corrections, rate.at(0))])?,
            corrections,
            updates: Tensor::f_zeros([views.len() as i64], (Kind::Float, Device::Cpu))?,
            rows: Rows::new(views.len(), device)?,
            smooth: Smooth::new(views, of.train, device)?,
            gauge: gauge(views, of.train, extent)?.f_to_device(device)?,
            generators: Tensor::f_from_slice(generators.as_flattened())?
                .f_view([3, 9])?
                .f_to_device(device)?,
            constants: [
                Tensor::f_eye(3, (Kind::Float, device))?,
                Tensor::f_from_slice(&[0.0f32, 0.0, 0.0, 1.0])?.f_view([1, 4])?.f_to_device(device)?,
            ],
            views: matrices.collect::<Result<_>>()?,
            extent,
            rate,
            decay,
        })
    }

    /// The corrected world-to-camera matrix of view `i`, `[4,4]`, with a graph back to the corrections.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn view(&self, i: usize) -> Result<Tensor> {
        let correction = self.corrections.f_narrow(0, i as i64, 1)?;
        let turn = correction.f_narrow(1, 3, 3)?;
        // Rodrigues: I + sin(a)/a W + (1 - cos(a))/a^2 W^2 = I + sinc(a) W + sinc(a/2)^2 / 2 W^2.
        let square = turn.f_square()?.f_sum(Kind::Float)?.f_add_scalar(1e-20)?;
        let angle = square.f_sqrt()?;
        let cross = turn.f_mm(&self.generators)?.f_view([3, 3])?;
        let first = cross.f_mul(&angle.f_sin()?.f_div(&angle)?)?;
        let half = angle.f_mul_scalar(0.5)?;
        let second = half.f_sin()?.f_square()?.f_mul_scalar(2.0)?.f_div(&square)?;
        let rotation = self.constants[0].f_add(&first)?.f_add(&cross.f_mm(&cross)?.f_mul(&second)?)?;
        let translation = correction.f_narrow(1, 0, 3)?.f_mul_scalar(self.extent)?.f_tr()?;
        let top = Tensor::f_cat(&[&rotation, &translation], 1)?;
        Ok(Tensor::f_cat(&[&top, &self.constants[1]], 0)?.f_mm(&self.views[i])?)
    }

    /// `core` at the corrected pose of view `i`, on the host; waits for the device.
    ///
    /// # Errors
    /// What torch reports, for example a failure of the device.
    pub fn corrected(&self, core: &splat_core::Camera, i: usize) -> Result<splat_core::Camera> {
        let view = to_host(&self.view(i)?)?;
        let rotation = [0, 1, 2].map(|row| [0, 1, 2].map(|k| f64::from(view[4 * row + k])));
        let translation = [0, 1, 2].map(|row| f64::from(view[4 * row + 3]));
        let p = core.projection();
        let half = [core.width, core.height].map(|side| 0.5 * f64::from(side));
        let intrinsics =
            [half[0] * p[0][0], half[1] * p[1][1], half[0] * (1.0 + p[0][2]), half[1] * (1.0 + p[1][2])];
        Ok(splat_core::Camera::from_pinhole(core.width, core.height, intrinsics, rotation, translation))
    }

    /// `core` at the corrected pose of view `i`, with a graph back to the corrections.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn camera(&self, core: &splat_core::Camera, i: usize) -> Result<Camera> {
        Ok(Camera::with_pose(core.clone(), &self.view(i)?)?)
    }

    /// Updates the correction of view `i` by the gradient (`[N,6]`) of step `step`.
    ///
    /// # Errors
    /// Torch's, for example for another shape.
    pub fn step(&mut self, step: u64, i: usize, gradient: Tensor) -> Result<()> {
        let rate = self.rate.at(step);
        self.optimizer.groups[0].rate = rate;
        self.rows.step(i, &mut self.optimizer, &self.updates, &self.corrections, gradient)?;
        let _guard = tch::no_grad_guard();
        let mut corrections = self.corrections.f_detach()?;
        let _ = corrections.f_narrow(0, i as i64, 1)?.f_mul_scalar_(1.0 - rate * self.decay)?;
        self.smooth.limit(&mut corrections)?;
        let mut flat = corrections.f_view([-1, 1])?;
        let common = self.gauge.f_tr()?.f_mm(&flat)?;
        let _ = flat.f_sub_(&self.gauge.f_mm(&common)?)?;
        Ok(())
    }
}

/// `[6N,7]` with orthonormal columns: small motions `x + s x + w x x + m` of the world as corrections of the views `train`;
/// the rows of other views are zero. Seen from a camera `R x + t`, and apart from its scale, which no image shows, such a
/// motion is a rotation by `R w` and a translation by `R m - (R w) x t - s t`.
fn gauge(views: &[&splat_core::Camera], train: &[usize], extent: f64) -> Result<Tensor> {
    let mut columns = [const { Vec::<f64>::new() }; 7];
    for (i, core) in views.iter().enumerate() {
        let trained = if train.contains(&i) { 1.0 } else { 0.0 };
        let column = |k: usize| [0, 1, 2].map(|row| f64::from(core.view[4 * k + row]));
        let t = column(3);
        let mut add = |k: usize, translation: [f64; 3], rotation: [f64; 3]| {
            columns[k].extend(translation.map(|x| trained * x / extent));
            columns[k].extend(rotation.map(|x| trained * x));
        };
        for k in 0..3 {
            let r = column(k);
            let moved = [0, 1, 2].map(|a| r[(a + 2) % 3] * t[(a + 1) % 3] - r[(a + 1) % 3] * t[(a + 2) % 3]);
            add(k, r, [0.0; 3]);
            add(3 + k, moved, r);
        }
        add(6, t.map(|x| -x), [0.0; 3]);
    }
    // With one or two cameras some of them are the same.
    by_columns(&orthonormal(columns.into_iter()))
}

#[cfg(test)]
mod tests {
    use splat_core::Camera as Core;

    use super::super::tests::{FLOATS, around, largest, photographed, refs, trained};
    use super::*;
    use crate::random::tests::Random;
    use crate::{Gaussians, Probe, gradients};

    const SLOW: Exponential = Exponential { from: 1e-3, to: 1e-4, steps: 10 };

    fn poses_of(cameras: &[Core], train: &[usize], rate: Exponential) -> Poses {
        Poses::new(photographed(&refs(cameras), train), rate, 0.01, &Backend::cpu()).unwrap()
    }

    /// The matrix exponential of the rotation, far and near zero, and a gradient at zero itself.
    #[test]
    fn corrections_turn_and_move_the_camera() {
        let cameras = around(2);
        let poses = poses_of(&cameras, &[0, 1], SLOW);
        let at_zero = poses.view(1).unwrap();
        assert!(largest(&(&at_zero - &poses.views[1])) < 1e-6);
        let gradient =
            &Tensor::run_backward(&[at_zero.sum(Kind::Float)], &[&poses.corrections], false, false)[0];
        assert_eq!(gradient.isfinite().all().int64_value(&[]), 1);
        let _guard = tch::no_grad_guard();
        for scale in [1.0f32, 1e-3] {
            let numbers = [0.1 * scale, 0.2 * scale, -0.3 * scale, 0.5 * scale, -0.7 * scale, 0.2 * scale];
            poses.corrections.get(0).copy_(&Tensor::from_slice(&numbers));
            let turn = Tensor::from_slice(&numbers[3..]).view([1, 3]);
            let expected = turn.mm(&poses.generators).view([3, 3]).linalg_matrix_exp();
            let motion = poses.view(0).unwrap().mm(&Tensor::linalg_inv(&poses.views[0]));
            let apart = largest(&(motion.narrow(0, 0, 3).narrow(1, 0, 3) - expected));
            assert!(apart < 1e-5, "{scale}: {apart}");
            let moved: Vec<f32> = Vec::try_from(motion.narrow(0, 0, 3).select(1, 3)).unwrap();
            assert!(moved.iter().zip(&numbers).all(|(a, b)| (a - 5.0 * b).abs() < 1e-5), "{moved:?}");
        }
        let core = poses.corrected(&cameras[0], 0).unwrap();
        let view = poses.view(0).unwrap().tr().reshape([16]);
        assert!(largest(&(Tensor::from_slice(&core.view) - view)) < 1e-5);
        let near = |a: f64, b: f64| (a - b).abs() < 1e-4;
        let same = core
            .projection()
            .as_flattened()
            .iter()
            .zip(cameras[0].projection().as_flattened())
            .all(|(a, b)| near(*a, *b));
        assert!(same, "the lens is as it was");
    }

    /// The gauge is what no picture shows: a world that moves and grows a little, seen from where it was, and seen from
    /// cameras corrected so, look alike.
    #[test]
    fn the_gauge_is_a_motion_of_the_world() {
        let cameras = around(5);
        let all = [0, 1, 2, 3, 4];
        let gauge = gauge(&refs(&cameras), &all, 5.0).unwrap();
        let product = gauge.tr().mm(&gauge);
        assert!(largest(&(product - Tensor::eye(7, FLOATS))) < 1e-5, "orthonormal");
        let poses = poses_of(&cameras, &all, SLOW);
        let (turn, shift, growth) = ([2e-3f64, -1e-3, 3e-3], [4e-3f64, 1e-3, -2e-3], 2e-3);
        let p = [0.3f64, -0.5, 0.4];
        let crossed =
            [0, 1, 2].map(|k| turn[(k + 1) % 3] * p[(k + 2) % 3] - turn[(k + 2) % 3] * p[(k + 1) % 3]);
        let moved = [0, 1, 2].map(|k| p[k] * (1.0 + growth) + crossed[k] + shift[k]);
        // Where each camera sees the moved point, as corrections: those of the columns before they were made orthonormal.
        let seen = |view: &Tensor, p: [f64; 3]| {
            let point = Tensor::from_slice(&[p[0] as f32, p[1] as f32, p[2] as f32, 1.0]).view([4, 1]);
            let c: Vec<f32> = Vec::try_from(view.mm(&point).view(-1)).unwrap();
            [c[0] / c[2], c[1] / c[2]]
        };
        let _guard = tch::no_grad_guard();
        let (turn, shift) = (turn.map(|x| x as f32), shift.map(|x| x as f32));
        for (i, view) in poses.views.iter().enumerate() {
            let (r, t) = (view.narrow(0, 0, 3).narrow(1, 0, 3), view.narrow(0, 0, 3).narrow(1, 3, 1));
            let rotation = r.mm(&Tensor::from_slice(&turn).view([3, 1]));
            let translation = r.mm(&Tensor::from_slice(&shift).view([3, 1]))
                - rotation.view(-1).cross(&t.reshape([3]), 0).view([3, 1])
                - &t * growth;
            let row = Tensor::cat(&[translation / 5.0, rotation], 0).view(-1);
            poses.corrections.get(i as i64).copy_(&row);
            let (a, b) = (seen(&poses.view(i).unwrap(), p), seen(view, moved));
            assert!((0..2).all(|k| (a[k] - b[k]).abs() < 2e-5), "camera {i}: {a:?} {b:?}");
        }
        let flat = poses.corrections.view([-1, 1]);
        let left = &flat - gauge.mm(&gauge.tr().mm(&flat));
        assert!(largest(&left) < 1e-6 && largest(&flat) > 1e-3, "nothing else is in it");
    }

    /// Whatever the gradients: no common motion, nothing for held-out views.
    #[test]
    fn corrections_hold_no_motion_of_the_world() {
        let mut random = Random::new(3);
        let cameras = around(40);
        let train = trained(40);
        let mut poses = poses_of(&cameras, &train, Exponential { from: 1e-2, to: 1e-3, steps: 200 });
        for step in 1..200 {
            let i = train[step as usize % train.len()];
            let gradient = Tensor::zeros([40, 6], FLOATS);
            gradient.get(i as i64).copy_(&(random.normal(&[6]) + 0.5));
            poses.step(step, i, gradient).unwrap();
        }
        let corrections = poses.corrections.detach();
        let common = poses.gauge.tr().mm(&corrections.view([-1, 1]));
        assert!(largest(&common) < 1e-6 && largest(&corrections) > 1e-2, "{common:?}");
        for i in (0..40).step_by(8) {
            assert_eq!(largest(&corrections.get(i)), 0.0, "held out: {i}");
        }
    }

    /// Known errors of poses, of a degree and a hundredth of the extent, come off again, up to what is common.
    #[test]
    fn perturbed_poses_are_found_again() {
        let mut random = Random::new(5);
        let cameras = around(16);
        let train: Vec<usize> = (0..16).collect();
        let scene = Gaussians::from_parameters([
            random.uniform(&[100, 3]) * 2.0 - 1.0,
            random.normal(&[100, 1, 3]),
            Tensor::zeros([100, 0, 3], FLOATS),
            Tensor::full([100, 1], 2.0, FLOATS),
            Tensor::full([100, 3], -1.8, FLOATS),
            Tensor::from_slice(&[1.0f32, 0.0, 0.0, 0.0]).expand([100, 4], false),
        ])
        .unwrap();
        let settings = splat_tch::Settings {
            sh_degree: 0,
            values: splat_core::Values::Raw,
            ..splat_tch::Settings::default()
        };
        let render = |camera: &Camera| scene.render(camera, &settings, &Probe::default()).unwrap().color;
        let steps = 400;
        let rate = Exponential { from: 5e-3, to: 5e-5, steps };
        let mut truth = poses_of(&cameras, &train, rate);
        let mut noise = random.normal(&[16, 6]) * 0.01;
        truth.smooth.limit(&mut noise).unwrap();
        let noise = noise.view([96, 1]);
        let noise = &noise - truth.gauge.mm(&truth.gauge.tr().mm(&noise));
        truth.corrections = noise.view([16, 6]);
        let photos: Vec<Tensor> =
            tch::no_grad(|| (0..16).map(|i| render(&truth.camera(&cameras[i], i).unwrap())).collect());
        let mut poses = poses_of(&cameras, &train, rate);
        for step in 1..=steps {
            let i = (step * 5 % 16) as usize;
            let picture = render(&poses.camera(&cameras[i], i).unwrap());
            let loss = (picture - &photos[i]).abs().mean(Kind::Float);
            let gradient = gradients(&loss, &[&poses.corrections]).unwrap().remove(0);
            poses.step(step, i, gradient).unwrap();
        }
        let rms = |t: Tensor| t.square().mean(Kind::Float).sqrt().double_value(&[]);
        // Where the cameras see what stands there: turning and moving sideways look much alike.
        let points = Tensor::cat(&[random.uniform(&[3, 50]) * 2.0 - 1.0, Tensor::ones([1, 50], FLOATS)], 0);
        let seen = |poses: &Poses| {
            let of = |i: usize| poses.view(i).unwrap().detach().mm(&points);
            let all: Vec<Tensor> = (0..16).map(|i| of(i).narrow(0, 0, 2) / of(i).narrow(0, 2, 1)).collect();
            Tensor::cat(&all, 1)
        };
        let before = rms(seen(&poses_of(&cameras, &train, rate)) - seen(&truth));
        let share = rms(seen(&poses) - seen(&truth)) / before;
        assert!(share < 0.4, "{share}");
    }
}
