//! `cargo xtask test`: builds what is missing, runs every Rust, documentation and Python test, and counts them.
//!
//! The closing line is true: what could not run here is skipped, not passed, and a target that does not build
//! fails. Counting is in [`crate::test_log`].

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use anyhow::Context;
use splatwright::{cargo, repository, ui};

use crate::{
    build,
    test_log::{CargoLog, Counts, unittest},
};

/// Run every test: Rust, documentation, Python
///
/// Builds what is missing first. Tests that need a GPU are skipped without one; tests on real data read
/// $SPLAT_DATA (default ../shared/data) and are skipped when it is absent, or fail when CI=true.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this package (repeatable); Python tests run only without it
    #[arg(short, long)]
    package: Vec<String>,
    /// Print the counts as JSON on stdout, the tests' own output on stderr
    #[arg(long)]
    json: bool,
    /// Only tests whose name contains one of these
    filter: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// When the build fails or a runner cannot be started. A failing test is no error: exit code 1.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let built = build::ensure()?;
    let root = repository::required()?;
    let mut counts = rust(&root, args, &built)?;
    if args.package.is_empty() && args.filter.is_empty() {
        counts.add(python(&root, &built)?);
    }
    for failure in &counts.failures {
        ui::note(&format!("failed: {failure}"));
    }
    for (reason, n) in &counts.skipped {
        ui::note(&format!("skipped {n}: {reason}"));
    }
    if args.json {
        ui::json(&serde_json::json!({
            "passed": counts.passed,
            "failed": counts.failed,
            "skipped": counts.skipped_total(),
            "skipped_by_reason": counts.skipped,
            "failures": counts.failures,
        }))?;
    } else {
        ui::data(&counts.line())?;
    }
    Ok(if counts.failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn rust(root: &Path, args: &Args, built: &build::Built) -> anyhow::Result<Counts> {
    let mut command = cargo::command(root);
    command.args(["test", "--release", "--no-fail-fast"]);
    if args.package.is_empty() {
        command.arg("--workspace");
    }
    for package in &args.package {
        command.args(["--package", package]);
    }
    command.args(["--", "--show-output"]).args(&args.filter);
    command.env("SPLAT_ENGINES", &built.engine_dir);
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start `cargo test`")?;
    let stdout = child.stdout.take().context("cargo's output is piped")?;
    let mut log = CargoLog::default();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).trim_end().to_owned();
        if log.line(&line) {
            if args.json { ui::note(&line) } else { ui::data(&line)? }
        }
    }
    let status = child.wait()?;
    Ok(log.finish(status.success()))
}

fn python(root: &Path, built: &build::Built) -> anyhow::Result<Counts> {
    let mut command = Command::new(&built.python);
    command
        .args(["-m", "unittest", "discover", "-v", "-s", "python/tests"])
        .current_dir(root)
        .env("SPLAT_ENGINES", &built.engine_dir)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    // The row's torch, where it is a Python package: cargo's configuration names it. Without one those tests are skipped.
    if let Some(libtorch) =
        std::env::var_os("LIBTORCH").map(PathBuf::from).filter(|t| t.join("__init__.py").exists())
    {
        command.env("PYTHONPATH", libtorch.parent().unwrap_or(root));
    }
    let output = command.output().with_context(|| format!("cannot start `{}`", built.python.display()))?;
    let log = String::from_utf8_lossy(&output.stderr);
    ui::note(&log);
    Ok(unittest(&log, output.status.success()))
}
