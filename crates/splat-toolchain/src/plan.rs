//! The plan: what will be built with what, and why. A pure function of the machine, the request and the
//! repository: the same three always give the same plan, so a saved snapshot replays anywhere.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    choose::{self, Chosen, Context},
    finding::{Finding, Severity},
    machine::{HostCeiling, HostCompiler, Machine, Python},
    managed::{INRIA, ManagedItem, VIEWER, hex},
    request::{EngineName, Repo, Request, Settings},
    rows::{self, Row},
    rules, tables,
    version::Version,
};

/// Where one ingredient comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// Already on the machine. For torch, the folder with `lib` and `include`; for CUDA, the toolkit's root;
    /// for programs, the file.
    Installed {
        /// Where it is.
        path: PathBuf,
        /// Its version.
        version: Version,
    },
    /// Ours, in the cache.
    Managed {
        /// What is installed.
        item: ManagedItem,
        /// Its folder in the cache.
        dir: PathBuf,
        /// What `Installed` would name.
        path: PathBuf,
        /// Its version.
        version: Version,
        /// Whether it is there already.
        present: bool,
    },
    /// Neither there nor to be brought; a finding says why.
    Missing,
    /// This plan does not need it.
    Unneeded,
}

impl Choice {
    /// Where it lies or will lie.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Installed { path, .. } | Self::Managed { path, .. } => Some(path),
            Self::Missing | Self::Unneeded => None,
        }
    }

    /// The version that is used, if anything is.
    pub fn version(&self) -> Option<&Version> {
        match self {
            Self::Installed { version, .. } | Self::Managed { version, .. } => Some(version),
            Self::Missing | Self::Unneeded => None,
        }
    }

    /// The installation that must be brought before it can be used.
    pub fn to_bring(&self) -> Option<(ManagedItem, &Path)> {
        match self {
            Self::Managed { item, dir, present: false, .. } => Some((*item, dir)),
            _ => None,
        }
    }
}

/// The original rasterizer's sources.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sources {
    /// The user's own checkout, used as it is: nothing pins what it holds.
    Checkout {
        /// Its folder.
        path: PathBuf,
    },
    /// The pinned package, unpacked in the cache.
    Pinned {
        /// What is unpacked.
        item: ManagedItem,
        /// Its folder in the cache.
        dir: PathBuf,
        /// Whether it is there already.
        present: bool,
    },
    /// The engine is not planned.
    Unneeded,
}

impl Sources {
    /// Folder with `cuda_rasterizer/` and `third_party/glm/`.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Checkout { path } | Self::Pinned { dir: path, .. } => Some(path),
            Self::Unneeded => None,
        }
    }
}

/// Why one candidate was taken and the others were not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// `torch`, `CUDA`, ...
    pub subject: String,
    /// What was taken.
    pub chosen: String,
    /// Why.
    pub because: String,
    /// Candidate, and why not.
    pub rejected: Vec<(String, String)>,
}

/// Everything `build` acts on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The pair of torch and tch.
    pub row: Row,
    /// Which torch.
    pub torch: Choice,
    /// Which CUDA toolkit.
    pub cuda: Choice,
    /// Which CMake.
    pub cmake: Choice,
    /// Which ninja.
    pub ninja: Choice,
    /// Which sources of the original rasterizer.
    pub sources: Sources,
    /// The interpreter that brings packages.
    pub python: Option<Python>,
    /// The compiler that nvcc hands the host code to.
    pub host_compiler: Option<HostCompiler>,
    /// Machine code (SASS) for these, ascending; two or three digits.
    pub archs: Vec<u32>,
    /// The one also kept as PTX, the highest.
    pub ptx: Option<u32>,
    /// The engines that are built.
    pub engines: Vec<EngineName>,
    /// Parallel jobs that memory and cores allow.
    pub jobs: usize,
    /// For `.cargo/toolchain.toml`; see [`crate::config`].
    pub env: BTreeMap<String, String>,
    /// Relative to the repository.
    pub target_dir: String,
    /// sha256 over everything that would change the compiled kernels, source hashes apart.
    pub fingerprint: String,
    /// What `.cargo/toolchain.toml` records for the next call.
    pub settings: Settings,
    /// What was chosen, and why.
    pub choices: Vec<Explained>,
    /// What would go wrong.
    pub findings: Vec<Finding>,
}

/// In a row's target directory: the engine libraries.
const ENGINES: &str = "engines";

