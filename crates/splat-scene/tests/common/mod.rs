//! Shared by the tests of Gaussian formats: a scene made by arithmetic alone, and a comparison of two scenes.
#![allow(dead_code, reason = "each test file takes what it needs")]

pub(crate) mod packed;
pub(crate) mod ply_file;

use splat_scene::Gaussians;

/// Pseudo-random numbers from 0 to 1 (SplitMix64), independent of the version of any library.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ x >> 31) >> 40) as f32 / (1u64 << 24) as f32
    }
}

/// `p` Gaussians with `coeffs` coefficients, within the range of every format: positions to 8 and a few to 300,
/// harmonics of twenty kinds (so that a palette can be exact), quaternions of any length.
pub(crate) fn scene(p: usize, coeffs: usize) -> Gaussians {
    let mut rng = Rng(7);
    let mut within = |a: f32, b: f32| a + (b - a) * rng.next();
    let kinds: Vec<f32> = (0..20 * 45).map(|_| within(-0.4, 0.4)).collect();
    let mut g = Gaussians { coeffs, ..Gaussians::default() };
    for i in 0..p {
        let far = if i % 50 == 17 { 300.0 } else { 8.0 };
        g.means.extend((0..3).map(|_| within(-far, far)));
        g.sh.extend((0..3).map(|_| within(-1.6, 1.6)));
        g.sh.extend_from_slice(&kinds[45 * (i % 20)..][..3 * (coeffs - 1)]);
        g.opacity_logits.push(within(-5.0, 5.0));
        g.log_scales.extend((0..3).map(|_| within(-9.0, 1.0)));
        g.rotations.extend((0..4).map(|_| within(-2.0, 2.0)));
    }
    g
}

/// How much the numbers of two scenes may differ.
#[derive(Clone, Copy)]
pub(crate) struct Tolerance {
    /// Of a position, and of a position per unit of distance from the origin.
    pub(crate) mean: (f32, f32),
    pub(crate) log_scale: f32,
    /// Of the opacity after the sigmoid.
    pub(crate) opacity: f32,
    /// Length of the difference of the unit quaternions, of either sign.
    pub(crate) rotation: f32,
    pub(crate) dc: f32,
    /// By the degree, 1 to 3.
    pub(crate) sh: [f32; 3],
}

impl Tolerance {
    /// The rounding of `f32` arithmetic.
    pub(crate) const EXACT: Self =
        Self { mean: (1e-6, 1e-6), log_scale: 1e-5, opacity: 1e-6, rotation: 2e-6, dc: 1e-5, sh: [1e-6; 3] };
    /// Colour bytes over SH_C0; log scales as f32 of their exponential; 128 steps of a quaternion's component.
    pub(crate) const SPLAT: Self =
        Self { opacity: 0.502 / 255.0, rotation: 0.009, dc: 0.502 / 255.0 / 0.2820948, ..Self::EXACT };
    pub(crate) const SPZ: Self = Self {
        mean: (0.501 / 4096.0, 1e-6),
        log_scale: 0.501 / 16.0,
        opacity: 0.502 / 255.0,
        rotation: 0.003,
        dc: 0.502 / 255.0 / 0.15,
        sh: [0.501 / 16.0, 0.501 / 8.0, 0.501 / 8.0],
    };
    /// Beyond the shared steps, positions and scales depend on the chunk: `bounds` is their largest extent.
    pub(crate) fn compressed(mean: f32, log_scale: f32, dc: f32) -> Self {
        Self {
            mean: (0.501 * mean / 1023.0, 1e-6),
            log_scale: 0.501 * log_scale / 1023.0,
            opacity: 0.502 / 255.0,
            rotation: 0.003,
            dc: 0.502 * dc / 255.0,
            sh: [0.501 / 32.0; 3],
        }
    }
}

fn quaternion_distance(a: &[f32], b: &[f32]) -> f32 {
    let unit = |q: &[f32]| {
        let norm = q.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        std::array::from_fn::<f64, 4, _>(|k| f64::from(q[k]) / norm)
    };
    let (a, b) = (unit(a), unit(b));
    let apart = |sign: f64| a.iter().zip(b).map(|(x, y)| (x - sign * y).powi(2)).sum::<f64>().sqrt();
    apart(1.0).min(apart(-1.0)) as f32
}

pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Fails with the first number of `b` that differs from that of `a` by more than `t` allows.
#[track_caller]
pub(crate) fn assert_near(what: &str, a: &Gaussians, b: &Gaussians, t: Tolerance) {
    assert_eq!((a.len(), a.coeffs), (b.len(), b.coeffs), "{what}: numbers of Gaussians and coefficients");
    b.check_lengths().unwrap();
    let near = |name: &str, i: usize, x: f32, y: f32, most: f32| {
        assert!((x - y).abs() <= most, "{what}: {name} {i}: {x} and {y} are more than {most} apart");
    };
    for (i, (&x, &y)) in a.means.iter().zip(&b.means).enumerate() {
        near("mean", i, x, y, t.mean.0 + t.mean.1 * x.abs());
    }
    for (i, (&x, &y)) in a.log_scales.iter().zip(&b.log_scales).enumerate() {
        near("log scale", i, x, y, t.log_scale);
    }
    for (i, (&x, &y)) in a.opacity_logits.iter().zip(&b.opacity_logits).enumerate() {
        near("opacity", i, sigmoid(x), sigmoid(y), t.opacity);
    }
    for (i, (&x, &y)) in a.sh.iter().zip(&b.sh).enumerate() {
        let m = i / 3 % a.coeffs;
        let most = if m == 0 { t.dc } else { t.sh[m.isqrt() - 1] };
        near("coefficient", i, x, y, most);
    }
    for (i, (x, y)) in a.rotations.chunks_exact(4).zip(b.rotations.chunks_exact(4)).enumerate() {
        let apart = quaternion_distance(x, y);
        assert!(apart <= t.rotation, "{what}: rotation {i}: {x:?} and {y:?} are {apart} apart");
    }
}

/// The Gaussians of `b` in the order of those of `a`, matched by the nearest centre.
pub(crate) fn matched(a: &Gaussians, b: &Gaussians) -> Gaussians {
    assert_eq!(a.len(), b.len());
    let mut free: Vec<u32> = (0..b.len() as u32).collect();
    let order: Vec<u32> = a
        .means
        .chunks_exact(3)
        .map(|m| {
            let apart = |i: u32| -> f32 {
                let other = &b.means[3 * i as usize..3 * i as usize + 3];
                m.iter().zip(other).map(|(x, y)| (x - y).powi(2)).sum()
            };
            let k = (0..free.len()).min_by(|&x, &y| apart(free[x]).total_cmp(&apart(free[y]))).unwrap();
            free.swap_remove(k)
        })
        .collect();
    b.select(&order)
}
