//! Bad and extreme inputs give a clear error that names the input, or the documented result; never a crash, a hang, a NaN
//! or a silent zero.

use crate::random::{Owned, Weights, camera, settings};
use splat_core::{
    Camera, Channel, Color, Error, Forward, Gradients, Mode, Scene, Settings, Shape, Upstream, backward,
    forward, mark_visible,
};

fn scene() -> Owned<f32> {
    Owned::new(1, 5, (0.1, 0.4))
}

fn both(
    scene: &Scene<f32>,
    camera: &Camera<f32>,
    settings: &Settings<f32>,
) -> (Forward<f32>, Gradients<f32>) {
    let out = forward(scene, camera, settings).expect("forward");
    let weights = Weights::new(2, camera);
    let grad = backward(scene, camera, settings, out.saved.as_ref(), &out.radii, &weights.upstream())
        .expect("backward");
    for v in [
        &out.outputs[Channel::Color],
        &out.outputs[Channel::Depth],
        &out.outputs[Channel::InvDepth],
        &out.outputs[Channel::Alpha],
        &out.outputs[Channel::Features],
    ] {
        assert!(v.iter().all(|x| x.is_finite()), "an output is not finite");
    }
    for v in [
        &grad.means3d,
        &grad.means2d,
        &grad.opacities,
        &grad.sh,
        &grad.colors,
        &grad.scales,
        &grad.rotations,
        &grad.cov3d,
        &grad.features,
        &grad.view.to_vec(),
        &grad.background.to_vec(),
    ] {
        assert!(v.iter().all(|x| x.is_finite()), "a gradient is not finite");
    }
    (out, grad)
}

fn error(scene: &Scene<f32>, camera: &Camera<f32>, settings: &Settings<f32>) -> Error {
    let error = forward(scene, camera, settings).expect_err("forward accepted it");
    let (good, good_camera) = (self::scene(), self::camera(20, 20));
    let out = forward(&good.scene(), &good_camera, &self::settings()).expect("forward");
    let again = backward(scene, camera, settings, out.saved.as_ref(), &out.radii, &Upstream::default())
        .expect_err("backward accepted it");
    assert_eq!(error, again, "forward and backward disagree");
    error
}

/// A Gaussian with a NaN or an infinity among its numbers is not rendered but counted, wherever it is; the others render
/// as if it were not there.
#[test]
fn splats_that_are_not_finite_are_rejected() {
    type Field = fn(&mut Owned<f32>) -> &mut Vec<f32>;
    // The index of a number of the second Gaussian in each field.
    let fields: [(&str, bool, Field, usize); 8] = [
        ("means3D", false, |s| &mut s.means3d, 3),
        ("opacities", false, |s| &mut s.opacities, 1),
        ("shs", false, |s| &mut s.sh, 48 + 5),
        ("colors_precomp", true, |s| &mut s.colors, 4),
        ("scales", false, |s| &mut s.scales, 5),
        ("rotations", false, |s| &mut s.rotations, 7),
        ("cov3D_precomp", true, |s| &mut s.cov3d, 6),
        ("features", false, |s| &mut s.features, 3),
    ];
    let c = camera(20, 20);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for mode in [Mode::Compat, Mode::Exact] {
            let settings = Settings { mode, ..settings() };
            for (name, given, field, at) in &fields {
                let whole = Owned { use_sh: !given, use_cov: *given, ..scene().with_features(4, 2) };
                let mut s = whole.clone();
                field(&mut s)[*at] = bad;
                let (out, grad) = both(&s.scene(), &c, &settings);
                assert_eq!((out.rejected, out.radii[1]), (1, 0), "{name} with {bad}");
                let without = whole.permuted(&[0, 2, 3, 4]);
                let (expected, _) = both(&without.scene(), &c, &settings);
                assert_eq!(
                    (&out.outputs[Channel::Color], &out.outputs[Channel::Features]),
                    (&expected.outputs[Channel::Color], &expected.outputs[Channel::Features]),
                    "{name}"
                );
                for (g, each) in [(&grad.means3d, 3), (&grad.opacities, 1), (&grad.features, 2)] {
                    assert!(
                        g[each..2 * each].iter().all(|x| *x == 0.0),
                        "{name}: a gradient of the rejected"
                    );
                }
            }
        }
    }
    // Behind the camera it counts too; coefficients above the active degree do not.
    let mut s = scene();
    s.means3d[2] = -5.0;
    s.scales[0] = f32::NAN;
    s.sh[48 + 4 * 3] = f32::NAN;
    let settings = Settings { sh_degree: 1, ..settings() };
    let (out, _) = both(&s.scene(), &c, &settings);
    assert_eq!(out.rejected, 1);
    assert!(out.radii[1] > 0, "the second Gaussian is fine in degree 1");
    assert_eq!(mark_visible(&[0.0, f32::NAN, 9.0, 0.0, 0.0, 9.0], &camera(4, 4).view), Ok(vec![false, true]));
}

