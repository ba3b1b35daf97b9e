//! The probe's window on a machine: variables, the root of its well-known folders, and running a program for its
//! version. Injected, so that a folder of fixtures with fake programs is a machine too.

mod run;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::machine::Fact;

/// A program that has not ended after this long is ended and reported (S17).
pub const PATIENCE: Duration = Duration::from_secs(5);

/// An operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Os {
    /// Linux.
    Linux,
    /// Windows.
    Windows,
    /// macOS.
    Macos,
}

impl Os {
    /// The one this program was compiled for.
    pub const HERE: Self = if cfg!(windows) {
        Self::Windows
    } else if cfg!(target_os = "macos") {
        Self::Macos
    } else {
        Self::Linux
    };

    /// Its name as Rust and snapshots spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::Windows => "windows",
            Self::Macos => "macos",
        }
    }
}

/// Where facts are read from.
#[derive(Clone, Debug)]
pub struct Env {
    vars: BTreeMap<String, String>,
    /// Variables that `.cargo/toolchain.toml` sets: cargo puts them into our environment too.
    own: BTreeMap<String, String>,
    root: PathBuf,
    /// The operating system that is looked at.
    pub os: Os,
    /// Interpreters that the request names, besides those that are active.
    pub pythons: Vec<PathBuf>,
    /// How long a program may take.
    pub patience: Duration,
    /// Programs that took longer, with the seconds they were given.
    silent: Arc<Mutex<Vec<Fact<u64>>>>,
    /// Every program that was started, with how long it took.
    started: Arc<Mutex<Vec<(String, Duration)>>>,
}

impl Env {
    /// This process's environment on this machine.
    pub fn real() -> Self {
        let vars = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()));
        Self::new(vars, "/", Os::HERE)
    }

    /// Another environment: `root` stands for `/`, so that `/proc` is `<root>/proc`.
    /// Paths in the variables are taken as they stand.
    pub fn new(vars: impl IntoIterator<Item = (String, String)>, root: impl Into<PathBuf>, os: Os) -> Self {
        // Windows finds variables whatever their case.
        let fold = |name: String| if os == Os::Windows { name.to_uppercase() } else { name };
        let vars = vars.into_iter().map(|(name, value)| (fold(name), value)).collect();
        Self {
            vars,
            own: BTreeMap::new(),
            root: root.into(),
            os,
            pythons: Vec::new(),
            patience: PATIENCE,
            silent: Arc::default(),
            started: Arc::default(),
        }
    }

    /// A machine in a folder. `machine.env` in it has a variable a line, `{root}` standing for the folder; `OS` says
    /// which system it is. Programs that have a `.says` file beside them are not run: it holds, after each
    /// `$ arguments` line, what they print (`{root}` is the folder here too, with `/`).
    ///
    /// # Errors
    /// There is no `machine.env`.
    pub fn fixture(root: &Path) -> std::io::Result<Self> {
        let text = fs_err::read_to_string(root.join("machine.env"))?;
        let shown = root.display().to_string();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let vars: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.trim().to_owned(), value.trim().replace("{root}", &shown)))
            .collect();
        let os = match vars.get("OS").map(|os| os.to_lowercase()) {
            Some(os) if os.starts_with("windows") => Os::Windows,
            Some(os) if os == "macos" => Os::Macos,
            _ => Os::Linux,
        };
        Ok(Self::new(vars, root, os))
    }

    /// Whether this is a folder that stands for a machine.
    pub fn is_fixture(&self) -> bool {
        self.root != Path::new("/")
    }

    /// Every program that was started so far, in the order of their ends, with how long it took.
    pub fn started(&self) -> Vec<(String, Duration)> {
        self.started.lock().map(|list| list.clone()).unwrap_or_default()
    }

    /// Programs that were ended because they did not answer.
    pub fn silent(&self) -> Vec<Fact<u64>> {
        self.silent.lock().map(|list| list.clone()).unwrap_or_default()
    }

    /// With the values that `.cargo/toolchain.toml` sets, so that [`Self::user`] can tell them from the user's.
    #[must_use]
    pub fn with_own(mut self, own: &BTreeMap<String, String>) -> Self {
        self.own.clone_from(own);
        self
    }

    /// A variable that is set and not empty.
    pub fn var(&self, name: &str) -> Option<&str> {
        let value = match self.os {
            Os::Windows => self.vars.get(&name.to_uppercase()),
            Os::Linux | Os::Macos => self.vars.get(name),
        };
        value.map(String::as_str).filter(|value| !value.trim().is_empty())
    }

    /// A variable that the user set: not one that holds exactly what `.cargo/toolchain.toml` gives it.
    pub fn user(&self, name: &str) -> Option<&str> {
        self.var(name).filter(|value| self.own.get(name).map(String::as_str) != Some(*value))
    }

    /// The variables whose names start so.
    pub fn vars_starting(&self, prefix: &str) -> impl Iterator<Item = (&str, &str)> {
        self.vars
            .iter()
            .filter(move |(name, value)| name.starts_with(prefix) && !value.trim().is_empty())
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A well-known absolute place on this machine.
    pub fn place(&self, absolute: &str) -> PathBuf {
        self.root.join(absolute.trim_start_matches('/'))
    }

    /// The text of a well-known file.
    pub fn read(&self, absolute: &str) -> Option<String> {
        fs_err::read_to_string(self.place(absolute)).ok()
    }

    /// `nvcc` as this system calls it.
    pub fn exe(&self, name: &str) -> String {
        if self.os == Os::Windows { format!("{name}.exe") } else { name.to_owned() }
    }

    /// The folders of PATH, in order.
    pub fn path_dirs(&self) -> Vec<PathBuf> {
        let separator = if self.os == Os::Windows { ';' } else { ':' };
        let path = self.var("PATH").unwrap_or_default();
        let mut dirs: Vec<PathBuf> = Vec::new();
        for dir in path.split(separator).filter(|dir| !dir.is_empty()).map(PathBuf::from) {
            if !dirs.contains(&dir) {
                dirs.push(dir);
            }
        }
        dirs
    }

    /// Every file of that name on PATH, in order. An absolute or relative path stands for itself.
    pub fn all_on_path(&self, program: &str) -> Vec<PathBuf> {
        if program.contains(['/', '\\']) {
            return Some(PathBuf::from(program)).into_iter().filter(|path| path.is_file()).collect();
        }
        let name = if program.ends_with(".exe") { program.to_owned() } else { self.exe(program) };
        self.path_dirs().into_iter().map(|dir| dir.join(&name)).filter(|path| self.is_program(path)).collect()
    }

    /// Whether there is a program of that path.
    pub(crate) fn has_program(&self, path: &Path) -> bool {
        path.is_file() || (self.is_fixture() && says(path).is_file())
    }

    fn is_program(&self, path: &Path) -> bool {
        is_program(path) || (self.is_fixture() && says(path).is_file())
    }

    /// The file that the shell would run.
    pub fn on_path(&self, program: &str) -> Option<PathBuf> {
        self.all_on_path(program).into_iter().next()
    }
}

