//! The original rasterizer's sources: the user's own checkout if there is one, else the pinned archive, fetched
//! without executing anything of it, verified, and extracted into the cache. Compiles nothing.

mod checkout;
mod pinned;

use std::path::PathBuf;

use anyhow::Result;
use sha2::{Digest, Sha256};
use splat_toolchain::{
    Machine, Repo,
    managed::{BUCKET, GLM, INRIA, ManagedState, hex},
};

use self::{checkout::use_checkout, pinned::ensure_pinned};
use super::{
    Context,
    consent::Accepted,
    offline,
    progress::Progress,
    sources::{Part, Sources},
    stamp::{self, State},
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

/// Whether [`ensure_glm`] would need no network. Looks only: the cache may not be there at all.
pub fn has_glm(machine: &Machine, repo: &Repo) -> bool {
    let whole = |state: &ManagedState| [INRIA, GLM].contains(&state.item) && state.lacks.is_empty();
    let archived = || {
        let sources = Sources::parse(repo.requirements.get(INRIA.requirements)?.clone()).ok()?;
        sources.archive_in(&machine.cache_root.as_ref()?.value.join(BUCKET).join("downloads"))
    };
    machine.managed.iter().any(whole) || archived().is_some() || offline::pip_needs_no_network()
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
