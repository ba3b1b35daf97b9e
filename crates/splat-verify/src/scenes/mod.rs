//! Scenes that engines are compared on: adversarial ones made by formulas, and trained ones from shared data.
//!
//! World units, camera at the origin looking along +z unless a case says otherwise. Values are activated.

mod adversarial;
mod random;

use std::path::{Path, PathBuf};

use splat_core::{Camera, Settings};

pub use self::adversarial::adversarial;
pub use self::random::Random;
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
