//! Lens distortion: from a ray `x/z, y/z` (OpenCV axes) to a normalised image point, which focal lengths and principal
//! point turn into pixels, and back.
//!
//! Every perspective camera model of COLMAP belongs to one of a few families; each family names the source of its
//! formulas. This module knows no image sizes and no pixels; `warp.rs` resamples images.

/// A lens with distortion, i.e. not a pinhole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lens {
    name: &'static str,
    shape: Shape,
    /// The radius in the shape's plane up to which the distortion is monotonic. Beyond it polynomials turn back, because
    /// they were never fitted there.
    limit: f64,
}

/// A family of models with its parameters. `r` is the distance from the axis in the plane that the shape acts on: the
/// image plane of the pinhole, or for fisheyes the plane in which `r` is the angle from the axis in radians.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    /// Radial `(1 + n1 r^2 + .. n4 r^8) / (1 + d1 r^2 + .. d3 r^6)`, decentring `p1 p2`: D. Brown,
    /// "Close-range camera calibration" (1971), with the denominator of OpenCV's rational model.
    Brown { n: [f64; 4], d: [f64; 3], p: [f64; 2] },
    /// Radial `1 + k1 r^2 + .. k4 r^8` on the angle: J. Kannala and S. Brandt, "A generic camera model and
    /// calibration method" (2006); decentring `p` and thin prism `s`: J. Weng et al., "Camera calibration
    /// with distortion models and accuracy evaluation" (1992).
    Fisheye { k: [f64; 4], p: [f64; 2], s: [f64; 2] },
    /// The same with six radial terms, and with decentring and prism applied to their result: "Fisheye624" in the
    /// documentation of Project Aria's intrinsics.
    Fisheye624 { k: [f64; 6], p: [f64; 2], s: [f64; 4] },
    /// `atan(2 r tan(w/2)) / w`: F. Devernay and O. Faugeras, "Straight lines have to be straight" (2001).
    Fov { omega: f64 },
    /// The undistorted point is the distorted one over `1 + k r^2`: A. Fitzgibbon, "Simultaneous linear
    /// estimation of multiple view geometry and lens distortion" (2001).
    Division { k: f64 },
    /// `1 / (a sqrt(b r^2 + 1) + 1 - a)`: B. Khomutenko et al., "An enhanced unified camera model" (2016).
    Unified { alpha: f64, beta: f64 },
}

/// COLMAP's camera models: number, name, count of focal lengths, count of lens parameters. A model whose number is
/// `None` has no number in any release yet and is read by name. Source: COLMAP 4.2, `sensor/models`.
const MODELS: [(Option<i32>, &str, usize, usize); 18] = [
    (Some(0), "SIMPLE_PINHOLE", 1, 0),
    (Some(1), "PINHOLE", 2, 0),
    (Some(2), "SIMPLE_RADIAL", 1, 1),
    (Some(3), "RADIAL", 1, 2),
    (Some(4), "OPENCV", 2, 4),
    (Some(5), "OPENCV_FISHEYE", 2, 4),
    (Some(6), "FULL_OPENCV", 2, 8),
    (Some(7), "FOV", 2, 1),
    (Some(8), "SIMPLE_RADIAL_FISHEYE", 1, 1),
    (Some(9), "RADIAL_FISHEYE", 1, 2),
    (Some(10), "THIN_PRISM_FISHEYE", 2, 8),
    (Some(11), "RAD_TAN_THIN_PRISM_FISHEYE", 2, 12),
    (Some(12), "SIMPLE_DIVISION", 1, 1),
    (Some(13), "DIVISION", 2, 1),
    (Some(14), "SIMPLE_FISHEYE", 1, 0),
    (Some(15), "FISHEYE", 2, 0),
    (Some(16), "EUCM", 2, 2),
    (None, "BROWN_CONRADY", 1, 5),
];

/// One of COLMAP's camera models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CameraModel {
    /// COLMAP's name for it.
    pub name: &'static str,
    focals: usize,
    extras: usize,
}

impl CameraModel {
    /// The model with this number in COLMAP's binary files.
    #[must_use]
    pub fn by_id(id: i32) -> Option<Self> {
        MODELS.iter().find(|m| m.0 == Some(id)).map(|&(_, name, focals, extras)| Self {
            name,
            focals,
            extras,
        })
    }

