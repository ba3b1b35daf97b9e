//! What calls of ABI 2 have in common whatever the engine: several cameras are the sum of their calls, workspaces
//! tell what a call needed, modes and stored values arrive, Adam and SSIM work on the caller's memory. On the CPU
//! engine, linked and loaded.
#![expect(unsafe_code, reason = "calls the ABI as a C program would")]

use std::path::PathBuf;
use std::sync::Arc;

use splat_core::{Camera, Color, Gradients, Scene, Settings, Shape, Upstream};
use splat_engine::{EngineError, Features, LoadedEngine, Outputs, SharedEngine, Workspace, abi, cpu, host};

struct Blob {
    means3d: Vec<f32>,
    opacities: Vec<f32>,
    sh: Vec<f32>,
    sh_rest: Vec<f32>,
    scales: Vec<f32>,
    rotations: Vec<f32>,
    features: Vec<f32>,
}

const CHANNELS: usize = 3;

impl Blob {
    fn new(p: usize) -> Self {
        let wave = |i: usize, k: f32| (i as f32 * k).sin();
        let list = |each: usize, f: &dyn Fn(usize, usize) -> f32| -> Vec<f32> {
            (0..p * each).map(|n| f(n / each, n % each)).collect()
        };
        Self {
            means3d: list(3, &|i, k| if k == 2 { 4.0 + wave(i, 0.7) } else { wave(i, 1.3 + 0.8 * k as f32) }),
            // Logits, logarithms, and quaternions of any length.
            opacities: list(1, &|i, _| 2.0 * wave(i, 3.3)),
            sh: list(3, &|i, k| 0.8 + 0.5 * wave(i, 0.3 + k as f32)),
            sh_rest: list(9, &|i, k| 0.2 * wave(i, 0.11 * k as f32 + 0.2)),
            scales: list(3, &|i, k| -2.5 + 0.5 * wave(i, 5.0 + k as f32)),
            rotations: list(4, &|i, k| if k == 0 { 1.0 } else { wave(i, k as f32) }),
            features: list(CHANNELS, &|i, k| wave(i, 0.9 + k as f32)),
        }
    }

    fn scene(&self) -> Scene<'_> {
        Scene {
            means3d: &self.means3d,
            opacities: &self.opacities,
            color: Color::SplitSh { first: &self.sh, rest: &self.sh_rest, coeffs: 4 },
            shape: Shape::ScaleRotation { scales: &self.scales, rotations: &self.rotations },
            features: splat_core::Features { values: &self.features, count: CHANNELS },
        }
    }
}

fn settings() -> Settings {
    Settings { background: [0.2, 0.1, 0.4], sh_degree: 1, exact: true, raw: true, ..Settings::default() }
}

fn cameras() -> Vec<Camera> {
    [[0.0, 0.0, 0.0], [0.4, -0.2, 0.3], [-0.6, 0.1, -0.5]]
        .map(|eye| Camera::look_at(37, 23, 50.0, eye, [0.0, 0.0, 4.0], [0.0, -1.0, 0.0]))
        .to_vec()
}

/// The cdylib that cargo built beside this test program.
fn library() -> PathBuf {
    // Another build of it, such as the one inside a wheel.
    if let Some(path) = std::env::var_os("SPLATWRIGHT_CPU_LIBRARY") {
        return path.into();
    }
    let deps = std::env::current_exe().expect("this test's path");
    let name = format!("{}splat_engine{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    deps.with_file_name(name)
}

fn both() -> [SharedEngine; 2] {
    [cpu(), Arc::new(LoadedEngine::open(&library()).expect("the cdylib is an engine"))]
}

/// Upstream gradients for `n` images, by a fixed pattern.
struct Up {
    color: Vec<f32>,
    depth: Vec<f32>,
    features: Vec<f32>,
}

impl Up {
    fn new(n: usize) -> Self {
        let pattern = |len: usize| (0..len * n * 37 * 23).map(|i| (i as f32 * 0.37).cos()).collect();
        Self { color: pattern(3), depth: pattern(1), features: pattern(CHANNELS) }
    }

    /// Of image `i` of `n`, or of all.
    fn of(&self, one: Option<usize>) -> Upstream<'_> {
        let pixels = 37 * 23;
        let part = |v: &'_ [f32], channels: usize| match one {
            None => 0..v.len(),
            Some(i) => i * channels * pixels..(i + 1) * channels * pixels,
        };
        Upstream {
            color: Some(&self.color[part(&self.color, 3)]),
            depth: Some(&self.depth[part(&self.depth, 1)]),
            features: Some(&self.features[part(&self.features, CHANNELS)]),
            means2d_abs: true,
            ..Upstream::default()
        }
    }
}

