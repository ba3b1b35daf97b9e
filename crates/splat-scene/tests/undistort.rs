//! Photographs, masks and depth maps through every lens: the result is what a pinhole camera would have seen.

use std::fs;
use std::path::Path;

use splat_scene::lens::CameraModel;
use splat_scene::{Dataset, OpenOptions, View, save_png};

/// Name, numbers for 640x480, and the size of the pinhole image that pycolmap 4.2.1's `undistort_camera`
/// makes of it without blank pixels.
const LENSES: [(&str, &[f64], [u32; 2]); 15] = [
    ("SIMPLE_RADIAL", &[500., 330., 250., -0.1], [667, 490]),
    ("RADIAL", &[500., 330., 250., -0.12, 0.03], [670, 492]),
    ("OPENCV", &[500., 510., 330., 250., -0.12, 0.03, 0.001, -0.002], [670, 491]),
    ("OPENCV_FISHEYE", &[300., 310., 330., 250., 0.02, -0.01, 0.003, -0.0005], [1007, 585]),
    ("FULL_OPENCV", &[500., 510., 330., 250., 0.2, 0.03, 0.001, -0.002, 0.01, 0.25, 0.02, 0.005], [647, 483]),
    ("FOV", &[500., 510., 330., 250., 0.9], [666, 473]),
    ("SIMPLE_RADIAL_FISHEYE", &[300., 330., 250., 0.03], [969, 587]),
    ("RADIAL_FISHEYE", &[300., 330., 250., 0.03, -0.01], [990, 589]),
    (
        "THIN_PRISM_FISHEYE",
        &[300., 310., 330., 250., 0.02, -0.01, 0.001, -0.002, 0.003, -0.0005, 0.001, -0.0015],
        [1018, 584],
    ),
    (
        "RAD_TAN_THIN_PRISM_FISHEYE",
        &[
            300., 310., 330., 250., 0.02, -0.01, 0.003, -0.0005, 0.0002, -0.0001, 0.001, -0.002, 0.001,
            -0.0005, 0.0008, 0.0003,
        ],
        [998, 588],
    ),
    ("SIMPLE_DIVISION", &[500., 330., 250., -0.15], [679, 495]),
    ("DIVISION", &[500., 510., 330., 250., -0.15], [679, 495]),
    ("SIMPLE_FISHEYE", &[300., 330., 250.], [1036, 602]),
    ("FISHEYE", &[300., 310., 330., 250.], [1036, 592]),
    ("EUCM", &[300., 310., 330., 250., 0.6, 1.1], [1023, 590]),
];

/// The unit vector along a ray; it is bounded, so that the edge of a fisheye image is no finer than its middle.
fn direction([x, y]: [f64; 2]) -> [f64; 2] {
    let n = (1.0 + x * x + y * y).sqrt();
    [x / n, y / n]
}

fn color(ray: [f64; 2]) -> [f64; 3] {
    let [s, t] = direction(ray);
    [(6.0 * s).sin(), (5.0 * t).cos(), (4.0 * (s - t)).sin()].map(|c| 127.5 + 110.0 * c)
}

fn depth(ray: [f64; 2]) -> f64 {
    2.0 + direction(ray)[0]
}

