//! What formats share: raw parameters from activated ones, opacities as bytes, smallest-three quaternions, Morton order, and
//! a limit on how far a compressed stream may expand.
//!
//! The layouts of the formats are in their own modules.

use std::path::Path;

use crate::{Error, Gaussians, Place, Result};

/// The opacity logit that a byte stands for. Bytes 0 and 255 stand for a quarter of a step above 0 and below 1, so that
/// the logit is finite and rounds back to the same byte.
pub(crate) fn logit_of_byte(byte: u8) -> f32 {
    let opacity = f32::from(byte).clamp(0.25, 254.75) / 255.0;
    (opacity / (1.0 - opacity)).ln()
}

/// The logit of an opacity. 0 and 1, and what lies beyond, become +-16 as in [`Gaussians::repair`]; NaN stays NaN.
pub(crate) fn logit(opacity: f32) -> f32 {
    let x = f64::from(opacity);
    if x <= 0.0 {
        -16.0
    } else if x >= 1.0 {
        16.0
    } else {
        (x / (1.0 - x)).ln() as f32
    }
}

/// The standard deviation that a log scale stands for, which is finite.
pub(crate) fn scale(log: f32) -> f32 {
    log.exp().min(f32::MAX)
}

/// The log scale of a standard deviation. What is not above 0 becomes the smallest normal number; NaN stays NaN.
pub(crate) fn log_scale(scale: f32) -> f32 {
    if scale < f32::MIN_POSITIVE { f32::MIN_POSITIVE.ln() } else { scale.ln() }
}

/// A quaternion wxyz at unit length; the identity if it has no length.
pub(crate) fn unit(q: [f32; 4]) -> [f32; 4] {
    let norm = q.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    if norm > 0.0 { q.map(|x| (f64::from(x) / norm) as f32) } else { [1.0, 0.0, 0.0, 0.0] }
}

/// The byte that is nearest to the opacity of a logit.
pub(crate) fn byte_of_logit(logit: f32) -> u8 {
    byte(255.0 / (1.0 + (-logit).exp()))
}

/// `x`, rounded and clamped to a byte.
pub(crate) fn byte(x: f32) -> u8 {
    x.round().clamp(0.0, 255.0) as u8
}

/// A quaternion without its largest component: the index of that component, and the others of the unit quaternion (or of
/// its negative, which is the same rotation) in which the largest is positive. A zero quaternion becomes the identity.
pub(crate) fn smallest_three(q: [f32; 4]) -> (usize, [f32; 3]) {
    let norm = q.iter().map(|x| x * x).sum::<f32>().sqrt();
    // If the norm overflows or vanishes, scale first.
    let q = if norm > 1e-12 && norm.is_finite() {
        q.map(|x| x / norm)
    } else {
        let most = q.iter().fold(0.0f32, |m, x| m.max(x.abs()));
        let scaled = q.map(|x| x / most);
        let norm = scaled.iter().map(|x| x * x).sum::<f32>().sqrt();
        if norm.is_finite() { scaled.map(|x| x / norm) } else { [1.0, 0.0, 0.0, 0.0] }
    };
    let largest = (1..4).fold(0, |best, i| if q[i].abs() > q[best].abs() { i } else { best });
    let sign = if q[largest] < 0.0 { -1.0 } else { 1.0 };
    let mut rest = (0..4).filter(|&i| i != largest).map(|i| sign * q[i]);
    (largest, std::array::from_fn(|_| rest.next().expect("three of four are left")))
}

/// The inverse of [`smallest_three`].
pub(crate) fn unit_quaternion(largest: usize, rest: [f32; 3]) -> [f32; 4] {
    let square: f32 = rest.iter().map(|x| x * x).sum();
    let mut others = rest.into_iter();
    std::array::from_fn(|i| match i == largest {
        true => (1.0 - square).max(0.0).sqrt(),
        false => others.next().expect("three of four are others"),
    })
}

