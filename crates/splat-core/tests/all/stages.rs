//! The stages: that they are the whole calls to the bit, that records of several projections may be joined, and their
//! gradients against central finite differences in f64.

use crate::differences::{STEP, assert_close, five_points, smooth, with_view};
use crate::random::{Owned, Random, Weights, camera, orthographic_camera, permute, settings, shifted_camera};
use splat_core::{
    Camera, Channel, FeatureChannels, Gradients, Mode, RasterGradients, Rasterized, Real, Record,
    RecordGradient, Settings, Tuning, Upstream, Values, Wanted, backward, forward, project, project_backward,
    rasterize, rasterize_backward,
};

/// Default tuning of any type.
fn plain<T: Real>() -> Tuning<'static, T> {
    Tuning::default()
}

fn size<T>(camera: &Camera<T>) -> [u32; 2] {
    [camera.width, camera.height]
}

/// The staged way, from given records.
fn image<T: Real>(
    records: &[Record<T>],
    features: FeatureChannels<T>,
    camera: &Camera<T>,
    settings: &Settings<T>,
    upstream: &Upstream<T>,
) -> (Rasterized<T>, RasterGradients<T>) {
    let size = size(camera);
    let out = rasterize(records, features, size, settings, &Wanted::images(), &plain()).expect("rasterize");
    let saved = out.saved.as_ref();
    let grad = rasterize_backward(records, features, size, settings, saved, upstream, &plain());
    (out, grad.expect("rasterize_backward"))
}

fn stages_are_the_whole<T: Real>(seed: u64) {
    let scene = Owned::<T>::new(seed, 400, (0.01, 0.3)).with_features(2, 3);
    let s = scene.scene();
    for (mode, antialiasing, camera) in [
        (Mode::Compat, false, camera(70, 50)),
        (Mode::Compat, true, shifted_camera(70, 50)),
        (Mode::Exact, false, camera(70, 50)),
        (Mode::Exact, true, orthographic_camera(70, 50)),
    ] {
        let settings = Settings { mode, antialiasing, ..settings() };
        let weights = Weights::with_features(1, &camera, 3);
        let upstream = Upstream { means2d_abs: true, ..weights.upstream() };
        let whole = forward(&s, &camera, &settings).expect("forward");
        let whole_grad = backward(&s, &camera, &settings, whole.saved.as_ref(), &whole.radii, &upstream);

        let projected = project(&s, &camera, &settings, &plain()).expect("project");
        let (out, grad) = image(&projected.records, s.features, &camera, &settings, &upstream);
        let radii: Vec<i32> = projected.records.iter().map(|r| r.radius).collect();
        assert_eq!((&radii, projected.rejected), (&whole.radii, whole.rejected));
        assert!(out.outputs == whole.outputs && out.saved == whole.saved, "{mode:?}: images differ");
        let ours = project_backward(&s, &camera, &settings, &projected.records, &grad.records, &plain());
        let ours = Gradients {
            features: grad.features,
            background: grad.background,
            ..ours.expect("project_backward")
        };
        assert!(ours == whole_grad.expect("backward"), "{mode:?}: gradients differ");
        assert!(ours.means2d_abs.iter().any(|x| *x > T::zero()));
    }
}

#[test]
fn stages_are_the_whole_calls_to_the_bit() {
    stages_are_the_whole::<f32>(1);
    stages_are_the_whole::<f64>(2);
}

