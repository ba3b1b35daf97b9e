//! `cargo xtask wheel`: the Python packages as wheels, with the engine libraries inside the first one.
//!
//! Three wheels: `diff_gaussian_rasterization` for one platform, and the pure Python `simple_knn` and `fused_ssim`.
//! Each is read back and held against its own claims ([`check`]) before it is named. The original's code is never in
//! them: engine `inria` stays out, whatever the row builds.

mod archive;
mod check;
mod libraries;
mod programs;
mod tag;
pub mod verify;

use std::{
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
};

use anyhow::Context as _;
use serde::Serialize;
use splat_toolchain::{EngineName, probe};

pub(crate) use archive::hash as record_hash;
pub use check::check;
pub use libraries::{Platform, library_name, portable_programs};
pub use programs::{Programs, programs};
pub use tag::{Library, platform_tag};

use crate::{cargo, hint::hinted, repository, ui};

/// The one symbol that every engine library exports.
pub const ENTRY: &str = match splat_engine::abi::ENGINE_GET.to_str() {
    Ok(name) => name,
    Err(_) => panic!("the header's names are ASCII"),
};

/// Builds an engine (for these architectures) in the clone, if it is not built yet; the folder of its library.
pub type Engines = fn(EngineName, Option<&[u32]>) -> anyhow::Result<PathBuf>;

/// The package that carries the engines.
pub const PACKAGE: &str = "diff_gaussian_rasterization";

/// Build the Python wheels: diff_gaussian_rasterization with the engines inside, simple_knn, fused_ssim
///
/// The wheels work with any Python from 3.8 and any torch from 2.0, without a compiler or toolkit. Engine `cuda` is
/// compiled for --arch, as `cargo xtask build` does; engine `inria` is never included.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder for the wheels
    #[arg(long, value_name = "FOLDER", default_value = "dist")]
    pub(crate) wheel_dir: PathBuf,
    /// Engines inside: cpu, cuda (default: both; for Windows cpu)
    #[arg(long, value_delimiter = ',')]
    pub(crate) engines: Option<Vec<EngineName>>,
    /// GPU architectures to compile for, such as 80,90 (default: those of the row, as `cargo xtask build`)
    #[arg(long, value_delimiter = ',')]
    pub(crate) arch: Option<Vec<u32>>,
    /// Take engine `cuda` from this folder, as `cargo xtask build` fills target/ROW/engines, instead of building it
    #[arg(long, value_name = "FOLDER", conflicts_with = "arch")]
    pub(crate) engine_dir: Option<PathBuf>,
    /// `win_amd64`: the CPU engine for Windows, built by mingw (default: this machine)
    #[arg(long, value_enum, default_value = "host")]
    pub(crate) platform: Platform,
    /// Print names, tags and sizes as JSON on stdout
    #[arg(long)]
    json: bool,
}

impl Args {
    /// The host's wheels in `wheel_dir`, for commands that need some; `engine_dir` as the option of that name.
    pub fn of(wheel_dir: PathBuf, engines: Vec<EngineName>, engine_dir: Option<PathBuf>) -> Self {
        let engines = Some(engines);
        Self { wheel_dir, engines, arch: None, engine_dir, platform: Platform::Host, json: false }
    }

    /// What was asked for, else what can be built for the platform from here.
    pub(crate) fn engines(&self) -> Vec<EngineName> {
        match (&self.engines, self.platform) {
            (Some(engines), _) => engines.clone(),
            (None, Platform::Host) => vec![EngineName::Cpu, EngineName::Cuda],
            (None, Platform::WinAmd64) => vec![EngineName::Cpu],
        }
    }
}

