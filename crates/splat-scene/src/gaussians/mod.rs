//! Gaussians in host memory and their file formats.
//!
//! - this file: [`Gaussians`], the raw parameters as they are stored and optimised, before the activations.
//! - `formats`: the table of file formats. **Start there to add one**; each format has a module of its own.
//! - `place`: the origin of their local coordinates, and merging of scenes.
//! - `rows`: scenes in parts, for those that memory does not hold.
//! - `precision`: how exactly a format keeps the positions of a scene.
//! - `edit`: which Gaussians to leave out; `merge`: fewer in place of many; `transform`: moving, turning and scaling scenes.
//! - `quantize`, `axes`: what formats share: bytes for numbers, frames other than that of a PLY.
//!
//! Local coordinates ([`Origin`]); quaternions wxyz, not normalised. Values are kept as found, NaN included: [`Gaussians::check`]
//! names the first unusable one. Nothing here knows a device; the trainer makes the copy there.

mod axes;
pub mod compressed_ply;
mod edit;
mod formats;
pub mod gltf;
mod merge;
mod place;
pub mod ply;
mod precision;
mod quantize;
mod rows;
pub mod sog;
pub mod splat_file;
pub mod spz;
mod transform;
pub mod usd;

pub use edit::{Region, most, up_of_cameras};
pub use formats::{GaussianFormat, Loaded, WriteProgress};
use place::placed;
pub use precision::Precision;
pub use rows::Rows;
pub use transform::Similarity;

use crate::Origin;
use splat_core::{Color, Error, FeatureChannels, Scene, Shape};

/// The spherical harmonic of degree 0, `1 / (2 sqrt(pi))`: colour = 0.5 + `SH_C0` * coefficient.
pub const SH_C0: f32 = 0.282_094_8;

/// The raw parameters of `P` Gaussians in row-major arrays.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Gaussians {
    /// Centres, `[P,3]`.
    pub means: Vec<f32>,
    /// Spherical harmonics, `[P,M,3]`: per coefficient red, green, blue.
    pub sh: Vec<f32>,
    /// `M`, the number of coefficients: 1, 4, 9 or 16.
    pub coeffs: usize,
    /// `[P]`: opacity = sigmoid(value).
    pub opacity_logits: Vec<f32>,
    /// `[P,3]`: standard deviation along each axis = exp(value), world units.
    pub log_scales: Vec<f32>,
    /// `[P,4]`: quaternions wxyz, local to world, to be normalised.
    pub rotations: Vec<f32>,
    /// Where the local coordinates of `means` lie in the world.
    pub origin: Origin,
}

/// What [`Gaussians::repair`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Repair {
    /// Number of Gaussians that were removed.
    pub dropped: usize,
    /// Number of remaining Gaussians in which an infinity was made finite.
    pub clamped: usize,
}

/// [`Gaussians`] after the activations, as the rasterizer takes them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Activated {
    /// Centres, `[P,3]`.
    pub means: Vec<f32>,
    /// Spherical harmonics, `[P,M,3]`.
    pub sh: Vec<f32>,
    /// `M`, the number of coefficients.
    pub coeffs: usize,
    /// `[P]`, 0 to 1.
    pub opacities: Vec<f32>,
    /// Standard deviations, `[P,3]`, above 0, world units.
    pub scales: Vec<f32>,
    /// Quaternions wxyz, `[P,4]`, of unit length; a zero quaternion stays zero.
    pub rotations: Vec<f32>,
}

impl Gaussians {
    /// `P`, the number of Gaussians.
    #[must_use]
    pub fn len(&self) -> usize {
        self.opacity_logits.len()
    }

