//! The plan for another project's torch extension (setuptools, `CUDAExtension`): unlike our own build, torch's own
//! checks apply, so the toolkit's major version must be torch's. A pure function of the machine, the torch of the
//! target environment and what was asked; nothing is built, written or fetched here.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    choose::{self, Context, host},
    env::real_path,
    finding::{Finding, Severity},
    machine::{CompilerKind, HostCeiling, HostCompiler, Machine, Toolkit, Torch},
    managed::CUDA,
    plan::{Choice, Explained, JOB_MEMORY},
    request::{EngineName, Repo, Settings},
    rows, tables,
    version::{Version, parse_arch},
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
    chosen.findings.extend(absent_compiler(machine));
    chosen.choices = choices;
    chosen.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    chosen
}

/// The user's own MAX_JOBS, else what cores and memory allow.
fn jobs(machine: &Machine) -> (usize, String) {
    let stated = machine.user_env.get("MAX_JOBS");
    if let Some(jobs) = stated.and_then(|text| text.trim().parse().ok()).filter(|jobs| *jobs > 0) {
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

/// The toolkit of torch's major version: what was asked for, what the user set, the nearest minor version, or ours.
fn toolkit(
    context: &Context<'_>,
    of_torch: &Version,
    request: &ExtRequest,
    explained: &mut Explained,
    findings: &mut Vec<Finding>,
) -> Choice {
    let toolkits = &context.machine.toolkits;
    let archs = request.archs.as_deref().unwrap_or_default();
    let asked = request.cuda.as_deref().filter(|asked| *asked != "managed");
    let by_user = |toolkit: &Toolkit| match asked {
        Some(asked) => names(asked, toolkit),
        None => request.cuda.is_none() && set_by_user(context.machine, toolkit),
    };
    if let Some(chosen) = toolkits.iter().find(|toolkit| by_user(toolkit)) {
        let by = asked.map_or_else(|| chosen.sources.join(", "), |asked| format!("--cuda {asked}"));
        explained.because = format!("{by} names it");
        let Some((code, why)) = unfit(context, chosen, of_torch, archs) else { return installed(chosen) };
        if code == "E01" && request.mismatch && of_our_major(context, chosen, archs) {
            findings.push(allowed(of_torch, &installed(chosen)));
            return installed(chosen);
        }
        let instead =
            ranked(context, of_torch, archs).into_iter().next().and_then(|other| other.version.as_ref());
        let hint = match instead {
            Some(version) => format!("name the one that fits: `--cuda {}`", version.value.series()),
            None => remedy(of_torch),
        };
        findings.push(
            Finding::new(
                code,
                Severity::Error,
                format!("the CUDA toolkit that was chosen ({by}) cannot build for this torch: {why}"),
            )
            .evidence(chosen.root.display().to_string())
            .hint(hint),
        );
        return Choice::Missing;
    }
    if let Some(asked) = asked {
        findings.push(
            Finding::new(
                "E03",
                Severity::Error,
                format!("CUDA `{asked}` was asked for and is not on this machine"),
            )
            .evidence(toolkits.iter().map(describe).collect::<Vec<_>>().join("; "))
            .hint("`cargo xtask switch list` shows what there is"),
        );
        return Choice::Missing;
    }
    if let Some(choice) = other_major(context, of_torch, request, explained, findings) {
        return choice;
    }
    for toolkit in toolkits {
        if let Some((_, why)) = unfit(context, toolkit, of_torch, archs) {
            explained.rejected.push((describe(toolkit), why));
        }
    }
    let fitting = if request.cuda.is_some() { Vec::new() } else { ranked(context, of_torch, archs) };
    if let Some((first, others)) = fitting.split_first() {
        explained.because =
            format!("of torch's CUDA major version {}, the nearest that fits", of_torch.major());
        for other in others {
            explained.rejected.push((describe(other), format!("farther from torch's {of_torch}")));
        }
        return installed(first);
    }
    let ours: Version = CUDA.version.parse().unwrap_or_default();
    if ours.major() == of_torch.major()
        && let Some(choice) = context.managed_choice(CUDA, "nvidia/cu13")
    {
        explained.because = format!("no installed toolkit fits; {}", choose::presence(&choice));
        return choice;
    }
    findings.push(
        Finding::new(
            "E01",
            Severity::Error,
            format!("torch was built with CUDA {of_torch}, and no toolkit {}.x here fits", of_torch.major()),
        )
        .evidence(
            explained
                .rejected
                .iter()
                .map(|(what, why)| format!("{what}: {why}"))
                .collect::<Vec<_>>()
                .join("; "),
        )
        .hint(remedy(of_torch)),
    );
    Choice::Missing
}

/// Where no toolkit of torch's major version is there and a mismatch is allowed: ours, or an installed one that takes
/// the compiler.
fn other_major(
    context: &Context<'_>,
    of_torch: &Version,
    request: &ExtRequest,
    explained: &mut Explained,
    findings: &mut Vec<Finding>,
) -> Option<Choice> {
    let archs = request.archs.as_deref().unwrap_or_default();
    if !request.mismatch || !ranked(context, of_torch, archs).is_empty() {
        return None;
    }
    let ours = context.managed_choice(CUDA, "nvidia/cu13").filter(|_| our_major() != of_torch.major());
    let near = context.machine.toolkits.iter().find(|toolkit| of_our_major(context, toolkit, archs));
    let choice = near.map(installed).or(ours)?;
    explained.because =
        "another major version than torch's was allowed, and no toolkit of torch's is here".into();
    findings.push(allowed(of_torch, &choice));
    Some(choice)
}

fn our_major() -> u32 {
    CUDA.version.parse::<Version>().unwrap_or_default().major()
}

/// Whether a toolkit is of the major version that Splatwright itself brings, and fits otherwise.
fn of_our_major(context: &Context<'_>, toolkit: &Toolkit, archs: &[u32]) -> bool {
    let version = toolkit.version.as_ref().map(|fact| fact.value.clone()).unwrap_or_default();
    version.major() == our_major() && unfit(context, toolkit, &version, archs).is_none()
}

fn allowed(of_torch: &Version, choice: &Choice) -> Finding {
    let version = choice.version().map(|version| version.series().to_string()).unwrap_or_default();
    let message = format!(
        "torch was built with CUDA {of_torch} and CUDA {version} compiles: torch's check is passed, the runtime is linked statically, and the result is refused if it shares with torch what differs between the two"
    );
    Finding::new("E01", Severity::Warning, message)
        .hint(format!("the safe way is a toolkit of torch's own version: {}", remedy(of_torch)))
}

/// What brings a toolkit of that major version.
fn remedy(of_torch: &Version) -> String {
    let series = of_torch.series();
    match of_torch.major() {
        13.. => "`--cuda managed` takes the compiler that Splatwright brings".into(),
        major => format!(
            "install a CUDA {major}.x toolkit beside the others, and it is found: `conda install -c nvidia/label/cuda-{series}.0 cuda-nvcc cuda-cudart-dev`, `sudo apt install cuda-toolkit-{}` (NVIDIA's repository), `winget install Nvidia.CUDA --version {series}` (Windows); or allow CUDA {} where the extension permits it: `--runtime-major-mismatch`; or take a torch built with another CUDA than {major}.x: `cargo xtask torch plan --cuda 13.0`",
            series.to_string().replace('.', "-"),
            CUDA.version,
        ),
    }
}

/// Whether `--cuda` names this toolkit: by folder, or by version.
fn names(asked: &str, toolkit: &Toolkit) -> bool {
    let path = Path::new(asked);
    if path.is_absolute() {
        return toolkit.root == path || real_path(&toolkit.root) == real_path(path);
    }
    let version: Option<Version> = asked.parse().ok();
    version.zip(toolkit.version.as_ref()).is_some_and(|(version, have)| have.value.starts_with(&version))
}

/// Windows installers set `CUDA_PATH` for the toolkit that came last: that is nobody's choice.
fn set_by_user(machine: &Machine, toolkit: &Toolkit) -> bool {
    let stated = |source: &String| {
        source.starts_with("CUDA_HOME") || (machine.os != "windows" && source.starts_with("CUDA_PATH"))
    };
    toolkit.explicit && toolkit.sources.iter().any(stated)
}

/// Toolkits that fit, the best first: torch's minor version, then the highest below it, then the lowest above.
fn ranked<'a>(context: &Context<'a>, of_torch: &Version, archs: &[u32]) -> Vec<&'a Toolkit> {
    let mut fitting: Vec<&Toolkit> = context
        .machine
        .toolkits
        .iter()
        .filter(|toolkit| unfit(context, toolkit, of_torch, archs).is_none())
        .collect();
    let wanted = of_torch.minor();
    fitting.sort_by_key(|toolkit| {
        let minor = toolkit.version.as_ref().map_or(0, |version| version.value.minor());
        if minor <= wanted { (0, wanted - minor) } else { (1, minor - wanted) }
    });
    fitting
}

