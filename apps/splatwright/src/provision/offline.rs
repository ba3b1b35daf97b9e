//! `--offline`: what is missing, all of it at once, and the commands that bring it on a connected machine.

use std::{env, fmt::Write as _, path::Path};

use anyhow::Result;
use splat_toolchain::managed::ManagedItem;

use super::{
    Context, cache,
    packages::Package,
    sources::{Part, Sources},
    stamp::State,
};
use crate::hint::hinted;

/// An item that is not whole in the cache.
#[derive(Clone, Debug)]
pub struct Missing {
    /// Its name, for people.
    pub name: String,
    /// `130 MB to download, 271 MB on disk`, where known.
    pub sizes: String,
    /// Why what is there does not count; empty if nothing is there.
    pub damage: String,
    /// The command that downloads it into `DIR` on a connected machine.
    pub bring: String,
}

/// Those of `items` that are not whole in the cache.
///
/// # Errors
/// An item without pins in this repository.
pub fn missing(context: &Context<'_>, items: &[ManagedItem]) -> Result<Vec<Missing>> {
    let mut missing = Vec::new();
    for item in items {
        let part = [Part::Rasterizer, Part::Glm].into_iter().find(|part| part.item() == *item);
        let (state, sizes, bring) = if let Some(part) = part {
            let sources = Sources::read(context.repo)?;
            if sources.archive_in(&context.cache.downloads()).is_some() {
                continue;
            }
            let bring = format!(
                "python3 -m pip install unearth && python3 -m unearth --no-binary --download DIR '{}'",
                sources.requirement()
            );
            (sources.state(part, context.cache), cache::sizes(sources.bytes, item.bytes), bring)
        } else {
            let package = Package::of(context, item)?;
            let sizes = cache::sizes(package.download, package.installed);
            (package.state(), sizes, download_command(&package))
        };
        let damage = match state {
            State::Whole => continue,
            State::Absent => String::new(),
            State::Damaged(why) => why,
        };
        missing.push(Missing { name: item.name.to_owned(), sizes, damage, bring });
    }
    Ok(missing)
}

/// With `--offline`: fails if one of `items` is missing, naming all that are. Call it before the first
/// installation, so that users hear of everything at once.
///
/// # Errors
/// Something is missing, and pip is not told to do without a network either.
pub fn check(context: &Context<'_>, items: &[ManagedItem]) -> Result<()> {
    if !context.offline || pip_needs_no_network() || missing(context, items)?.is_empty() {
        return Ok(());
    }
    Err(refusal(context, items)?)
}

/// The error that names what of `items` is missing.
pub(super) fn refusal(context: &Context<'_>, items: &[ManagedItem]) -> Result<anyhow::Error> {
    let missing = missing(context, items)?;
    let mut text = format!(
        "--offline, and the cache `{}` lacks {}:",
        context.cache.root().display(),
        if missing.len() == 1 { "one thing".to_owned() } else { format!("{} things", missing.len()) }
    );
    for item in &missing {
        let _ = write!(text, "\n  {}: {}", item.name, item.sizes);
        if !item.damage.is_empty() {
            let _ = write!(text, " (there, but damaged: {})", item.damage);
        }
    }
    text += "\non a connected machine of this system, in this repository:";
    for item in &missing {
        let _ = write!(text, "\n  {}", item.bring);
    }
    Ok(hinted(
        text,
        "carry DIR here, then run `PIP_NO_INDEX=1 PIP_FIND_LINKS=/path/to/DIR cargo xtask build`",
    ))
}

/// `pip download` of a package's wheels; the same for every Python that runs it.
pub(super) fn download_command(package: &Package) -> String {
    format!(
        "python3 -m pip download --require-hashes --no-deps --only-binary :all: --python-version {} -r {} -d DIR",
        package.wheels_for.as_ref().unwrap_or(&package.python_version),
        Path::new("vendor/requirements").join(package.requirements.file_name().unwrap_or_default()).display()
    )
}

/// Whether pip's own settings keep it from the network: wheels come from a folder then, and `--offline` has
/// nothing against it.
pub(super) fn pip_needs_no_network() -> bool {
    let no_index = env::var("PIP_NO_INDEX").unwrap_or_default();
    let links = env::var("PIP_FIND_LINKS").unwrap_or_default();
    super::index::is_true(&no_index)
        && !links.trim().is_empty()
        && links.split_whitespace().all(|link| !link.contains("://") || link.starts_with("file:"))
}
