//! `cargo xtask verify-import --python`: the wheels in a throw-away environment of a given interpreter.
//!
//! Installs them with that interpreter's pip, imports, renders the golden scene forward and backward on every device,
//! compares, uninstalls, and looks for what was left behind. The interpreter's own packages are only read.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use splat_toolchain::EngineName;

use super::{Args, Engines, recorded_engines};
use crate::{ext::Target, hint::hinted, provision::pip, repository, ui};

const PROGRAM: &str = include_str!("verify.py");

/// What the program found, as `--json` prints it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// Whether every device gave the golden answers.
    #[serde(default)]
    pub ok: bool,
    /// The imported file.
    pub module: PathBuf,
    /// Of the module.
    pub version: String,
    /// Of torch.
    pub torch: String,
    /// Of Python.
    pub python: String,
    /// The CPU, then every GPU that this torch sees.
    pub devices: Vec<Device>,
}

/// One device.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Device {
    device: String,
    cases: u32,
    /// `ok`, or `failed: ` and why.
    run: String,
    #[serde(default)]
    engine: String,
    #[serde(default)]
    engine_version: String,
    color: Option<f64>,
    invdepth: Option<f64>,
    radii: Option<f64>,
    gradient: Option<f64>,
}

/// Runs the proof with `python`, an interpreter or the folder of an environment, and these wheels or new ones.
///
/// # Errors
/// When there is no torch for it, the wheels do not install, or the program does not finish. A wrong answer is in the
/// report.
pub fn verify(python: &Path, wheels: Option<&Path>, engines: Engines) -> anyhow::Result<Report> {
    let root = repository::required()?;
    let target = Target::ask(python)?;
    let packages = match (&target.torch, std::env::var_os("LIBTORCH").map(PathBuf::from)) {
        (Some(torch), _) => torch.parent().and_then(Path::parent).map(Path::to_owned),
        // The row's torch serves an interpreter of its own version.
        (None, Some(row)) if serves(&row, &target) => row.parent().map(Path::to_owned),
        _ => None,
    };
    let Some(packages) = packages else {
        return Err(hinted(
            format!("`{}` has no torch", target.executable.display()),
            format!("{} -m pip install torch", target.executable.display()),
        ));
    };
    let folder = root.join("target/wheel/proof");
    let made;
    let wheels = match wheels {
        Some(given) => given,
        None => {
            made = folder.join("wheels");
            // The row's engines as they are: a row without engine `cuda` gives a wheel without it.
            let mut names = vec![EngineName::Cpu];
            if recorded_engines(&root).contains(&EngineName::Cuda) {
                names.push(EngineName::Cuda);
            }
            super::make(&root, &Args::of(made.clone(), names, None), engines)?;
            &made
        }
    };
    let environment = folder.join(format!("venv-{}", target.version));
    if environment.exists() {
        fs_err::remove_dir_all(&environment)?;
    }
    run(Command::new(&target.executable).args(["-m", "venv"]).arg(&environment), || {
        format!("install the venv module of Python {}", target.version)
    })?;
    let inside = Target::ask(&environment)?;
    let site = inside.site.first().context("the environment has no packages folder")?.clone();
    // Read through a .pth file: torch is large, and stays where it is.
    fs_err::write(site.join("torch.pth"), format!("{}\n", packages.display()))?;
    let before = listing(&site)?;
    let pip = |arguments: &[&str]| {
        let mut command = Command::new(&inside.executable);
        command.args(["-m", "pip", "--disable-pip-version-check"]).args(arguments);
        command
    };
    let names = ["diff_gaussian_rasterization", "simple_knn", "fused_ssim"];
    // Whatever the interpreter has installed of these names is seen through the .pth file, and does not count here.
    let mut install =
        pip(&["install", "--quiet", "--no-index", "--no-deps", "--ignore-installed", "--find-links"]);
    run(install.arg(wheels).args(names), || {
        format!("`{}` must hold the three wheels: cargo xtask wheel --wheel-dir {0}", wheels.display())
    })?;
    let mut program = Command::new(&inside.executable);
    program.args(["-c", PROGRAM]).arg(root.join("crates/splat-verify/data/golden")).current_dir(&environment);
    program.env("PYTHONDONTWRITEBYTECODE", "1");
    for name in ["PYTHONPATH", "SPLAT_ENGINES", "DGR_OUTPUTS"] {
        program.env_remove(name);
    }
    let said = run(&mut program, || format!("{} -m {}", inside.executable.display(), super::PACKAGE))?;
    let line = said.lines().last().unwrap_or_default();
    let mut report: Report = serde_json::from_str(line).with_context(|| format!("it printed `{line}`"))?;
    if !(report.module.starts_with(&site) || report.module.starts_with(fs_err::canonicalize(&site)?)) {
        return Err(hinted(
            format!(
                "imported `{}`, but the wheel was installed to `{}`",
                report.module.display(),
                site.display()
            ),
            "`python -m site` lists where Python looks first: a `.pth` file there may lead to that module",
        ));
    }
    run(pip(&["uninstall", "--quiet", "--yes"]).args(names), || "cargo xtask wheel".into())?;
    let left: Vec<String> = listing(&site)?.difference(&before).cloned().collect();
    ensure!(left.is_empty(), "after `pip uninstall` there is still {}", left.join(", "));
    report.ok = report.devices.iter().all(|d| d.run == "ok" && d.cases > 0);
    fs_err::remove_dir_all(&environment)?;
    Ok(report)
}

/// Whether a torch folder was installed for this Python: its extension module carries the version in its name.
fn serves(torch: &Path, target: &Target) -> bool {
    torch.join("__init__.py").exists() && torch.join(format!("_C{}", target.suffix)).exists()
}

/// The report for people.
pub fn table(report: &Report) -> String {
    let number = |x: Option<f64>| x.map_or_else(|| "-".into(), |x| format!("{x:.1e}"));
    let rows = report.devices.iter().map(|d| {
        vec![
            d.device.clone(),
            d.engine.clone(),
            d.run.clone(),
            d.cases.to_string(),
            number(d.color),
            number(d.invdepth),
            number(d.gradient),
        ]
    });
    let header = ["device", "engine", "run", "scenes", "pixel diff", "depth diff", "gradient diff"];
    format!(
        "{}\n\nPython {}, torch {}: {} {} installed, imported, uninstalled",
        ui::table(&header, rows),
        report.python,
        report.torch,
        super::PACKAGE,
        report.version
    )
}

/// Names of files below the packages folder, without caches.
fn listing(folder: &Path) -> anyhow::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        for entry in fs_err::read_dir(&at)? {
            let path = entry?.path();
            let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
            if path.is_dir() {
                open.push(path);
            }
            // pip itself is compiled as it runs.
            if !name.contains("__pycache__") || name.contains("diff_gaussian") {
                names.insert(name);
            }
        }
    }
    Ok(names)
}

/// Runs to its end; what it printed. An error has its last words and the hint.
fn run(command: &mut Command, hint: impl Fn() -> String) -> anyhow::Result<String> {
    let shown = Path::new(command.get_program()).display().to_string();
    let output = command.output().with_context(|| format!("cannot start `{shown}`"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let tail = pip::last_lines(&String::from_utf8_lossy(&output.stderr), 6);
    Err(hinted(format!("`{shown}` ended with {}:\n{tail}", output.status), hint()))
}
