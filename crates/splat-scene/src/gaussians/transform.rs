//! Moving, turning and scaling scenes: positions, sizes, orientations and harmonics change together, so that a camera that
//! moves along sees the same picture.

use splat_core::sh_basis;

use crate::{Gaussians, Origin};

/// A similarity transform of the world, without mirroring: `x' = scale * rotation * x + translation`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Similarity {
    /// Quaternion wxyz of any length above 0.
    pub rotation: [f64; 4],
    /// Above 0.
    pub scale: f64,
    /// World units, after the scaling.
    pub translation: [f64; 3],
}

impl Default for Similarity {
    /// Changes nothing.
    fn default() -> Self {
        Self { rotation: [1.0, 0.0, 0.0, 0.0], scale: 1.0, translation: [0.0; 3] }
    }
}

impl Similarity {
    /// The shortest rotation that turns the direction `from` to the direction `to`; neither has length 0.
    #[must_use]
    pub fn turning(from: [f64; 3], to: [f64; 3]) -> Self {
        let unit = |v: [f64; 3]| v.map(|x| x / dot(v, v).sqrt());
        let (a, b) = (unit(from), unit(to));
        let w = 1.0 + dot(a, b);
        if w < 1e-9 {
            // Opposite: half a turn about any axis across.
            let other = if a[0].abs() < 0.6 { [1.0, 0.0, 0.0] } else { [0.0, 1.0, 0.0] };
            let [x, y, z] = cross(a, other);
            return Self { rotation: [0.0, x, y, z], ..Self::default() };
        }
        let [x, y, z] = cross(a, b);
        Self { rotation: [w, x, y, z], ..Self::default() }
    }

    /// This transform, then `next`.
    #[must_use]
    pub fn then(&self, next: &Self) -> Self {
        Self {
            rotation: product(next.rotation, self.rotation),
            scale: next.scale * self.scale,
            translation: next.apply(self.translation),
        }
    }

    /// Where a point comes to lie.
    #[must_use]
    pub fn apply(&self, point: [f64; 3]) -> [f64; 3] {
        let turned = self.turn(point);
        std::array::from_fn(|k| turned[k] + self.translation[k])
    }

    /// The linear part: a vector turned and scaled.
    fn turn(&self, v: [f64; 3]) -> [f64; 3] {
        self.matrix().map(|row| self.scale * dot(row, v))
    }

    /// The rotation, row-major.
    #[must_use]
    pub fn matrix(&self) -> [[f64; 3]; 3] {
        let norm = self.rotation.iter().map(|x| x * x).sum::<f64>().sqrt();
        let [w, x, y, z] = self.rotation.map(|c| c / norm);
        [
            [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
            [2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)],
            [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)],
        ]
    }

    fn turns(&self) -> bool {
        self.rotation[1..].iter().any(|&x| x != 0.0)
    }
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// The quaternion of the rotation `b`, then `a`.
fn product(a: [f64; 4], b: [f64; 4]) -> [f64; 4] {
    [
        a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3],
        a[0] * b[1] + a[1] * b[0] + a[2] * b[3] - a[3] * b[2],
        a[0] * b[2] - a[1] * b[3] + a[2] * b[0] + a[3] * b[1],
        a[0] * b[3] + a[1] * b[2] - a[2] * b[1] + a[3] * b[0],
    ]
}

/// The quaternion wxyz of a rotation matrix, of no particular length. Of the four ways to it (Shepperd, "Quaternion from rotation
/// matrix", 1978), the one that divides by the largest component.
pub(super) fn quaternion(r: &[[f64; 3]; 3]) -> [f64; 4] {
    let squares = [
        1.0 + r[0][0] + r[1][1] + r[2][2],
        1.0 + r[0][0] - r[1][1] - r[2][2],
        1.0 - r[0][0] + r[1][1] - r[2][2],
        1.0 - r[0][0] - r[1][1] + r[2][2],
    ];
    let largest = (1..4).fold(0, |best, k| if squares[k] > squares[best] { k } else { best });
    let s = squares[largest];
    match largest {
        0 => [s, r[2][1] - r[1][2], r[0][2] - r[2][0], r[1][0] - r[0][1]],
        1 => [r[2][1] - r[1][2], s, r[0][1] + r[1][0], r[0][2] + r[2][0]],
        2 => [r[0][2] - r[2][0], r[0][1] + r[1][0], s, r[1][2] + r[2][1]],
        _ => [r[1][0] - r[0][1], r[0][2] + r[2][0], r[1][2] + r[2][1], s],
    }
}

