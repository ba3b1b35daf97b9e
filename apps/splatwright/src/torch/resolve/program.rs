//! The pip that resolves: which one serves an environment, how it is run, and what its refusals mean.

use std::path::{Path, PathBuf};

use anyhow::Result;
use splat_toolchain::{
    Env, Request, Version,
    wheels::{self, Pinned},
};

use crate::{
    ext::Target,
    hint::hinted,
    provision::{
        index::Index,
        pip::{self, Finished},
    },
    repository,
    torch::elsewhere::Elsewhere,
};

/// The first pip that reports without installing.
const REPORTS: [u32; 2] = [22, 2];
/// The first that reports from the index's metadata, without the wheels.
pub(super) const FRUGAL: [u32; 2] = [24, 1];

/// A pip that serves the environment: its own, or another interpreter's told to work for it, or for another machine.
#[derive(Debug)]
pub(in crate::torch) struct Pip {
    python: PathBuf,
    /// Given to `--python`, where the pip is another interpreter's.
    for_python: Option<PathBuf>,
    elsewhere: Option<Elsewhere>,
    /// Whether pip is told how often it should try again; by itself it goes on for minutes.
    patient: bool,
}

impl Pip {
    /// The environment's own pip if it is new enough, else the machine's.
    pub(in crate::torch) fn of(target: &Target) -> Result<Self> {
        if version(&target.executable).is_some_and(|version| version >= Version::new(&REPORTS)) {
            return Ok(Self::run_by(target.executable.clone(), None, None));
        }
        match any() {
            Some(python) => Ok(Self::run_by(python, Some(target.executable.clone()), None)),
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

    /// The machine's pip, working for another machine.
    pub(in crate::torch) fn for_elsewhere(elsewhere: Elsewhere) -> Result<Self> {
        let python = any().ok_or_else(|| {
            hinted(
                "no Python here has pip 22.3 or later",
                "in an active virtual environment: `python3 -m pip install --upgrade pip`",
            )
        })?;
        Ok(Self::run_by(python, None, Some(elsewhere)))
    }

    fn run_by(python: PathBuf, for_python: Option<PathBuf>, elsewhere: Option<Elsewhere>) -> Self {
        let mut command = pip::module(&python, "pip");
        command.args(["config", "list"]);
        let patient = pip::run(command, false).is_ok_and(|said| said.stdout.contains("retries="));
        Self { python, for_python, elsewhere, patient }
    }

    /// The interpreter that runs it.
    pub(in crate::torch) fn python(&self) -> &Path {
        &self.python
    }

    /// Runs `pip <arguments>`; variables that would install something else, or elsewhere, are taken away.
    pub(in crate::torch) fn run(&self, arguments: &[&str]) -> Result<Finished> {
        let mut command = match &self.elsewhere {
            Some(elsewhere) => elsewhere.pip(&self.python, arguments),
            None => {
                let mut command = pip::module(&self.python, "pip");
                if let Some(other) = &self.for_python {
                    command.arg("--python").arg(other);
                }
                command.args(arguments);
                command
            }
        };
        for name in pip::NOT_OURS {
            command.env_remove(name);
        }
        if !self.patient {
            command.env("PIP_RETRIES", "1");
        }
        command.env("PIP_DISABLE_PIP_VERSION_CHECK", "1").env("PIP_NO_INPUT", "1");
        pip::run(command, false)
    }

    /// What pip would install, as its report says.
    pub(super) fn report(&self, options: &[&str], requirements: &[String]) -> Result<Vec<Pinned>> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("report.json");
        let shown = file.display().to_string();
        let mut arguments =
            vec!["install", "--dry-run", "--quiet", "--only-binary", ":all:", "--report", &shown];
        arguments.extend(options);
        arguments.extend(requirements.iter().map(String::as_str));
        let finished = self.run(&arguments)?;
        if !finished.status.success() {
            return Err(self.refusal(&finished, requirements, None));
        }
        Ok(wheels::parse_report(&fs_err::read_to_string(&file)?)?)
    }

    pub(super) fn refusal(
        &self,
        finished: &Finished,
        requirements: &[String],
        cuda: Option<&Version>,
    ) -> anyhow::Error {
        let text = format!("{}{}", finished.stdout, finished.stderr);
        let asked = requirements.join(" ");
        let list = format!("{} -m pip config list", self.python.display());
        let (why, hint) = match pip::cause(&text) {
            pip::Cause::NotOffered(what) if !what.is_empty() => (
                format!("no package source offers `{what}` for this Python and platform"),
                labelled(&what)
                    .map_or_else(|| format!("see which sources pip asks: `{list}`"), |cuda| index_of(&cuda)),
            ),
            pip::Cause::Network => (
                format!("the package index {} could not be reached", self.unreachable(&text)),
                format!(
                    "check the network, the proxy and pip's settings (`{list}`){}",
                    cuda.map(|cuda| format!("; {}", index_of(cuda))).unwrap_or_default()
                ),
            ),
            _ => (
                format!("pip found no set of packages for `{asked}`"),
                "ask for less: `--alone`, or another `--torch`".into(),
            ),
        };
        hinted(format!("{why}\n{}", pip::last_lines(&text, 8)), hint)
    }

    /// The index that does not answer: as pip names it, else the one that it is set to, without what may be a password.
    fn unreachable(&self, text: &str) -> String {
        let set = || {
            let url = Index::of_pip(&self.python).ok()?.index_url?;
            let place = url.split_once("://")?.1.split('/').next()?;
            Some(place.rsplit('@').next()?.to_owned())
        };
        let host = named_host(text).or_else(set);
        host.map_or_else(|| "that pip asks by default".into(), |host| format!("at {host}"))
    }
}

/// The host that pip's words name, as newer ones do: `HTTPSConnectionPool(host='mirror.example', port=443)`.
fn named_host(text: &str) -> Option<String> {
    let (host, rest) = text.split_once("host='")?.1.split_once('\'')?;
    let port: String = rest.strip_prefix(", port=")?.chars().take_while(char::is_ascii_digit).collect();
    Some(format!("{host}:{port}"))
}

/// Where the builds for one CUDA version lie, as far as it can be said without naming a server.
pub(super) fn index_of(cuda: &Version) -> String {
    let label = label(cuda);
    format!(
        "PyTorch has an index for each CUDA version, and the one for CUDA {cuda} ends in `/whl/{label}` (the selector on pytorch.org names it, and mirrors keep copies): `--extra-index-url URL`"
    )
}

/// CUDA 12.4 for `torch==2.5.1+cu124`.
pub(super) fn labelled(requirement: &str) -> Option<Version> {
    let digits: String = requirement.split_once("+cu")?.1.chars().take_while(char::is_ascii_digit).collect();
    let (major, minor) = digits.split_at_checked(digits.len().checked_sub(1)?)?;
    Some(Version::new(&[major.parse().ok()?, minor.parse().ok()?]))
}

/// `cu124`.
pub(super) fn label(cuda: &Version) -> String {
    format!("cu{}{}", cuda.major(), cuda.minor())
}

/// The first Python here whose pip can work for another one: `--python` came with 22.3.
fn any() -> Option<PathBuf> {
    let machine = splat_toolchain::probe(&Env::real(), &repository::facts(), &Request::default());
    let mut others = machine.pythons.into_iter().map(|python| python.path);
    others.find(|path| version(path).is_some_and(|v| v >= Version::new(&[22, 3])))
}

pub(super) fn version(python: &Path) -> Option<Version> {
    let mut command = pip::module(python, "pip");
    command.arg("--version");
    let finished = pip::run(command, false).ok().filter(|finished| finished.status.success())?;
    Version::find_in(finished.stdout.strip_prefix("pip ")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_for_one_cuda_names_its_index() {
        assert_eq!(labelled("torch==2.5.1+cu124").map(|cuda| cuda.to_string()).as_deref(), Some("12.4"));
        assert_eq!(labelled("torch==2.0.1+cu118").map(|cuda| label(&cuda)).as_deref(), Some("cu118"));
        for plain in ["torch==2.5.1", "torch==2.5.1+cpu", "torch==2.5.1+cu"] {
            assert_eq!(labelled(plain), None, "{plain}");
        }
    }

    #[test]
    fn the_host_that_does_not_answer_is_named() {
        let said =
            "WARNING: Retrying: HTTPSConnectionPool(host='mirror.example', port=8443): Max retries exceeded";
        assert_eq!(named_host(said).as_deref(), Some("mirror.example:8443"));
        assert_eq!(named_host("ERROR"), None);
    }
}
