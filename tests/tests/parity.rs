//! The same call to another engine: `inria` and `cuda` on the GPU against `cpu`, forward and every gradient, by the whole
//! calls and by the stages, and the weights per Gaussian. What `cuda` has beyond the original is also compared with `cpu`
//! by `bench/parity.py`.
//!
//! Engines evaluate the same formulas in another order, so they round differently. Where a Gaussian's alpha lies within
//! rounding of 1/255, or a pixel's transmittance of 1e-4, one engine may blend what the other skips: such a pixel may
//! differ by up to 1/255 of a colour. A case therefore states two things: how many pixels differ by more than 1e-5, and
//! by how much at most. With `$SPLAT_PARITY_OUT` the figures are written there as JSON.

#![expect(clippy::print_stdout, reason = "figures, and skips that are counted by their line")]

use splat_core::{Mode, Upstream};
use splat_cpu::host;
use splat_engine::registry;
use splat_tch::Backend;
use splat_verify::{
    answer::{self, Answer},
    compare::{cosine_gap, max_abs, rel_l2},
    scenes::{self, Case, Random},
    staged::staged,
};
use tch::Device;

/// Figures of one case.
#[derive(serde::Serialize)]
struct Figures {
    case: String,
    gaussians: usize,
    visible: usize,
    pixels: usize,
    max_abs_color: f64,
    pixels_over_1e_5: usize,
    max_rel_inv_depth: f64,
    radii_that_differ: usize,
    gradients: Vec<(String, f64, f64)>,
    /// Relative L2 of each weight per Gaussian; empty where an engine has none.
    weights: Vec<(String, f64)>,
}

fn on_cpu(case: &Case, upstream: &Upstream<f32>) -> Answer {
    let (engine, scene) = (splat_cpu::engine(), case.scene.scene());
    let r = host::forward(&*engine, &scene, &case.camera, &case.settings).expect("cpu forward");
    let g =
        host::backward(&*engine, &scene, &case.camera, &case.settings, &r, upstream).expect("cpu backward");
    Answer {
        color: r.color,
        radii: r.radii,
        inv_depth: r.inv_depth,
        gradients: answer::named(g, &scene),
        weights: Vec::new(),
    }
}

/// Noise as the gradients of both images, the same for every engine.
fn with_upstream<T>(case: &Case, run: impl FnOnce(&Upstream<f32>) -> T) -> T {
    let pixels = (case.camera.width * case.camera.height) as usize;
    let mut random = Random::new(99);
    let (color, inv_depth) = (random.normals(3 * pixels), random.normals(pixels));
    let upstream = Upstream { color: Some(&color), inv_depth: Some(&inv_depth), ..Upstream::default() };
    run(&upstream)
}

fn on(case: &Case, backend: &Backend) -> Answer {
    with_upstream(case, |upstream| {
        answer::through_torch(&case.scene.scene(), &case.camera, &case.settings, upstream, backend)
            .unwrap_or_else(|e| panic!("{}: {e}", case.name))
    })
}

fn compare(case: &Case, found: &Answer, expected: &Answer) -> Figures {
    let pixels = (case.camera.width * case.camera.height) as usize;
    let plane = |v: &[f32], i: usize| [v[i], v[i + pixels], v[i + 2 * pixels]];
    let over =
        (0..pixels).filter(|i| max_abs(&plane(&found.color, *i), &plane(&expected.color, *i)) > 1e-5).count();
    let largest = expected.inv_depth.iter().fold(1e-6_f64, |m, x| m.max(f64::from(*x)));
    Figures {
        case: case.name.clone(),
        gaussians: case.scene.opacities.len(),
        visible: expected.radii.iter().filter(|r| **r > 0).count(),
        pixels,
        max_abs_color: max_abs(&found.color, &expected.color),
        pixels_over_1e_5: over,
        max_rel_inv_depth: max_abs(&found.inv_depth, &expected.inv_depth) / largest,
        radii_that_differ: found.radii.iter().zip(&expected.radii).filter(|(a, b)| a != b).count(),
        gradients: expected
            .gradients
            .iter()
            .zip(&found.gradients)
            .map(|((name, e), (same, f))| {
                assert_eq!(name, same);
                ((*name).to_owned(), rel_l2(f, e), cosine_gap(f, e))
            })
            .collect(),
        weights: found
            .weights
            .iter()
            .zip(&expected.weights)
            .map(|((name, f), (_, e))| ((*name).to_owned(), rel_l2(f, e)))
            .collect(),
    }
}

