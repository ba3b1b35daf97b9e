//! The plan for another project's torch extension (setuptools, `CUDAExtension`): unlike our own build, torch's own
//! checks apply, so the toolkit's major version must be torch's. A pure function of the machine, the torch of the
//! target environment and what was asked; nothing is built, written or fetched here.

mod environment;
mod toolkit;

use std::path::{Path, PathBuf};

use serde::Serialize;

pub use self::environment::{FORCED, Surroundings, build_root, environment, parse_arch_list};
use self::toolkit::toolkit;
use crate::{
    choose::{self, Context, host},
    finding::{Finding, Severity},
    machine::{CompilerKind, HostCeiling, HostCompiler, Machine, Torch},
    plan::{Choice, Explained, JOB_MEMORY},
    request::{EngineName, Repo, Settings},
    rows, tables,
    version::Version,
};

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub struct ExtRequest {
    /// Compute capabilities, two or three digits; `None` for the GPUs present.
    pub archs: Option<Vec<u32>>,
    /// A version (`12.6`), a folder, or `managed`.
    pub cuda: Option<String>,
    /// A toolkit of another major version than torch's is taken where none of torch's is there: its runtime is then
    /// linked statically, and what differs between the majors must not cross the border to torch.
    pub mismatch: bool,
}

/// What the extension is built with, and why.
#[derive(Clone, Debug, Serialize)]
pub struct ExtPlan {
    /// The torch that the extension is built for.
    pub torch: Torch,
    /// The toolkit that compiles it.
    pub cuda: Choice,
    /// The compiler for C++ and for nvcc: torch uses one for both only where both variables say so.
    pub compiler: Option<HostCompiler>,
    /// The C compiler that belongs to it: torch hands `$CC` to nvcc.
    pub cc: Option<PathBuf>,
    /// The architectures that machine code is made for: 86 is compute capability 8.6.
    pub archs: Vec<u32>,
    /// How many files are compiled at once.
    pub jobs: usize,
    /// Why so many.
    pub jobs_because: String,
    /// What was chosen, and why.
    pub choices: Vec<Explained>,
    /// What would go wrong.
    pub findings: Vec<Finding>,
}

impl ExtPlan {
    /// Whether the toolkit's major version is not torch's, as it was asked for.
    pub fn mismatched(&self) -> bool {
        let majors = self.cuda.version().zip(self.torch.cuda.as_ref());
        majors.is_some_and(|(toolkit, torch)| toolkit.major() != torch.major())
    }

    /// Findings that stop the build.
    pub fn blockers(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity >= Severity::Error)
    }

    /// `8.0;8.6+PTX`: every architecture as machine code, the last one also as PTX.
    pub fn arch_list(&self) -> String {
        let dotted: Vec<String> =
            self.archs.iter().map(|arch| format!("{}.{}", arch / 10, arch % 10)).collect();
        dotted.join(";") + "+PTX"
    }
}

/// Plans the build of an extension for `torch`.
pub fn plan(machine: &Machine, torch: &Torch, request: &ExtRequest, repo: &Repo) -> ExtPlan {
    let settings = Settings::default();
    let row = rows::ROWS.iter().find(|row| row.name == rows::DEFAULT).copied().unwrap_or(rows::ROWS[0]);
    let python = host::python(machine, row);
    let engines = [EngineName::Cuda];
    let context = Context { machine, repo, settings: &settings, row, engines: &engines, python };

    let mut findings = Vec::new();
    let mut explained = Explained { subject: "CUDA".into(), ..Explained::default() };
    let cuda = match &torch.cuda {
        Some(of_torch) => toolkit(&context, of_torch, request, &mut explained, &mut findings),
        None => {
            findings.push(cpu_only(torch));
            Choice::Missing
        }
    };
    explained.chosen = match (cuda.version(), cuda.path()) {
        (Some(version), Some(path)) => format!("CUDA {version} at {}", path.display()),
        _ => "none".into(),
    };
    let mut choices = vec![explained];
    let mut chosen = ExtPlan {
        torch: torch.clone(),
        cuda,
        compiler: None,
        cc: None,
        archs: Vec::new(),
        jobs: 1,
        jobs_because: String::new(),
        choices: Vec::new(),
        findings,
    };
    if let Some(version) = chosen.cuda.version().cloned() {
        let found =
            machine.toolkits.iter().find(|toolkit| Some(toolkit.root.as_path()) == chosen.cuda.path());
        let (ceiling, codes) = found.map_or_else(
            || (tables::managed_ceiling(), tables::gpu_codes(&version).to_vec()),
            |toolkit| (toolkit.ceiling.clone(), toolkit.gpu_codes.clone()),
        );
        let compiler = host::compiler(&context, Some(&ceiling));
        chosen.findings.extend(compiler.findings);
        choices.push(compiler.explained);
        chosen.cc = compiler.choice.as_ref().map(c_compiler);
        chosen.compiler = compiler.choice;
        let name = format!("CUDA {}", version.series());
        let archs = choose::archs::choose(request.archs.as_deref(), &machine.gpus, &codes, &name);
        chosen.findings.extend(archs.findings);
        choices.push(archs.explained);
        chosen.archs = archs.choice;
        chosen.findings.extend(minor(torch, &version));
    }
    (chosen.jobs, chosen.jobs_because) = jobs(machine);
    chosen.findings.extend(no_jobs(machine, chosen.jobs));
    chosen.findings.extend(absent_compiler(machine));
    chosen.choices = choices;
    chosen.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    chosen
}