/// A COLMAP dataset whose only photograph shows `color` through a lens, at half the size of its camera.
fn dataset(root: &Path, name: &str, numbers: &[f64]) -> Dataset {
    let (w, h) = (320u32, 240u32);
    let ([fx, fy, cx, cy], lens) = CameraModel::by_name(name).unwrap().camera(numbers).unwrap();
    for folder in ["sparse", "images_2", "masks", "depths"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    let words: Vec<String> = numbers.iter().map(f64::to_string).collect();
    fs::write(root.join("sparse/cameras.txt"), format!("1 {name} 640 480 {}\n", words.join(" "))).unwrap();
    fs::write(root.join("sparse/images.txt"), "1 1 0 0 0 0 0 0 1 a.png\n\n").unwrap();
    fs::write(root.join("sparse/points3D.txt"), "").unwrap();
    let (mut rgb, mut mask, mut depths) = (Vec::new(), Vec::new(), Vec::new());
    for (y, x) in (0..h).flat_map(|y| (0..w).map(move |x| (y, x))) {
        let (px, py) = (2.0 * (f64::from(x) + 0.5), 2.0 * (f64::from(y) + 0.5));
        let ray = lens.unwrap().undistort([(px - cx) / fx, (py - cy) / fy]).unwrap();
        rgb.extend(color(ray).map(|c| c.round() as u8));
        mask.extend([if ray[0] > 0.0 { 255u8 } else { 0 }; 3]);
        depths.push((1000.0 * depth(ray)).round() as u16);
    }
    save_png(root.join("images_2/a.png"), w, h, &rgb).unwrap();
    save_png(root.join("masks/a.png.png"), w, h, &mask).unwrap();
    let map = image::ImageBuffer::<image::Luma<u16>, _>::from_raw(w, h, depths).unwrap();
    map.save(root.join("depths/a.png")).unwrap();
    Dataset::open(root, &OpenOptions::default()).unwrap()
}

/// `x/z, y/z` through the centre of a pixel of the view's pinhole camera.
fn ray(view: &View, x: u32, y: u32) -> [f64; 2] {
    let p = view.camera.projection();
    let ndc = |i: u32, n: u32| (2.0 * f64::from(i) + 1.0) / f64::from(n) - 1.0;
    [(ndc(x, view.camera.width) - p[0][2]) / p[0][0], (ndc(y, view.camera.height) - p[1][2]) / p[1][1]]
}

#[test]
fn every_lens_gives_what_a_pinhole_would_have_seen() {
    for (name, numbers, [w, h]) in LENSES {
        let dir = tempfile::tempdir().unwrap();
        let d = dataset(dir.path(), name, numbers);
        let said = &d.warnings;
        assert!(
            said.len() == 2 && said[0].contains("no points") && said[1].contains("one view"),
            "{name}: {said:?}"
        );
        let view = &d.views[0];
        assert_eq!(view.lens(), name);
        let camera = &view.camera;
        // The focal lengths are kept, and no side is smaller than COLMAP's, which crops both ends equally.
        assert!((f64::from(camera.focal()[0]) * 2.0 - numbers[0]).abs() < 1e-3, "{name}");
        assert!(
            camera.width + 1 >= w / 2 && camera.height + 1 >= h / 2,
            "{name}: {}x{}",
            camera.width,
            camera.height
        );
        assert!(camera.width <= 640 && camera.height <= 480);

        let picture = view.load().unwrap();
        assert_eq!((picture.photo.width, picture.photo.height), (camera.width, camera.height));
        let (mask, inverse) = (picture.mask.unwrap(), picture.inv_depth.unwrap());
        let (mut worst, mut sum, mut off) = (0.0f64, 0.0, 0);
        for (y, x) in (0..camera.height).flat_map(|y| (0..camera.width).map(move |x| (y, x))) {
            let ray = ray(view, x, y);
            let i = (y * camera.width + x) as usize;
            for (c, want) in color(ray).into_iter().enumerate() {
                let error = (f64::from(picture.photo.pixels[3 * i + c]) - want).abs();
                (worst, sum) = (worst.max(error), sum + error);
            }
            // The edge of the mask is soft within half a pixel of the smallest focal length.
            if ray[0].abs() > 0.01 {
                off += usize::from(mask[i] != if ray[0] > 0.0 { 255 } else { 0 });
            }
            assert!((1.0 / f64::from(inverse[i]) - depth(ray)).abs() < 0.01, "{name}: depth at {x}, {y}");
        }
        let mean = sum / (3 * camera.width * camera.height) as f64;
        // There are no blank borders, so there is no mask if none was given.
        fs::remove_file(dir.path().join("masks/a.png.png")).unwrap();
        let d = Dataset::open(dir.path(), &OpenOptions::default()).unwrap();
        assert!(d.views[0].load().unwrap().mask.is_none(), "{name} has blank pixels");
        assert!(mean < 0.6 && worst < 4.0 && off == 0, "{name}: mean {mean}, worst {worst}, mask {off}");
    }
}

/// A lens that covers more than a pinhole can show is cropped to twice the image, and pixels without a source are masked
/// rather than black.
#[test]
fn extreme_lenses_are_cut_and_masked() {
    let dir = tempfile::tempdir().unwrap();
    // 640 pixels over more than 180 degrees; borders see behind the camera.
    for folder in ["sparse", "images"] {
        fs::create_dir_all(dir.path().join(folder)).unwrap();
    }
    fs::write(dir.path().join("sparse/cameras.txt"), "1 FISHEYE 320 240 80 80 160 120\n").unwrap();
    fs::write(dir.path().join("sparse/images.txt"), "1 1 0 0 0 0 0 0 1 a.png\n\n").unwrap();
    fs::write(dir.path().join("sparse/points3D.txt"), "").unwrap();
    save_png(dir.path().join("images/a.png"), 320, 240, &[200; 320 * 240 * 3]).unwrap();
    let open = || Dataset::open(dir.path(), &OpenOptions::default()).unwrap();
    let d = open();
    let camera = &d.views[0].camera;
    assert!(
        camera.width <= 640 && camera.height <= 480 && camera.width > 320,
        "{}x{}",
        camera.width,
        camera.height
    );
    let picture = d.views[0].load().unwrap();
    assert!(picture.photo.pixels.iter().all(|&p| p == 200) && picture.mask.is_none());
    // A polynomial that folds back within the image: its corners have no source.
    fs::write(dir.path().join("sparse/cameras.txt"), "1 SIMPLE_RADIAL 320 240 160 160 120 -0.5\n").unwrap();
    let d = open();
    let picture = d.views[0].load().unwrap();
    let (photo, mask) = (&picture.photo, picture.mask.unwrap());
    let mut blank = 0;
    for (pixel, &m) in photo.pixels.chunks_exact(3).zip(&mask) {
        assert!(if m == 0 { pixel == [0, 0, 0] } else { pixel == [200, 200, 200] && m == 255 });
        blank += usize::from(m == 0);
    }
    // A circle of radius sqrt(2/3) x 160 pixels, in its square.
    let share = blank as f64 / mask.len() as f64;
    assert!((photo.width, photo.height) == (261, 261) && (share - 0.215).abs() < 0.02, "{share}");
}
