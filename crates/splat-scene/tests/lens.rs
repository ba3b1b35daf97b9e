//! Lens distortion compared with independent programs, in both directions, and images through every lens.

use splat_scene::lens::CameraModel;

type Known = (&'static str, &'static [f64], [[f64; 2]; 2]);

/// A model's name, its numbers, and where the rays (0.3, -0.2) and (-0.55, 0.4) fall on 640x480 pixels, by
/// pycolmap 4.2.1's `Camera.img_from_cam`. OPENCV, FULL_OPENCV and OPENCV_FISHEYE agree with OpenCV 5.0's
/// `projectPoints` in all digits that it prints; SIMPLE_PINHOLE and PINHOLE need no table.
const PYCOLMAP: [Known; 15] = [
    ("SIMPLE_RADIAL", &[500., 330., 250., -0.1], [[478.05, 151.3], [67.71875, 440.75]]),
    ("RADIAL", &[500., 330., 250., -0.12, 0.03], [[477.73605, 151.5093], [68.497773438, 440.1834375]]),
    (
        "OPENCV",
        &[500., 510., 330., 250., -0.12, 0.03, 0.001, -0.002],
        [[477.36605, 149.768986], [67.210273438, 444.83498125]],
    ),
    (
        "OPENCV_FISHEYE",
        &[300., 310., 330., 250., 0.02, -0.01, 0.003, -0.0005],
        [[416.573458848, 190.360506127], [184.232441555, 359.546528771]],
    ),
    (
        "FULL_OPENCV",
        &[500., 510., 330., 250., 0.2, 0.03, 0.001, -0.002, 0.01, 0.25, 0.02, 0.005],
        [[478.712148248, 148.853639191], [58.742054584, 451.116859963]],
    ),
    ("FOV", &[500., 510., 330., 250., 0.9], [[484.942377154, 144.639183535], [68.823843051, 443.745221882]]),
    (
        "SIMPLE_RADIAL_FISHEYE",
        &[300., 330., 250., 0.03],
        [[416.688846155, 192.207435897], [183.549823777, 356.509219071]],
    ),
    (
        "RADIAL_FISHEYE",
        &[300., 330., 250., 0.03, -0.01],
        [[416.676459734, 192.215693511], [183.734166077, 356.375151944]],
    ),
    (
        "THIN_PRISM_FISHEYE",
        &[300., 310., 330., 250., 0.02, -0.01, 0.001, -0.002, 0.003, -0.0005, 0.001, -0.0015],
        [[416.404889836, 190.433322413], [183.743693540, 359.778129778]],
    ),
    (
        "RAD_TAN_THIN_PRISM_FISHEYE",
        &[
            300., 310., 330., 250., 0.02, -0.01, 0.003, -0.0005, 0.0002, -0.0001, 0.001, -0.002, 0.001,
            -0.0005, 0.0008, 0.0003,
        ],
        [[416.760050864, 190.236787409], [184.777037442, 359.163169822]],
    ),
    (
        "SIMPLE_DIVISION",
        &[500., 330., 250., -0.15],
        [[477.183800744, 151.877466171], [71.816214234, 437.770026012]],
    ),
    (
        "DIVISION",
        &[500., 510., 330., 250., -0.15],
        [[477.183800744, 149.915015494], [71.816214234, 441.525426532]],
    ),
    ("SIMPLE_FISHEYE", &[300., 330., 250.], [[416.378535210, 192.414309860], [185.100308480, 355.381593832]]),
    ("FISHEYE", &[300., 310., 330., 250.], [[416.378535210, 190.494786855], [185.100308480, 358.894313627]]),
    (
        "EUCM",
        &[300., 310., 330., 250., 0.6, 1.1],
        [[416.416558641, 190.468592936], [184.879621256, 359.060163420]],
    ),
];