/// MAX_JOBS, if it is a number of jobs.
fn stated_jobs(stated: &str) -> Option<usize> {
    stated.trim().parse().ok().filter(|jobs| *jobs > 0)
}

/// E85: a MAX_JOBS that is no number of jobs. ninja takes 0 for as many as it likes.
fn no_jobs(machine: &Machine, jobs: usize) -> Option<Finding> {
    let stated = machine.user_env.get("MAX_JOBS").filter(|stated| !stated.trim().is_empty())?;
    let message = format!("MAX_JOBS is `{stated}`, which is no number of jobs from 1 up; {jobs} are started");
    stated_jobs(stated).is_none().then(|| {
        Finding::new("E85", Severity::Warning, message)
            .evidence("MAX_JOBS")
            .hint("correct it, or `unset MAX_JOBS`")
    })
}

/// The user's own MAX_JOBS, else what cores and memory allow.
fn jobs(machine: &Machine) -> (usize, String) {
    let stated = machine.user_env.get("MAX_JOBS");
    if let Some(jobs) = stated.and_then(|text| stated_jobs(text)) {
        return (jobs, "MAX_JOBS says so".into());
    }
    let by_memory = machine.memory.as_ref().map_or(usize::MAX, |memory| (memory.value / JOB_MEMORY) as usize);
    (machine.cpus.min(by_memory).max(1), "cores, and 3 GB of memory each".into())
}

/// S02: CXX or CC names what is not there; another compiler in its place would be a silent one.
fn absent_compiler(machine: &Machine) -> Option<Finding> {
    if machine.os == "windows" {
        return None;
    }
    let answers = |list: &[HostCompiler], name: &str, stated: &str| {
        // One that is also found by another name bears that name's source.
        let last = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        list.iter().any(|compiler| {
            compiler.source == name
                || stated.split_whitespace().any(|word| last(Path::new(word)) == last(&compiler.path))
        })
    };
    let lists = [("CXX", &machine.host_compilers), ("CC", &machine.c_compilers)];
    let (name, stated) = lists.into_iter().find_map(|(name, list)| {
        let stated = machine.user_env.get(name).filter(|stated| !stated.trim().is_empty())?;
        (!answers(list, name, stated)).then_some((name, stated))
    })?;
    Some(
        Finding::new(
            "S02",
            Severity::Error,
            format!("{name} is `{stated}`, and no such compiler answers here"),
        )
        .evidence(name)
        .hint(format!("correct it, or take one that is here: `unset {name}`")),
    )
}

fn cpu_only(torch: &Torch) -> Finding {
    Finding::new(
        "E04",
        Severity::Error,
        format!("torch {} is a CPU build: its extensions have no CUDA part", torch.full_version),
    )
    .evidence(torch.root.join("version.py").display().to_string())
    .hint("`cargo xtask torch plan --python PYTHON --cuda 13.0` names a build with CUDA")
}

fn minor(torch: &Torch, toolkit: &Version) -> Option<Finding> {
    let differs = |cuda: &&Version| cuda.series() != toolkit.series() && cuda.major() == toolkit.major();
    let of_torch = torch.cuda.as_ref().filter(differs)?;
    Some(Finding::new(
        "E02",
        Severity::Info,
        format!(
            "the toolkit is CUDA {}, torch was built with {of_torch}: torch warns of it, and it is harmless",
            toolkit.series()
        ),
    ))
}

/// `gcc-12` for `g++-12`, `clang` for `clang++`, `cc` for `c++`; cl and unknown names stand for themselves.
pub fn c_compiler(compiler: &HostCompiler) -> PathBuf {
    let name = compiler.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if compiler.kind == CompilerKind::Msvc {
        return compiler.path.clone();
    }
    let c = ["clang++", "g++", "c++"].iter().find_map(|cxx| {
        let (before, after) = name.rsplit_once(cxx)?;
        let c = if *cxx == "clang++" { "clang" } else { &cxx.replace("g++", "gcc").replace("c++", "cc") };
        Some(format!("{before}{c}{after}"))
    });
    let path = c.map(|c| compiler.path.with_file_name(c));
    path.filter(|path| path.is_file()).unwrap_or_else(|| compiler.path.clone())
}

/// Whether both bounds admit the compiler, for those who hold a compiler and a header's bounds in hand.
pub fn admits(ceiling: &HostCeiling, compiler: &HostCompiler) -> bool {
    host::refusal(compiler, ceiling).is_none()
}
