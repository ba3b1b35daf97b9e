//! Responses: what each camera does to all its photographs, namely the falloff of light towards the corners (vignetting) and the
//! curve by which it stores light (Deutsch et al. 2026, PPISP). Views of the same size and intrinsics are of one camera. They
//! act on colours after the exposure of the view, and on the held-out views of the camera too.
//!
//! With `r` the distance from a centre, in half diagonals of the image, light becomes `x = c (1 + a1 r^2 + a2 r^4 + a3 r^6)`, and
//! is stored as `f(x)^g` with a curve that is steeper or flatter below and above a point `m`:
//! `f(x) = a (x/m)^t` up to `m`, and `1 - (1-a) ((1-x)/(1-m))^s` above, where `a = s m / (t (1-m) + s m)` makes both ends meet
//! with one slope. Each channel has its own numbers. Outside 0 to 1 the curve goes on with slope 1, so that a colour which is
//! too bright can find back.

use std::collections::HashMap;

use serde::Serialize;
use splat_tch::Backend;
use tch::{Device, Kind, Tensor};

use super::{Photographed, Rows};
use crate::gaussians::to_host;
use crate::{Exponential, Optimizer, Result};

/// Numbers of a camera: the centre's x and y, then by channel `a1 a2 a3`, then by channel what `t`, `s`, `m` and `g` follow
/// from. All are 0 where light is stored as it comes.
const NUMBERS: i64 = 2 + 9 + 12;
/// Powers are taken of numbers from this to 1 minus this, where their gradients are finite.
const EDGE: f64 = 1e-4;

/// What a camera does to light, in the names of the module's formulas.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Response {
    /// Where light does not fall off, from the image's centre: x to the right and y down, in half diagonals.
    pub centre: [f32; 2],
    /// `a1 a2 a3` of red, green and blue.
    pub falloff: [[f32; 3]; 3],
    /// `t s m g` of red, green and blue.
    pub curve: [[f32; 4]; 3],
}

/// The vignetting and the response of each camera.
#[derive(Debug)]
#[non_exhaustive]
pub struct Responses {
    /// `[C,23]`, a leaf, initially 0: light is stored as it comes.
    pub values: Tensor,
    /// The optimiser of the values.
    pub optimizer: Optimizer,
    /// How often each row was updated, `[C]` on the host.
    pub updates: Tensor,
    /// The camera of each view.
    camera: Vec<usize>,
    rows: Rows,
    rate: Exponential,
    decay: f64,
}