    /// The model with this name in COLMAP's text files, in any case.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        MODELS.iter().find(|m| m.1.eq_ignore_ascii_case(name)).map(|&(_, name, focals, extras)| Self {
            name,
            focals,
            extras,
        })
    }

    /// The number of parameters of a camera of this model: focal lengths, principal point and lens.
    #[must_use]
    pub fn numbers(self) -> usize {
        self.focals + 2 + self.extras
    }

    /// `fx fy cx cy` in pixels and the lens from COLMAP's list of parameters. The lens is `None` for a pinhole, which
    /// includes lenses whose parameters are all 0 if the model then is a pinhole.
    ///
    /// # Errors
    /// A description of what is wrong with the parameters: their count is not [`numbers`](Self::numbers), they are not
    /// finite, a focal length is not above 0, or the lens sees nothing.
    pub fn camera(self, numbers: &[f64]) -> Result<([f64; 4], Option<Lens>), String> {
        if numbers.len() != self.numbers() {
            return Err(format!("{} numbers, but {} has {}", numbers.len(), self.name, self.numbers()));
        }
        let (focal, rest) = numbers.split_at(self.focals);
        let (fx, fy, cx, cy) = (focal[0], focal[self.focals - 1], rest[0], rest[1]);
        if !(fx.is_finite() && fy.is_finite() && fx > 0.0 && fy > 0.0) {
            return Err(format!("the focal lengths are {fx} and {fy}, expected finite numbers above 0"));
        }
        if !(cx.is_finite() && cy.is_finite()) {
            return Err(format!("the principal point is {cx}, {cy}, expected finite numbers"));
        }
        Ok(([fx, fy, cx, cy], self.lens(&rest[2..])?))
    }

    fn lens(self, e: &[f64]) -> Result<Option<Lens>, String> {
        if let Some(bad) = e.iter().find(|x| !x.is_finite()) {
            return Err(format!("{bad} is among the distortion parameters, expected finite numbers"));
        }
        let brown = |n, p| Shape::Brown { n, d: [0.0; 3], p };
        let fisheye = |k| Shape::Fisheye { k, p: [0.0; 2], s: [0.0; 2] };
        let shape = match self.name {
            "SIMPLE_PINHOLE" | "PINHOLE" => return Ok(None),
            "SIMPLE_RADIAL" => brown([e[0], 0.0, 0.0, 0.0], [0.0; 2]),
            "RADIAL" => brown([e[0], e[1], 0.0, 0.0], [0.0; 2]),
            "OPENCV" => brown([e[0], e[1], 0.0, 0.0], [e[2], e[3]]),
            "BROWN_CONRADY" => brown([e[0], e[1], e[2], 0.0], [e[3], e[4]]),
            "FULL_OPENCV" => {
                Shape::Brown { n: [e[0], e[1], e[4], 0.0], d: [e[5], e[6], e[7]], p: [e[2], e[3]] }
            }
            "OPENCV_FISHEYE" => fisheye([e[0], e[1], e[2], e[3]]),
            "SIMPLE_RADIAL_FISHEYE" => fisheye([e[0], 0.0, 0.0, 0.0]),
            "RADIAL_FISHEYE" => fisheye([e[0], e[1], 0.0, 0.0]),
            "SIMPLE_FISHEYE" | "FISHEYE" => fisheye([0.0; 4]),
            "THIN_PRISM_FISHEYE" => {
                Shape::Fisheye { k: [e[0], e[1], e[4], e[5]], p: [e[2], e[3]], s: [e[6], e[7]] }
            }
            "RAD_TAN_THIN_PRISM_FISHEYE" => Shape::Fisheye624 {
                k: std::array::from_fn(|i| e[i]),
                // Aria numbers the decentring terms in the opposite order to OpenCV.
                p: [e[7], e[6]],
                s: std::array::from_fn(|i| e[8 + i]),
            },
            "FOV" => Shape::Fov { omega: e[0] },
            "SIMPLE_DIVISION" | "DIVISION" => Shape::Division { k: e[0] },
            "EUCM" if (0.0..=1.0).contains(&e[0]) && e[1] > 0.0 => Shape::Unified { alpha: e[0], beta: e[1] },
            "EUCM" => {
                return Err(format!("alpha and beta are {} and {}, expected 0 to 1 and above 0", e[0], e[1]));
            }
            other => unreachable!("{other} is in the list of models but has no formula"),
        };
        Lens::new(self.name, shape)
    }
}

