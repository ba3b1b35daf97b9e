//! On a GPU: the ops on CUDA tensors agree with the CPU engine; backward runs in torch's own thread of the
//! device, re-entrantly too, and its errors come back; mixed devices are refused. Without one these are skipped.
#![expect(clippy::print_stdout, reason = "says what is skipped")]

mod common;

use std::sync::{Arc, Mutex};

use common::engines::around;
use common::stored::{self, BACKGROUND, Stored, eyes, leaf};
use common::{HEIGHT, Scene, WIDTH, camera_on, numbers, weighted, weights};
use splat_engine::{Abilities, EngineError};
use splat_tch::{
    AdamGroup, Backend, Camera, Gaussians, Mode, Settings, Workspace, adam_step, photometric, render,
    render_batch, ssim,
};
use tch::{Cuda, Device, Kind, Tensor};

/// The CUDA engines that this program was built with or finds, if a GPU can run them.
fn engines() -> Vec<&'static str> {
    if !Cuda::is_available() {
        println!("skipped: no CUDA device");
        return Vec::new();
    }
    let built = |name: &str| {
        (name == "cuda" && cfg!(feature = "cuda")) || (name == "inria" && cfg!(feature = "inria"))
    };
    let found = |name: &str| splat_engine::registry::find(name).is_ok();
    let engines: Vec<_> = ["cuda", "inria"].into_iter().filter(|name| built(name) || found(name)).collect();
    if engines.is_empty() {
        println!("skipped: no CUDA engine was built, and none was found");
    }
    engines
}

/// An engine by name, on the first device of its kind.
fn backend(name: &str) -> Backend {
    Backend::find(Some(name), None).unwrap()
}

/// Of an engine by name, in the best mode it has.
fn settings(name: &str) -> Settings {
    Settings::new(&backend(name))
}

fn relative(a: &[f32], b: &[f32]) -> f64 {
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
    let diff = norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(a - b)));
    diff / norm(&mut b.iter().map(|b| f64::from(*b))).max(1e-12)
}

#[test]
fn gradients_on_the_gpu_are_the_cpus() {
    for name in engines() {
        for (sh, covariance) in [(true, false), (false, true)] {
            let mut results = Vec::new();
            for backend in [Backend::cpu(), backend(name)] {
                let device = backend.device();
                let scene = Scene::on(40, device);
                let settings = Settings { mode: settings(name).mode, ..Settings::new(&backend) };
                let got = render(&scene.gaussians(sh, covariance), &camera_on(device), &settings).unwrap();
                let loss = weighted(&got.color, &weights(3, 1).to_device(device))
                    + weighted(&got.inv_depth, &weights(1, 2).to_device(device));
                loss.backward();
                let l = &scene.leaves;
                let (color, shape) =
                    (if sh { &l.sh } else { &l.colors }, if covariance { &l.cov3d } else { &l.scales });
                let mut all = vec![numbers(&got.color), numbers(&got.inv_depth)];
                all.extend([&l.means3d, &l.means2d, &l.opacities, color, shape].map(|t| numbers(&t.grad())));
                results.push(all);
            }
            for (i, (cpu, gpu)) in results[0].iter().zip(&results[1]).enumerate() {
                let error = relative(gpu, cpu);
                assert!(error < 1e-4, "engine {name}, tensor {i}: relative difference {error}");
            }
        }
    }
}

/// Engines that can do everything.
fn complete() -> Vec<&'static str> {
    let all = [
        Abilities::EXACT,
        Abilities::RAW,
        Abilities::BATCH,
        Abilities::ORTHOGRAPHIC,
        Abilities::SPLIT_SH,
        Abilities::EXTRA_GRADIENTS,
        Abilities::WORKSPACE,
    ];
    let has = |name: &str| {
        let backend = backend(name);
        let c = backend.capabilities();
        c.optimize && c.image && all.into_iter().all(|ability| c.abilities.contains(ability))
    };
    engines().into_iter().filter(|name| has(name)).collect()
}

