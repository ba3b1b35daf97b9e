//! pip's own resolver, asked for a report instead of an installation: with the user's indexes, or offline with a
//! folder. Chooses requirements from the CUDA version that was asked for, and nothing else.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use splat_toolchain::{
    Env, Request, Version,
    wheels::{self, Pinned},
};

use super::{TorchPlan, Wanted};
use crate::{
    ext::Target,
    hint::hinted,
    provision::pip::{self, Finished},
    repository, ui,
};

/// The first pip that reports without installing.
const REPORTS: [u32; 2] = [22, 2];
/// The first that reports from the index's metadata, without the wheels.
const FRUGAL: [u32; 2] = [24, 1];

/// A pip that serves the environment: its own, or another interpreter's told to work for it.
#[derive(Debug)]
pub(super) struct Pip {
    python: PathBuf,
    /// Given to `--python`, where the pip is another interpreter's.
    for_python: Option<PathBuf>,
}

impl Pip {
    /// The environment's own pip if it is new enough, else the machine's.
    pub(super) fn of(target: &Target) -> Result<Self> {
        if version(&target.executable).is_some_and(|version| version >= Version::new(&REPORTS)) {
            return Ok(Self { python: target.executable.clone(), for_python: None });
        }
        let repo = repository::facts();
        let machine = splat_toolchain::probe(&Env::real(), &repo, &Request::default());
        let others = machine.pythons.into_iter().map(|python| python.path);
        // `--python` came with 22.3.
        let other =
            others.into_iter().find(|path| version(path).is_some_and(|v| v >= Version::new(&[22, 3])));
        match other {
            Some(python) => Ok(Self { python, for_python: Some(target.executable.clone()) }),
            None => Err(hinted(
                format!(
                    "`{}` has no pip from 22.2 on, and no other Python here has",
                    target.executable.display()
                ),
                format!(
                    "{} -m ensurepip --upgrade && {0} -m pip install --upgrade pip",
                    target.executable.display()
                ),
            )),
        }
    }

    /// The interpreter that runs it.
    pub(super) fn python(&self) -> &Path {
        &self.python
    }

    /// Runs `pip <arguments>`; variables that would install something else, or elsewhere, are taken away.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<Finished> {
        let mut command = pip::module(&self.python, "pip");
        if let Some(other) = &self.for_python {
            command.arg("--python").arg(other);
        }
        command.args(arguments);
        for name in pip::NOT_OURS {
            command.env_remove(name);
        }
        command.env("PIP_DISABLE_PIP_VERSION_CHECK", "1").env("PIP_NO_INPUT", "1");
        pip::run(command, false)
    }

    /// What pip would install, as its report says.
    fn report(&self, options: &[&str], requirements: &[String]) -> Result<Vec<Pinned>> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("report.json");
        let shown = file.display().to_string();
        let mut arguments =
            vec!["install", "--dry-run", "--quiet", "--only-binary", ":all:", "--report", &shown];
        arguments.extend(options);
        arguments.extend(requirements.iter().map(String::as_str));
        let finished = self.run(&arguments)?;
        if !finished.status.success() {
            return Err(self.refusal(&finished, requirements));
        }
        Ok(wheels::parse_report(&fs_err::read_to_string(&file)?)?)
    }

    fn refusal(&self, finished: &Finished, requirements: &[String]) -> anyhow::Error {
        let text = format!("{}{}", finished.stdout, finished.stderr);
        let asked = requirements.join(" ");
        let list = format!("{} -m pip config list", self.python.display());
        let (why, hint) = match pip::cause(&text) {
            pip::Cause::NotOffered(what) if !what.is_empty() => (
                format!("no package source offers `{what}` for this Python and platform"),
                format!("see which sources pip asks: `{list}`"),
            ),
            pip::Cause::Network => (
                "the package index could not be reached".into(),
                format!("check the network and pip's settings (`{list}`)"),
            ),
            _ => (
                format!("pip found no set of packages for `{asked}`"),
                "ask for less: `--alone`, or another `--torch`".into(),
            ),
        };
        hinted(format!("{why}\n{}", pip::last_lines(&text, 8)), hint)
    }
}

fn version(python: &Path) -> Option<Version> {
    let mut command = pip::module(python, "pip");
    command.arg("--version");
    let finished = pip::run(command, false).ok().filter(|finished| finished.status.success())?;
    Version::find_in(finished.stdout.strip_prefix("pip ")?)
}