/// The Morton order of `means` within their bounding box: neighbours in space come close together.
pub(crate) fn morton_order(means: &[f32]) -> Vec<u32> {
    let mut min = [f32::INFINITY; 3];
    let mut max = [f32::NEG_INFINITY; 3];
    for m in means.chunks_exact(3) {
        for k in 0..3 {
            min[k] = min[k].min(m[k]);
            max[k] = max[k].max(m[k]);
        }
    }
    // 21 bits per axis, spread to every third bit of 63.
    let spread = |x: u64| {
        let x = (x | x << 32) & 0x001f_0000_0000_ffff;
        let x = (x | x << 16) & 0x001f_0000_ff00_00ff;
        let x = (x | x << 8) & 0x100f_00f0_0f00_f00f;
        let x = (x | x << 4) & 0x10c3_0c30_c30c_30c3;
        (x | x << 2) & 0x1249_2492_4924_9249
    };
    let cell = |m: &[f32], k: usize| {
        let range = f64::from(max[k]) - f64::from(min[k]);
        let t = if range > 0.0 { (f64::from(m[k]) - f64::from(min[k])) / range } else { 0.0 };
        spread((t * f64::from((1u32 << 21) - 1)) as u64)
    };
    let mut keyed: Vec<(u64, u32)> = means
        .chunks_exact(3)
        .zip(0..)
        .map(|(m, i)| (cell(m, 0) | cell(m, 1) << 1 | cell(m, 2) << 2, i))
        .collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, i)| i).collect()
}

/// Returns `g` if all its numbers are finite, else an error about its file.
pub(crate) fn finite(path: &Path, g: Gaussians) -> Result<Gaussians> {
    match g.check() {
        Ok(()) => Ok(g),
        Err(e) => Err(Error::Malformed {
            path: path.into(),
            place: Place::Byte(0),
            message: format!("the file decodes to unusable numbers: {e}"),
        }),
    }
}

/// How many bytes `compressed` bytes may expand to: 64 times as many plus 64 MiB. Real files expand less than 20 times; a
/// decompression bomb must not decide how much memory is used.
pub(crate) fn allowance(compressed: usize) -> u64 {
    (64 << 20) + 64 * compressed as u64
}

/// An error if `expanded` is above the [`allowance`].
pub(crate) fn within_allowance(path: &Path, at: u64, compressed: usize, expanded: u64) -> Result<()> {
    let most = allowance(compressed);
    if expanded <= most {
        return Ok(());
    }
    Err(Error::Malformed {
        path: path.into(),
        place: Place::Byte(at),
        message: format!(
            "{compressed} bytes would unpack to {expanded}, more than {most} (64 to 1 plus 64 MiB): refused as \
             damaged or malicious"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte is the one nearest to the logit that it stands for.
    #[test]
    fn opacity_bytes_come_back() {
        for b in 0..=255 {
            assert!(logit_of_byte(b).is_finite());
            assert_eq!(byte_of_logit(logit_of_byte(b)), b);
        }
    }

    #[test]
    fn quaternions_come_back_up_to_sign() {
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..1000 {
            let q: [f32; 4] = std::array::from_fn(|_| rng.f32() - 0.5);
            let norm = q.iter().map(|x| x * x).sum::<f32>().sqrt();
            let (largest, rest) = smallest_three(q.map(|x| x * 3.0));
            let back = unit_quaternion(largest, rest);
            let cosine: f32 = (0..4).map(|i| q[i] / norm * back[i]).sum();
            assert!(cosine.abs() > 1.0 - 1e-6 && back[largest] >= 0.0, "{q:?} {back:?}");
        }
        for odd in [[0.0; 4], [1e-30, 0.0, 0.0, 0.0], [3e38, 3e38, -3e38, 3e38]] {
            let (largest, rest) = smallest_three(odd);
            let back = unit_quaternion(largest, rest);
            assert!((back.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5, "{odd:?} {back:?}");
        }
    }

    /// The order is a permutation, and steps along it are short.
    #[test]
    fn neighbours_in_the_order_are_neighbours_in_space() {
        let mut rng = fastrand::Rng::with_seed(2);
        let means: Vec<f32> = (0..3 * 4096).map(|_| rng.f32()).collect();
        let order = morton_order(&means);
        let mut seen = order.clone();
        seen.sort_unstable();
        assert_eq!(seen, (0..4096).collect::<Vec<u32>>());
        let length = |order: &[u32]| -> f32 {
            let at = |i: u32| &means[3 * i as usize..3 * i as usize + 3];
            let step =
                |w: &[u32]| at(w[0]).iter().zip(at(w[1])).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
            order.windows(2).map(step).sum()
        };
        assert!(length(&order) < 0.25 * length(&(0..4096).collect::<Vec<_>>()));
        assert_eq!(morton_order(&[1.0; 9]), [0, 1, 2], "an extent of 0 does not divide by zero");
    }
}
