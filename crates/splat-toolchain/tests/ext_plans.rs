//! The plan for other people's extensions: torch's CUDA major version decides, then the nearest minor one; what was
//! chosen explicitly is never overridden silently. Founding cases included.
#![cfg(unix)]

#[allow(dead_code, reason = "shared by test files, each of which uses a part")]
mod fixture;

use std::collections::BTreeMap;

use fixture::Fixture;
use splat_toolchain::{
    Severity,
    ext::{self, ExtPlan, ExtRequest, Surroundings},
};

fn plan(machine: &Fixture, request: &ExtRequest) -> ExtPlan {
    let facts = machine.machine();
    ext::plan(&facts, &facts.torches[0], request, &machine.repo)
}

fn cuda(plan: &ExtPlan) -> String {
    plan.cuda.version().map(ToString::to_string).unwrap_or_default()
}

fn blockers(plan: &ExtPlan) -> Vec<String> {
    plan.blockers().map(|finding| format!("{}: {}", finding.code, finding.message)).collect()
}

/// torch 2.4.0+cu124, toolkit 13.1 first on PATH, 12.6 beside it, an RTX 3090.
fn founding() -> Fixture {
    let mut machine = Fixture::usual();
    machine.torch("site", "2.4.0+cu124", Some("12.4"));
    let path = format!("{}:{}", machine.at("usr/local/cuda-13.1/bin").display(), machine.at("bin").display());
    machine.set("PATH", &path);
    machine.toolkit("usr/local/cuda-13.1", "13.1.80", 15);
    machine.toolkit("usr/local/cuda-12.6", "12.6.77", 13);
    machine.gpus("595.02", &[("NVIDIA GeForce RTX 3090", "8.6")]);
    machine
}

#[test]
fn the_founding_machine_gets_the_toolkit_of_torchs_major_version() {
    let machine = founding();
    let plan = plan(&machine, &ExtRequest::default());
    assert_eq!(cuda(&plan), "12.6.77");
    assert_eq!(blockers(&plan), Vec::<String>::new());
    assert_eq!(plan.arch_list(), "8.6+PTX");
    let rejected = &plan.choices[0].rejected;
    assert!(
        rejected.iter().any(|(what, why)| what.contains("13.1") && why.contains("torch was built with 12.4")),
        "{rejected:?}"
    );
    assert!(plan.findings.iter().any(|finding| finding.code == "E02" && finding.severity == Severity::Info));
}

#[test]
fn its_companion_is_told_the_way_out() {
    let mut machine = Fixture::usual();
    machine.torch("site", "2.7.1+cu126", Some("12.6"));
    machine.set("CUDA_HOME", &machine.at("usr/local/cuda-13.1").display().to_string());
    machine.toolkit("usr/local/cuda-13.1", "13.1.80", 15);
    let plan = plan(&machine, &ExtRequest::default());
    assert_eq!(cuda(&plan), "");
    let finding = plan.blockers().next().unwrap();
    assert_eq!(finding.code, "E01");
    assert!(finding.message.contains("13.1") && finding.message.contains("12.6"), "{}", finding.message);
    assert!(finding.hint.contains("12.x toolkit") && finding.hint.contains("torch plan"), "{}", finding.hint);
}

#[test]
fn of_several_minor_versions_the_nearest_below_wins_then_above() {
    let machine = Fixture::usual();
    machine.torch("site", "2.4.0+cu124", Some("12.4"));
    for version in ["12.1.105", "12.3.107", "12.6.77", "12.8.93"] {
        let (series, _) = version.rsplit_once('.').unwrap();
        machine.toolkit(&format!("usr/local/cuda-{series}"), version, 13);
    }
    assert_eq!(cuda(&plan(&machine, &ExtRequest::default())), "12.3.107");
    machine.toolkit("usr/local/cuda-12.4", "12.4.131", 13);
    assert_eq!(cuda(&plan(&machine, &ExtRequest::default())), "12.4.131");
    let asked = ExtRequest { cuda: Some("12.8".into()), archs: Some(vec![120]), ..ExtRequest::default() };
    assert_eq!(cuda(&plan(&machine, &asked)), "12.8.93");
    // What no toolkit near torch's compiles is not silently left out: the one that can is taken.
    let blackwell = ExtRequest { archs: Some(vec![120]), ..ExtRequest::default() };
    assert_eq!(cuda(&plan(&machine, &blackwell)), "12.8.93");
}

