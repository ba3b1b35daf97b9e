//! The user's own checkout of the rasterizer: used as it is, with the pinned GLM lent to it where it lacks its own.

use std::path::Path;

use anyhow::Result;
use fs_err as fs;

use super::{CHECKOUT, Original, ensure_glm};
use crate::{
    hint::{WithHint, hinted},
    provision::{Context, progress::Progress, stamp},
};

pub(super) fn use_checkout(
    context: &Context<'_>,
    dir: &Path,
    progress: &mut dyn Progress,
) -> Result<Original> {
    let header = dir.join("cuda_rasterizer/rasterizer.h");
    let Ok(text) = fs::read_to_string(&header) else {
        return Err(hinted(
            format!(
                "`{CHECKOUT}` has no `cuda_rasterizer/rasterizer.h`, so it is no checkout of the rasterizer"
            ),
            format!(
                "if it is a submodule: `git -C {CHECKOUT} submodule update --init --recursive`; or move it away, and the pinned sources are used"
            ),
        ));
    };
    let mut notes = vec![format!("`{CHECKOUT}` is used as it is: nothing pins what it holds")];
    if !text.contains("antialiasing") {
        return Err(hinted(
            format!(
                "`{CHECKOUT}` is of the first generation (2023): its `rasterizer.h` knows no antialiasing and no inverse depth, which the engine's adapter calls for"
            ),
            format!(
                "take the later one: `git -C {CHECKOUT} checkout dr_aa`; or move the folder away, and the pinned sources are used"
            ),
        ));
    }
    let stale = leftovers(dir)?;
    if !stale.is_empty() {
        notes.push(format!("ignored in it, as left by other builds: {}", stale.join(", ")));
    }
    let own = dir.join("third_party/glm");
    let mut path = std::path::absolute(dir)?;
    let glm = if own.join("glm/glm.hpp").exists() {
        own
    } else {
        let pinned = ensure_glm(context, progress).with_hint(
            format!(
                "`{CHECKOUT}` lacks GLM (`third_party/glm/glm/glm.hpp`), and the pinned one is not to be had"
            ),
            format!("`git -C {CHECKOUT} submodule update --init --recursive`"),
        )?;
        notes.push(
            "it lacks GLM (a download without submodules does); the pinned 0.9.9.9 is lent to it".into(),
        );
        // The engine's build looks for both in one folder, and nothing is written into what is the user's.
        path = context.repo.join("target/inria-with-glm");
        lay_out(&dir.join("cuda_rasterizer"), &path.join("cuda_rasterizer"))?;
        let glm = path.join("third_party/glm");
        lay_out(&pinned.join("glm"), &glm.join("glm"))?;
        glm
    };
    let license = Some(dir.join("LICENSE.md")).filter(|path| path.exists());
    let version = match git_head(dir) {
        Some(head) => format!("unpinned checkout, git {head:.12}"),
        None => "unpinned checkout".to_owned(),
    };
    Ok(Original { path, glm, license, pinned: false, version, hash: String::new(), notes })
}

/// Makes `to` a copy of `from`. A file that is the same already keeps its time, so that nothing is compiled again.
fn lay_out(from: &Path, to: &Path) -> Result<()> {
    let mut wanted = Vec::new();
    stamp::walk(from, &mut |path, _| {
        wanted.push(path.to_owned());
        Ok(())
    })?;
    if to.is_dir() {
        stamp::walk(to, &mut |path, _| {
            if !wanted.iter().any(|known| known == path) {
                fs::remove_file(to.join(path))?;
            }
            Ok(())
        })?;
    }
    for path in wanted {
        let (source, copy) = (from.join(&path), to.join(&path));
        let bytes = fs::read(&source)?;
        if fs::read(&copy).is_ok_and(|there| there == bytes) {
            continue;
        }
        if let Some(folder) = copy.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&copy, bytes)?;
    }
    Ok(())
}

/// Products of setuptools in a checkout. We never build there, so they only mislead readers.
fn leftovers(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if matches!(name.as_str(), "build" | "dist") || name.ends_with(".egg-info") {
            names.push(format!("`{name}`"));
        }
    }
    names.sort();
    Ok(names)
}

/// The commit of a clone; `.git` of a submodule is a file that names the folder. No git program needed.
fn git_head(dir: &Path) -> Option<String> {
    let mut git = dir.join(".git");
    if git.is_file() {
        let text = fs::read_to_string(&git).ok()?;
        git = dir.join(text.strip_prefix("gitdir:")?.trim());
    }
    let head = fs::read_to_string(git.join("HEAD")).ok()?;
    let Some(name) = head.trim().strip_prefix("ref: ") else { return Some(head.trim().to_owned()) };
    if let Ok(commit) = fs::read_to_string(git.join(name)) {
        return Some(commit.trim().to_owned());
    }
    let packed = fs::read_to_string(git.join("packed-refs")).ok()?;
    packed.lines().find_map(|line| line.strip_suffix(name).map(|commit| commit.trim().to_owned()))
}
