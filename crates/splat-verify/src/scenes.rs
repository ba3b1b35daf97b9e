//! Scenes that engines are compared on: adversarial ones made by formulas, and trained ones from shared data.
//!
//! World units, camera at the origin looking along +z unless a case says otherwise. Values are activated.

use std::path::{Path, PathBuf};

use splat_core::{Camera, Settings};

use crate::demo::OwnedScene;

/// One call: what, from where, how.
#[derive(Debug)]
pub struct Case {
    /// For messages and tables.
    pub name: String,
    /// The Gaussians.
    pub scene: OwnedScene,
    /// The camera.
    pub camera: Camera,
    /// How to render.
    pub settings: Settings,
}

/// A small deterministic generator (SplitMix64): the same scene on every machine.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A stream of its own for every seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Uniform in `[0, 1)`.
    pub fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Standard normal (Box-Muller).
    pub fn normal(&mut self) -> f64 {
        let (u, v) = (1.0 - self.uniform(), self.uniform());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    /// `n` upstream gradients or other noise, normal.
    #[must_use]
    pub fn normals(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.normal() as f32).collect()
    }
}

/// One splat: centre, scales, quaternion wxyz, opacity.
type Splat = ([f64; 3], [f64; 3], [f64; 4], f64);

/// `count` splats by `make`, SH of the given degree with random coefficients.
fn scene(
    count: usize,
    degree: u32,
    seed: u64,
    mut make: impl FnMut(usize, &mut Random) -> Splat,
) -> OwnedScene {
    let mut random = Random::new(seed);
    let coeffs = (degree as usize + 1).pow(2);
    let mut s = OwnedScene {
        means3d: Vec::new(),
        opacities: Vec::new(),
        color: Vec::new(),
        sh_coeffs: Some(coeffs),
        scales: Vec::new(),
        rotations: Vec::new(),
        cov3d: Vec::new(),
    };
    for i in 0..count {
        let (mean, scale, rotation, opacity) = make(i, &mut random);
        s.means3d.extend(mean.map(|x| x as f32));
        s.scales.extend(scale.map(|x| x as f32));
        s.rotations.extend(rotation.map(|x| x as f32));
        s.opacities.push(opacity as f32);
        let (base, rest) = (random.normals(3), random.normals(3 * coeffs - 3));
        s.color.extend(base.iter().map(|x| 0.6 * x));
        s.color.extend(rest.iter().map(|x| 0.15 * x));
    }
    s
}

fn turn(random: &mut Random) -> [f64; 4] {
    let q = [random.normal(), random.normal(), random.normal(), random.normal()];
    let n = q.iter().map(|x| x * x).sum::<f64>().sqrt();
    q.map(|x| x / n)
}

fn camera(width: u32, height: u32, fov: f64) -> Camera {
    Camera::look_at(width, height, fov, [0.0; 3], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0])
}

/// The synthetic scene of the project's benchmarks: centres `N(0,1) * (2,1.2,2) + (0,0,6)`, scales
/// `exp(N(ln s, .7))`, random turns, opacity `sigmoid(N(0,2))`, SH degree 3, vertical field of view 60 degrees.
#[must_use]
pub fn synthetic(count: usize, size: f64, width: u32, height: u32) -> Case {
    let scene = scene(count, 3, count as u64, |_, r| {
        (
            [2.0 * r.normal(), 1.2 * r.normal(), 6.0 + 2.0 * r.normal()],
            [0; 3].map(|_: i32| (size.ln() + 0.7 * r.normal()).exp()),
            turn(r),
            1.0 / (1.0 + (-2.0 * r.normal()).exp()),
        )
    });
    Case {
        name: format!("synthetic-{count}"),
        scene,
        camera: camera(width, height, 60.0),
        settings: Settings::default(),
    }
}

/// A scene before a camera of this width, height and field of view; the degree is at most that of the scene.
fn framed(name: &str, (width, height, fov): (u32, u32, f64), settings: Settings, scene: OwnedScene) -> Case {
    let stored = scene.sh_coeffs.map_or(0, |m| m.isqrt() as u32 - 1);
    let settings = Settings { sh_degree: settings.sh_degree.min(stored), ..settings };
    Case { name: name.into(), scene, camera: camera(width, height, fov), settings }
}

