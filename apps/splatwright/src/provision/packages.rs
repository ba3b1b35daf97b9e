//! Packages installed into one folder of the cache: pinned by hash, wheels only, whole or not there. Repairs
//! what is damaged. Chooses nothing: the plan says what is wanted and where it lies.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use fs_err as fs;
use splat_toolchain::managed::ManagedItem;

pub use super::package::{Header, Package};
use super::{
    Context,
    cache::{self, Cache},
    offline, pip,
    progress::{Progress, Step},
    stamp::{self, Installed, State},
};
use crate::{hint::hinted, ui};

/// Brings one managed item, or finds it whole. Returns its folder.
///
/// # Errors
/// See [`ensure`].
pub fn ensure_managed(
    context: &Context<'_>,
    item: &ManagedItem,
    progress: &mut dyn Progress,
) -> Result<PathBuf> {
    let package = Package::of(context, item)?;
    if context.offline && package.state() != State::Whole && !offline::pip_needs_no_network() {
        return Err(offline::refusal(context, &[*item])?);
    }
    ensure(context.cache, &package, progress)
}

/// Installs `package` unless its folder is whole. Returns the folder.
///
/// # Errors
/// A read-only cache, too little space, or pip's failure; each leaves the cache as it was.
pub fn ensure(cache: &Cache, package: &Package, progress: &mut dyn Progress) -> Result<PathBuf> {
    if package.state() == State::Whole {
        return Ok(package.dir.clone());
    }
    cache.writable(&package.name)?;
    let lock = cache.lock(&format!("bringing {}", package.name), progress)?;
    match package.state() {
        // Another build has done it while this one waited.
        State::Whole => return Ok(package.dir.clone()),
        State::Damaged(why) => {
            progress.say(&format!("`{}` in the cache is damaged and is brought again: {why}", package.name))
        }
        State::Absent => {}
    }
    check_space(cache, package)?;
    progress.say(&announcement(package));
    let scratch = cache.scratch(&lock, &package.name)?;
    progress.step(Step::Prepared);
    let tree = scratch.path().join("tree");
    let filled = fill(package, &tree, scratch.path(), progress);
    let finished = filled.and_then(|()| {
        progress.step(Step::Filled);
        let stamp = Installed::measure(
            &tree,
            &package.name,
            &package.hash,
            package.wheels_for.as_deref().unwrap_or(&package.python_version),
            &package.markers,
        )?;
        stamp::write(&tree, &stamp)?;
        progress.step(Step::Stamped);
        cache::place(&tree, &package.dir, &scratch, progress)?;
        Ok(stamp)
    });
    match finished {
        Ok(stamp) => {
            scratch.close().context("cannot remove the temporary folder")?;
            progress.say(&format!(
                "{}: {} in {} files, at `{}`",
                package.name,
                ui::bytes(stamp.bytes),
                stamp.files,
                package.dir.display()
            ));
            Ok(package.dir.clone())
        }
        Err(error) if cache::is_disk_full(&error) => Err(error.context(hinted_full(cache, package))),
        Err(error) => Err(error),
    }
}

fn fill(package: &Package, tree: &Path, scratch: &Path, progress: &mut dyn Progress) -> Result<()> {
    let finished = pip::install(
        &package.python,
        &package.requirements,
        tree,
        scratch,
        package.wheels_for.as_deref(),
        progress.live(),
    )?;
    if !finished.status.success() {
        let needs = cache::sizes(package.download, package.installed);
        let bring = format!(
            "without a network: `{}` elsewhere, then PIP_NO_INDEX=1 PIP_FIND_LINKS=DIR cargo xtask build",
            offline::download_command(package)
        );
        return Err(pip::explain(&finished, &package.name, &package.python, &needs, &bring));
    }
    // Some pips warn, install nothing and succeed when a wheel is empty; measuring the markers says so.
    fs::create_dir_all(tree)?;
    add_links(tree)
}

/// The CUDA packages lack two links: nvcc's own configuration and other build systems look for `lib64`, and the
/// linker's `-lcudart` for a name without a number.
fn add_links(tree: &Path) -> Result<()> {
    let toolkit = tree.join("nvidia/cu13");
    let lib = toolkit.join("lib");
    if cfg!(windows) || !toolkit.join("bin/nvcc").exists() || !lib.is_dir() {
        return Ok(());
    }
    if !toolkit.join("lib64").exists() {
        link("lib", &toolkit.join("lib64"))?;
    }
    if lib.join("libcudart.so.13").exists() && !lib.join("libcudart.so").exists() {
        link("libcudart.so.13", &lib.join("libcudart.so"))?;
    }
    Ok(())
}

#[cfg(unix)]
fn link(to: &str, at: &Path) -> Result<()> {
    Ok(fs::os::unix::fs::symlink(to, at)?)
}

#[cfg(not(unix))]
fn link(_to: &str, at: &Path) -> Result<()> {
    anyhow::bail!("`{}` would be a symbolic link, which is made on Unix only", at.display())
}

fn check_space(cache: &Cache, package: &Package) -> Result<()> {
    let Some(free) = cache::free_space(&cache.bucket()) else { return Ok(()) };
    if free >= package.peak() {
        return Ok(());
    }
    Err(hinted(
        format!(
            "`{}` needs {} while it is installed ({}), and the disk of `{}` has {} free",
            package.name,
            ui::bytes(package.peak()),
            cache::sizes(package.download, package.installed),
            cache.root().display(),
            ui::bytes(free)
        ),
        "free some space, or name a cache on another disk: SPLATWRIGHT_HOME=/path cargo xtask build",
    ))
}

fn hinted_full(cache: &Cache, package: &Package) -> String {
    format!(
        "the disk of `{}` is full: `{}` needs {}",
        cache.root().display(),
        package.name,
        ui::bytes(package.peak())
    )
}

fn announcement(package: &Package) -> String {
    let mut line = format!("bringing {}", package.name);
    let sizes = cache::sizes(package.download, package.installed);
    if !sizes.is_empty() {
        line += &format!(": {sizes}");
    }
    if let Some(other) = &package.wheels_for {
        line += &format!(
            " (wheels of Python {other}, as there are none for {}: for C++ and Rust, not for `import`)",
            package.python_version
        );
    }
    line
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn links_are_added_to_a_cuda_toolkit_only() {
        let dir = tempfile::tempdir().unwrap();
        let toolkit = dir.path().join("nvidia/cu13");
        fs::create_dir_all(toolkit.join("lib")).unwrap();
        fs::write(toolkit.join("lib/libcudart.so.13"), "so").unwrap();
        add_links(dir.path()).unwrap();
        assert!(!toolkit.join("lib64").exists(), "torch's CUDA libraries are no toolkit");

        fs::create_dir_all(toolkit.join("bin")).unwrap();
        fs::write(toolkit.join("bin/nvcc"), "").unwrap();
        add_links(dir.path()).unwrap();
        assert_eq!(fs::read_to_string(toolkit.join("lib64/libcudart.so")).unwrap(), "so");
        assert_eq!(
            fs::read_link(toolkit.join("lib64")).unwrap(),
            Path::new("lib"),
            "relative: it moves along"
        );
    }
}
