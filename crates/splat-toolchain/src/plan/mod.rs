//! The plan: what will be built with what, and why. A pure function of the machine, the request and the
//! repository: the same three always give the same plan, so a saved snapshot replays anywhere.

mod asked;
mod choice;
mod environment;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use self::asked::{consent, engines, row, sources, toolkit};
pub use self::choice::{Choice, Explained, Sources};
use self::environment::{env, fingerprint};
use crate::{
    choose::{self, Chosen, Context},
    finding::{Finding, Severity},
    machine::{HostCompiler, Machine, Python},
    managed::{ManagedItem, VIEWER},
    request::{EngineName, Repo, Request, Settings},
    rows::Row,
    rules,
};

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

/// Parallel compile jobs: a core and 3 GB each.
fn jobs(machine: &Machine) -> usize {
    let by_memory = machine.memory.as_ref().map_or(usize::MAX, |memory| (memory.value / JOB_MEMORY) as usize);
    machine.cpus.min(by_memory).max(1)
}
