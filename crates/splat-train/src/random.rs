//! A trainer's own random numbers. Torch's generators belong to the whole process, so they are never seeded or used here.
//!
//! Every number depends only on a seed and a step, so that a resumed run draws what the uninterrupted one drew. They are
//! drawn on the host and are therefore the same on every device.

use tch::{Device, Tensor};

use crate::Result;

/// Random numbers for one purpose at one step, drawn on the host.
#[derive(Debug)]
pub(crate) struct Draws(fastrand::Rng);

impl Draws {
    pub(crate) fn new(seed: u64, step: u64) -> Self {
        // Multiples of odd constants, so that neighbouring seeds and steps start far apart.
        let mixed = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
            ^ step.wrapping_mul(0xD1B5_4A32_D192_ED03);
        Self(fastrand::Rng::with_seed(mixed))
    }

    /// Uniform in `[0, 1)`.
    pub(crate) fn uniform(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| self.0.f64()).collect()
    }

    /// Standard normal, by pairs (Box and Muller 1958). `count` is even.
    pub(crate) fn normal(&mut self, count: usize) -> Vec<f32> {
        let mut pair = || {
            let radius = (-2.0 * (1.0 - self.0.f64()).ln()).sqrt();
            let (sin, cos) = (std::f64::consts::TAU * self.0.f64()).sin_cos();
            [(radius * cos) as f32, (radius * sin) as f32]
        };
        (0..count / 2).flat_map(|_| pair()).collect()
    }
}

/// Normal numbers for all Gaussians in every step, without drawing as many in every step: a table of them stays on the
/// device, and each step reads it from another place. Element `i` of the table depends only on the seed and `i`, so the
/// table may grow at any time.
#[derive(Debug)]
pub(crate) struct Noise {
    seed: u64,
    table: Option<Tensor>,
}

/// Numbers that are drawn together.
const BLOCK: usize = 1 << 16;
/// Places at which a step may begin to read.
const PLACES: usize = 1 << 21;

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, table: None }
    }

    /// Standard normal numbers `[rows,3]` for step `step`: part of the table, so not to be changed in place.
    pub(crate) fn at(&mut self, step: u64, rows: i64, device: Device) -> Result<Tensor> {
        let count = 3 * rows;
        let table = self.table(PLACES + count as usize, device)?;
        let place = Draws::new(!self.seed, step).0.u64(..PLACES as u64) as i64;
        Ok(table.f_narrow(0, place, count)?.f_view([rows, 3])?)
    }

    /// The table with at least `length` numbers.
    fn table(&mut self, length: usize, device: Device) -> Result<Tensor> {
        let have = self.table.as_ref().map_or(0, |t| t.size()[0] as usize / BLOCK);
        let needed = length.div_ceil(BLOCK);
        if have < needed {
            // A quarter more, so that a scene that grows does not copy the table in every refinement.
            let blocks = have as u64..(needed + have / 4) as u64;
            let numbers: Vec<f32> = blocks.flat_map(|b| Draws::new(self.seed, b).normal(BLOCK)).collect();
            let new = Tensor::f_from_slice(&numbers)?.f_to_device(device)?;
            self.table = Some(match self.table.take() {
                Some(old) => Tensor::f_cat(&[old, new], 0)?,
                None => new,
            });
        }
        Ok(self.table.as_ref().expect("made above").shallow_clone())
    }
}

/// Tensors of random numbers for tests; not torch's generator, which other tests would share.
#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Numbers one after the other from a seed.
    pub(crate) struct Random(Draws);

    impl Random {
        pub(crate) fn new(seed: u64) -> Self {
            Self(Draws::new(seed, 0))
        }

        /// Uniform in `[0, 1)`.
        pub(crate) fn uniform(&mut self, shape: &[i64]) -> Tensor {
            let numbers: Vec<f32> =
                self.0.uniform(shape.iter().product::<i64>() as usize).iter().map(|x| *x as f32).collect();
            Tensor::from_slice(&numbers).view(shape)
        }

        /// Standard normal.
        pub(crate) fn normal(&mut self, shape: &[i64]) -> Tensor {
            let count = shape.iter().product::<i64>();
            let numbers = self.0.normal((count + 1) as usize / 2 * 2);
            Tensor::from_slice(&numbers).narrow(0, 0, count).view(shape)
        }
    }

    fn numbers(t: &Tensor) -> Vec<f32> {
        Vec::try_from(t.contiguous().view(-1)).unwrap()
    }

    #[test]
    fn draws_depend_on_seed_and_step() {
        let draw = |seed, step| Draws::new(seed, step).uniform(4);
        assert_eq!(draw(0, 700), draw(0, 700));
        assert_ne!(draw(0, 700), draw(1, 700));
        assert_ne!(draw(0, 700), draw(0, 800));
    }

    #[test]
    fn normal_numbers_have_the_moments_of_the_distribution() {
        let x = Draws::new(5, 5).normal(200_000);
        let moment = |k: i32| x.iter().map(|x| f64::from(*x).powi(k)).sum::<f64>() / x.len() as f64;
        // Standard errors: .0022, .0032, .0087, .022.
        for (k, expected) in [(1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0)] {
            assert!((moment(k) - expected).abs() < 0.1, "moment {k}: {}", moment(k));
        }
    }

    /// The noise of a step does not depend on what was drawn before, nor on how far the table had grown.
    #[test]
    fn noise_depends_on_seed_and_step() {
        let mut fresh = Noise::new(3);
        let mut grown = Noise::new(3);
        let _ = grown.at(1, 10, Device::Cpu).unwrap();
        let _ = grown.at(2, 400_000, Device::Cpu).unwrap();
        let (a, b) = (fresh.at(9, 1000, Device::Cpu).unwrap(), grown.at(9, 1000, Device::Cpu).unwrap());
        assert_eq!(numbers(&a), numbers(&b));
        assert_ne!(numbers(&a), numbers(&fresh.at(10, 1000, Device::Cpu).unwrap()));
        assert_ne!(numbers(&a), numbers(&Noise::new(4).at(9, 1000, Device::Cpu).unwrap()));
        assert_eq!(fresh.at(9, 0, Device::Cpu).unwrap().size(), [0, 3]);
    }
}
