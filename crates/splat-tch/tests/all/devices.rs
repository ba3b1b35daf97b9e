//! Two backends of one process work at once: two CPU backends in two threads, and two GPUs where there are two.
#![expect(clippy::print_stdout, reason = "says what is skipped")]

use std::sync::{Arc, Barrier};

use crate::common::engines::hooked;
use crate::common::{Scene, assert_same_bits, camera_on, numbers, weighted, weights};
use splat_tch::{AdamGroup, Backend, Settings, adam_step, photometric, render};
use tch::{Device, Kind, Tensor};

/// Some training steps: colours, gradients and parameters of every step.
fn train(backend: &Backend, p: usize) -> Vec<Vec<f32>> {
    let device = backend.device();
    let scene = Scene::on(p, device);
    let target = (weights(3, 4).abs()).to_device(device);
    let means = &scene.leaves.means3d;
    let [exp_avg, exp_avg_sq] = [(); 2].map(|()| means.zeros_like().detach());
    let mut seen = Vec::new();
    for step in 1..=5 {
        let settings = Settings { reproducible: true, ..Settings::new(backend) };
        let got = render(&scene.gaussians(true, false), &camera_on(device), &settings).unwrap();
        let loss =
            photometric(backend, &got.color, &target, 0.2).unwrap() + weighted(&got.color, &target) * 1e-4;
        let grad = splat_tch::gradients(&loss, &[means]).unwrap().remove(0);
        let group = AdamGroup::new(means, &grad, &exp_avg, &exp_avg_sq, step, 0.01);
        tch::no_grad(|| adam_step(backend, &[group], Some(&got.radii))).unwrap();
        assert_eq!((got.color.device(), grad.device()), (device, device));
        seen.extend([numbers(&got.color), numbers(&grad), numbers(means)]);
    }
    seen
}

/// Each backend in a thread of its own, at the same time, gives what it gives alone.
fn at_once(backends: Vec<Backend>) {
    let alone: Vec<_> = backends.iter().enumerate().map(|(i, b)| train(b, 30 + 10 * i)).collect();
    let start = Arc::new(Barrier::new(backends.len()));
    let threads: Vec<_> = backends
        .into_iter()
        .enumerate()
        .map(|(i, backend)| {
            let start = start.clone();
            std::thread::spawn(move || {
                start.wait();
                (0..3).map(|_| train(&backend, 30 + 10 * i)).collect::<Vec<_>>()
            })
        })
        .collect();
    for (thread, alone) in threads.into_iter().zip(alone) {
        for run in thread.join().unwrap() {
            for (a, b) in run.iter().zip(&alone) {
                assert_same_bits("a step", a, b);
            }
        }
    }
}

#[test]
fn two_cpu_backends_work_at_once() {
    // Another engine by name, so that nothing may choose one behind the caller's back.
    at_once(vec![Backend::cpu(), hooked().backend()]);
}

#[test]
fn two_gpus_work_at_once() {
    if tch::Cuda::device_count() < 2 {
        println!("skipped: fewer than two CUDA devices");
        return;
    }
    let backends: Vec<_> = ["cuda:0", "cuda:1"].map(|d| Backend::find(Some("cuda"), Some(d)).unwrap()).into();
    assert_eq!(backends[1].device(), Device::Cuda(1));
    at_once(backends);
}

#[test]
fn a_backend_refuses_tensors_of_another_device() {
    if !tch::Cuda::is_available() {
        println!("skipped: no CUDA device");
        return;
    }
    let image = Tensor::rand([3, 20, 20], (Kind::Float, Device::Cuda(0)));
    let text = photometric(&Backend::cpu(), &image, &image, 0.2).unwrap_err().to_string();
    assert!(
        text.contains("engine `cpu` computes in host memory") && text.contains("`image` is on cuda:0"),
        "{text}"
    );
}

#[test]
fn auto_is_a_gpu_only_where_there_is_one() {
    let auto = Backend::auto();
    if tch::Cuda::is_available() && Backend::of(Device::Cuda(0)).is_ok() {
        assert_eq!(auto.device(), Device::Cuda(0));
    } else {
        assert_eq!((auto.device(), auto.name()), (Device::Cpu, "cpu"));
    }
    if !tch::Cuda::is_available() {
        for device in ["cuda", "cuda:1"] {
            let error = Backend::find(None, Some(device)).unwrap_err();
            assert!(error.to_string().contains("hint:"), "{error}");
        }
        let error = Backend::find(Some("cpu"), Some("cuda")).unwrap_err();
        assert!(matches!(error, splat_tch::Error::NoDevice(_)), "{error}");
    }
}
