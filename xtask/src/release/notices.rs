//! What is inside the programs: licences of everything that is not ours, and components in CycloneDX. Two maintained tools
//! list them from `Cargo.lock`; cargo installs each once into our cache.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use splat_toolchain::{Request, config, env::Env, managed, probe};
use splatwright::{cargo, hint::hinted};

use super::crates;

/// Name, release and features. cargo-about is Embark's, cargo-cyclonedx the CycloneDX project's; both are released regularly.
const ABOUT: [&str; 3] = ["cargo-about", "0.9.3", "cli"];
const CYCLONEDX: [&str; 3] = ["cargo-cyclonedx", "0.5.9", ""];

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Licences of all crates inside `splat`, whose crates include those of `splatwright` and of the engines; then those of the
/// page that it serves, and of CUDA's runtime.
pub(super) fn licences(root: &Path) -> anyhow::Result<String> {
    let third_party = root.join("third_party");
    let mut command = cargo::command(root);
    command.arg("about").env("PATH", with_tool(root, ABOUT)?);
    command.args(["generate", "--fail", "--locked", "--manifest-path", "apps/splat/Cargo.toml", "--config"]);
    command.arg(third_party.join("about.toml")).arg(third_party.join("about.hbs"));
    let output = command.output().context("cannot start cargo")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let hint = "add the licence to third_party/about.toml and deny.toml, if it may be used";
        return Err(hinted(format!("cargo-about cannot list the licences: {said}"), hint));
    }
    let mut text = String::from_utf8(output.stdout).context("cargo-about printed no UTF-8")?;
    text += "\n# The page of `splat view`\n";
    for (name, licence) in viewer(root)? {
        text += &format!("\n## {name}\n\n```\n{}\n```\n", licence.trim());
    }
    text += "\n# CUDA\n\nEngine `cuda` contains NVIDIA's CUDA runtime (`libcudart_static.a`), which attachment A of the \
             CUDA Toolkit EULA lists as distributable. (c) NVIDIA Corporation.\n";
    Ok(text)
}

/// The licences that lie beside the libraries of the viewer, which `splat` embeds.
fn viewer(root: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let settings = fs_err::read_to_string(root.join(config::PATH))?;
    let (_, set) = config::parse(&settings)?;
    let folder = set.get("SPLATWRIGHT_VIEWER").context("`splat view` was left out of this build")?;
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(library) = name.strip_prefix("LICENSE-") {
            found.push((library.to_owned(), fs_err::read_to_string(&path)?));
        }
    }
    found.sort();
    Ok(found)
}

/// Writes the components of a program, `NAME.cdx.json`. The tool writes beside manifests, so it works on a copy of them.
pub(super) fn components(root: &Path, program: &str, date: u64, out: &Path) -> anyhow::Result<()> {
    let copy = root.join("target/release-parts/sources");
    crates::sources(root, &copy)?;
    let manifest = format!("apps/{program}/Cargo.toml");
    let mut command = cargo::command(&copy);
    command
        .arg("cyclonedx")
        .env("PATH", with_tool(root, CYCLONEDX)?)
        .env("SOURCE_DATE_EPOCH", date.to_string());
    command.args(["--quiet", "--format", "json", "--spec-version", "1.5", "--describe", "binaries"]);
    command.args(["--target", TARGET, "--no-build-deps", "--manifest-path", &manifest]);
    let output = command.output().context("cannot start cargo")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(hinted(
            format!("cargo-cyclonedx cannot list the components: {said}"),
            "cargo metadata --locked",
        ));
    }
    let made = copy.join(format!("apps/{program}/{program}_bin.cdx.json"));
    // It names our own crates by their folders.
    let text = fs_err::read_to_string(&made)?
        .replace(&format!("{}/", copy.display()), "")
        .replace(&copy.display().to_string(), ".");
    Ok(fs_err::write(out.join(format!("{program}.cdx.json")), text)?)
}

/// PATH with the folder of a tool, which is installed if it is not there.
fn with_tool(root: &Path, [name, version, features]: [&str; 3]) -> anyhow::Result<std::ffi::OsString> {
    let machine = probe::probe(&Env::real(), &probe::repo(root), &Request::default());
    let cache = machine.cache_root.context("there is no place for the cache")?.value;
    let folder: PathBuf = cache.join(managed::BUCKET).join(format!("{name}-{version}"));
    if !folder.join("bin").join(name).exists() {
        let mut command = cargo::command(root);
        command.args([
            "install",
            "--locked",
            "--version",
            &format!("={version}"),
            "--features",
            features,
            "--root",
        ]);
        command.arg(&folder).arg("--target-dir").arg(root.join("target/release-parts/tools")).arg(name);
        if !command.status().context("cannot start cargo")?.success() {
            return Err(hinted(
                format!("cargo cannot install {name} {version}"),
                format!("cargo install {name}"),
            ));
        }
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    Ok(std::env::join_paths([folder.join("bin")].into_iter().chain(std::env::split_paths(&path)))?)
}