/// Asks the user's indexes.
pub(super) fn online(pip: &Pip, target: &Target, wanted: &Wanted) -> Result<TorchPlan> {
    if let Some(old) = version(&pip.python).filter(|version| *version < Version::new(&FRUGAL)) {
        ui::note(&format!(
            "pip {old} downloads wheels to read what they need; from 24.1 on it does not, where the index has that apart"
        ));
    }
    let mut options = vec!["--ignore-installed"];
    for url in &wanted.extra_index_url {
        options.extend(["--extra-index-url", url]);
    }
    let mut requirements = vec![requirement(pip, target, wanted)?];
    if !wanted.alone {
        requirements.extend(wanted.with.iter().filter(|name| !name.is_empty()).cloned());
    }
    let wheels = pip.report(&options, &requirements)?;
    check_cuda(&wheels, target, wanted.cuda.as_ref())?;
    Ok(TorchPlan { interpreter: target.for_wheels(), wheels })
}

/// Asks a folder of wheels alone; what is installed already counts.
pub(super) fn offline(pip: &Pip, folder: &Path, requirements: &[String]) -> Result<Vec<Pinned>> {
    let folder = folder.display().to_string();
    pip.report(&["--no-index", "--find-links", &folder], requirements)
}

/// `torch==2.6.0+cu124`, `torch>=2.5,<2.7`, `torch`.
fn requirement(pip: &Pip, target: &Target, wanted: &Wanted) -> Result<String> {
    if let Some(release) = &wanted.torch {
        let label = wanted.cuda.as_ref().map(|cuda| format!("+cu{}{}", cuda.major(), cuda.minor()));
        let exact = label.map(|label| format!("{release}{label}"));
        return Ok(match exact.filter(|exact| listed(pip, wanted).contains(exact)) {
            Some(exact) => format!("torch=={exact}"),
            None => format!("torch=={release}"),
        });
    }
    let Some(cuda) = &wanted.cuda else { return Ok("torch".into()) };
    let versions = listed(pip, wanted);
    if let Some(labelled) = wheels::newest_labelled(versions.iter().map(String::as_str), cuda) {
        return Ok(format!("torch=={labelled}"));
    }
    match wheels::torch_releases_of(cuda).filter(|_| target.platform.starts_with("linux")) {
        Some((least, below)) => Ok(format!("torch>={least},<{below}")),
        None => Err(hinted(
            format!(
                "none of pip's package sources offers a torch built with CUDA {cuda} for {}",
                target.for_wheels()
            ),
            format!(
                "PyTorch has an index for each CUDA; give pip the one for cu{}{}: `--extra-index-url URL` (the selector on pytorch.org names it)",
                cuda.major(),
                cuda.minor()
            ),
        )),
    }
}

/// Every torch that the sources list; empty where pip cannot say.
fn listed(pip: &Pip, wanted: &Wanted) -> Vec<String> {
    let mut arguments = vec!["index", "versions", "torch"];
    for url in &wanted.extra_index_url {
        arguments.extend(["--extra-index-url", url]);
    }
    let Ok(finished) = pip.run(&arguments) else { return Vec::new() };
    parse_versions(&finished.stdout)
}

/// `Available versions: 2.11.0, 2.10.0+cu128, ...`.
fn parse_versions(text: &str) -> Vec<String> {
    let line = text.lines().find_map(|line| line.strip_prefix("Available versions:")).unwrap_or_default();
    line.split(',').map(|version| version.trim().to_owned()).filter(|version| !version.is_empty()).collect()
}

/// The CUDA of the chosen torch must be the one that was asked for; a CPU build is none at all (E04).
fn check_cuda(chosen: &[Pinned], target: &Target, asked: Option<&Version>) -> Result<()> {
    let Some(asked) = asked else { return Ok(()) };
    let torch = chosen.iter().find(|wheel| wheel.name == "torch").context("pip's answer holds no torch")?;
    let of = cuda_of(chosen);
    if of.as_ref().is_some_and(|cuda| cuda.series() == asked.series()) {
        return Ok(());
    }
    let of = of
        .map_or_else(|| "a CPU build (E04)".to_owned(), |cuda| format!("built with CUDA {}", cuda.series()));
    Err(hinted(
        format!(
            "CUDA {asked} was asked for, and torch {} for {} is {of}",
            torch.version,
            target.for_wheels()
        ),
        "name an index that has it: `--extra-index-url URL`",
    ))
}

/// From torch's label (`+cu124`), or from the runtime that it needs.
fn cuda_of(chosen: &[Pinned]) -> Option<Version> {
    let torch = chosen.iter().find(|wheel| wheel.name == "torch")?;
    if let Some((_, label)) = torch.version.split_once('+') {
        let digits = label.strip_prefix("cu")?;
        let (major, minor) = digits.split_at_checked(digits.len().checked_sub(1)?)?;
        return format!("{major}.{minor}").parse().ok();
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
