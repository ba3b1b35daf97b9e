//! Packing and unpacking of the attributes.
//!
//! Position: 24-bit signed fixed point; in version 1, 16-bit floating point. Opacity: the sigmoid as a byte. Colour: 0.5 + 0.15 x coefficient as a byte. Log
//! scale: 16 (x + 10) as a byte. Harmonic: 128 + 128 x as a byte, coefficient by coefficient, RGB each. Quaternion: from
//! version 3 on, 2 bits for the component of xyzw that is left out, then a sign and 9 bits for each of the others, in units
//! of 1/sqrt 2; earlier versions have one byte for each of x, y, z, with w not below 0.

use std::path::Path;

use super::super::axes::Axes;
use super::Header;
use super::container::Streams;
use crate::gaussians::quantize::{byte, byte_of_logit, logit_of_byte, smallest_three, unit, unit_quaternion};
use crate::gaussians::rows::{Rows, each_part};
use crate::{Error, Gaussians, Origin, Result};

const COLOR: f32 = 0.15;
/// The largest step of the smallest three.
const NINE_BITS: f32 = 511.0;
/// The largest position, in steps.
const LIMIT: u32 = (1 << 23) - 1;

/// The number of fractional bits for positions up to `farthest`, at most 12; `None` if they do not fit at all.
pub(in crate::gaussians) fn fractional_bits(farthest: f32) -> Option<i32> {
    (0..=12).rev().find(|&bits| f64::from(farthest) * f64::from(bits).exp2() <= f64::from(LIMIT))
}

/// The Gaussians in `streams`, which must have the sizes that `header` states.
pub(super) fn unpack(header: &Header, streams: &Streams, axes: Axes) -> Gaussians {
    let [positions, opacities, colors, scales, rotations, harmonics] = streams;
    let coeffs = (usize::from(header.sh_degree) + 1).pow(2);
    let unit = f32::from(header.fractional_bits).exp2().recip();
    let fixed = |(i, b): (usize, &[u8])| {
        // Shift into the upper three bytes and back, to extend the sign.
        let x = i32::from_le_bytes([0, b[0], b[1], b[2]]) >> 8;
        axes.position[i % 3] * x as f32 * unit
    };
    let half = |(i, b): (usize, &[u8])| axes.position[i % 3] * half_float(u16::from_le_bytes([b[0], b[1]]));
    let means = match header.version {
        1 => positions.chunks_exact(2).enumerate().map(half).collect(),
        _ => positions.chunks_exact(3).enumerate().map(fixed).collect(),
    };
    let rotation: fn(&[u8]) -> [f32; 4] = if header.version <= 2 { first_three } else { xyzw };
    let per_rotation = if header.version <= 2 { 3 } else { 4 };
    let mut sh = Vec::with_capacity(3 * coeffs * header.points);
    for i in 0..header.points {
        sh.extend(colors[3 * i..3 * i + 3].iter().map(|&b| (f32::from(b) / 255.0 - 0.5) / COLOR));
        let rest = 3 * (coeffs - 1);
        let bytes = &harmonics[rest * i..rest * (i + 1)];
        sh.extend(
            bytes.iter().enumerate().map(|(k, &b)| axes.harmonics[k / 3] * (f32::from(b) - 128.0) / 128.0),
        );
    }
    Gaussians {
        means,
        sh,
        coeffs,
        opacity_logits: opacities.iter().map(|&b| logit_of_byte(b)).collect(),
        log_scales: scales.iter().map(|&b| f32::from(b) / 16.0 - 10.0).collect(),
        rotations: rotations
            .chunks_exact(per_rotation)
            .map(rotation)
            .flat_map(|[x, y, z, w]| {
                let [a, b, c] = axes.quaternion;
                [w, a * x, b * y, c * z]
            })
            .collect(),
        origin: Origin::default(),
    }
}

/// A number of IEEE 754's binary16.
fn half_float(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    let size = match exponent {
        0 => fraction * f32::powi(2.0, -24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + fraction) * f32::powi(2.0, exponent - 25),
    };
    sign * size
}

fn first_three(bytes: &[u8]) -> [f32; 4] {
    let [x, y, z] = std::array::from_fn(|k| f32::from(bytes[k]) / 127.5 - 1.0);
    let w = (1.0 - (x * x + y * y + z * z)).max(0.0).sqrt();
    // Through rounding, x, y, z can be longer than 1.
    let norm = (x * x + y * y + z * z + w * w).sqrt();
    [x, y, z, w].map(|c| c / norm)
}

