//! A pass that ends in a step against the same in two: a graph's gradients, and Adam. For any backend.

use splat_tch::{
    AdamGroup, Backend, Camera, Color, Gaussians, Settings, Shape, StepGroup, StepOptions, Target, Upstream,
    adam_step, render_batch, render_pass,
};
use tch::{Kind, Tensor};

use super::stored::{self, Stored, eyes};

const TARGETS: [Target; 6] =
    [Target::Means3d, Target::Opacities, Target::Sh, Target::ShRest, Target::Scales, Target::Rotations];
const RATES: [f32; 6] = [1e-3, 2e-2, 3e-3, 1e-3, 5e-3, 2e-3];
/// Of opacities and scales.
const PULLS: [f32; 6] = [0.0, 0.02, 0.0, 0.0, 0.01, 0.0];

fn scene(l: &[Tensor]) -> Gaussians<'_> {
    let color = Color::SplitSh { first: &l[2], rest: &l[3] };
    Gaussians::new(&l[0], &l[1], color, Shape::ScaleRotation { scales: &l[4], rotations: &l[5] })
}

fn settings(backend: &Backend) -> Settings {
    Settings { backend: Some(backend.clone()), depth: false, alpha: false, ..stored::settings() }
}

fn group<'a>(k: usize, stored: splat_tch::Stored<'a>, step: i64) -> StepGroup<'a> {
    let (betas, eps) = ([0.9, 0.999], 1e-15);
    StepGroup { target: TARGETS[k], stored, pull: PULLS[k], step, lr: RATES[k], betas, eps }
}

/// Numbers of one shape that do not depend on the device.
fn pattern(like: &Tensor, speed: f64) -> Tensor {
    let n = like.numel() as i64;
    let values = (Tensor::arange(n, (Kind::Double, tch::Device::Cpu)) * speed).cos();
    values.to_kind(Kind::Float).view(like.size().as_slice()).to_device(like.device())
}

fn apart(a: &Tensor, b: &Tensor) -> f64 {
    let scale = b.detach().norm().double_value(&[]).max(1e-20);
    (a.detach() - b.detach()).norm().double_value(&[]) / scale
}