/// What an engine may differ by in a case.
struct Bounds {
    /// Of a pixel's colour, and of inverse depth in units of its largest.
    pixel: f64,
    /// How many of that many pixels may differ by more than 1e-5.
    over: fn(usize) -> usize,
    /// Relative L2 of a gradient, and of a weight per Gaussian.
    gradient: f64,
}

/// `inria` is the original's own code, whose atomics and fused multiplications are not ours to order. A covariance of
/// needles (750 to 1, seen at any angle) loses digits in f32 whoever inverts it: more pixels differ, by less, and their
/// gradients agree less. Measured on an H100: 176 of 9,000 pixels of the needles, by at most 4e-5.
fn inria(case: &str) -> Bounds {
    match case.starts_with("needles") {
        true => Bounds { pixel: 0.03, over: |pixels| pixels / 10, gradient: 5e-2 },
        false => Bounds { pixel: 0.03, over: |pixels| 2 + pixels / 200, gradient: 1e-2 },
    }
}

/// About four times what was measured on an H100 (`bench/results/parity-cuda-*.json`). Our kernels blend in the
/// specification's order, so that the synthetic scenes differ by rounding alone.
fn cuda(case: &str) -> Bounds {
    let trained = |name: &str| case.starts_with(name);
    if trained("needles") {
        // The inverse covariance is kept scaled for base 2: 722 of 9,000 pixels by 2e-4, gradients of scales by 1.9e-2.
        Bounds { pixel: 1e-3, over: |pixels| pixels / 10, gradient: 5e-2 }
    } else if trained("arkit") {
        // In 30 of 360,000 pixels a Gaussian at the threshold of 1/255 falls to the other side: 3.6e-3. Gradients by 7e-3.
        Bounds { pixel: 6e-3, over: |pixels| pixels / 3_000, gradient: 2e-2 }
    } else if ["playbot", "street", "blocks"].into_iter().any(trained) {
        // 3 of 518,400 pixels by 4.6e-4, gradients by 5.4e-4; a Gaussian at a threshold may fall to the other side.
        Bounds { pixel: 6e-3, over: |pixels| 2 + pixels / 50_000, gradient: 2e-3 }
    } else {
        // No pixel by more than 1.2e-6, gradients by 1.6e-5.
        Bounds { pixel: 5e-6, over: |_| 0, gradient: 8e-5 }
    }
}

/// Gaussians whose radius may differ by a pixel because `3 sqrt(lambda)` lies within rounding of an integer: one in 20,000.
const RADII: usize = 20_000;

fn hold(f: &Figures, bounds: &Bounds) -> Result<(), String> {
    let check = |ok: bool, what: String| if ok { Ok(()) } else { Err(format!("{}: {what}", f.case)) };
    // A view that shows nothing would agree without proving anything.
    check(f.visible > 0, "no Gaussian is visible".into())?;
    check(f.max_abs_color < bounds.pixel, format!("a pixel differs by {:.1e}", f.max_abs_color))?;
    let allowed = (bounds.over)(f.pixels);
    check(
        f.pixels_over_1e_5 <= allowed,
        format!("{} of {} pixels differ by more than 1e-5, over {allowed}", f.pixels_over_1e_5, f.pixels),
    )?;
    check(
        f.max_rel_inv_depth < bounds.pixel,
        format!("inverse depth differs by {:.1e} of its largest", f.max_rel_inv_depth),
    )?;
    check(
        f.radii_that_differ <= f.gaussians / RADII,
        format!("{} of {} radii differ", f.radii_that_differ, f.gaussians),
    )?;
    for (name, off, _) in &f.gradients {
        let what = format!("the gradient of `{name}` differs by {off:.1e} (relative L2)");
        check(*off < bounds.gradient, what)?;
    }
    for (name, off) in &f.weights {
        check(*off < bounds.gradient, format!("`{name}` differs by {off:.1e} (relative L2)"))?;
    }
    Ok(())
}

/// Runs the cases on each backend and holds them against the CPU engine; `file` is for `$SPLAT_PARITY_OUT`.
fn run(cases: &[Case], backends: &[(&str, Backend)], bounds: fn(&str) -> Bounds, file: &str) {
    let mut figures = Vec::new();
    for case in cases {
        let expected = on(case, &Backend::cpu());
        for (way, backend) in backends {
            let mut f = compare(case, &on(case, backend), &expected);
            f.case += way;
            figures.push(f);
        }
    }
    for f in &figures {
        println!(
            "{:40} {:8} Gaussians {:8} visible  max {:.1e}  over 1e-5: {}/{}  inverse depth {:.1e}  radii {}  \
             gradients {}  weights {}",
            f.case,
            f.gaussians,
            f.visible,
            f.max_abs_color,
            f.pixels_over_1e_5,
            f.pixels,
            f.max_rel_inv_depth,
            f.radii_that_differ,
            f.gradients.iter().map(|(n, off, _)| format!("{n} {off:.1e}")).collect::<Vec<_>>().join(" "),
            f.weights.iter().map(|(n, off)| format!("{n} {off:.1e}")).collect::<Vec<_>>().join(" "),
        );
    }
    if let Some(out) = std::env::var_os("SPLAT_PARITY_OUT") {
        let path = std::path::Path::new(&out).join(file);
        std::fs::write(&path, serde_json::to_string_pretty(&figures).expect("JSON"))
            .expect("the report is written");
    }
    let trouble: Vec<String> = figures.iter().filter_map(|f| hold(f, &bounds(&f.case)).err()).collect();
    assert!(trouble.is_empty(), "{}", trouble.join("\n"));
}