/// Images, then gradients of every leaf, of the background and of the poses.
fn everything(backend: &Backend, orthographic: bool, workspace: bool) -> Vec<Vec<f32>> {
    let device = backend.device();
    let stored = Stored::on(60, Some(3), device);
    let background = leaf(&BACKGROUND, &[3], device);
    let mut poses = Vec::new();
    let cameras: Vec<Camera> = eyes()
        .into_iter()
        .map(|c| {
            let v = c.view.map(f64::from);
            let c = if orthographic {
                let rotation = std::array::from_fn(|r| std::array::from_fn(|k| v[4 * k + r]));
                let inner = [9.0, 8.0, 17.0, 16.0];
                splat_core::Camera::from_orthographic(WIDTH, HEIGHT, inner, rotation, [v[12], v[13], v[14]])
            } else {
                c
            };
            let pose = Tensor::from_slice(&c.view).view([4, 4]).tr().contiguous().to_device(device);
            poses.push(pose.detach().set_requires_grad(true));
            Camera::with_pose(c, poses.last().unwrap()).unwrap()
        })
        .collect();
    let with = Settings {
        background: background.shallow_clone().into(),
        backend: Some(backend.clone()),
        workspace: workspace.then(|| Workspace::new(backend).unwrap()),
        ..stored::settings()
    };
    // Absolute gradients are of the colour alone: engine `cuda` has them for up to four channels.
    let stored_all = Gaussians { means2d_abs: None, ..stored.gaussians() };
    let got = render_batch(&stored_all, &cameras.iter().collect::<Vec<_>>(), &with).unwrap();
    if let Some(workspace) = &with.workspace {
        let progress = workspace.progress(&got.counts, true).unwrap().unwrap();
        assert!(!progress.overflow && progress.rendered > 0, "{progress:?}");
    }
    let images = [
        Some(&got.color),
        Some(&got.inv_depth),
        got.depth.as_ref(),
        got.alpha.as_ref(),
        got.features.as_ref(),
    ];
    let mut loss = Tensor::from(0.0_f32).to_device(device);
    let mut all = Vec::new();
    for (i, image) in images.into_iter().flatten().enumerate() {
        let weight = Tensor::from_slice(&common::Random::new(i as u64).vec(image.numel())).to_device(device);
        loss += weighted(image, &weight.view_as(image));
        all.push(numbers(image));
    }
    loss.backward();
    let leaves: Vec<Tensor> = stored.leaves[..8].iter().map(|t| t.grad().copy()).collect();
    let only_color = Gaussians { features: None, ..stored.gaussians() };
    let alone = Settings { backend: Some(backend.clone()), depth: false, alpha: false, ..stored::settings() };
    let color = render_batch(&only_color, &cameras.iter().collect::<Vec<_>>(), &alone).unwrap().color;
    let weight = Tensor::from_slice(&common::Random::new(0).vec(color.numel())).to_device(device);
    weighted(&color, &weight.view_as(&color)).backward();
    all.push(numbers(&stored.leaves[8].grad()));
    all.extend(leaves.iter().map(numbers));
    all.extend([&background].into_iter().chain(&poses).map(|t| numbers(&t.grad())));
    all
}

#[test]
fn everything_on_the_gpu_is_the_cpus() {
    for name in complete() {
        for orthographic in [false, true] {
            let cpu = everything(&Backend::cpu(), orthographic, false);
            for workspace in [false, true] {
                let gpu = everything(&backend(name), orthographic, workspace);
                for (i, (cpu, gpu)) in cpu.iter().zip(&gpu).enumerate() {
                    let error = relative(gpu, cpu);
                    let of = format!("engine {name}, orthographic {orthographic}, workspace {workspace}");
                    assert!(error < 1e-4, "{of}, tensor {i}: relative difference {error}");
                }
            }
        }
    }
}