/// Three steps over two cameras, whole numbers: parameters, moments and what the step gives out are those of two calls.
pub fn is_backward_and_adam(backend: &Backend) {
    for visible_only in [false, true] {
        let stored = Stored::on(70, None, backend.device());
        // A row that no camera sees.
        let _ = stored.leaves[0].detach().narrow(0, 3, 1).fill_(-50.0);
        let fused: Vec<Tensor> = stored.leaves[..6].iter().map(|t| t.detach().copy()).collect();
        let leaves: Vec<Tensor> = fused.iter().map(|t| t.copy().set_requires_grad(true)).collect();
        let moments =
            || -> Vec<[Tensor; 2]> { fused.iter().map(|t| [t.zeros_like(), t.zeros_like()]).collect() };
        let (ours, theirs) = (moments(), moments());
        let with = settings(backend);
        for step in 1..=3 {
            let pose = |core: &splat_core::Camera| {
                let view = Tensor::from_slice(&core.view).view([4, 4]).tr().contiguous();
                view.to_device(backend.device()).set_requires_grad(true)
            };
            let eyes = &eyes()[..2];
            let poses: Vec<Tensor> = eyes.iter().map(pose).collect();
            let posed =
                |(core, view): (&splat_core::Camera, &Tensor)| Camera::with_pose(core.clone(), view).unwrap();
            let posed: Vec<Camera> = eyes.iter().zip(&poses).map(posed).collect();
            let cameras: Vec<&Camera> = posed.iter().collect();
            let probes = [3, 2]
                .map(|k| Tensor::zeros([2, 70, k], (Kind::Float, backend.device())).set_requires_grad(true));
            let all = scene(&leaves).means2d(&probes[0]).means2d_abs(&probes[1]);
            let got = render_batch(&all, &cameras, &with).unwrap();
            let (color, depth) = (pattern(&got.color, 0.37), pattern(&got.inv_depth, 0.53));
            let loss = (&got.color * &color).sum(Kind::Float) + (&got.inv_depth * &depth).sum(Kind::Float);
            loss.backward();
            let gradients: Vec<Tensor> = leaves
                .iter()
                .enumerate()
                .map(|(k, t)| {
                    let p = t.detach();
                    let slope = match TARGETS[k] {
                        Target::Opacities => p.sigmoid() * (1.0 - p.sigmoid()),
                        Target::Scales => p.exp(),
                        _ => p.zeros_like(),
                    };
                    (t.grad() + slope * f64::from(PULLS[k])).detach()
                })
                .collect();
            let groups: Vec<AdamGroup<'_>> = (0..6)
                .map(|k| {
                    AdamGroup::new(&leaves[k], &gradients[k], &theirs[k][0], &theirs[k][1], step, RATES[k])
                })
                .collect();
            let seen = got.radii.amax([0i64].as_slice(), false);
            tch::no_grad(|| adam_step(backend, &groups, visible_only.then_some(&seen)).unwrap());
            leaves.iter().for_each(|t| drop(t.grad().zero_()));

            let (images, pass) = render_pass(&scene(&fused), &cameras, &with).unwrap();
            assert!(!images.color.requires_grad());
            assert!(apart(&images.color, &got.color) < 1e-5, "step {step}");
            let groups: Vec<StepGroup<'_>> = (0..6)
                .map(|k| {
                    let (param, exp_avg, exp_avg_sq) = (&fused[k], &ours[k][0], &ours[k][1]);
                    group(k, splat_tch::Stored::Full { param, exp_avg, exp_avg_sq }, step)
                })
                .collect();
            let upstream = Upstream { color: Some(&color), inv_depth: Some(&depth), ..Upstream::default() };
            let options = StepOptions { visible_only, seed: 1, means2d: true, means2d_abs: true, view: true };
            let out = pass.step(&upstream, &groups, &options).unwrap();
            for (name, a, b) in [
                ("means2d", out.means2d.unwrap(), probes[0].grad()),
                ("means2d_abs", out.means2d_abs.unwrap(), probes[1].grad()),
            ] {
                assert!(apart(&a, &b) < 1e-4, "step {step}: {name} {} apart", apart(&a, &b));
            }
            let view = out.view.unwrap();
            for (i, (camera, pose)) in posed.iter().zip(&poses).enumerate() {
                let through = camera.with_gradient(&view.get(i as i64)).unwrap();
                let found = splat_tch::gradients(&through, &[pose]).unwrap().remove(0);
                assert!(apart(&found, &pose.grad()) < 1e-4, "step {step}: pose {i}");
            }
            for k in 0..6 {
                let off = apart(&ours[k][0], &theirs[k][0]).max(apart(&ours[k][1], &theirs[k][1]));
                assert!(off < 1e-4, "step {step}, {:?}: moments {off} apart", TARGETS[k]);
                let start = stored.leaves[k].detach();
                let (moved, expected) = (&fused[k] - &start, leaves[k].detach() - &start);
                assert!(
                    apart(&moved, &expected) < 2e-3,
                    "step {step}, {:?}: {}",
                    TARGETS[k],
                    apart(&moved, &expected)
                );
                let hidden = moved.get(3).abs().max().double_value(&[]);
                // All rows: the pull alone moves it.
                assert_eq!(hidden > 0.0, !visible_only && PULLS[k] > 0.0, "{:?}: {hidden}", TARGETS[k]);
            }
        }
    }
}

/// Rows of 45 numbers as compact ones.
fn packed(rest: &Tensor) -> Tensor {
    let p = rest.size()[0];
    rest.detach().view([p, 45]).constant_pad_nd([0i64, 3].as_slice()).to_kind(Kind::Half)
}

