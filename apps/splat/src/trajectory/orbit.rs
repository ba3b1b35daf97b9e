//! A circle around a scene, estimated from its cameras where there are some, else from its Gaussians.

use splat_core::Camera;
use splat_scene::Gaussians;

use super::{Pose, Shot, UP};
use anyhow::{Result, anyhow};
use splat_init::linear::{Vec3, along, cross, dot, median, nearest_to_lines, norm, quantile, sub, unit};

/// Most Gaussians that are looked at.
const SAMPLE: usize = 100_000;

/// Optical axes that differ by less (as [`nearest_to_lines`] measures it) meet nowhere.
const PARALLEL: f64 = 1e-3;

/// A circle with the camera looking at its centre. World units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Orbit {
    /// What the camera looks at.
    pub(crate) center: [f64; 3],
    /// Unit vector; the circle is perpendicular to it.
    pub(crate) up: [f64; 3],
    /// Of the circle.
    pub(crate) radius: f64,
    /// Of the circle over `center`, along `up`.
    pub(crate) height: f64,
    /// From `center`, roughly, to the first camera.
    pub(crate) start: [f64; 3],
}

impl Orbit {
    /// Where `cameras` look together, at their median distance and height; `scene` answers where they look past
    /// one another. Robust: a few odd cameras have little weight.
    ///
    /// None if there are no cameras, or they are all at the place they look at.
    #[must_use]
    pub(crate) fn of_cameras(cameras: &[&Camera], scene: &Gaussians) -> Option<Self> {
        if cameras.is_empty() {
            return None;
        }
        let poses: Vec<Pose> = cameras.iter().map(|c| Pose::of(c)).collect();
        let mut down = [0.0; 3];
        for pose in &poses {
            (0..3).for_each(|k| down[k] += pose.rotation[1][k] / poses.len() as f64);
        }
        // Cameras of all orientations cancel out.
        let up = if norm(down) > 0.2 { unit(down.map(|x| -x))? } else { UP };
        let center = meeting_point(&poses).or_else(|| middle(&body(scene)?))?;
        let offsets: Vec<[f64; 3]> = poses.iter().map(|p| sub(p.center(), center)).collect();
        let height = median(offsets.iter().map(|o| dot(*o, up)).collect())?;
        let flat = |o: &[f64; 3]| along(*o, up, -dot(*o, up));
        let radius = median(offsets.iter().map(|o| norm(flat(o))).collect())?;
        (radius > 1e-9).then(|| Self { center, up, radius, height, start: flat(&offsets[0]) })
    }

    /// Around the opaque Gaussians, so far away that nearly all of them are in the image wherever on the circle the
    /// camera stands; `tangents` are those of half its fields of view, horizontal and vertical. From 15 degrees
    /// above, and Gaussians do not tell what is up: it is -y. A far background does not count.
    ///
    /// None where there are no Gaussians, or all are at one place.
    #[must_use]
    pub(crate) fn of_gaussians(scene: &Gaussians, tangents: [f64; 2]) -> Option<Self> {
        let points = body(scene)?;
        let middle = |k: usize| -> Option<f64> {
            let mut values: Vec<f64> = points.iter().map(|m| m[k]).collect();
            Some((quantile(&mut values, 0.01)? + quantile(&mut values, 0.99)?) / 2.0)
        };
        let center = [middle(0)?, middle(1)?, middle(2)?];
        let (sin, cos) = 15f64.to_radians().sin_cos();
        // How far away a point lets the camera be: |x| <= tangent * (distance + z), from eight sides.
        let mut needed: Vec<f64> = Vec::with_capacity(8 * points.len());
        for i in 0..8 {
            let (s, c) = (std::f64::consts::FRAC_PI_4 * f64::from(i)).sin_cos();
            let eye = [cos * s, -sin, -cos * c];
            let right = [c, 0.0, s];
            let down = [sin * s, cos, -sin * c];
            needed.extend(points.iter().map(|m| {
                let o = sub(*m, center);
                let (x, y, z) = (dot(o, right), dot(o, down), -dot(o, eye));
                (x.abs() / tangents[0]).max(y.abs() / tangents[1]) - z
            }));
        }
        let distance = 1.05 * quantile(&mut needed, 0.99)?;
        (distance.is_finite() && distance > 1e-9).then(|| Self {
            center,
            up: UP,
            radius: distance * cos,
            height: distance * sin,
            start: [0.0, 0.0, -1.0],
        })
    }

