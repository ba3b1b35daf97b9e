//! The autograd graph: threads, re-entrant backward, no_grad, retained and repeated backward, in-place changes,
//! and double backward, which is refused.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::common::engines::hooked;
use crate::common::{Scene, assert_same_bits, camera_on, numbers, weighted, weights};
use splat_engine::EngineError;
use splat_tch::{Backend, Rendered, Settings, render};
use tch::{Device, Kind, Tensor};

fn picture(scene: &Scene, settings: &Settings) -> Rendered {
    render(&scene.gaussians(true, false), &camera_on(Device::Cpu), settings).unwrap()
}

/// The gradient of the centres for a fixed loss, computed plainly.
fn plain_gradient(p: usize) -> Vec<f32> {
    let scene = Scene::new(p);
    weighted(&picture(&scene, &Settings::default()).color, &weights(3, 1)).backward();
    numbers(&scene.leaves.means3d.grad())
}

#[test]
fn backward_runs_on_another_thread() {
    let scene = Scene::new(30);
    let loss = weighted(&picture(&scene, &Settings::default()).color, &weights(3, 1));
    std::thread::spawn(move || loss.backward()).join().unwrap();
    assert_same_bits("means3d", &numbers(&scene.leaves.means3d.grad()), &plain_gradient(30));
}

/// Bit for bit those of `backward()`; nothing is added up in the leaves, and what the loss does not depend on has none.
#[test]
fn gradients_are_those_of_backward() {
    let scene = Scene::new(30);
    let apart = Tensor::zeros([2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let loss =
        weighted(&picture(&scene, &Settings::default()).color, &weights(3, 1)) + apart.sum(Kind::Float) * 0.0;
    let leaves = [&scene.leaves.means3d, &scene.leaves.cov3d, &apart];
    let unused = splat_tch::gradients(&loss, &leaves[1..2]).unwrap();
    assert!(!unused[0].defined(), "the scene has scales and rotations, no covariances");
    let loss =
        weighted(&picture(&scene, &Settings::default()).color, &weights(3, 1)) + apart.sum(Kind::Float) * 0.0;
    let found = splat_tch::gradients(&loss, &leaves).unwrap();
    assert_same_bits("means3d", &numbers(&found[0]), &plain_gradient(30));
    assert_eq!(numbers(&found[2]), [0.0, 0.0]);
    assert!(leaves.iter().all(|leaf| !leaf.grad().defined()));
}

#[test]
fn renders_and_backwards_of_many_threads_do_not_meet() {
    let expected = plain_gradient(25);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let expected = expected.clone();
            std::thread::spawn(move || {
                for _ in 0..5 {
                    assert_same_bits("means3d", &plain_gradient(25), &expected);
                }
            })
        })
        .collect();
    for t in threads {
        t.join().unwrap();
    }
}

/// An engine whose backward renders again and runs that backward, `depth` deep, before its own: what
/// deferred rendering does inside a custom backward.
fn deferring(depth: usize, innermost: Arc<Mutex<Vec<f32>>>, ran: Arc<AtomicUsize>) -> Backend {
    let mut engine = hooked();
    engine.backward = Box::new(move |_| {
        ran.fetch_add(1, Ordering::Relaxed);
        if depth > 0 {
            let scene = Scene::new(8);
            let inner = Settings {
                backend: Some(deferring(depth - 1, innermost.clone(), ran.clone())),
                ..Settings::default()
            };
            // Gradients are off inside a backward, as for any torch operation.
            let image = tch::with_grad(|| picture(&scene, &inner));
            tch::with_grad(|| weighted(&image.color, &weights(3, 1)))
                .f_backward()
                .map_err(|e| EngineError::Internal(e.to_string()))?;
            *innermost.lock().unwrap() = numbers(&scene.leaves.means3d.grad());
        }
        Ok(())
    });
    engine.backend()
}

