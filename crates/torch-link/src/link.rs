//! How a program finds libtorch when it runs: what build scripts print.
//!
//! cargo does not pass a package's link arguments on to its dependents, but folders that a build script names and that are
//! inside cargo's own output do go onto the library path of `cargo run` and `cargo test`, for every dependent
//! ([`for_dependents`]). A program that is started without cargo needs a path of its own ([`torch_directives`]).

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use crate::{Torch, VARIABLES, torch};

/// The kind of linker and loader, as cargo names the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// ELF and GNU-like linkers.
    Linux,
    /// Mach-O.
    MacOs,
    /// Windows, with link.exe.
    Msvc,
}

impl Target {
    /// The target of the running build script.
    #[must_use]
    pub fn of_build_script() -> Self {
        match std::env::var("CARGO_CFG_TARGET_OS").as_deref() {
            Ok("windows") => Self::Msvc,
            Ok("macos") => Self::MacOs,
            _ => Self::Linux,
        }
    }
}

/// Programs that are built where this is `0` hold no folder of this machine: something else tells them where libtorch is.
const RUNPATH: &str = "TORCH_LINK_RUNPATH";

/// What a build script prints if programs of its package are started without cargo: where they look for libtorch. Nothing
/// about that if `$TORCH_LINK_RUNPATH` is `0`, as for programs that go to other machines.
///
/// Failing to find libtorch becomes `cargo::error=` lines, which end the build with that sentence alone.
#[must_use]
pub fn torch_directives() -> String {
    let mut out = String::new();
    for name in VARIABLES {
        let _ = writeln!(out, "cargo::rerun-if-env-changed={name}");
    }
    let _ = writeln!(out, "cargo::rerun-if-env-changed={RUNPATH}");
    match torch() {
        Ok(_) if std::env::var_os(RUNPATH).is_some_and(|value| value == "0") => {}
        Ok(found) => {
            for arg in link_args(&found.lib, Target::of_build_script()) {
                let _ = writeln!(out, "cargo::rustc-link-arg={arg}");
            }
        }
        Err(text) => {
            for line in text.lines() {
                let _ = writeln!(out, "cargo::error={line}");
            }
        }
    }
    out
}

/// The linker's arguments for a program that looks for libtorch in `lib/` beside itself and then in `lib`.
///
/// Both are written as RUNPATH, which yields to `LD_LIBRARY_PATH`. Windows has no such path: there DLLs are found beside the
/// program or on `PATH`.
#[must_use]
pub fn link_args(lib: &Path, target: Target) -> Vec<String> {
    let lib = lib.display();
    match target {
        Target::Linux => vec![
            "-Wl,--enable-new-dtags".into(),
            "-Wl,-rpath,$ORIGIN/lib".into(),
            format!("-Wl,-rpath,{lib}"),
        ],
        Target::MacOs => vec!["-Wl,-rpath,@executable_path/lib".into(), format!("-Wl,-rpath,{lib}")],
        Target::Msvc => vec![format!("/LIBPATH:{lib}")],
    }
}

/// Puts the folder of libtorch's libraries on the library path that cargo sets for `run` and `test`, for this package and for
/// every package that depends on it, however indirectly. `out` is the build script's `OUT_DIR`. Gives the line to print.
///
/// cargo takes only folders inside its own output, so `out` gets a link to libtorch's.
///
/// # Errors
/// If `out` cannot be written.
pub fn for_dependents(torch: &Torch, out: &Path) -> io::Result<String> {
    let place = out.join("libtorch");
    if place.canonicalize().ok() != torch.lib.canonicalize().ok() {
        remove(&place)?;
        link_folder(&torch.lib, &place)?;
    }
    Ok(format!("cargo::rustc-link-search=native={}", place.display()))
}

/// Removes what an earlier build left: a link, never what it leads to.
fn remove(place: &Path) -> io::Result<()> {
    match place.symlink_metadata() {
        Err(_) => Ok(()),
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(place),
        // On Windows a link to a folder is removed as a folder.
        Ok(_) => std::fs::remove_file(place).or_else(|_| std::fs::remove_dir(place)),
    }
}

#[cfg(unix)]
fn link_folder(from: &Path, to: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(from, to)
}

/// Symbolic links need a privilege on Windows, junctions do not; without either the libraries are linked or copied.
#[cfg(not(unix))]
fn link_folder(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(windows)]
    {
        let junction = || {
            let mut mklink = std::process::Command::new("cmd");
            mklink.args(["/C", "mklink", "/J"]).arg(to).arg(from);
            mklink.output().is_ok_and(|made| made.status.success())
        };
        if std::os::windows::fs::symlink_dir(from, to).is_ok() || junction() {
            return Ok(());
        }
    }
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        let Some(name) = path.file_name().filter(|_| path.extension().is_some_and(|e| e == "dll")) else {
            continue;
        };
        let copy = to.join(name);
        if std::fs::hard_link(&path, &copy).is_err() {
            std::fs::copy(&path, &copy)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_looks_beside_itself_first_and_names_no_library() {
        let args = link_args(Path::new("/t/lib"), Target::Linux).join(" ");
        assert!(args.find("$ORIGIN/lib").unwrap() < args.find("/t/lib").unwrap(), "{args}");
        assert!(!args.contains("as-needed") && !args.contains("torch_cuda"), "{args}");
        assert!(link_args(Path::new("/t/lib"), Target::MacOs)[0].contains("@executable_path/lib"));
    }

    #[test]
    fn the_folder_in_the_output_leads_to_libtorch_and_follows_it() {
        let base = std::env::temp_dir().join(format!("torch-link-out-{}", std::process::id()));
        let out = base.join("out");
        std::fs::create_dir_all(&out).unwrap();
        for name in ["one", "two", "two"] {
            let lib = base.join(name);
            std::fs::create_dir_all(&lib).unwrap();
            std::fs::write(lib.join("c10.dll"), name).unwrap();
            let torch = Torch { includes: vec![], lib, cxx11_abi: true };
            let line = for_dependents(&torch, &out).unwrap();
            let folder = line.strip_prefix("cargo::rustc-link-search=native=").unwrap();
            assert!(Path::new(folder).starts_with(&out), "{line}");
            assert_eq!(std::fs::read_to_string(Path::new(folder).join("c10.dll")).unwrap(), name);
        }
        assert_eq!(
            std::fs::read_to_string(base.join("one/c10.dll")).unwrap(),
            "one",
            "nothing is deleted through a link"
        );
        std::fs::remove_dir_all(&base).unwrap();
    }
}
