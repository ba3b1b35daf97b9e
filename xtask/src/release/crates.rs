//! `cargo xtask release --crates`: what would be published, crate by crate in the order in which that would happen, and what
//! stands in the way. Uploads nothing and changes nothing; the steps for a person are in `RELEASING.md`.

use std::{collections::BTreeMap, path::Path, process::ExitCode};

use anyhow::Context as _;
use cargo_metadata::{DependencyKind, Metadata, Package};
use serde::Serialize;
use splatwright::{cargo, hint::hinted, ui};

use crate::tidy;

/// Packages that are never published: they serve this repository.
const PRIVATE: [&str; 3] = ["splat-testdata", "splat-tests", "xtask"];
/// What a registry takes, in bytes.
const LARGEST: u64 = 10_000_000;

#[derive(Debug, Serialize)]
struct Crate {
    name: String,
    version: String,
    /// Files of the package and their size before compression.
    files: Vec<String>,
    bytes: u64,
    /// What must be mended before it can be published.
    lacks: Vec<String>,
    /// Crates of this workspace that must be published before.
    after: Vec<String>,
    /// How its package was checked.
    checked: &'static str,
}

/// Shows the crates; with `verify`, after packing and building them.
///
/// # Errors
/// cargo cannot list a package, or with `verify` a package does not build.
pub(super) fn show(root: &Path, verify: bool, json: bool) -> anyhow::Result<ExitCode> {
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("cargo cannot describe the workspace")?;
    let order = in_order(&metadata);
    if verify {
        pack(root, &order)?;
    }
    let checked = if verify { "built from its packed files" } else { "files listed" };
    let crates = order
        .iter()
        .map(|package| inspect(root, &order, package, checked))
        .collect::<anyhow::Result<Vec<_>>>()?;
    if json {
        ui::json(&crates)?;
    } else {
        ui::data(&text(&crates))?;
    }
    let ready = crates.iter().all(|one| one.lacks.is_empty());
    Ok(if ready { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// The crates that are published, each after those that it needs.
fn in_order(metadata: &Metadata) -> Vec<&Package> {
    let mut rest: Vec<&Package> =
        metadata.packages.iter().filter(|package| !PRIVATE.contains(&package.name.as_str())).collect();
    rest.sort_by(|a, b| a.name.cmp(&b.name));
    let mut order: Vec<&Package> = Vec::new();
    while !rest.is_empty() {
        let ready = rest.iter().position(|package| {
            needs(package).iter().all(|name| !rest.iter().any(|other| other.name.as_str() == *name))
        });
        // A circle cannot be: cargo refuses it.
        order.push(rest.remove(ready.unwrap_or(0)));
    }
    order
}

/// Names of what a package needs to be built by others; dev-dependencies are not among them.
fn needs(package: &Package) -> Vec<&str> {
    let built_with = package.dependencies.iter().filter(|d| d.kind != DependencyKind::Development);
    built_with
        .map(|dependency| dependency.name.as_str())
        .filter(|name| *name != package.name.as_str())
        .collect()
}

fn inspect(
    root: &Path,
    order: &[&Package],
    package: &Package,
    checked: &'static str,
) -> anyhow::Result<Crate> {
    let output = cargo::command(root)
        .args(["package", "--list", "--allow-dirty", "--package", package.name.as_str()])
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(hinted(
            format!("cargo cannot list the package `{}`: {said}", package.name),
            "git status",
        ));
    }
    let files: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    let folder = package.manifest_path.parent().context("a manifest lies in a folder")?;
    let bytes = files.iter().map(|f| fs_err::metadata(folder.join(f)).map_or(0, |meta| meta.len())).sum();
    let after = needs(package).into_iter().filter(|name| order.iter().any(|p| p.name.as_str() == *name));
    Ok(Crate {
        name: package.name.to_string(),
        version: package.version.to_string(),
        lacks: lacks(package, order, &files, bytes),
        after: after.map(str::to_owned).collect(),
        files,
        bytes,
        checked,
    })
}

fn lacks(package: &Package, order: &[&Package], files: &[String], bytes: u64) -> Vec<String> {
    let fields: BTreeMap<&str, bool> = [
        ("description", package.description.is_some()),
        ("keywords", !package.keywords.is_empty()),
        ("license", package.license.is_some()),
        ("readme", files.iter().any(|file| file == "README.md")),
        ("repository", package.repository.is_some()),
        ("rust-version", package.rust_version.is_some()),
    ]
    .into();
    let mut lacks: Vec<String> =
        fields.iter().filter(|(_, there)| !**there).map(|(field, _)| format!("no {field}")).collect();
    if package.keywords.len() > 5 || package.keywords.iter().any(|k| k.len() > 20) {
        lacks.push("keywords: at most 5, of at most 20 characters".into());
    }
    for dependency in package.dependencies.iter().filter(|d| d.kind != DependencyKind::Development) {
        let sibling = order.iter().find(|other| other.name.as_str() == dependency.name);
        match sibling {
            Some(other) if dependency.req.to_string() == "*" => {
                lacks.push(format!("dependency `{}` has no version: {}", other.name, other.version));
            }
            None if dependency.path.is_some() => {
                lacks.push(format!("dependency `{}` is never published", dependency.name));
            }
            _ => {}
        }
    }
    if bytes > LARGEST {
        lacks.push(format!("{} of files; registries take 10 MB compressed", ui::bytes(bytes)));
    }
    lacks
}

/// Copies the repository's own files to `copy`, where tools may leave theirs.
pub(super) fn sources(root: &Path, copy: &Path) -> anyhow::Result<()> {
    if copy.exists() {
        fs_err::remove_dir_all(copy)?;
    }
    for file in &tidy::files(root)? {
        let (from, to) = (root.join(file), copy.join(file));
        fs_err::create_dir_all(to.parent().context("a file lies in a folder")?)?;
        #[cfg(unix)]
        if from.is_symlink() {
            // `vendor` of splatwright, which cargo packs as the folder that it leads to.
            fs_err::os::unix::fs::symlink(fs_err::read_link(&from)?, to)?;
            continue;
        }
        if from.is_file() {
            fs_err::copy(from, to)?;
        }
    }
    Ok(())
}

/// Packs every crate and builds each from its packed files. cargo lets packed siblings stand in for published ones unless
/// they are marked `publish = false`, so it works on a copy of the files without that mark.
fn pack(root: &Path, order: &[&Package]) -> anyhow::Result<()> {
    let built = root.join("target/release-check");
    let copy = built.join("sources");
    sources(root, &copy)?;
    let manifest = copy.join("Cargo.toml");
    let text = fs_err::read_to_string(&manifest)?;
    fs_err::write(&manifest, text.replace("\npublish = false\n", "\npublish = true\n"))?;
    let mut command = cargo::command(root);
    command.current_dir(&copy).args(["package", "--allow-dirty", "--target-dir"]).arg(&built);
    command.env("CARGO_PROFILE_DEV_DEBUG", "false");
    command.args(order.iter().flat_map(|package| ["--package", package.name.as_str()]));
    match command.status().context("cannot start cargo")?.success() {
        true => Ok(()),
        false => Err(hinted("the packed crates do not build; the first error above says why", "git status")),
    }
}

fn text(crates: &[Crate]) -> String {
    let rows = crates.iter().map(|one| {
        let after = if one.after.is_empty() { "-".to_owned() } else { one.after.join(", ") };
        let count = format!("{} files, {}", one.files.len(), ui::bytes(one.bytes));
        vec![one.name.clone(), one.version.clone(), count, after, one.checked.to_owned()]
    });
    let mut text = ui::table(&["Crate", "Version", "Package", "Published after", "Checked"], rows);
    for one in crates {
        text += &one.lacks.iter().map(|lack| format!("\n{}: {lack}", one.name)).collect::<String>();
    }
    text + "\n\nNothing was uploaded. The steps for a person are in RELEASING.md"
}