#[test]
fn the_cpu_engine_has_everything() {
    for engine in both() {
        let c = engine.capabilities();
        let all = [
            Features::STRIDED_INPUTS,
            Features::DETERMINISTIC,
            Features::EXACT,
            Features::RAW,
            Features::REPRODUCE,
            Features::BATCH,
            Features::ORTHOGRAPHIC,
            Features::SPLIT_SH,
            Features::EXTRA_GRADIENTS,
            Features::WORKSPACE,
            Features::OPTIMIZE,
        ];
        assert!(all.into_iter().all(|f| c.features.contains(f)), "{:?}", c.features);
        assert!(c.outputs.contains(Outputs::FEATURES) && c.outputs.contains(Outputs::ALPHA));
    }
}

#[test]
fn several_cameras_are_the_sum_of_their_calls() {
    let (blob, cameras, settings, up) = (Blob::new(40), cameras(), settings(), Up::new(3));
    let scene = blob.scene();
    for engine in both() {
        let all = host::forward_batch(&*engine, &scene, &cameras, &settings, None).expect("three cameras");
        let (grad, poses) = host::backward_batch(&*engine, &scene, &cameras, &settings, &all, &up.of(None))
            .expect("backward");
        let mut sum: Option<Gradients> = None;
        let (mut color, mut features, mut radii) = (Vec::new(), Vec::new(), Vec::new());
        let (mut means2d, mut absolute, mut pairs) = (Vec::new(), Vec::new(), 0);
        for (i, camera) in cameras.iter().enumerate() {
            let one = host::forward(&*engine, &scene, camera, &settings).expect("one camera");
            let g =
                host::backward(&*engine, &scene, camera, &settings, &one, &up.of(Some(i))).expect("backward");
            pairs += one.pairs();
            assert_eq!(poses[i], g.view, "pose {i}");
            assert!(g.view.iter().any(|x| *x != 0.0) && g.means2d_abs.iter().any(|x| *x > 0.0));
            color.extend(one.color);
            features.extend(one.features.expect("the engine has features"));
            radii.extend(one.radii);
            means2d.extend_from_slice(&g.means2d);
            absolute.extend_from_slice(&g.means2d_abs);
            match &mut sum {
                None => sum = Some(g),
                Some(sum) => sum.add_camera(&g),
            }
        }
        assert_eq!((&all.color, &all.radii, all.features.as_ref()), (&color, &radii, Some(&features)));
        assert!(color.iter().any(|c| *c > 0.3) && all.pairs() == pairs);
        assert_eq!((&grad.means2d, &grad.means2d_abs), (&means2d, &absolute));
        let sum = Gradients { means2d, means2d_abs: absolute, view: poses[0], ..sum.expect("three") };
        assert_eq!(grad, sum);
        assert!(grad.sh_rest.iter().any(|g| *g != 0.0) && grad.background.iter().all(|g| *g != 0.0));
    }
}

#[test]
fn a_workspace_tells_what_its_calls_needed() {
    let (mut blob, settings) = (Blob::new(30), settings());
    blob.means3d[0] = f32::NAN;
    blob.features[CHANNELS] = f32::INFINITY;
    for engine in both() {
        let mut workspace = Workspace::new(&engine, -1).expect("a workspace");
        let mut pairs = Vec::new();
        for cameras in [&cameras()[..1], &cameras()] {
            let out = host::forward_batch(&*engine, &blob.scene(), cameras, &settings, Some(&mut workspace))
                .expect("forward");
            assert_eq!(out.rejected(), 2, "splats, however many cameras see them");
            let progress = workspace.poll(out.saved(), true).expect("poll").expect("done");
            assert!(!progress.overflow && progress.capacity >= progress.rendered);
            assert_eq!((progress.rendered, progress.rejected), (out.pairs(), 2));
            pairs.push(progress.rendered);
        }
        assert!(pairs[0] > 0 && pairs[1] > pairs[0], "{pairs:?}");
        let alone = host::forward(&*engine, &blob.scene(), &cameras()[0], &settings).expect("no workspace");
        let error = workspace.poll(alone.saved(), false).expect_err("a call without a workspace");
        assert!(error.to_string().contains("`saved.ticket` is -1"), "{error}");
        let other = abi::Saved { ticket: 7, ..*alone.saved() };
        let error = workspace.poll(&other, false).expect_err("a call that never was");
        assert!(error.to_string().contains("served 2 calls"), "{error}");
    }
}

