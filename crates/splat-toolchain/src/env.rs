//! The probe's window on a machine: variables, the root of its well-known folders, and running a program for its
//! version. Injected, so that a folder of fixtures with fake programs is a machine too.

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
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

    /// Standard output and then standard error of a program that ends well within [`Self::patience`].
    pub fn run(&self, program: &Path, args: &[&str]) -> Option<String> {
        if self.is_fixture()
            && let Ok(text) = fs_err::read_to_string(says(program))
        {
            let root = self.root.display().to_string().replace('\\', "/");
            return said(&text.replace("{root}", &root), &args.join(" "));
        }
        let start = Instant::now();
        let answer = self.spawn(program, args);
        if let Ok(mut list) = self.started.lock() {
            let first_line = |text: &str| text.lines().next().unwrap_or_default().to_owned();
            let args: Vec<String> = args.iter().map(|arg| first_line(arg)).collect();
            list.push((format!("{} {}", program.display(), args.join(" ")), start.elapsed()));
        }
        answer
    }

    fn spawn(&self, program: &Path, args: &[&str]) -> Option<String> {
        let mut command = Command::new(program);
        command.args(args).env_clear().envs(&self.vars);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A freshly written script can be busy for a moment while another thread forks.
        let mut child = (0..20).find_map(|_| match command.spawn() {
            Ok(child) => Some(Some(child)),
            Err(e) if e.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                thread::sleep(Duration::from_millis(5));
                None
            }
            Err(_) => Some(None),
        })??;
        // Read on threads: a program that fills a pipe would otherwise wait for us for ever. Not joined: what the
        // program leaves running may hold its pipes open.
        let (out, err) = (read_aside(child.stdout.take()?), read_aside(child.stderr.take()?));
        let deadline = Instant::now() + self.patience;
        let left = || deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(100));
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
                _ => {
                    let _ = child.kill();
                    let _ = child.wait();
                    self.note_silent(program, args);
                    return None;
                }
            }
        };
        let text = out.recv_timeout(left()).ok()? + &err.recv_timeout(left()).ok()?;
        status.success().then_some(text)
    }

    fn note_silent(&self, program: &Path, args: &[&str]) {
        if let Ok(mut list) = self.silent.lock() {
            let line = format!("{} {}", program.display(), args.join(" "));
            list.push(Fact::new(self.patience.as_secs(), line.trim_end()));
        }
    }
}

/// Where a fixture keeps what a program says: `nvcc.exe` has `nvcc.exe.says` beside it.
fn says(program: &Path) -> PathBuf {
    let mut name = program.file_name().unwrap_or_default().to_owned();
    name.push(".says");
    program.with_file_name(name)
}

/// The lines after `$ arguments`, or after `$ *` where the arguments are not listed.
fn said(text: &str, args: &str) -> Option<String> {
    let mut sections = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("$ ") {
            Some(heading) => sections.push((heading.trim(), String::new())),
            None => {
                if let Some((_, body)) = sections.last_mut() {
                    body.push_str(line);
                    body.push('\n');
                }
            }
        }
    }
    let named = |name: &str| sections.iter().find(|(heading, _)| *heading == name);
    named(args).or_else(|| named("*")).map(|(_, body)| body.clone())
}

fn read_aside(mut from: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || send.send(read_lossy(&mut from)));
    receive
}

fn read_lossy(from: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    // What came before a broken pipe still counts.
    let _ = from.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
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

    #[test]
    fn a_fixture_speaks_for_its_programs() {
        let text = "$ --version\nrelease 12.6\n$ *\nanything\n";
        assert_eq!(said(text, "--version").as_deref(), Some("release 12.6\n"));
        assert_eq!(said(text, "-x y").as_deref(), Some("anything\n"));
        assert_eq!(said("$ --version\n1\n", "--help"), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_program_that_hangs_is_ended_and_reported() {
        let mut env = Env::real();
        env.patience = Duration::from_secs(1);
        let start = Instant::now();
        // The shell's child keeps the pipe open after the shell is gone.
        assert_eq!(env.run(Path::new("/bin/sh"), &["-c", "sleep 20; echo late"]), None);
        assert!(start.elapsed() < Duration::from_secs(5), "took {:?}", start.elapsed());
        assert_eq!(env.silent(), [Fact::new(1, "/bin/sh -c sleep 20; echo late")]);
        let start = Instant::now();
        let _ = env.run(Path::new("/bin/sh"), &["-c", "sleep 20 & echo now"]);
        assert!(start.elapsed() < Duration::from_secs(5), "took {:?}", start.elapsed());
    }

    #[cfg(unix)]
    #[test]
    fn a_program_that_fails_says_nothing() {
        let env = Env::real();
        assert_eq!(env.run(Path::new("/bin/sh"), &["-c", "echo yes; exit 3"]), None);
        assert_eq!(env.run(Path::new("/bin/sh"), &["-c", "echo yes"]).as_deref(), Some("yes\n"));
        assert_eq!(env.run(Path::new("/nonexistent/program"), &[]), None);
    }
}
