//! A virtual environment, a folder of tiny wheels, and the program itself, all in a temporary place.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

pub(crate) struct Place {
    dir: TempDir,
}

#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) ok: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert!(self.ok, "it failed:\n{}{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn failed_saying(self, needles: &[&str]) -> Self {
        assert!(!self.ok, "it succeeded:\n{}{}", self.stdout, self.stderr);
        for needle in needles {
            assert!(self.stderr.contains(needle), "`{needle}` is not in:\n{}", self.stderr);
        }
        self
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        fs_err::create_dir(place.wheels()).unwrap();
        let venv = place.at("venv").display().to_string();
        run(Command::new("python3").args(["-m", "venv", "--without-pip", &venv])).succeeded();
        place
    }

    pub(crate) fn at(&self, inner: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(inner)
    }

    pub(crate) fn wheels(&self) -> PathBuf {
        self.at("wheels")
    }

    pub(crate) fn clear(&self) {
        fs_err::remove_dir_all(self.wheels()).unwrap();
        fs_err::create_dir(self.wheels()).unwrap();
    }

    pub(crate) fn wheel(&self, name: &str, version: &str, tags: &str, text: &str, needs: &[&str]) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torch/wheels.py");
        let text = format!("__version__ = '{version}'\n{text}\n");
        let mut command = Command::new("python3");
        command.arg(script).arg(self.wheels()).args([name, version, tags, &text]).args(needs);
        run(&mut command).succeeded();
    }

    /// The program with this environment, and with nothing but the folder of wheels as pip's source.
    pub(crate) fn folder_only(&self, arguments: &[&str]) -> Said {
        let links = self.wheels().display().to_string();
        self.for_venv(arguments, &[("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", &links)])
    }

    /// The program with this environment, and an index as pip's only source.
    pub(crate) fn indexed(&self, url: &str, arguments: &[&str]) -> Said {
        self.for_venv(
            arguments,
            &[("PIP_INDEX_URL", url), ("SPLATWRIGHT_RETRY_PAUSE", "0.01"), ("PIP_CONFIG_FILE", "/dev/null")],
        )
    }

    /// `torch install --from` the folder of wheels.
    pub(crate) fn install_folder(&self) -> Said {
        let wheels = self.wheels().display().to_string();
        self.for_venv(&["torch", "install", "--from", &wheels], &[])
    }

    pub(crate) fn for_venv(&self, arguments: &[&str], vars: &[(&str, &str)]) -> Said {
        let venv = self.at("venv").display().to_string();
        let (command, rest) = arguments.split_at(2);
        self.splatwright(&[command, &["--python", &venv], rest].concat(), vars)
    }

    pub(crate) fn splatwright(&self, arguments: &[&str], vars: &[(&str, &str)]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_splatwright"));
        for name in [
            "PIP_FIND_LINKS",
            "PIP_INDEX_URL",
            "PIP_EXTRA_INDEX_URL",
            "PIP_NO_INDEX",
            "HTTP_PROXY",
            "http_proxy",
        ] {
            command.env_remove(name);
        }
        command
            .args(arguments)
            .args(["--lang", "en"])
            .env("SPLATWRIGHT_HOME", self.at("home"))
            .envs(vars.iter().copied());
        run(&mut command)
    }

    /// What the environment's interpreter prints.
    pub(crate) fn python(&self, code: &str) -> String {
        let said = run(Command::new(self.at("venv/bin/python")).args(["-c", code])).succeeded();
        said.stdout.trim().to_owned()
    }

    pub(crate) fn tag(&self) -> String {
        self.python("import sys; print('cp%d%d' % sys.version_info[:2])")
    }

    pub(crate) fn site(&self) -> PathBuf {
        self.python("import sysconfig; print(sysconfig.get_paths()['purelib'])").into()
    }

    /// Every file of the environment with its hash; what Python compiled by itself apart.
    pub(crate) fn state(&self) -> Vec<(PathBuf, String)> {
        let mut files = Vec::new();
        walk(&self.at("venv"), &mut files);
        files.retain(|(path, _)| path.extension().is_none_or(|ending| ending != "pyc"));
        files.sort();
        files
    }
}

fn walk(folder: &Path, files: &mut Vec<(PathBuf, String)>) {
    for entry in fs_err::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.symlink_metadata().unwrap().is_dir() {
            walk(&path, files);
        } else if path.is_file() {
            files.push((path.clone(), sha256(&path)));
        }
    }
}

pub(crate) fn sha256(path: &Path) -> String {
    splat_toolchain::managed::hex(&Sha256::digest(fs_err::read(path).unwrap()))
}

fn run(command: &mut Command) -> Said {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { ok: output.status.success(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}
