//! Which crate of the workspace may depend on which, as ARCHITECTURE.md draws it: one way, engines as leaves, the
//! toolchain below its own programs and tests alone.

use std::path::Path;

use cargo_metadata::{DependencyKind, Metadata};

use super::Complaint;

/// A crate and what it may depend on: itself, in its build script, and besides these in its tests.
#[derive(Debug)]
struct Rule {
    name: &'static str,
    normal: &'static [&'static str],
    build: &'static [&'static str],
    tests: &'static [&'static str],
}

const fn rule(
    name: &'static str,
    normal: &'static [&'static str],
    build: &'static [&'static str],
    tests: &'static [&'static str],
) -> Rule {
    Rule { name, normal, build, tests }
}

/// Finds libtorch, for whoever links a program or a test against it.
const LINK: &[&str] = &["torch-link"];
/// Compiles an engine's library.
const ENGINE_BUILD: &[&str] = &["splat-engine-build"];
/// The tests of every crate may depend on this.
const TESTDATA: &str = "splat-testdata";

#[rustfmt::skip]
const RULES: &[Rule] = &[
    // Neither torch nor CUDA.
    rule("splat-engine", &[], &[], &[]),
    rule("splat-core", &[], &[], &[]),
    rule("splat-scene", &["splat-core"], &[], &[]),
    rule("splat-init", &["splat-core", "splat-scene"], &[], &[]),
    // Engines: leaves, which nobody but splat-tch and programs link.
    rule("splat-cpu", &["splat-core", "splat-engine"], &[], &[]),
    rule("splat-cuda", &["splat-engine"], ENGINE_BUILD, &["splat-toolchain"]),
    rule("splat-inria", &["splat-engine"], ENGINE_BUILD, &["splat-toolchain"]),
    // Torch.
    rule("splat-tch", &["splat-core", "splat-engine", "splat-cpu", "splat-cuda", "splat-inria"], LINK, &[]),
    rule("splat-dist", &[], LINK, &[]),
    rule("splat-train", &["splat-core", "splat-engine", "splat-scene", "splat-init", "splat-tch", "splat-dist"], LINK, &[]),
    // Programs. `splat` takes from the library of `splatwright` how packages are brought into the cache, nothing else.
    rule("splat", &["splat-core", "splat-engine", "splat-cpu", "splat-cuda", "splat-inria", "splat-scene", "splat-init", "splat-tch", "splat-train", "splatwright"], LINK, &[]),
    rule("splat-verify", &["splat-core", "splat-engine", "splat-cpu", "splat-tch", "splat-scene"], LINK, &[]),
    rule("splatwright", &["splat-toolchain", "splat-engine"], &[], &[]),
    rule("xtask", &["splat-toolchain", "splat-engine", "splatwright"], &[], &[]),
    // For build scripts and tests.
    rule("torch-link", &[], &[], &[]),
    rule("splat-engine-build", &[], &[], &[]),
    rule("splat-toolchain", &[], &[], LINK),
    rule(TESTDATA, &[], &[], &[]),
    rule("splat-tests", &["splat-core", "splat-engine", "splat-cpu", "splat-cuda", "splat-inria", "splat-tch", "splat-scene", "splat-init", "splat-train", "splat-verify"], LINK, &[]),
];

/// A dependency of one crate of the workspace on another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    from: String,
    to: String,
    kind: DependencyKind,
    /// The manifest, relative to the repository.
    manifest: String,
    line: usize,
}

pub(super) fn check(metadata: &Metadata) -> Vec<Complaint> {
    let root = metadata.workspace_root.as_std_path();
    let names: Vec<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    let mut complaints = Vec::new();
    for package in &metadata.packages {
        let path = package.manifest_path.as_std_path();
        let manifest = shown(path, root);
        if !RULES.iter().any(|rule| rule.name == package.name.as_str()) {
            complaints.push(unknown(&package.name, &manifest));
        }
        let text = fs_err::read_to_string(path).unwrap_or_default();
        for dependency in package.dependencies.iter().filter(|d| names.contains(&d.name.as_str())) {
            let edge = Edge {
                from: package.name.to_string(),
                to: dependency.name.clone(),
                kind: dependency.kind,
                line: line_of(&text, &dependency.name),
                manifest: manifest.clone(),
            };
            complaints.extend(judge(&edge));
        }
    }
    let gone = RULES.iter().filter(|rule| !names.contains(&rule.name));
    complaints.extend(gone.map(|rule| Complaint {
        path: "xtask/src/tidy/edges.rs".into(),
        line: 0,
        what: format!("crate `{}` has a rule and does not exist", rule.name),
        remedy: "remove its line".into(),
    }));
    complaints
}