#[test]
fn adam_and_ssim_on_the_gpu_are_the_cpus() {
    for name in complete() {
        let run = |backend: Backend| {
            let device = backend.device();
            let make = |seed, n| Tensor::from_slice(&common::Random::new(seed).vec(n)).to_device(device);
            let [param, grad, exp_avg] = [1, 2, 3].map(|seed| make(seed, 3000).view([1000, 3]));
            let exp_avg_sq = exp_avg.square();
            let visible = make(4, 1000).gt(0.0).to_kind(Kind::Int);
            let group = AdamGroup::new(&param, &grad, &exp_avg, &exp_avg_sq, 5, 0.01).eps(1e-8);
            adam_step(&backend, &[group], Some(&visible)).unwrap();
            let image = make(5, 3 * 70 * 50).view([3, 50, 70]).abs().set_requires_grad(true);
            let target = make(6, 3 * 70 * 50).view([3, 50, 70]).abs();
            let mean = ssim(&backend, &image, &target, true).unwrap();
            mean.backward();
            let of_mean = image.grad().copy();
            let loss = photometric(&backend, &image, &target, 0.2).unwrap();
            loss.backward();
            let of_loss = image.grad() - &of_mean;
            [&param, &exp_avg, &exp_avg_sq, &mean, &of_mean, &loss, &of_loss].map(numbers)
        };
        let (cpu, gpu) = (run(Backend::cpu()), run(backend(name)));
        for (i, (cpu, gpu)) in cpu.iter().zip(&gpu).enumerate() {
            let error = relative(gpu, cpu);
            assert!(error < 1e-4, "engine {name}, tensor {i}: relative difference {error}");
        }
    }
}

#[test]
fn steps_on_the_gpu_are_its_backward_pass_and_adam() {
    for name in complete() {
        common::stepped::is_backward_and_adam(&backend(name));
        common::stepped::compact_steps_are_whole_ones_but_for_roundings(&backend(name));
    }
}

#[test]
fn strides_and_empty_scenes_work_on_the_gpu() {
    for name in engines() {
        let device = Device::Cuda(0);
        let settings = Settings { background: [0.1, 0.2, 0.3].into(), ..settings(name) };
        let scene = Scene::on(40, device);
        let plain = render(&scene.gaussians(true, false), &camera_on(device), &settings).unwrap();
        let strided = scene.leaves.means3d.tr().contiguous().tr();
        let got = render(
            &Gaussians { means3d: &strided, ..scene.gaussians(true, false) },
            &camera_on(device),
            &settings,
        );
        assert_eq!(numbers(&got.unwrap().color), numbers(&plain.color));
        let empty = Scene::on(0, device);
        let got = render(&empty.gaussians(true, false), &camera_on(device), &settings).unwrap();
        assert!(numbers(&got.color.get(1)).iter().all(|v| *v == 0.2));
    }
}

/// The gradient of the centres for a fixed loss on the GPU.
fn gradient(p: usize, backend: Backend) -> Result<Vec<f32>, String> {
    let device = backend.device();
    let scene = Scene::on(p, device);
    // Every engine has this mode.
    let settings = Settings { mode: Mode::Compat, ..Settings::new(&backend) };
    let got =
        tch::with_grad(|| render(&scene.gaussians(true, false), &camera_on(device), &settings)).unwrap();
    let loss = tch::with_grad(|| weighted(&got.color, &weights(3, 1).to_device(device)));
    loss.f_backward().map_err(|e| e.to_string())?;
    Ok(numbers(&scene.leaves.means3d.grad()))
}

#[test]
fn backward_inside_a_backward_works_on_the_gpu() {
    for name in engines() {
        let inner = Arc::new(Mutex::new(Vec::new()));
        let (store, thread) = (inner.clone(), std::thread::current().id());
        let mut outer = around(backend(name).engine().clone());
        outer.backward = Box::new(move |_| {
            assert_ne!(
                std::thread::current().id(),
                thread,
                "torch runs a GPU's backward in a thread of its own"
            );
            *store.lock().unwrap() = gradient(8, backend(name)).map_err(EngineError::Internal)?;
            Ok(())
        });
        let outer = gradient(30, outer.on(Device::Cuda(0))).unwrap();
        // Atomic sums on a GPU have no fixed order, so not bit for bit.
        assert!(relative(&outer, &gradient(30, backend(name)).unwrap()) < 1e-4);
        assert!(relative(&inner.lock().unwrap(), &gradient(8, backend(name)).unwrap()) < 1e-4);
    }
}

