//! What is compiled into a wheel: engine `cpu` and programs anew, without paths of this machine and for old C libraries,
//! engine `cuda` as the row has it.
//!
//! What is compiled anew has a target folder of its own (`target/wheel`), as other flags would recompile the row. The CUDA
//! engine holds no paths and is the row's library.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;
use splat_toolchain::{EngineName, config};

use super::{Args, Engines};
use crate::{compile, hint::hinted};

/// What a wheel is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Platform {
    /// This machine.
    Host,
    /// 64-bit Windows, built by mingw: the CPU engine alone.
    #[value(name = "win_amd64")]
    WinAmd64,
}

const WINDOWS: &str = "x86_64-pc-windows-gnu";

/// Compiles; returns the names that the package looks for, with the files.
pub(super) fn build(root: &Path, args: &Args, engines: Engines) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let mut libraries = Vec::new();
    if args.platform == Platform::WinAmd64 && args.engines().contains(&EngineName::Cuda) {
        return Err(hinted(
            "engine `cuda` is not built for Windows from here: nvcc needs Visual Studio's compiler",
            "cargo xtask wheel --platform win_amd64 --engines cpu",
        ));
    }
    if args.engines().contains(&EngineName::Cuda) {
        let folder = match &args.engine_dir {
            Some(folder) => folder.clone(),
            None => engines(EngineName::Cuda, args.arch.as_deref())?,
        };
        let name = name_on("cuda", args.platform);
        libraries.push((name.clone(), folder.join(name)));
    }
    if args.engines().contains(&EngineName::Cpu) {
        libraries.push((name_on("cpu", args.platform), cpu(root, args.platform)?));
    }
    libraries.sort();
    Ok(libraries)
}

/// As `_engine.library_name` of the package has it.
fn name_on(engine: &str, platform: Platform) -> String {
    match platform {
        Platform::WinAmd64 => format!("splat_{engine}.dll"),
        Platform::Host => library_name(engine),
    }
}

/// The file of an engine on this system, as everyone looks for it.
pub fn library_name(engine: &str) -> String {
    format!("{}splat_{engine}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

/// Compiles programs of this workspace for other machines: stripped, without paths of this one, for glibc 2.28. What links
/// libtorch does not say where it is. GNU/Linux only.
///
/// # Errors
/// One does not compile.
pub fn portable_programs(root: &Path, names: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let mut environment = environment(root, Platform::Host)?;
    environment.insert("TORCH_LINK_RUNPATH".to_owned(), "0".to_owned());
    // The C++ around libtorch names its own files and torch's headers in messages.
    let folders = folders(root).into_iter().chain([(root.to_owned(), "splatwright")]);
    let maps: String =
        folders.map(|(from, to)| format!(" -ffile-prefix-map={}={to}", from.display())).collect();
    for variable in ["CFLAGS", "CXXFLAGS"] {
        environment.insert(variable.to_owned(), env::var(variable).unwrap_or_default() + &maps);
    }
    let mut arguments = vec!["build", "--release", "--locked", "--bins", "--target-dir", "target/wheel"];
    arguments.extend(names.iter().flat_map(|name| ["-p", *name]));
    let made = compile::run_in(root, &arguments, &environment)?;
    names.iter().map(|name| Ok(made.binary(name)?.to_owned())).collect()
}

fn cpu(root: &Path, platform: Platform) -> anyhow::Result<PathBuf> {
    let mut arguments = vec!["build", "--release", "-p", "splat-cpu", "--example", "splat_cpu"];
    arguments.extend(["--target-dir", "target/wheel"]);
    let mut environment = environment(root, platform)?;
    if platform == Platform::WinAmd64 {
        arguments.extend(["--target", WINDOWS]);
        environment.insert(
            "CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER".to_owned(),
            "x86_64-w64-mingw32-gcc".to_owned(),
        );
    }
    let made = compile::run_in(root, &arguments, &environment)?;
    made.libraries.get("splat-cpu").cloned().context("cargo built no library for engine `cpu`")
}

/// What cargo is started with: rustc's flags that take this machine's folders out of panic messages, and on GNU/Linux what
/// links for an older C library than this machine's.
///
/// Nothing here names the clone, so that a compiler cache serves every clone: rustc knows our sources by paths relative
/// to it, and the linker finds the C library through `LIBRARY_PATH`.
fn environment(root: &Path, platform: Platform) -> anyhow::Result<BTreeMap<String, String>> {
    let mut environment = BTreeMap::from([("CARGO_PROFILE_RELEASE_STRIP".to_owned(), "symbols".to_owned())]);
    let mut flags: Vec<String> = match (env::var("CARGO_ENCODED_RUSTFLAGS"), env::var("RUSTFLAGS")) {
        (Ok(encoded), _) if !encoded.is_empty() => encoded.split('\x1f').map(str::to_owned).collect(),
        (_, Ok(plain)) => plain.split_whitespace().map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let remap = |(from, to): (PathBuf, &str)| format!("--remap-path-prefix={}={to}", from.display());
    flags.extend(folders(root).into_iter().map(remap));
    if platform == Platform::Host && cfg!(all(windows, target_env = "msvc")) {
        // Not every Windows has Visual Studio's runtime libraries.
        flags.push("-Ctarget-feature=+crt-static".to_owned());
    }
    if platform == Platform::Host && cfg!(all(target_os = "linux", target_env = "gnu")) {
        let folder = root.join("target/wheel/old-glibc");
        let script = root.join("crates/engine-build/old-glibc.sh");
        let output = Command::new("sh").arg(&script).arg(&folder).output().context("cannot start sh")?;
        anyhow::ensure!(
            output.status.success(),
            "`{}` failed: {}",
            script.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        let mut paths = folder.join("lib").display().to_string();
        if let Ok(given) = env::var("LIBRARY_PATH")
            && !given.is_empty()
        {
            paths = format!("{paths}:{given}");
        }
        environment.insert("LIBRARY_PATH".to_owned(), paths);
        // cargo links the build scripts this way too; this machine's libgcc_s wants this machine's C library.
        flags.push("-Clink-arg=-Wl,--allow-shlib-undefined".to_owned());
    }
    environment.insert("CARGO_ENCODED_RUSTFLAGS".to_owned(), flags.join("\x1f"));
    Ok(environment)
}

/// Folders of this machine and what stands for them. Of those that fit, compilers take the last.
fn folders(root: &Path) -> Vec<(PathBuf, &'static str)> {
    let mut folders = Vec::new();
    if let Some(home) = cargo_home() {
        let sources = home.join("registry").join("src");
        folders.push((home, "cargo"));
        let registries = fs_err::read_dir(&sources).into_iter().flatten().flatten().map(|entry| entry.path());
        // `cargo package` adds a folder for each place that it ran in, named without a host; other flags would compile anew.
        let named = |path: &PathBuf| path.file_name().is_some_and(|n| !n.to_string_lossy().starts_with('-'));
        let mut registries: Vec<_> = registries.filter(named).collect();
        registries.sort();
        folders.extend(registries.into_iter().map(|path| (path, "crates")));
    }
    let settings = fs_err::read_to_string(root.join(config::PATH)).unwrap_or_default();
    let torch = config::parse(&settings).ok().and_then(|(_, mut set)| set.remove("LIBTORCH"));
    folders.extend(torch.map(|folder| (folder.into(), "torch")));
    folders
}

/// Where cargo keeps the sources of crates.
pub(super) fn cargo_home() -> Option<PathBuf> {
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| env::home_dir().map(|home| home.join(".cargo")))
}