    /// Whether there are no Gaussians.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.opacity_logits.is_empty()
    }

    /// The SH degree that belongs to `coeffs`.
    #[must_use]
    pub fn sh_degree(&self) -> u32 {
        match self.coeffs {
            0..=3 => 0,
            4..=8 => 1,
            9..=15 => 2,
            _ => 3,
        }
    }

    /// Applies the activations: sigmoid to opacities, exp to scales, normalisation to rotations.
    #[must_use]
    pub fn activated(&self) -> Activated {
        let unit = |q: &[f32]| {
            let norm = q.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
            [q[0] / norm, q[1] / norm, q[2] / norm, q[3] / norm]
        };
        Activated {
            means: self.means.clone(),
            sh: self.sh.clone(),
            coeffs: self.coeffs,
            opacities: self.opacity_logits.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect(),
            scales: self.log_scales.iter().map(|x| x.exp()).collect(),
            rotations: self.rotations.chunks_exact(4).flat_map(unit).collect(),
        }
    }

    /// Drops the spherical harmonics above `degree`. Gaussians of a lower degree are unchanged.
    pub fn reduce_sh_degree(&mut self, degree: u32) {
        let coeffs = (degree as usize).saturating_add(1).saturating_pow(2);
        if coeffs < self.coeffs {
            self.sh = self.sh.chunks_exact(3 * self.coeffs).flat_map(|c| &c[..3 * coeffs]).copied().collect();
            self.coeffs = coeffs;
        }
    }

    /// The Gaussians at `indices`, in that order.
    ///
    /// # Panics
    /// Panics if an index is not below [`len`](Self::len), or if the arrays disagree in length.
    #[must_use]
    pub fn select(&self, indices: &[u32]) -> Self {
        let pick = |values: &[f32], each: usize| -> Vec<f32> {
            indices
                .iter()
                .flat_map(|&i| &values[each * i as usize..each * (i as usize + 1)])
                .copied()
                .collect()
        };
        Self {
            means: pick(&self.means, 3),
            sh: pick(&self.sh, 3 * self.coeffs),
            coeffs: self.coeffs,
            opacity_logits: pick(&self.opacity_logits, 1),
            log_scales: pick(&self.log_scales, 3),
            rotations: pick(&self.rotations, 4),
            origin: self.origin,
        }
    }

    /// Indices in Morton order (along a Z curve through the bounding box of the centres). Neighbours in space come close
    /// together, which formats that store bounds or images benefit from. Gaussians in the same cell keep their order.
    #[must_use]
    pub fn morton_order(&self) -> Vec<u32> {
        quantize::morton_order(&self.means)
    }

    /// Makes every number finite. An infinite opacity logit (some programs write one for a byte of 0 or 255) becomes
    /// +-16, which is almost 0 or 1 after the sigmoid; a scale of 0 (log scale minus infinity) becomes the smallest normal
    /// number. Gaussians with NaN or any other infinity are removed.
    ///
    /// # Errors
    /// [`Error::Length`] or [`Error::Settings`] if the arrays disagree in length.
    pub fn repair(&mut self) -> Result<Repair, Error> {
        let before = self.len();
        let (kept, clamped) = self.repaired()?;
        Ok(Repair { dropped: before - kept.len(), clamped })
    }

    /// As [`repair`](Self::repair); returns the numbers of those that were kept, and how many of them were made finite.
    fn repaired(&mut self) -> Result<(Vec<u32>, usize), Error> {
        self.check_lengths()?;
        let mut clamped = vec![false; self.len()];
        for (i, x) in self.opacity_logits.iter_mut().enumerate() {
            if x.is_infinite() {
                *x = 16.0f32.copysign(*x);
                clamped[i] = true;
            }
        }
        for (k, x) in self.log_scales.iter_mut().enumerate() {
            if *x == f32::NEG_INFINITY {
                *x = f32::MIN_POSITIVE.ln();
                clamped[k / 3] = true;
            }
        }
        let usable = |i: usize| {
            self.arrays()
                .iter()
                .all(|(_, values, n)| values[n * i..n * (i + 1)].iter().all(|x| x.is_finite()))
        };
        let keep: Vec<u32> = (0..self.len()).zip(0..).filter(|&(i, _)| usable(i)).map(|(_, i)| i).collect();
        let clamped = keep.iter().filter(|&&i| clamped[i as usize]).count();
        if keep.len() < self.len() {
            *self = self.select(&keep);
        }
        Ok((keep, clamped))
    }

    /// Checks that the arrays agree in length.
    ///
    /// # Errors
    /// [`Error::Settings`] for an impossible `coeffs`; [`Error::Length`] for the first array whose length does not match
    /// `P`.
    pub fn check_lengths(&self) -> Result<(), Error> {
        let p = self.len();
        if ![1, 4, 9, 16].contains(&self.coeffs) {
            return Err(Error::Settings(format!(
                "{} SH coefficients per Gaussian, expected 1, 4, 9 or 16 (degree 0 to 3)",
                self.coeffs
            )));
        }
        for (input, values, each) in self.arrays() {
            if Some(values.len()) != p.checked_mul(each) {
                let why = format!("P = {p}, {each} per Gaussian");
                return Err(Error::Length {
                    input,
                    found: values.len(),
                    expected: p.saturating_mul(each),
                    why,
                });
            }
        }
        Ok(())
    }

    /// Checks that the arrays agree in length and that all numbers are finite.
    ///
    /// # Errors
    /// As [`check_lengths`](Self::check_lengths), or [`Error::Value`] for the first number that is NaN or infinite.
    pub fn check(&self) -> Result<(), Error> {
        self.check_lengths()?;
        for (input, values, _) in self.arrays() {
            if let Some(index) = values.iter().position(|x| !x.is_finite()) {
                let value = values[index].to_string();
                return Err(Error::Value { input, index, value, needs: "it must be finite" });
            }
        }
        Ok(())
    }

    fn arrays(&self) -> [(&'static str, &[f32], usize); 5] {
        [
            ("means", &self.means, 3),
            ("sh", &self.sh, 3 * self.coeffs),
            ("opacity_logits", &self.opacity_logits, 1),
            ("log_scales", &self.log_scales, 3),
            ("rotations", &self.rotations, 4),
        ]
    }
}

impl Activated {
    /// The Gaussians as input of the rasterizer.
    #[must_use]
    pub fn scene(&self) -> Scene<'_, f32> {
        Scene {
            means3d: &self.means,
            opacities: &self.opacities,
            color: Color::Sh { values: &self.sh, coeffs: self.coeffs },
            shape: Shape::ScaleRotation { scales: &self.scales, rotations: &self.rotations },
            features: FeatureChannels::default(),
        }
    }
}
