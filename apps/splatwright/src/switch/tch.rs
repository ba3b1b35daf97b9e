//! The row's tch in the workspace's `Cargo.toml` and `Cargo.lock`. One release of tch fits exactly one release of torch, so
//! the manifest names it; a manifest without such a line (another workspace's) is left as it is.

use std::path::Path;

use anyhow::Context as _;
use splat_toolchain::{Plan, Row, Version};

use crate::{cargo, hint::hinted};

/// The manifest with `tch = "..."` as the row needs it; comments and everything else stay.
pub(super) fn required(manifest: &str, row: Row) -> String {
    let version = row.tch_version().series();
    let line = |line: &str| match line.starts_with("tch = \"") {
        true => format!("tch = \"{version}\"\n"),
        false => line.to_owned(),
    };
    manifest.split_inclusive('\n').map(line).collect()
}

/// `cargo update -p tch --precise`: first from what cargo has downloaded already, then with the network.
pub(super) fn move_lock(root: &Path, plan: &Plan) -> anyhow::Result<Option<(Version, Version)>> {
    let fits = plan.row.tch_version();
    let Some(locked) = splat_toolchain::probe::repo(root).tch_locked.filter(|locked| *locked != fits) else {
        return Ok(None);
    };
    let mut said = String::new();
    for offline in [true, false] {
        let mut command = cargo::command(root);
        command.args(["update", "--quiet", "--package", "tch", "--precise", plan.row.tch]);
        if offline {
            command.arg("--offline");
        }
        let output = command.output().context("cannot start cargo")?;
        let now = splat_toolchain::probe::repo(root).tch_locked;
        if output.status.success() && now.as_ref() == Some(&fits) {
            return Ok(Some((locked, fits)));
        }
        said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    }
    Err(hinted(
        format!("cargo could not move tch from {locked} to {fits} in Cargo.lock: {said}"),
        format!(
            "once there is a network, run `cargo xtask switch torch {}`; nothing was changed",
            plan.row.name
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_line_of_tch_changes() {
        let manifest =
            "[workspace.dependencies]\ntar = \"0.4\"\ntch = \"0.24\"\n# tch = \"0\"\ntempfile = \"3\"\n";
        let row = Row::named("2.4").unwrap();
        assert_eq!(required(manifest, row), manifest.replace("\ntch = \"0.24\"", "\ntch = \"0.17\""));
        assert_eq!(required("tch.workspace = true\n", row), "tch.workspace = true\n");
    }

    #[test]
    fn the_manifest_of_this_repository_has_the_line() {
        let manifest = include_str!("../../../../Cargo.toml");
        for row in splat_toolchain::rows::ROWS {
            let text = required(manifest, *row);
            assert!(text.contains(&format!("\ntch = \"{}\"\n", row.tch_version().series())), "{}", row.name);
        }
    }
}
