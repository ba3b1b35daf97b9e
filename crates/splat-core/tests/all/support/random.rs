//! Random scenes in owned vectors, in f32 or f64, and losses over all image channels.

use splat_core::{Camera, Channel, Color, FeatureChannels, Outputs, Real, Scene, Settings, Shape, Upstream};

/// Steele, Lea and Flood's SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In [low, high).
    pub(crate) fn within(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn list<T: Real>(&mut self, n: usize, low: f64, high: f64) -> Vec<T> {
        (0..n).map(|_| T::from_f64_lossy(self.within(low, high))).collect()
    }
}

/// A scene that owns its numbers; which of them a render takes is chosen by `use_sh` and `use_cov`.
#[derive(Debug, Clone)]
pub(crate) struct Owned<T> {
    pub(crate) means3d: Vec<T>,
    pub(crate) opacities: Vec<T>,
    pub(crate) sh: Vec<T>,
    pub(crate) colors: Vec<T>,
    pub(crate) scales: Vec<T>,
    pub(crate) rotations: Vec<T>,
    pub(crate) cov3d: Vec<T>,
    /// Any number of channels; none by default.
    pub(crate) features: Vec<T>,
    /// The same numbers as `sh`, apart, after [`Owned::split`]; used when not empty.
    pub(crate) sh_first: Vec<T>,
    pub(crate) sh_rest: Vec<T>,
    pub(crate) use_sh: bool,
    pub(crate) use_cov: bool,
}

impl<T: Real> Owned<T> {
    /// `p` Gaussians 2 to 6 in front of [`camera`], inside its view, none dark enough for the clamp of colours,
    /// quaternions of lengths about 1.2, covariances of the same Gaussians.
    pub(crate) fn new(seed: u64, p: usize, size: (f64, f64)) -> Self {
        let mut r = Random(seed);
        let mut means3d = Vec::new();
        for _ in 0..p {
            let z = r.within(2.0, 6.0);
            means3d.extend([r.within(-0.4, 0.4) * z, r.within(-0.3, 0.3) * z, z].map(T::from_f64_lossy));
        }
        let opacities = r.list(p, 0.15, 0.9);
        let mut sh: Vec<T> = r.list(48 * p, -0.12, 0.12);
        for row in sh.chunks_exact_mut(48) {
            for dc in &mut row[..3] {
                *dc = T::from_f64_lossy(r.within(0.8, 2.5));
            }
        }
        let colors = r.list(3 * p, 0.1, 1.0);
        let scales: Vec<T> = r.list(3 * p, size.0, size.1);
        let mut rotations: Vec<T> = r.list(4 * p, -1.0, 1.0);
        for q in rotations.chunks_exact_mut(4) {
            let length = q.iter().map(|x| x.to_f64_exact().powi(2)).sum::<f64>().sqrt();
            let wanted = r.within(1.0, 1.4);
            q.iter_mut().for_each(|x| *x = T::from_f64_lossy(x.to_f64_exact() / length * wanted));
        }
        let cov3d = covariances(&scales, &rotations, 1.0);
        Self {
            means3d,
            opacities,
            sh,
            colors,
            scales,
            rotations,
            cov3d,
            features: Vec::new(),
            sh_first: Vec::new(),
            sh_rest: Vec::new(),
            use_sh: true,
            use_cov: false,
        }
    }

    /// With `count` feature channels.
    pub(crate) fn with_features(self, seed: u64, count: usize) -> Self {
        Self { features: Random(seed).list(count * self.opacities.len(), -1.0, 1.0), ..self }
    }

    /// With the coefficients in two parts.
    pub(crate) fn split(self) -> Self {
        let (mut sh_first, mut sh_rest) = (Vec::new(), Vec::new());
        for row in self.sh.chunks_exact(48) {
            sh_first.extend(&row[..3]);
            sh_rest.extend(&row[3..]);
        }
        Self { sh_first, sh_rest, ..self }
    }

    /// The same Gaussians as logarithms, logits and quaternions of another length.
    pub(crate) fn raw(self) -> Self {
        let t = T::from_f64_lossy;
        Self {
            opacities: self.opacities.iter().map(|o| -(T::one() / *o - T::one()).ln()).collect(),
            scales: self.scales.iter().map(|s| s.ln()).collect(),
            rotations: self.rotations.iter().map(|q| *q * t(0.7)).collect(),
            ..self
        }
    }

    pub(crate) fn scene(&self) -> Scene<'_, T> {
        Scene {
            means3d: &self.means3d,
            opacities: &self.opacities,
            color: if !self.sh_first.is_empty() {
                Color::SplitSh { first: &self.sh_first, rest: &self.sh_rest, coeffs: 16 }
            } else if self.use_sh {
                Color::Sh { values: &self.sh, coeffs: self.sh.len() / (3 * self.opacities.len()).max(1) }
            } else {
                Color::Rgb(&self.colors)
            },
            shape: if self.use_cov {
                Shape::Covariance(&self.cov3d)
            } else {
                Shape::ScaleRotation { scales: &self.scales, rotations: &self.rotations }
            },
            features: FeatureChannels {
                values: &self.features,
                count: self.features.len() / self.opacities.len().max(1),
            },
        }
    }

    /// The Gaussians in another order, or some of them: the new Gaussian `k` is the old `order[k]`.
    pub(crate) fn permuted(&self, order: &[usize]) -> Self {
        let p = self.opacities.len();
        let pick = |values: &[T]| -> Vec<T> {
            let each = values.len() / p;
            order.iter().flat_map(|&i| values[i * each..(i + 1) * each].iter().copied()).collect()
        };
        Self {
            means3d: pick(&self.means3d),
            opacities: pick(&self.opacities),
            sh: pick(&self.sh),
            colors: pick(&self.colors),
            scales: pick(&self.scales),
            rotations: pick(&self.rotations),
            cov3d: pick(&self.cov3d),
            features: pick(&self.features),
            ..self.clone()
        }
    }
}