impl Lens {
    /// OpenCV's perspective model as nerfstudio writes it: radial `k1..k4` (up to `r^8`), decentring `p1 p2`. `None` if
    /// all are 0.
    ///
    /// # Errors
    /// As [`CameraModel::camera`].
    pub fn polynomial(k: [f64; 4], p: [f64; 2]) -> Result<Option<Self>, String> {
        if k.iter().chain(&p).any(|x| !x.is_finite()) {
            return Err(format!("the distortion is k {k:?}, p {p:?}, expected finite numbers"));
        }
        Self::new("OPENCV", Shape::Brown { n: k, d: [0.0; 3], p })
    }

    fn new(name: &'static str, shape: Shape) -> Result<Option<Self>, String> {
        let pinhole = match shape {
            Shape::Brown { n, d, p } => n.iter().chain(&d).chain(&p).all(|&x| x == 0.0),
            // The limit at 0 is the pinhole; closer to 0 than this the formula loses precision.
            Shape::Fov { omega } => omega.abs() < 1e-6,
            Shape::Division { k } => k == 0.0,
            Shape::Unified { alpha, .. } => alpha == 0.0,
            Shape::Fisheye { .. } | Shape::Fisheye624 { .. } => false,
        };
        if pinhole {
            return Ok(None);
        }
        let mut lens = Self { name, shape, limit: 0.0 };
        lens.limit = lens.find_limit();
        if lens.limit < 0.01 {
            return Err(format!("a {name} lens whose distortion turns back close to the axis: {shape:?}"));
        }
        Ok(Some(lens))
    }

    /// COLMAP's name for the model.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether the shape acts on angles rather than on the image plane.
    fn on_angles(&self) -> bool {
        matches!(self.shape, Shape::Fisheye { .. } | Shape::Fisheye624 { .. })
    }

    /// The radius at which the radial part stops growing; at most 90 degrees from the axis, because a pinhole cannot show
    /// more.
    fn find_limit(&self) -> f64 {
        const STEPS: u32 = 4096;
        let most = if self.on_angles() { std::f64::consts::FRAC_PI_2 } else { 32.0 };
        let mut last = 0.0;
        for i in 1..=STEPS {
            // Quadratic spacing: fine near the axis, where most of every image is.
            let t = f64::from(i) / f64::from(STEPS);
            let r = most * t * t;
            let out = self.radial(r * r) * r;
            if !(out > last && out.is_finite()) {
                let t = f64::from(i - 1) / f64::from(STEPS);
                return most * t * t;
            }
            last = out;
        }
        most
    }

    /// The radial factor at the squared radius `r2` in the shape's plane; not above 0 where it is undefined.
    fn radial(&self, r2: f64) -> f64 {
        let polynomial = |k: &[f64]| 1.0 + r2 * k.iter().rev().fold(0.0, |sum, &k| sum * r2 + k);
        match self.shape {
            Shape::Brown { n, d, .. } => {
                let below = polynomial(&d);
                if below > 0.0 { polynomial(&n) / below } else { 0.0 }
            }
            Shape::Fisheye { k, .. } => polynomial(&k),
            Shape::Fisheye624 { k, .. } => polynomial(&k),
            Shape::Fov { omega } => {
                let (r, slope) = (r2.sqrt(), 2.0 * (omega / 2.0).tan());
                if r * slope.abs() < 1e-7 { slope / omega } else { (r * slope).atan() / (r * omega) }
            }
            Shape::Division { k } => {
                let root = 1.0 - 4.0 * k * r2;
                if root >= 0.0 { 2.0 / (1.0 + root.sqrt()) } else { 0.0 }
            }
            Shape::Unified { alpha, beta } => 1.0 / (alpha * (beta * r2 + 1.0).sqrt() + 1.0 - alpha),
        }
    }