#[test]
fn an_explicit_toolkit_that_cannot_serve_is_an_error_with_the_one_that_can() {
    let mut machine = founding();
    machine.set("CUDA_HOME", &machine.at("usr/local/cuda-13.1").display().to_string());
    let plan = plan(&machine, &ExtRequest::default());
    let finding = plan.blockers().next().unwrap();
    assert_eq!(
        (finding.code.as_str(), finding.hint.as_str()),
        ("E01", "name the one that fits: `--cuda 12.6`")
    );
    let absent = self::plan(&machine, &ExtRequest { cuda: Some("12.9".into()), ..ExtRequest::default() });
    assert!(blockers(&absent)[0].starts_with("E03: CUDA `12.9`"), "{:?}", blockers(&absent));
}

#[test]
fn a_compiler_that_the_toolkit_refuses_moves_the_choice_or_the_compiler() {
    let machine = founding();
    machine.gcc("c++", "14.2.0");
    machine.gcc("g++-13", "13.2.0");
    machine.program("bin/gcc-13", "true");
    let plan = plan(&machine, &ExtRequest::default());
    assert_eq!(cuda(&plan), "12.6.77");
    assert!(plan.compiler.as_ref().unwrap().path.ends_with("g++-13"));
    assert!(plan.cc.as_ref().unwrap().ends_with("gcc-13"));
}

#[test]
fn a_cpu_torch_is_said_to_be_one() {
    let machine = Fixture::usual();
    machine.torch("site", "2.7.1+cpu", None);
    machine.toolkit("usr/local/cuda-12.6", "12.6.77", 13);
    assert!(blockers(&plan(&machine, &ExtRequest::default()))[0].starts_with("E04"));
}

#[test]
fn torch_of_13_gets_ours_where_nothing_is_installed() {
    let machine = Fixture::usual();
    machine.torch("site", "2.11.0+cu130", Some("13.0"));
    let plan = plan(&machine, &ExtRequest::default());
    assert_eq!(plan.cuda.to_bring().map(|(item, _)| item.name), Some("cuda-13.0"));
}

