//! What callers hand in: strides, empty scenes, nothing visible, and everything that is refused with a sentence
//! naming both values.

use crate::common::engines::hooked;
use crate::common::{Scene, assert_same_bits, blind_camera, camera_on, numbers, weighted, weights};
use splat_engine::{Abilities, Channels};
use splat_tch::{Backend, Background, Color, Gaussians, Settings, Shape, mark_visible, render};
use tch::{Device, Kind, Tensor};

/// The text of the error that rendering this gives.
fn refused(gaussians: &Gaussians<'_>, settings: &Settings) -> String {
    render(gaussians, &camera_on(Device::Cpu), settings).unwrap_err().to_string()
}

fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{text}` does not say `{part}`");
    }
}

#[test]
fn transposed_and_expanded_inputs_render_as_their_copies_do() {
    // An engine that reads strides gets them; one that does not gets contiguous tensors. Both must agree.
    let mut dense = hooked();
    dense.capabilities.abilities = Abilities::DETERMINISTIC.with(Abilities::EXACT);
    dense.forward = Box::new(|args| {
        let gaussians = crate::common::engines::gaussians(args);
        assert_eq!(gaussians.means3d.stride, [3, 1, 0]);
        assert_eq!(gaussians.rotations.stride, [4, 1, 0]);
        assert_eq!(gaussians.sh.stride, [48, 3, 1]);
        Ok(())
    });
    dense.backward = Box::new(|args| {
        assert!(!crate::common::engines::color(args).gradient.is_null());
        Ok(())
    });
    let scene = Scene::new(20);
    let p = scene.p as i64;
    let l = &scene.leaves;
    let leaf = |t: Tensor| t.detach().set_requires_grad(true);
    let run = |backend: Backend, copy: bool| {
        // [3,P] and [3,16,P] leaves, transposed; one rotation for all; every second row of a longer list.
        let means = leaf(l.means3d.tr().contiguous());
        let sh = leaf(l.sh.permute([2, 1, 0]).contiguous());
        let rotation = leaf(Tensor::from_slice(&[0.9_f32, 0.1, -0.3, 0.2]));
        let scales = leaf(Tensor::stack(&[&l.scales, &l.scales], 1).view([2 * p, 3]));
        let inputs =
            [means.tr(), sh.permute([2, 1, 0]), rotation.expand([p, 4], false), scales.slice(0, 0, 2 * p, 2)];
        assert!(inputs.iter().all(|t| !t.is_contiguous()));
        let inputs = inputs.map(|t| if copy { t.contiguous() } else { t });
        let shape = Shape::ScaleRotation { scales: &inputs[3], rotations: &inputs[2] };
        let gaussians = Gaussians::new(&inputs[0], &l.opacities, Color::Sh(&inputs[1]), shape);
        let got = render(&gaussians, &camera_on(Device::Cpu), &Settings::new(&backend));
        // A transposed image, so that the upstream gradient is not contiguous either.
        let color = got.unwrap().color;
        (color.permute([2, 1, 0]) * weights(3, 1).permute([2, 1, 0])).sum(Kind::Float).backward();
        let gradients = [&means, &sh, &rotation, &scales].map(|t| numbers(&t.grad()));
        (numbers(&color), gradients)
    };
    let expected = run(Backend::cpu(), true);
    for got in [run(Backend::cpu(), false), run(dense.backend(), false)] {
        assert_same_bits("color", &got.0, &expected.0);
        for (i, (a, b)) in got.1.iter().zip(&expected.1).enumerate() {
            assert_same_bits(["means", "sh", "rotation", "scales"][i], a, b);
        }
    }
}

#[test]
fn an_expanded_upstream_gradient_is_read_by_its_strides() {
    // sum() sends a gradient with stride 0 everywhere, which is what ones would send.
    let gradient = |ones: bool| {
        let scene = Scene::new(20);
        let got =
            render(&scene.gaussians(false, false), &camera_on(Device::Cpu), &Settings::default()).unwrap();
        let loss = if ones {
            weighted(&got.color, &got.color.ones_like().detach())
        } else {
            got.color.sum(Kind::Float)
        };
        loss.backward();
        numbers(&scene.leaves.means3d.grad())
    };
    assert_same_bits("means3d", &gradient(false), &gradient(true));
}

#[test]
fn no_splats_give_the_background_and_empty_gradients() {
    let scene = Scene::new(0);
    for (sh, covariance) in [(true, false), (false, true)] {
        let settings = Settings {
            background: Background::Tensor(Tensor::from_slice(&[0.1_f32, 0.2, 0.3])),
            alpha: true,
            ..Settings::default()
        };
        let got = render(&scene.gaussians(sh, covariance), &camera_on(Device::Cpu), &settings).unwrap();
        for (c, expected) in [0.1_f32, 0.2, 0.3].into_iter().enumerate() {
            assert!(numbers(&got.color.get(c as i64)).iter().all(|v| *v == expected));
        }
        assert_eq!(got.radii.size(), [0]);
        assert!(numbers(got.alpha.as_ref().unwrap()).iter().all(|a| *a == 0.0));
        got.color.sum(Kind::Float).backward();
        assert_eq!(scene.leaves.means3d.grad().size(), [0, 3]);
        assert_eq!(scene.leaves.opacities.grad().size(), [0, 1]);
    }
}

#[test]
fn nothing_visible_gives_the_background_and_zero_gradients() {
    let scene = Scene::new(20);
    let settings = Settings { background: [0.1, 0.2, 0.3].into(), ..Settings::default() };
    let got = render(&scene.gaussians(true, false), &blind_camera(), &settings).unwrap();
    assert!(numbers(&got.color.get(2)).iter().all(|v| *v == 0.3));
    assert!(numbers(&got.radii.to_kind(Kind::Float)).iter().all(|r| *r == 0.0));
    got.color.sum(Kind::Float).backward();
    for leaf in [&scene.leaves.means3d, &scene.leaves.means2d, &scene.leaves.sh, &scene.leaves.rotations] {
        assert!(numbers(&leaf.grad()).iter().all(|g| *g == 0.0));
    }
}

#[test]
fn mark_visible_tells_front_from_back() {
    let means = Tensor::from_slice(&[0.0_f32, 0.0, 0.0, 0.0, 0.0, -9.0]).view([2, 3]);
    let visible = mark_visible(&Backend::cpu(), &means, &camera_on(Device::Cpu)).unwrap();
    assert_eq!(visible.kind(), Kind::Bool);
    assert_eq!(Vec::<bool>::try_from(&visible).unwrap(), [true, false]);
    // The same points, transposed in memory.
    let strided = means.tr().contiguous().tr();
    assert_eq!(
        Vec::<bool>::try_from(&mark_visible(&Backend::cpu(), &strided, &camera_on(Device::Cpu)).unwrap())
            .unwrap(),
        [true, false]
    );
    assert_eq!(
        mark_visible(&Backend::cpu(), &means.narrow(0, 0, 0), &camera_on(Device::Cpu)).unwrap().size(),
        [0]
    );
}

#[test]
fn other_kinds_are_refused_with_what_to_do() {
    let scene = Scene::new(5);
    let plain = scene.gaussians(true, false);
    for (kind, name) in [(Kind::Double, "Float64"), (Kind::Half, "Float16"), (Kind::Int, "Int32")] {
        let t = scene.leaves.means3d.detach().to_kind(kind);
        let text = refused(&Gaussians { means3d: &t, ..plain }, &Settings::default());
        let expected = format!(
            "`means3d` is {name}, but the rasterizer computes in Float32; hint: .to_kind(Kind::Float)"
        );
        assert_eq!(text, expected);
    }
    let t = scene.leaves.sh.detach().to_kind(Kind::Double);
    assert_says(
        &refused(&Gaussians { color: Color::Sh(&t), ..plain }, &Settings::default()),
        &["`sh` is Float64"],
    );
    let t = scene.leaves.means2d.detach().to_kind(Kind::Half);
    assert_says(
        &refused(&Gaussians { means2d: Some(&t), ..plain }, &Settings::default()),
        &["`means2d` is Float16"],
    );
}

#[test]
fn undefined_and_sparse_tensors_are_refused() {
    let scene = Scene::new(5);
    let plain = scene.gaussians(true, false);
    let nothing = Tensor::new();
    let text = refused(&Gaussians { means3d: &nothing, ..plain }, &Settings::default());
    assert_says(&text, &["`means3d` is an undefined tensor"]);
    let text = refused(&Gaussians { color: Color::Sh(&nothing), ..plain }, &Settings::default());
    assert_says(&text, &["`sh` is an undefined tensor"]);
    let sparse = scene.leaves.colors.detach().to_sparse_sparse_dim(2);
    let text = refused(&Gaussians { color: Color::Rgb(&sparse), ..plain }, &Settings::default());
    assert_says(&text, &["`colors` is not a dense tensor", ".to_dense("]);
}

#[test]
fn wrong_shapes_are_named_with_both_shapes() {
    let (five, seven) = (Scene::new(5), Scene::new(7));
    let plain = five.gaussians(true, false);
    let says = |g: Gaussians<'_>, parts: &[&str]| assert_says(&refused(&g, &Settings::default()), parts);
    let l = &seven.leaves;
    let flat = l.means3d.view(-1);
    says(Gaussians { means3d: &flat, ..plain }, &["`means3d` has shape [21]", "[P, 3]"]);
    says(Gaussians { means3d: &l.cov3d, ..plain }, &["`means3d` has shape [7, 6]", "[P, 3]"]);
    says(
        Gaussians { opacities: &l.opacities, ..plain },
        &["`opacities` has shape [7, 1]", "`means3d` [5, 3]", "[5] or [5, 1]"],
    );
    says(Gaussians { color: Color::Rgb(&l.colors), ..plain }, &["`colors` has shape [7, 3]", "needs [5, 3]"]);
    says(
        Gaussians { color: Color::Sh(&five.leaves.colors), ..plain },
        &["`sh` has shape [5, 3]", "needs [5, M, 3]"],
    );
    says(Gaussians { means2d: Some(&l.means3d), ..plain }, &["`means2d` has shape [7, 3]", "needs [5, 3]"]);
    says(
        Gaussians { shape: Shape::Covariance(&l.cov3d), ..plain },
        &["`cov3d` has shape [7, 6]", "needs [5, 6]"],
    );
    let (scales, rotations) = (&five.leaves.scales, &five.leaves.scales);
    says(
        Gaussians { shape: Shape::ScaleRotation { scales, rotations }, ..plain },
        &["`rotations` has shape [5, 3]", "needs [5, 4]"],
    );
    let settings = Settings { background: Tensor::from_slice(&[0.0_f32; 4]).into(), ..Settings::default() };
    assert_says(&refused(&plain, &settings), &["`background` has shape [4]", "[3]"]);
}

#[test]
fn settings_that_contradict_the_scene_or_the_engine_are_named() {
    let scene = Scene::new(5);
    let plain = scene.gaussians(true, false);
    let few = scene.leaves.sh.narrow(1, 0, 4);
    assert_says(
        &refused(&Gaussians { color: Color::Sh(&few), ..plain }, &Settings::default()),
        &["`sh` has shape [5, 4, 3]", "`sh_degree` 3 needs 16 coefficients"],
    );
    let fine = Settings { sh_degree: 1, ..Settings::default() };
    render(&Gaussians { color: Color::Sh(&few), ..plain }, &camera_on(Device::Cpu), &fine).unwrap();
    assert_says(
        &refused(&plain, &Settings { sh_degree: 4, ..Settings::default() }),
        &["`sh_degree` is 4", "0 to 3"],
    );
    let mut engine = hooked();
    engine.capabilities.channels = Channels::COLOR.with(Channels::INV_DEPTH);
    assert_says(
        &refused(&plain, &Settings { alpha: true, ..Settings::new(&engine.backend()) }),
        &["`alpha` was asked for", "engine `hooked` produces color, inv_depth"],
    );
    let mut flat = crate::common::camera();
    flat.width = 0;
    let camera = splat_tch::Camera::new(flat, Device::Cpu).unwrap();
    assert_says(&render(&plain, &camera, &Settings::default()).unwrap_err().to_string(), &["0x29"]);
}

#[test]
fn engines_that_are_not_there_are_named_with_a_hint() {
    let text = Backend::find(Some("warp-drive"), None).unwrap_err().to_string();
    assert_says(&text, &["`warp-drive`", "cpu", "hint:"]);
    for device in ["gpu", "cuda:", "cuda:-1", "cuda:0x"] {
        let text = Backend::find(None, Some(device)).unwrap_err().to_string();
        assert_says(&text, &[&format!("`{device}`"), "cuda:N", "hint:"]);
    }
    let mut engine = hooked();
    engine.capabilities.device = splat_engine::DeviceKind::Cuda;
    let text = Backend::new(Device::Cpu, engine.shared()).unwrap_err().to_string();
    assert_says(&text, &["engine `hooked` computes in CUDA memory", "the device is cpu", "hint:"]);
    let text = Backend::new(Device::Cuda(0), splat_cpu::engine()).unwrap_err().to_string();
    assert_says(&text, &["engine `cpu` computes in host memory", "the device is cuda:0", "hint:"]);
    for found in
        [Backend::find(Some("cpu"), None), Backend::find(None, Some("cpu")), Backend::of(Device::Cpu)]
    {
        let found = found.unwrap();
        assert_eq!((found.name(), found.device()), ("cpu", Device::Cpu));
    }
}
