//! Adam and SSIM through the engine of the tensors' device, against the same in torch's own operations.

use crate::common::engines::hooked;
use crate::common::{Scene, camera_on, numbers};
use splat_tch::{AdamGroup, Backend, Settings, adam_step, photometric, render, ssim};
use tch::{Device, Kind, Tensor};

fn floats(shape: &[i64]) -> Tensor {
    Tensor::randn(shape, (Kind::Float, Device::Cpu))
}

#[test]
fn adam_is_the_plain_formula() {
    tch::manual_seed(1);
    let shapes: [&[i64]; 3] = [&[50, 3], &[50], &[50, 15, 3]];
    let params: Vec<Tensor> = shapes.iter().map(|s| floats(s)).collect();
    let moments: Vec<[Tensor; 2]> = params.iter().map(|p| [p.zeros_like(), p.zeros_like()]).collect();
    let mut truth: Vec<[Tensor; 3]> =
        params.iter().map(|p| [p.to_kind(Kind::Double), p.zeros_like(), p.zeros_like()]).collect();
    for step in 1..=5_i64 {
        let grads: Vec<Tensor> = params.iter().map(|p| p.randn_like()).collect();
        let seen = Tensor::randint(2, [50], (Kind::Int, Device::Cpu));
        let visible = (step % 2 == 0).then_some(&seen);
        let groups: Vec<AdamGroup<'_>> = params
            .iter()
            .zip(&grads)
            .zip(&moments)
            .enumerate()
            .map(|(i, ((param, grad), [exp_avg, exp_avg_sq]))| {
                let lr = 0.01 * (i + 1) as f32;
                AdamGroup::new(param, grad, exp_avg, exp_avg_sq, step, lr).betas(0.9, 0.999).eps(1e-8)
            })
            .collect();
        adam_step(&Backend::cpu(), &groups, visible).unwrap();
        for (i, ([p, m, v], g)) in truth.iter_mut().zip(&grads).enumerate() {
            let g = g.to_kind(Kind::Double);
            let (m1, v1) = (&*m * 0.9 + &g * 0.1, &*v * 0.999 + g.square() * 0.001);
            let mean = &m1 / (1.0 - 0.9_f64.powi(step as i32));
            let square = &v1 / (1.0 - 0.999_f64.powi(step as i32));
            let p1 = &*p - mean / (square.sqrt() + 1e-8) * (0.01 * (i + 1) as f64);
            let Some(visible) = visible else {
                (*p, *m, *v) = (p1, m1, v1);
                continue;
            };
            let rows = visible.ne(0).view([50, 1, 1]).narrow(1, 0, 1);
            let rows = if p.dim() == 1 {
                rows.view([50])
            } else if p.dim() == 2 {
                rows.view([50, 1])
            } else {
                rows
            };
            let keep = |new: &Tensor, old: &Tensor| new.where_self(&rows, &old.to_kind(Kind::Double));
            (*p, *m, *v) = (keep(&p1, p), keep(&m1, m), keep(&v1, v));
        }
    }
    for (param, [truth, ..]) in params.iter().zip(&truth) {
        let worst = (param - truth).abs().max().double_value(&[]);
        assert!(worst < 1e-5, "{:?}: {worst}", param.size());
    }
}

#[test]
fn a_graph_notices_that_adam_changed_its_input() {
    let scene = Scene::new(10);
    let got = render(&scene.gaussians(true, false), &camera_on(Device::Cpu), &Settings::default()).unwrap();
    let means = &scene.leaves.means3d;
    let [grad, exp_avg, exp_avg_sq] = [(); 3].map(|()| means.ones_like().detach());
    let group = AdamGroup::new(means, &grad, &exp_avg, &exp_avg_sq, 1, 0.1);
    adam_step(&Backend::cpu(), &[group], None).unwrap();
    let text = got.color.sum(Kind::Float).f_backward().unwrap_err().to_string();
    assert!(text.contains("modified by an inplace operation"), "{text}");

    let short = grad.narrow(0, 0, 5);
    let text =
        adam_step(&Backend::cpu(), &[AdamGroup { grad: &short, ..group }], None).unwrap_err().to_string();
    assert!(text.contains("`grad` has shape [5, 3]") && text.contains("[10, 3]"), "{text}");
    let wrong = Tensor::ones([10], (Kind::Int64, Device::Cpu));
    let text = adam_step(&Backend::cpu(), &[group], Some(&wrong)).unwrap_err().to_string();
    assert!(text.contains("`visible` is Int64"), "{text}");
    let text = adam_step(&Backend::cpu(), &[AdamGroup { step: 0, ..group }], None).unwrap_err().to_string();
    assert!(text.contains("`step` is 0, but steps are counted from 1"), "{text}");
    let mut engine = hooked();
    engine.capabilities.optimize = false;
    let text = adam_step(&engine.backend(), &[group], None).unwrap_err().to_string();
    assert!(text.contains("engine `hooked` does not offer Adam"), "{text}");
}