/// The first reason against a toolkit, with its code.
fn unfit(
    context: &Context<'_>,
    toolkit: &Toolkit,
    of_torch: &Version,
    archs: &[u32],
) -> Option<(&'static str, String)> {
    if toolkit.nvcc.is_none() {
        return Some(("E05", "it lacks nvcc".into()));
    }
    if toolkit.include.is_none() {
        return Some(("E08", "it lacks cuda_runtime.h".into()));
    }
    let Some(version) = toolkit.version.as_ref().map(|fact| &fact.value) else {
        return Some(("E13", "none of its files says which version it is".into()));
    };
    if version.major() != of_torch.major() {
        return Some((
            "E01",
            format!("it is CUDA {}, and torch was built with {of_torch}", version.series()),
        ));
    }
    if let Err(refusal) = host::for_nvcc(context, &toolkit.ceiling) {
        return Some((host::refusal_code(&refusal.why), refusal.why));
    }
    let unknown = archs.iter().find(|arch| !toolkit.gpu_codes.contains(arch))?;
    Some(("E52", format!("it does not compile for sm_{unknown}")))
}

fn installed(toolkit: &Toolkit) -> Choice {
    let version = toolkit.version.as_ref().map(|fact| fact.value.clone()).unwrap_or_default();
    Choice::Installed { path: toolkit.root.clone(), version }
}

