//! On a GPU: the op on CUDA tensors agrees with the CPU engine, on torch's current stream and after other
//! work of it, and mixed devices are refused. Without one these are skipped.
#![expect(clippy::print_stdout, reason = "says what is skipped")]

mod common;

use common::{Scene, camera_on, numbers, weighted, weights};
use splat_tch::{Gaussians, Settings, render};
use tch::{Cuda, Device, Tensor};

/// The CUDA engines of this program, if a GPU can run them.
fn engines() -> Vec<&'static str> {
    if !Cuda::is_available() {
        println!("skipped: no CUDA device");
        return Vec::new();
    }
    if splat_cuda::BUILT.is_empty() {
        println!("skipped: no CUDA engine was built");
    }
    splat_cuda::BUILT.to_vec()
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
            for (device, engine) in [(Device::Cpu, "cpu"), (Device::Cuda(0), name)] {
                let scene = Scene::on(40, device);
                let settings = Settings { engine: engine.into(), ..Settings::default() };
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

#[test]
fn strides_and_empty_scenes_work_on_the_gpu() {
    for name in engines() {
        let device = Device::Cuda(0);
        let settings =
            Settings { engine: name.into(), background: [0.1, 0.2, 0.3].into(), ..Settings::default() };
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
