//! Which crate of the workspace may depend on which, as ARCHITECTURE.md draws it: one way, toolchain only at build
//! time, xtask above everything and below nothing.

use std::path::Path;

use cargo_metadata::{DependencyKind, Metadata};

use super::Complaint;

/// A crate, what it may depend on, and what besides in its build script and its tests.
type Rule = (&'static str, &'static [&'static str], &'static [&'static str]);

const TOOLCHAIN: &[&str] = &["splat-toolchain"];
/// What the tests of every crate may depend on, and nothing else.
const TESTDATA: &[&str] = &["splat-testdata"];

#[rustfmt::skip]
const RULES: &[Rule] = &[
    ("splat-toolchain", &[], &[]),
    ("splat-testdata", &[], &[]),
    ("splat-core", &[], &[]),
    ("splat-engine", &["splat-core"], &[]),
    ("splat-cuda", &["splat-core", "splat-engine"], TOOLCHAIN),
    ("splat-tch", &["splat-core", "splat-engine", "splat-cuda"], TOOLCHAIN),
    ("splat-scene", &["splat-core"], &[]),
    ("splat-init", &["splat-core", "splat-scene"], &[]),
    ("splat-train", &["splat-core", "splat-engine", "splat-cuda", "splat-tch", "splat-scene", "splat-init"], TOOLCHAIN),
    ("splat", &["splat-core", "splat-tch", "splat-scene", "splat-init", "splat-train"], TOOLCHAIN),
    ("splat-tests", &["splat-core", "splat-engine", "splat-cuda", "splat-tch", "splat-scene", "splat-train"], TOOLCHAIN),
    ("splatwright", TOOLCHAIN, &[]),
    ("xtask", &["splat-toolchain", "splat-engine", "splatwright"], &[]),
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
        if !RULES.iter().any(|(name, ..)| *name == package.name.as_str()) {
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
    complaints
}

fn shown(path: &Path, root: &Path) -> String {
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
    let (_, normal, build) = RULES.iter().find(|(name, ..)| *name == edge.from)?;
    let (allowed, kind): (Vec<&str>, _) = match edge.kind {
        DependencyKind::Build => (build.to_vec(), " at build time"),
        DependencyKind::Development => ([*normal, *build, TESTDATA].concat(), " in its tests"),
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
            ("splat-engine", "splat-core", DependencyKind::Normal),
            ("splat-cuda", "splat-engine", DependencyKind::Normal),
            ("splat-cuda", "splat-toolchain", DependencyKind::Build),
            ("splat-cuda", "splat-toolchain", DependencyKind::Development),
            ("splat-train", "splat-scene", DependencyKind::Normal),
            ("splat-train", "splat-testdata", DependencyKind::Development),
            ("splat-tests", "splat-tch", DependencyKind::Normal),
            ("xtask", "splat-toolchain", DependencyKind::Normal),
        ] {
            assert_eq!(judge(&edge(from, to, kind)), None, "{from} -> {to}");
        }
    }

    #[test]
    fn any_other_edge_is_named() {
        for (from, to, kind) in [
            ("splat-core", "splat-engine", DependencyKind::Normal),
            ("splat-scene", "splat-tch", DependencyKind::Normal),
            ("splat-cuda", "splat-tch", DependencyKind::Normal),
            ("splat-cuda", "splat-toolchain", DependencyKind::Normal),
            ("splat-core", "splat-toolchain", DependencyKind::Build),
            ("splat-train", "xtask", DependencyKind::Normal),
            ("splat-train", "splat-testdata", DependencyKind::Normal),
        ] {
            let complaint =
                judge(&edge(from, to, kind)).unwrap_or_else(|| panic!("{from} -> {to} was accepted"));
            assert!(complaint.what.contains(from) && complaint.what.contains(to), "{complaint:?}");
        }
    }

    #[test]
    fn no_rule_goes_round_in_a_circle() {
        fn below(name: &str, seen: &mut Vec<&str>) {
            let (_, normal, build) = RULES.iter().find(|(rule, ..)| *rule == name).unwrap();
            for next in normal.iter().chain(*build) {
                if !seen.contains(next) {
                    seen.push(next);
                    below(next, seen);
                }
            }
        }
        for (name, ..) in RULES {
            let mut seen = Vec::new();
            below(name, &mut seen);
            assert!(!seen.contains(name), "{name} depends on itself");
        }
    }
}