/// Where a fixture keeps what a program says: `nvcc.exe` has `nvcc.exe.says` beside it.
fn says(program: &Path) -> PathBuf {
    let mut name = program.file_name().unwrap_or_default().to_owned();
    name.push(".says");
    program.with_file_name(name)
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs_err::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

/// The path with links resolved, or as it is where that fails: for telling two names of one place apart.
pub(crate) fn real_path(path: &Path) -> PathBuf {
    fs_err::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(vars: &[(&str, &str)], os: Os) -> Env {
        Env::new(vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())), "/", os)
    }

    #[test]
    fn our_own_values_are_not_the_users() {
        let own = BTreeMap::from([("LIBTORCH".to_owned(), "/cache/torch".to_owned())]);
        let ours = env(&[("LIBTORCH", "/cache/torch")], Os::Linux).with_own(&own);
        assert_eq!(ours.user("LIBTORCH"), None);
        assert_eq!(ours.var("LIBTORCH"), Some("/cache/torch"));
        let users = env(&[("LIBTORCH", "/opt/libtorch")], Os::Linux).with_own(&own);
        assert_eq!(users.user("LIBTORCH"), Some("/opt/libtorch"));
    }

    #[test]
    fn windows_names_have_no_case() {
        assert_eq!(env(&[("Path", "C:\\a")], Os::Windows).var("PATH"), Some("C:\\a"));
        assert_eq!(env(&[("Path", "/a")], Os::Linux).var("PATH"), None);
    }

    #[test]
    fn empty_variables_are_unset() {
        assert_eq!(env(&[("CUDA_HOME", " ")], Os::Linux).var("CUDA_HOME"), None);
    }
}