/// The same by convolutions: the formulation that training scripts have.
fn ssim_by_torch(x: &Tensor, y: &Tensor, valid: bool) -> Tensor {
    let channels = x.size()[1];
    let g = (Tensor::arange(11, (Kind::Double, Device::Cpu)) - 5.0).square() / -4.5;
    let g = g.exp() / g.exp().sum(Kind::Double);
    let window = g.outer(&g).expand([channels, 1, 11, 11], false);
    let blur = |t: &Tensor| t.conv2d::<Tensor>(&window, None, 1, 5, 1, channels);
    let (x, y) = (x.to_kind(Kind::Double), y.to_kind(Kind::Double));
    let (mx, my) = (blur(&x), blur(&y));
    let (sx, sy) = (blur(&x.square()) - mx.square(), blur(&y.square()) - my.square());
    let cross = blur(&(&x * &y)) - &mx * &my;
    let top = (&mx * &my * 2.0 + 1e-4) * (cross * 2.0 + 9e-4);
    let map = top / ((mx.square() + my.square() + 1e-4) * (sx + sy + 9e-4));
    let (h, w) = (map.size()[2], map.size()[3]);
    let map = if valid { map.narrow(2, 5, h - 10).narrow(3, 5, w - 10) } else { map };
    map.mean(Kind::Double)
}

#[test]
fn ssim_and_its_gradient_are_the_convolutions() {
    tch::manual_seed(2);
    let target = Tensor::rand([2, 3, 21, 26], (Kind::Float, Device::Cpu));
    for valid in [false, true] {
        let start = (&target * 0.7 + Tensor::rand_like(&target) * 0.3).clamp(0.0, 1.0);
        let (a, b) = (start.copy().set_requires_grad(true), start.copy().set_requires_grad(true));
        let ours = ssim(&Backend::cpu(), &a, &target, valid).unwrap();
        let theirs = ssim_by_torch(&b, &target, valid);
        assert!(ours.size().is_empty() && ours.requires_grad());
        let off = (ours.double_value(&[]) - theirs.double_value(&[])).abs();
        assert!(off < 1e-5, "valid {valid}: means differ by {off}");
        (&ours * -2.0).backward();
        (&theirs * -2.0).backward();
        let off = (a.grad() - b.grad()).norm().double_value(&[]) / b.grad().norm().double_value(&[]);
        assert!(off < 1e-4, "valid {valid}: gradients differ by {off}");
    }
    let start = (&target * 0.7 + Tensor::rand_like(&target) * 0.3).clamp(0.0, 1.0);
    let (a, b) = (start.copy().set_requires_grad(true), start.copy().set_requires_grad(true));
    let ours = photometric(&Backend::cpu(), &a, &target, 0.2).unwrap();
    let theirs = (&b - &target).abs().mean(Kind::Double) * 0.8
        + (ssim_by_torch(&b, &target, false) * -1.0 + 1.0) * 0.2;
    let off = (ours.double_value(&[]) - theirs.double_value(&[])).abs();
    assert!(off < 1e-5, "losses differ by {off}");
    (&ours * 2.0).backward();
    (&theirs * 2.0).backward();
    let off = (a.grad() - b.grad()).norm().double_value(&[]) / b.grad().norm().double_value(&[]);
    assert!(off < 1e-4, "gradients of the loss differ by {off}");
    for lambda in [-0.1, 1.1, f32::NAN] {
        let text = photometric(&Backend::cpu(), &a, &target, lambda).unwrap_err().to_string();
        assert!(text.contains(&format!("`lambda` is {lambda}, but must be 0 to 1")), "{text}");
    }
    let plain = tch::no_grad(|| photometric(&Backend::cpu(), &a, &target, 0.0)).unwrap();
    let off = (plain.double_value(&[]) - (&a - &target).abs().mean(Kind::Double).double_value(&[])).abs();
    assert!(off < 1e-6, "without SSIM it is the mean absolute difference: {off}");
    let plain = tch::no_grad(|| ssim(&Backend::cpu(), &target, &target, false)).unwrap();
    assert!((plain.double_value(&[]) - 1.0).abs() < 1e-5 && !plain.requires_grad());
}

#[test]
fn ssim_refuses_what_it_cannot_and_has_first_derivatives_only() {
    let image = Tensor::rand([3, 20, 20], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let target = Tensor::rand([3, 20, 20], (Kind::Float, Device::Cpu));
    let small = target.narrow(2, 0, 10);
    let text = ssim(&Backend::cpu(), &image, &small, false).unwrap_err().to_string();
    assert!(text.contains("`target` has shape [3, 20, 10]") && text.contains("[3, 20, 20]"), "{text}");
    let text = ssim(&Backend::cpu(), &small, &small, true).unwrap_err().to_string();
    assert!(text.contains("11 x 11"), "{text}");
    let text = ssim(&Backend::cpu(), &target, &image, true).unwrap_err().to_string();
    assert!(text.contains("`target` requires a gradient"), "{text}");
    let loss = ssim(&Backend::cpu(), &image, &target, true).unwrap();
    let first = Tensor::f_run_backward(&[&loss], &[&image], true, true).unwrap().remove(0);
    assert!(numbers(&first).iter().any(|g| *g != 0.0));
    let text = first.square().sum(Kind::Float).f_backward().unwrap_err().to_string();
    assert!(text.contains("ssim() has first derivatives only"), "{text}");
    // A transposed image is read as it is seen.
    let turned = target.permute([0, 2, 1]);
    let a = ssim(&Backend::cpu(), &turned, &image.detach(), true).unwrap().double_value(&[]);
    let b = ssim(&Backend::cpu(), &turned.contiguous(), &image.detach(), true).unwrap().double_value(&[]);
    assert_eq!(a.to_bits(), b.to_bits());
}
