//! Numbers of 16 and 8 bits that stand for `f32`, rounded up or down at random so that the mean of many roundings is the
//! number itself. Without that, a step smaller than half a unit would be lost every time.
//!
//! What is drawn depends on seed, target, step, row and column alone: the same run gives the same bits on every machine and
//! after every resume. No update rule here.

use half::f16;

/// The random bits of one step of one parameter.
#[derive(Debug, Clone, Copy)]
pub struct Draws {
    low: u32,
    high: u32,
}

impl Draws {
    /// Draws for step `step` of parameter `target` in a run with this seed.
    #[must_use]
    pub fn new(seed: u64, target: u32, step: u64) -> Self {
        // The finaliser of SplitMix64 (Steele, Lea and Flood 2014) after each of the three.
        let mix = |mut x: u64| {
            x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            x ^ (x >> 31)
        };
        let golden = 0x9E37_79B9_7F4A_7C15_u64;
        let key = mix(mix(mix(seed.wrapping_add(golden)) ^ u64::from(target)).wrapping_add(step));
        Self { low: key as u32, high: (key >> 32) as u32 }
    }

    /// 32 bits for a row and a column: a mixer with the multipliers of Wellons' `lowbias32`, the key entering twice.
    #[must_use]
    pub fn bits(self, row: u32, column: u32) -> u32 {
        let mut x = row.wrapping_mul(0x9E37_79B1).wrapping_add(column.wrapping_mul(0x85EB_CA77)) ^ self.low;
        x = (x ^ (x >> 16)).wrapping_mul(0x7FEB_352D);
        x = (x ^ (x >> 15)).wrapping_add(self.high).wrapping_mul(0x846C_A68B);
        x ^ (x >> 16)
    }
}

/// The number that 16 bits of IEEE 754 binary16 stand for.
#[must_use]
pub fn from_half(bits: u16) -> f32 {
    f16::from_bits(bits).to_f32()
}

/// binary16 at or next to `x`, by 13 random bits. What is beyond its range becomes its largest number.
#[must_use]
pub fn to_half(x: f32, random: u32) -> u16 {
    let random = random & 0x1FFF;
    let (sign, magnitude) = ((x.to_bits() >> 16 & 0x8000) as u16, x.to_bits() & 0x7FFF_FFFF);
    // From 2^-14 on a unit is the 13th bit of the mantissa; below, it is 2^-24.
    let rounded = if magnitude > f32::INFINITY.to_bits() {
        0x7E00
    } else if magnitude >= 0x3880_0000 {
        ((magnitude.saturating_add(random) >> 13) - (112 << 10)).min(0x7BFF)
    } else {
        (f32::from_bits(magnitude) * 16_777_216.0 + random as f32 * (1.0 / 8192.0)) as u32
    };
    sign | rounded as u16
}

/// The number that 16 bits of bfloat16 stand for.
#[must_use]
pub fn from_bfloat(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// bfloat16 at or next to `x`, by 16 random bits.
#[must_use]
pub fn to_bfloat(x: f32, random: u32) -> u16 {
    let bits = x.to_bits();
    // The largest numbers, infinity and NaN are cut off.
    let random = if bits & 0x7FFF_FFFF >= 0x7F7F_0000 { 0 } else { random & 0xFFFF };
    (bits.wrapping_add(random) >> 16) as u16
}

/// What a unit of a row's numbers stands for, so that `codes` units are the largest of them; 0, as all of them then are, if
/// that is below 1e-30.
#[must_use]
pub fn unit(largest: f32, codes: f32) -> f32 {
    if largest >= 1e-30 { largest * (1.0 / codes) } else { 0.0 }
}

/// The integer at or next to `x / unit`, by `WIDTH` random bits; within `codes` on both sides.
fn code<const WIDTH: u32>(x: f32, unit: f32, codes: f32, random: u32) -> f32 {
    if unit == 0.0 {
        return 0.0;
    }
    // Between 0 and 1 and never close to either, so that a whole number stays itself whatever the other roundings.
    let draw = ((random & ((1 << WIDTH) - 1)) as f32 + 0.5) * (1.0 / (1 << WIDTH) as f32);
    (x * (1.0 / unit) + draw).floor().clamp(-codes, codes)
}

/// A signed number as a multiple of `unit`, by 10 random bits.
#[must_use]
pub fn to_signed(x: f32, unit: f32, random: u32) -> i8 {
    code::<10>(x, unit, 127.0, random) as i8
}

/// A number of at least 0 as a multiple of `unit`, by 9 random bits. Only 0 becomes 0: a second moment that vanished
/// would make the next step as long as it gets.
#[must_use]
pub fn to_unsigned(x: f32, unit: f32, random: u32) -> u8 {
    let least = if x > 0.0 && unit > 0.0 { 1.0 } else { 0.0 };
    code::<9>(x, unit, 255.0, random).max(least) as u8
}