    /// The complete distortion within the shape's plane.
    fn bend(&self, [u, v]: [f64; 2]) -> [f64; 2] {
        let r2 = u * u + v * v;
        let f = self.radial(r2);
        let decentred = |[u, v]: [f64; 2], r2: f64, [p1, p2]: [f64; 2]| {
            [2.0 * p1 * u * v + p2 * (r2 + 2.0 * u * u), 2.0 * p2 * u * v + p1 * (r2 + 2.0 * v * v)]
        };
        match self.shape {
            Shape::Brown { p, .. } => {
                let [du, dv] = decentred([u, v], r2, p);
                [u * f + du, v * f + dv]
            }
            Shape::Fisheye { p, s, .. } => {
                let [du, dv] = decentred([u, v], r2, p);
                [u * f + du + s[0] * r2, v * f + dv + s[1] * r2]
            }
            Shape::Fisheye624 { p, s, .. } => {
                let (x, y) = (u * f, v * f);
                let r2 = x * x + y * y;
                let [dx, dy] = decentred([x, y], r2, p);
                [x + dx + r2 * (s[0] + s[1] * r2), y + dy + r2 * (s[2] + s[3] * r2)]
            }
            Shape::Fov { .. } | Shape::Division { .. } | Shape::Unified { .. } => [u * f, v * f],
        }
    }

    /// The largest length of a ray `x/z, y/z` that [`distort`](Self::distort) accepts; infinite if it is at 90 degrees.
    #[must_use]
    pub fn widest(&self) -> f64 {
        match self.on_angles() {
            true if self.limit > std::f64::consts::FRAC_PI_2 - 1e-6 => f64::INFINITY,
            true => self.limit.tan(),
            false => self.limit,
        }
    }

    /// The normalised image point that the ray `x/z, y/z` falls on; `None` beyond the range that the lens was fitted to,
    /// where the formula turns back.
    #[must_use]
    pub fn distort(&self, [x, y]: [f64; 2]) -> Option<[f64; 2]> {
        let r = x.hypot(y);
        let to_plane = if self.on_angles() && r > 1e-9 { r.atan() / r } else { 1.0 };
        (r * to_plane <= self.limit).then(|| self.bend([x * to_plane, y * to_plane]))
    }

    /// The ray `x/z, y/z` that falls on a normalised image point: the inverse of [`distort`](Self::distort), by Newton's
    /// method to 1e-9. `None` if no ray in front of the camera does.
    #[must_use]
    pub fn undistort(&self, [x, y]: [f64; 2]) -> Option<[f64; 2]> {
        let mut p = self.start([x, y]);
        for _ in 0..50 {
            let at = self.bend(p);
            let miss = [at[0] - x, at[1] - y];
            if miss[0].hypot(miss[1]) < 1e-11 {
                break;
            }
            const H: f64 = 1e-6;
            let (right, left) = (self.bend([p[0] + H, p[1]]), self.bend([p[0] - H, p[1]]));
            let (down, up) = (self.bend([p[0], p[1] + H]), self.bend([p[0], p[1] - H]));
            let [a, c] = [0, 1].map(|i| (right[i] - left[i]) / (2.0 * H));
            let [b, d] = [0, 1].map(|i| (down[i] - up[i]) / (2.0 * H));
            let det = a * d - b * c;
            if det.abs() < 1e-12 {
                return None;
            }
            let step = [(d * miss[0] - b * miss[1]) / det, (a * miss[1] - c * miss[0]) / det];
            // Steps are limited, because steep places throw Newton's steps far outside of what the lens sees.
            let scale = 0.25 * self.limit / step[0].hypot(step[1]).max(1e-300);
            p = [p[0] - step[0] * scale.min(1.0), p[1] - step[1] * scale.min(1.0)];
        }
        let (at, r) = (self.bend(p), p[0].hypot(p[1]));
        if !((at[0] - x).hypot(at[1] - y) < 1e-9 && r <= self.limit) {
            return None;
        }
        if !self.on_angles() || r < 1e-9 {
            return Some(p);
        }
        // Close to 90 degrees the tangent has no precision left.
        (r < std::f64::consts::FRAC_PI_2 - 1e-6).then(|| p.map(|c| c * r.tan() / r))
    }

    /// The start of Newton's method: the inverse of the radial part alone, by bisection, which selects the branch.
    fn start(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let aim = x.hypot(y);
        if aim < 1e-12 {
            return [x, y];
        }
        let (mut low, mut high) = (0.0, self.limit);
        for _ in 0..24 {
            let middle = 0.5 * (low + high);
            if self.radial(middle * middle) * middle < aim { low = middle } else { high = middle }
        }
        [x * low / aim, y * low / aim]
    }
}