#[test]
fn rays_fall_where_colmap_puts_them() {
    for (name, numbers, pixels) in PYCOLMAP {
        let ([fx, fy, cx, cy], lens) = CameraModel::by_name(name).unwrap().camera(numbers).unwrap();
        let lens = lens.unwrap();
        assert_eq!(lens.name(), name);
        for (ray, [x, y]) in [[0.3, -0.2], [-0.55, 0.4]].into_iter().zip(pixels) {
            let [u, v] = lens.distort(ray).unwrap();
            let (dx, dy) = (fx * u + cx - x, fy * v + cy - y);
            assert!(dx.hypot(dy) < 1e-8, "{name}: off by {dx}, {dy} px");
        }
    }
}

/// Over a whole 640x480 image, corners included, to a millionth of a pixel.
#[test]
fn undistortion_is_the_inverse_of_distortion() {
    for (name, numbers, _) in PYCOLMAP {
        let ([fx, fy, cx, cy], lens) = CameraModel::by_name(name).unwrap().camera(numbers).unwrap();
        let lens = lens.unwrap();
        for (x, y) in (0..=16).flat_map(|i| (0..=12).map(move |j| (f64::from(i) * 40.0, f64::from(j) * 40.0)))
        {
            let ray =
                lens.undistort([(x - cx) / fx, (y - cy) / fy]).unwrap_or_else(|| panic!("{name} {x} {y}"));
            let [u, v] = lens.distort(ray).unwrap();
            let off = (fx * u + cx - x).hypot(fy * v + cy - y);
            assert!(off < 1e-6, "{name}: ({x}, {y}) comes back {off} px off");
        }
        assert!(lens.undistort([0.0, 0.0]).is_some());
        // Wherever there is a result it is right, and nothing hangs or panics far outside.
        for far in [1.0, 3.0, 1e3, 1e30, f64::INFINITY, f64::NAN] {
            if let Some(ray) = lens.undistort([far, -far]) {
                let [u, v] = lens.distort(ray).unwrap();
                assert!((u - far).hypot(v + far) < 1e-8 * far, "{name} at {far}");
            }
            let _ = lens.distort([far, far]);
        }
    }
}

/// Polynomials turn back where they were never fitted: rays beyond that are not part of the image.
#[test]
fn rays_beyond_the_fold_fall_nowhere() {
    // r (1 - r^2) grows to r = 1/sqrt(3).
    let (_, lens) = CameraModel::by_name("SIMPLE_RADIAL").unwrap().camera(&[1.0, 0.0, 0.0, -1.0]).unwrap();
    let lens = lens.unwrap();
    assert!(lens.distort([0.57, 0.0]).is_some() && lens.distort([0.59, 0.0]).is_none());
    assert!(lens.undistort([0.38, 0.0]).is_some() && lens.undistort([0.4, 0.0]).is_none());
    let refused = CameraModel::by_name("SIMPLE_RADIAL").unwrap().camera(&[1.0, 0.0, 0.0, -1e9]).unwrap_err();
    assert!(refused.contains("turns back"), "{refused}");
}

#[test]
fn numbers_that_cannot_be_are_refused_and_zeros_are_a_pinhole() {
    let camera = |name: &str, numbers: &[f64]| CameraModel::by_name(name).unwrap().camera(numbers);
    assert!(camera("OPENCV", &[1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]).unwrap().1.is_none());
    assert!(camera("FOV", &[1.0, 1.0, 0.0, 0.0, 0.0]).unwrap().1.is_none());
    assert!(camera("FISHEYE", &[1.0, 1.0, 0.0, 0.0]).unwrap().1.is_some(), "a fisheye is never a pinhole");
    assert!(camera("PINHOLE", &[1.0, 0.0, 0.0, 0.0]).unwrap_err().contains("focal lengths"));
    assert!(camera("PINHOLE", &[1.0, 1.0, f64::NAN, 0.0]).unwrap_err().contains("principal point"));
    assert!(camera("RADIAL", &[1.0, 0.0, 0.0, f64::NAN, 0.0]).unwrap_err().contains("NaN"));
    assert!(camera("EUCM", &[1.0, 1.0, 0.0, 0.0, 2.0, 1.0]).unwrap_err().contains("alpha"));
    assert!(camera("RADIAL", &[1.0]).unwrap_err().contains("RADIAL has 5"));
    assert!(CameraModel::by_name("EQUIRECTANGULAR").is_none() && CameraModel::by_id(17).is_none());
}