#[test]
fn cameras_of_a_call_agree_in_size_and_model() {
    let (blob, settings) = (Blob::new(3), settings());
    let run = |cameras: &[abi::Camera], count: u32| {
        let (mut color, mut radii) = (vec![0.0_f32; 3 * 37 * 23 * 3], [0_i32; 9]);
        let p = 3;
        let mut args = abi::ForwardArgs {
            camera_count: count,
            cameras: cameras.as_ptr(),
            gaussians: abi::Gaussians {
                count: p,
                means3d: abi::In::contiguous(blob.means3d.as_ptr(), &[p, 3]),
                opacities: abi::In::contiguous(blob.opacities.as_ptr(), &[p]),
                colors: abi::In::contiguous(blob.sh.as_ptr(), &[p, 3]),
                scales: abi::In::contiguous(blob.scales.as_ptr(), &[p, 3]),
                rotations: abi::In::contiguous(blob.rotations.as_ptr(), &[p, 4]),
                ..abi::Gaussians::EMPTY
            },
            settings: abi::Settings {
                background: settings.background.as_ptr(),
                // No allocator is given: nothing is saved.
                flags: abi::FORWARD_ONLY | abi::RAW | abi::REPRODUCIBLE,
                ..abi::Settings::EMPTY
            },
            color: color.as_mut_ptr(),
            radii: radii.as_mut_ptr(),
            ..abi::ForwardArgs::EMPTY
        };
        // SAFETY: every pointer is of a living array of the extent that the header states, for three cameras.
        let result = unsafe { cpu().forward(&mut args) };
        result.map(|()| (args.saved, color))
    };
    let own = cameras();
    let of = |c: &Camera| abi::Camera {
        width: 37,
        height: 23,
        tan_fovx: c.tan_fovx,
        tan_fovy: c.tan_fovy,
        view: c.view.as_ptr(),
        proj: c.proj.as_ptr(),
        campos: c.campos.as_ptr(),
        ..abi::Camera::EMPTY
    };
    let good: Vec<_> = own.iter().map(of).collect();
    let (saved, color) = run(&good, 3).expect("three cameras");
    assert!(saved.buffer_count == 0 && saved.rendered > 0 && saved.ticket == -1, "{saved:?}");
    assert!(color.iter().any(|c| *c > 0.3));
    let refused = |change: &dyn Fn(&mut abi::Camera), count: u32, parts: &[&str]| {
        let mut cameras = good.clone();
        change(&mut cameras[2]);
        let Err(EngineError::InvalidArgument(text)) = run(&cameras, count) else {
            panic!("{parts:?} was taken")
        };
        assert!(parts.iter().all(|p| text.contains(p)), "`{text}` should name {parts:?}");
    };
    refused(&|c| c.width = 36, 3, &["camera 2", "36x23", "37x23"]);
    refused(&|c| c.model = abi::ORTHOGRAPHIC, 3, &["camera 2", "model 1"]);
    refused(&|_| (), 0, &["`camera_count` is 0", "32"]);
    refused(&|_| (), 33, &["`camera_count` is 33"]);
    refused(&|c| c.struct_size = 8, 3, &["splat_camera.struct_size", "8"]);
}

#[test]
fn orthographic_cameras_arrive() {
    let (blob, settings) = (Blob::new(20), settings());
    let rotation = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    let camera = Camera::from_orthographic(37, 23, [8.0, 8.0, 18.5, 11.5], rotation, [0.0; 3]);
    let core = splat_core::forward(&blob.scene(), &camera, &settings).expect("the core");
    for engine in both() {
        let out = host::forward(&*engine, &blob.scene(), &camera, &settings).expect("orthographic");
        assert_eq!((&out.color, &out.radii), (&core.color, &core.radii));
        assert!(out.color.iter().any(|c| *c > 0.4));
    }
    let mut bad = camera;
    bad.proj[3] = 0.5;
    let error = host::forward(&*cpu(), &blob.scene(), &bad, &settings).expect_err("perspective in it");
    assert!(error.to_string().contains("last row"), "{error}");
}

