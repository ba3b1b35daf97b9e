//! Features that the original does not have, against central finite differences in f64: mode `exact`, off-centre and
//! orthographic cameras, stored values before their activation, split coefficients, features, and the gradients for
//! background, pose and absolute screen positions.

use crate::differences::{Problem, STEP, assert_close, deviation, five_points, smooth, with_view};
use crate::random::{Owned, camera, orthographic_camera, settings, shifted_camera};
use splat_core::{
    Camera, Channel, Mode, Settings, Tuning, Upstream, Values, Wanted, backward_with, forward_with,
};

type Field = fn(&mut Owned<f64>) -> &mut Vec<f64>;

fn scene(seed: u64) -> Owned<f64> {
    Owned::new(seed, 6, (0.15, 0.5))
}

fn exact() -> Settings<f64> {
    Settings { mode: Mode::Exact, ..settings() }
}

/// The gradients for these inputs, and those for background and pose, are the derivatives.
fn check(name: &str, scene: &Owned<f64>, problem: &Problem, fields: &[(&str, Field)]) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    pool.install(|| {
        let grad = problem.gradients(scene, &smooth());
        for (input, field) in fields {
            let ours = match *input {
                "means3D" => &grad.means3d,
                "opacities" => &grad.opacities,
                "sh" => &grad.sh,
                "sh_first" => &grad.sh,
                "sh_rest" => &grad.sh_rest,
                "scales" => &grad.scales,
                "rotations" => &grad.rotations,
                "cov3D" => &grad.cov3d,
                "features" => &grad.features,
                other => panic!("{other}"),
            };
            assert_close(&format!("{name}: {input}"), ours, &problem.differences(scene, *field));
        }
        let background: Vec<f64> = (0..3)
            .map(|k| {
                five_points(STEP, |x| {
                    let mut moved = Settings { ..problem.settings };
                    moved.background[k] += x;
                    loss(problem, scene, &problem.camera, &moved)
                })
            })
            .collect();
        assert_close(&format!("{name}: background"), &grad.background, &background);
        let pose: Vec<f64> = (0..16)
            .map(|at| {
                if at % 4 == 3 {
                    return 0.0;
                }
                five_points(STEP, |x| {
                    let mut view = problem.camera.view;
                    view[at] += x;
                    loss(problem, scene, &with_view(&problem.camera, view), &problem.settings)
                })
            })
            .collect();
        assert_close(&format!("{name}: view"), &grad.view, &pose);
        assert!((0..4).all(|c| grad.view[4 * c + 3] == 0.0), "{name}: the last row of the pose moves");
    });
}

fn loss(problem: &Problem, scene: &Owned<f64>, camera: &Camera<f64>, settings: &Settings<f64>) -> f64 {
    let out = forward_with(&scene.scene(), camera, settings, &Wanted::images(), &smooth()).expect("forward");
    problem.weights.loss(&out.outputs)
}

const SHAPE: [(&str, Field); 4] = [
    ("means3D", |s| &mut s.means3d),
    ("opacities", |s| &mut s.opacities),
    ("scales", |s| &mut s.scales),
    ("rotations", |s| &mut s.rotations),
];
const SH: (&str, Field) = ("sh", |s| &mut s.sh);

#[test]
fn pose_background_and_exact_mode() {
    let fields = [SHAPE.as_slice(), &[SH]].concat();
    for degree in [0, 3] {
        let settings = Settings { sh_degree: degree, scale_modifier: 0.8, ..exact() };
        let problem = Problem::seen_by(camera(21, 13), settings, 0);
        check(&format!("exact, degree {degree}"), &scene(1), &problem, &fields);
    }
    let given = Owned { use_sh: false, use_cov: true, ..scene(2) };
    let problem = Problem::seen_by(camera(21, 13), exact(), 0);
    check("exact, given", &given, &problem, &[SHAPE[0], ("cov3D", |s| &mut s.cov3d)]);
    let small = Owned::new(3, 6, (0.02, 0.2));
    let problem = Problem::seen_by(camera(21, 13), Settings { antialiasing: true, ..exact() }, 0);
    check("exact, antialiasing", &small, &problem, &fields);
}

#[test]
fn principal_point_off_centre() {
    let problem = Problem::seen_by(shifted_camera(21, 13), exact(), 0);
    check("off centre", &scene(4), &problem, &[SHAPE.as_slice(), &[SH]].concat());
}

#[test]
fn orthographic() {
    let problem = Problem::seen_by(orthographic_camera(21, 13), exact(), 0);
    let fields = [SHAPE.as_slice(), &[SH]].concat();
    check("orthographic", &scene(5), &problem, &fields);
    let aa = Settings { antialiasing: true, ..exact() };
    check("orthographic, aa", &scene(5), &Problem::seen_by(orthographic_camera(21, 13), aa, 0), &fields);
}

#[test]
fn raw_parameters() {
    let settings = Settings { values: Values::Raw, scale_modifier: 1.3, ..exact() };
    let problem = Problem::seen_by(camera(21, 13), settings, 0);
    check("raw", &scene(6).raw(), &problem, &SHAPE);
}