/// Records of two halves of a scene, projected apart: the same image and the same gradients.
#[test]
fn records_of_several_projections_join() {
    let whole = Owned::<f32>::new(3, 300, (0.01, 0.3)).with_features(4, 2);
    let first: Vec<usize> = (0..130).collect();
    let second: Vec<usize> = (130..300).collect();
    let halves = [whole.permuted(&first), whole.permuted(&second)];
    let (camera, settings) = (camera::<f32>(70, 50), settings());
    let weights = Weights::with_features(5, &camera, 2);
    let upstream = weights.upstream();
    let records: Vec<Vec<Record>> = halves
        .iter()
        .map(|half| project(&half.scene(), &camera, &settings, &plain()).expect("project").records)
        .collect();
    let (out, grad) = image(&records.concat(), whole.scene().features, &camera, &settings, &upstream);
    let expected = forward(&whole.scene(), &camera, &settings).expect("forward");
    assert!(out.outputs == expected.outputs && out.saved == expected.saved);
    let saved = expected.saved.as_ref();
    let truth =
        backward(&whole.scene(), &camera, &settings, saved, &expected.radii, &upstream).expect("backward");
    assert_eq!((&grad.features, grad.background), (&truth.features, truth.background));
    let parts = [(0, 130), (130, 300)];
    let mut view = [0.0_f64; 16];
    for ((half, records), (from, to)) in halves.iter().zip(&records).zip(parts) {
        let of = &grad.records[from..to];
        let g = project_backward(&half.scene(), &camera, &settings, records, of, &plain()).expect("backward");
        assert_eq!(g.means3d, truth.means3d[3 * from..3 * to]);
        assert_eq!(g.means2d, truth.means2d[3 * from..3 * to]);
        assert_eq!(g.opacities, truth.opacities[from..to]);
        assert_eq!(g.sh, truth.sh[48 * from..48 * to]);
        assert_eq!(g.scales, truth.scales[3 * from..3 * to]);
        assert_eq!(g.rotations, truth.rotations[4 * from..4 * to]);
        view.iter_mut().zip(g.view).for_each(|(sum, x)| *sum += f64::from(x));
    }
    // Sums over Gaussians in another order.
    assert_close("view", &view.map(|x| x as f32).map(f64::from), &truth.view.map(f64::from));

    // The order of records does not matter as long as no two depths are equal; of equal ones the earlier is in front.
    let turned: Vec<Record> = records.concat().into_iter().rev().collect();
    let order: Vec<usize> = (0..300).rev().collect();
    let values = permute(&whole.features, &order);
    let (other, other_grad) =
        image(&turned, FeatureChannels { values: &values, count: 2 }, &camera, &settings, &upstream);
    assert!(other.outputs == out.outputs);
    assert_eq!(permute(&other_grad.records, &order), grad.records);
    let red =
        Record { x: 8.0, y: 8.0, inv_cov: [0.1, 0.0, 0.1], opacity: 0.9, depth: 3.0, ..Record::default() };
    let red = Record { color: [1.0, 0.0, 0.0], half_x: 10.0, half_y: 10.0, radius: 10, ..red };
    let green = Record { color: [0.0, 1.0, 0.0], ..red };
    let black = Settings { background: [0.0; 3], ..settings };
    for (records, front, back) in [([red, green], 0, 1), ([green, red], 1, 0)] {
        let out =
            rasterize(&records, FeatureChannels::default(), [17, 17], &black, &Wanted::images(), &plain());
        let color = &out.expect("rasterize").outputs[Channel::Color];
        let at = |channel: usize| color[channel * 289 + 8 * 17 + 8];
        assert!(at(front) > 5.0 * at(back) && at(back) > 0.0);
    }
}

