//! What is learned for each photograph besides the scene: its exposure and a correction of its pose.
//!
//! Held-out views have neither: they are judged as the dataset gives them. So the exposures are the identity on average,
//! and what all photographs have in common is the scene's.

use splat_tch::Camera;
use tch::{Device, Kind, Tensor};

use crate::{Exponential, Optimizer, Result, Views};

/// An affine map of the colours of each view's render, `[N,3,4]`: `A rgb + b`, the identity at first.
#[derive(Debug)]
pub struct Exposures {
    /// `[N,3,4]`, a leaf.
    pub maps: Tensor,
    /// Of the maps alone.
    pub optimizer: Optimizer,
    /// `[1,3,4]`.
    identity: Tensor,
    rows: Tensor,
    rate: Exponential,
}

/// `[N,N]` `Int`: row `i` names view `i` alone.
fn one_row_each(views: usize, device: Device) -> Result<Tensor> {
    Ok(Tensor::f_eye(views as i64, (Kind::Int, device))?)
}

impl Exposures {
    /// For `views` views, rates as in the published schedule.
    ///
    /// # Errors
    /// A device without room.
    pub fn new(views: usize, rate: Exponential, device: Device) -> Result<Self> {
        let identity = Tensor::f_eye_m(3, 4, (Kind::Float, device))?.f_view([1, 3, 4])?;
        let maps = identity.f_repeat([views as i64, 1, 1])?.f_set_requires_grad(true)?;
        let optimizer = Optimizer::new([("exposures", &maps, rate.at(0))])?;
        Ok(Self { maps, optimizer, identity, rows: one_row_each(views, device)?, rate })
    }

    /// `image` (`[3,H,W]`) as view `i` was exposed.
    ///
    /// # Errors
    /// Torch's.
    pub fn apply(&self, i: usize, image: &Tensor) -> Result<Tensor> {
        let map = self.maps.f_select(0, i as i64)?;
        let size = image.size();
        let flat = image.f_view([3, -1])?;
        let exposed = map.f_narrow(1, 3, 1)?.f_addmm(&map.f_narrow(1, 0, 3)?, &flat)?;
        Ok(exposed.f_view(size.as_slice())?)
    }

    /// The update of step `step`, which saw view `i`.
    ///
    /// # Errors
    /// Torch's.
    pub fn step(&mut self, step: u64, i: usize, gradient: Tensor) -> Result<()> {
        self.optimizer.groups[0].rate = self.rate.at(step);
        // Adam would go on moving the maps of views that are not looked at.
        let row = self.rows.f_select(0, i as i64)?;
        self.optimizer.step_rows(&[&self.maps], &[gradient], Some(&row))?;
        let _guard = tch::no_grad_guard();
        let mean = self.maps.f_detach()?.f_mean_dim([0i64].as_slice(), true, Kind::Float)?;
        let _ = self.maps.f_detach()?.f_sub_(&mean.f_sub(&self.identity)?)?;
        Ok(())
    }
}

/// A correction of each view's pose, `[N,6]`: translation and rotation vector (radians) of a motion of the camera's
/// frame, `[R(correction) | t] view` with the dataset's world-to-camera matrix; zero at first.
#[derive(Debug)]
pub struct Poses {
    /// `[N,6]`, a leaf.
    pub corrections: Tensor,
    /// Of the corrections alone.
    pub optimizer: Optimizer,
    /// `[3,9]`: the cross products with x, y, z as matrices, rows one after the other.
    generators: Tensor,
    /// `[3,3]` and `[1,4]`: the identity, and the last row of a motion.
    constants: [Tensor; 2],
    rows: Tensor,
    /// `[4,4]` world to camera, one for each view.
    views: Vec<Tensor>,
    decay: f64,
    rate: Exponential,
}

impl Poses {
    /// For all of `views`; each step takes `decay` of the correction away, in units of the rate.
    ///
    /// # Errors
    /// A device without room.
    pub fn new(views: &Views, rate: Exponential, decay: f64, device: Device) -> Result<Self> {
        let cores: Vec<&splat_core::Camera> = (0..views.len()).map(|i| views.camera(i).core()).collect();
        Self::of(&cores, rate, decay, device)
    }

