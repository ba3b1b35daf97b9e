//! Gaussians on the host, as they are stored and optimised: before the activations.
//!
//! World coordinates; quaternions wxyz, not normalised. Values are kept as found, NaN included:
//! [`Gaussians::check`] names the first unusable one. The device's copy is the trainer's business.

use splat_core::{Color, Error, Features, Scene, Shape};

/// The constant of the degree 0 spherical harmonic, `1 / (2 sqrt(pi))`: colour = 0.5 + this * `f_dc`.
pub const SH_C0: f32 = 0.282_094_8;

/// `P` Gaussians, raw parameters, row-major.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Gaussians {
    /// Centres, `[P,3]`.
    pub means: Vec<f32>,
    /// Spherical harmonics, `[P,M,3]`: coefficient by coefficient, RGB each.
    pub sh: Vec<f32>,
    /// `M`: 1, 4, 9 or 16.
    pub coeffs: usize,
    /// `[P]`: opacity = sigmoid of this.
    pub opacity_logits: Vec<f32>,
    /// `[P,3]`: standard deviation = exp of this.
    pub log_scales: Vec<f32>,
    /// `[P,4]`: wxyz, to be normalised.
    pub rotations: Vec<f32>,
}

/// What the rasterizer takes: [`Gaussians`] after the activations.
#[derive(Debug, Clone, PartialEq)]
pub struct Activated {
    /// `[P,3]`.
    pub means: Vec<f32>,
    /// `[P,M,3]`.
    pub sh: Vec<f32>,
    /// `M`.
    pub coeffs: usize,
    /// `[P]`, 0 to 1.
    pub opacities: Vec<f32>,
    /// `[P,3]`, above 0.
    pub scales: Vec<f32>,
    /// `[P,4]`, unit length; a zero quaternion stays zero.
    pub rotations: Vec<f32>,
}

impl Gaussians {
    /// `P`.
    #[must_use]
    pub fn len(&self) -> usize {
        self.opacity_logits.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.opacity_logits.is_empty()
    }

    /// The SH degree that `coeffs` holds.
    #[must_use]
    pub fn sh_degree(&self) -> u32 {
        match self.coeffs {
            0..=3 => 0,
            4..=8 => 1,
            9..=15 => 2,
            _ => 3,
        }
    }

    /// Exponentiates, squashes and normalises.
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

    /// Whether the arrays agree in length.
    ///
    /// # Errors
    /// The first array of another length than `P` implies.
    pub fn check_lengths(&self) -> Result<(), Error> {
        let p = self.len();
        if ![1, 4, 9, 16].contains(&self.coeffs) {
            return Err(Error::Settings(format!(
                "{} SH coefficients each, expected 1, 4, 9 or 16 (degree 0 to 3)",
                self.coeffs
            )));
        }
        for (input, values, each) in self.arrays() {
            if Some(values.len()) != p.checked_mul(each) {
                let why = format!("P = {p}, {each} each");
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

    /// Whether the arrays agree in length and hold finite numbers.
    ///
    /// # Errors
    /// The first array of another length, or the first number that is NaN or infinite.
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
    /// Borrowed as the rasterizer's input.
    #[must_use]
    pub fn scene(&self) -> Scene<'_, f32> {
        Scene {
            means3d: &self.means,
            opacities: &self.opacities,
            color: Color::Sh { values: &self.sh, coeffs: self.coeffs },
            shape: Shape::ScaleRotation { scales: &self.scales, rotations: &self.rotations },
            features: Features::default(),
        }
    }
}
