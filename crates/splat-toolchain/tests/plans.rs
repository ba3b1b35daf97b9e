//! Whole machines, from fake programs to the plan: which candidate wins, why the others do not, what is reported.
#![cfg(unix)]

mod fixture;

use fixture::{Fixture, codes};
use splat_toolchain::{Choice, EngineName, Machine, Plan, Sources, config, managed, plan};

/// The founding article's machine: torch 2.4.0 of CUDA 12.4, toolkit 13.1 first on PATH, 12.6 beside it.
/// Elsewhere that is a fatal mismatch; here the first toolkit that fits is used, and the difference is only said.
#[test]
fn the_founding_case_is_no_conflict() {
    let mut machine = Fixture::usual();
    machine.torch("site", "2.4.0+cu124", Some("12.4"));
    let path = format!("{}:{}", machine.at("usr/local/cuda-13.1/bin").display(), machine.at("bin").display());
    machine.set("PATH", &path);
    machine.toolkit("usr/local/cuda-13.1", "13.1.80", 15);
    machine.toolkit("usr/local/cuda-12.6", "12.6.77", 13);
    machine.gpus("595.02", &[("NVIDIA GeForce RTX 3090", "8.6")]);
    machine.request.row = Some("2.4".into());
    let plan = machine.plan();
    insta::assert_snapshot!(machine.told(&plan), @r#"
    torch: torch 2.4.0 at $/site/torch (it is installed and is the row's release (packages of $/bin/python3))
    CUDA: CUDA 13.1.80 at $/usr/local/cuda-13.1 (it is installed and fits (found by nvcc on PATH, /usr/local/cuda-13.1))
      not CUDA 12.6.77 at $/usr/local/cuda-12.6: it fits as well; nvcc on PATH comes first
    host compiler: $/bin/c++ 12.2.0 (it comes first (c++ on PATH))
    architectures: sm_86, sm_86 also as PTX (they are those of the GPUs present)
    cmake: $/h/.cache/splatwright/v1/tools-cp311-96ca82a29877/cmake/data/bin/cmake (none is installed; `cargo xtask build` brings it)
    ninja: $/h/.cache/splatwright/v1/tools-cp311-96ca82a29877/bin/ninja (none is installed; `cargo xtask build` brings it)
    info E84: no cmake 3.24 or newer is installed; `cargo xtask build` brings one
    info E84: no ninja 1.10 or newer is installed; `cargo xtask build` brings one
    info E101: Cargo.lock holds tch 0.24.0, and torch 2.4.0 goes with tch 0.17.0
    info E01: the toolkit is CUDA 13.1, torch was built with 12.4: harmless here, because the kernels never see torch and carry their own runtime
    info E07: the driver runs CUDA up to 13.2 (what nvidia-smi shows), the toolkit is 13.1, torch is 12.4: these are three different versions, which need not be equal
    info S05: `cargo xtask build` brings tools, inria-2.11.0 (about 0.2 GB on disk)
    "#);
    assert_eq!(plan.archs, [86]);
    assert_eq!(plan.env["SPLATWRIGHT_CUDA_HOME"], machine.at("usr/local/cuda-13.1").display().to_string());
}

#[test]
fn a_bare_machine_gets_everything_from_the_cache() {
    let machine = Fixture::usual();
    let plan = machine.plan();
    insta::assert_snapshot!(machine.told(&plan), @r#"
    torch: torch 2.11.0 at $/h/.cache/splatwright/v1/torch-2.11-cp311-96ca82a29877/torch (no installed torch is 2.11.0; `cargo xtask build` brings it)
    CUDA: CUDA 13.0 at $/h/.cache/splatwright/v1/cuda-13.0-cp311-96ca82a29877/nvidia/cu13 (no toolkit is installed; `cargo xtask build` brings it)
    host compiler: $/bin/c++ 12.2.0 (it comes first (c++ on PATH))
    architectures: sm_75 sm_80 sm_86 sm_89 sm_90 sm_100 sm_120, sm_120 also as PTX (no GPU is visible: the documented list, as far as the toolkit knows it)
    cmake: $/h/.cache/splatwright/v1/tools-cp311-96ca82a29877/cmake/data/bin/cmake (none is installed; `cargo xtask build` brings it)
    ninja: $/h/.cache/splatwright/v1/tools-cp311-96ca82a29877/bin/ninja (none is installed; `cargo xtask build` brings it)
    info E84: no cmake 3.24 or newer is installed; `cargo xtask build` brings one
    info E84: no ninja 1.10 or newer is installed; `cargo xtask build` brings one
    info S05: `cargo xtask build` brings torch-2.11, cuda-13.0, tools, inria-2.11.0 (about 5.2 GB on disk)
    "#);
    let bring: Vec<&str> = plan.to_bring().iter().map(|(item, _)| item.name).collect();
    assert_eq!(bring, ["torch-2.11", "cuda-13.0", "tools", "inria-2.11.0"]);
}

#[test]
fn what_is_in_the_cache_is_not_brought_again() {
    let machine = Fixture::usual();
    for item in
        [managed::ManagedItem::named("torch-2.11").unwrap(), managed::CUDA, managed::TOOLS, managed::INRIA]
    {
        machine.bring(item);
    }
    let plan = machine.plan();
    assert!(plan.to_bring().is_empty(), "{}", machine.told(&plan));
    assert!(codes(&plan).is_empty(), "{}", machine.told(&plan));
    // Another Python serves as well what this one brought.
    machine.python("bin/python3", "3.12.1", "site");
    assert!(machine.plan().to_bring().is_empty());
}

#[test]
fn half_an_installation_is_brought_again_and_said() {
    let machine = Fixture::usual();
    let dir = machine.bring(managed::CUDA);
    fs_err::remove_file(dir.join("nvidia/cu13/bin/nvcc")).unwrap();
    let plan = machine.plan();
    assert!(plan.to_bring().iter().any(|(item, _)| *item == managed::CUDA));
    assert_eq!(codes(&plan), ["warning S15"]);
}

#[test]
fn an_installed_torch_of_the_rows_version_is_used_and_another_is_not() {
    let machine = Fixture::usual();
    let torch = machine.torch("site", "2.11.0+cu130", Some("13.0"));
    let plan = machine.plan();
    assert_eq!(plan.torch.path(), Some(torch.as_path()));
    assert_eq!(plan.env["LIBTORCH"], torch.display().to_string());
    machine.torch("site", "2.12.0+cu130", Some("13.0"));
    let plan = machine.plan();
    assert!(matches!(plan.torch, Choice::Managed { present: false, .. }), "{}", machine.told(&plan));
}

#[test]
fn the_active_environment_comes_before_the_system() {
    let mut machine = Fixture::usual();
    machine.torch("site", "2.11.0+cu130", Some("13.0"));
    machine.python("venv/bin/python", "3.12.1", "venv/site");
    let torch = machine.torch("venv/site", "2.11.0+cu130", Some("13.0"));
    machine.set("VIRTUAL_ENV", &machine.at("venv").display().to_string());
    let plan = machine.plan();
    assert_eq!(plan.torch.path(), Some(torch.as_path()));
    assert_eq!(plan.python.unwrap().tag(), "cp312");
}

#[test]
fn libtorch_of_the_user_is_used_or_refused_never_replaced() {
    let mut machine = Fixture::usual();
    machine.torch("site", "2.11.0+cu130", Some("13.0"));
    let theirs = machine.torch("theirs", "2.7.1+cu126", Some("12.6"));
    machine.set("LIBTORCH", &theirs.display().to_string());
    let plan = machine.plan();
    assert_eq!((plan.torch.clone(), codes(&plan)), (Choice::Missing, vec!["error E101".to_owned()]));
    assert_eq!(plan.findings[0].hint, "`cargo xtask switch torch 2.7`, or unset LIBTORCH");
    machine.request.row = Some("2.7".into());
    let plan = machine.plan();
    assert_eq!(plan.torch.path(), Some(theirs.as_path()));
    assert_eq!(plan.env["LIBTORCH_BYPASS_VERSION_CHECK"], "1");
    assert!(!plan.env.contains_key("LIBTORCH"), "what the user exports is not written down as ours");
    machine.set("LIBTORCH", "/nowhere");
    assert_eq!(codes(&machine.plan()), ["error E104"]);
}

#[test]
fn our_own_libtorch_in_the_environment_is_no_choice_of_the_users() {
    let mut machine = Fixture::usual();
    let old = machine.torch("old", "2.4.0+cu121", Some("12.1")).display().to_string();
    machine.set("LIBTORCH", &old);
    machine.repo.toolchain_env.insert("LIBTORCH".into(), old);
    let plan = machine.plan();
    assert!(codes(&plan).is_empty(), "{}", machine.told(&plan));
    assert!(matches!(plan.torch, Choice::Managed { .. }));
}

#[test]
fn the_old_abi_is_passed_on_and_the_users_flags_stay() {
    let mut machine = Fixture::usual();
    machine.torch("site", "2.4.0+cu121", Some("12.1"));
    machine.set("CXXFLAGS", "-O2");
    machine.request.row = Some("2.4".into());
    let env = machine.plan().env;
    assert_eq!(env["LIBTORCH_CXX11_ABI"], "0");
    assert_eq!(env["CXXFLAGS_x86_64_unknown_linux_gnu"], "-D_GLIBCXX_USE_CXX11_ABI=0");
    assert!(!env.contains_key("CXXFLAGS") && !env.contains_key("LIBTORCH_BYPASS_VERSION_CHECK"));
}

#[test]
fn a_compiler_that_is_too_new_is_passed_over() {
    let machine = Fixture::new();
    machine.python("bin/python3", "3.11.7", "site");
    machine.gcc("c++", "14.2.0");
    machine.gcc("g++-13", "13.3.0");
    machine.gcc("g++-12", "12.2.0");
    let mut machine = machine;
    machine.request.accept_inria = true;
    machine.toolkit("usr/local/cuda-12.6", "12.6.77", 13);
    let plan = machine.plan();
    assert_eq!(
        plan.cuda.path(),
        Some(machine.at("usr/local/cuda-12.6").as_path()),
        "{}",
        machine.told(&plan)
    );
    assert_eq!(plan.env["CUDAHOSTCXX"], machine.at("bin/g++-13").display().to_string());
}

#[test]
fn a_toolkit_that_takes_no_compiler_here_is_passed_over() {
    let mut machine = Fixture::usual();
    machine.gcc("c++", "14.2.0");
    machine.toolkit("usr/local/cuda-12.6", "12.6.77", 13);
    let plan = machine.plan();
    assert!(matches!(&plan.cuda, Choice::Managed { item, .. } if *item == managed::CUDA));
    let told = machine.told(&plan);
    assert!(
        told.contains(
            "not CUDA 12.6.77 at $/usr/local/cuda-12.6: g++ 14.2.0 is newer than the GCC 13 it takes"
        ),
        "{told}"
    );
    // Chosen by name, it is not replaced in silence.
    machine.request.cuda = Some("12.6".into());
    let plan = machine.plan();
    assert_eq!((&plan.cuda, codes(&plan)), (&Choice::Missing, vec!["error E20".to_owned()]));
}

#[test]
fn cuda_home_is_a_choice_and_its_usual_misspellings_are_understood() {
    let mut machine = Fixture::usual();
    let good = machine.toolkit("opt/cuda-12.6", "12.6.77", 13);
    machine.toolkit("usr/local/cuda-12.9", "12.9.41", 14);
    let good_text = good.display().to_string();
    for value in [
        good_text.clone(),
        format!(":{good_text}"),
        format!("{good_text}/bin"),
        format!("{good_text}/bin/nvcc"),
    ] {
        machine.set("CUDA_HOME", &value);
        let plan = machine.plan();
        assert_eq!(plan.cuda.path(), Some(good.as_path()), "CUDA_HOME={value}\n{}", machine.told(&plan));
    }
    machine.toolkit("opt/cuda-11.8", "11.8.89", 11);
    for (value, code) in [("opt/cuda-11.8", "error E10"), ("opt", "error E05")] {
        machine.set("CUDA_HOME", &machine.at(value).display().to_string());
        let plan = machine.plan();
        assert_eq!((&plan.cuda, codes(&plan)), (&Choice::Missing, vec![code.to_owned()]), "{value}");
        assert_eq!(plan.findings[0].hint, "`cargo xtask switch cuda 12.9`");
    }
    machine.request.cuda = Some("12.9".into());
    assert_eq!(machine.plan().cuda.version().unwrap().to_string(), "12.9.41");
}

#[test]
fn a_toolkit_without_its_parts_is_passed_over() {
    let machine = Fixture::usual();
    let root = machine.toolkit("usr/local/cuda-12.6", "12.6.77", 13);
    fs_err::remove_file(root.join("lib64/libcudart_static.a")).unwrap();
    let told = machine.told(&machine.plan());
    assert!(told.contains("it lacks the static CUDA runtime (cudart_static)"), "{told}");
}

#[test]
fn a_pascal_gpu_takes_an_installed_twelve_and_cannot_be_served_by_thirteen() {
    let machine = Fixture::usual();
    machine.gpus("580.95.05", &[("NVIDIA GeForce GTX 1080 Ti", "6.1")]);
    assert_eq!(codes(&machine.plan()), ["error E53"]);
    machine.toolkit("usr/local/cuda-13.0", "13.0.88", 15);
    machine.toolkit("usr/local/cuda-12.6", "12.6.77", 13);
    let plan = machine.plan();
    assert_eq!((plan.archs.as_slice(), codes(&plan).len()), ([61].as_slice(), 0), "{}", machine.told(&plan));
}

#[test]
fn an_old_driver_takes_an_installed_twelve_and_refuses_thirteen() {
    let machine = Fixture::usual();
    machine.gpus("550.54.15", &[("NVIDIA GeForce RTX 4090", "8.9")]);
    assert_eq!(codes(&machine.plan()), ["error E61", "warning E61"]);
    machine.toolkit("usr/local/cuda-12.6", "12.6.77", 13);
    let plan = machine.plan();
    assert_eq!(plan.archs, [89]);
    // torch 2.11 is of CUDA 13 and would see no GPU: said, with the row that would.
    assert_eq!(codes(&plan), ["warning E61"]);
    assert!(plan.findings[0].hint.contains("switch torch 2.7"));
}

#[test]
fn ptx_needs_a_driver_as_new_as_the_toolkit() {
    let mut machine = Fixture::usual();
    machine.request.cuda = Some("12.6".into());
    machine.request.row = Some("2.7".into());
    machine.repo.tch_locked = "0.20.0".parse().ok();
    machine.toolkit("usr/local/cuda-12.6", "12.6.77", 13);
    machine.gpus("550.54.15", &[("NVIDIA B200", "10.0")]);
    assert_eq!(codes(&machine.plan()), ["error E60", "warning E52"]);
    machine.gpus("570.26", &[("NVIDIA B200", "10.0")]);
    assert_eq!(codes(&machine.plan()), ["warning E52"]);
}

#[test]
fn the_driver_is_found_without_nvidia_smi() {
    let machine = Fixture::usual();
    machine.file(
        "proc/driver/nvidia/version",
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat\n",
    );
    let facts = machine.machine();
    assert_eq!(facts.driver.clone().unwrap().value.to_string(), "535.104.05");
    assert_eq!(facts.driver_cuda.unwrap().value.to_string(), "12.2");
    machine.file("sys/module/nvidia/version", "570.26\n");
    assert_eq!(machine.machine().driver.unwrap().source, "/sys/module/nvidia/version");
}

#[test]
fn a_row_without_wheels_for_the_active_python_takes_another_python() {
    let mut machine = Fixture::usual();
    machine.python("bin/python3", "3.13.0", "site");
    machine.request.row = Some("2.4".into());
    assert_eq!(codes(&machine.plan()), ["error S01"]);
    machine.file("bin/python3.12", "");
    let plan = machine.plan();
    assert_eq!(plan.python.unwrap().version.to_string(), "3.12");
}

#[test]
fn nothing_at_all_names_every_gap_at_once() {
    let machine = Fixture::new();
    let plan = machine.plan();
    assert_eq!(codes(&plan), ["error S02", "error S01"]);
    assert!(
        plan.findings
            .iter()
            .filter(|f| f.severity >= splat_toolchain::Severity::Error)
            .all(|f| !f.hint.is_empty())
    );
}

#[test]
fn offline_names_what_is_missing() {
    let mut machine = Fixture::usual();
    machine.request.offline = true;
    let plan = machine.plan();
    assert_eq!(codes(&plan), ["error S08"]);
    assert!(plan.findings[0].message.contains("torch-2.11, cuda-13.0, tools, inria-2.11.0"));
}

#[test]
fn a_full_disk_is_said_before_anything_is_fetched() {
    let fixture = Fixture::usual();
    let mut machine = fixture.machine();
    machine.disks[0].free = 3_000_000_000;
    assert_eq!(codes(&plan(&machine, &fixture.request, &fixture.repo)), ["error S03"]);
    machine.disks[0].free = 100_000_000_000;
    machine.memory.as_mut().unwrap().value = 7_000_000_000;
    assert_eq!(plan(&machine, &fixture.request, &fixture.repo).jobs, 2);
}

#[test]
fn without_consent_the_rest_is_built() {
    let mut machine = Fixture::usual();
    machine.request.accept_inria = false;
    let plan = machine.plan();
    assert_eq!((plan.engines.as_slice(), &plan.cuda), ([EngineName::Cpu].as_slice(), &Choice::Unneeded));
    assert_eq!(plan.sources, Sources::Unneeded);
    assert!(
        plan.findings.iter().any(|f| f.code == "S04" && f.hint == "cargo xtask build --accept-license inria")
    );
    machine.request.engines = Some(vec![EngineName::Inria]);
    assert_eq!(codes(&machine.plan()), ["warning S04"]);
    machine.set("SPLATWRIGHT_ACCEPT_LICENSE", "inria");
    assert_eq!(machine.plan().engines, [EngineName::Cpu, EngineName::Inria]);
}

#[test]
fn the_lock_must_hold_the_rows_tch() {
    let mut machine = Fixture::usual();
    machine.repo.tch_locked = "0.17.0".parse().ok();
    assert_eq!(codes(&machine.plan()), ["error E101"]);
    machine.request.row = Some("2.11".into());
    assert!(codes(&machine.plan()).is_empty(), "asking for a row moves the lock");
}

#[test]
fn what_cargo_is_told_is_held_against_the_plan() {
    let mut machine = Fixture::usual();
    let found = |machine: &Fixture| -> Vec<String> {
        let plan = machine.plan();
        plan.findings
            .iter()
            .filter(|f| ["S14", "S16"].contains(&f.code.as_str()))
            .map(|f| f.code.clone())
            .collect()
    };
    let plan = machine.plan();
    machine.repo.toolchain_env = plan.env;
    machine.repo.torch_gone = true;
    assert!(found(&machine).is_empty(), "what will be brought is not gone");
    machine.repo.toolchain_env.insert("LIBTORCH".into(), "/gone".into());
    assert_eq!(found(&machine), ["S14"]);
    machine.repo.torch_gone = false;
    machine.request.archs = Some(vec![80]);
    assert_eq!(found(&machine), ["S16"]);
    machine.repo.toolchain_error = Some("not TOML".into());
    assert_eq!(codes(&machine.plan()), ["broken S14"]);
}

#[test]
fn a_snapshot_replays_to_the_same_plan() {
    let fixture = Fixture::usual();
    fixture.toolkit("usr/local/cuda-12.6", "12.6.77", 13);
    fixture.gpus("570.26", &[("NVIDIA GeForce RTX 3090", "8.6")]);
    let machine = fixture.machine();
    let before = plan(&machine, &fixture.request, &fixture.repo);
    let json = serde_json::to_string(&(&machine, &fixture.request, &fixture.repo)).unwrap();
    let (machine, request, repo): (Machine, _, _) = serde_json::from_str(&json).unwrap();
    assert_eq!(plan(&machine, &request, &repo), before);
    let json = serde_json::to_string(&before).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), before);
}

#[test]
fn the_fingerprint_follows_what_changes_the_kernels() {
    let mut machine = Fixture::usual();
    machine.toolkit("usr/local/cuda-12.6", "12.6.77", 13);
    let first = machine.plan().fingerprint;
    assert_eq!(machine.plan().fingerprint, first);
    machine.request.archs = Some(vec![80, 90]);
    let archs = machine.plan().fingerprint;
    machine.set("NVCC_APPEND_FLAGS", "--use_fast_math");
    let flags = machine.plan().fingerprint;
    machine.gcc("c++", "12.3.0");
    let compiler = machine.plan().fingerprint;
    let all = [first, archs, flags, compiler];
    for (i, one) in all.iter().enumerate() {
        assert!(!all[i + 1..].contains(one), "two different plans share a fingerprint: {all:?}");
    }
}

#[test]
fn the_file_for_cargo_says_the_plan_and_comes_back() {
    let mut machine = Fixture::usual();
    machine.torch("site", "2.4.0+cu121", Some("12.1"));
    machine.toolkit("usr/local/cuda-12.6", "12.6.77", 13);
    machine.request.row = Some("2.4".into());
    machine.request.archs = Some(vec![80, 90]);
    let plan = machine.plan();
    let text = config::render(&plan);
    let shown =
        text.replace(&machine.at("").display().to_string(), "$/").replace(&plan.fingerprint, "(fingerprint)");
    insta::assert_snapshot!(shown, @r##"
    # Written by `cargo xtask switch` and `cargo xtask build`; included by config.toml and ignored by git.
    # It tells cargo, rust-analyzer and the build scripts which torch, CUDA toolkit and target directory are in force.
    # Change it with `cargo xtask switch`; deleting it is safe: the next `cargo xtask build` writes it again.

    # What was chosen explicitly; the rest follows from the machine.
    [splatwright]
    row = "2.4"
    archs = [80, 90]

    [build]
    target-dir = "target/torch-2.4"

    [env]
    CUDAHOSTCXX = "$/bin/c++"
    CXXFLAGS_x86_64_unknown_linux_gnu = { value = "-D_GLIBCXX_USE_CXX11_ABI=0", force = true }
    LIBTORCH = "$/site/torch"
    LIBTORCH_CXX11_ABI = { value = "0", force = true }
    SPLATWRIGHT_CMAKE = { value = "$/h/.cache/splatwright/v1/tools-cp311-96ca82a29877/cmake/data/bin/cmake", force = true }
    SPLATWRIGHT_CUDA_ARCHS = { value = "80;90", force = true }
    SPLATWRIGHT_CUDA_HOME = { value = "$/usr/local/cuda-12.6", force = true }
    SPLATWRIGHT_FINGERPRINT = { value = "(fingerprint)", force = true }
    SPLATWRIGHT_INRIA_SOURCE = { value = "$/h/.cache/splatwright/v1/inria-2.11.0-96ca82a29877", force = true }
    SPLATWRIGHT_INRIA_VERSION = { value = "2.11.0", force = true }
    SPLATWRIGHT_NINJA = { value = "$/h/.cache/splatwright/v1/tools-cp311-96ca82a29877/bin/ninja", force = true }
    SPLATWRIGHT_ROW = { value = "2.4", force = true }
    SPLAT_ENGINES = "$/repo/target/torch-2.4/engines"
    "##);
    let (settings, env) = config::parse(&text).unwrap();
    assert_eq!((settings, env), (plan.settings, plan.env));
}

/// `build --dry-run` prints these: no candidate is passed over without a word.
#[test]
fn every_candidate_is_named_with_why_it_won_or_lost() {
    let mut machine = Fixture::usual();
    machine.gcc("g++-16", "16.1.0");
    machine.gcc("g++-11", "11.3.0");
    machine.torch("site", "2.11.0+cu130", Some("13.0"));
    machine.torch("usr/lib/python3.11/site-packages", "2.11.0+cu130", Some("13.0"));
    machine.toolkit("usr/local/cuda-13.1", "13.1.80", 15);
    machine.toolkit("usr/local/cuda-12.8", "12.8.93", 11);
    machine.toolkit("usr/local/cuda-11.8", "11.8.89", 11);
    machine.gpus("595.02", &[("NVIDIA GeForce RTX 3090", "8.6")]);
    machine.bring(managed::CUDA);
    let path = machine.at("bin").display().to_string();
    machine.set("PATH", &path);
    let plan = machine.plan();
    let facts = machine.machine();
    let told = machine.told(&plan);
    let folder = machine.at("").display().to_string();
    for toolkit in &facts.toolkits {
        let shown = toolkit.root.display().to_string().replace(folder.trim_end_matches('/'), "$");
        assert!(told.contains(&shown), "{shown}: {told}");
    }
    for compiler in &facts.host_compilers {
        assert!(
            told.contains(compiler.path.file_name().unwrap().to_str().unwrap()),
            "{}: {told}",
            compiler.path.display()
        );
    }
    let reasons: Vec<&(String, String)> = plan.choices.iter().flat_map(|choice| &choice.rejected).collect();
    assert!(reasons.iter().all(|(candidate, why)| !candidate.is_empty() && why.len() > 10), "{reasons:?}");
    for why in [
        "11.8",
        "newer than the GCC 15",
        "not active",
        "Splatwright's own: an installed one fits",
        "fits as well",
    ] {
        assert!(told.contains(why), "no reason says `{why}`: {told}");
    }
}

/// A driver that hangs takes nvidia-smi with it: it is ended after the stated time, that is said (S17), and the GPU is
/// known by its name.
#[test]
fn a_hanging_nvidia_smi_is_cut_off_and_reported() {
    let mut machine = Fixture::usual();
    machine.program("bin/nvidia-smi", "/bin/sleep 60");
    machine.file("usr/lib/x86_64-linux-gnu/libcuda.so.1", "");
    machine.file(
        "proc/driver/nvidia/version",
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Release\n",
    );
    machine.file("proc/driver/nvidia/gpus/0000:01:00.0/information", "Model: \t\t NVIDIA GeForce RTX 3090\n");
    machine.patience = std::time::Duration::from_secs(1);
    let start = std::time::Instant::now();
    let plan = machine.plan();
    assert!(start.elapsed().as_secs() < 8, "{:?}", start.elapsed());
    let finding = plan.findings.iter().find(|finding| finding.code == "S17").expect("S17");
    assert!(finding.message.contains("nvidia-smi") && finding.message.contains("within 1 s"), "{finding:?}");
    assert_eq!(machine.machine().gpus[0].arch, 86);
}

#[test]
fn an_extension_without_a_torch_is_told_where_one_is() {
    let machine = Fixture::usual();
    machine.torch("h/miniconda3/envs/gs/lib/python3.10/site-packages", "2.7.1+cu126", Some("12.6"));
    let facts = machine.machine();
    assert!(splat_toolchain::rules::ext::torch_of(&facts, None).is_none());
    let finding = splat_toolchain::rules::ext::no_torch(&facts);
    assert_eq!(finding.code, "S18");
    assert!(finding.hint.contains("conda environment"), "{finding:?}");
}

/// What the project itself asks for: each of its own codes on the one thing that is wrong.
#[test]
fn our_own_codes_each_on_its_fault() {
    type Fault = fn(&mut Fixture);
    let faults: [(&str, Fault); 5] = [
        ("error S06", |f| {
            f.repo.requirements.remove("vendor/requirements/torch-2.11.txt");
        }),
        ("info S09", |f| f.repo.checkout = Some("/repository/vendor/diff-gaussian-rasterization".into())),
        ("error S11", |f| f.set("LIBTORCH_USE_PYTORCH", "1")),
        ("error S12", |f| f.request.row = Some("9.9".into())),
        ("error S13", |f| f.request.engines = Some(vec![EngineName::Cuda])),
    ];
    for (expected, fault) in faults {
        let mut machine = Fixture::usual();
        fault(&mut machine);
        let plan = machine.plan();
        let told: Vec<String> = plan.findings.iter().map(|f| format!("{} {}", f.severity, f.code)).collect();
        assert!(told.contains(&expected.to_owned()), "{expected}: {told:?}");
        let heavy: Vec<String> = codes(&plan).into_iter().filter(|code| code != expected).collect();
        assert!(heavy.is_empty(), "{expected} comes with {heavy:?}");
    }
    let fixture = Fixture::usual();
    let mut machine = fixture.machine();
    let tool = splat_toolchain::machine::Tool {
        path: "/usr/bin/rustc".into(),
        version: "1.80.0".parse().unwrap(),
        source: "PATH".into(),
        managed: false,
    };
    machine.rustc = Some(tool);
    assert_eq!(codes(&plan(&machine, &fixture.request, &fixture.repo)), ["error S10"]);
}