    /// `n` pictures once around, evenly: `frame_00000` and so on. `fov_y` is vertical.
    pub(crate) fn shots(&self, n: usize, [width, height]: [u32; 2], fov_y: f64) -> Result<Vec<Shot>> {
        let refused = || anyhow!("no circle: {self:?}");
        let numbers = [self.center, self.up, self.start, [self.radius, self.height, fov_y]];
        if !numbers.as_flattened().iter().all(|x| x.is_finite()) || self.radius <= 0.0 {
            return Err(refused());
        }
        let up = unit(self.up).ok_or_else(refused)?;
        let flat = |v: Vec3| unit(along(v, up, -dot(v, up)));
        let first = flat(self.start)
            .or_else(|| flat([0.0, 0.0, -1.0]))
            .or_else(|| flat([1.0, 0.0, 0.0]))
            .ok_or_else(refused)?;
        let second = cross(up, first);
        let shot = |i: usize| {
            let (sin, cos) = (std::f64::consts::TAU * i as f64 / n as f64).sin_cos();
            let eye = std::array::from_fn(|k| {
                self.center[k] + self.radius * (cos * first[k] + sin * second[k]) + self.height * up[k]
            });
            let camera = Camera::look_at(width, height, fov_y, eye, self.center, up);
            Shot { name: format!("frame_{i:05}"), camera }
        };
        Ok((0..n).map(shot).collect())
    }
}

/// The point nearest to the optical axes in the sense of least distances (least squares, reweighted). None where
/// the axes are nearly parallel, or where most cameras have it behind them.
fn meeting_point(poses: &[Pose]) -> Option<Vec3> {
    let axes: Vec<(Vec3, Vec3)> = poses.iter().map(|p| (p.center(), p.rotation[2])).collect();
    let mut weights = vec![1.0; poses.len()];
    let mut point = [0.0; 3];
    for _ in 0..20 {
        let (nearest, spread) = nearest_to_lines(&axes, &weights)?;
        if spread < PARALLEL {
            return None;
        }
        point = nearest;
        for ((center, axis), w) in axes.iter().zip(&mut weights) {
            let o = sub(point, *center);
            let off = norm(along(o, *axis, -dot(o, *axis)));
            *w = 1.0 / (off + 1e-3 * norm(o) + 1e-12);
        }
    }
    let before = axes.iter().filter(|(center, axis)| dot(sub(point, *center), *axis) > 0.0).count();
    (2 * before > poses.len()).then_some(point)
}

/// The median, coordinate by coordinate; None of nothing.
fn middle(points: &[Vec3]) -> Option<Vec3> {
    let coordinate = |k: usize| median(points.iter().map(|m| m[k]).collect());
    Some([coordinate(0)?, coordinate(1)?, coordinate(2)?])
}

