//! The same call to another engine: `inria` and `cuda` on the GPU against `cpu`, forward and every gradient.
//! What `cuda` has beyond the original is held against `cpu` by `bench/parity.py`.
//!
//! Engines evaluate the same formulas in another order, so they round differently. Where a splat's alpha lies within
//! rounding of 1/255, or a pixel's transmittance of 1e-4, one engine may blend what the other skips: such a pixel may
//! differ by up to 1/255 of a colour. A case therefore states two things: how many pixels differ by more than 1e-5, and
//! by how much at most. With `$SPLAT_PARITY_OUT` the figures are written there as JSON.

#![expect(clippy::print_stdout, reason = "figures, and skips that are counted by their line")]

use splat_core::Upstream;
use splat_engine::host;
use splat_tch::EngineChoice;
use splat_tests::{
    answer::{self, Answer},
    compare::{cosine_gap, max_abs, rel_l2},
    scenes::{self, Case, Random},
};
use tch::Device;

/// Figures of one case.
#[derive(serde::Serialize)]
struct Figures {
    case: String,
    splats: usize,
    visible: usize,
    pixels: usize,
    max_abs_color: f64,
    pixels_over_1e_5: usize,
    max_rel_inv_depth: f64,
    radii_that_differ: usize,
    gradients: Vec<(String, f64, f64)>,
}

fn on_cpu(case: &Case, upstream: &Upstream<f32>) -> Answer {
    let (engine, scene) = (splat_engine::cpu(), case.scene.scene());
    let r = host::forward(&*engine, &scene, &case.camera, &case.settings).expect("cpu forward");
    let g =
        host::backward(&*engine, &scene, &case.camera, &case.settings, &r, upstream).expect("cpu backward");
    Answer { color: r.color, radii: r.radii, inv_depth: r.inv_depth, gradients: answer::named(g, &scene) }
}

fn compare(case: &Case, device: Device, engine: EngineChoice) -> Figures {
    let pixels = (case.camera.width * case.camera.height) as usize;
    let mut random = Random::new(99);
    let (color, inv_depth) = (random.normals(3 * pixels), random.normals(pixels));
    let upstream = Upstream { color: Some(&color), inv_depth: Some(&inv_depth), ..Upstream::default() };
    let expected = on_cpu(case, &upstream);
    let found =
        answer::through_torch(&case.scene.scene(), &case.camera, &case.settings, &upstream, device, engine)
            .unwrap_or_else(|e| panic!("{}: {e}", case.name));
    let plane = |v: &[f32], i: usize| [v[i], v[i + pixels], v[i + 2 * pixels]];
    let over =
        (0..pixels).filter(|i| max_abs(&plane(&found.color, *i), &plane(&expected.color, *i)) > 1e-5).count();
    let largest = expected.inv_depth.iter().fold(1e-6_f64, |m, x| m.max(f64::from(*x)));
    Figures {
        case: case.name.clone(),
        splats: case.scene.opacities.len(),
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
    }
}

/// Splats whose radius may differ by a pixel because `3 sqrt(lambda)` lies within rounding of an integer: one in 20,000.
const RADII: usize = 20_000;

fn hold(f: &Figures) -> Result<(), String> {
    let check = |ok: bool, what: String| if ok { Ok(()) } else { Err(format!("{}: {what}", f.case)) };
    // A view that shows nothing would agree without proving anything.
    check(f.visible > 0, "no splat is visible".into())?;
    check(f.max_abs_color < 0.03, format!("a pixel differs by {:.1e}", f.max_abs_color))?;
    // A covariance of needles (750 to 1, seen at any angle) loses digits in f32 whoever inverts it: more pixels
    // differ, by less, and their gradients agree less. Measured on an H100: `inria` 176 of 9,000 pixels by at most
    // 4e-5, `cuda`, which keeps the inverse scaled for base 2, 722 by at most 2e-4.
    let (allowed, gradient) =
        if f.case.starts_with("needles") { (f.pixels / 10, 5e-2) } else { (2 + f.pixels / 200, 1e-2) };
    check(
        f.pixels_over_1e_5 <= allowed,
        format!("{} of {} pixels differ by more than 1e-5, over {allowed}", f.pixels_over_1e_5, f.pixels),
    )?;
    check(
        f.max_rel_inv_depth < 0.03,
        format!("inverse depth differs by {:.1e} of its largest", f.max_rel_inv_depth),
    )?;
    check(
        f.radii_that_differ <= f.splats / RADII,
        format!("{} of {} radii differ", f.radii_that_differ, f.splats),
    )?;
    for (name, off, _) in &f.gradients {
        check(*off < gradient, format!("the gradient of `{name}` differs by {off:.1e} (relative L2)"))?;
    }
    Ok(())
}

