//! Exposures: an affine map of the colours of each view's render, as the original trainer has learned them since 2024. They
//! act on colours as photographs store them, 0 to 1; nothing is clamped, and held-out views have none.

use splat_tch::Backend;
use tch::{Device, Kind, Tensor};

use super::smooth::Smooth;
use super::{Photographed, Rows};
use crate::gaussians::to_host;
use crate::{Exponential, Optimizer, Result};

/// An affine map of colours, `A rgb + b`: rows of `[A | b]`.
pub type ColorMap = [[f32; 4]; 3];

/// An affine map `A rgb + b` of the colours of each view's render, `[N,3,4]`. Initially it is the identity; averaged over the
/// training views it stays the identity.
#[derive(Debug)]
#[non_exhaustive]
pub struct Exposures {
    /// The maps, `[N,3,4]`, a leaf.
    pub maps: Tensor,
    /// The optimiser of the maps.
    pub optimizer: Optimizer,
    /// How often each map was updated, `[N]` on the host.
    pub updates: Tensor,
    rows: Rows,
    smooth: Smooth,
    /// `[1,12]`.
    identity: Tensor,
    /// `[N,1]`: 1 for training views; and `[1,N]`: the same with sum 1.
    trained: [Tensor; 2],
    rate: Exponential,
    decay: f64,
}

