//! `cargo xtask clean`: removes what no longer fits the plan, names it, and says how much it frees. Removes nothing
//! outside the repository's `target` and our own cache, and never goes through a link.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use serde::Serialize;
use splat_toolchain::{Choice, Plan, Request, managed, plan::plan, rows::Row};
use splatwright::{
    doctor::Snapshot,
    hint::hinted,
    provision::{Cache, Terminal},
    switch, ui,
};

use crate::gather::Gathered;

/// Remove outdated builds and, on request, all builds, the sources, or the cache
///
/// Without options: engine libraries whose record differs from what would be built now (toolkit, torch, compiler,
/// flags, architectures), and the target directories of rows whose torch is gone. Prints what it frees. Never
/// removes anything outside this repository's `target` folder and Splatwright's own cache, and follows no links.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Everything built here: the target directories of all rows
    #[arg(long)]
    all: bool,
    /// The fetched sources of the original rasterizer (a checkout of your own in `vendor/` stays)
    #[arg(long)]
    vendor: bool,
    /// Everything in Splatwright's cache: PyTorch, CUDA compiler, tools, sources
    #[arg(long)]
    cache: bool,
    /// Show what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON on stdout
    #[arg(long)]
    json: bool,
}

/// Something to remove, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Item {
    path: PathBuf,
    because: String,
    bytes: u64,
    /// Why it stays, if it cannot be removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<String>,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    removed: bool,
    bytes: u64,
    items: Vec<Item>,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let snapshot = Snapshot::take(Request::default());
    let target = snapshot.repo.root.join("target");
    let cache = snapshot.machine.cache_root.as_ref().map(|root| root.value.clone());
    let mut items = if args.all { everything_built(&target) } else { stale(&snapshot, &target) };
    if let Some(cache) = cache.as_ref().filter(|_| args.cache || args.vendor) {
        items.extend(cached(&cache.join(managed::BUCKET), args.cache));
    }
    let roots: Vec<&Path> = std::iter::once(target.as_path()).chain(cache.as_deref()).collect();
    for item in &mut items {
        item.kept = outside(&item.path, &roots);
        item.bytes = if item.kept.is_none() { size(&item.path) } else { 0 };
    }
    if !args.dry_run {
        // Another build may be writing to the cache, or reading what would vanish.
        let in_cache = cache.as_ref().filter(|cache| items.iter().any(|item| item.path.starts_with(cache)));
        let opened = in_cache.map(|root| Cache::open(root)).transpose()?;
        let _lock = opened.as_ref().map(|cache| cache.lock("cleaning", &mut Terminal)).transpose()?;
        for item in items.iter_mut().filter(|item| item.kept.is_none()) {
            remove(&item.path)?;
        }
    }
    let report = Report { removed: !args.dry_run, bytes: items.iter().map(|item| item.bytes).sum(), items };
    if args.json {
        ui::json(&report)?
    } else {
        ui::data(&text(&report))?
    }
    Ok(ExitCode::SUCCESS)
}

fn text(report: &Report) -> String {
    if report.items.is_empty() {
        return "nothing to remove".into();
    }
    let rows = report.items.iter().map(|item| {
        let because = item.kept.as_ref().map_or_else(|| item.because.clone(), |why| format!("stays: {why}"));
        vec![ui::bytes(item.bytes), item.path.display().to_string(), because]
    });
    let freed = if report.removed { "freed" } else { "would be freed" };
    format!("{}\n\n{} {freed}", ui::table(&["Size", "Path", "Because"], rows), ui::bytes(report.bytes))
}

/// Row directories that nothing can use, and engine libraries of another plan than the present one.
fn stale(snapshot: &Snapshot, target: &Path) -> Vec<Item> {
    let mut items = Vec::new();
    for (name, folder) in folders(target) {
        let Some(row_name) = name.strip_prefix("torch-") else { continue };
        let Some(row) = Row::named(row_name).filter(|row| row.name == row_name) else {
            items.push(item(folder, format!("there is no row {row_name}")));
            continue;
        };
        let request = Request { row: Some(row.name.into()), ..Request::default() };
        let planned = plan(&snapshot.machine, &request, &snapshot.repo);
        match torch_gone(&folder, &planned) {
            Some(why) => items.push(item(folder, why)),
            None => items.extend(stale_engines(&folder, &planned.fingerprint)),
        }
    }
    items
}

