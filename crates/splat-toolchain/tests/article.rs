//! The founding article, replayed: its two Windows machines as folders. Our own build needs no switch of the toolkit and
//! no patch of torch in either; an existing extension gets the toolkit that fits, or the way out.

use std::path::{Path, PathBuf};

use splat_toolchain::{
    EngineName, Env, Finding, Machine, Plan, Repo, Request, Severity,
    ext::{self, ExtPlan, ExtRequest},
    managed, plan, probe, rules,
};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn repo(row: &str) -> Repo {
    let items = managed::ITEMS.iter().chain([&managed::INRIA]);
    Repo {
        root: "/repository".into(),
        tch_locked: splat_toolchain::Row::named(row).map(|row| row.tch_version()),
        requirements: items.map(|item| (item.requirements.to_owned(), "pin\n".to_owned())).collect(),
        own_kernels: true,
        ..Repo::default()
    }
}

fn machine(name: &str, row: &str) -> Machine {
    let env = Env::fixture(&folder(name)).unwrap();
    probe(&env, &repo(row), &Request::default())
}

/// Our own build, with both engines that nvcc compiles and consent to the original's licence.
fn own(machine: &Machine, row: &str) -> Plan {
    let request = Request {
        row: Some(row.into()),
        engines: Some(EngineName::ALL.to_vec()),
        accept_inria: true,
        ..Request::default()
    };
    plan(machine, &request, &repo(row))
}

fn extension(machine: &Machine, row: &str) -> (ExtPlan, Vec<Finding>) {
    let torch = rules::ext::torch_of(machine, None).expect("the article's Python has torch");
    let plan = ext::plan(machine, torch, &ExtRequest::default(), &repo(row));
    let findings = rules::ext::all(machine, &plan, None);
    (plan, findings)
}

fn errors(findings: &[Finding]) -> Vec<&Finding> {
    findings.iter().filter(|finding| finding.severity >= Severity::Error).collect()
}

/// What a user reads of a finding.
fn of<'a>(findings: &'a [Finding], code: &str) -> &'a Finding {
    findings
        .iter()
        .find(|finding| finding.code == code)
        .unwrap_or_else(|| panic!("no {code} in {findings:#?}"))
}

#[test]
fn the_facts_of_the_first_machine() {
    let machine = machine("article-2.4", "2.4");
    let torch = &machine.torches[0];
    assert_eq!((torch.full_version.as_str(), torch.installer.as_deref()), ("2.4.0+cu124", Some("pip")));
    assert_eq!((torch.complete, torch.cxx_standard, torch.gpu_codes.last()), (true, Some(17), Some(&90)));
    let toolkits: Vec<String> = machine
        .toolkits
        .iter()
        .map(|toolkit| format!("{} {}", toolkit.version.as_ref().unwrap().value, toolkit.lacks().len()))
        .collect();
    assert_eq!(toolkits, ["13.1.80 0", "12.6.77 0"]);
    assert!(
        machine.toolkits.iter().all(|toolkit| !toolkit.explicit),
        "an installer's CUDA_PATH is no choice"
    );
    let compiler = &machine.host_compilers[0];
    assert_eq!((compiler.version.to_string(), compiler.msc_ver()), ("19.42.34433".into(), Some(1942)));
    let msvc = compiler.msvc.as_ref().unwrap();
    assert_eq!(
        (msvc.product_version.minor(), msvc.stl_cuda.as_ref().unwrap().to_string()),
        (12, "12.4".into())
    );
    // Three numbers that people confuse, apart.
    assert_eq!(machine.driver.as_ref().unwrap().value.to_string(), "595.02");
    assert_eq!(machine.driver_cuda.as_ref().unwrap().value.to_string(), "13.2");
    assert_eq!((machine.gpus[0].arch, machine.locale.oem.as_ref().unwrap().value), (86, 936));
    assert_eq!(machine.windows_sdks[0].value.to_string(), "10.0.22621.0");
}

