//! What every manifest takes from the workspace: the oldest Rust and the lints are typed once, in the root's Cargo.toml.

use toml::{Table, Value};

use super::Complaint;

const ROOT: &str = "Cargo.toml";

/// What is wrong with one file, by its path relative to the repository; `members` are the workspace's other manifests.
/// Files that are none of these pass.
pub(super) fn check(path: &str, text: &str, members: &[String]) -> Vec<Complaint> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let complaint = |what: &str, remedy: &str| Complaint {
        path: path.to_owned(),
        line: 0,
        what: what.to_owned(),
        remedy: remedy.to_owned(),
    };
    if matches!(name, "rust-toolchain" | "rust-toolchain.toml") {
        return vec![complaint(
            "a second place for the version of Rust",
            "`rust-version` in Cargo.toml is enough",
        )];
    }
    // Others, as those of tests/downstream, stand outside the workspace, as its users do.
    let ours = name == "Cargo.toml" && (path == ROOT || members.iter().any(|member| member == path));
    let Some(table) = ours.then(|| text.parse::<Table>().ok()).flatten() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    if path == ROOT {
        let denied = at(&table, &["workspace", "lints", "rust", "unsafe_code"]);
        if denied.and_then(Value::as_str) != Some("deny") {
            found.push(complaint("`unsafe_code` is not denied", "keep it in [workspace.lints.rust]"));
        }
        if at(&table, &["workspace", "package", "rust-version"]).is_none() {
            found.push(complaint("no oldest Rust", "set `rust-version` in [workspace.package]"));
        }
        return found;
    }
    if at(&table, &["package", "rust-version", "workspace"]).is_none() {
        found.push(complaint("its own oldest Rust, or none", "write `rust-version.workspace = true`"));
    }
    if at(&table, &["lints", "workspace"]).is_none() {
        found
            .push(complaint("it does not take the workspace's lints", "add [lints] with `workspace = true`"));
    }
    found
}

fn at<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Value> {
    let (last, before) = path.split_last()?;
    let table = before.iter().try_fold(table, |table, key| table.get(*key)?.as_table())?;
    table.get(*last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> usize {
        check(path, text, &["crates/a/Cargo.toml".to_owned()]).len()
    }

    #[test]
    fn rust_and_lints_are_the_workspace_s() {
        let good = "[package]\nrust-version.workspace = true\n[lints]\nworkspace = true\n";
        assert_eq!(complaints("crates/a/Cargo.toml", good), 0);
        assert_eq!(complaints("crates/a/Cargo.toml", "[package]\nrust-version = \"1.80\"\n"), 2);
        assert_eq!(complaints("tests/downstream/user/Cargo.toml", "[package]\n"), 0);
        let root =
            "[workspace.package]\nrust-version = \"1\"\n[workspace.lints.rust]\nunsafe_code = \"deny\"\n";
        assert_eq!(complaints("Cargo.toml", root), 0);
        assert_eq!(complaints("Cargo.toml", "[workspace]\n"), 2);
        assert_eq!(complaints("rust-toolchain.toml", "[toolchain]\n"), 1);
        assert_eq!(complaints("xtask/tidy.toml", "[package]\n"), 0);
    }
}