/// SH in 16 bits look as their numbers do, and a compact step is the whole one up to its roundings, the same for one seed.
pub fn compact_steps_are_whole_ones_but_for_roundings(backend: &Backend) {
    let stored = Stored::on(70, None, backend.device());
    let half = packed(&stored.leaves[3]);
    let wide = half.to_kind(Kind::Float).narrow(1, 0, 45).contiguous().view([70, 15, 3]);
    let camera = Camera::new(eyes()[0].clone(), backend.device()).unwrap();
    let start: Vec<Tensor> = stored.leaves[..6].iter().map(|t| t.detach().copy()).collect();
    let with = settings(backend);
    let run = |compact: bool, seed: u64| {
        let l: Vec<Tensor> = start.iter().map(Tensor::copy).collect();
        let (rest, half) = (wide.copy(), half.copy());
        let color = if compact {
            Color::CompactSh { first: &l[2], rest: &half, coeffs: 16 }
        } else {
            Color::SplitSh { first: &l[2], rest: &rest }
        };
        let scene =
            Gaussians::new(&l[0], &l[1], color, Shape::ScaleRotation { scales: &l[4], rotations: &l[5] });
        let zeros = |kind| half.zeros_like().to_kind(kind);
        let (codes, roots) = (zeros(Kind::Int8), zeros(Kind::Uint8));
        let units = Tensor::zeros([70, 2], (Kind::Float, backend.device()));
        let whole = [(); 2].map(|()| rest.zeros_like());
        let small = [(); 2].map(|()| l[0].zeros_like().to_kind(Kind::BFloat16));
        let plain = [(); 2].map(|()| l[0].zeros_like());
        let mut image = Tensor::new();
        for step in 1..=4 {
            let (images, pass) = render_pass(&scene, &[&camera], &with).unwrap();
            if step == 1 {
                image = images.color.copy();
            }
            let color = pattern(&images.color, 0.37);
            let upstream = Upstream { color: Some(&color), ..Upstream::default() };
            let groups = if compact {
                let rest =
                    splat_tch::Stored::Compact { param: &half, exp_avg: &codes, root: &roots, units: &units };
                let means = splat_tch::Stored::Half { param: &l[0], exp_avg: &small[0], root: &small[1] };
                [group(3, rest, step), group(0, means, step)]
            } else {
                let rest =
                    splat_tch::Stored::Full { param: &rest, exp_avg: &whole[0], exp_avg_sq: &whole[1] };
                let means =
                    splat_tch::Stored::Full { param: &l[0], exp_avg: &plain[0], exp_avg_sq: &plain[1] };
                [group(3, rest, step), group(0, means, step)]
            };
            pass.step(&upstream, &groups, &StepOptions { seed, ..StepOptions::default() }).unwrap();
        }
        if !compact {
            return (
                image,
                rest.view([70, 45]),
                whole[0].view([70, 45]),
                whole[1].sqrt().view([70, 45]),
                l[0].copy(),
            );
        }
        let columns = |t: &Tensor| t.to_kind(Kind::Float).narrow(1, 0, 45).contiguous();
        assert_eq!(half.narrow(1, 45, 3).abs().max().double_value(&[]), 0.0, "what fills the rows stays 0");
        let unit = |k: i64| units.narrow(1, k, 1);
        let (m, r) = (columns(&codes) * unit(0), columns(&roots) * unit(1));
        (image, columns(&half), m, r, l[0].copy())
    };
    let (whole, compact) = (run(false, 1), run(true, 1));
    assert!(apart(&compact.0, &whole.0) < 1e-5, "images {} apart", apart(&compact.0, &whole.0));
    let most = |t: Tensor| t.abs().max().double_value(&[]);
    // Four roundings of numbers under 0.5 to multiples of at most 2^-12, and steps whose moments are rounded: by little where
    // they are not small beside the row's largest. Where they are, steps are shorter, and none is longer than Adam's.
    let off = (&compact.1 - &whole.1).abs();
    let large = whole.3.ge_tensor(&(whole.3.amax([1i64].as_slice(), true) * 0.2));
    let (of_large, of_all) = (most(&off * large), most(off));
    assert!(of_large < 4.0 / 4096.0 + 4e-4 && of_large > 0.0, "parameters {of_large}");
    assert!(of_all < 4.0 / 4096.0 + 4.0 * f64::from(RATES[3]), "parameters {of_all}");
    for (name, a, b, codes) in
        [("exp_avg", &compact.2, &whole.2, 127.0), ("root", &compact.3, &whole.3, 255.0)]
    {
        let largest = b.abs().amax([1i64].as_slice(), true).clamp_min(1e-20);
        let off = most((a - b) / largest);
        assert!(off < 4.0 / codes, "{name}: {off} of the row's largest");
    }
    assert!(apart(&(&compact.4 - &start[0]), &(&whole.4 - &start[0])) < 0.02);
    let again = run(true, 1);
    assert!(again.1.equal(&compact.1) && again.2.equal(&compact.2) && again.3.equal(&compact.3));
    assert!(!run(true, 2).1.equal(&compact.1), "another seed draws other roundings");
}