/// `gradients` does not change threads, and leaves `backward()` as it was.
#[test]
fn gradients_are_computed_where_they_are_asked_for() {
    for name in engines() {
        let here = std::thread::current().id();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let store = seen.clone();
        let mut watched = around(backend(name).engine().clone());
        watched.backward = Box::new(move |_| {
            store.lock().unwrap().push(std::thread::current().id());
            Ok(())
        });
        let settings = Settings { backend: Some(watched.on(Device::Cuda(0))), ..settings(name) };
        let scene = Scene::on(10, Device::Cuda(0));
        let (gaussians, camera) = (scene.gaussians(true, false), camera_on(Device::Cuda(0)));
        let loss = || render(&gaussians, &camera, &settings).unwrap().color.square().sum(Kind::Float);
        let found = splat_tch::gradients(&loss(), &[&scene.leaves.means3d]).unwrap();
        assert!(!scene.leaves.means3d.grad().defined(), "nothing is added up in the leaves");
        loss().backward();
        assert!(relative(&numbers(&found[0]), &numbers(&scene.leaves.means3d.grad())) < 1e-4);
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 2);
        assert!(seen[0] == here && seen[1] != here, "{here:?}: {seen:?}");
    }
}

#[test]
fn errors_and_panics_of_the_gpus_backward_thread_reach_the_caller() {
    for name in engines() {
        let mut failing = around(backend(name).engine().clone());
        failing.backward = Box::new(|_| Err(EngineError::Device("kernel `blend`: it was raining".into())));
        let text = gradient(5, failing.on(Device::Cuda(0))).unwrap_err();
        assert!(text.contains("engine `hooked`: kernel `blend`: it was raining"), "{text}");
        let mut panicking = around(backend(name).engine().clone());
        panicking.backward = Box::new(|_| panic!("index {} out of range", 8));
        let text = gradient(5, panicking.on(Device::Cuda(0))).unwrap_err();
        assert!(text.contains("engine `hooked` panicked: index 8 out of range"), "{text}");
        gradient(5, backend(name)).unwrap();
    }
}

#[test]
fn many_renders_reuse_the_gpus_memory() {
    // A render's images and image-sized buffers take over 100 MiB: 2,000 of them are more than any GPU has.
    for name in engines() {
        let device = Device::Cuda(0);
        let scene = Scene::on(20, device);
        let view = splat_core::Camera { width: 3000, height: 2000, ..common::camera() };
        let camera = splat_tch::Camera::new(view, device).unwrap();
        let settings = settings(name);
        for i in 0..2000 {
            let color = render(&scene.gaussians(true, false), &camera, &settings).unwrap().color;
            if i % 4 == 0 {
                color.sum(Kind::Float).backward();
            }
        }
    }
}

#[test]
fn mixed_devices_are_refused() {
    if !Cuda::is_available() {
        println!("skipped: no CUDA device");
        return;
    }
    let scene = Scene::new(5);
    let opacities: Tensor = scene.leaves.opacities.to_device(Device::Cuda(0));
    let mixed = Gaussians { opacities: &opacities, ..scene.gaussians(true, false) };
    let text = render(&mixed, &camera_on(Device::Cpu), &Settings::default()).unwrap_err().to_string();
    assert!(text.contains("`opacities` is on cuda:0, but `means3d` is on cpu"), "{text}");
    let text = render(&scene.gaussians(true, false), &camera_on(Device::Cuda(0)), &Settings::default());
    let text = text.unwrap_err().to_string();
    assert!(text.contains("`camera` is on cuda:0"), "{text}");
}
