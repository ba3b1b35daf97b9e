//! A smooth path through cameras: centripetal Catmull-Rom splines (Catmull and Rom 1974; Yuksel et al. 2011),
//! passed at an even speed.

use splat_core::Camera;

use super::{Pose, Shot, intrinsics};
use splat_init::linear::{apply, norm, sub, transposed};

/// Centre and quaternion (wxyz, camera to world).
type Knot = [f64; 7];

/// Steps of a segment in which speed is measured.
const FINE: usize = 32;

/// `frames` pictures on a smooth path through `cameras` in their order, from the first to the last, with the lens of
/// the first. A turn of half a circle counts as much as the path's mean distance between cameras.
///
/// Empty without cameras; a single one stays where it is.
#[must_use]
pub(crate) fn spline(cameras: &[&Camera], frames: usize) -> Vec<Shot> {
    let Some(first) = cameras.first() else { return Vec::new() };
    let knots = knots(cameras);
    let gaps: f64 = knots.windows(2).map(|w| distance(&w[0], &w[1])).sum();
    // World units that a radian is worth.
    let radian = if gaps > 0.0 { gaps / (knots.len() - 1) as f64 / std::f64::consts::PI } else { 1.0 };
    let length = |a: &Knot, b: &Knot| distance(a, b) + radian * angle(a, b);

    let mut fine = vec![knots[0]];
    for i in 0..knots.len() - 1 {
        // Beyond the ends, the neighbour mirrored.
        let before = if i > 0 { knots[i - 1] } else { mirrored(&knots[1], &knots[0]) };
        let after = knots.get(i + 2).copied().unwrap_or_else(|| mirrored(&knots[i], &knots[i + 1]));
        let four = [before, knots[i], knots[i + 1], after];
        // Centripetal: parameters grow with the root of the distance, which makes no loops.
        let mut t = [0.0; 4];
        for k in 1..4 {
            t[k] = t[k - 1] + length(&four[k - 1], &four[k]).sqrt().max(1e-9);
        }
        fine.extend((1..=FINE).map(|s| {
            let share = s as f64 / FINE as f64;
            catmull_rom(&four, &t, t[1] + share * (t[2] - t[1]))
        }));
    }
    let mut travelled = vec![0.0];
    for pair in fine.windows(2) {
        travelled.push(travelled[travelled.len() - 1] + length(&pair[0], &pair[1]));
    }
    let total = travelled[travelled.len() - 1];
    let inner = intrinsics(first);
    let shot = |i: usize| {
        let goal = total * i as f64 / (frames.max(2) - 1) as f64;
        let k = travelled.partition_point(|d| *d < goal).clamp(1, fine.len().max(2) - 1);
        let knot = match fine.get(k) {
            Some(next) => {
                let gap = travelled[k] - travelled[k - 1];
                let share = if gap > 0.0 { ((goal - travelled[k - 1]) / gap).clamp(0.0, 1.0) } else { 0.0 };
                mixed(&fine[k - 1], next, share)
            }
            None => fine[0],
        };
        let Pose { rotation, translation } = pose(&knot);
        let camera = Camera::from_pinhole(first.width, first.height, inner, rotation, translation);
        Shot { name: format!("frame_{i:05}"), camera }
    };
    (0..frames).map(shot).collect()
}

/// Cameras as knots, quaternions on one side; a camera that repeats its predecessor is left out.
fn knots(cameras: &[&Camera]) -> Vec<Knot> {
    let mut knots: Vec<Knot> = Vec::with_capacity(cameras.len());
    for camera in cameras {
        let pose = Pose::of(camera);
        let (c, q) = (pose.center(), quaternion(&pose.rotation));
        let mut knot = normalised([c[0], c[1], c[2], q[0], q[1], q[2], q[3]]);
        if let Some(last) = knots.last() {
            if (3..7).map(|k| knot[k] * last[k]).sum::<f64>() < 0.0 {
                knot[3..].iter_mut().for_each(|x| *x = -*x);
            }
            if distance(last, &knot) < 1e-9 && angle(last, &knot) < 1e-6 {
                continue;
            }
        }
        knots.push(knot);
    }
    knots
}

