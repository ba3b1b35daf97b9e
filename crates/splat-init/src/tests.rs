//! Points of scenes that are known: ray-cast spheres and planes with a texture that is fixed in space.

use splat_core::Camera;
use splat_scene::Photo;

use super::*;
use crate::hull::Hull;
use crate::layout::Layout;
use crate::linear::{Vec3, along, apply_transposed, dot, norm, quantile, sub};
use crate::search::remove_strays;

fn search(eyes: &[Eye], init: &Init, warnings: Vec<String>) -> Start {
    crate::search::search(eyes, init, warnings, Watch::default()).expect("nobody ends it")
}

/// Smooth noise of three octaves, different for each channel, 0 to 1.
fn texture(p: Vec3) -> [f64; 3] {
    let hash = |x: i64, y: i64, z: i64, c: u64| {
        let mut h =
            (x as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (y as u64).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
        h ^= (z as u64).wrapping_mul(0x1656_67b1_9e37_79f9) ^ c.wrapping_mul(0xd6e8_feb8_6659_fd93);
        h = (h ^ (h >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        ((h ^ (h >> 29)) >> 40) as f64 / (1u64 << 24) as f64
    };
    let noise = |p: Vec3, c: u64| {
        let (i, f) = (p.map(f64::floor), p.map(|x| x - x.floor()));
        (0..8).fold(0.0, |sum, k| {
            let corner = [k & 1, k >> 1 & 1, k >> 2];
            let weight: f64 = (0..3).map(|a| if corner[a] == 1 { f[a] } else { 1.0 - f[a] }).product();
            let [x, y, z] = [0, 1, 2].map(|a| i[a] as i64 + corner[a]);
            sum + weight * hash(x, y, z, c)
        })
    };
    [0, 1, 2].map(|c| (0..3).map(|o| noise(p.map(|x| x * 4.0 * f64::from(1 << o)), c)).sum::<f64>() / 3.0)
}

/// What a ray hits: the distance along it, None for nothing.
type Surface = dyn Fn(Vec3, Vec3) -> Option<f64> + Sync;

fn sphere(origin: Vec3, ray: Vec3) -> Option<f64> {
    let (a, b, c) = (dot(ray, ray), dot(origin, ray), dot(origin, origin) - 1.0);
    let root = (b * b - a * c).sqrt();
    let t = (-b - root) / a;
    (t > 0.0).then_some(t)
}

/// z = 0.3 x.
fn slope(origin: Vec3, ray: Vec3) -> Option<f64> {
    let t = (0.3 * origin[0] - origin[2]) / (ray[2] - 0.3 * ray[0]);
    (t > 0.0).then_some(t)
}

/// A picture of the textured surface; RGBA where it does not fill the view.
fn picture(camera: &Camera, surface: &Surface) -> Photo {
    let [fx, fy] = camera.focal().map(f64::from);
    let rotation = std::array::from_fn(|r| std::array::from_fn(|c| f64::from(camera.view[4 * c + r])));
    let center = camera.campos.map(f64::from);
    let (w, h) = (camera.width, camera.height);
    let pixels: Vec<[u8; 4]> = (0..w * h)
        .map(|i| {
            let at =
                [f64::from(i % w) + 0.5 - f64::from(w) / 2.0, f64::from(i / w) + 0.5 - f64::from(h) / 2.0];
            let ray = apply_transposed(&rotation, [at[0] / fx, at[1] / fy, 1.0]);
            surface(center, ray).map_or([0; 4], |t| {
                let [r, g, b] = texture(along(center, ray, t)).map(|x| (x * 255.0) as u8);
                [r, g, b, 255]
            })
        })
        .collect();
    if pixels.iter().all(|p| p[3] == 255) {
        let pixels = pixels.iter().flat_map(|p| [p[0], p[1], p[2]]).collect();
        return Photo { width: w, height: h, channels: 3, pixels };
    }
    Photo { width: w, height: h, channels: 4, pixels: pixels.concat() }
}

/// Cameras around the origin at `distance`, `n` of them in two rings over `turn` radians.
fn around(n: usize, distance: f64, turn: f64) -> Vec<Camera> {
    (0..n)
        .map(|i| {
            let a = turn * (i as f64 + 0.5) / n as f64 - 0.5 * turn;
            let y = if i % 2 == 0 { -0.25 } else { 0.35 } * distance;
            let eye = [distance * a.sin(), y, -distance * a.cos()];
            Camera::look_at(112, 96, 40.0, eye, [0.0; 3], [0.0, -1.0, 0.0])
        })
        .collect()
}

fn eyes(cameras: &[Camera], surface: &Surface) -> Vec<Eye> {
    cameras.iter().map(|c| Eye::new(c, &picture(c, surface), None).expect("a sound camera")).collect()
}

fn grey(camera: &Camera, value: u8) -> Eye {
    let (width, height) = (camera.width, camera.height);
    let pixels = vec![value; 3 * (width * height) as usize];
    Eye::new(camera, &Photo { width, height, channels: 3, pixels }, None).expect("a sound camera")
}

fn positions(start: &Start) -> Vec<Vec3> {
    start.points.iter().map(|p| p.position.map(f64::from)).collect()
}

fn options(source: PointSource) -> Init {
    Init { source, count: 4000, seed: 5 }
}

/// The value at quantile `q`.
fn at(q: f64, values: impl Iterator<Item = f64>) -> f64 {
    quantile(&mut values.collect::<Vec<_>>(), q).expect("some values")
}

#[test]
fn a_textured_slope_is_found_where_it_is() {
    let eyes = eyes(&around(9, 4.0, 1.0), &slope);
    let start = search(&eyes, &options(PointSource::Auto), Vec::new());
    assert_eq!((start.method, &start.warnings), (Method::Sweep, &Vec::new()));
    let sure = start.points.len() - start.guessed;
    assert!(sure > 2000, "{sure} of {} points", start.points.len());
    let off: Vec<f64> = positions(&start)[..sure].iter().map(|p| (p[2] - 0.3 * p[0]).abs()).collect();
    let (half, most) = (at(0.5, off.iter().copied()), at(0.98, off.iter().copied()));
    assert!(half < 0.01 && most < 0.05, "off by {half} and {most}, 4 from the cameras");
    // Where they are they have the texture's colour.
    let wrong = start.points[..sure].iter().map(|p| {
        let truth = texture(p.position.map(f64::from));
        (0..3).map(|c| (truth[c] - f64::from(p.color[c]) / 255.0).abs()).sum::<f64>() / 3.0
    });
    assert!(at(0.5, wrong) < 0.05);
}

#[test]
fn a_sphere_with_alpha_is_found_on_its_surface() {
    let cameras = around(17, 4.0, std::f64::consts::TAU);
    let all = eyes(&cameras, &sphere);
    let (seen, held_out) = all.split_at(16);
    let start = search(seen, &options(PointSource::Auto), Vec::new());
    assert_eq!((start.method, &start.warnings), (Method::SweepInHull, &Vec::new()));
    let off = || positions(&start).into_iter().map(|p| (norm(p) - 1.0).abs());
    assert!(at(0.5, off()) < 0.02 && at(0.95, off()) < 0.12, "{} {}", at(0.5, off()), at(0.95, off()));
    // In a view that was not looked at, none is more than two pixels outside the silhouette.
    let view = &held_out[0];
    let beside = |at: [f64; 2]| {
        (0..25).any(|k| {
            let near = [at[0] + f64::from(k % 5 - 2), at[1] + f64::from(k / 5 - 2)];
            view.shows(view.pixel(near))
        })
    };
    let hits: Vec<bool> =
        positions(&start).into_iter().filter_map(|p| view.project(p)).map(|(at, _)| beside(at)).collect();
    let outside = hits.iter().filter(|inside| !**inside).count();
    assert!(hits.len() > 2000 && outside * 100 < hits.len(), "{outside} of {} outside", hits.len());
}

#[test]
fn the_hull_holds_the_object_and_is_near_it() {
    let eyes = eyes(&around(16, 4.0, std::f64::consts::TAU), &sphere);
    let hull = Hull::carve(&eyes, &Layout::of(&eyes)).expect("a hull");
    let (low, high) = hull.bounds().expect("not empty");
    for k in 0..3 {
        assert!((-1.35..=-0.97).contains(&low[k]) && (0.97..=1.35).contains(&high[k]), "{low:?} {high:?}");
    }
    let surface = hull.surface();
    // A voxel at the silhouette's edge may fall on a pixel that is less than half covered.
    let least = surface.iter().map(|(p, _)| norm(*p)).fold(f64::INFINITY, f64::min);
    assert!(least > 0.96, "the hull cuts into the sphere: {least}");
    for (p, out) in &surface {
        assert!(dot(*p, *out) > 0.0 || norm(*out) == 0.0, "{p:?} has its outside at {out:?}");
    }
    let start = search(&eyes, &options(PointSource::Hull), Vec::new());
    assert_eq!((start.method, start.points.len(), start.guessed), (Method::Hull, 4000, 0));
}

#[test]
fn hull_points_have_the_colour_of_their_own_side() {
    // Red for x < 0, blue elsewhere: a view through the object would mix them.
    let cameras = around(12, 4.0, std::f64::consts::TAU);
    let painted: Vec<Eye> = cameras
        .iter()
        .map(|camera| {
            let mut photo = picture(camera, &sphere);
            let eye = Eye::new(camera, &photo, None).expect("a sound camera");
            for (i, p) in photo.pixels.chunks_exact_mut(4).enumerate() {
                let at = [(i % 112) as f64 + 0.5, (i / 112) as f64 + 0.5];
                let ray = sub(eye.unproject(at, 1.0), eye.center);
                if let Some(t) = sphere(eye.center, ray) {
                    let red = along(eye.center, ray, t)[0] < 0.0;
                    p[..3].copy_from_slice(if red { &[255, 0, 0] } else { &[0, 0, 255] });
                }
            }
            Eye::new(camera, &photo, None).expect("a sound camera")
        })
        .collect();
    let start = search(&painted, &options(PointSource::Hull), Vec::new());
    let clear = |p: &&Point| p.position[0].abs() > 0.35;
    let wrong =
        start.points.iter().filter(clear).filter(|p| (p.position[0] < 0.0) != (p.color[0] > 128)).count();
    assert!(
        wrong * 25 < start.points.len(),
        "{wrong} of {} points have the other side's colour",
        start.points.len()
    );
}

#[test]
fn threads_do_not_change_the_points() {
    let eyes = eyes(&around(8, 4.0, 1.2), &slope);
    let of = |threads: usize, source| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| search(&eyes, &Init { source, count: 1500, seed: 3 }, Vec::new()).points)
    };
    for source in [PointSource::Sweep, PointSource::Random] {
        assert_eq!(of(1, source), of(5, source), "{source:?}");
    }
    let other = search(&eyes, &Init { source: PointSource::Sweep, count: 1500, seed: 4 }, Vec::new());
    assert_ne!(of(2, PointSource::Sweep), other.points, "the seed decides");
}

#[test]
fn where_nothing_can_be_found_points_are_random_and_it_is_said() {
    let ring = around(6, 4.0, 1.5);
    let one = vec![grey(&ring[0], 90)];
    let same: Vec<Eye> = (0..5).map(|_| one[0].clone()).collect();
    let black: Vec<Eye> = ring.iter().map(|c| grey(c, 0)).collect();
    let mut far = black.clone();
    for (i, eye) in far.iter_mut().enumerate() {
        eye.center = eye.center.map(|x| x * 1e30 * (i + 1) as f64);
        eye.translation = eye.center.map(|x| -x);
    }
    for (name, eyes) in [("none", vec![]), ("one", one), ("same", same), ("black", black), ("far", far)] {
        for source in [PointSource::Auto, PointSource::Sweep, PointSource::Hull] {
            let start = search(&eyes, &options(source), Vec::new());
            assert!(!start.warnings.is_empty(), "{name}, {source:?}: silent");
            assert_eq!(
                (start.method, start.points.len()),
                (Method::Random, start.guessed),
                "{name}, {source:?}"
            );
            assert!(start.points.iter().all(|p| p.position.iter().all(|x| x.is_finite())), "{name}");
            assert_eq!(
                start.points.is_empty(),
                name == "none" || name == "far" && start.points.is_empty(),
                "{name}"
            );
        }
    }
}

#[test]
fn cameras_that_are_none_are_refused() {
    let good = around(1, 4.0, 0.0).remove(0);
    let photo = picture(&good, &slope);
    let with = |change: &dyn Fn(&mut Camera)| {
        let mut camera = good.clone();
        change(&mut camera);
        Eye::new(&camera, &photo, None).is_some()
    };
    assert!(with(&|_| ()));
    assert!(!with(&|c| c.view[12] = f32::INFINITY));
    assert!(!with(&|c| c.proj[0] = f32::NAN));
    assert!(!with(&|c| c.tan_fovx = 0.0));
    assert!(!with(&|c| c.view = [0.0; 16]));
    assert!(!with(&|c| c.model = splat_core::Model::Orthographic));
}

#[test]
fn random_points_are_seen_by_many_and_near_to_none() {
    let eyes = eyes(&around(10, 4.0, 1.5), &slope);
    let layout = Layout::of(&eyes);
    let (points, least) = random::scatter(&eyes, &layout, 3000, 1);
    assert_eq!(points.len(), 3000);
    assert!(least >= 2);
    for (p, _) in &points {
        assert!(eyes.iter().filter(|e| e.project(*p).is_some()).count() >= least, "{p:?}");
        assert!(eyes.iter().all(|e| norm(sub(e.center, *p)) >= 0.4 * layout.reach), "{p:?}");
    }
}

#[test]
fn cameras_tell_where_they_look() {
    let shift = [10.0, -7.0, 3.0];
    let cameras: Vec<Camera> = around(12, 4.0, 2.0)
        .iter()
        .map(|c| {
            let eye = c.campos.map(f64::from);
            Camera::look_at(64, 64, 40.0, along(eye, shift, 1.0), shift, [0.0, -1.0, 0.0])
        })
        .collect();
    let meeting: Vec<Eye> = cameras.iter().map(|c| grey(c, 9)).collect();
    let layout = Layout::of(&meeting);
    assert!(norm(sub(layout.focus.expect("axes meet"), shift)) < 1e-3, "{layout:?}");
    assert!((layout.reach - 4.2).abs() < 0.2, "{layout:?}");
    for i in 0..12 {
        let neighbours = layout.neighbours(&meeting, i, 4);
        assert!(neighbours.len() == 4 && !neighbours.contains(&i), "{neighbours:?}");
    }
    let parallel: Vec<Eye> = (0..8)
        .map(|i| {
            let eye = [f64::from(i), 0.0, 0.0];
            grey(&Camera::look_at(64, 64, 40.0, eye, along(eye, [0.0, 0.0, 1.0], 1.0), [0.0, -1.0, 0.0]), 9)
        })
        .collect();
    assert!(Layout::of(&parallel).focus.is_none());
}

#[test]
fn the_dataset_s_own_points_come_first_and_nan_is_left_out() {
    let point = |x: f32| Point { position: [x, 0.0, 1.0], color: [1, 2, 3] };
    let dataset = |points| Dataset {
        source: "test".into(),
        views: Vec::new(),
        train: Vec::new(),
        test: Vec::new(),
        origin: splat_scene::Origin::default(),
        points,
        scene_extent: 1.0,
        reprojection: None,
        warnings: Vec::new(),
    };
    let start =
        first_points(&dataset(vec![point(1.0), point(f32::NAN), point(-2.0)]), &Init::default()).unwrap();
    assert_eq!((start.method, start.points.len(), start.warnings.len()), (Method::Points, 2, 1));
    assert_eq!(start.bounds, [[-2.0, 0.0, 1.0], [1.0, 0.0, 1.0]]);
    let only = Init { source: PointSource::Points, ..Init::default() };
    assert!(matches!(first_points(&dataset(Vec::new()), &only), Err(Error::NoPoints)));
}

/// Whoever watches hears of every view, and ends the search with the next one.
#[test]
fn a_search_is_watched_and_can_be_ended() {
    let heard = AtomicUsize::new(0);
    let count = |done: usize, of: usize| {
        assert!(done < of && of == 7);
        heard.fetch_add(1, Ordering::Relaxed);
        ControlFlow::Continue(())
    };
    assert_eq!(Watch(&count).over(&[1; 7], |i, x| i + x).unwrap(), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(heard.into_inner(), 7);
    let ended = |done: usize, _| if done < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
    let worked = AtomicUsize::new(0);
    let result = Watch(&ended).over(&[(); 1000], |_, ()| worked.fetch_add(1, Ordering::Relaxed));
    assert!(matches!(result, Err(Error::Stopped)));
    assert!(worked.into_inner() < 1000);
    let too_many = Init { count: MOST_POINTS + 1, ..Init::default() };
    let message = first_points(&Dataset::default(), &too_many).unwrap_err().to_string();
    assert!(message.contains("50000001") && message.contains("at most 50000000"), "{message}");
}

#[test]
fn strays_are_removed() {
    let eye = [grey(&around(1, 4.0, 0.0)[0], 9)];
    let mut points: Found =
        (0..400).map(|i| ([f64::from(i % 20) * 0.02, f64::from(i / 20) * 0.02, 0.0], [0.5; 3])).collect();
    points.push(([1.5, 1.5, 1.0], [0.5; 3]));
    remove_strays(&mut points, &eye);
    assert_eq!(points.len(), 400);
}
