//! pip's own resolver, asked for a report instead of an installation: with the user's indexes, or offline with a
//! folder. Chooses requirements from the torch and the CUDA version that were asked for, and pins the companions that
//! were released with that torch, because not all of them declare it.

mod program;

use std::path::Path;

use anyhow::{Context as _, Result};
use splat_toolchain::{
    Version,
    wheels::{self, Interpreter, Pinned},
};

pub(super) use self::program::Pip;
use self::program::{FRUGAL, index_of, label, labelled, version};
use super::{TorchPlan, Wanted};
use crate::{hint::hinted, provision::pip, ui};

/// Asks the user's indexes.
pub(super) fn online(pip: &Pip, interpreter: &Interpreter, wanted: &Wanted) -> Result<TorchPlan> {
    if let Some(old) = version(pip.python()).filter(|version| *version < Version::new(&FRUGAL)) {
        ui::note(&format!(
            "pip {old} downloads wheels to read what they need; from 24.1 on it does not, where the index has that apart"
        ));
    }
    let mut options = vec!["--ignore-installed"];
    for url in &wanted.extra_index_url {
        options.extend(["--extra-index-url", url]);
    }
    let mut torch = requirement(pip, interpreter, wanted)?;
    let names = wanted.companions();
    // torchaudio may declare no torch: those that do choose the release, and it is pinned to that.
    let (last, first): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| **name == "torchaudio");
    if wanted.torch.is_none() && !last.is_empty() {
        let mut requirements = vec![torch.clone()];
        requirements.extend(first.iter().map(|name| (*name).to_owned()));
        let chosen = pip.report(&options, &requirements)?;
        let found = chosen.iter().find(|wheel| wheel.name == "torch");
        torch = format!("torch=={}", found.context("pip's answer holds no torch")?.version);
    }
    let mut requirements = vec![torch.clone()];
    for name in names {
        requirements.extend(paired(pip, wanted, name, torch.strip_prefix("torch==").unwrap_or_default())?);
    }
    let wheels = pip.report(&options, &requirements)?;
    check_cuda(&wheels, interpreter, wanted.cuda.as_ref())?;
    Ok(TorchPlan { interpreter: interpreter.clone(), wheels })
}

/// `torchaudio==2.4.*` for torch 2.4.0; nothing, and a note, where nobody asked for it by name and there is none.
fn paired(pip: &Pip, wanted: &Wanted, name: &str, torch: &str) -> Result<Option<String>> {
    let release: Version = torch.split('+').next().unwrap_or_default().parse().unwrap_or_default();
    let Some(series) = wheels::companion(name, &release) else { return Ok(Some(name.to_owned())) };
    let versions = listed(pip, wanted, name)?;
    let mut fitting = versions
        .iter()
        .filter(|text| text.parse::<Version>().is_ok_and(|version| version.starts_with(&series)))
        .peekable();
    if fitting.peek().is_none() && !versions.is_empty() {
        let message = format!("there is no {name} {series}, which belongs to torch {release}");
        if wanted.with.is_none() {
            ui::note(&format!("{message}; it is left out"));
            return Ok(None);
        }
        return Err(hinted(
            message,
            format!("name a torch that has one: `--torch`; {name} is offered as {}", versions.join(", ")),
        ));
    }
    // One that declares no torch does not follow torch's label by itself.
    if let Some((_, label)) = torch.split_once('+').filter(|_| name == "torchaudio")
        && series >= Version::new(&[2, 11])
        && let Some(exact) = fitting.find(|text| text.ends_with(&format!("+{label}")))
    {
        return Ok(Some(format!("{name}=={exact}")));
    }
    Ok(Some(format!("{name}=={series}.*")))
}

/// Asks a folder of wheels alone; what is installed already counts.
pub(super) fn offline(pip: &Pip, folder: &Path, requirements: &[String]) -> Result<Vec<Pinned>> {
    let folder = folder.display().to_string();
    pip.report(&["--no-index", "--find-links", &folder], requirements)
}

