//! The shared datasets: counts, sizes, and structure-from-motion points that land on their observations.
#![expect(clippy::print_stdout, reason = "a test says on stdout that what it measured")]

use splat_scene::colmap::{self, Tracks};
use splat_scene::{Dataset, OpenOptions, Picture, View, cameras_json, splat_file};
use splat_testdata::shared;

/// The intrinsics are for 1570x1177; the photographs are half of that, rounded down.
#[test]
fn snowmiku_opens_at_the_size_of_its_photographs() {
    let Some(path) = shared("snowmiku") else { return };
    let d = Dataset::open(&path, &OpenOptions::default()).unwrap();
    assert_eq!((d.views.len(), d.train.len(), d.test.len(), d.points.len()), (97, 84, 13, 25_784));
    assert!(d.warnings.is_empty(), "{:?}", d.warnings);
    let camera = &d.views[0].camera;
    assert_eq!((camera.width, camera.height), (785, 588));
    let [fx, fy] = camera.focal();
    assert!((fx - 650.18).abs() < 0.01 && (fy - 1300.3634 * 588.0 / 1177.0).abs() < 0.01, "{fx} {fy}");
    let photo = d.views[0].load().unwrap().photo;
    assert_eq!((photo.width, photo.height, photo.channels), (785, 588, 3));

    let small = Dataset::open(&path, &OpenOptions { downscale: Some(8), ..OpenOptions::default() }).unwrap();
    assert_eq!((small.views[5].camera.width, small.views[5].camera.height), (196, 147));
    let reduced = small.views[5].load().unwrap().photo;
    assert_eq!((reduced.width, reduced.height), (196, 147));
    let mean = |p: &[u8]| p.iter().map(|&x| f64::from(x)).sum::<f64>() / p.len() as f64;
    let full = d.views[5].load().unwrap().photo;
    assert!((mean(&reduced.pixels) - mean(&full.pixels)).abs() < 0.5);
    assert_eq!(small.scene_extent, d.scene_extent);
}

/// Real datasets are plausible, and the measurement takes little of the time that opening takes.
#[test]
fn real_datasets_raise_no_alarm() {
    for name in ["snowmiku", "fox", "fox-colmap", "lego", "facelift-head"] {
        let Some(path) = shared(name) else { return };
        let d = Dataset::open(&path, &OpenOptions::default()).unwrap();
        let found = d.plausibility();
        println!("{name}: {found:?}, warnings {:?}", d.warnings);
        assert!(found.findings.is_empty(), "{name}: {found:?}");
        assert_eq!(found.points_seen.is_some(), !d.points.is_empty());
        assert!(d.origin.is_zero(), "{name}");
    }
}

/// Every point with a track, projected with our camera at the size that is read, falls on its observation.
#[test]
fn fox_points_reproject_onto_their_observations() {
    let Some(path) = shared("fox-colmap") else { return };
    let d = Dataset::open(&path, &OpenOptions::default()).unwrap();
    let model = colmap::read(colmap::find(&path).unwrap(), Tracks::Keep).unwrap();
    assert_eq!((d.views.len(), d.points.len(), model.cameras.len()), (50, 13_514, 1));
    let camera = &model.cameras[&1];
    assert_eq!(camera.as_ref().map(|c| (c.width, c.height)).ok(), Some((897, 1600)));
    assert_eq!((d.views[0].camera.width, d.views[0].camera.height), (448, 800));
    let mut errors = Vec::new();
    for point in &model.points {
        for &(image, index) in &point.track {
            let image = model.images.iter().find(|i| i.id == image).unwrap();
            let (x, y, id) = image.observations[index as usize];
            assert_eq!(id, point.id.cast_signed());
            let view = d.views.iter().find(|v| v.name == image.name).unwrap();
            let p = point.position.map(|v| v as f32);
            let row = |r: usize| {
                (0..3).map(|c| view.camera.proj[4 * c + r] * p[c]).sum::<f32>() + view.camera.proj[12 + r]
            };
            let (w, h) = (view.camera.width as f32, view.camera.height as f32);
            // NDC to pixels from the upper left corner, at the read size.
            let u = (row(0) / row(3) + 1.0) * 0.5 * w;
            let v = (row(1) / row(3) + 1.0) * 0.5 * h;
            let (ou, ov) = (x as f32 * w / 897.0, y as f32 * h / 1600.0);
            errors.push(((u - ou).powi(2) + (v - ov).powi(2)).sqrt());
        }
    }
    errors.sort_by(f32::total_cmp);
    let median = errors[errors.len() / 2];
    let p99 = errors[errors.len() * 99 / 100];
    println!("{} observations, median {median:.3} px, 99% {p99:.3} px", errors.len());
    assert!(errors.len() > 30_000 && median < 0.5 && p99 < 3.0);
}