impl Exposures {
    /// The identity for each view. Each update moves the map towards the identity by `decay` times the learning rate.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn new(of: Photographed<'_>, rate: Exponential, decay: f64, backend: &Backend) -> Result<Self> {
        let device = backend.device();
        let identity = Tensor::f_eye_m(3, 4, (Kind::Float, device))?;
        let maps = identity.f_repeat([of.cameras.len() as i64, 1, 1])?.f_set_requires_grad(true)?;
        let trained = of.trained(device)?;
        let mean = trained.f_div_scalar(of.train.len().max(1) as f64)?.f_tr()?;
        Ok(Self {
            optimizer: Optimizer::new(backend, [("exposures", &maps, rate.at(0))])?,
            maps,
            updates: Tensor::f_zeros([of.cameras.len() as i64], (Kind::Float, Device::Cpu))?,
            rows: Rows::new(of.cameras.len(), device)?,
            smooth: Smooth::new(of.cameras, of.train, device)?,
            identity: identity.f_view([1, 12])?,
            trained: [trained, mean],
            rate,
            decay,
        })
    }

    /// `image` (`[3,H,W]`) with the exposure of view `i`, with a graph back to the maps.
    ///
    /// # Errors
    /// Torch's, for example for another shape.
    pub fn apply(&self, i: usize, image: &Tensor) -> Result<Tensor> {
        let map = self.maps.f_select(0, i as i64)?;
        let size = image.size();
        let flat = image.f_view([3, -1])?;
        let exposed = map.f_narrow(1, 3, 1)?.f_addmm(&map.f_narrow(1, 0, 3)?, &flat)?;
        Ok(exposed.f_view(size.as_slice())?)
    }

    /// The map of view `i`; waits for the device.
    ///
    /// # Errors
    /// What torch reports, for example a failure of the device.
    pub fn map(&self, i: usize) -> Result<ColorMap> {
        let numbers = to_host(&self.maps.f_select(0, i as i64)?)?;
        Ok([0, 4, 8].map(|k| [0, 1, 2, 3].map(|c| numbers[k + c])))
    }

    /// Updates the map of view `i` by the gradient (`[N,3,4]`) of step `step`.
    ///
    /// # Errors
    /// Torch's, for example for another shape.
    pub fn step(&mut self, step: u64, i: usize, gradient: Tensor) -> Result<()> {
        let rate = self.rate.at(step);
        self.optimizer.groups[0].rate = rate;
        self.rows.step(i, &mut self.optimizer, &self.updates, &self.maps, gradient)?;
        let _guard = tch::no_grad_guard();
        let mut maps = self.maps.f_detach()?.f_view([-1, 12])?;
        let mut apart = maps.f_sub(&self.identity)?.f_mul(&self.trained[0])?;
        let _ = apart.f_narrow(0, i as i64, 1)?.f_mul_scalar_(1.0 - rate * self.decay)?;
        self.smooth.limit(&mut apart)?;
        let common = self.trained[1].f_mm(&apart)?;
        let _ = apart.f_sub_(&self.trained[0].f_mm(&common)?)?;
        maps.f_copy_(&apart.f_add(&self.identity)?)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use splat_core::Camera as Core;

    use super::super::tests::{FLOATS, around, largest, photographed, refs, trained};
    use super::*;
    use crate::gradients;
    use crate::random::tests::Random;

    const QUICK: Exponential = Exponential { from: 0.02, to: 2e-4, steps: 1440 };

    fn exposures_of(cameras: &[Core], train: &[usize], rate: Exponential) -> Exposures {
        Exposures::new(photographed(&refs(cameras), train), rate, 0.1, &Backend::cpu()).unwrap()
    }

    #[test]
    fn exposures_are_the_identity_at_first_and_affine() {
        let exposures = exposures_of(&around(2), &[0, 1], QUICK);
        let image = Random::new(3).uniform(&[3, 2, 5]);
        assert_eq!(exposures.apply(1, &image).unwrap(), image);
        let _guard = tch::no_grad_guard();
        let _ = exposures.maps.select(0, 1).narrow(1, 3, 1).fill_(0.25);
        assert!(largest(&(exposures.apply(1, &image).unwrap() - &image - 0.25)) < 1e-6);
        assert_eq!(exposures.apply(0, &image).unwrap(), image, "the other view's is its own");
        assert_eq!(exposures.map(1).unwrap()[2], [0.0, 0.0, 1.0, 0.25]);
    }

    /// Whatever the gradients: the identity on average over the views trained on, and for held-out views.
    #[test]
    fn exposures_are_the_identity_on_average() {
        let mut random = Random::new(1);
        let cameras = around(40);
        let train = trained(40);
        let mut exposures = exposures_of(&cameras, &train, QUICK);
        for step in 1..200 {
            let i = train[step as usize % train.len()];
            let gradient = Tensor::zeros([40, 3, 4], FLOATS);
            gradient.get(i as i64).copy_(&(random.normal(&[3, 4]) + 1.0));
            exposures.step(step, i, gradient).unwrap();
        }
        let apart = exposures.maps.detach() - exposures.identity.view([1, 3, 4]);
        let rows: Vec<i64> = train.iter().map(|&i| i as i64).collect();
        let common = apart.index_select(0, &Tensor::from_slice(&rows));
        assert!(largest(&common.mean_dim([0i64].as_slice(), true, Kind::Float)) < 1e-5);
        assert!(largest(&common) > 1e-2);
        for i in (0..40).step_by(8) {
            assert_eq!(largest(&apart.get(i)), 0.0, "held out: {i}");
        }
    }

    /// Views take steps as long as the rate says, however many steps other views took before.
    #[test]
    fn each_view_counts_its_own_updates() {
        let cameras = around(9);
        let all: Vec<usize> = (0..9).collect();
        let rate = Exponential { from: 1e-3, to: 1e-3, steps: 1 };
        let mut exposures = exposures_of(&cameras, &all, rate);
        let mut before = exposures.maps.detach().copy();
        for step in 1..=500 {
            let i = if step == 500 { 7 } else { step as usize % 3 };
            before = exposures.maps.detach().copy();
            let gradient = Tensor::zeros([9, 3, 4], FLOATS);
            let sign = if step % 2 == 0 { 1.0 } else { -1.0 };
            let _ = gradient.get(i as i64).fill_(sign * 0.1);
            exposures.step(step, i, gradient).unwrap();
        }
        // One in nine is taken out as common.
        let moved = largest(&(exposures.maps.detach() - &before).get(7));
        assert!((moved / (1e-3 * 8.0 / 9.0) - 1.0).abs() < 0.01, "{moved}");
        assert_eq!((exposures.updates.double_value(&[7]), exposures.updates.double_value(&[8])), (1.0, 0.0));
        assert_eq!(largest(&exposures.optimizer.groups[0].exp_avg.get(8)), 0.0, "never looked at");
    }

    /// Known exposures are found, up to what is common, while what is photographed is learned too.
    #[test]
    fn perturbed_exposures_are_found_again() {
        let mut random = Random::new(2);
        let cameras = around(24);
        let all: Vec<usize> = (0..24).collect();
        let mut exposures = exposures_of(&cameras, &all, QUICK);
        let truth = random.uniform(&[3, 8, 8]);
        let identity = exposures.identity.view([1, 3, 4]);
        let gains = (random.normal(&[24, 1, 1]) * 0.15).exp();
        let mut apart = (exposures.maps.detach() * gains - &identity).view([24, 12]);
        exposures.smooth.limit(&mut apart).unwrap();
        let maps =
            (&apart - apart.mean_dim([0i64].as_slice(), true, Kind::Float)).view([24, 3, 4]) + &identity;
        let photo = |i: usize| {
            let map = maps.get(i as i64);
            (map.narrow(1, 0, 3).mm(&truth.view([3, -1])) + map.narrow(1, 3, 1)).view([3, 8, 8])
        };
        let scene = Tensor::full([3, 8, 8], 0.5, FLOATS).set_requires_grad(true);
        let mut optimizer = Optimizer::new(&Backend::cpu(), [("scene", &scene, 0.01)]).unwrap();
        for step in 1..=1440 {
            optimizer.groups[0].rate = 0.5 * QUICK.at(step);
            let i = (step * 7 % 24) as usize;
            let loss = (exposures.apply(i, &scene).unwrap() - photo(i)).abs().mean(Kind::Float);
            let mut found = gradients(&loss, &[&scene, &exposures.maps]).unwrap();
            let of_maps = found.pop().unwrap();
            optimizer.step(&[&scene], &found).unwrap();
            exposures.step(step, i, of_maps).unwrap();
        }
        // What they make of the photographed colours.
        let made = |maps: &Tensor| {
            let flat = truth.view([3, -1]);
            maps.narrow(2, 0, 3).matmul(&flat) + maps.narrow(2, 3, 1)
        };
        let rms = |t: Tensor| t.square().mean(Kind::Float).sqrt().double_value(&[]);
        let left = rms(made(&exposures.maps.detach()) - made(&maps));
        let share = left / rms(made(&maps) - made(&identity));
        assert!(share < 0.3, "{share}");
        let scene_off = rms(scene.detach() - &truth);
        assert!(scene_off < 0.01, "what held-out views would see: {scene_off}");
    }
}