/// The torch that a row's directory was compiled against, if it is no longer there.
fn torch_gone(folder: &Path, planned: &Plan) -> Option<String> {
    if let Ok(recorded) = fs_err::read_to_string(folder.join(switch::RECORD)) {
        let torch = Path::new(recorded.trim());
        let there = torch.join("lib").is_dir();
        return (!there).then(|| format!("its torch is gone: {}", torch.display()));
    }
    match &planned.torch {
        Choice::Installed { .. } | Choice::Managed { present: true, .. } => None,
        _ => Some(format!("torch {} is not on this machine", planned.row.torch)),
    }
}

/// The gathered libraries, and what cargo built them from: kept, cargo would link the old kernels again.
fn stale_engines(folder: &Path, fingerprint: &str) -> Vec<Item> {
    let engines = folder.join("engines");
    let recorded = fs_err::read(engines.join("fingerprint.json")).ok();
    let recorded = recorded.and_then(|bytes| serde_json::from_slice::<Gathered>(&bytes).ok());
    let because = match recorded {
        Some(recorded) if recorded.fingerprint == fingerprint => return Vec::new(),
        Some(recorded) => {
            format!("built by another plan ({}, now {})", short(&recorded.fingerprint), short(fingerprint))
        }
        None if engines.is_dir() => "nothing says what it was built with".into(),
        None => return Vec::new(),
    };
    let mut items = vec![item(engines, because.clone())];
    for parent in ["release/build", "release/.fingerprint"] {
        for (name, path) in folders(&folder.join(parent)) {
            if name.starts_with("splat-cuda-") {
                items.push(item(path, because.clone()));
            }
        }
    }
    items
}

fn short(fingerprint: &str) -> &str {
    fingerprint.get(..8).unwrap_or(fingerprint)
}

/// All of `target`, except the folder that this program runs from.
fn everything_built(target: &Path) -> Vec<Item> {
    let built = entries(target).into_iter().filter(|(name, _)| name != "xtask" && name != "CACHEDIR.TAG");
    built.map(|(_, path)| item(path, "--all".into())).collect()
}

/// In the cache's bucket: everything, or the fetched sources alone. The lock stays: others may wait for it.
fn cached(bucket: &Path, all: bool) -> Vec<Item> {
    let ours = |name: &str| {
        let is = |item: &managed::ManagedItem| name.starts_with(&format!("{}-", item.name));
        [managed::INRIA, managed::GLM].iter().any(is)
            || (all
                && (managed::ITEMS.iter().any(is)
                    || name == "downloads"
                    || name == "tmp"
                    || name.starts_with("cargo-")))
    };
    let because = if all { "--cache" } else { "--vendor" };
    let found = entries(bucket).into_iter().filter(|(name, _)| ours(name));
    found.map(|(_, path)| item(path, because.into())).collect()
}

fn item(path: PathBuf, because: String) -> Item {
    Item { path, because, bytes: 0, kept: None }
}

/// What lies in a folder, sorted; nothing if it is not there.
fn entries(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs_err::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<_> =
        entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path())).collect();
    found.sort();
    found
}

/// Folders proper: a link to a folder is somebody's own arrangement.
fn folders(folder: &Path) -> Vec<(String, PathBuf)> {
    entries(folder)
        .into_iter()
        .filter(|(_, path)| path.symlink_metadata().is_ok_and(|meta| meta.is_dir()))
        .collect()
}

/// Why a path must not be removed: once links are resolved it is in none of the roots, or it is a root itself.
fn outside(path: &Path, roots: &[&Path]) -> Option<String> {
    let Some(parent) = path.parent() else {
        return Some("it is not a path inside the repository or the cache".into());
    };
    // The parent's links count; the last part's do not, as a link itself is removed and not what it leads to.
    let real = match fs_err::canonicalize(parent) {
        Ok(real) => real,
        Err(error) => return Some(error.to_string()),
    };
    let inside = roots.iter().any(|root| {
        let is_link = root.symlink_metadata().is_ok_and(|meta| meta.file_type().is_symlink());
        // A root that is a link would lead all of this somewhere else. The folder above it may be one.
        let holder = root.parent().and_then(|holder| fs_err::canonicalize(holder).ok());
        let root = holder.zip(root.file_name()).map(|(holder, name)| holder.join(name));
        !is_link && root.is_some_and(|root| real.starts_with(root))
    });
    (!inside).then(|| "a link leads out of the repository's target folder or the cache".into())
}

/// Bytes of the files below, links counted as themselves.
fn size(path: &Path) -> u64 {
    let Ok(meta) = path.symlink_metadata() else { return 0 };
    if !meta.is_dir() {
        return meta.len();
    }
    entries(path).iter().map(|(_, path)| size(path)).sum()
}