fn describe(toolkit: &Toolkit) -> String {
    match &toolkit.version {
        Some(version) => format!("CUDA {} at {}", version.value, toolkit.root.display()),
        None => toolkit.root.display().to_string(),
    }
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

/// `TORCH_CUDA_ARCH_LIST` as numbers, if every entry is one: `8.6;9.0+PTX` gives 86 and 90. Names such as `Ampere`
/// and mistakes (`sm_86`, `8.6,8.9`) give `None`: torch would read them otherwise than they are meant (E55, E58).
pub fn parse_arch_list(text: &str) -> Option<Vec<u32>> {
    let mut archs = Vec::new();
    for entry in text.split([' ', ';', ',']).filter(|entry| !entry.is_empty()) {
        let number = entry.strip_suffix("+PTX").unwrap_or(entry);
        archs.push(parse_arch(number.strip_suffix('a').unwrap_or(number)).filter(|_| number.contains('.'))?);
    }
    archs.sort_unstable();
    archs.dedup();
    (!archs.is_empty()).then_some(archs)
}

/// What the environment is made of besides the plan.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Our folder of headers for `-include`.
    pub forced_headers: Option<PathBuf>,
    /// Folders searched for headers and libraries after the toolkit's own.
    pub includes: Vec<PathBuf>,
    /// The folders of libraries.
    pub libs: Vec<PathBuf>,
    /// Folders put before PATH: the toolkit's `bin`, ninja's.
    pub programs: Vec<PathBuf>,
    /// Variables that setup.py reads and that mean architectures, with their values.
    pub answers: Vec<(String, String)>,
    /// PATH, CPATH, LIBRARY_PATH, INCLUDE, LIB, NVCC_PREPEND_FLAGS, CFLAGS, CL as they were.
    pub before: BTreeMap<String, String>,
    /// `windows`, `linux`, `macos`.
    pub os: String,
}