#[test]
fn backward_inside_a_backward_gives_both_gradients() {
    // 70 levels: over 60, torch moves re-entrant calls to other threads.
    for depth in [1, 70] {
        let (inner, ran) = (Arc::<Mutex<Vec<f32>>>::default(), Arc::<AtomicUsize>::default());
        let scene = Scene::new(30);
        let settings =
            Settings { backend: Some(deferring(depth, inner.clone(), ran.clone())), ..Settings::default() };
        weighted(&picture(&scene, &settings).color, &weights(3, 1)).backward();
        assert_eq!(ran.load(Ordering::Relaxed), depth + 1);
        assert_same_bits("inner", &inner.lock().unwrap(), &plain_gradient(8));
        assert_same_bits("outer", &numbers(&scene.leaves.means3d.grad()), &plain_gradient(30));
    }
}

#[test]
fn no_grad_renders_the_same_picture_without_a_graph() {
    let scene = Scene::new(30);
    let with = picture(&scene, &Settings::default());
    let without = tch::no_grad(|| picture(&scene, &Settings::default()));
    assert!(with.color.requires_grad() && with.inv_depth.requires_grad());
    assert!(!without.color.requires_grad() && !without.inv_depth.requires_grad());
    assert_same_bits("color", &numbers(&without.color), &numbers(&with.color));
    assert!(!with.radii.requires_grad(), "radii are integers");
}

#[test]
fn a_retained_graph_may_run_twice_and_a_freed_one_not() {
    let scene = Scene::new(30);
    let loss = weighted(&picture(&scene, &Settings::default()).color, &weights(3, 1));
    let twice = |keep| Tensor::f_run_backward(&[&loss], &[&scene.leaves.means3d], keep, false);
    let (first, second) = (twice(true).unwrap(), twice(false).unwrap());
    assert_same_bits("means3d", &numbers(&first[0]), &plain_gradient(30));
    assert_same_bits("means3d", &numbers(&second[0]), &plain_gradient(30));
    let text = twice(false).unwrap_err().to_string();
    assert!(text.contains("second time"), "{text}");
}

#[test]
fn an_input_changed_in_place_is_noticed() {
    let scene = Scene::new(30);
    let loss = picture(&scene, &Settings::default()).color.sum(Kind::Float);
    tch::no_grad(|| {
        let mut same = scene.leaves.opacities.shallow_clone();
        same *= 0.5;
    });
    let text = loss.f_backward().unwrap_err().to_string();
    assert!(text.contains("modified by an inplace operation"), "{text}");
}

#[test]
fn double_backward_is_refused_with_its_sentence() {
    let scene = Scene::new(30);
    let means = &scene.leaves.means3d;
    let loss = weighted(&picture(&scene, &Settings::default()).color, &weights(3, 1));
    // First derivatives with create_graph are right and usable ...
    let first = Tensor::f_run_backward(&[&loss], &[means], true, true).unwrap().remove(0);
    assert_same_bits("means3d", &numbers(&first), &plain_gradient(30));
    // ... and say what they cannot do, whichever way a second derivative is asked for.
    let sentence = "render() has first derivatives only";
    let norm = first.square().sum(Kind::Float);
    let text = Tensor::f_run_backward(&[&norm], &[means], true, false).unwrap_err().to_string();
    assert!(text.contains(sentence) && text.contains("create_graph"), "{text}");
    let text = norm.f_backward().unwrap_err().to_string();
    assert!(text.contains(sentence), "{text}");
}

#[test]
fn gradients_flow_through_what_made_the_inputs() {
    // Activations before the render, as in every training loop: exp for scales, sigmoid for opacities.
    let scene = Scene::new(30);
    let raw = scene.leaves.opacities.detach().logit(None).set_requires_grad(true);
    let opacities = raw.sigmoid();
    let gaussians = splat_tch::Gaussians { opacities: &opacities, ..scene.gaussians(true, false) };
    let got = render(&gaussians, &camera_on(Device::Cpu), &Settings::default()).unwrap();
    drop(opacities);
    weighted(&got.color, &weights(3, 1)).backward();
    assert!(raw.grad().abs().sum(Kind::Float).double_value(&[]) > 0.0);
}