/// Removes a file, a folder, or a link (not what it leads to).
fn remove(path: &Path) -> anyhow::Result<()> {
    let Ok(meta) = path.symlink_metadata() else { return Ok(()) };
    // The standard library's own walk opens each folder without following links, also under a race.
    let result = if meta.is_dir() { fs_err::remove_dir_all(path) } else { fs_err::remove_file(path) };
    match result {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Err(hinted(error.to_string(), format!("remove `{}` as the user who created it", path.display())))
        }
        other => other.context("cannot remove what is stale"),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Place {
        dir: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            Self { dir: tempfile::tempdir().unwrap() }
        }

        fn path(&self, path: &str) -> PathBuf {
            self.dir.path().join(path)
        }

        fn file(&self, path: &str, text: &str) -> PathBuf {
            let path = self.path(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(&path, text).unwrap();
            path
        }
    }

    #[test]
    fn a_link_inside_is_removed_and_what_it_leads_to_stays() {
        let place = Place::new();
        let precious = place.file("home/precious/photo", "irreplaceable");
        place.file("repo/target/torch-2.4/engines/lib.so", "x");
        symlink(place.path("home/precious"), place.path("repo/target/torch-2.4/engines/link")).unwrap();
        let (target, engines) = (place.path("repo/target"), place.path("repo/target/torch-2.4/engines"));
        assert_eq!(outside(&engines, &[&target]), None);
        assert!(size(&engines) < 1000);
        remove(&engines).unwrap();
        assert!(precious.exists() && !engines.exists());
    }

    #[test]
    fn a_target_folder_that_is_a_link_is_left_alone() {
        let place = Place::new();
        place.file("elsewhere/torch-9.9/x", "x");
        fs_err::create_dir_all(place.path("repo")).unwrap();
        symlink(place.path("elsewhere"), place.path("repo/target")).unwrap();
        let target = place.path("repo/target");
        assert!(outside(&target.join("torch-9.9"), &[&target]).is_some());
    }

    #[test]
    fn a_row_folder_that_is_a_link_is_left_alone() {
        let place = Place::new();
        place.file("elsewhere/engines/fingerprint.json", "{\"fingerprint\":\"old\"}");
        fs_err::create_dir_all(place.path("repo/target")).unwrap();
        symlink(place.path("elsewhere"), place.path("repo/target/torch-2.4")).unwrap();
        let target = place.path("repo/target");
        assert!(folders(&target).is_empty());
        assert!(outside(&target.join("torch-2.4/engines"), &[&target]).is_some());
    }

    #[test]
    fn paths_outside_are_refused() {
        let place = Place::new();
        let target = place.file("repo/target/x", "").parent().unwrap().to_owned();
        for path in ["repo", "repo/Cargo.toml", "other/x", "repo/target/../src"] {
            place.file(&format!("{path}/f"), "");
            assert!(outside(&place.path(path), &[&target]).is_some(), "{path}");
        }
        assert!(outside(&target, &[&target]).is_some(), "the root itself");
    }

    #[test]
    fn engines_go_when_the_plan_changed_and_only_then() {
        let place = Place::new();
        let row = place.path("torch-2.11");
        place.file("torch-2.11/engines/fingerprint.json", "{\"fingerprint\":\"aaaa\",\"libraries\":[]}");
        place.file("torch-2.11/release/build/splat-cuda-123/out/lib.a", "x");
        place.file("torch-2.11/release/build/torch-sys-456/out/lib.a", "x");
        assert!(stale_engines(&row, "aaaa").is_empty());
        let gone: Vec<PathBuf> = stale_engines(&row, "bbbb").into_iter().map(|item| item.path).collect();
        assert_eq!(gone, [row.join("engines"), row.join("release/build/splat-cuda-123")]);
    }

    #[test]
    fn the_users_own_files_in_the_cache_folder_stay() {
        let place = Place::new();
        for path in
            ["v1/torch-2.11-cp311-0123456789ab/x", "v1/inria-2.11.0-0123456789ab/x", "v1/notes/x", "v1/lock"]
        {
            place.file(path, "");
        }
        let names = |all| -> Vec<String> {
            let found = cached(&place.path("v1"), all);
            found.into_iter().map(|i| i.path.file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        assert_eq!(names(false), ["inria-2.11.0-0123456789ab"]);
        assert_eq!(names(true), ["inria-2.11.0-0123456789ab", "torch-2.11-cp311-0123456789ab"]);
    }
}