/// `torch==2.6.0+cu124`, `torch>=2.5,<2.7`, `torch`.
fn requirement(pip: &Pip, interpreter: &Interpreter, wanted: &Wanted) -> Result<String> {
    if let Some(release) = &wanted.torch {
        let exact = wanted.cuda.as_ref().map(|cuda| format!("{release}+{}", label(cuda)));
        if let Some(exact) = exact
            && listed(pip, wanted, "torch")?.contains(&exact)
        {
            return Ok(format!("torch=={exact}"));
        }
        return Ok(format!("torch=={release}"));
    }
    let Some(cuda) = &wanted.cuda else { return Ok("torch".into()) };
    let versions = listed(pip, wanted, "torch")?;
    if let Some(labelled) = wheels::newest_labelled(versions.iter().map(String::as_str), cuda) {
        return Ok(format!("torch=={labelled}"));
    }
    match wheels::torch_releases_of(cuda).filter(|_| interpreter.platform.starts_with("linux")) {
        Some((least, below)) => Ok(format!("torch>={least},<{below}")),
        None => Err(hinted(
            format!("none of pip's package sources offers a torch built with CUDA {cuda} for {interpreter}"),
            index_of(cuda),
        )),
    }
}

/// Every version of a package that the sources list; empty where pip cannot say.
///
/// # Errors
/// The network fails.
fn listed(pip: &Pip, wanted: &Wanted, package: &str) -> Result<Vec<String>> {
    let mut arguments = vec!["index", "versions", package];
    for url in &wanted.extra_index_url {
        arguments.extend(["--extra-index-url", url]);
    }
    let finished = pip.run(&arguments)?;
    let said = format!("{}{}", finished.stdout, finished.stderr);
    if !finished.status.success() && pip::cause(&said) == pip::Cause::Network {
        return Err(pip.refusal(&finished, &[package.to_owned()], wanted.cuda.as_ref()));
    }
    Ok(parse_versions(&finished.stdout))
}

/// `Available versions: 2.11.0, 2.10.0+cu128, ...`.
fn parse_versions(text: &str) -> Vec<String> {
    let line = text.lines().find_map(|line| line.strip_prefix("Available versions:")).unwrap_or_default();
    line.split(',').map(|version| version.trim().to_owned()).filter(|version| !version.is_empty()).collect()
}

/// The CUDA of the chosen torch must be the one that was asked for; a CPU build is none at all (E04).
fn check_cuda(chosen: &[Pinned], interpreter: &Interpreter, asked: Option<&Version>) -> Result<()> {
    let torch = chosen.iter().find(|wheel| wheel.name == "torch").context("pip's answer holds no torch")?;
    let of = cuda_of(chosen);
    let Some(asked) = asked else {
        if of.is_none() && interpreter.platform.starts_with("win") {
            ui::note(&format!(
                "torch {} for {interpreter} is a CPU build (E04): for one with CUDA say which, such as `--cuda 12.6`",
                torch.version
            ));
        }
        return Ok(());
    };
    if of.as_ref().is_some_and(|cuda| cuda.series() == asked.series()) {
        return Ok(());
    }
    let of = of
        .map_or_else(|| "a CPU build (E04)".to_owned(), |cuda| format!("built with CUDA {}", cuda.series()));
    Err(hinted(
        format!("CUDA {asked} was asked for, and torch {} for {interpreter} is {of}", torch.version),
        index_of(asked),
    ))
}

/// From torch's label (`+cu124`), or from the runtime that it needs.
fn cuda_of(chosen: &[Pinned]) -> Option<Version> {
    let torch = chosen.iter().find(|wheel| wheel.name == "torch")?;
    if torch.version.contains('+') {
        return labelled(&torch.version);
    }
    let runtime = chosen.iter().find(|wheel| wheel.name.starts_with("nvidia-cuda-runtime"))?;
    runtime.version.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pinned(name: &str, version: &str) -> Pinned {
        let (file, url) = (String::new(), String::new());
        Pinned {
            name: name.into(),
            version: version.into(),
            file,
            url,
            sha256: None,
            size: None,
            requested: true,
        }
    }

    #[test]
    fn the_cuda_of_a_choice() {
        let of = |list: &[Pinned]| cuda_of(list).map(|cuda| cuda.series().to_string());
        assert_eq!(of(&[pinned("torch", "2.6.0+cu124")]).as_deref(), Some("12.4"));
        assert_eq!(of(&[pinned("torch", "2.7.1+cpu")]), None);
        let with = [pinned("torch", "2.7.1"), pinned("nvidia-cuda-runtime-cu12", "12.6.77")];
        assert_eq!(of(&with).as_deref(), Some("12.6"));
        assert_eq!(of(&[pinned("torch", "2.7.1")]), None);
    }

    #[test]
    fn versions_as_pip_lists_them() {
        let text = "torch (2.11.0)\nAvailable versions: 2.11.0, 2.6.0+cu124\n  INSTALLED: 2.4.0\n";
        assert_eq!(parse_versions(text), ["2.11.0", "2.6.0+cu124"]);
        assert!(parse_versions("ERROR").is_empty());
    }
}