#[test]
fn the_environment_sets_both_compilers_and_keeps_what_was_there() {
    let machine = founding();
    machine.gcc("g++-13", "13.2.0");
    let plan = plan(&machine, &ExtRequest::default());
    let around = Surroundings {
        forced_headers: Some("/tmp/sw/forced".into()),
        includes: vec!["/opt/inc".into()],
        libs: vec!["/opt/lib".into()],
        programs: vec!["/opt/cuda/bin".into()],
        answers: vec![("CUDA_ARCHITECTURES".into(), "80;86".into())],
        before: BTreeMap::from([("PATH".into(), "/usr/bin".into()), ("CFLAGS".into(), "-O1".into())]),
        os: "linux".into(),
    };
    let env = ext::environment(&plan, &around);
    for (name, value) in [
        ("CPATH", "/tmp/sw/forced:/opt/inc"),
        ("CUDA_ARCHITECTURES", "80;86"),
        ("PATH", "/opt/cuda/bin:/usr/bin"),
        ("LIBRARY_PATH", "/opt/lib"),
        ("CFLAGS", "-include splatwright_forced.h -O1"),
        ("NVCC_PREPEND_FLAGS", "-include splatwright_forced.h"),
        ("TORCH_CUDA_ARCH_LIST", "8.6+PTX"),
        ("TORCH_DONT_CHECK_COMPILER_ABI", "1"),
    ] {
        assert_eq!(env.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert_eq!(env["CXX"], machine.at("bin/c++").display().to_string());
    assert!(env.contains_key("CC") && !env.contains_key("DISTUTILS_USE_SDK"));
    let windows = ext::environment(&plan, &Surroundings { os: "windows".into(), ..around });
    assert_eq!(windows["DISTUTILS_USE_SDK"], "1");
    assert_eq!(windows["CL"], "/FIsplatwright_forced.h");
    assert_eq!(windows["INCLUDE"], "/tmp/sw/forced;/opt/inc");
}

#[test]
fn builds_never_lie_where_a_tool_would_stumble() {
    let list = |texts: &[&str]| texts.iter().map(Into::into).collect::<Vec<std::path::PathBuf>>();
    let candidates = list(&["/home/me/research", "/home/my files", "/tmp"]);
    assert_eq!(ext::build_root(&candidates, "linux"), Some("/tmp".as_ref()));
    let windows = list(&["C:\\Users\\王\\Temp", "C:\\"]);
    assert_eq!(ext::build_root(&windows, "windows"), Some("C:\\".as_ref()));
    assert_eq!(ext::build_root(&list(&["/mnt/archive"]), "linux"), None);
}

#[test]
fn lists_of_numbers_are_read_and_others_left_to_people() {
    assert_eq!(ext::parse_arch_list("8.6;9.0+PTX"), Some(vec![86, 90]));
    assert_eq!(ext::parse_arch_list("9.0a 8.0"), Some(vec![80, 90]));
    for text in ["Ampere", "sm_86", "86", "", "native", "8.6;All"] {
        assert_eq!(ext::parse_arch_list(text), None, "{text}");
    }
}

#[test]
fn another_major_version_is_taken_only_when_it_is_allowed_and_both_ways_are_told() {
    let mut machine = Fixture::usual();
    machine.torch("site", "2.4.0+cu121", Some("12.1"));
    machine.toolkit("usr/local/cuda-13.0", "13.0.88", 15);
    let refused = plan(&machine, &ExtRequest::default());
    let hint = &refused.blockers().next().unwrap().hint;
    for way in ["conda install", "apt install cuda-toolkit-12-1", "winget", "--runtime-major-mismatch"] {
        assert!(hint.contains(way), "{way}: {hint}");
    }
    let allow = ExtRequest { mismatch: true, ..ExtRequest::default() };
    let allowed = plan(&machine, &allow);
    assert_eq!((cuda(&allowed).as_str(), blockers(&allowed)), ("13.0.88", Vec::new()));
    assert!(allowed.mismatched());
    assert!(allowed.findings.iter().any(|f| f.code == "E01" && f.severity == Severity::Warning));
    // A toolkit of torch's own version goes before.
    machine.toolkit("usr/local/cuda-12.1", "12.1.105", 12);
    let own = plan(&machine, &allow);
    assert_eq!((cuda(&own).as_str(), own.mismatched()), ("12.1.105", false));
    // One that the user named is taken as well.
    machine.set("CUDA_HOME", &machine.at("usr/local/cuda-13.0").display().to_string());
    assert_eq!(cuda(&plan(&machine, &allow)), "13.0.88");
}

#[test]
fn max_jobs_is_the_users_and_a_compiler_that_is_not_there_is_refused() {
    let mut machine = founding();
    machine.set("MAX_JOBS", "7");
    let plan = plan(&machine, &ExtRequest::default());
    assert_eq!((plan.jobs, plan.jobs_because.as_str()), (7, "MAX_JOBS says so"));
    let env = ext::environment(&plan, &Surroundings { os: "linux".into(), ..Surroundings::default() });
    assert_eq!(env["MAX_JOBS"], "7");
    for (stated, told) in [("0", true), ("-1", true), ("two", true), ("7", false), (" ", false)] {
        let mut machine = founding();
        machine.set("MAX_JOBS", stated);
        let plan = self::plan(&machine, &ExtRequest::default());
        let found = plan.findings.iter().find(|finding| finding.evidence == "MAX_JOBS");
        assert!(plan.jobs > 0 && found.is_some() == told, "{stated}: {found:?}");
    }
    for name in ["CXX", "CC"] {
        let mut machine = founding();
        machine.set(name, "/opt/none/g++-77");
        let plan = self::plan(&machine, &ExtRequest::default());
        let said = blockers(&plan).join("\n");
        assert!(said.contains(name) && said.contains("g++-77"), "{said}");
    }
}

/// torch hands `$CC` to nvcc: who sets it alone means that compiler for both.
#[test]
fn cc_alone_names_the_compiler_for_both_languages() {
    let mut machine = founding();
    let gcc = machine.gcc("gcc-11", "11.4.0");
    machine.gcc("g++-11", "11.4.0");
    machine.set("CC", &gcc.display().to_string());
    let plan = plan(&machine, &ExtRequest::default());
    let name = |path: &std::path::Path| path.file_name().unwrap().to_string_lossy().into_owned();
    assert_eq!(plan.compiler.as_ref().map(|compiler| name(&compiler.path)).as_deref(), Some("g++-11"));
    assert_eq!(plan.cc.as_deref().map(name).as_deref(), Some("gcc-11"));
}