/// Centres of the opaque Gaussians (of all, if none is), without those more than four times as far from their
/// median as half of them are. None where there are no Gaussians.
pub(super) fn body(scene: &Gaussians) -> Option<Vec<[f64; 3]>> {
    let p = scene.len();
    let step = p.div_ceil(SAMPLE).max(1);
    let at = |i: usize| -> [f64; 3] { std::array::from_fn(|k| f64::from(scene.means[3 * i + k])) };
    let sample = |opaque: bool| -> Vec<[f64; 3]> {
        let chosen = (0..p).step_by(step).filter(|&i| !opaque || scene.opacity_logits[i] > 0.0);
        chosen.map(at).filter(|m| m.iter().all(|x| x.is_finite())).collect()
    };
    let mut points = sample(true);
    if points.is_empty() {
        points = sample(false);
    }
    let center = middle(&points)?;
    let half = median(points.iter().map(|m| norm(sub(*m, center))).collect())?;
    points.retain(|m| norm(sub(*m, center)) <= 4.0 * half);
    Some(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: [f64; 3], b: [f64; 3], tolerance: f64) {
        assert!(norm(sub(a, b)) < tolerance, "{a:?} {b:?}");
    }

    fn cloud(points: &[[f32; 3]]) -> Gaussians {
        Gaussians {
            means: points.as_flattened().to_vec(),
            sh: vec![0.0; 3 * points.len()],
            coeffs: 1,
            opacity_logits: vec![2.0; points.len()],
            log_scales: vec![0.0; 3 * points.len()],
            rotations: [1.0, 0.0, 0.0, 0.0].repeat(points.len()),
            ..Gaussians::default()
        }
    }

    /// Cameras on a tilted circle give that circle back, two that look elsewhere notwithstanding.
    #[test]
    fn a_circle_of_cameras_is_found() {
        let up = unit([0.3, -1.0, 0.2]).unwrap();
        let made = Orbit { center: [1.0, 2.0, 3.0], up, radius: 4.0, height: 1.5, start: [1.0, 0.0, 0.0] };
        let mut shots = made.shots(24, [64, 48], 50.0).unwrap();
        let centers: Vec<_> = shots.iter().map(|s| Pose::of(&s.camera).center()).collect();
        near(centers[0], std::array::from_fn(|k| 2.0 * made.center[k] + 3.0 * up[k] - centers[12][k]), 1e-5);
        shots[5].camera = Camera::look_at(64, 48, 50.0, centers[5], [60.0, -20.0, 9.0], up);
        shots[17].camera = Camera::look_at(64, 48, 50.0, centers[17], [-9.0, 40.0, 9.0], up);
        let cameras: Vec<_> = shots.iter().map(|s| &s.camera).collect();
        let found = Orbit::of_cameras(&cameras, &Gaussians::default()).unwrap();
        near(found.center, made.center, 0.02);
        near(found.up, up, 0.2);
        assert!((found.radius - 4.0).abs() < 0.1 && (found.height - 1.5).abs() < 0.2, "{found:?}");
        // Every picture looks at the centre.
        for shot in found.shots(7, [64, 48], 50.0).unwrap() {
            let pose = Pose::of(&shot.camera);
            near(pose.rotation[2], unit(sub(found.center, pose.center())).unwrap(), 1e-5);
            assert!(dot(pose.rotation[1], found.up) < 0.0, "up is up");
        }
    }

    /// Parallel axes meet nowhere: the scene says where to look.
    #[test]
    fn cameras_in_a_row_look_at_the_scene() {
        let row: Vec<Camera> = (0..5)
            .map(|i| {
                let x = f64::from(i) - 2.0;
                Camera::look_at(64, 48, 50.0, [x, 0.0, -5.0], [x, 0.0, 0.0], [0.0, -1.0, 0.0])
            })
            .collect();
        let cameras: Vec<_> = row.iter().collect();
        let scene = cloud(&[[0.0, 0.0, 2.0], [0.5, 0.0, 2.0], [-0.5, 0.0, 2.0]]);
        let found = Orbit::of_cameras(&cameras, &scene).unwrap();
        near(found.center, [0.0, 0.0, 2.0], 1e-9);
        near(found.up, [0.0, -1.0, 0.0], 1e-6);
        assert!(Orbit::of_cameras(&cameras, &Gaussians::default()).is_none());
        assert!(Orbit::of_cameras(&[], &scene).is_none());
    }

    /// Far and faint Gaussians do not move the circle.
    #[test]
    fn gaussians_give_a_circle_that_holds_them() {
        let mut points: Vec<[f32; 3]> = (0..1000)
            .map(|i| {
                let a = i as f32 * 0.7;
                [10.0 + a.sin(), -3.0 + (a * 1.7).cos(), 5.0 + (a * 2.3).sin()]
            })
            .collect();
        points[0] = [1e6, 1e6, -1e6];
        points[1] = [f32::NAN, 0.0, 0.0];
        let mut scene = cloud(&points);
        for i in 0..300 {
            scene.means[3 * i] -= 50.0;
            scene.opacity_logits[i] = -4.0;
        }
        let wide = splat_core::Camera::<f32>::look_at(64, 36, 60.0, [0.0, 0.0, -1.0], [0.0; 3], UP);
        let tangents = [wide.tan_fovx, wide.tan_fovy].map(f64::from);
        let orbit = Orbit::of_gaussians(&scene, tangents).unwrap();
        near(orbit.center, [10.0, -3.0, 5.0], 0.2);
        let distance = orbit.radius.hypot(orbit.height);
        assert!((2.0..5.0).contains(&distance), "{orbit:?}");
        for shot in orbit.shots(12, [64, 36], 60.0).unwrap() {
            let Pose { rotation: r, translation: t } = Pose::of(&shot.camera);
            let inside = points[300..].iter().filter(|m| {
                let m = m.map(f64::from);
                let [x, y, z] = [0, 1, 2].map(|k| dot(r[k], m) + t[k]);
                x.abs() < tangents[0] * z && y.abs() < tangents[1] * z
            });
            let inside = inside.count();
            assert!(inside > 680, "{inside} of 700 in {}", shot.name);
        }
        assert!(Orbit::of_gaussians(&cloud(&[[1.0; 3]; 4]), tangents).is_none());
        assert!(Orbit::of_gaussians(&Gaussians::default(), tangents).is_none());
        assert!(Orbit { radius: 0.0, ..orbit }.shots(3, [4, 4], 50.0).is_err());
    }

    /// Real cameras: nearly all of them see the centre of the circle.
    #[test]
    fn the_circle_is_around_what_real_cameras_look_at() {
        let Some(data) = splat_testdata::shared("snowmiku") else { return };
        let set = splat_scene::Dataset::open(&data, &splat_scene::OpenOptions::default()).unwrap();
        let cameras: Vec<&Camera> = set.views.iter().map(|v| &v.camera).collect();
        // No Gaussians: the axes of the cameras must meet.
        let orbit = Orbit::of_cameras(&cameras, &Gaussians::default()).unwrap();
        let seen = cameras.iter().filter(|c| super::super::depth_in_view(c, orbit.center).is_some()).count();
        assert!(
            10 * seen > 9 * cameras.len(),
            "{seen} of {} cameras see the centre of {orbit:?}",
            cameras.len()
        );
    }
}