/// A path relative to the repository, with `/`.
pub(super) fn shown(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string().replace('\\', "/")
}

fn line_of(manifest: &str, dependency: &str) -> usize {
    manifest.lines().position(|line| line.trim_start().starts_with(dependency)).map_or(0, |i| i + 1)
}

fn unknown(name: &str, manifest: &str) -> Complaint {
    Complaint {
        path: manifest.to_owned(),
        line: 0,
        what: format!("crate `{name}` has no rule"),
        remedy: "a new crate needs a line in xtask/src/tidy/edges.rs and a sentence in ARCHITECTURE.md"
            .into(),
    }
}

fn judge(edge: &Edge) -> Option<Complaint> {
    let Rule { normal, build, tests, .. } = RULES.iter().find(|rule| rule.name == edge.from)?;
    let (allowed, kind): (Vec<&str>, _) = match edge.kind {
        DependencyKind::Build => (build.to_vec(), " at build time"),
        DependencyKind::Development => ([*normal, *build, *tests, &[TESTDATA]].concat(), " in its tests"),
        _ => (normal.to_vec(), ""),
    };
    if allowed.contains(&edge.to.as_str()) {
        return None;
    }
    let list = if allowed.is_empty() { "nothing of the workspace".to_owned() } else { allowed.join(", ") };
    Some(Complaint {
        path: edge.manifest.clone(),
        line: edge.line,
        what: format!("`{}` must not depend on `{}`{kind}", edge.from, edge.to),
        remedy: format!("it may depend{kind} on {list}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(from: &str, to: &str, kind: DependencyKind) -> Edge {
        Edge { from: from.into(), to: to.into(), kind, manifest: "Cargo.toml".into(), line: 1 }
    }

    #[test]
    fn the_house_plan_is_accepted() {
        for (from, to, kind) in [
            ("splat-cpu", "splat-core", DependencyKind::Normal),
            ("splat-cuda", "splat-engine", DependencyKind::Normal),
            ("splat-cuda", "splat-engine-build", DependencyKind::Build),
            ("splat-inria", "splat-toolchain", DependencyKind::Development),
            ("splat-tch", "splat-cuda", DependencyKind::Normal),
            ("splat-train", "splat-init", DependencyKind::Normal),
            ("splat-train", "splat-testdata", DependencyKind::Development),
            ("splat", "torch-link", DependencyKind::Build),
            ("splat-tests", "splat-tch", DependencyKind::Normal),
            ("splat", "splatwright", DependencyKind::Normal),
            ("xtask", "splatwright", DependencyKind::Normal),
        ] {
            assert_eq!(judge(&edge(from, to, kind)), None, "{from} -> {to}");
        }
    }

    #[test]
    fn any_other_edge_is_named() {
        for (from, to, kind) in [
            ("splat-core", "splat-engine", DependencyKind::Normal),
            ("splat-engine", "splat-cpu", DependencyKind::Normal),
            ("splat-scene", "splat-tch", DependencyKind::Normal),
            ("splat-cuda", "splat-core", DependencyKind::Normal),
            ("splat-cuda", "splat-toolchain", DependencyKind::Normal),
            ("splat-core", "splat-toolchain", DependencyKind::Build),
            ("splat-train", "splat-cuda", DependencyKind::Normal),
            ("splat-train", "splat-testdata", DependencyKind::Normal),
            ("splatwright", "splat-tch", DependencyKind::Normal),
        ] {
            let complaint =
                judge(&edge(from, to, kind)).unwrap_or_else(|| panic!("{from} -> {to} was accepted"));
            assert!(complaint.what.contains(from) && complaint.what.contains(to), "{complaint:?}");
        }
    }

    #[test]
    fn no_crate_depends_on_itself() {
        fn below(name: &str, seen: &mut Vec<&str>) {
            let Rule { normal, build, .. } = RULES.iter().find(|rule| rule.name == name).unwrap();
            for next in normal.iter().chain(*build) {
                if !seen.contains(next) {
                    seen.push(next);
                    below(next, seen);
                }
            }
        }
        for Rule { name, .. } in RULES {
            let mut seen = Vec::new();
            below(name, &mut seen);
            assert!(!seen.contains(name), "{name} depends on itself");
        }
    }
}
