//! What was found, as data and as text for people.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use splat_toolchain::Finding;
use splatwright::ui;

/// The whole report, as `--json` prints it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// Whether everything holds.
    pub ok: bool,
    /// One entry per library.
    pub engines: Vec<EngineReport>,
    /// The operation for tch.
    pub torch: TorchReport,
    /// What to do about what does not hold.
    pub findings: Vec<Finding>,
    /// The picture that this build rendered.
    pub picture: Option<PathBuf>,
    /// Loss of each training step on the embedded scene.
    pub losses: Vec<f64>,
}

/// One library: what `splat-verify` says of it, and the architectures in its file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct EngineReport {
    /// `cpu`, `inria`; the file's name when it does not load.
    pub name: String,
    /// The library.
    pub path: PathBuf,
    /// ABI version, 0 when it does not load.
    pub abi: u32,
    /// `sm_90` for machine code, `compute_90` for PTX; empty for the CPU.
    #[serde(default)]
    pub archs: Vec<String>,
    /// Of the plan it was built by.
    pub fingerprint: String,
    /// Whether it loads and exports what it must.
    pub loaded: bool,
    /// `ok`, `no-device` or `failed`.
    pub run: String,
    /// Largest difference of a pixel from the CPU reference, when it ran.
    pub max_abs_diff: Option<f64>,
    /// Largest relative L2 difference of a gradient from the CPU reference, when it ran.
    pub max_grad_rel_l2: Option<f64>,
    /// Why it did not load or run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The operation for tch.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TorchReport {
    /// Of the plan.
    pub version: String,
    /// Whether torch sees a GPU.
    pub cuda: bool,
    /// `ok`, or what failed.
    pub op: String,
}

/// The report for people.
#[must_use]
pub fn table(report: &Report) -> String {
    let number = |x: Option<f64>| x.map_or_else(|| "-".into(), |x| format!("{x:.1e}"));
    let rows = report.engines.iter().map(|e| {
        vec![
            e.name.clone(),
            if e.loaded { "yes".into() } else { "no".into() },
            e.run.clone(),
            number(e.max_abs_diff),
            number(e.max_grad_rel_l2),
            if e.archs.is_empty() { "-".into() } else { e.archs.join(" ") },
            e.path.display().to_string(),
        ]
    });
    let mut text =
        ui::table(&["engine", "loaded", "run", "pixel diff", "gradient diff", "GPU code", "library"], rows);
    text += &format!(
        "\n\ntorch {}: operation {}, {}",
        report.torch.version,
        report.torch.op,
        if report.torch.cuda { "GPU visible" } else { "no GPU visible" }
    );
    if let (Some(first), Some(last)) = (report.losses.first(), report.losses.last()) {
        text += &format!("\n{} training steps: loss {first:.5} -> {last:.5}", report.losses.len());
    }
    if let Some(picture) = &report.picture {
        text += &format!("\npicture: {}", picture.display());
    }
    for finding in &report.findings {
        text += &format!("\n\n{}", ui::finding(finding));
    }
    text
}
