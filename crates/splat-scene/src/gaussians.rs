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

/// What [`Gaussians::repair`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Repair {
    /// Gaussians that are gone.
    pub dropped: usize,
    /// Gaussians that are left and had an infinity made finite.
    pub clamped: usize,
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

    /// Forgets the harmonics above `degree`; a scene of a lower degree stays as it is.
    pub fn reduce_sh_degree(&mut self, degree: u32) {
        let coeffs = (degree as usize).saturating_add(1).saturating_pow(2);
        if coeffs < self.coeffs {
            self.sh = self.sh.chunks_exact(3 * self.coeffs).flat_map(|c| &c[..3 * coeffs]).copied().collect();
            self.coeffs = coeffs;
        }
    }

    /// Adds `other`'s Gaussians behind these. The result has the higher of the two SH degrees; what the other
    /// lacked is 0.
    ///
    /// # Errors
    /// Arrays of either that disagree in length.
    pub fn append(&mut self, other: &Self) -> Result<(), Error> {
        self.check_lengths()?;
        other.check_lengths()?;
        let coeffs = self.coeffs.max(other.coeffs);
        let widened = |g: &Self| -> Vec<f32> {
            let zeros = [0.0].into_iter().cycle().take(3 * (coeffs - g.coeffs));
            g.sh.chunks_exact(3 * g.coeffs).flat_map(|c| c.iter().copied().chain(zeros.clone())).collect()
        };
        if coeffs > self.coeffs {
            self.sh = widened(self);
            self.coeffs = coeffs;
        }
        self.sh.extend(widened(other));
        self.means.extend(&other.means);
        self.opacity_logits.extend(&other.opacity_logits);
        self.log_scales.extend(&other.log_scales);
        self.rotations.extend(&other.rotations);
        Ok(())
    }

    /// The Gaussians at `indices`, in that order.
    ///
    /// # Panics
    /// An index that is not below [`len`](Self::len), or arrays that disagree in length.
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
        }
    }

    /// Indices along a Z curve through the centres' bounding box: neighbours in space come close together, which
    /// the formats that store bounds or pictures need. Equal cells keep their order.
    #[must_use]
    pub fn morton_order(&self) -> Vec<u32> {
        crate::quantize::morton_order(&self.means)
    }

    /// Makes every number finite. An infinite opacity (some programs write one for a byte of 0 or 255) becomes
    /// +-16, which is 0 or 1 in `f32`'s eyes; a scale of 0 (minus infinity) becomes the smallest normal number.
    /// Gaussians that hold NaN or any other infinity are dropped.
    ///
    /// # Errors
    /// Arrays that disagree in length.
    pub fn repair(&mut self) -> Result<Repair, Error> {
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
        let dropped = self.len() - keep.len();
        let clamped = keep.iter().filter(|&&i| clamped[i as usize]).count();
        if dropped > 0 {
            *self = self.select(&keep);
        }
        Ok(Repair { dropped, clamped })
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
