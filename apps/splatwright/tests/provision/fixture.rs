//! A repository, a folder of wheels and a cache, all tiny and temporary, and builds run against them as child
//! processes: this test binary itself, started on `one_build` with an order in its environment.

use std::{
    env,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{OnceLock, mpsc},
    time::{Duration, Instant},
};

use fs_err as fs;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use splat_toolchain::{
    machine::Python,
    managed::{INRIA, TOOLS, hex},
    version::Version,
};
use splatwright::{
    hint,
    provision::{
        Accepted, Cache, Context, Progress, Step, ensure_managed, ensure_original, offline,
        original::{CHECKOUT, Original},
    },
};
use tempfile::TempDir;

const ORDER: &str = "SPLATWRIGHT_TEST_ORDER";

/// What a child is to do.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) repo: PathBuf,
    pub(crate) home: PathBuf,
    pub(crate) python: PathBuf,
    pub(crate) version: String,
    pub(crate) tools: bool,
    pub(crate) original: bool,
    pub(crate) offline: bool,
    /// At this step, wait as many milliseconds.
    pub(crate) pause: Option<(String, u64)>,
}

/// What a child said and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) ok: bool,
    pub(crate) lines: Vec<String>,
}

impl Ended {
    pub(crate) fn text(&self) -> String {
        self.lines.join("\n")
    }

    pub(crate) fn says(&self, needle: &str) -> bool {
        self.text().contains(needle)
    }

    /// The first line with that prefix, without it.
    pub(crate) fn line(&self, prefix: &str) -> &str {
        self.lines
            .iter()
            .find_map(|line| line.strip_prefix(prefix))
            .unwrap_or_else(|| panic!("no line `{prefix}` in:\n{}", self.text()))
    }

    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert!(self.ok, "the build failed:\n{}", self.text());
        self
    }

    #[track_caller]
    pub(crate) fn failed_saying(self, needles: &[&str]) -> Self {
        assert!(!self.ok, "the build succeeded:\n{}", self.text());
        for needle in needles {
            assert!(self.says(needle), "`{needle}` is not in:\n{}", self.text());
        }
        self
    }
}

/// A running child.
pub(crate) struct Build {
    child: Child,
    lines: mpsc::Receiver<String>,
    seen: Vec<String>,
}

impl Build {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Reads until a line with `needle` appears.
    #[track_caller]
    pub(crate) fn until(&mut self, needle: &str) {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    let found = line.contains(needle);
                    self.seen.push(line);
                    if found {
                        return;
                    }
                }
                Err(_) => panic!("`{needle}` never came:\n{}", self.seen.join("\n")),
            }
        }
    }

    /// SIGKILL: no destructor, no handler runs.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn end(mut self) -> Ended {
        self.seen.extend(self.lines.iter());
        Ended { ok: self.child.wait().unwrap().success(), lines: self.seen }
    }
}

pub(crate) struct Fixture {
    pub(crate) dir: TempDir,
    pub(crate) repo: PathBuf,
    pub(crate) wheels: PathBuf,
    pub(crate) home: PathBuf,
}

impl Fixture {
    /// A tools wheel (markers of the real item, and an `unearth` that copies from a folder) and an archive that
    /// is shaped as the original's. `ballast` bytes that do not compress lie in each.
    pub(crate) fn with_ballast(ballast: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let fixture = Self {
            repo: dir.path().join("repo"),
            wheels: dir.path().join("wheels"),
            home: dir.path().join("home"),
            dir,
        };
        fs::create_dir_all(fixture.repo.join("vendor/requirements")).unwrap();
        fs::create_dir_all(&fixture.wheels).unwrap();
        let made = Command::new(python())
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/provision/make.py"))
            .args([&fixture.wheels, Path::new(&ballast.to_string())])
            .stderr(Stdio::inherit())
            .status()
            .unwrap();
        assert!(made.success());
        fixture.write_requirements("");
        let archive = fixture.archive();
        let text = format!(
            "[original]\npackage = \"tiny-splatting\"\nversion = \"1.0\"\narchive = \"tiny_splatting-1.0.tar.gz\"\n\
             sha256 = \"{}\"\nbytes = {}\ntop = \"tiny_splatting-1.0\"\nsubfolder = \"submodules/raster\"\n\
             take = [\"cuda_rasterizer\", \"third_party/glm/glm\"]\nlicense = \"LICENSE.md\"\n\
             license_sha256 = \"0\"\n",
            sha256(&archive),
            fs::metadata(&archive).unwrap().len()
        );
        fs::write(fixture.repo.join("vendor/sources.toml"), text).unwrap();
        fixture
    }

