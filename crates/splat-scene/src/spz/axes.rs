//! What turning axes around does to positions, quaternions and real spherical harmonics.
//!
//! SPZ names frames by where x, y and z point. Only those that keep the axes' order are known here: a change of
//! sign each, no rotation.

/// Signs that lead from a file's axes to RDF (x right, y down, z forward), and back: they are their own inverse.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Axes {
    pub(super) position: [f32; 3],
    /// For x, y, z of a quaternion; w stays.
    pub(super) quaternion: [f32; 3],
    /// For the 15 coefficients above degree 0.
    pub(super) harmonics: [f32; 15],
}

impl Axes {
    /// The format's own frame: x right, y up, z back.
    pub(super) const RUB: Self = Self::signs(1.0, -1.0, -1.0);

    /// The frame that the format's extension for coordinate systems numbers from 1: L or R, then D or U, then B
    /// or F are its lowest three bits, minus one. 0 is unspecified, which means RUB; 9 to 16 have other orders.
    pub(super) fn numbered(code: u32) -> Option<Self> {
        let sign = |bit: u32, same: u32| if (code - 1) >> bit & 1 == same { 1.0 } else { -1.0 };
        match code {
            0 => Some(Self::RUB),
            1..=8 => Some(Self::signs(sign(0, 1), sign(1, 0), sign(2, 1))),
            _ => None,
        }
    }

    /// A rotation about an axis keeps its sense unless the two other axes turn it round. A harmonic changes by
    /// the parity of the polynomial that it is (Y_lm of degree 1: y, z, x; 2: xy, yz, zz, xz, xx-yy; and so on).
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
    fn frames_are_numbered_as_the_format_does() {
        assert_eq!(Axes::numbered(4), Some(Axes::RUB));
        assert_eq!(Axes::numbered(0), Some(Axes::RUB));
        assert_eq!(Axes::numbered(6), Some(Axes::signs(1.0, 1.0, 1.0)), "RDF is the frame in memory");
        assert_eq!(Axes::numbered(1), Some(Axes::signs(-1.0, 1.0, -1.0)), "LDB");
        assert_eq!(Axes::numbered(7), Some(Axes::signs(-1.0, -1.0, 1.0)), "LUF");
        assert_eq!(Axes::numbered(9), None);
    }
}