/// NaN and both infinities in camera, settings and upstream gradients are refused, with the name and the index.
#[test]
fn numbers_that_are_not_finite() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        type Set = fn(&mut Camera<f32>, f32);
        let cameras: [(&str, Set); 5] = [
            ("tanfovx", |c, x| c.tan_fovx = x),
            ("tanfovy", |c, x| c.tan_fovy = x),
            ("viewmatrix", |c, x| c.view[0] = x),
            ("projmatrix", |c, x| c.proj[0] = x),
            ("campos", |c, x| c.campos[0] = x),
        ];
        for (name, set) in cameras {
            let mut c = camera(20, 20);
            set(&mut c, bad);
            let text = error(&scene().scene(), &c, &settings()).to_string();
            assert!(text.contains(&format!("`{name}`[0]")), "{name} with {bad}: {text}");
        }
        let mut wrong = settings();
        wrong.background[2] = bad;
        let text = error(&scene().scene(), &camera(20, 20), &wrong).to_string();
        assert!(text.contains("`bg`[2]"), "{text}");
        let wrong = Settings { scale_modifier: bad, ..settings() };
        let text = error(&scene().scene(), &camera(20, 20), &wrong).to_string();
        assert!(text.contains("`scale_modifier`"), "{text}");

        let matrix = [bad; 16];
        assert!(mark_visible(&[0.0; 3], &matrix).is_err(), "mark_visible took {bad}");
        let (s, c) = (scene(), camera(20, 20));
        let out = forward(&s.scene(), &c, &settings()).expect("forward");
        let mut up = vec![0.0; 400];
        up[7] = bad;
        let upstream = Upstream { depth: Some(&up), ..Upstream::default() };
        let text = backward(&s.scene(), &c, &settings(), out.saved.as_ref(), &out.radii, &upstream)
            .expect_err("backward took it")
            .to_string();
        assert!(text.contains("`grad_depth`[7]"), "{text}");
    }
}

/// Wrong lengths are refused with both lengths.
#[test]
fn wrong_lengths() {
    let s = scene();
    let lengths = |shape| Scene { shape, ..s.scene() };
    let (scales, rotations) = (&s.scales[..14], &s.rotations[..]);
    let text =
        error(&lengths(Shape::ScaleRotation { scales, rotations }), &camera(20, 20), &settings()).to_string();
    assert!(text.contains("`scales` has 14 numbers") && text.contains("15"), "{text}");
    let text = error(&lengths(Shape::Covariance(&s.cov3d[..29])), &camera(20, 20), &settings()).to_string();
    assert!(text.contains("`cov3D_precomp` has 29 numbers") && text.contains("30"), "{text}");
    let short = Scene { means3d: &s.means3d[1..], ..s.scene() };
    let text = error(&short, &camera(20, 20), &settings()).to_string();
    assert!(text.contains("`means3D` has 14 numbers"), "{text}");
    let rgb = Scene { color: Color::Rgb(&s.colors[..1]), ..s.scene() };
    let text = error(&rgb, &camera(20, 20), &settings()).to_string();
    assert!(text.contains("`colors_precomp` has 1 numbers"), "{text}");

    let c = camera(20, 20);
    let out = forward(&s.scene(), &c, &settings()).expect("forward");
    let saved = out.saved.as_ref();
    let upstream = Upstream { color: Some(&[0.0; 3]), ..Upstream::default() };
    let text =
        backward(&s.scene(), &c, &settings(), saved, &out.radii, &upstream).expect_err("took it").to_string();
    assert!(text.contains("`grad_color` has 3 numbers") && text.contains("1200"), "{text}");
    let none = Upstream::default();
    let text = backward(&s.scene(), &c, &settings(), saved, &out.radii[1..], &none)
        .expect_err("took it")
        .to_string();
    assert!(text.contains("`radii` has 4 numbers"), "{text}");
}