/// The projection of a world point in pixels from the upper left corner; `None` behind the camera or outside the image.
fn pixel(view: &View, p: [f64; 3]) -> Option<(usize, usize)> {
    let c = &view.camera;
    let row = |r: usize| {
        (0..3).map(|k| f64::from(c.proj[4 * k + r]) * p[k]).sum::<f64>() + f64::from(c.proj[12 + r])
    };
    let w = row(3);
    let (u, v) =
        ((row(0) / w + 1.0) * 0.5 * f64::from(c.width), (row(1) / w + 1.0) * 0.5 * f64::from(c.height));
    let inside = w > 0.0 && u >= 0.0 && v >= 0.0 && u < f64::from(c.width) && v < f64::from(c.height);
    inside.then_some((u as usize, v as usize))
}

/// Points of an `n^3` grid in the cube of `half` around the origin that are opaque in every view, and the
/// share of the first view's opaque pixels that they cover with blocks of `block` pixels. With a `step`
/// that is not 1, camera i gets the photograph of view `i * step`.
fn hull(d: &Dataset, n: usize, half: f64, block: usize, step: usize) -> (usize, f64) {
    let pictures: Vec<Picture> = d.views.iter().map(|v| v.load().unwrap()).collect();
    let alpha = |i: usize, x: usize, y: usize| {
        let photo = &pictures[i * step % pictures.len()].photo;
        assert_eq!(photo.channels, 4);
        photo.pixels[4 * (y * photo.width as usize + x) + 3]
    };
    let side = |i: usize| (2.0 * (i as f64 + 0.5) / n as f64 - 1.0) * half;
    let (mut count, mut covered) = (0, std::collections::BTreeSet::new());
    for i in 0..n * n * n {
        let p = [side(i % n), side(i / n % n), side(i / n / n)];
        let opaque = |i: usize| pixel(&d.views[i], p).is_some_and(|(x, y)| alpha(i, x, y) > 128);
        if (0..d.views.len()).all(opaque) {
            count += 1;
            let (x, y) = pixel(&d.views[0], p).unwrap();
            covered.insert((x / block, y / block));
        }
    }
    let first = &d.views[0].camera;
    let (w, h) = (first.width as usize, first.height as usize);
    let opaque: std::collections::BTreeSet<_> =
        (0..w * h).filter(|i| alpha(0, i % w, i / w) > 128).map(|i| (i % w / block, i / w / block)).collect();
    (count, covered.intersection(&opaque).count() as f64 / opaque.len() as f64)
}

/// With the right poses the silhouettes agree on a body; with the photographs exchanged they do not.
#[test]
fn silhouettes_agree_on_a_body() {
    for (name, views, size, half) in [("lego", 100, 400, 1.5), ("facelift-head", 32, 512, 1.0)] {
        let Some(path) = shared(name) else { return };
        let d = Dataset::open(&path, &OpenOptions::default()).unwrap();
        assert_eq!(
            (d.views.len(), d.points.len(), d.warnings.len()),
            (views, 0, 0),
            "{name}: {:?}",
            d.warnings
        );
        assert_eq!((d.views[0].camera.width, d.views[0].camera.height), (size, size));
        let (count, covered) = hull(&d, 48, half, 24, 1);
        // Not simply the next photograph: a ring of cameras does not notice a rotation of the whole.
        let (wrong, bare) = hull(&d, 48, half, 24, 7);
        println!(
            "{name}: {count} points in every silhouette cover {covered:.3}; exchanged {wrong}, {bare:.3}"
        );
        assert!(count > 500 && covered > 0.8 && covered > bare + 0.1, "{name}");
    }
}