fn run(cases: &[Case], engine: &str, file: &str) {
    let figures: Vec<Figures> = cases.iter().map(|c| compare(c, Device::Cuda(0), engine.into())).collect();
    for f in &figures {
        println!(
            "{:32} {:8} splats {:8} visible  max {:.1e}  over 1e-5: {}/{}  radii {}  gradients {}",
            f.case,
            f.splats,
            f.visible,
            f.max_abs_color,
            f.pixels_over_1e_5,
            f.pixels,
            f.radii_that_differ,
            f.gradients.iter().map(|(n, off, _)| format!("{n} {off:.1e}")).collect::<Vec<_>>().join(" "),
        );
    }
    if let Some(out) = std::env::var_os("SPLAT_PARITY_OUT") {
        let path = std::path::Path::new(&out).join(file);
        std::fs::write(&path, serde_json::to_string_pretty(&figures).expect("JSON"))
            .expect("the report is written");
    }
    let trouble: Vec<String> = figures.iter().filter_map(|f| hold(f).err()).collect();
    assert!(trouble.is_empty(), "{}", trouble.join("\n"));
}

/// Whether the engine can run here; says why not.
fn runs(engine: &str) -> bool {
    if !tch::Cuda::is_available() {
        println!("skipped: no CUDA device");
        return false;
    }
    if !splat_cuda::BUILT.contains(&engine) {
        println!("skipped: engine `{engine}` is not part of this build");
        return false;
    }
    true
}

fn trained() -> Option<Vec<Case>> {
    splat_testdata::shared("").map(|data| scenes::trained(&data))
}

/// The same cases in mode exact.
fn exact(mut cases: Vec<Case>) -> Vec<Case> {
    for case in &mut cases {
        case.name += ", exact";
        case.settings.exact = true;
    }
    cases
}

#[test]
fn inria_equals_cpu_on_adversarial_scenes() {
    if runs("inria") {
        run(&scenes::adversarial(), "inria", "parity-inria-adversarial.json");
    }
}

#[test]
fn inria_equals_cpu_on_trained_scenes() {
    if let Some(cases) = runs("inria").then(trained).flatten() {
        run(&cases, "inria", "parity-inria-trained.json");
    }
}

#[test]
fn cuda_equals_cpu_on_adversarial_scenes() {
    if runs("cuda") {
        let mut cases = scenes::adversarial();
        cases.extend(exact(scenes::adversarial()));
        run(&cases, "cuda", "parity-cuda-adversarial.json");
    }
}

#[test]
fn cuda_equals_cpu_on_trained_scenes() {
    if let Some(mut cases) = runs("cuda").then(trained).flatten() {
        if let Some(more) = trained() {
            cases.extend(exact(more));
        }
        run(&cases, "cuda", "parity-cuda-trained.json");
    }
}

/// Without a GPU the comparison itself is still shown to work: the CPU engine through torch equals itself without.
#[test]
fn cpu_through_torch_equals_cpu_bit_for_bit() {
    for case in scenes::adversarial() {
        let f = compare(&case, Device::Cpu, "cpu".into());
        assert_eq!((f.max_abs_color, f.radii_that_differ), (0.0, 0), "{}", f.case);
        for (name, off, _) in &f.gradients {
            assert_eq!(*off, 0.0, "{}: gradient of `{name}`", f.case);
        }
    }
}
