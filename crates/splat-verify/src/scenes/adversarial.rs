//! Scenes chosen to break a rasterizer.

use splat_core::Settings;

use super::{Case, Random, Splat, camera, scene, turn};
use crate::demo::OwnedScene;

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