/// [`framed`], of as many splats by `make` and with the degree and seed of [`scene`].
fn case(
    name: &str,
    size: (u32, u32, f64),
    settings: Settings,
    (count, degree, seed): (usize, u32, u64),
    make: impl FnMut(usize, &mut Random) -> Splat,
) -> Case {
    framed(name, size, settings, scene(count, degree, seed, make))
}

/// Cases chosen to break a rasterizer: each names what it is about.
#[must_use]
pub fn adversarial() -> Vec<Case> {
    let usual = Settings::default();
    let round = [1.0, 0.0, 0.0, 0.0];
    let antialiased = Settings { antialiasing: true, background: [0.9, 0.4, 0.1], ..usual };
    let modified = Settings { scale_modifier: 0.6, sh_degree: 1, background: [1.0; 3], ..usual };
    let mut cases = vec![
        case("all in one tile", (64, 64, 40.0), usual, (5000, 3, 1), |_, r| {
            (
                [0.02 * r.normal(), 0.02 * r.normal(), 4.0 + r.uniform()],
                [0.01; 3],
                turn(r),
                0.02 + 0.3 * r.uniform(),
            )
        }),
        case("opaque wall", (160, 96, 60.0), usual, (4000, 0, 2), |i, r| {
            let (x, y) = ((i % 80) as f64 / 40.0 - 1.0, (i / 80) as f64 / 25.0 - 1.0);
            ([2.5 * x, 1.5 * y, 3.0 + 0.01 * r.uniform()], [0.08, 0.06, 0.07], round, 1.0)
        }),
        case("full-screen splats", (96, 64, 60.0), usual, (300, 1, 3), |_, r| {
            (
                [0.3 * r.normal(), 0.3 * r.normal(), 5.0 + r.normal()],
                [4.0, 3.0, 2.0],
                turn(r),
                0.05 + 0.1 * r.uniform(),
            )
        }),
        case("all faint", (80, 80, 50.0), usual, (3000, 0, 4), |_, r| {
            ([r.normal(), r.normal(), 5.0 + r.normal()], [0.15; 3], turn(r), 0.01)
        }),
        case("needles", (120, 75, 60.0), usual, (600, 2, 5), |_, r| {
            ([r.normal(), 0.6 * r.normal(), 4.0 + r.normal()], [1.5, 0.002, 0.002], turn(r), 0.6)
        }),
        case("behind and at the camera", (75, 50, 90.0), usual, (800, 3, 6), |_, r| {
            ([0.5 * r.normal(), 0.5 * r.normal(), 0.6 * r.normal()], [0.05; 3], turn(r), 0.5)
        }),
        case("far outside the frustum", (64, 48, 70.0), usual, (500, 1, 7), |_, r| {
            ([6.0 * r.normal(), 6.0 * r.normal(), 1.0 + r.uniform()], [1.0, 0.3, 0.2], turn(r), 0.4)
        }),
        case("equal depths", (64, 64, 50.0), usual, (500, 0, 8), |_, r| {
            ([0.5 * r.normal(), 0.5 * r.normal(), 3.0], [0.1, 0.07, 0.12], round, 0.5)
        }),
        case("opacities 0, 1/255, 1", (50, 50, 50.0), usual, (300, 0, 9), |i, r| {
            (
                [0.6 * r.normal(), 0.6 * r.normal(), 3.0 + r.uniform()],
                [0.1; 3],
                turn(r),
                [0.0, 1.0 / 255.0, 1.0][i % 3],
            )
        }),
        case("quaternions of other lengths", (64, 48, 50.0), usual, (300, 1, 10), |_, r| {
            let length = 0.4 + 1.5 * r.uniform();
            (
                [0.8 * r.normal(), 0.6 * r.normal(), 4.0 + r.normal()],
                [0.2, 0.1, 0.05],
                turn(r).map(|x| length * x),
                0.7,
            )
        }),
        case("sub-pixel, antialiased", (97, 61, 60.0), antialiased, (4000, 3, 11), |_, r| {
            ([2.0 * r.normal(), 1.2 * r.normal(), 8.0 + r.normal()], [0.004, 0.002, 0.003], turn(r), 0.8)
        }),
        case("modifier, lower degree, white", (33, 17, 45.0), modified, (400, 3, 12), |_, r| {
            ([r.normal(), 0.5 * r.normal(), 4.0 + r.normal()], [0.2, 0.1, 0.15], turn(r), 0.6)
        }),
        case("one pixel", (1, 1, 60.0), usual, (50, 3, 13), |_, r| {
            ([0.1 * r.normal(), 0.1 * r.normal(), 2.0 + r.uniform()], [0.3; 3], turn(r), 0.3)
        }),
        case("one huge splat", (64, 48, 60.0), usual, (3, 0, 14), |i, _| {
            ([0.0, 0.0, 1.0 + i as f64], [400.0, 300.0, 1.0], round, 0.3)
        }),
    ];
    let mut colors =
        scene(500, 0, 15, |_, r| ([r.normal(), r.normal(), 4.0 + r.normal()], [0.1; 3], round, 0.5));
    let p = colors.opacities.len();
    colors.sh_coeffs = None;
    colors.color = Random::new(16).normals(3 * p).iter().map(|x| 0.5 + 0.2 * x).collect();
    let mut random = Random::new(17);
    for _ in 0..p {
        // A random lower triangle times its transpose is a covariance.
        let l: Vec<f64> = (0..6).map(|_| 0.1 * random.normal()).collect();
        let (a, b, c, d, e, f) = (l[0], l[1], l[2], l[3], l[4], l[5]);
        let m = [a * a, a * b, a * d, b * b + c * c, b * d + c * e, d * d + e * e + f * f];
        colors.cov3d.extend(m.map(|x| x as f32));
    }
    (colors.scales, colors.rotations) = (Vec::new(), Vec::new());
    cases.push(framed("colours and covariances given", (75, 50, 50.0), usual, colors));
    cases
}