fn distance(a: &Knot, b: &Knot) -> f64 {
    norm(sub([a[0], a[1], a[2]], [b[0], b[1], b[2]]))
}

/// Radians between two orientations.
fn angle(a: &Knot, b: &Knot) -> f64 {
    // By the chord, as the cosine says nothing about small angles.
    let chord = |sign: f64| (3..7).map(|k| (a[k] - sign * b[k]).powi(2)).sum::<f64>().sqrt();
    4.0 * (chord(1.0).min(chord(-1.0)) / 2.0).min(1.0).asin()
}

/// The place of `a` seen from behind `b`.
fn mirrored(a: &Knot, b: &Knot) -> Knot {
    normalised(std::array::from_fn(|k| 2.0 * b[k] - a[k]))
}

fn mixed(a: &Knot, b: &Knot, share: f64) -> Knot {
    normalised(std::array::from_fn(|k| a[k] + share * (b[k] - a[k])))
}

/// With a quaternion of length 1; one of no length becomes no turn.
fn normalised(mut knot: Knot) -> Knot {
    let n = knot[3..].iter().map(|x| x * x).sum::<f64>().sqrt();
    if n > 1e-9 {
        knot[3..].iter_mut().for_each(|x| *x /= n);
    } else {
        knot[3..].copy_from_slice(&[1.0, 0.0, 0.0, 0.0]);
    }
    knot
}

/// The spline through `p` at the parameters `t`, by Barry and Goldman's pyramid, at `at` between the inner two.
fn catmull_rom(p: &[Knot; 4], t: &[f64; 4], at: f64) -> Knot {
    let between = |a: &Knot, b: &Knot, from: f64, to: f64| -> Knot {
        let share = (at - from) / (to - from);
        std::array::from_fn(|k| a[k] + share * (b[k] - a[k]))
    };
    let a: [Knot; 3] = std::array::from_fn(|i| between(&p[i], &p[i + 1], t[i], t[i + 1]));
    let b: [Knot; 2] = std::array::from_fn(|i| between(&a[i], &a[i + 1], t[i], t[i + 2]));
    normalised(between(&b[0], &b[1], t[1], t[2]))
}

/// wxyz of the camera-to-world rotation, from the rows of world-to-camera.
fn quaternion(r: &[[f64; 3]; 3]) -> [f64; 4] {
    // Camera to world is the transpose: m(i, j) = r[j][i].
    let m = |i: usize, j: usize| r[j][i];
    let trace = m(0, 0) + m(1, 1) + m(2, 2);
    // By the largest of the four, so that nothing is divided by a small number (Shepperd 1978).
    let largest = (0..3).max_by(|a, b| m(*a, *a).total_cmp(&m(*b, *b))).unwrap_or(0);
    if trace > m(largest, largest) {
        let w = (1.0 + trace).sqrt() / 2.0;
        return [
            w,
            (m(2, 1) - m(1, 2)) / (4.0 * w),
            (m(0, 2) - m(2, 0)) / (4.0 * w),
            (m(1, 0) - m(0, 1)) / (4.0 * w),
        ];
    }
    let (i, j, k) = (largest, (largest + 1) % 3, (largest + 2) % 3);
    let x = (1.0 + m(i, i) - m(j, j) - m(k, k)).sqrt() / 2.0;
    let mut q = [(m(k, j) - m(j, k)) / (4.0 * x), 0.0, 0.0, 0.0];
    q[1 + i] = x;
    q[1 + j] = (m(j, i) + m(i, j)) / (4.0 * x);
    q[1 + k] = (m(k, i) + m(i, k)) / (4.0 * x);
    q
}

