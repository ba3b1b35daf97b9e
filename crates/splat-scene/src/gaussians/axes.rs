//! How flipping axes changes positions, quaternions and real spherical harmonics.
//!
//! A frame is named by the directions of x, y and z. SPZ and glTF use RUB (x right, y up, z back) where a PLY has RDF (x
//! right, y down, z forward). Only frames that keep the order of the axes are supported, which differ in signs alone.

/// The signs that convert from the axes of a file to RDF (x right, y down, z forward). They are their own inverse.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Axes {
    pub(super) position: [f32; 3],
    /// For x, y, z of a quaternion; w is unchanged.
    pub(super) quaternion: [f32; 3],
    /// For the 15 coefficients above degree 0.
    pub(super) harmonics: [f32; 15],
}

impl Axes {
    /// The frame of glTF and the default one of SPZ: x right, y up, z back.
    pub(super) const RUB: Self = Self::signs(1.0, -1.0, -1.0);

    /// The frame with this number in SPZ's extension for coordinate systems. The lowest three bits of the number
    /// minus one are L or R, D or U, B or F. 0 means unspecified, i.e. RUB; 9 to 16 have other orders of axes.
    pub(super) fn numbered(code: u32) -> Option<Self> {
        let sign = |bit: u32, same: u32| if (code - 1) >> bit & 1 == same { 1.0 } else { -1.0 };
        match code {
            0 => Some(Self::RUB),
            1..=8 => Some(Self::signs(sign(0, 1), sign(1, 0), sign(2, 1))),
            _ => None,
        }
    }

    /// A rotation about an axis changes its sense if exactly one of the two other axes is flipped. A harmonic changes by
    /// the parity of its polynomial (degree 1: y, z, x; degree 2: xy, yz, zz, xz, xx-yy; and so on).
    const fn signs(x: f32, y: f32, z: f32) -> Self {
        Self {
            position: [x, y, z],
            quaternion: [y * z, x * z, x * y],
            harmonics: [y, z, x, x * y, y * z, 1.0, x * z, 1.0, y, x * y * z, y, z, x, z, x],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_the_numbers_of_the_format() {
        assert_eq!(Axes::numbered(4), Some(Axes::RUB));
        assert_eq!(Axes::numbered(0), Some(Axes::RUB));
        assert_eq!(Axes::numbered(6), Some(Axes::signs(1.0, 1.0, 1.0)), "RDF is the frame in memory");
        assert_eq!(Axes::numbered(1), Some(Axes::signs(-1.0, 1.0, -1.0)), "LDB");
        assert_eq!(Axes::numbered(7), Some(Axes::signs(-1.0, -1.0, 1.0)), "LUF");
        assert_eq!(Axes::numbered(9), None);
    }
}