impl Plan {
    /// Where the build gathers engine libraries, relative to the repository.
    #[must_use]
    pub fn engine_dir(&self) -> PathBuf {
        Path::new(&self.target_dir).join(ENGINES)
    }

    /// Findings that stop the build.
    pub fn blockers(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity >= Severity::Error)
    }

    /// What must be brought, each installation once, with its folder.
    pub fn to_bring(&self) -> Vec<(ManagedItem, PathBuf)> {
        let mut items: Vec<(ManagedItem, PathBuf)> = Vec::new();
        let choices = [&self.torch, &self.cuda, &self.cmake, &self.ninja];
        let mut add = |item: ManagedItem, dir: &Path| {
            if !items.iter().any(|(known, _)| *known == item) {
                items.push((item, dir.to_owned()));
            }
        };
        for (item, dir) in choices.into_iter().filter_map(Choice::to_bring) {
            add(item, dir);
        }
        if let Sources::Pinned { item, dir, present: false } = &self.sources {
            add(*item, dir);
        }
        items
    }
}

/// Memory that one compile job of nvcc or of libtorch's glue needs.
pub(crate) const JOB_MEMORY: u64 = 3_000_000_000;

/// What to build with what, and why.
pub fn plan(machine: &Machine, request: &Request, repo: &Repo) -> Plan {
    let settings = repo.settings.with(request);
    let mut findings = Vec::new();
    let row = row(&settings, &mut findings);
    let consent = consent(machine, request, repo);
    let engines = engines(&settings, consent, repo, &mut findings);
    let python = choose::host::python(machine, row);
    let context = Context { machine, repo, settings: &settings, row, engines: &engines, python };

    let torch = choose::torch::choose(&context);
    let cuda = choose::cuda::choose(&context);
    let toolkit = toolkit(machine, &cuda.choice);
    let compiler = choose::host::compiler(&context, toolkit.as_ref().map(|toolkit| &toolkit.ceiling));
    let archs = match &toolkit {
        Some(toolkit) => {
            choose::archs::choose(settings.archs.as_deref(), &machine.gpus, &toolkit.gpu_codes, &toolkit.name)
        }
        None => Chosen { choice: Vec::new(), explained: Explained::default(), findings: Vec::new() },
    };
    let cmake = choose::host::cmake(&context);
    let ninja = choose::host::ninja(&context);
    let sources = sources(&context);
    // Only what is there: without it the build goes on, and `splat view` says what brings it.
    let viewer = context.managed(VIEWER).filter(|(_, whole)| *whole).map(|(dir, _)| dir);

    let mut choices = vec![
        torch.explained,
        cuda.explained,
        compiler.explained,
        archs.explained,
        cmake.explained,
        ninja.explained,
    ];
    choices.retain(|explained| !explained.subject.is_empty());
    for more in
        [torch.findings, cuda.findings, compiler.findings, archs.findings, cmake.findings, ninja.findings]
    {
        findings.extend(more);
    }
    let mut plan = Plan {
        row,
        torch: torch.choice,
        cuda: cuda.choice,
        cmake: cmake.choice,
        ninja: ninja.choice,
        sources,
        python: python.cloned(),
        host_compiler: compiler.choice,
        ptx: archs.choice.last().copied(),
        archs: archs.choice,
        jobs: jobs(machine),
        env: BTreeMap::new(),
        target_dir: row.target_dir(),
        fingerprint: String::new(),
        engines,
        settings,
        choices,
        findings,
    };
    plan.fingerprint = fingerprint(machine, &plan);
    plan.env = env(machine, &plan, viewer.as_deref(), &repo.root);
    plan.findings.extend(rules::all(machine, request, repo, &plan));
    plan.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    plan
}

/// The CUDA toolkit that a plan with a CUDA engine would use, whatever engines are asked for now: so that
/// `switch cuda` can refuse a toolkit before anything is built with it.
pub fn cuda_choice(machine: &Machine, request: &Request, repo: &Repo) -> (Choice, Explained, Vec<Finding>) {
    let settings = repo.settings.with(request);
    let row = row(&settings, &mut Vec::new());
    let python = choose::host::python(machine, row);
    let context = Context { machine, repo, settings: &settings, row, engines: &[EngineName::Cuda], python };
    let Chosen { choice, explained, findings } = choose::cuda::choose(&context);
    (choice, explained, findings)
}

