//! Both stages one after the other are the whole render, up to the 32 bits of a record's numbers, also if only those records
//! travel that are visible.

use splat_tch::{Backend, Camera, Extra, RECORD_GRADIENT, Settings, gradients, project, rasterize, render};
use tch::{Device, IndexOp, Kind, Tensor};

use crate::common::{Scene, assert_same_bits, blind_camera, camera_on, numbers, weighted, weights};

const EXTRA: Extra = Extra { means2d: true, means2d_abs: true, view: true };

/// The image and the gradients of a render as a whole, by name.
fn whole(scene: &Scene, camera: &Camera, settings: &Settings) -> Vec<(&'static str, Vec<f32>)> {
    let absolute = Tensor::zeros([scene.p as i64, 2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let view = Tensor::from_slice(&camera.core().view).view([4, 4]).tr().contiguous();
    let view = view.set_requires_grad(true);
    let posed = Camera::with_pose(camera.core().clone(), &view).unwrap();
    let gaussians = scene.gaussians(true, false).means2d_abs(&absolute);
    let rendered = render(&gaussians, &posed, settings).unwrap();
    let loss = weighted(&rendered.color, &weights(3, 1)) + weighted(&rendered.inv_depth, &weights(1, 2));
    let l = &scene.leaves;
    let leaves = [&l.means3d, &l.opacities, &l.sh, &l.scales, &l.rotations, &l.means2d, &absolute, &view];
    let names = ["means3d", "opacities", "sh", "scales", "rotations", "means2d", "means2d_abs", "view"];
    let found = gradients(&loss, &leaves).unwrap();
    let mut out = vec![("color", numbers(&rendered.color)), ("inv_depth", numbers(&rendered.inv_depth))];
    out.extend(names.into_iter().zip(&found).filter(|(_, t)| t.defined()).map(|(n, t)| (n, numbers(t))));
    out
}

/// The same in stages. `arrive` gives the records that the second stage gets, `back` the gradients of all from theirs.
fn staged(
    scene: &Scene,
    camera: &Camera,
    settings: &Settings,
    arrive: impl Fn(&Tensor) -> Tensor,
    back: impl Fn(&Tensor) -> Tensor,
) -> Vec<(&'static str, Vec<f32>)> {
    let first = project(&scene.gaussians(true, false), &[camera], settings).unwrap();
    let core = camera.core();
    let records = arrive(&first.records().i(0));
    let second = rasterize(&records, [core.width, core.height], settings).unwrap();
    let of_records = second.backward(Some(&weights(3, 1)), Some(&weights(1, 2)), true).unwrap();
    let g = first.backward(&back(&of_records).unsqueeze(0), EXTRA).unwrap();
    let view = g.view.unwrap().view([4, 4]).tr();
    vec![
        ("color", numbers(&second.color)),
        ("inv_depth", numbers(&second.inv_depth)),
        ("means3d", numbers(&g.means3d)),
        ("opacities", numbers(&g.opacities)),
        ("sh", numbers(&g.sh.unwrap())),
        ("scales", numbers(&g.scales.unwrap())),
        ("rotations", numbers(&g.rotations.unwrap())),
        ("means2d", numbers(&g.means2d.unwrap())),
        ("means2d_abs", numbers(&g.means2d_abs.unwrap())),
        ("view", numbers(&view)),
    ]
}

/// The engine keeps 64 bits between the stages of a whole render. Measured up to 4e-7 of the largest number.
fn assert_near(ours: &[(&str, Vec<f32>)], theirs: &[(&str, Vec<f32>)]) {
    assert_eq!(ours.len(), theirs.len());
    for ((name, a), (other, b)) in ours.iter().zip(theirs) {
        assert_eq!((name, a.len()), (other, b.len()));
        let most = b.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        let far = a.iter().zip(b).fold(0.0_f32, |far, (x, y)| far.max((x - y).abs())) / most;
        assert!(most > 0.0 && far < 4e-6, "{name}: {far:e}");
    }
}

#[test]
fn stages_are_the_whole_render() {
    let (scene, camera) = (Scene::new(60), camera_on(Device::Cpu));
    let settings = Settings::new(&Backend::cpu());
    let ours = staged(&scene, &camera, &settings, Tensor::shallow_clone, Tensor::shallow_clone);
    assert_near(&ours, &whole(&scene, &camera, &settings));
}

/// Only visible records travel, and their order does not matter: bit for bit.
#[test]
fn records_that_are_not_visible_need_not_travel() {
    let (scene, camera) = (Scene::new(60), camera_on(Device::Cpu));
    let settings = Settings::new(&Backend::cpu());
    let first = project(&scene.gaussians(true, false), &[&camera], &settings).unwrap();
    let rows = first.radii().unwrap().i(0).gt(0).nonzero().view(-1).flip([0i64]);
    assert!(rows.size()[0] > 10);
    let back = |g: &Tensor| {
        let all = Tensor::zeros([scene.p as i64, RECORD_GRADIENT], (Kind::Float, Device::Cpu));
        all.index_copy(0, &rows, g)
    };
    let ours = staged(&scene, &camera, &settings, |r| r.index_select(0, &rows), back);
    let all = staged(&scene, &camera, &settings, Tensor::shallow_clone, Tensor::shallow_clone);
    for ((name, a), (_, b)) in ours.iter().zip(&all) {
        assert_same_bits(name, a, b);
    }
}

/// Weights come per record; a camera that sees nothing makes an image of no records.
#[test]
fn weights_and_empty_images() {
    let scene = Scene::new(60);
    let settings = Settings { weight_sum: true, weight_max: true, ..Settings::new(&Backend::cpu()) };
    let camera = camera_on(Device::Cpu);
    let whole = render(&scene.gaussians(true, false), &camera, &settings).unwrap();
    let first = project(&scene.gaussians(true, false), &[&camera], &settings).unwrap();
    let size = [camera.core().width, camera.core().height];
    let second = rasterize(&first.records().i(0), size, &settings).unwrap();
    let pairs = [(second.weight_sum, whole.weight_sum), (second.weight_max, whole.weight_max)];
    for (ours, theirs) in pairs {
        assert_near(&[("weights", numbers(&ours.unwrap()))], &[("weights", numbers(&theirs.unwrap()))]);
    }
    assert_eq!(first.radii().unwrap().i(0), whole.radii);

    let blind = blind_camera();
    let first = project(&scene.gaussians(true, false), &[&blind], &settings).unwrap();
    let rows = first.radii().unwrap().i(0).gt(0).nonzero().view(-1);
    assert_eq!(rows.size()[0], 0);
    let none = rasterize(&first.records().i(0).index_select(0, &rows), size, &settings).unwrap();
    assert_eq!(none.color.abs().max().double_value(&[]), 0.0);
    let back = none.backward(Some(&weights(3, 1)), None, false).unwrap();
    assert_eq!(back.size(), [0, RECORD_GRADIENT]);
}

#[test]
fn wrong_shapes_are_named() {
    let settings = Settings::new(&Backend::cpu());
    let records = Tensor::zeros([4, 12], (Kind::Float, Device::Cpu));
    let text = rasterize(&records, [8, 8], &settings).unwrap_err().to_string();
    assert!(text.contains("[4, 12]") && text.contains("[N, 16]"), "{text}");
    let scene = Scene::new(5);
    let first = project(&scene.gaussians(true, false), &[&camera_on(Device::Cpu)], &settings).unwrap();
    let text = first.backward(&records, Extra::default()).unwrap_err().to_string();
    assert!(text.contains("[4, 12]") && text.contains("[1, 5, 12]"), "{text}");
}