impl Responses {
    /// One that changes nothing for each camera. Each update moves it towards that by `decay` times the learning rate.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn new(of: Photographed<'_>, rate: Exponential, decay: f64, backend: &Backend) -> Result<Self> {
        let mut known = HashMap::new();
        let number = |c: &&splat_core::Camera| {
            // The principal point comes out of a product of matrices, so it is rounded.
            let projection = c.projection();
            let principal = [0, 1].map(|k| (projection[k][2] * 1e4).round() as i64);
            let next = known.len();
            *known
                .entry((c.width, c.height, [c.tan_fovx, c.tan_fovy].map(f32::to_bits), principal))
                .or_insert(next)
        };
        let camera: Vec<usize> = of.cameras.iter().map(number).collect();
        let (count, device) = (known.len() as i64, backend.device());
        let values = Tensor::f_zeros([count, NUMBERS], (Kind::Float, device))?.f_set_requires_grad(true)?;
        Ok(Self {
            optimizer: Optimizer::new(backend, [("responses", &values, rate.at(0))])?,
            values,
            updates: Tensor::f_zeros([count], (Kind::Float, Device::Cpu))?,
            rows: Rows::new(known.len(), device)?,
            camera,
            rate,
            decay,
        })
    }

    /// `image` (`[3,H,W]`) as the camera of view `i` stores it, with a graph back to the values.
    ///
    /// # Errors
    /// Torch's, for example for another shape.
    pub fn apply(&self, i: usize, image: &Tensor) -> Result<Tensor> {
        let of = self.values.f_select(0, self.camera[i] as i64)?;
        let (h, w) = (image.size()[1], image.size()[2]);
        let squared = squared_distance(h, w, &of.f_narrow(0, 0, 2)?)?.f_view([1, -1])?;
        let fourth = squared.f_square()?;
        let powers = Tensor::f_cat(&[&squared, &fourth, &fourth.f_mul(&squared)?], 0)?;
        let falloff =
            of.f_narrow(0, 2, 9)?.f_view([3, 3])?.f_mm(&powers)?.f_add_scalar(1.0)?.f_clamp_min(0.0)?;
        let light = image.f_view([3, -1])?.f_mul(&falloff)?;
        Ok(stored(&light, &of.f_narrow(0, 11, 12)?.f_view([3, 4])?)?.f_view([3, h, w])?)
    }

    /// What the camera of view `i` does; waits for the device.
    ///
    /// # Errors
    /// What torch reports, for example a failure of the device.
    pub fn response(&self, i: usize) -> Result<Response> {
        let numbers = to_host(&self.values.f_select(0, self.camera[i] as i64)?)?;
        let curve = |k: usize| {
            let [toe, shoulder, middle, gamma] = [0, 1, 2, 3].map(|c| numbers[11 + 4 * k + c]);
            [toe.exp(), shoulder.exp(), 1.0 / (1.0 + (-middle).exp()), gamma.exp()]
        };
        Ok(Response {
            centre: [numbers[0], numbers[1]],
            falloff: [0, 1, 2].map(|k| [0, 1, 2].map(|c| numbers[2 + 3 * k + c])),
            curve: [0, 1, 2].map(curve),
        })
    }

    /// Updates the camera of view `i` by the gradient (`[C,23]`) of step `step`.
    ///
    /// # Errors
    /// Torch's, for example for another shape.
    pub fn step(&mut self, step: u64, i: usize, gradient: Tensor) -> Result<()> {
        let rate = self.rate.at(step);
        self.optimizer.groups[0].rate = rate;
        let row = self.camera[i];
        self.rows.step(row, &mut self.optimizer, &self.updates, &self.values, gradient)?;
        let _guard = tch::no_grad_guard();
        let _ = self.values.f_detach()?.f_select(0, row as i64)?.f_mul_scalar_(1.0 - rate * self.decay)?;
        Ok(())
    }
}

/// `[H,W]`: the squared distance of each pixel's centre from `centre` (`[2]`, from the image's), in half diagonals.
fn squared_distance(h: i64, w: i64, centre: &Tensor) -> Result<Tensor> {
    let half = 0.5 * (h as f64).hypot(w as f64);
    let along = |n: i64, of: &Tensor| -> Result<Tensor> {
        let first = 0.5 - 0.5 * n as f64;
        let places = Tensor::f_arange(n, (Kind::Float, centre.device()))?.f_add_scalar(first)?;
        Ok(places.f_div_scalar(half)?.f_sub(of)?.f_square()?)
    };
    let across = along(w, &centre.f_select(0, 0)?)?.f_view([1, w])?;
    Ok(along(h, &centre.f_select(0, 1)?)?.f_view([h, 1])?.f_add(&across)?)
}

