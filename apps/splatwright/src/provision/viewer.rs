//! The libraries of the page that `splat view` serves: npm brings them as package-lock.json pins them, integrity
//! checked and no script of theirs run; the few files that are embedded go into one folder of the cache, with
//! their licences. npm is the machine's own with its own settings, or else comes as a pinned Python package.
//! Decides nothing about the build: without a viewer it goes on.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use fs_err as fs;
use splat_toolchain::managed::{NODE, VIEWER, pin_hash};

use super::{
    Context, cache,
    packages::ensure_managed,
    pip::{self, Finished},
    progress::{Progress, Step},
    stamp::{self, Installed, State},
};
use crate::{hint::hinted, ui};

/// What is embedded: the name in the folder, and where npm puts it.
const FILES: &[(&str, &str)] = &[
    ("three.core.js", "three/build/three.core.js"),
    ("three.module.js", "three/build/three.module.js"),
    ("OrbitControls.js", "three/examples/jsm/controls/OrbitControls.js"),
    ("Pass.js", "three/examples/jsm/postprocessing/Pass.js"),
    ("spark.module.js", "@sparkjsdev/spark/dist/spark.module.min.js"),
    ("LICENSE-three", "three/LICENSE"),
    ("LICENSE-spark", "@sparkjsdev/spark/LICENSE"),
    // Compiled into spark.module.js.
    ("LICENSE-fflate", "fflate/LICENSE"),
];

/// Settings of npm that would install something else, or elsewhere. Where from stays the user's.
const NOT_OURS: &[&str] =
    &["dry_run", "global", "include", "location", "omit", "package_lock", "prefix", "workspaces"];

/// The first npm that reads lock files of version 3.
const MIN_NPM: u32 = 7;

/// How npm is started.
#[derive(Debug)]
pub struct Npm {
    program: PathBuf,
    first: Option<PathBuf>,
}

impl Npm {
    /// A program that takes npm's arguments.
    pub fn program(path: impl Into<PathBuf>) -> Self {
        Self { program: path.into(), first: None }
    }

    /// The one on PATH, if it is young enough.
    fn installed() -> Option<Self> {
        let npm = Self::program(if cfg!(windows) { "npm.cmd" } else { "npm" });
        let output = npm.command().arg("--version").output().ok().filter(|o| o.status.success())?;
        let version = String::from_utf8_lossy(&output.stdout);
        let major: u32 = version.trim().split('.').next()?.parse().ok()?;
        (major >= MIN_NPM).then_some(npm)
    }

    /// The one in the folder of [`NODE`].
    fn managed(dir: &Path) -> Self {
        let [node, cli] = [NODE.markers()[0], NODE.markers()[1]].map(|marker| dir.join(marker));
        Self { program: node, first: Some(cli) }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.first);
        command
    }

    /// `npm ci` in `folder`, which holds package.json and package-lock.json.
    fn install(&self, folder: &Path) -> Result<Finished> {
        let mut command = self.command();
        command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]);
        command.current_dir(folder);
        for name in NOT_OURS {
            command.env_remove(format!("npm_config_{name}"));
            command.env_remove(format!("NPM_CONFIG_{}", name.to_uppercase()));
        }
        pip::run(command, false)
    }
}

/// Brings the viewer's libraries unless they are whole. Returns whether they are new.
///
/// # Errors
/// `--offline` without them, a cache that cannot be written, npm's failure; each leaves the cache as it was.
pub fn ensure_viewer(context: &Context<'_>, progress: &mut dyn Progress) -> Result<bool> {
    let (_, state) = place(context)?;
    if state == State::Whole {
        return Ok(false);
    }
    if context.offline {
        return Err(hinted("--offline, and its libraries are not in the cache", "cargo xtask build"));
    }
    context.cache.writable("the viewer's libraries")?;
    let npm = match Npm::installed() {
        Some(npm) => npm,
        None => {
            progress.say("there is no npm on PATH; a Python package carries one");
            Npm::managed(&ensure_managed(context, &NODE, progress)?)
        }
    };
    ensure_with(context, &npm, progress)
}