/// Rows of `values` (as many as `order` has) in another order.
pub(crate) fn permute<T: Copy>(values: &[T], order: &[usize]) -> Vec<T> {
    let each = values.len() / order.len();
    order.iter().flat_map(|&i| values[i * each..(i + 1) * each].iter().copied()).collect()
}

/// `R S S R^T` by plain matrix products, independent of the engine: six entries per Gaussian.
pub(crate) fn covariances<T: Real>(scales: &[T], rotations: &[T], modifier: f64) -> Vec<T> {
    let mut out = Vec::new();
    for (s, q) in scales.chunks_exact(3).zip(rotations.chunks_exact(4)) {
        let [w, x, y, z] = [q[0], q[1], q[2], q[3]].map(Real::to_f64_exact);
        let r = [
            [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
            [2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)],
            [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)],
        ];
        let variance: Vec<f64> = s.iter().map(|s| (modifier * s.to_f64_exact()).powi(2)).collect();
        for (i, j) in [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)] {
            out.push(T::from_f64_lossy((0..3).map(|k| r[i][k] * variance[k] * r[j][k]).sum()));
        }
    }
    out
}

/// A camera a little off the origin and turned, 60 degrees across the height.
pub(crate) fn camera<T: Real>(width: u32, height: u32) -> Camera<T> {
    Camera::look_at(width, height, 60.0, [0.2, -0.1, -0.3], [0.1, 0.05, 4.0], [0.05, -1.0, 0.0])
}

pub(crate) fn settings<T: Real>() -> Settings<T> {
    let t = T::from_f64_lossy;
    Settings { background: [t(0.3), t(0.6), t(0.1)], ..Settings::default() }
}

/// Rotation and translation of [`camera`].
fn pose() -> ([[f64; 3]; 3], [f64; 3]) {
    let v = camera::<f64>(8, 8).view;
    (std::array::from_fn(|r| std::array::from_fn(|k| v[4 * k + r])), [v[12], v[13], v[14]])
}

/// [`camera`] with its principal point far off centre.
pub(crate) fn shifted_camera<T: Real>(width: u32, height: u32) -> Camera<T> {
    let (w, h) = (f64::from(width), f64::from(height));
    let (rotation, translation) = pose();
    Camera::from_pinhole(width, height, [0.9 * h, 0.8 * h, 0.3 * w, 0.65 * h], rotation, translation)
}

/// An orthographic camera that sees the same Gaussians, off centre too.
pub(crate) fn orthographic_camera<T: Real>(width: u32, height: u32) -> Camera<T> {
    let (w, h) = (f64::from(width), f64::from(height));
    let (rotation, translation) = pose();
    Camera::from_orthographic(width, height, [0.2 * h, 0.24 * h, 0.45 * w, 0.52 * h], rotation, translation)
}

/// Random weights of a loss that is linear in all outputs.
pub(crate) struct Weights<T> {
    color: Vec<T>,
    inv_depth: Vec<T>,
    depth: Vec<T>,
    alpha: Vec<T>,
    features: Vec<T>,
}

impl<T: Real> Weights<T> {
    pub(crate) fn new(seed: u64, camera: &Camera<T>) -> Self {
        Self::with_features(seed, camera, 0)
    }

    pub(crate) fn with_features(seed: u64, camera: &Camera<T>, count: usize) -> Self {
        let n = camera.width as usize * camera.height as usize;
        let mut r = Random(seed);
        Self {
            color: r.list(3 * n, -1.0, 1.0),
            inv_depth: r.list(n, -1.0, 1.0),
            depth: r.list(n, -0.3, 0.3),
            alpha: r.list(n, -1.0, 1.0),
            features: r.list(count * n, -1.0, 1.0),
        }
    }

    pub(crate) fn upstream(&self) -> Upstream<'_, T> {
        Upstream {
            color: Some(&self.color),
            inv_depth: Some(&self.inv_depth),
            depth: Some(&self.depth),
            alpha: Some(&self.alpha),
            features: (!self.features.is_empty()).then_some(&self.features),
            means2d_abs: false,
        }
    }

    pub(crate) fn loss(&self, outputs: &Outputs<T>) -> f64 {
        let dot = |a: &[T], b: &[T]| -> f64 {
            a.iter().zip(b).map(|(a, b)| a.to_f64_exact() * b.to_f64_exact()).sum()
        };
        dot(&self.color, &outputs[Channel::Color])
            + dot(&self.inv_depth, &outputs[Channel::InvDepth])
            + dot(&self.depth, &outputs[Channel::Depth])
            + dot(&self.alpha, &outputs[Channel::Alpha])
            + dot(&self.features, &outputs[Channel::Features])
    }
}