/// Trained scenes, from views that show something: `arkit` from its `.splat`, and those PLY files of
/// `$SPLAT_SCENES` that there are (the SOG scenes, converted).
///
/// # Panics
/// If a file that is there cannot be read.
#[must_use]
pub fn trained(data: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    let owned = |g: &splat_scene::Gaussians| {
        let a = g.activated();
        OwnedScene {
            means3d: a.means,
            opacities: a.opacities,
            color: a.sh,
            sh_coeffs: Some(a.coeffs),
            scales: a.scales,
            rotations: a.rotations,
            cov3d: Vec::new(),
        }
    };
    let up = [0.0, -1.0, 0.0];
    let mut add = |name: &str, g: &splat_scene::Gaussians, camera: Camera| {
        let settings = Settings { sh_degree: g.sh_degree(), ..Settings::default() };
        cases.push(Case { name: name.into(), scene: owned(g), camera, settings });
    };
    let arkit = data.join("scenes/arkit/scene.splat");
    if arkit.exists() {
        // The cameras.json beside it is of another frame: none of its cameras sees the scene.
        let g = splat_scene::splat_file::read(&arkit).expect("arkit's scene");
        let camera = Camera::look_at(600, 600, 45.0, [1.4, 0.6, -7.9], [1.4, 0.82, -5.85], up);
        add("arkit", &g, camera);
    }
    let views = [
        ("playbot", [0.0, -1.2, -2.6], [0.0, -0.4, 0.0], 50.0, (960, 540)),
        ("street", [-10.0, -1.2, -2.0], [10.0, -1.0, -2.0], 60.0, (960, 540)),
        ("blocks", [0.0, 0.2, -3.0], [0.0, 0.2, 0.0], 60.0, (512, 512)),
    ];
    let Some(folder) = std::env::var_os("SPLAT_SCENES").map(PathBuf::from) else { return cases };
    for (name, eye, target, fov, (w, h)) in views {
        let file = folder.join(format!("{name}.ply"));
        if file.exists() {
            let g = splat_scene::ply::read_gaussians(&file).expect("a scene in PLY");
            add(name, &g, Camera::look_at(w, h, fov, eye, target, up));
        }
    }
    cases
}
