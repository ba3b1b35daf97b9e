//! The pinned archive: found in the cache, in a folder or on an index, verified, and extracted into the cache.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use fs_err as fs;
use splat_toolchain::managed::TOOLS;

use super::CHECKOUT;
use crate::{
    hint::{WithHint, hinted},
    provision::{
        Context, archive,
        cache::{self, Cache, Lock},
        index::Index,
        offline,
        packages::ensure_managed,
        pip,
        progress::{Progress, Step},
        sources::{Part, Sources},
        stamp::{self, Extracted, State},
    },
    ui,
};

/// Where the archive comes from.
enum Origin {
    Cache,
    /// A folder that the user's pip searches (`find-links`): nothing else is needed then.
    Folder(PathBuf),
    /// pip's sources, through unearth in that folder.
    Index(Index, PathBuf),
}

fn find_origin(
    context: &Context<'_>,
    sources: &Sources,
    part: Part,
    progress: &mut dyn Progress,
) -> Result<Origin> {
    if sources.archive_in(&context.cache.downloads()).is_some() {
        return Ok(Origin::Cache);
    }
    if context.offline && !offline::pip_needs_no_network() {
        return Err(offline::refusal(context, &[part.item()])?);
    }
    context.cache.writable(part.item().name)?;
    let index = Index::of_pip(&context.python.path)?;
    let here = index.find_links.iter().map(|link| Path::new(link).join(&sources.archive));
    if let Some(file) = here.into_iter().find(|file| file.is_file()) {
        return Ok(Origin::Folder(file));
    }
    Ok(Origin::Index(index, ensure_managed(context, &TOOLS, progress)?))
}

/// The pinned sources in the cache. Returns their folder.
pub(super) fn ensure_pinned(
    context: &Context<'_>,
    sources: &Sources,
    part: Part,
    progress: &mut dyn Progress,
) -> Result<PathBuf> {
    let cache = context.cache;
    let dir = sources.dir(part, cache);
    if sources.state(part, cache) == State::Whole {
        return Ok(dir);
    }
    // Before the lock: bringing unearth takes the lock itself.
    let origin = find_origin(context, sources, part, progress)?;
    let lock = cache.lock(&format!("bringing {}", part.item().name), progress)?;
    match sources.state(part, cache) {
        State::Whole => return Ok(dir),
        State::Damaged(why) => progress.say(&format!(
            "the original sources in the cache are not what was extracted, and are extracted again: {why} \
             (own changes belong into `{CHECKOUT}`)"
        )),
        State::Absent => {}
    }
    let result = bring(context, sources, part, &origin, &dir, &lock, progress);
    match result {
        Err(error) if cache::is_disk_full(&error) => Err(error.context(format!(
            "the disk of `{}` is full: the original sources need {}",
            cache.root().display(),
            cache::sizes(sources.bytes, part.item().bytes)
        ))),
        other => other.map(|()| dir),
    }
}

fn bring(
    context: &Context<'_>,
    sources: &Sources,
    part: Part,
    origin: &Origin,
    dir: &Path,
    lock: &Lock,
    progress: &mut dyn Progress,
) -> Result<()> {
    let (cache, item) = (context.cache, part.item());
    let scratch = cache.scratch(lock, item.name)?;
    progress.step(Step::Prepared);
    let archive = match (sources.archive_in(&cache.downloads()), origin) {
        (Some(path), _) => path,
        (None, Origin::Folder(file)) => {
            let copy = scratch.path().join(&sources.archive);
            fs::copy(file, &copy)?;
            keep(cache, sources, &copy)?
        }
        (None, Origin::Index(index, tools)) => {
            fetch(context, sources, index, tools, scratch.path(), progress)?
        }
        (None, Origin::Cache) => {
            anyhow::bail!("`{}` left the cache while it was being used", sources.archive)
        }
    };
    let tree = scratch.path().join("tree");
    fs::create_dir(&tree)?;
    let file = fs::File::open(&archive)?;
    let keep = |path: &str| sources.keep(part, path);
    let files = archive::extract(file, &sources.top, &keep, &tree, archive::Limits::default()).with_hint(
        format!("`{}` was not extracted", sources.archive),
        "report this: an archive with the pinned hash must not contain that",
    )?;
    let lacks = item.lacks(&tree);
    ensure!(lacks.is_empty(), "`{}` lacks {}", sources.archive, lacks.join(", "));
    progress.step(Step::Filled);
    let stamp = Extracted { name: item.name.to_owned(), archive: sources.sha256.clone(), files };
    stamp::write(&tree, &stamp)?;
    progress.step(Step::Stamped);
    cache::place(&tree, dir, &scratch, progress)?;
    progress.say(&format!("{}: {} files, at `{}`", item.name, stamp.files.len(), dir.display()));
    Ok(())
}