    fn of(views: &[&splat_core::Camera], rate: Exponential, decay: f64, device: Device) -> Result<Self> {
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
            optimizer: Optimizer::new([("poses", &corrections, rate.at(0))])?,
            corrections,
            generators: Tensor::f_from_slice(generators.as_flattened())?
                .f_view([3, 9])?
                .f_to_device(device)?,
            constants: [
                Tensor::f_eye(3, (Kind::Float, device))?,
                Tensor::f_from_slice(&[0.0f32, 0.0, 0.0, 1.0])?.f_view([1, 4])?.f_to_device(device)?,
            ],
            rows: one_row_each(views.len(), device)?,
            views: matrices.collect::<Result<_>>()?,
            decay,
            rate,
        })
    }

    /// World-to-camera matrix of view `i`, `[4,4]`, with a graph back to its correction.
    ///
    /// # Errors
    /// Torch's.
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
        let top = Tensor::f_cat(&[&rotation, &correction.f_narrow(1, 0, 3)?.f_tr()?], 1)?;
        Ok(Tensor::f_cat(&[&top, &self.constants[1]], 0)?.f_mm(&self.views[i])?)
    }

    /// The camera of view `i` at its corrected pose.
    ///
    /// # Errors
    /// Torch's.
    pub fn camera(&self, core: &splat_core::Camera, i: usize) -> Result<Camera> {
        Ok(Camera::with_pose(core.clone(), &self.view(i)?)?)
    }

    /// The update of step `step`, which saw view `i`.
    ///
    /// # Errors
    /// Torch's.
    pub fn step(&mut self, step: u64, i: usize, gradient: Tensor) -> Result<()> {
        let rate = self.rate.at(step);
        self.optimizer.groups[0].rate = rate;
        let row = self.rows.f_select(0, i as i64)?;
        self.optimizer.step_rows(&[&self.corrections], &[gradient], Some(&row))?;
        let _guard = tch::no_grad_guard();
        let _ = self.corrections.f_detach()?.f_mul_scalar_(1.0 - rate * self.decay)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The matrix exponential of the rotation, far and near zero, and a gradient at zero itself.
    #[test]
    fn corrections_turn_and_move_the_camera() {
        let core = splat_core::Camera::look_at(8, 8, 60.0, [0., 0., -5.], [0.; 3], [0., -1., 0.]);
        let poses =
            Poses::of(&[&core, &core], Exponential { from: 1e-3, to: 1e-4, steps: 10 }, 0.0, Device::Cpu)
                .unwrap();
        let at_zero = poses.view(1).unwrap();
        assert!((&at_zero - &poses.views[1]).abs().max().double_value(&[]) < 1e-7);
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
            let apart = (motion.narrow(0, 0, 3).narrow(1, 0, 3) - expected).abs().max().double_value(&[]);
            assert!(apart < 1e-5, "{scale}: {apart}");
            let moved: Vec<f32> = Vec::try_from(motion.narrow(0, 0, 3).select(1, 3)).unwrap();
            assert!(moved.iter().zip(&numbers).all(|(a, b)| (a - b).abs() < 1e-5), "{moved:?}");
        }
    }

    /// A view that is not looked at keeps its exposure but for the common part, which is none.
    #[test]
    fn exposures_are_the_identity_on_average() {
        let rate = Exponential { from: 0.01, to: 0.001, steps: 100 };
        let mut exposures = Exposures::new(4, rate, Device::Cpu).unwrap();
        for step in 1..20 {
            let gradient = Tensor::randn([4, 3, 4], (Kind::Float, Device::Cpu));
            exposures.step(step, (step % 3) as usize, gradient).unwrap();
        }
        let mean = exposures.maps.detach().mean_dim([0i64].as_slice(), true, Kind::Float);
        assert!((mean - &exposures.identity).abs().max().double_value(&[]) < 1e-5);
        assert!((exposures.maps.detach() - &exposures.identity).abs().max().double_value(&[]) > 1e-3);
        let moments: Vec<f32> = Vec::try_from(exposures.optimizer.groups[0].exp_avg.get(3).view(-1)).unwrap();
        assert!(moments.iter().all(|x| *x == 0.0), "never looked at");
    }

    #[test]
    fn exposures_are_the_identity_at_first_and_affine() {
        let rate = Exponential { from: 0.01, to: 0.001, steps: 100 };
        let exposures = Exposures::new(2, rate, Device::Cpu).unwrap();
        let image = Tensor::rand([3, 2, 5], (Kind::Float, Device::Cpu));
        assert_eq!(exposures.apply(1, &image).unwrap(), image);
        let _guard = tch::no_grad_guard();
        let _ = exposures.maps.select(0, 1).narrow(1, 3, 1).fill_(0.25);
        let apart = (exposures.apply(1, &image).unwrap() - &image - 0.25).abs().max().double_value(&[]);
        assert!(apart < 1e-6);
        assert_eq!(exposures.apply(0, &image).unwrap(), image, "the other view's is its own");
    }
}