/// The engine on the first GPU by its whole calls and, if it has them, by its stages; says why not if it cannot run here.
fn runs(engine: &str) -> Option<Vec<(&'static str, Backend)>> {
    if !tch::Cuda::is_available() {
        println!("skipped: no CUDA device");
        return None;
    }
    let Ok(found) = registry::find(engine) else {
        println!("skipped: engine `{engine}` is not part of this build");
        return None;
    };
    let on = |engine| Backend::new(Device::Cuda(0), engine).unwrap_or_else(|e| panic!("{e}"));
    let mut ways = vec![("", on(found.clone()))];
    if found.capabilities().abilities.contains(splat_engine::Abilities::STAGES) {
        ways.push((", by stages", on(staged(found))));
    }
    Some(ways)
}

fn trained() -> Option<Vec<Case>> {
    splat_testdata::shared("").map(|data| scenes::trained(&data))
}

/// The same cases in mode exact.
fn exact(mut cases: Vec<Case>) -> Vec<Case> {
    for case in &mut cases {
        case.name += ", exact";
        case.settings.mode = Mode::Exact;
    }
    cases
}

#[test]
fn inria_equals_cpu_on_adversarial_scenes() {
    if let Some(ways) = runs("inria") {
        run(&scenes::adversarial(), &ways, inria, "parity-inria-adversarial.json");
    }
}

#[test]
fn inria_equals_cpu_on_trained_scenes() {
    if let Some(ways) = runs("inria")
        && let Some(cases) = trained()
    {
        run(&cases, &ways, inria, "parity-inria-trained.json");
    }
}

#[test]
fn cuda_equals_cpu_on_adversarial_scenes() {
    if let Some(ways) = runs("cuda") {
        let mut cases = scenes::adversarial();
        cases.extend(exact(scenes::adversarial()));
        run(&cases, &ways, cuda, "parity-cuda-adversarial.json");
    }
}

#[test]
fn cuda_equals_cpu_on_trained_scenes() {
    if let Some(ways) = runs("cuda")
        && let (Some(mut cases), Some(more)) = (trained(), trained())
    {
        cases.extend(exact(more));
        run(&cases, &ways, cuda, "parity-cuda-trained.json");
    }
}

/// Without a GPU the comparison itself is still shown to work: the CPU engine through torch, by its whole calls and by
/// its stages, equals itself without torch, but for the rounding of gradients between the stages.
#[test]
fn cpu_through_torch_and_by_stages_equals_cpu() {
    let by_stages = Backend::new(Device::Cpu, staged(splat_cpu::engine())).expect("a CPU backend");
    let mut cases = scenes::adversarial();
    cases.extend(exact(scenes::adversarial()));
    for case in cases {
        let expected = with_upstream(&case, |upstream| on_cpu(&case, upstream));
        let whole = on(&case, &Backend::cpu());
        let stages = on(&case, &by_stages);
        for (way, found, expected) in [
            ("whole", &whole, &expected),
            ("by stages", &stages, &expected),
            ("by stages, weights too", &stages, &whole),
        ] {
            let f = compare(&case, found, expected);
            assert_eq!((f.max_abs_color, f.radii_that_differ), (0.0, 0), "{} {way}", f.case);
            // Between the stages gradients are f32, within the whole call f64.
            let rounding = match (way, case.name.starts_with("needles")) {
                ("whole", _) => 0.0,
                (_, needles) => {
                    if needles {
                        1e-4
                    } else {
                        1e-6
                    }
                }
            };
            for (name, off, _) in &f.gradients {
                assert!(*off <= rounding, "{} {way}: gradient of `{name}` {off:.1e}", f.case);
            }
            for (name, off) in &f.weights {
                assert_eq!(*off, 0.0, "{} {way}: `{name}`", f.case);
            }
        }
        assert_eq!(whole.weights.len(), 3);
    }
}
