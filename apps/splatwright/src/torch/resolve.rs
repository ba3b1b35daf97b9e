//! pip's own resolver, asked for a report instead of an installation: with the user's indexes, or offline with a
//! folder. Chooses requirements from the torch and the CUDA version that were asked for, and pins the companions that
//! were released with that torch, because not all of them declare it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use splat_toolchain::{
    Env, Request, Version,
    wheels::{self, Interpreter, Pinned},
};

use super::{TorchPlan, Wanted, elsewhere::Elsewhere};
use crate::{
    ext::Target,
    hint::hinted,
    provision::{
        index::Index,
        pip::{self, Finished},
    },
    repository, ui,
};

/// The first pip that reports without installing.
const REPORTS: [u32; 2] = [22, 2];
/// The first that reports from the index's metadata, without the wheels.
const FRUGAL: [u32; 2] = [24, 1];

/// A pip that serves the environment: its own, or another interpreter's told to work for it, or for another machine.
#[derive(Debug)]
pub(super) struct Pip {
    python: PathBuf,
    /// Given to `--python`, where the pip is another interpreter's.
    for_python: Option<PathBuf>,
    elsewhere: Option<Elsewhere>,
    /// Whether pip is told how often it should try again; by itself it goes on for minutes.
    patient: bool,
}

impl Pip {
    /// The environment's own pip if it is new enough, else the machine's.
    pub(super) fn of(target: &Target) -> Result<Self> {
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
    pub(super) fn for_elsewhere(elsewhere: Elsewhere) -> Result<Self> {
        let python = any().ok_or_else(|| {
            hinted("no Python here has pip 22.3 or later", "python3 -m pip install --upgrade pip")
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
    pub(super) fn python(&self) -> &Path {
        &self.python
    }

    /// Runs `pip <arguments>`; variables that would install something else, or elsewhere, are taken away.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<Finished> {
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
            return Err(self.refusal(&finished, requirements, None));
        }
        Ok(wheels::parse_report(&fs_err::read_to_string(&file)?)?)
    }

    fn refusal(&self, finished: &Finished, requirements: &[String], cuda: Option<&Version>) -> anyhow::Error {
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
fn index_of(cuda: &Version) -> String {
    let label = label(cuda);
    format!(
        "PyTorch has an index for each CUDA version, and the one for CUDA {cuda} ends in `/whl/{label}` (the selector on pytorch.org names it, and mirrors keep copies): `--extra-index-url URL`"
    )
}

/// CUDA 12.4 for `torch==2.5.1+cu124`.
fn labelled(requirement: &str) -> Option<Version> {
    let digits: String = requirement.split_once("+cu")?.1.chars().take_while(char::is_ascii_digit).collect();
    let (major, minor) = digits.split_at_checked(digits.len().checked_sub(1)?)?;
    Some(Version::new(&[major.parse().ok()?, minor.parse().ok()?]))
}

/// `cu124`.
fn label(cuda: &Version) -> String {
    format!("cu{}{}", cuda.major(), cuda.minor())
}

/// The first Python here whose pip can work for another one: `--python` came with 22.3.
fn any() -> Option<PathBuf> {
    let machine = splat_toolchain::probe(&Env::real(), &repository::facts(), &Request::default());
    let mut others = machine.pythons.into_iter().map(|python| python.path);
    others.find(|path| version(path).is_some_and(|v| v >= Version::new(&[22, 3])))
}

fn version(python: &Path) -> Option<Version> {
    let mut command = pip::module(python, "pip");
    command.arg("--version");
    let finished = pip::run(command, false).ok().filter(|finished| finished.status.success())?;
    Version::find_in(finished.stdout.strip_prefix("pip ")?)
}

/// Asks the user's indexes.
pub(super) fn online(pip: &Pip, interpreter: &Interpreter, wanted: &Wanted) -> Result<TorchPlan> {
    if let Some(old) = version(&pip.python).filter(|version| *version < Version::new(&FRUGAL)) {
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

    #[test]
    fn a_build_for_one_cuda_names_its_index() {
        assert_eq!(labelled("torch==2.5.1+cu124").map(|cuda| cuda.to_string()).as_deref(), Some("12.4"));
        assert_eq!(labelled("torch==2.0.1+cu118").map(|cuda| label(&cuda)).as_deref(), Some("cu118"));
        for plain in ["torch==2.5.1", "torch==2.5.1+cpu", "torch==2.5.1+cu"] {
            assert_eq!(labelled(plain), None, "{plain}");
        }
    }

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
    fn the_host_that_does_not_answer_is_named() {
        let said =
            "WARNING: Retrying: HTTPSConnectionPool(host='mirror.example', port=8443): Max retries exceeded";
        assert_eq!(named_host(said).as_deref(), Some("mirror.example:8443"));
        assert_eq!(named_host("ERROR"), None);
    }

    #[test]
    fn versions_as_pip_lists_them() {
        let text = "torch (2.11.0)\nAvailable versions: 2.11.0, 2.6.0+cu124\n  INSTALLED: 2.4.0\n";
        assert_eq!(parse_versions(text), ["2.11.0", "2.6.0+cu124"]);
        assert!(parse_versions("ERROR").is_empty());
    }
}