#[test]
fn split_coefficients_and_features() {
    let scene = scene(7).split().with_features(8, 5);
    let problem = Problem::seen_by(camera(21, 13), exact(), 5);
    let fields: [(&str, Field); 5] = [
        SHAPE[0],
        SHAPE[1],
        ("sh_first", |s| &mut s.sh_first),
        ("sh_rest", |s| &mut s.sh_rest),
        ("features", |s| &mut s.features),
    ];
    check("split, features", &scene, &problem, &fields);
}

/// A Gaussian so far outside the view that its Jacobian is clamped, with an off-centre principal point: the limits follow it. The
/// pose moves rigidly here, since the limits belong to the projection.
#[test]
fn clamped_jacobian_follows_the_principal_point() {
    let mut scene = scene(9);
    scene.means3d[..3].copy_from_slice(&[-3.4, 0.3, 2.6]);
    scene.scales[..3].copy_from_slice(&[1.5, 1.2, 1.4]);
    let problem = Problem::seen_by(shifted_camera(21, 13), exact(), 0);
    let grad = problem.gradients(&scene, &smooth());
    let truth = problem.differences(&scene, |s| &mut s.means3d);
    assert_close("clamped: means3D", &grad.means3d, &truth);
    let centred = Problem::seen_by(shifted_camera(21, 13), settings(), 0);
    let off = deviation(&centred.gradients(&scene, &smooth()).means3d[..3], &truth[..3]);
    assert!(off > 1e-3, "the limits do not matter to this Gaussian: {off:e}");
    let view = problem.camera.view;
    let (mut ours, mut differences) = (Vec::new(), Vec::new());
    for (i, j) in [(0, 1), (0, 2), (1, 2)] {
        // The rotation by x in the plane of camera axes i and j.
        let turned = |x: f64| {
            let mut v = view;
            for c in 0..4 {
                v[4 * c + i] = x.cos() * view[4 * c + i] - x.sin() * view[4 * c + j];
                v[4 * c + j] = x.sin() * view[4 * c + i] + x.cos() * view[4 * c + j];
            }
            v
        };
        ours.push(
            (0..4)
                .map(|c| grad.view[4 * c + j] * view[4 * c + i] - grad.view[4 * c + i] * view[4 * c + j])
                .sum(),
        );
        differences.push(five_points(STEP, |x| {
            loss(&problem, &scene, &with_view(&problem.camera, turned(x)), &problem.settings)
        }));
    }
    assert_close("clamped: rotation", &ours, &differences);
}

/// Each pixel's own gradient for the centre, added up without signs.
#[test]
fn absolute_gradients_are_sums_over_single_pixels() {
    let (scene, camera, settings) = (scene(10).with_features(3, 2), camera::<f64>(19, 11), exact());
    let tuning = Tuning::default();
    let problem = Problem::seen_by(camera.clone(), settings, 2);
    let s = scene.scene();
    let out = forward_with(&s, &camera, &settings, &Wanted::images(), &tuning).expect("forward");
    let run = |upstream: &Upstream<f64>| {
        backward_with(&s, &camera, &settings, out.saved.as_ref(), &out.radii, upstream, &tuning)
            .expect("backward")
    };
    let whole = problem.weights.upstream();
    let n = out.outputs[Channel::Alpha].len();
    let mut expected = vec![0.0; 2 * s.len()];
    let (mut signed, mut features) = (vec![0.0; 2 * s.len()], vec![0.0; 2 * s.len()]);
    for at in 0..n {
        let only = |values: Option<&[f64]>| -> Vec<f64> {
            values
                .expect("given")
                .iter()
                .enumerate()
                .map(|(i, x)| if i % n == at { *x } else { 0.0 })
                .collect()
        };
        let (color, depth, inv_depth) = (only(whole.color), only(whole.depth), only(whole.inv_depth));
        let (alpha, channels) = (only(whole.alpha), only(whole.features));
        let grad = run(&Upstream {
            color: Some(&color),
            inv_depth: Some(&inv_depth),
            depth: Some(&depth),
            alpha: Some(&alpha),
            features: Some(&channels),
            means2d_abs: false,
        });
        for (i, g) in grad.means2d.chunks_exact(3).enumerate() {
            for k in 0..2 {
                expected[2 * i + k] += g[k].abs();
                signed[2 * i + k] += g[k];
            }
        }
        features.iter_mut().zip(&grad.features).for_each(|(a, b)| *a += b);
    }
    let grad = run(&Upstream { means2d_abs: true, ..whole });
    assert_close("absolute", &grad.means2d_abs, &expected);
    let two: Vec<f64> = grad.means2d.chunks_exact(3).flat_map(|g| [g[0], g[1]]).collect();
    assert_close("signed", &two, &signed);
    assert_close("features", &grad.features, &features);
    assert!(deviation(&grad.means2d_abs, &two) > 1e-2, "no two pixels pull in opposite directions here");
    let (mut with, without) = (grad, run(&whole));
    assert!(without.means2d_abs.is_empty());
    with.means2d_abs.clear();
    assert_eq!(with, without, "asking for them changes another gradient");
}