/// `[3,N]`: light as it is stored, by the numbers of the curve, `[3,4]`.
fn stored(light: &Tensor, numbers: &Tensor) -> Result<Tensor> {
    let number = |k: i64| numbers.f_narrow(1, k, 1);
    let (toe, shoulder, gamma) = (number(0)?.f_exp()?, number(1)?.f_exp()?, number(3)?.f_exp()?);
    let middle = number(2)?.f_sigmoid()?;
    let rest = middle.f_rsub_scalar(1.0)?;
    let weighed = shoulder.f_mul(&middle)?;
    let share = weighed.f_div(&toe.f_mul(&rest)?.f_add(&weighed)?)?;
    let x = light.f_clamp(EDGE, 1.0 - EDGE)?;
    let below = x.f_div(&middle)?.f_pow(&toe)?.f_mul(&share)?;
    let above = x.f_rsub_scalar(1.0)?.f_div(&rest)?.f_pow(&shoulder)?.f_mul(&share.f_rsub_scalar(1.0)?)?;
    let curve = below.f_where_self(&x.f_lt_tensor(&middle)?, &above.f_rsub_scalar(1.0)?)?;
    Ok(curve.f_clamp_min(EDGE * EDGE)?.f_pow(&gamma)?.f_add(&light.f_sub(&x)?)?)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{around, largest, photographed, refs};
    use super::*;
    use crate::gradients;
    use crate::random::tests::Random;

    const RATE: Exponential = Exponential { from: 5e-2, to: 5e-3, steps: 300 };

    #[test]
    fn cameras_store_light_as_it_comes_at_first() {
        let mut cameras = around(3);
        cameras[2].tan_fovx *= 1.1;
        let cameras = refs(&cameras);
        let responses = Responses::new(photographed(&cameras, &[0, 1]), RATE, 0.0, &Backend::cpu()).unwrap();
        assert_eq!((responses.camera.clone(), responses.values.size()), (vec![0, 0, 1], vec![2, NUMBERS]));
        let image = Random::new(3).uniform(&[3, 6, 5]) * 1.4 - 0.2;
        let apart = largest(&(responses.apply(1, &image).unwrap() - &image));
        assert!(apart < 2e-6, "{apart}");
        let nothing = Response { centre: [0.0; 2], falloff: [[0.0; 3]; 3], curve: [[1.0, 1.0, 0.5, 1.0]; 3] };
        assert_eq!(responses.response(2).unwrap(), nothing);
    }

    /// Both ends of the curve meet with one slope, whatever the numbers, and 0 and 1 stay where they are.
    #[test]
    fn curves_are_smooth_and_rise() {
        let numbers = (Random::new(5).uniform(&[3, 4]) - 0.5) * 1.5;
        let x = Tensor::linspace(0.0, 1.0, 2001, (Kind::Float, Device::Cpu)).view([1, -1]).repeat([3, 1]);
        let y = stored(&x, &numbers).unwrap();
        let slope = y.diff(1, 1, None::<Tensor>, None::<Tensor>);
        assert!(slope.min().double_value(&[]) > 0.0);
        let inner = slope.narrow(1, 100, 1800);
        let jump = largest(&inner.diff(1, 1, None::<Tensor>, None::<Tensor>));
        assert!(jump < 0.02 * inner.max().double_value(&[]), "{jump}");
        assert!(largest(&y.narrow(1, 0, 1)) < 0.02 && largest(&(y.narrow(1, 2000, 1) - 1.0)) < 0.02);
    }

    /// Light of photographs whose corners are darker by 30 % and whose middle tones are brighter: what they show is found to a
    /// tenth of what was wrong, at another camera nothing changes.
    #[test]
    fn vignetting_and_response_are_found() {
        let mut cameras = around(2);
        cameras[1].width = 33;
        let cameras = refs(&cameras);
        let mut responses =
            Responses::new(photographed(&cameras, &[0, 1]), RATE, 0.0, &Backend::cpu()).unwrap();
        let mut random = Random::new(7);
        let corner = squared_distance(24, 32, &Tensor::zeros([2], (Kind::Float, Device::Cpu))).unwrap();
        let photo = |light: &Tensor| {
            let seen: Tensor = light * (1.0 - 0.3 * &corner);
            seen.pow_tensor_scalar(0.8)
        };
        let error = |of: &Responses, light: &Tensor| {
            (of.apply(0, light).unwrap() - photo(light)).square().mean(Kind::Float)
        };
        let held_out = random.uniform(&[3, 24, 32]) * 0.9 + 0.05;
        let before = error(&responses, &held_out).double_value(&[]);
        for step in 1..=300 {
            let light = random.uniform(&[3, 24, 32]) * 0.9 + 0.05;
            let loss = error(&responses, &light);
            let gradient = gradients(&loss, &[&responses.values]).unwrap().remove(0);
            responses.step(step, 0, gradient).unwrap();
        }
        let after = error(&responses, &held_out).double_value(&[]);
        assert!(after < 0.01 * before, "mean squared error {before} -> {after}");
        assert_eq!(largest(&responses.values.get(1)), 0.0);
    }
}