/// A finished wheel.
#[derive(Debug, Clone, Serialize)]
pub struct Wheel {
    /// The file.
    pub path: PathBuf,
    /// `diff_gaussian_rasterization`.
    pub package: String,
    /// `py3-none-manylinux_2_34_x86_64`.
    pub tag: String,
    /// Size of the file.
    pub bytes: u64,
    /// What the library with the highest demands asks for, such as `GLIBC_2.34 (libsplat_cpu.so)`.
    pub because: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// When an engine does not build, a library asks for what no wheel may ask for, or a wheel cannot be written.
pub fn run(args: &Args, engines: Engines) -> anyhow::Result<ExitCode> {
    let wheels = make(&repository::required()?, args, engines)?;
    if args.json {
        ui::json(&wheels)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows = wheels.iter().map(|w| {
        vec![
            w.path.display().to_string(),
            ui::bytes(w.bytes),
            w.because.clone().unwrap_or_else(|| "pure Python".into()),
        ]
    });
    ui::data(&ui::table(&["wheel", "size", "the tag follows"], rows))?;
    Ok(ExitCode::SUCCESS)
}

/// Builds what is missing and writes the wheels.
///
/// # Errors
/// As [`run`].
pub fn make(root: &Path, args: &Args, engines: Engines) -> anyhow::Result<Vec<Wheel>> {
    if let Some(other) = args.engines().iter().find(|e| !matches!(e, EngineName::Cpu | EngineName::Cuda)) {
        return Err(hinted(
            format!("no wheel contains engine `{other}`: its licence is not ours"),
            "cargo xtask wheel --engines cpu,cuda",
        ));
    }
    let libraries = libraries::build(root, args, engines)?;
    let mut carrier = archive::Contents::new(PACKAGE, root, None)?;
    let mut found = Vec::new();
    for (name, path) in &libraries {
        let bytes = fs_err::read(path)?;
        found.push(tag::Library::read(name, &bytes)?);
        carrier.add(&format!("{PACKAGE}/_lib/{name}"), bytes);
    }
    let (platform, because) = platform_tag(&found)?;
    let mut wheels = vec![write(carrier, &args.wheel_dir, &format!("py3-none-{platform}"), Some(because))?];
    for companion in ["simple_knn", "fused_ssim"] {
        let contents = archive::Contents::new(companion, root, None)?;
        wheels.push(write(contents, &args.wheel_dir, "py3-none-any", None)?);
    }
    Ok(wheels)
}

/// The engines that an earlier build or switch chose, or else those that a build would choose on most machines.
pub fn recorded_engines(root: &Path) -> Vec<EngineName> {
    probe::repo(root).settings.engines.unwrap_or_else(|| vec![EngineName::Cpu, EngineName::Cuda])
}

/// [`Engines`] for a program that does not build itself: `cargo xtask build`.
///
/// # Errors
/// Outside a clone; the build fails.
pub fn engines_of_xtask(engine: EngineName, arch: Option<&[u32]>) -> anyhow::Result<PathBuf> {
    let root = repository::required()?;
    let mut engines = recorded_engines(&root);
    if !engines.contains(&engine) {
        engines.push(engine);
    }
    let list = |items: Vec<String>| items.join(",");
    let mut command = cargo::command(&root);
    command.args(["xtask", "build", "--json", "--engines"]);
    command.arg(list(engines.iter().map(ToString::to_string).collect()));
    if let Some(arch) = arch {
        command.arg("--arch").arg(list(arch.iter().map(ToString::to_string).collect()));
    }
    let output = command.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let built = report["engines"].as_array().into_iter().flatten().find(|e| e["name"] == engine.as_str());
    let library = built.and_then(|e| e["path"].as_str()).map(Path::new).and_then(Path::parent);
    library.map(Path::to_owned).ok_or_else(|| {
        hinted(format!("`cargo xtask build` built no engine `{engine}`"), "cargo xtask build --dry-run")
    })
}

/// Writes a wheel without libraries into `folder`.
///
/// # Errors
/// When there is no such package, or the wheel cannot be written.
pub fn pure(root: &Path, package: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    archive::Contents::new(package, root, None)?.write(folder, "py3-none-any")
}

fn write(
    contents: archive::Contents,
    folder: &Path,
    tag: &str,
    because: Option<String>,
) -> anyhow::Result<Wheel> {
    let package = contents.package.clone();
    fs_err::create_dir_all(folder)?;
    let path = contents.write(folder, tag)?;
    check(&path)?;
    Ok(Wheel { bytes: fs_err::metadata(&path)?.len(), path, package, tag: tag.to_owned(), because })
}