/// Saved state of other inputs is refused, and never read out of bounds.
#[test]
fn saved_state_of_another_render() {
    let (s, c) = (scene(), camera(20, 20));
    let out = forward(&s.scene(), &c, &settings()).expect("forward");
    let none = Upstream::default();
    let run = |saved: &splat_core::Saved<f32>, camera: &Camera<f32>| {
        backward(&s.scene(), camera, &settings(), saved.as_ref(), &out.radii, &none).map(|_| ())
    };
    assert!(run(&out.saved, &c).is_ok(), "the right state is refused");
    assert!(run(&out.saved, &camera(40, 20)).is_err(), "another image size");
    let mut wrong = out.saved.clone();
    wrong.point_list[0] = 99;
    assert!(run(&wrong, &c).is_err(), "a Gaussian that does not exist");
    let mut wrong = out.saved.clone();
    wrong.ranges[0] = [5, 2];
    assert!(run(&wrong, &c).is_err(), "a range that runs backwards");
    let mut wrong = out.saved.clone();
    wrong.contributors[0] = u32::MAX;
    assert!(run(&wrong, &c).is_err(), "more contributors than Gaussians");
    let mut wrong = out.saved.clone();
    wrong.point_list.pop();
    assert!(run(&wrong, &c).is_err(), "a list that ends early");
}

/// Settings that make no sense are refused.
#[test]
fn impossible_settings() {
    let s = scene();
    for (width, height) in [(0, 10), (10, 0), (0, 0), (u32::MAX, u32::MAX)] {
        let c = Camera { width, height, ..camera(20, 20) };
        let text = error(&s.scene(), &c, &settings()).to_string();
        assert!(text.contains(&format!("{width} x {height}")), "{text}");
    }
    let text = error(&s.scene(), &camera(20, 20), &Settings { sh_degree: 4, ..settings() }).to_string();
    assert!(text.contains("sh_degree is 4"), "{text}");
    for fov in [0.0, -1.0] {
        let c = Camera { tan_fovx: fov, ..camera(20, 20) };
        let text = error(&s.scene(), &c, &settings()).to_string();
        assert!(text.contains("`tanfovx`"), "{text}");
    }
    for (degree, coeffs) in [(1, 1), (1, 3), (2, 4), (3, 9), (3, 15)] {
        let fewer = Scene { color: Color::Sh { values: &s.sh[..15 * coeffs], coeffs }, ..s.scene() };
        let wrong = Settings { sh_degree: degree, ..settings() };
        let text = error(&fewer, &camera(20, 20), &wrong).to_string();
        assert!(text.contains(&format!("stores {coeffs} coefficients")), "{text}");
    }
    let none = Scene { color: Color::Sh { values: &[], coeffs: usize::MAX }, ..s.scene() };
    assert!(forward(&none, &camera(20, 20), &settings()).is_err(), "a count that overflows");
}

