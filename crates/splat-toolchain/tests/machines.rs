//! Every rule of the catalogue on the machine that it is about: a clean machine with one thing wrong gives exactly its
//! code, clean machines give nothing, and no code with a rule is without a machine.

use std::{collections::BTreeSet, path::PathBuf};

use serde::Deserialize;
use serde_json::Value;
use splat_toolchain::{
    Finding, Machine, Repo, Request, catalogue,
    ext::{self, ExtRequest},
    managed, plan,
    rules::{self, tree::Tree},
};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/machines")
}

fn json(name: &str) -> Value {
    let text = fs_err::read_to_string(folder().join(format!("{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// One fixture: a machine told as its difference from a clean one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    /// What is wrong here.
    why: String,
    /// `own` or `ext`.
    #[serde(rename = "for")]
    target: String,
    #[serde(default)]
    base: Option<String>,
    /// A merge patch (RFC 7396) over the clean machine.
    #[serde(default = "nothing")]
    patch: Value,
    /// Over the repository.
    #[serde(default = "nothing")]
    repo: Value,
    /// `--cuda` for an extension.
    #[serde(default)]
    cuda: Option<String>,
    #[serde(default)]
    tree: Option<Tree>,
    /// Codes that this machine cannot but show as well.
    #[serde(default)]
    also: Vec<String>,
}

/// An empty patch.
fn nothing() -> Value {
    Value::Object(serde_json::Map::new())
}

fn merge(into: &mut Value, patch: &Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (key, value) in patch {
                // Facts that are absent are null in a snapshot; map entries are not there.
                if value.is_null() && into.get(key).is_some_and(Value::is_string) {
                    into.remove(key);
                } else {
                    merge(into.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (into, patch) => *into = patch.clone(),
    }
}

fn repo() -> Repo {
    let items = managed::ITEMS.iter().chain([&managed::INRIA]);
    Repo {
        root: "/srv/splatwright".into(),
        tch_locked: "0.24.0".parse().ok(),
        requirements: items.map(|item| (item.requirements.to_owned(), "pin\n".to_owned())).collect(),
        own_kernels: true,
        ..Repo::default()
    }
}

fn findings(fixture: &Fixture) -> Vec<Finding> {
    let mut machine = json(fixture.base.as_deref().unwrap_or("clean"));
    merge(&mut machine, &fixture.patch);
    let machine: Machine = serde_json::from_value(machine).unwrap();
    let mut repo_json = serde_json::to_value(repo()).unwrap();
    merge(&mut repo_json, &fixture.repo);
    let repo: Repo = serde_json::from_value(repo_json).unwrap();
    match fixture.target.as_str() {
        "own" => {
            let engines = vec!["cpu".parse().unwrap(), "cuda".parse().unwrap()];
            let request = Request { engines: Some(engines), ..Request::default() };
            plan(&machine, &request, &repo).findings
        }
        "ext" => match rules::ext::torch_of(&machine, None) {
            Some(torch) => {
                let request = ExtRequest { cuda: fixture.cuda.clone(), ..ExtRequest::default() };
                let plan = ext::plan(&machine, torch, &request, &repo);
                rules::ext::all(&machine, &plan, fixture.tree.as_ref())
            }
            None => vec![rules::ext::no_torch(&machine)],
        },
        other => panic!("no target `{other}`"),
    }
}

fn fixtures() -> Vec<(String, Fixture)> {
    let names = fs_err::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names
        .filter_map(|name| Some(name.to_str()?.strip_suffix(".json")?.to_owned()))
        .filter(|name| !name.starts_with("clean"))
        .collect();
    names.sort();
    names
        .into_iter()
        .map(|name| {
            (name.clone(), serde_json::from_value(json(&name)).unwrap_or_else(|e| panic!("{name}: {e}")))
        })
        .collect()
}

fn told(findings: &[Finding]) -> String {
    findings
        .iter()
        .map(|f| format!("  {} {}: {} [{}]\n", f.severity, f.code, f.message, f.evidence))
        .collect()
}

#[test]
fn every_machine_shows_its_fault_and_no_other() {
    let mut wrong = String::new();
    for (name, fixture) in fixtures() {
        let code = name.split('-').next().unwrap().to_owned();
        let found = findings(&fixture);
        // Own codes (Sxx) speak of provisioning; the catalogue's are the matter here.
        let codes: BTreeSet<&str> =
            found.iter().map(|f| f.code.as_str()).filter(|code| code.starts_with('E')).collect();
        let expected: BTreeSet<&str> =
            std::iter::once(code.as_str()).chain(fixture.also.iter().map(String::as_str)).collect();
        if codes != expected {
            wrong += &format!("{name} ({}): expected {expected:?}\n{}", fixture.why, told(&found));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_finding_has_evidence_and_says_what_to_do() {
    for (name, fixture) in fixtures() {
        let code = name.split('-').next().unwrap().to_owned();
        for finding in findings(&fixture).iter().filter(|finding| finding.code == code) {
            let what = format!("{name}: {finding:?}");
            assert!(finding.message.len() > 20, "{what}");
            assert!(!finding.evidence.is_empty() || code == "E02", "{what}");
            let info = finding.severity == splat_toolchain::Severity::Info;
            assert!(info || !finding.hint.is_empty(), "{what}");
        }
    }
}

#[test]
fn clean_machines_show_nothing_for_either_target() {
    for base in ["clean", "clean-windows"] {
        for target in ["own", "ext"] {
            let fixture = Fixture {
                why: String::new(),
                target: target.into(),
                base: Some(base.into()),
                patch: nothing(),
                repo: nothing(),
                cuda: None,
                tree: None,
                also: Vec::new(),
            };
            let found = findings(&fixture);
            assert!(found.is_empty(), "{base} {target}:\n{}", told(&found));
        }
    }
}

#[test]
fn every_code_with_a_rule_has_a_machine_and_every_machine_a_rule() {
    let names: Vec<String> =
        fixtures().into_iter().map(|(name, _)| name.split('-').next().unwrap().to_owned()).collect();
    for entry in catalogue::all().filter(|entry| !entry.code.starts_with(['S', 'X'])) {
        let has = names.iter().any(|code| code == entry.code);
        assert_eq!(has, entry.rule, "{}: rule {}, fixture {has}", entry.code, entry.rule);
    }
}

/// The meta-test of the catalogue: nothing in it is without a fixture.
#[test]
fn no_code_is_without_a_fixture() {
    let logs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/logs");
    let plans = include_str!("plans.rs");
    for entry in catalogue::all() {
        // This project's own codes are shown by the machines of the plans' tests.
        if entry.code.starts_with('S') {
            assert!(plans.contains(entry.code), "{} is shown by no test of tests/plans.rs", entry.code);
            continue;
        }
        // These are found in other people's wheels and setup.py: `.ci/steps/ext` has them.
        if entry.code.starts_with('X') {
            continue;
        }
        let machine = folder().join(format!("{}.json", entry.code)).exists();
        let log = logs.join(format!("{}.log", entry.code)).exists();
        assert!(machine || log, "{} has neither a machine nor a log", entry.code);
    }
}