/// The same photographs, posed by two programs: the cameras turn alike against each other, and a pixel of
/// one undistorted photograph has the colour of the same ray's pixel in the other.
#[test]
fn fox_agrees_with_fox_colmap() {
    let (Some(a), Some(b)) = (shared("fox"), shared("fox-colmap")) else { return };
    let (a, b) = (
        Dataset::open(&a, &OpenOptions::default()).unwrap(),
        Dataset::open(&b, &OpenOptions::default()).unwrap(),
    );
    assert_eq!((a.views.len(), a.source.as_str()), (50, "nerfstudio / instant-ngp, transforms.json"));
    assert_eq!(a.warnings.len(), 1, "{:?}", a.warnings);
    assert!(a.warnings[0].contains("17 of 67 photographs are missing"), "{:?}", a.warnings);
    assert!(
        Dataset::open(shared("fox").unwrap(), &OpenOptions { strict: true, ..OpenOptions::default() })
            .is_err(),
        "strict refuses"
    );
    assert_eq!(a.views[0].lens(), "OPENCV");
    let rotation = |v: &View| -> [[f64; 3]; 3] {
        std::array::from_fn(|r| std::array::from_fn(|c| f64::from(v.camera.view[4 * c + r])))
    };
    // R_i R_j^T does not depend on the world's frame.
    let between = |d: &Dataset, i: usize, j: usize| -> [[f64; 3]; 3] {
        let (p, q) = (rotation(&d.views[i]), rotation(&d.views[j]));
        std::array::from_fn(|r| std::array::from_fn(|c| (0..3).map(|k| p[r][k] * q[c][k]).sum()))
    };
    let mut worst = 0.0f64;
    for i in 1..50 {
        assert_eq!(a.views[i].name, b.views[i].name);
        let (p, q) = (between(&a, i, 0), between(&b, i, 0));
        let trace: f64 = (0..3).map(|r| (0..3).map(|c| p[r][c] * q[r][c]).sum::<f64>()).sum();
        worst = worst.max(((trace - 1.0) / 2.0).clamp(-1.0, 1.0).acos().to_degrees());
    }
    let distance = |d: &Dataset, i: usize, j: usize| -> f64 {
        (0..3).map(|k| (d.views[i].center[k] - d.views[j].center[k]).powi(2)).sum::<f64>().sqrt()
    };
    let ratios: Vec<f64> = (0..25).map(|i| distance(&a, i, i + 25) / distance(&b, i, i + 25)).collect();
    let (least, most) =
        (ratios.iter().copied().fold(f64::MAX, f64::min), ratios.iter().copied().fold(0.0, f64::max));
    println!("relative rotations differ by {worst:.3} degrees at most; distances by {least:.4} to {most:.4}");
    assert!(worst < 1.0 && most / least < 1.03);

    // Colours along the same rays of the first view.
    let (p, q) = (a.views[0].load().unwrap(), b.views[0].load().unwrap());
    let color = |view: &View, picture: &Picture, ray: [f64; 2]| -> Option<[f64; 3]> {
        let m = view.camera.projection();
        let at =
            |k: usize, n: u32| (m[k][0] * ray[0] + m[k][1] * ray[1] + m[k][2] + 1.0) * 0.5 * f64::from(n);
        let (x, y) = (at(0, view.camera.width), at(1, view.camera.height));
        let (w, h) = (picture.photo.width as usize, picture.photo.height as usize);
        // The mean of 5x5: the photographs were scaled by different programs.
        if x < 2.0 || y < 2.0 || x as usize + 3 > w || y as usize + 3 > h {
            return None;
        }
        let mut sum = [0.0; 3];
        for (dy, dx) in (0..5).flat_map(|dy| (0..5).map(move |dx| (dy, dx))) {
            let i = (y as usize + dy - 2) * w + x as usize + dx - 2;
            (0..3).for_each(|c| sum[c] += f64::from(picture.photo.pixels[3 * i + c]) / 25.0);
        }
        Some(sum)
    };
    // The two programs found principal points that are 5 pixels apart, and turned the cameras to match.
    let difference = |dx: i32, dy: i32| {
        let shift = [f64::from(dx) * 0.002, f64::from(dy) * 0.002];
        let (mut sum, mut n) = (0.0, 0);
        for (i, j) in
            (-20..=20).flat_map(|i| (-30..=30).map(move |j| (f64::from(i) * 0.016, f64::from(j) * 0.02)))
        {
            if let (Some(x), Some(y)) =
                (color(&a.views[0], &p, [i, j]), color(&b.views[0], &q, [i + shift[0], j + shift[1]]))
            {
                sum += (0..3).map(|c| (x[c] - y[c]).abs() / 3.0).sum::<f64>();
                n += 1;
            }
        }
        (sum / f64::from(n), n, dx, dy)
    };
    let all: Vec<_> =
        (-10..=10).step_by(2).flat_map(|x| (-10..=10).step_by(2).map(move |y| difference(x, y))).collect();
    let best = all.iter().copied().min_by(|x, y| x.0.total_cmp(&y.0)).unwrap();
    let mean = all.iter().map(|d| d.0).sum::<f64>() / all.len() as f64;
    println!(
        "{} rays: {:.2} levels apart at a turn of {}, {} mrad; {mean:.2} over all turns",
        best.1,
        best.0,
        2 * best.2,
        2 * best.3
    );
    assert!(best.1 > 1500 && best.0 < 6.0 && mean > 2.0 * best.0);
}

#[test]
fn arkit_splats_and_cameras_read() {
    let Some(path) = shared("scenes/arkit") else { return };
    let g = splat_file::read(path.join("scene.splat")).unwrap();
    assert_eq!(g.len(), 116_906);
    g.check().unwrap();
    let cameras = cameras_json::read(path.join("cameras.json")).unwrap();
    assert_eq!((cameras.len(), cameras[0].name.as_str()), (45, "frame_00000.jpg"));
    // A hand-held sweep: all cameras look roughly the same way (third row of the view matrix).
    let forward = |v: [f32; 16]| [v[2], v[6], v[10]];
    let first = forward(cameras[0].camera.view);
    for c in &cameras {
        let cosine: f32 = (0..3).map(|k| first[k] * forward(c.camera.view)[k]).sum();
        assert!(cosine > 0.5, "{}: {cosine}", c.name);
    }
}