fn row(settings: &Settings, findings: &mut Vec<Finding>) -> Row {
    let asked = settings.row.as_deref().unwrap_or(rows::DEFAULT);
    Row::named(asked).unwrap_or_else(|| {
        let message = format!("there is no row `{asked}`; rows: {}", rows::names());
        findings.push(Finding::new("S12", Severity::Error, message).hint("cargo xtask switch list"));
        rows::ROWS.iter().find(|row| row.name == rows::DEFAULT).copied().unwrap_or(rows::ROWS[0])
    })
}

/// Whether the original's licence was accepted: by this call, by the environment, or on record.
fn consent(machine: &Machine, request: &Request, repo: &Repo) -> bool {
    let by_env = machine.user_env.get("SPLATWRIGHT_ACCEPT_LICENSE");
    let by_env = by_env.is_some_and(|list| list.split([',', ';', ' ']).any(|name| name.trim() == "inria"));
    request.accept_inria || by_env || repo.consent.is_some()
}

fn engines(settings: &Settings, consent: bool, repo: &Repo, findings: &mut Vec<Finding>) -> Vec<EngineName> {
    let asked = settings.engines.as_deref().unwrap_or_default();
    let mut engines = match asked {
        [] => {
            let mut all = vec![EngineName::Cpu];
            all.extend(repo.own_kernels.then_some(EngineName::Cuda));
            all.extend(consent.then_some(EngineName::Inria));
            all
        }
        asked => asked.to_vec(),
    };
    if !engines.contains(&EngineName::Cpu) {
        engines.push(EngineName::Cpu); // the reference that every other engine is held against
    }
    engines.sort_unstable();
    engines.dedup();
    if !consent && (asked.is_empty() || engines.contains(&EngineName::Inria)) {
        let severity = if asked.is_empty() { Severity::Info } else { Severity::Warning };
        let message = "the engine `inria` is left out: its sources are licensed for non-commercial research, and that has not been accepted yet";
        findings.push(
            Finding::new("S04", severity, message)
                .evidence("neither vendor/consent.toml nor SPLATWRIGHT_ACCEPT_LICENSE names inria")
                .hint("cargo xtask build --accept-license inria"),
        );
        engines.retain(|engine| *engine != EngineName::Inria);
    }
    if engines.contains(&EngineName::Cuda) && !repo.own_kernels {
        findings.push(
            Finding::new(
                "S13",
                Severity::Error,
                "the engine `cuda` was asked for, and this tree does not hold our kernels",
            )
            .evidence("no crates/splat-cuda/kernels/*.cu")
            .hint("cargo xtask build --engines cpu,inria"),
        );
        engines.retain(|engine| *engine != EngineName::Cuda);
    }
    engines
}

/// What the compiler and the architectures are chosen against.
struct ToolkitFacts {
    name: String,
    ceiling: HostCeiling,
    gpu_codes: Vec<u32>,
}

fn toolkit(machine: &Machine, cuda: &Choice) -> Option<ToolkitFacts> {
    let (path, version) = cuda.path().zip(cuda.version())?;
    let name = format!("CUDA {}", version.series());
    let found = machine.toolkits.iter().find(|toolkit| toolkit.root == path && !toolkit.gpu_codes.is_empty());
    Some(match found {
        Some(toolkit) => {
            ToolkitFacts { name, ceiling: toolkit.ceiling.clone(), gpu_codes: toolkit.gpu_codes.clone() }
        }
        // Ours, and not here yet.
        None => ToolkitFacts {
            name,
            ceiling: tables::managed_ceiling(),
            gpu_codes: tables::gpu_codes(version).to_vec(),
        },
    })
}

fn sources(context: &Context<'_>) -> Sources {
    if !context.engines.contains(&EngineName::Inria) {
        return Sources::Unneeded;
    }
    if let Some(path) = &context.repo.checkout {
        return Sources::Checkout { path: path.clone() };
    }
    match context.managed(INRIA) {
        Some((dir, present)) => Sources::Pinned { item: INRIA, dir, present },
        None => Sources::Unneeded,
    }
}

/// Parallel compile jobs: a core and 3 GB each.
fn jobs(machine: &Machine) -> usize {
    let by_memory = machine.memory.as_ref().map_or(usize::MAX, |memory| (memory.value / JOB_MEMORY) as usize);
    machine.cpus.min(by_memory).max(1)
}

