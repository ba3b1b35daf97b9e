//! The original rasterizer's sources: the user's own checkout if there is one, else the pinned archive, fetched
//! without executing anything of it, verified, and extracted into the cache. Compiles nothing.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use fs_err as fs;
use sha2::{Digest, Sha256};
use splat_toolchain::managed::{TOOLS, hex};

use super::{
    Context, archive,
    cache::{self, Cache, Lock},
    consent::Accepted,
    index::Index,
    offline,
    packages::ensure_managed,
    pip,
    progress::{Progress, Step},
    sources::{Part, Sources},
    stamp::{self, Extracted, State},
};
use crate::{
    hint::{WithHint, hinted},
    ui,
};

/// Where users put their own checkout, relative to the repository.
pub const CHECKOUT: &str = "vendor/diff-gaussian-rasterization";

/// Sources ready to be compiled.
#[derive(Clone, Debug)]
pub struct Original {
    /// The folder that holds `cuda_rasterizer/`.
    pub path: PathBuf,
    /// The include folder that holds `glm/glm.hpp`.
    pub glm: PathBuf,
    /// The licence's text, where it lies beside the sources.
    pub license: Option<PathBuf>,
    /// Whether every byte is what `vendor/sources.toml` pins.
    pub pinned: bool,
    /// `gaussian-splatting 2.11.0`, or what is known of a checkout.
    pub version: String,
    /// sha256 over the names and contents of `cuda_rasterizer/` and of GLM.
    pub hash: String,
    /// What users should know: the licence's acceptance, leftovers that are ignored, where GLM came from.
    pub notes: Vec<String>,
}

/// Finds or brings the sources. A whole pinned folder is compared file by file with its stamp each time.
///
/// # Errors
/// A checkout that is no rasterizer, a fetch that fails or is not what is pinned, an archive that is refused,
/// or a cache that cannot be written.
pub fn ensure_original(
    context: &Context<'_>,
    accepted: &Accepted,
    progress: &mut dyn Progress,
) -> Result<Original> {
    let checkout = context.repo.join(CHECKOUT);
    let mut original = if checkout.symlink_metadata().is_ok() {
        use_checkout(context, &checkout, progress)?
    } else {
        let sources = Sources::read(context.repo)?;
        let dir = ensure_pinned(context, &sources, Part::Rasterizer, progress)?;
        Original {
            glm: dir.join("third_party/glm"),
            license: Some(dir.join("LICENSE.md")),
            pinned: true,
            version: format!("{} {}", sources.package, sources.version),
            hash: String::new(),
            notes: Vec::new(),
            path: dir,
        }
    };
    original.hash = hash(&original)?;
    original
        .notes
        .insert(0, format!("non-commercial licence of the original rasterizer accepted by {}", accepted.by));
    Ok(original)
}

fn use_checkout(context: &Context<'_>, dir: &Path, progress: &mut dyn Progress) -> Result<Original> {
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

/// The include folder of the pinned GLM: that of the rasterizer's sources if they are in the cache, else GLM alone.
///
/// # Errors
/// It is not at hand and cannot be fetched, or the cache cannot be written.
pub fn ensure_glm(context: &Context<'_>, progress: &mut dyn Progress) -> Result<PathBuf> {
    let sources = Sources::read(context.repo)?;
    if sources.state(Part::Rasterizer, context.cache) == State::Whole {
        return Ok(sources.dir(Part::Rasterizer, context.cache).join("third_party/glm"));
    }
    ensure_pinned(context, &sources, Part::Glm, progress)
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

fn hash(original: &Original) -> Result<String> {
    let mut hasher = Sha256::new();
    for dir in [original.path.join("cuda_rasterizer"), original.glm.join("glm")] {
        let mut files = Vec::new();
        stamp::walk(&dir, &mut |path, _| {
            files.push((path.to_owned(), stamp::sha256(&dir.join(path))?));
            Ok(())
        })?;
        files.sort();
        for (path, hash) in files {
            hasher.update(format!("{path}\n{hash}\n"));
        }
    }
    Ok(hex(&hasher.finalize()))
}

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
    if sources.archive_in(context.cache).is_some() {
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
fn ensure_pinned(
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
    let archive = match (sources.archive_in(cache), origin) {
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
