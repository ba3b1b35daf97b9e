//! What calls have in common whatever the engine: several cameras are the sum of their calls, workspaces tell what a
//! call needed, modes and stored values arrive, Adam and SSIM work on the caller's memory. On the CPU engine, linked and
//! loaded.
#![expect(unsafe_code, reason = "calls the ABI as a C program would")]

mod support;

use splat_core::{Camera, Channel, Gradients};
use splat_cpu::{engine, host};
use splat_engine::{Abilities, Channels, EngineError, Workspace, abi};

use support::both;
use support::rich::{CHANNELS, Rich, Up, cameras, settings};

#[test]
fn the_cpu_engine_has_everything() {
    for engine in both() {
        let c = engine.capabilities();
        assert_eq!(c.abilities, Abilities((2 * abi::CAN_STEP) - 1), "every ability up to the last");
        assert_eq!(c.channels, Channels((2 << abi::WEIGHT_IMAGE) - 1), "every channel up to the last");
        assert!(c.optimize && c.image && c.max_sh_degree == abi::MAX_SH_DEGREE as u32);
        let device = engine.device(-1).expect("a CPU is a device");
        assert!(device.name.ends_with("CPU") && device.multiprocessors == 0, "{device:?}");
    }
}

#[test]
fn several_cameras_are_the_sum_of_their_calls() {
    let (blob, cameras, settings, up) = (Rich::new(40), cameras(), settings(), Up::new(3));
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
    let (mut blob, settings) = (Rich::new(30), settings());
    blob.means3d[0] = f32::NAN;
    blob.features[CHANNELS] = f32::INFINITY;
    for engine in both() {
        let mut workspace = Workspace::new(&engine, -1).expect("a workspace");
        let mut pairs = Vec::new();
        for cameras in [&cameras()[..1], &cameras()] {
            let out = host::forward_batch(&*engine, &blob.scene(), cameras, &settings, Some(&mut workspace))
                .expect("forward");
            assert_eq!(out.rejected(), 2, "Gaussians, however many cameras see them");
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
    let (blob, settings) = (Rich::new(3), settings());
    let run = |cameras: &[abi::Camera], count: u32| {
        let (mut color, mut radii) = (vec![0.0_f32; 3 * 37 * 23 * 3], [0_i32; 9]);
        let p = 3;
        let gaussians = abi::Gaussians {
            count: p,
            means3d: abi::In::contiguous(blob.means3d.as_ptr(), &[p, 3]),
            opacities: abi::In::contiguous(blob.opacities.as_ptr(), &[p]),
            colors: abi::In::contiguous(blob.sh.as_ptr(), &[p, 3]),
            scales: abi::In::contiguous(blob.scales.as_ptr(), &[p, 3]),
            rotations: abi::In::contiguous(blob.rotations.as_ptr(), &[p, 4]),
            ..abi::Gaussians::EMPTY
        };
        let settings = abi::Settings {
            background: settings.background.as_ptr(),
            scale_modifier: 1.0,
            // No allocator is given: nothing is saved.
            flags: abi::FORWARD_ONLY | abi::RAW | abi::REPRODUCIBLE,
            ..abi::Settings::EMPTY
        };
        let channel = abi::Channel { source: abi::COLOR, data: color.as_mut_ptr(), ..abi::Channel::EMPTY };
        let (context, mut saved) = (abi::Context::EMPTY, abi::Saved::EMPTY);
        let args = abi::ForwardArgs {
            camera_count: count,
            channel_count: 1,
            context: &raw const context,
            cameras: cameras.as_ptr(),
            gaussians: &raw const gaussians,
            settings: &raw const settings,
            channels: &raw const channel,
            radii: radii.as_mut_ptr(),
            saved: &raw mut saved,
            ..abi::ForwardArgs::EMPTY
        };
        // SAFETY: every pointer is of a living array of the extent that the header states, for three cameras.
        let result = unsafe { engine().forward(&args) };
        result.map(|()| (saved, color))
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
    refused(&|c| c.struct_size = 8, 3, &["`cameras[2].struct_size` is 8", "48"]);
}

#[test]
fn orthographic_cameras_arrive() {
    let (blob, settings) = (Rich::new(20), settings());
    let rotation = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    let camera = Camera::from_orthographic(37, 23, [8.0, 8.0, 18.5, 11.5], rotation, [0.0; 3]);
    let core = splat_core::forward(&blob.scene(), &camera, &settings).expect("the core");
    for engine in both() {
        let out = host::forward(&*engine, &blob.scene(), &camera, &settings).expect("orthographic");
        assert_eq!((&out.color, &out.radii), (&core.outputs[Channel::Color].to_vec(), &core.radii));
        assert!(out.color.iter().any(|c| *c > 0.4));
    }
    let mut bad = camera;
    bad.proj[3] = 0.5;
    let error = host::forward(&*engine(), &blob.scene(), &bad, &settings).expect_err("perspective in it");
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
        let context = abi::Context::EMPTY;
        let mut args = abi::AdamArgs {
            context: &raw const context,
            rows,
            visible: visible.as_ptr(),
            group_count: 2,
            groups: groups.as_ptr(),
            ..abi::AdamArgs::EMPTY
        };
        // SAFETY: arrays of the extents that the header states, alive through the call.
        unsafe { engine.adam(&args) }.expect("a step");
        // The first step moves every number by its rate, against its gradient's sign.
        for (i, seen) in visible.iter().enumerate() {
            let moved = f32::from(u8::from(*seen != 0));
            assert!((b[i] - (2.0 + 0.2 * moved)).abs() < 1e-5, "{b:?}");
            assert!(a[3 * i..3 * i + 3].iter().all(|x| (x - (1.0 - 0.1 * moved)).abs() < 1e-5), "{a:?}");
            assert_eq!(mb[i] != 0.0, *seen != 0, "moments of rows that are left alone");
        }
        args.group_count = 9;
        // SAFETY: refused before a group is read.
        let error = unsafe { engine.adam(&args) }.expect_err("nine groups");
        assert!(error.to_string().contains("`group_count` is 9"), "{error}");

        let (mut mean, mut partials, mut grad) =
            ([0.0_f32], vec![f32::NAN; 3 * pixels], vec![f32::NAN; pixels]);
        let mut map = vec![f32::NAN; pixels];
        let up = [2.0_f32];
        let mut args = abi::SsimArgs {
            context: &raw const context,
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
            engine.ssim(&args).expect("forward");
            engine.ssim_backward(&args).expect("backward");
        }
        let shape = splat_core::SsimShape { planes: 1, width: w as usize, height: h as usize, valid: true };
        let truth = splat_core::ssim(&image, &target, shape).expect("the core");
        assert_eq!((mean[0], &map), (truth.mean, &truth.map));
        assert!(mean[0] > 0.3 && mean[0] < 1.0, "{mean:?}");
        let expected =
            splat_core::ssim_backward(&image, &target, &truth.partials, shape, 2.0, None).expect("the core");
        assert_eq!(grad, expected);
        let mut loss = abi::PhotometricArgs {
            valid: 1,
            context: &raw const context,
            planes: 1,
            width: w,
            height: h,
            lambda_dssim: 0.25,
            image: image.as_ptr(),
            target: target.as_ptr(),
            loss: mean.as_mut_ptr(),
            partials: partials.as_mut_ptr(),
            grad_loss: up.as_ptr(),
            grad_image: grad.as_mut_ptr(),
            ..abi::PhotometricArgs::EMPTY
        };
        // SAFETY: as above.
        unsafe {
            engine.photometric(&loss).expect("forward");
            engine.photometric_backward(&loss).expect("backward");
        }
        let truth = splat_core::photometric(&image, &target, shape, 0.25).expect("the core");
        let partials = &truth.partials;
        let expected = splat_core::photometric_backward(&image, &target, partials, shape, 0.25, 2.0, None)
            .expect("the core");
        assert_eq!((mean[0], &grad), (truth.mean, &expected));
        loss.lambda_dssim = 1.5;
        // SAFETY: refused before an array is read.
        let error = unsafe { engine.photometric(&loss) }.expect_err("more than all of the loss");
        assert!(error.to_string().contains("`lambda_dssim` is 1.5"), "{error}");
        args.width = 10;
        // SAFETY: smaller than what the arrays have.
        let error = unsafe { engine.ssim(&args) }.expect_err("a mean over no pixel");
        assert!(error.to_string().contains("11 x 11"), "{error}");
    }
}

#[test]
fn two_engines_work_at_once() {
    let (blob, cameras, settings, up) = (Rich::new(40), cameras(), settings(), Up::new(3));
    let render = |engine: &splat_engine::SharedEngine| {
        let mut workspace = Workspace::new(engine, -1).expect("a workspace");
        let scene = blob.scene();
        let out = host::forward_batch(&**engine, &scene, &cameras, &settings, Some(&mut workspace))
            .expect("forward");
        let grad = host::backward_batch(&**engine, &scene, &cameras, &settings, &out, &up.of(None));
        assert_eq!(workspace.poll(out.saved(), true).expect("poll").expect("done").rendered, out.pairs());
        (out.color, grad.expect("backward"))
    };
    let expected = render(&engine());
    let ([linked, loaded], other) = (both(), engine());
    // Two instances in this program and one in a library; failures of one are no business of the others.
    let start = std::sync::Barrier::new(4);
    std::thread::scope(|scope| {
        for engine in [&linked, &other, &loaded] {
            let (start, render, expected) = (&start, &render, &expected);
            scope.spawn(move || {
                start.wait();
                for _ in 0..4 {
                    assert_eq!(render(engine), *expected);
                }
            });
        }
        scope.spawn(|| {
            start.wait();
            for _ in 0..20 {
                let error =
                    host::forward(&*linked, &blob.scene(), &bad_camera(), &settings).expect_err("refused");
                assert!(error.to_string().contains("last row"), "{error}");
            }
        });
    });
}

/// An orthographic camera with perspective in its matrix.
fn bad_camera() -> Camera {
    let rotation = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    let mut camera = Camera::from_orthographic(37, 23, [8.0, 8.0, 18.5, 11.5], rotation, [0.0; 3]);
    camera.proj[3] = 0.5;
    camera
}