/// Two plans with one fingerprint compile the same kernels, given the same sources.
fn fingerprint(machine: &Machine, plan: &Plan) -> String {
    let choice = |choice: &Choice| match (choice.version(), choice.path()) {
        (Some(version), Some(path)) => format!("{version} {}", path.display()),
        _ => "none".into(),
    };
    let compiler = plan.host_compiler.as_ref();
    let compiler =
        compiler.map(|c| format!("{:?} {} {}", c.kind, c.version, c.path.display())).unwrap_or_default();
    let mut text = format!(
        "format 1\ncuda {}\ntorch {}\nabi {}\nhost {compiler}\nsass {:?}\nptx {:?}\n",
        choice(&plan.cuda),
        plan.torch.version().map(ToString::to_string).unwrap_or_default(),
        abi(machine, plan),
        plan.archs,
        plan.ptx,
    );
    for name in ["CXXFLAGS", "NVCC_PREPEND_FLAGS", "NVCC_APPEND_FLAGS"] {
        text += &format!("{name} {}\n", machine.user_env.get(name).map(String::as_str).unwrap_or_default());
    }
    hex(&Sha256::digest(text.as_bytes()))
}

/// `_GLIBCXX_USE_CXX11_ABI` of the chosen torch: what it says itself, else what the row's wheels have.
fn abi(machine: &Machine, plan: &Plan) -> bool {
    let torch = machine.torches.iter().find(|torch| Some(torch.root.as_path()) == plan.torch.path());
    torch.map_or(plan.row.cxx11_abi, |torch| torch.cxx11_abi.unwrap_or(true))
}

fn env(machine: &Machine, plan: &Plan, viewer: Option<&Path>, repo: &Path) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    let mut set = |name: &str, value: String| env.insert(name.to_owned(), value);
    let shown = |path: &Path| path.display().to_string();
    let list = |items: Vec<String>, separator: &str| items.join(separator);

    // What the user exported stays the user's: written down, it could not be told from ours next time.
    let explicit_torch = machine.torches.iter().any(|torch| torch.explicit);
    if let Some(path) = plan.torch.path() {
        if !explicit_torch {
            set("LIBTORCH", shown(path));
        }
        let abi = abi(machine, plan);
        set("LIBTORCH_CXX11_ABI", u8::from(abi).to_string());
        if !abi && machine.os == "linux" {
            // For cxx and our own shim; torch-sys sets it itself. The target's own variable adds to the user's CXXFLAGS.
            set(&format!("CXXFLAGS_{}_unknown_linux_gnu", machine.arch), "-D_GLIBCXX_USE_CXX11_ABI=0".into());
        }
        if plan.torch.version().is_some_and(|version| plan.row.needs_bypass(version)) {
            set("LIBTORCH_BYPASS_VERSION_CHECK", "1".into());
        }
    }
    set("SPLATWRIGHT_ROW", plan.row.name.into());
    // Where every program and test that cargo starts looks for engine libraries. Written as the planned machine writes
    // paths, which need not be this one.
    let engines = format!("{}/{}", plan.target_dir, ENGINES);
    set(
        "SPLAT_ENGINES",
        match (repo.as_os_str().is_empty(), machine.os.as_str()) {
            (true, _) => engines,
            (false, "windows") => format!(r"{}\{}", repo.display(), engines.replace('/', r"\")),
            (false, _) => format!("{}/{engines}", repo.display()),
        },
    );
    set("SPLATWRIGHT_FINGERPRINT", plan.fingerprint.clone());
    if let Some(path) = plan.cuda.path() {
        set("SPLATWRIGHT_CUDA_HOME", shown(path));
        set("SPLATWRIGHT_CUDA_ARCHS", list(plan.archs.iter().map(ToString::to_string).collect(), ";"));
        if let Some(compiler) = plan.host_compiler.as_ref().filter(|compiler| !compiler.explicit) {
            set("CUDAHOSTCXX", shown(&compiler.path));
        }
    }
    for (name, path) in [
        ("SPLATWRIGHT_CMAKE", plan.cmake.path()),
        ("SPLATWRIGHT_NINJA", plan.ninja.path()),
        ("SPLATWRIGHT_INRIA_SOURCE", plan.sources.path()),
        ("SPLATWRIGHT_VIEWER", viewer),
    ] {
        if let Some(path) = path {
            set(name, shown(path));
        }
    }
    if let Sources::Pinned { item, .. } = &plan.sources {
        set("SPLATWRIGHT_INRIA_VERSION", item.version.into());
    }
    env
}