/// Downloads the archive with unearth, which unlike pip executes nothing of it, verifies it, and keeps it.
fn fetch(
    context: &Context<'_>,
    sources: &Sources,
    index: &Index,
    tools: &Path,
    scratch: &Path,
    progress: &mut dyn Progress,
) -> Result<PathBuf> {
    let python = &context.python.path;
    progress.say(&format!(
        "bringing {} {}: {} to download",
        sources.package,
        sources.version,
        ui::bytes(sources.bytes)
    ));
    let mut words = String::new();
    for attempt in index.attempts() {
        let folder = tempfile::Builder::new().prefix("download-").tempdir_in(scratch)?;
        let mut command = pip::module(python, "unearth");
        command.arg("--no-binary").arg("--download").arg(folder.path()).args(&attempt);
        command.arg(sources.requirement());
        command.env("PYTHONPATH", tools).env("PYTHONDONTWRITEBYTECODE", "1").env("TMPDIR", scratch);
        if let Some(cert) = &index.cert {
            command.env("SSL_CERT_FILE", cert);
        }
        if let Some(proxy) = &index.proxy {
            command.env("HTTPS_PROXY", proxy).env("HTTP_PROXY", proxy);
        }
        let finished = pip::run(command, false)?;
        let file = folder.path().join(&sources.archive);
        if finished.status.success() && file.exists() {
            return keep(context.cache, sources, &file);
        }
        words += &finished.stderr;
        if finished.status.success() {
            words += &format!("unearth ended well but brought no `{}`\n", sources.archive);
        }
    }
    let why = match pip::cause(&words) {
        pip::Cause::DiskFull => "the disk is full".to_owned(),
        pip::Cause::Network => "the package index could not be reached".to_owned(),
        pip::Cause::NotOffered(_) => format!("no package source offers {}", sources.requirement()),
        _ if words.contains("HashMismatch") => "the download is not what the index says it is".to_owned(),
        _ => "unearth failed".to_owned(),
    };
    Err(hinted(
        format!("the original sources could not be brought: {why}\n{}", pip::last_lines(&words, 12)),
        format!(
            "put `{}` into a folder DIR, then run `PIP_FIND_LINKS=/path/to/DIR cargo xtask build`",
            sources.archive
        ),
    ))
}

/// Moves a verified archive into the cache, so that a later extraction needs no network.
fn keep(cache: &Cache, sources: &Sources, file: &Path) -> Result<PathBuf> {
    let (got, size) = (stamp::sha256(file)?, fs::metadata(file)?.len());
    if got != sources.sha256 {
        return Err(hinted(
            format!(
                "`{}` is not what is pinned: expected sha256 {} ({} bytes), got {got} ({size} bytes){}",
                sources.archive,
                sources.sha256,
                sources.bytes,
                if size < sources.bytes { "; it may be cut short" } else { "" }
            ),
            "run again; if it stays so, your index or mirror serves another file than the one pinned",
        ));
    }
    fs::create_dir_all(cache.downloads())?;
    let kept = cache.downloads().join(&sources.archive);
    fs::rename(file, &kept)?;
    Ok(kept)
}