    pub(crate) fn new() -> Self {
        Self::with_ballast(0)
    }

    /// The requirements of `tools`, with `header` as comments before them.
    pub(crate) fn write_requirements(&self, header: &str) {
        let text =
            format!("{header}--only-binary :all:\ntiny-tools==1.0 --hash=sha256:{}\n", sha256(&self.wheel()));
        fs::write(self.repo.join(TOOLS.requirements), text).unwrap();
    }

    pub(crate) fn wheel(&self) -> PathBuf {
        self.wheels.join("tiny_tools-1.0-py3-none-any.whl")
    }

    pub(crate) fn archive(&self) -> PathBuf {
        self.wheels.join("tiny_splatting-1.0.tar.gz")
    }

    /// Puts the verified archive where an earlier build leaves it.
    pub(crate) fn keep_archive(&self) {
        let downloads = self.home.join("v1/downloads");
        fs::create_dir_all(&downloads).unwrap();
        fs::copy(self.archive(), downloads.join("tiny_splatting-1.0.tar.gz")).unwrap();
    }

    pub(crate) fn order(&self) -> Order {
        Order {
            repo: self.repo.clone(),
            home: self.home.clone(),
            python: python(),
            version: interpreter().1.to_string(),
            tools: false,
            original: false,
            offline: false,
            pause: None,
        }
    }

    pub(crate) fn tools(&self) -> Order {
        Order { tools: true, ..self.order() }
    }

    pub(crate) fn original(&self) -> Order {
        Order { original: true, ..self.order() }
    }

    /// Starts a build whose pip knows the folder of wheels and nothing else.
    pub(crate) fn start(&self, order: &Order) -> Build {
        self.start_with(order, |command| {
            command.env("PIP_NO_INDEX", "1").env("PIP_FIND_LINKS", &self.wheels);
        })
    }

    pub(crate) fn start_with(&self, order: &Order, configure: impl FnOnce(&mut Command)) -> Build {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "fixture::one_build", "--nocapture"]);
        for (name, _) in env::vars() {
            if name.starts_with("PIP_") {
                command.env_remove(name);
            }
        }
        command.env("PIP_CONFIG_FILE", if cfg!(windows) { "nul" } else { "/dev/null" });
        configure(&mut command);
        spawn(command, order)
    }

    pub(crate) fn run(&self, order: &Order) -> Ended {
        self.start(order).end()
    }

    /// What lies in the bucket's temporary folder.
    pub(crate) fn left_over(&self) -> Vec<PathBuf> {
        match fs::read_dir(self.home.join("v1/tmp")) {
            Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
            Err(_) => Vec::new(),
        }
    }

    /// Item folders under their final names.
    pub(crate) fn placed(&self) -> Vec<PathBuf> {
        let mut folders: Vec<_> = fs::read_dir(self.home.join("v1"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.join(".splatwright.json").exists())
            .collect();
        folders.sort();
        folders
    }
}

pub(crate) fn spawn(mut command: Command, order: &Order) -> Build {
    command.env(ORDER, serde_json::to_string(order).unwrap());
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    Build { child, lines, seen: Vec::new() }
}

/// Python with pip is a prerequisite of every build, and so of these tests. A version manager's shim would
/// stand between a build and the pip that must die with it, so the interpreter itself is taken.
pub(crate) fn python() -> PathBuf {
    interpreter().0.clone()
}