/// The same with a given npm.
///
/// # Errors
/// As [`ensure_viewer`].
pub fn ensure_with(context: &Context<'_>, npm: &Npm, progress: &mut dyn Progress) -> Result<bool> {
    let cache = context.cache;
    let lock = cache.lock("bringing the viewer's libraries", progress)?;
    let ((dir, hash), state) = place(context)?;
    match state {
        // Another build has done it while this one waited.
        State::Whole => return Ok(true),
        State::Damaged(why) => {
            progress.say(&format!("the viewer's libraries are damaged and brought again: {why}"));
        }
        State::Absent => {}
    }
    progress.say("bringing the viewer's libraries through npm");
    let scratch = cache.scratch(&lock, VIEWER.name)?;
    progress.step(Step::Prepared);
    let [tree, npm_folder] = ["tree", "npm"].map(|name| scratch.path().join(name));
    fs::create_dir_all(&tree)?;
    fs::create_dir_all(&npm_folder)?;
    let pins = context.repo.join(VIEWER.requirements);
    for name in ["package.json", "package-lock.json"] {
        fs::copy(pins.with_file_name(name), npm_folder.join(name))?;
    }
    let finished = npm.install(&npm_folder)?;
    if !finished.status.success() {
        return Err(failed(&finished));
    }
    for (name, from) in FILES {
        let from = npm_folder.join("node_modules").join(from);
        fs::copy(&from, tree.join(name))
            .with_context(|| format!("npm's packages hold no `{}`", from.display()))?;
    }
    progress.step(Step::Filled);
    let stamp = Installed::measure(&tree, VIEWER.name, &hash, "", &markers())?;
    stamp::write(&tree, &stamp)?;
    progress.step(Step::Stamped);
    cache::place(&tree, &dir, &scratch, progress)?;
    scratch.close().context("cannot remove the temporary folder")?;
    progress.say(&format!("viewer: {} at `{}`", ui::bytes(stamp.bytes), dir.display()));
    Ok(true)
}

/// The folder with the hash of its pins, and what lies there now.
fn place(context: &Context<'_>) -> Result<((PathBuf, String), State)> {
    let text = fs::read_to_string(context.repo.join(VIEWER.requirements))
        .context("the viewer's libraries have no pins")?;
    if text.contains("\"resolved\"") {
        bail!("`{}` names a registry; npm's own settings do that", VIEWER.requirements);
    }
    let dir = VIEWER.dir(context.cache.root(), &text, "");
    let hash = pin_hash(&text);
    let state = Installed::state(&dir, &hash, &markers());
    Ok(((dir, hash), state))
}

fn markers() -> Vec<String> {
    VIEWER.markers().iter().map(|&marker| marker.to_owned()).collect()
}

/// npm's failure in words.
fn failed(finished: &Finished) -> anyhow::Error {
    let text = format!("{}{}", finished.stdout, finished.stderr);
    let has = |needles: &[&str]| needles.iter().any(|needle| text.contains(needle));
    let (why, hint) = if has(&["EINTEGRITY"]) {
        (
            "a download is not what is pinned".to_owned(),
            "`npm cache clean --force`, then run again; if it stays so, your registry serves another file",
        )
    } else if has(&["ENOSPC"]) {
        ("the disk is full".to_owned(), "free some space, then run again: cargo xtask build")
    } else if has(&["ENOTFOUND", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "EAI_AGAIN", "ENETUNREACH"]) {
        ("the package registry could not be reached".to_owned(), "check npm's settings: npm config list")
    } else {
        (format!("npm ended with {}", finished.status), "check npm's settings: npm config list")
    };
    let tail = pip::last_lines(&text, 6);
    hinted(format!("{why}\n  its last lines:\n{tail}"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_whole_with_what_is_copied_there() {
        let names: Vec<_> = FILES.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, VIEWER.markers());
    }

    #[test]
    fn the_committed_lock_pins_every_package_and_names_no_registry() {
        let repo = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let text = fs::read_to_string(repo.join(VIEWER.requirements)).unwrap();
        let lock: serde_json::Value = serde_json::from_str(&text).unwrap();
        let packages = lock["packages"].as_object().unwrap();
        for (name, package) in packages.iter().filter(|(name, _)| !name.is_empty()) {
            assert!(package["integrity"].as_str().is_some_and(|i| i.starts_with("sha512-")), "{name}");
            assert!(package.get("resolved").is_none(), "{name}");
        }
        for (_, from) in FILES {
            let known = packages.keys().filter_map(|key| key.strip_prefix("node_modules/"));
            assert!(known.into_iter().any(|name| from.starts_with(&format!("{name}/"))), "{from}");
        }
    }
}