/// Name of the header that is forced into every file.
pub const FORCED: &str = "splatwright_forced.h";

/// The variables of the building child; every other variable stays as it is.
pub fn environment(plan: &ExtPlan, around: &Surroundings) -> BTreeMap<String, String> {
    let windows = around.os == "windows";
    let separator = if windows { ";" } else { ":" };
    let mut env = BTreeMap::new();
    let before = |name: &str| around.before.get(name).cloned().unwrap_or_default();
    let paths = |first: &[PathBuf], name: &str| {
        let mut list: Vec<String> = first.iter().map(|path| path.display().to_string()).collect();
        list.extend(Some(before(name)).filter(|old| !old.is_empty()));
        list.join(separator)
    };
    let joined = |first: &str, name: &str| format!("{first} {}", before(name)).trim().to_owned();
    let mut set = |name: &str, value: String| {
        if !value.is_empty() {
            env.insert(name.to_owned(), value);
        }
    };
    if let Some(root) = plan.cuda.path() {
        set("CUDA_HOME", root.display().to_string());
        set("CUDA_PATH", root.display().to_string());
    }
    set("TORCH_CUDA_ARCH_LIST", plan.arch_list());
    set("MAX_JOBS", plan.jobs.to_string());
    // Many setup.py leave the CUDA part out where no GPU is visible, unless this says otherwise.
    set("FORCE_CUDA", "1".into());
    for (name, value) in &around.answers {
        set(name, value.clone());
    }
    set("PATH", paths(&around.programs, "PATH"));
    let mut includes = around.includes.clone();
    includes.splice(0..0, around.forced_headers.clone());
    if windows {
        set("DISTUTILS_USE_SDK", "1".into());
        set("MSSdk", "1".into());
        set("VSLANG", "1033".into());
        set("INCLUDE", paths(&includes, "INCLUDE"));
        set("LIB", paths(&around.libs, "LIB"));
    } else {
        if let (Some(cxx), Some(cc)) = (&plan.compiler, &plan.cc) {
            set("CXX", cxx.path.display().to_string());
            set("CC", cc.display().to_string());
        }
        // The toolkit's own header was asked; torch's table disagrees with it in both directions (E21).
        set("TORCH_DONT_CHECK_COMPILER_ABI", "1".into());
        set("CPATH", paths(&includes, "CPATH"));
        set("LIBRARY_PATH", paths(&around.libs, "LIBRARY_PATH"));
    }
    if around.forced_headers.is_some() {
        // A bare name, found through the search path: a path could hold spaces or the word `arch` (E56, E91).
        set("NVCC_PREPEND_FLAGS", joined(&format!("-include {FORCED}"), "NVCC_PREPEND_FLAGS"));
        if windows {
            set("CL", joined(&format!("/FI{FORCED}"), "CL"));
        } else {
            set("CFLAGS", joined(&format!("-include {FORCED}"), "CFLAGS"));
        }
    }
    env
}

/// The first folder that a build may lie in. torch drops every `-gencode` when a flag contains `arch` (E56), build
/// tools stumble over spaces and, on Windows, over anything but ASCII and over long paths (E91, E92).
pub fn build_root<'a>(candidates: &'a [PathBuf], os: &str) -> Option<&'a Path> {
    let windows = os == "windows";
    let fits = |path: &Path| {
        let text = path.display().to_string();
        !text.contains("arch")
            && !text.contains(char::is_whitespace)
            && (!windows || (text.is_ascii() && text.len() <= 60))
    };
    candidates.iter().map(PathBuf::as_path).find(|path| fits(path))
}