fn interpreter() -> &'static (PathBuf, Version) {
    static FOUND: OnceLock<(PathBuf, Version)> = OnceLock::new();
    FOUND.get_or_init(|| {
        let ask = "import sys; print(sys.executable); print('%d.%d.%d' % sys.version_info[:3])";
        let answer = Command::new("python3").args(["-c", ask]).output().unwrap();
        let answer = String::from_utf8(answer.stdout).unwrap();
        let (path, version) = answer.trim().split_once('\n').unwrap();
        (PathBuf::from(path.trim()), version.parse().unwrap())
    })
}

pub(crate) fn sha256(path: &Path) -> String {
    hex(&Sha256::digest(fs::read(path).unwrap()))
}

/// Tells the parent everything, and stops where it was told to.
struct Teller(Option<(String, u64)>);

impl Progress for Teller {
    #[expect(clippy::print_stderr, reason = "the parent process reads it")]
    fn say(&mut self, line: &str) {
        eprintln!("say: {line}");
    }

    fn live(&self) -> bool {
        false
    }

    #[expect(clippy::print_stderr, reason = "the parent process reads it")]
    fn step(&mut self, step: Step) {
        eprintln!("step: {step:?}");
        if let Some((_, time)) = self.0.as_ref().filter(|(at, _)| *at == format!("{step:?}")) {
            std::thread::sleep(Duration::from_millis(*time));
        }
    }
}

fn build(order: &Order, progress: &mut dyn Progress) -> anyhow::Result<(Option<PathBuf>, Option<Original>)> {
    let cache = Cache::open(&order.home)?;
    let python = Python {
        path: order.python.clone(),
        version: order.version.parse()?,
        source: "test".to_owned(),
        ..Python::default()
    };
    let context = Context { repo: &order.repo, cache: &cache, python: &python, offline: order.offline };
    let pinned = order.original && !order.repo.join(CHECKOUT).exists();
    let items: Vec<_> = [(order.tools, TOOLS), (pinned, INRIA)]
        .into_iter()
        .filter_map(|(wanted, item)| wanted.then_some(item))
        .collect();
    offline::check(&context, &items)?;
    let tools = order.tools.then(|| ensure_managed(&context, &TOOLS, progress)).transpose()?;
    let accepted = Accepted { by: "a test".to_owned() };
    let original = order.original.then(|| ensure_original(&context, &accepted, progress)).transpose()?;
    Ok((tools, original))
}

/// A build as it should be; and, with an order in the environment, the child of the other tests.
#[test]
#[expect(clippy::print_stderr, reason = "the parent process reads it")]
fn one_build() {
    if let Ok(order) = env::var(ORDER) {
        let order: Order = serde_json::from_str(&order).unwrap();
        match build(&order, &mut Teller(order.pause.clone())) {
            Ok((tools, original)) => {
                if let Some(dir) = tools {
                    eprintln!("tools: {}", dir.display());
                }
                if let Some(original) = original {
                    eprintln!("path: {}", original.path.display());
                    eprintln!("glm: {}", original.glm.display());
                    eprintln!("version: {} pinned={}", original.version, original.pinned);
                    for note in original.notes {
                        eprintln!("note: {note}");
                    }
                }
                return;
            }
            Err(error) => {
                eprintln!("error: {error:#}");
                eprintln!("hint: {}", hint::of(&error).unwrap_or("NONE"));
                std::process::exit(1);
            }
        }
    }
    let fixture = Fixture::new();
    let order = Order { tools: true, ..fixture.original() };
    let first = fixture.run(&order).succeeded();
    assert!(first.says("say: bringing tools"), "{}", first.text());
    assert!(Path::new(first.line("tools: ")).join("cmake/data/bin/cmake").exists());
    assert!(Path::new(first.line("path: ")).join("cuda_rasterizer/forward.cu").exists());
    assert!(Path::new(first.line("glm: ")).join("glm/glm.hpp").exists());
    assert_eq!(first.line("version: "), "tiny-splatting 1.0 pinned=true");
    assert!(fixture.left_over().is_empty());
    assert!(fixture.home.join("CACHEDIR.TAG").exists());
    let second = fixture.run(&order).succeeded();
    assert!(!second.says("say:") && !second.says("step:"), "nothing is left to do: {}", second.text());
}
