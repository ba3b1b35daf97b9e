//! The shared datasets: counts, sizes, and structure-from-motion points that land on their observations.
#![expect(clippy::print_stdout, reason = "a test says on stdout that it was skipped, and what it measured")]

use std::path::PathBuf;

use splat_scene::colmap::{self, Tracks};
use splat_scene::{Dataset, Options, cameras_json, splat_file};

/// `$SPLAT_DATA/name` (default `<repository>/../shared/data`), or None and a `skipped:` line.
fn data(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("SPLAT_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
        PathBuf::from,
    );
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{} not found", path.display());
    println!("skipped: {} not found", path.display());
    None
}

/// Intrinsics are for 1570x1177; the photographs are half of that, one line short of rounding up.
#[test]
fn snowmiku_opens_at_the_size_of_its_photographs() {
    let Some(path) = data("snowmiku") else { return };
    let d = Dataset::open(&path, &Options::default()).unwrap();
    assert_eq!((d.views.len(), d.train.len(), d.test.len(), d.points.len()), (97, 84, 13, 25_784));
    assert!(d.warnings.is_empty(), "{:?}", d.warnings);
    let camera = &d.views[0].camera;
    assert_eq!((camera.width, camera.height), (785, 588));
    let [fx, fy] = camera.focal();
    assert!((fx - 650.18).abs() < 0.01 && (fy - 1300.3634 * 588.0 / 1177.0).abs() < 0.01, "{fx} {fy}");
    let photo = d.views[0].load().unwrap().photo;
    assert_eq!((photo.width, photo.height, photo.channels), (785, 588, 3));

    let small = Dataset::open(&path, &Options { downscale: Some(8), ..Options::default() }).unwrap();
    assert_eq!((small.views[5].camera.width, small.views[5].camera.height), (196, 147));
    let reduced = small.views[5].load().unwrap().photo;
    assert_eq!((reduced.width, reduced.height), (196, 147));
    let mean = |p: &[u8]| p.iter().map(|&x| f64::from(x)).sum::<f64>() / p.len() as f64;
    let full = d.views[5].load().unwrap().photo;
    assert!((mean(&reduced.pixels) - mean(&full.pixels)).abs() < 0.5);
    assert_eq!(small.scene_extent, d.scene_extent);
}

/// Every point with a track, put through our camera at the read size, lands on its observation.
#[test]
fn fox_points_reproject_onto_their_observations() {
    let Some(path) = data("fox-colmap") else { return };
    let d = Dataset::open(&path, &Options::default()).unwrap();
    let model = colmap::read(&colmap::find(&path).unwrap(), Tracks::Keep).unwrap();
    assert_eq!((d.views.len(), d.points.len(), model.cameras.len()), (50, 13_514, 1));
    let camera = model.cameras[&1];
    assert_eq!((camera.width, camera.height), (897, 1600));
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

#[test]
fn arkit_splats_and_cameras_read() {
    let Some(path) = data("scenes/arkit") else { return };
    let g = splat_file::read(&path.join("scene.splat")).unwrap();
    assert_eq!(g.len(), 116_906);
    g.check().unwrap();
    let cameras = cameras_json::read(&path.join("cameras.json")).unwrap();
    assert_eq!((cameras.len(), cameras[0].name.as_str()), (45, "frame_00000.jpg"));
    // A hand-held sweep: all cameras look roughly the same way (third row of the view matrix).
    let forward = |v: [f32; 16]| [v[2], v[6], v[10]];
    let first = forward(cameras[0].camera.view);
    for c in &cameras {
        let cosine: f32 = (0..3).map(|k| first[k] * forward(c.camera.view)[k]).sum();
        assert!(cosine > 0.5, "{}: {cosine}", c.name);
    }
}