fn xyzw(bytes: &[u8]) -> [f32; 4] {
    let word = u32::from_le_bytes(bytes.try_into().expect("four bytes each"));
    let other = |shift: u32| {
        let bits = word >> shift;
        let size = (bits & 511) as f32 / NINE_BITS * std::f32::consts::FRAC_1_SQRT_2;
        if bits & 512 == 0 { size } else { -size }
    };
    unit_quaternion((word >> 30) as usize, [other(20), other(10), other(0)])
}

/// x, y and z of the unit quaternion xyzw, or of its negative, in which w is not below 0.
fn pack_first_three([x, y, z, w]: [f32; 4]) -> [u8; 3] {
    let [w, x, y, z] = unit([w, x, y, z]);
    [x, y, z].map(|x| byte(127.5 + 127.5 * x * if w < 0.0 { -1.0 } else { 1.0 }))
}

fn pack_xyzw(q: [f32; 4]) -> [u8; 4] {
    let (largest, rest) = smallest_three(q);
    let bits = |x: f32| {
        let size = (NINE_BITS * x.abs() * std::f32::consts::SQRT_2).round().min(NINE_BITS) as u32;
        u32::from(x < 0.0) << 9 | size
    };
    let word = (largest as u32) << 30 | bits(rest[0]) << 20 | bits(rest[1]) << 10 | bits(rest[2]);
    word.to_le_bytes()
}

/// Harmonics keep 5 bits in degree 1 and 4 bits above, as in the format's own writer. Zero is kept exactly, and the values
/// repeat more often, which compresses better.
fn harmonic(x: f32, coefficient: usize) -> u8 {
    let bucket = if coefficient < 3 { 8.0 } else { 16.0 };
    // Relative to 128, so that 0 stays 0.
    byte(128.0 + bucket * (x * 128.0 / bucket).round())
}

/// The header and the attributes of `g`, which must be finite and have arrays that agree in length.
pub(super) fn pack(path: &Path, g: &dyn Rows, version: u32, axes: Axes) -> Result<(Header, Streams)> {
    let unusable = |message: String| Error::Unwritable { path: path.into(), format: "SPZ", message };
    u32::try_from(g.len())
        .map_err(|_| unusable(format!("there are {} Gaussians, but at most 2^32 - 1 fit", g.len())))?;
    let mut farthest = 0.0f32;
    each_part(g, |part| {
        farthest = part.means.iter().fold(farthest, |m, x| m.max(x.abs()));
        Ok::<_, Error>(())
    })?;
    let bits = fractional_bits(farthest).ok_or_else(|| {
        unusable(format!("a Gaussian is {farthest} from the origin on an axis, but at most {LIMIT} fits"))
    })?;
    let scale = (bits as f32).exp2();
    let header = Header {
        version,
        points: g.len(),
        sh_degree: (g.coeffs().isqrt() - 1) as u8,
        fractional_bits: bits as u8,
        flags: 0,
    };
    let mut streams = Streams::default();
    for (stream, size) in streams.iter_mut().zip(header.sizes()) {
        stream.reserve_exact(usize::try_from(size).unwrap_or(0));
    }
    each_part(g, |part| {
        add(part, scale, version, axes, &mut streams);
        Ok::<_, Error>(())
    })?;
    Ok((header, streams))
}

/// Appends the attributes of a part; `scale` is the number of steps in a unit.
fn add(g: &Gaussians, scale: f32, version: u32, axes: Axes, streams: &mut Streams) {
    let fixed = |(i, x): (usize, &f32)| {
        let bytes = ((axes.position[i % 3] * x * scale).round() as i32).to_le_bytes();
        [bytes[0], bytes[1], bytes[2]]
    };
    let per = 3 * g.coeffs;
    let [positions, opacities, colors, scales, rotations, harmonics] = streams;
    positions.extend(g.means.iter().enumerate().flat_map(fixed));
    opacities.extend(g.opacity_logits.iter().map(|&x| byte_of_logit(x)));
    colors.extend(g.sh.chunks_exact(per).flat_map(|c| &c[..3]).map(|x| byte(255.0 * (0.5 + COLOR * x))));
    scales.extend(g.log_scales.iter().map(|x| byte(16.0 * (x + 10.0))));
    for q in g.rotations.chunks_exact(4) {
        let [a, b, c] = axes.quaternion;
        let q = [a * q[1], b * q[2], c * q[3], q[0]];
        if version <= 2 { rotations.extend(pack_first_three(q)) } else { rotations.extend(pack_xyzw(q)) }
    }
    harmonics
        .extend(g.sh.chunks_exact(per).flat_map(|c| {
            c[3..].iter().enumerate().map(|(k, x)| harmonic(axes.harmonics[k / 3] * x, k / 3))
        }));
}