/// The image is the background, gradients are zero.
fn assert_background(out: &Forward<f32>, settings: &Settings<f32>) {
    let n = out.outputs[Channel::Alpha].len();
    for (i, x) in out.outputs[Channel::Color].iter().enumerate() {
        assert_eq!(*x, settings.background[i / n], "number {i}");
    }
    assert!(
        out.outputs[Channel::Alpha]
            .iter()
            .chain(&out.outputs[Channel::Depth])
            .chain(&out.outputs[Channel::InvDepth])
            .all(|&x| x == 0.0)
    );
    assert!(out.radii.iter().all(|&r| r == 0));
}

/// No Gaussians at all: the background (the original gives zeros).
#[test]
fn no_splats() {
    let empty = Owned::<f32>::new(1, 0, (0.1, 0.2));
    let scene = Scene { color: Color::Sh { values: &[], coeffs: 16 }, ..empty.scene() };
    let (out, grad) = both(&scene, &camera(20, 20), &settings());
    assert_background(&out, &settings());
    assert_eq!(out.saved.rendered(), 0);
    assert!(grad.means3d.is_empty() && grad.sh.is_empty());
    assert_eq!(mark_visible::<f32>(&[], &camera(4, 4).view), Ok(vec![]));
}

/// Everything is behind the camera, at it or outside the image: the background, and gradients of exactly zero.
#[test]
fn nothing_visible() {
    let camera: Camera<f32> = Camera::look_at(20, 20, 60.0, [0.0; 3], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]);
    for (mean, in_front) in [
        ([0.0, 0.0, -3.0], false),
        ([0.0, 0.0, 0.0], false),
        ([0.0, 0.0, 0.2], false),
        ([90.0, 0.0, 3.0], true),
    ] {
        let mut s = scene();
        s.means3d = mean.repeat(5);
        let (out, grad) = both(&s.scene(), &camera, &settings());
        assert_background(&out, &settings());
        for v in [&grad.means3d, &grad.means2d, &grad.opacities, &grad.sh, &grad.scales, &grad.rotations] {
            assert!(v.iter().all(|&x| x == 0.0), "{mean:?}: a gradient of an invisible Gaussian");
        }
        assert_eq!(mark_visible(&s.means3d, &camera.view), Ok(vec![in_front; 5]), "{mean:?}");
    }
}

/// A Gaussian just beyond the near limit is visible.
#[test]
fn splat_at_the_camera() {
    let camera: Camera<f32> = Camera::look_at(20, 20, 60.0, [0.0; 3], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]);
    let mut s = scene();
    s.means3d = [0.0, 0.0, 0.2001].repeat(5);
    let (out, _) = both(&s.scene(), &camera, &settings());
    assert!(out.radii.iter().all(|&r| r > 0), "{:?}", out.radii);
    assert!(out.outputs[Channel::Alpha].iter().any(|&a| a > 0.9));
}

/// One pixel, sizes that are not multiples of the tile size, and sizes smaller than a tile.
#[test]
fn image_sizes() {
    for (width, height) in [(1, 1), (1, 40), (17, 1), (15, 16), (16, 15), (33, 47), (16, 16), (64, 32)] {
        let (s, c) = (scene(), camera::<f32>(width, height));
        let (out, _) = both(&s.scene(), &c, &settings());
        assert_eq!(out.outputs[Channel::Color].len(), (3 * width * height) as usize);
        assert_eq!(out.saved.ranges.len(), (width.div_ceil(16) * height.div_ceil(16)) as usize);
        assert!(out.outputs[Channel::Alpha].iter().any(|&a| a > 0.0), "{width} x {height} is empty");
    }
}