#[test]
fn adam_and_ssim_work_on_the_caller_s_memory() {
    let rows = 5;
    let (w, h) = (14, 12);
    let pixels = (w * h) as usize;
    let image: Vec<f32> = (0..pixels).map(|i| (i as f32 * 0.7).sin().abs()).collect();
    let target: Vec<f32> = image.iter().map(|x| 0.8 * x + 0.1).collect();
    for engine in both() {
        let (mut a, mut b) = (vec![1.0_f32; 15], vec![2.0_f32; 5]);
        let (mut ma, mut va, mut mb, mut vb) = (vec![0.0; 15], vec![0.0; 15], vec![0.0; 5], vec![0.0; 5]);
        let (ga, gb) = (vec![0.5_f32; 15], vec![-0.25_f32; 5]);
        let visible = [1, 0, 3, 1, 0];
        let constants = abi::AdamGroup {
            step: 1,
            lr: 0.1,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-15,
            ..abi::AdamGroup::EMPTY
        };
        let groups = [
            abi::AdamGroup {
                param: a.as_mut_ptr(),
                grad: ga.as_ptr(),
                exp_avg: ma.as_mut_ptr(),
                exp_avg_sq: va.as_mut_ptr(),
                width: 3,
                ..constants
            },
            abi::AdamGroup {
                param: b.as_mut_ptr(),
                grad: gb.as_ptr(),
                exp_avg: mb.as_mut_ptr(),
                exp_avg_sq: vb.as_mut_ptr(),
                width: 1,
                lr: 0.2,
                ..constants
            },
        ];
        let mut args = abi::AdamArgs {
            rows,
            visible: visible.as_ptr(),
            group_count: 2,
            groups: groups.as_ptr(),
            ..abi::AdamArgs::EMPTY
        };
        // SAFETY: arrays of the extents that the header states, alive through the call.
        unsafe { engine.adam(&mut args) }.expect("a step");
        // The first step moves every number by its rate, against its gradient's sign.
        for (i, seen) in visible.iter().enumerate() {
            let moved = f32::from(u8::from(*seen != 0));
            assert!((b[i] - (2.0 + 0.2 * moved)).abs() < 1e-5, "{b:?}");
            assert!(a[3 * i..3 * i + 3].iter().all(|x| (x - (1.0 - 0.1 * moved)).abs() < 1e-5), "{a:?}");
            assert_eq!(mb[i] != 0.0, *seen != 0, "moments of rows that are left alone");
        }
        args.group_count = 9;
        // SAFETY: refused before a group is read.
        let error = unsafe { engine.adam(&mut args) }.expect_err("nine groups");
        assert!(error.to_string().contains("`group_count` is 9"), "{error}");

        let (mut mean, mut partials, mut grad) =
            ([0.0_f32], vec![f32::NAN; 3 * pixels], vec![f32::NAN; pixels]);
        let mut map = vec![f32::NAN; pixels];
        let up = [2.0_f32];
        let mut args = abi::SsimArgs {
            planes: 1,
            width: w,
            height: h,
            valid: 1,
            image: image.as_ptr(),
            target: target.as_ptr(),
            map: map.as_mut_ptr(),
            mean: mean.as_mut_ptr(),
            partials: partials.as_mut_ptr(),
            grad_mean: up.as_ptr(),
            grad_image: grad.as_mut_ptr(),
            ..abi::SsimArgs::EMPTY
        };
        // SAFETY: arrays of the extents that the header states, alive through the calls.
        unsafe {
            engine.ssim_forward(&mut args).expect("forward");
            engine.ssim_backward(&mut args).expect("backward");
        }
        let shape = splat_core::SsimShape { planes: 1, width: w as usize, height: h as usize, valid: true };
        let truth = splat_core::ssim(&image, &target, shape).expect("the core");
        assert_eq!((mean[0], &map), (truth.mean, &truth.map));
        assert!(mean[0] > 0.3 && mean[0] < 1.0, "{mean:?}");
        let expected =
            splat_core::ssim_backward(&image, &target, &truth.partials, shape, 2.0, None).expect("the core");
        assert_eq!(grad, expected);
        args.lambda_dssim = 0.25;
        // SAFETY: as above.
        unsafe {
            engine.ssim_forward(&mut args).expect("forward");
            engine.ssim_backward(&mut args).expect("backward");
        }
        let truth = splat_core::photometric(&image, &target, shape, 0.25).expect("the core");
        let partials = &truth.partials;
        let expected = splat_core::photometric_backward(&image, &target, partials, shape, 0.25, 2.0, None)
            .expect("the core");
        assert_eq!((mean[0], &grad), (truth.mean, &expected));
        args.lambda_dssim = 1.5;
        // SAFETY: refused before an array is read.
        let error = unsafe { engine.ssim_forward(&mut args) }.expect_err("more than all of the loss");
        assert!(error.to_string().contains("`lambda_dssim` is 1.5"), "{error}");
        args.lambda_dssim = 0.0;
        args.width = 10;
        // SAFETY: smaller than what the arrays have.
        let error = unsafe { engine.ssim_forward(&mut args) }.expect_err("a mean over no pixel");
        assert!(error.to_string().contains("11 x 11"), "{error}");
    }
}