/// How the 16 coefficients of a function on the sphere change if the function is turned by `rotation`: `[to][from]`. The
/// turned function is projected on the basis by a quadrature that is exact for products of degree 3 and 3: four nodes of
/// Gauss and Legendre along z, eight directions about it.
fn harmonics(rotation: &[[f64; 3]; 3]) -> [[f64; 16]; 16] {
    const NODES: [(f64, f64); 4] = [
        (-0.861_136_311_594_052_6, 0.347_854_845_137_453_85),
        (-0.339_981_043_584_856_3, 0.652_145_154_862_546_1),
        (0.339_981_043_584_856_3, 0.652_145_154_862_546_1),
        (0.861_136_311_594_052_6, 0.347_854_845_137_453_85),
    ];
    let mut matrix = [[0.0; 16]; 16];
    for (z, weight) in NODES {
        let r = (1.0 - z * z).sqrt();
        for step in 0..8 {
            let (sin, cos) = (f64::from(step) * std::f64::consts::FRAC_PI_4).sin_cos();
            let direction = [r * cos, r * sin, z];
            let before =
                std::array::from_fn::<f64, 3, _>(|k| (0..3).map(|i| rotation[i][k] * direction[i]).sum());
            let (to, from) = (sh_basis(3, direction), sh_basis(3, before));
            for (row, y) in matrix.iter_mut().zip(to) {
                for (entry, x) in row.iter_mut().zip(from) {
                    *entry += weight * std::f64::consts::FRAC_PI_4 * y * x;
                }
            }
        }
    }
    matrix
}

impl Gaussians {
    /// Applies a transform of the world. Colours turn with the scene. A scene that has an origin takes it along; one that
    /// comes to lie far from the world's origin gets one ([`Origin::choose`]), and one that comes near it loses it.
    ///
    /// # Panics
    /// Panics if the arrays disagree in length.
    pub fn transform(&mut self, by: &Similarity) {
        let chosen = Origin::choose(self.world_means().map(|x| by.apply(x)));
        if chosen.is_zero() || self.origin.is_zero() {
            self.means = self.world_means().flat_map(|x| chosen.to_local(by.apply(x))).collect();
            self.origin = chosen;
        } else {
            for m in self.means.chunks_exact_mut(3) {
                let turned = by.turn([0, 1, 2].map(|k| f64::from(m[k])));
                (0..3).for_each(|k| m[k] = turned[k] as f32);
            }
            self.origin = Origin { offset: by.apply(self.origin.offset) };
        }
        if by.scale != 1.0 {
            let log = by.scale.ln();
            self.log_scales.iter_mut().for_each(|x| *x = (f64::from(*x) + log) as f32);
        }
        if !by.turns() {
            return;
        }
        let norm = by.rotation.iter().map(|x| x * x).sum::<f64>().sqrt();
        let turn = by.rotation.map(|x| x / norm);
        for q in self.rotations.chunks_exact_mut(4) {
            let turned = product(turn, [0, 1, 2, 3].map(|k| f64::from(q[k])));
            (0..4).for_each(|k| q[k] = turned[k] as f32);
        }
        let matrix = harmonics(&by.matrix());
        for sh in self.sh.chunks_exact_mut(3 * self.coeffs) {
            let before: [f32; 48] = std::array::from_fn(|k| sh.get(k).copied().unwrap_or(0.0));
            // A turn mixes the coefficients of a degree with each other alone.
            for to in 1..self.coeffs {
                let degree = to.isqrt();
                for c in 0..3 {
                    let band = degree * degree..(degree + 1) * (degree + 1);
                    sh[3 * to + c] = band
                        .map(|from| matrix[to][from] * f64::from(before[3 * from + c]))
                        .sum::<f64>() as f32;
                }
            }
        }
    }
}