/// Name, the member of a record, and that of its gradient.
type Member = (&'static str, fn(&mut Record<f64>) -> &mut f64, fn(&RecordGradient) -> f64);

const MEMBERS: [Member; 10] = [
    ("x", |r| &mut r.x, |g| g.x),
    ("y", |r| &mut r.y, |g| g.y),
    ("inv_cov xx", |r| &mut r.inv_cov[0], |g| g.inv_cov[0]),
    ("inv_cov xy", |r| &mut r.inv_cov[1], |g| g.inv_cov[1]),
    ("inv_cov yy", |r| &mut r.inv_cov[2], |g| g.inv_cov[2]),
    ("opacity", |r| &mut r.opacity, |g| g.opacity),
    ("depth", |r| &mut r.depth, |g| g.depth),
    ("red", |r| &mut r.color[0], |g| g.color[0]),
    ("green", |r| &mut r.color[1], |g| g.color[1]),
    ("blue", |r| &mut r.color[2], |g| g.color[2]),
];

/// Each member of a record's gradient through rasterization, and the gradients for features and background.
#[test]
fn record_gradients_are_the_derivatives() {
    let scene = Owned::<f64>::new(6, 7, (0.15, 0.5)).with_features(7, 2);
    let (camera, tuning) = (camera::<f64>(21, 13), smooth());
    let weights = Weights::with_features(8, &camera, 2);
    let s = scene.scene();
    for settings in [settings(), Settings { mode: Mode::Exact, antialiasing: true, ..settings() }] {
        let records = project(&s, &camera, &settings, &tuning).expect("project").records;
        let loss = |records: &[Record<f64>], features: &[f64], settings: &Settings<f64>| {
            let features = FeatureChannels { values: features, count: 2 };
            let out = rasterize(records, features, size(&camera), settings, &Wanted::images(), &tuning);
            weights.loss(&out.expect("rasterize").outputs)
        };
        let out = rasterize(&records, s.features, size(&camera), &settings, &Wanted::images(), &tuning);
        let saved = out.expect("rasterize").saved;
        let upstream = weights.upstream();
        let saved = saved.as_ref();
        let grad =
            rasterize_backward(&records, s.features, size(&camera), &settings, saved, &upstream, &tuning)
                .expect("rasterize_backward");
        for (name, member, of) in MEMBERS {
            let ours: Vec<f64> = grad.records.iter().map(of).collect();
            let truth: Vec<f64> = (0..records.len())
                .map(|i| {
                    let step = STEP * member(&mut records.clone()[i]).abs().min(1.0);
                    five_points(step, |x| {
                        let mut moved = records.clone();
                        *member(&mut moved[i]) += x;
                        loss(&moved, &scene.features, &settings)
                    })
                })
                .collect();
            assert_close(name, &ours, &truth);
        }
        let features: Vec<f64> = (0..14)
            .map(|i| {
                five_points(STEP, |x| {
                    let mut moved = scene.features.clone();
                    moved[i] += x;
                    loss(&records, &moved, &settings)
                })
            })
            .collect();
        assert_close("features", &grad.features, &features);
        let background: Vec<f64> = (0..3)
            .map(|k| {
                five_points(STEP, |x| {
                    let mut moved = settings;
                    moved.background[k] += x;
                    loss(&records, &scene.features, &moved)
                })
            })
            .collect();
        assert_close("background", &grad.background, &background);
    }
}

/// A linear function of all records, with random slopes.
struct Slopes(Vec<RecordGradient>);

impl Slopes {
    fn new(seed: u64, p: usize) -> Self {
        let mut r = Random(seed);
        let mut within = |most: f64| r.within(-most, most);
        // About as large as an image's: those for the inverse covariance outweigh the others by far.
        let one = |_| RecordGradient {
            x: within(1.0),
            y: within(1.0),
            inv_cov: [within(30.0), within(30.0), within(30.0)],
            opacity: within(3.0),
            depth: within(1.0),
            color: [within(2.0), within(2.0), within(2.0)],
            abs_x: 0.0,
            abs_y: 0.0,
        };
        Self((0..p).map(one).collect())
    }

    fn loss(&self, scene: &Owned<f64>, camera: &Camera<f64>, settings: &Settings<f64>) -> f64 {
        let mut records = project(&scene.scene(), camera, settings, &smooth()).expect("project").records;
        let each = records.iter_mut().zip(&self.0);
        each.map(|(r, g)| MEMBERS.iter().map(|(_, member, of)| *member(r) * of(g)).sum::<f64>()).sum()
    }
}

type Field = fn(&mut Owned<f64>) -> &mut Vec<f64>;

/// Gradients of every input that `scene` uses, and of the pose, from random gradients of the records.
fn check_projection(name: &str, scene: &Owned<f64>, camera: &Camera<f64>, settings: &Settings<f64>) {
    let slopes = Slopes::new(9, scene.opacities.len());
    let records = project(&scene.scene(), camera, settings, &smooth()).expect("project").records;
    assert!(records.iter().all(|r| r.radius > 0), "{name}: not all are in view");
    let grad = project_backward(&scene.scene(), camera, settings, &records, &slopes.0, &smooth())
        .expect("project_backward");
    let mut inputs: Vec<(&str, Field, &[f64])> = vec![
        ("means3D", |s| &mut s.means3d, &grad.means3d),
        ("opacities", |s| &mut s.opacities, &grad.opacities),
    ];
    if scene.use_sh {
        inputs.push(("sh", |s| &mut s.sh, &grad.sh));
    } else {
        inputs.push(("colors", |s| &mut s.colors, &grad.colors));
    }
    if scene.use_cov {
        inputs.push(("cov3D", |s| &mut s.cov3d, &grad.cov3d));
    } else {
        inputs.push(("scales", |s| &mut s.scales, &grad.scales));
        inputs.push(("rotations", |s| &mut s.rotations, &grad.rotations));
    }
    for (input, field, ours) in inputs {
        let values = field(&mut scene.clone()).clone();
        let typical = (values.iter().map(|x| x * x).sum::<f64>() / values.len() as f64).sqrt();
        let truth: Vec<f64> = (0..values.len())
            .map(|i| {
                five_points(STEP * typical.min(1.0), |x| {
                    let mut moved = scene.clone();
                    field(&mut moved)[i] += x;
                    slopes.loss(&moved, camera, settings)
                })
            })
            .collect();
        assert_close(&format!("{name}: {input}"), ours, &truth);
    }
    let pose: Vec<f64> = (0..16)
        .map(|at| {
            if at % 4 == 3 {
                return 0.0;
            }
            five_points(STEP, |x| {
                let mut view = camera.view;
                view[at] += x;
                slopes.loss(scene, &with_view(camera, view), settings)
            })
        })
        .collect();
    assert_close(&format!("{name}: view"), &grad.view, &pose);
    assert!(grad.features.is_empty() && grad.background == [0.0; 3], "{name}");
}

#[test]
fn projection_passes_record_gradients_on() {
    let scene = Owned::<f64>::new(10, 6, (0.15, 0.5));
    let exact = Settings { mode: Mode::Exact, ..settings() };
    check_projection("compat", &scene, &camera(21, 13), &settings());
    let modified = Settings { scale_modifier: 0.8, sh_degree: 2, ..exact };
    check_projection("exact, degree 2", &scene, &camera(21, 13), &modified);
    check_projection("off centre", &scene, &shifted_camera(21, 13), &exact);
    let given = Owned { use_sh: false, use_cov: true, ..scene.clone() };
    check_projection("given, orthographic", &given, &orthographic_camera(21, 13), &exact);
    let raw = Settings { values: Values::Raw, antialiasing: true, ..exact };
    check_projection("raw, antialiasing", &Owned::new(11, 6, (0.05, 0.3)).raw(), &camera(21, 13), &raw);
}

/// Records that no pixel may see are left out and counted, and have zero gradients; the others are not disturbed.
#[test]
fn bad_records_are_rejected() {
    let scene = Owned::<f32>::new(12, 6, (0.1, 0.4)).with_features(1, 2);
    let (camera, settings, s) = (camera::<f32>(40, 30), settings(), scene.scene());
    let weights = Weights::with_features(2, &camera, 2);
    let upstream = Upstream { means2d_abs: true, ..weights.upstream() };
    let good = project(&s, &camera, &settings, &plain()).expect("project").records;
    let others: Vec<Record> = good.iter().enumerate().filter(|(i, _)| *i != 2).map(|(_, r)| *r).collect();
    let kept = permute(&scene.features, &[0, 1, 2, 3, 4, 5]);
    let rest: Vec<f32> = [&kept[..4], &kept[6..]].concat();
    let (expected, expected_grad) =
        image(&others, FeatureChannels { values: &rest, count: 2 }, &camera, &settings, &upstream);
    type Spoil = fn(&mut Record);
    let spoilers: [(&str, Spoil, u64); 8] = [
        ("x", |r| r.x = f32::NAN, 1),
        ("inv_cov", |r| r.inv_cov[1] = f32::INFINITY, 1),
        ("opacity", |r| r.opacity = f32::NEG_INFINITY, 1),
        ("color", |r| r.color[2] = f32::NAN, 1),
        ("depth", |r| r.depth = -1.0, 1),
        ("no depth", |r| r.depth = 0.0, 1),
        ("half", |r| (r.half_x, r.half_y) = (f32::NAN, f32::NAN), 0),
        ("radius", |r| *r = Record::default(), 0),
    ];
    for (name, spoil, rejected) in spoilers {
        let mut records = good.clone();
        spoil(&mut records[2]);
        let (out, grad) = image(&records, s.features, &camera, &settings, &upstream);
        assert_eq!(out.rejected, rejected, "{name}");
        assert!(out.outputs == expected.outputs, "{name}: the image is disturbed");
        assert_eq!(grad.records[2], RecordGradient::default(), "{name}");
        assert_eq!(grad.records[3], expected_grad.records[2], "{name}");
        assert_eq!(grad.features[4..6], [0.0, 0.0], "{name}");
    }
    let mut values = kept;
    values[5] = f32::NAN;
    let features = FeatureChannels { values: &values, count: 2 };
    let (out, grad) = image(&good, features, &camera, &settings, &upstream);
    assert!(out.rejected == 1 && out.outputs == expected.outputs, "a feature that is not finite");
    assert_eq!((grad.records[2], &grad.features[4..6]), (RecordGradient::default(), &[0.0, 0.0][..]));
}

/// Lengths and sizes that do not fit are refused with both numbers.
#[test]
fn stages_refuse_what_does_not_fit() {
    let scene = Owned::<f32>::new(13, 5, (0.1, 0.4));
    let (camera, settings, s) = (camera::<f32>(20, 20), settings(), scene.scene());
    let records = project(&s, &camera, &settings, &plain()).expect("project").records;
    let none = FeatureChannels::default();
    let wanted = Wanted::images();
    let out = rasterize(&records, none, [20, 20], &settings, &wanted, &plain()).expect("rasterize");
    let text = |e: splat_core::Error| e.to_string();
    let features = FeatureChannels { values: &[1.0; 9], count: 2 };
    let e =
        text(rasterize(&records, features, [20, 20], &settings, &wanted, &plain()).expect_err("accepted"));
    assert!(e.contains("`features` has 9 numbers, but 10"), "{e}");
    let e = text(rasterize(&records, none, [0, 20], &settings, &wanted, &plain()).expect_err("accepted"));
    assert!(e.contains("0 x 20"), "{e}");
    let bad = Settings { background: [0.0, f32::NAN, 0.0], ..settings };
    let e = text(rasterize(&records, none, [20, 20], &bad, &wanted, &plain()).expect_err("accepted"));
    assert!(e.contains("`bg`[1]"), "{e}");
    let saved = out.saved.as_ref();
    let upstream = Upstream::default();
    let back = |records: &[Record], size| {
        text(
            rasterize_backward(records, none, size, &settings, saved, &upstream, &plain())
                .expect_err("accepted"),
        )
    };
    let e = back(&records, [40, 20]);
    assert!(e.contains("`ranges`"), "{e}");
    let e = back(&records[..2], [20, 20]);
    assert!(e.contains("but there are 2"), "{e}");
    let e = text(
        project_backward(&s, &camera, &settings, &records, &[RecordGradient::default(); 4], &plain())
            .expect_err("accepted"),
    );
    assert!(e.contains("`record_gradients` has 4 numbers, but 5"), "{e}");
}