#[test]
fn our_own_build_needs_no_switch_and_no_patch_on_either_machine() {
    for (name, row) in [("article-2.4", "2.4"), ("article-2.7", "2.7")] {
        let machine = machine(name, row);
        let plan = own(&machine, row);
        assert!(errors(&plan.findings).is_empty(), "{name}: {:#?}", errors(&plan.findings));
        assert_eq!(
            plan.torch.path(),
            Some(machine.torches[0].root.as_path()),
            "{name}: torch is the installed one"
        );
        assert_eq!(
            plan.cuda.version().unwrap().series().to_string(),
            "13.1",
            "{name}: the toolkit is the default one"
        );
        assert_eq!((plan.archs.as_slice(), plan.ptx), ([86].as_slice(), Some(86)));
        assert_eq!(
            plan.host_compiler.as_ref().and_then(splat_toolchain::machine::HostCompiler::msc_ver),
            Some(1942)
        );
        assert_eq!(of(&plan.findings, "E01").severity, Severity::Info, "the mismatch is said, and harmless");
    }
}

#[test]
fn an_extension_gets_twelve_six_on_the_first_machine() {
    let machine = machine("article-2.4", "2.4");
    let (plan, findings) = extension(&machine, "2.4");
    assert!(errors(&findings).is_empty(), "{:#?}", errors(&findings));
    assert_eq!(plan.cuda.version().unwrap().to_string(), "12.6.77");
    let lost = &plan.choices[0].rejected;
    assert!(lost.iter().any(|(what, why)| what.contains("13.1") && why.contains("12.4")), "{lost:?}");
    // What torch by itself would have done, and the harmless difference that remains.
    assert_eq!(of(&findings, "E06").severity, Severity::Info);
    assert_eq!(of(&findings, "E02").severity, Severity::Info);
    assert_eq!(of(&findings, "E90").severity, Severity::Info);
}

#[test]
fn an_extension_is_told_the_way_out_on_the_second_machine() {
    let machine = machine("article-2.7", "2.7");
    let (plan, findings) = extension(&machine, "2.7");
    assert_eq!(plan.cuda, splat_toolchain::Choice::Missing);
    let finding = of(&findings, "E01");
    assert_eq!(finding.severity, Severity::Error);
    assert!(finding.message.contains("12.6") && finding.evidence.contains("13.1"), "{finding:?}");
    for way in ["12.x toolkit", "cargo xtask torch plan"] {
        assert!(finding.hint.contains(way), "{finding:?}");
    }
    assert_eq!(errors(&findings).len(), 1, "{findings:#?}");
}

#[test]
fn the_same_machine_is_planned_alike_from_its_snapshot() {
    let machine = machine("article-2.4", "2.4");
    let text = serde_json::to_string(&machine).unwrap();
    let again: Machine = serde_json::from_str(&text).unwrap();
    assert_eq!(machine, again);
    assert_eq!(own(&machine, "2.4"), own(&again, "2.4"));
}

/// A Windows machine's snapshot has one plan, on whatever system it is made: the golden file holds it, with
/// backslashes, and this test runs on Linux and on Windows.
#[test]
fn a_windows_snapshot_gives_one_plan_everywhere() {
    let text = fs_err::read_to_string(folder("machines/clean-windows.json")).unwrap();
    let machine: Machine = serde_json::from_str(&text).unwrap();
    let repo = Repo { root: r"C:\splatwright".into(), ..repo("2.11") };
    let request =
        Request { engines: Some(EngineName::ALL.to_vec()), accept_inria: true, ..Request::default() };
    let plan = plan(&machine, &request, &repo);
    let text = serde_json::to_string_pretty(&plan).unwrap();
    let golden = folder("clean-windows.plan.json");
    if std::env::var_os("SPLATWRIGHT_BLESS").is_some() {
        fs_err::write(&golden, format!("{text}\n")).unwrap();
    }
    let expected: Plan = serde_json::from_str(&fs_err::read_to_string(&golden).unwrap()).unwrap();
    assert_eq!(plan, expected);
    assert!(!text.contains("v1/"), "a path of Windows is joined with a backslash: {text}");
}