/// Zero scales leave the 0.3 px filter; a negative scale is its absolute value; a zero quaternion is the
/// identity.
#[test]
fn degenerate_shapes() {
    let c = camera::<f32>(40, 40);
    let point = Owned { scales: vec![0.0; 15], ..scene() };
    let (out, _) = both(&point.scene(), &c, &settings());
    assert!(out.radii.iter().all(|&r| r == 2 || r == 3), "radii of points: {:?}", out.radii);
    let aa = Settings { antialiasing: true, ..settings() };
    both(&point.scene(), &c, &aa);

    let negative = Owned { scales: scene().scales.iter().map(|x| -x).collect(), ..scene() };
    let (a, _) = both(&negative.scene(), &c, &settings());
    assert_eq!(a, both(&scene().scene(), &c, &settings()).0, "negative scales");

    let zero = Owned { rotations: vec![0.0; 20], ..scene() };
    let identity = Owned { rotations: [1.0, 0.0, 0.0, 0.0].repeat(5), ..scene() };
    let (a, _) = both(&zero.scene(), &c, &settings());
    assert_eq!(a, both(&identity.scene(), &c, &settings()).0, "zero quaternions");
}

/// Opacity 0 leaves the image alone; opacity 1 is capped at 0.99 and renders, alone and in front of another.
#[test]
fn opacity_zero_and_one() {
    let c = camera::<f32>(40, 40);
    let none = Owned { opacities: vec![0.0; 5], ..scene() };
    let (out, grad) = both(&none.scene(), &c, &settings());
    assert!(out.outputs[Channel::Alpha].iter().all(|&a| a == 0.0) && out.radii.iter().all(|&r| r > 0));
    assert!(grad.opacities.iter().all(|&g| g == 0.0), "a Gaussian that is never blended has no gradient");

    let full = Owned { opacities: vec![1.0; 5], ..scene() };
    let (out, _) = both(&full.scene(), &c, &settings());
    let most = out.outputs[Channel::Alpha].iter().copied().fold(0.0, f32::max);
    assert!((0.98..=0.9999).contains(&most), "alpha reaches {most}");
}

/// A Gaussian 20,000 pixels wide covers every tile once and costs no more than one Gaussian.
#[test]
fn very_wide_splat() {
    let mut s = Owned::<f32>::new(3, 1, (1.0, 1.0));
    s.means3d = vec![0.0, 0.0, 3.0];
    s.scales = vec![3.0 * 20_000.0 / 6.0 / 100.0; 3];
    let camera: Camera<f32> =
        Camera::from_pinhole(300, 200, [100.0, 100.0, 150.0, 100.0], IDENTITY, [0.0; 3]);
    let (out, _) = both(&s.scene(), &camera, &settings());
    assert!(out.radii[0] >= 10_000, "radius {}", out.radii[0]);
    assert_eq!(out.saved.rendered(), 19 * 13);
    assert!(out.outputs[Channel::Alpha].iter().all(|&a| a > 0.1));
}

const IDENTITY: [[f64; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

/// Finite inputs whose projection is beyond f32: culled, with radius 0, while the others render as before.
#[test]
fn projections_that_overflow() {
    let c = camera::<f32>(40, 40);
    let alone = both(&scene().scene(), &c, &settings()).0;
    let overflow: [fn(&mut Owned<f32>); 3] =
        [|s| s.scales[..3].fill(1e30), |s| s.rotations[..4].fill(1e30), |s| s.means3d[..2].fill(3e38)];
    for (case, spoil) in overflow.into_iter().enumerate() {
        let mut s = scene();
        spoil(&mut s);
        let (out, _) = both(&s.scene(), &c, &settings());
        assert_eq!(out.radii[0], 0, "case {case}");
        assert_eq!(out.radii[1..], alone.radii[1..], "case {case}");
        assert!(out.outputs[Channel::Alpha].iter().any(|&a| a > 0.0), "case {case}: the others are gone");
    }
    // Colours near the largest number: finite images, and gradients that stop at the largest number.
    let mut bright = scene();
    bright.sh[..48].fill(3e38);
    both(&bright.scene(), &c, &settings());
    let given = Owned { use_cov: true, cov3d: [f32::MAX; 30].to_vec(), ..scene() };
    let (out, _) = both(&given.scene(), &c, &settings());
    assert_background(&out, &settings());
}