fn pose(knot: &Knot) -> Pose {
    let [w, x, y, z] = [knot[3], knot[4], knot[5], knot[6]];
    let to_world = [
        [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
        [2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)],
        [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)],
    ];
    let rotation = transposed(&to_world);
    let center = [knot[0], knot[1], knot[2]];
    Pose { rotation, translation: apply(&rotation, center).map(|x| -x) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use splat_init::linear::{dot, unit};

    fn ring(n: usize) -> Vec<Camera> {
        (0..n)
            .map(|i| {
                let a = i as f64 * 0.5;
                let eye = [3.0 * a.sin(), -0.3 * a, -3.0 * a.cos()];
                Camera::look_at(64, 48, 50.0, eye, [0.0; 3], [0.0, -1.0, 0.0])
            })
            .collect()
    }

    fn centers(shots: &[Shot]) -> Vec<[f64; 3]> {
        shots.iter().map(|s| Pose::of(&s.camera).center()).collect()
    }

    #[test]
    fn quaternions_are_their_rotations() {
        for i in 0..200 {
            let q: Vec<f64> = (0..4).map(|k| (f64::from(i) * 1.3 + f64::from(k) * 2.1).sin()).collect();
            let knot = normalised([0.0, 0.0, 0.0, q[0], q[1], q[2], q[3]]);
            let again = quaternion(&pose(&knot).rotation);
            let cos: f64 = (0..4).map(|k| again[k] * knot[3 + k]).sum();
            assert!((cos.abs() - 1.0).abs() < 1e-12, "{knot:?} {again:?}");
        }
    }

    /// Begins and ends at the cameras, passes near those between, and goes evenly and without jumps.
    #[test]
    fn the_path_is_smooth_and_passes_the_cameras() {
        let ring = ring(9);
        let cameras: Vec<_> = ring.iter().collect();
        let shots = spline(&cameras, 400);
        assert_eq!((shots.len(), shots[399].name.as_str()), (400, "frame_00399"));
        let path = centers(&shots);
        for (i, camera) in ring.iter().enumerate() {
            let goal = Pose::of(camera).center();
            let miss = path.iter().map(|c| norm(sub(*c, goal))).fold(f64::INFINITY, f64::min);
            assert!(miss < if i % 8 == 0 { 1e-4 } else { 0.03 }, "camera {i}: {miss}");
        }
        let steps: Vec<f64> = path.windows(2).map(|w| norm(sub(w[1], w[0]))).collect();
        let (least, most) = steps.iter().fold((f64::INFINITY, 0f64), |(a, b), s| (a.min(*s), b.max(*s)));
        assert!(most < 1.3 * least, "{least} {most}");
        // Between two cameras that look at the origin, so does the path.
        for shot in &shots {
            let p = Pose::of(&shot.camera);
            let forward = p.rotation[2];
            let aim = unit(p.center().map(|x| -x)).unwrap();
            assert!(dot(forward, aim) > 0.999, "{}", shot.name);
        }
    }

    #[test]
    fn few_and_repeated_cameras_are_paths_too() {
        assert!(spline(&[], 5).is_empty());
        let ring = ring(2);
        let still = spline(&[&ring[0]], 3);
        assert_eq!((still.len(), &still[0].camera), (3, &still[2].camera));
        let there = Pose::of(&ring[0]).center();
        centers(&still).iter().for_each(|c| assert!(norm(sub(*c, there)) < 1e-6));
        let twice = spline(&[&ring[0], &ring[0], &ring[1], &ring[1]], 5);
        assert_eq!(twice, spline(&[&ring[0], &ring[1]], 5));
        assert_eq!(spline(&[&ring[0], &ring[1]], 1).len(), 1);
        // Turning on the spot is a path.
        let turn: Vec<Camera> = [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]]
            .into_iter()
            .map(|target| Camera::look_at(8, 8, 50.0, [0.0; 3], target, [0.0, -1.0, 0.0]))
            .collect();
        let shots = spline(&turn.iter().collect::<Vec<_>>(), 9);
        let forward: Vec<_> = shots.iter().map(|s| Pose::of(&s.camera).rotation[2]).collect();
        for pair in forward.windows(2) {
            let degrees = dot(pair[0], pair[1]).clamp(-1.0, 1.0).acos().to_degrees();
            assert!((15.0..30.0).contains(&degrees), "{degrees}");
        }
    }
}
