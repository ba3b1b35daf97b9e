//! `cargo xtask bundle OUT`: a folder that runs on a GPU host which has libtorch (a Python torch of the row) but no Rust.
//!
//! Programs, engine libraries, the committed files that tests read, the Python module with its tests, chosen data, and a
//! `run.sh` that needs nothing else. What it copies is stripped of symbols; nothing outside OUT is written. Tests find
//! files and programs through variables of `run.sh` (see `splat_testdata`).

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::Context;
use splatwright::{
    compile::{self, Executable},
    hint::hinted,
    repository, ui,
};

use crate::build;

/// Gather tests, benches, programs and engines for a GPU host without Rust
///
/// The host needs the row's torch (`python3 -c 'import torch'`, or $LIBTORCH). There: `bash OUT/run.sh` runs every
/// test; `bash OUT/run.sh splat train ...` runs one program with libtorch found.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder to write; must not exist or be an earlier bundle
    out: PathBuf,
    /// Only these programs, by name (repeatable): `parity`, `splat`, `splat-verify`
    #[arg(long)]
    only: Vec<String>,
    /// Copy this file or folder to OUT/data (repeatable)
    #[arg(long)]
    data: Vec<PathBuf>,
    /// Leave the benches out
    #[arg(long)]
    no_benches: bool,
    /// Pack the programs into OUT/bin.tar.xz, a sixth of their size; run.sh unpacks them on the host
    #[arg(long)]
    pack: bool,
    /// List what would be copied, and stop
    #[arg(long)]
    dry_run: bool,
    /// Print the list of files as JSON on stdout
    #[arg(long)]
    json: bool,
}

const MARK: &str = "splatwright-bundle.json";

/// Packages whose programs and tests are about building; they have no place on a host without Rust.
const LEFT_OUT: [&str; 5] = ["xtask", "splatwright", "splat-toolchain", "torch-link", "splat-engine-build"];

/// Committed files that tests read, carried along under their own paths.
const COMMITTED: [&str; 5] = [
    "crates/splat-engine/include",
    "crates/splat-scene/tests/data",
    "crates/splat-verify/data",
    "docs/datasets.md",
    "python",
];

/// Runs the command.
///
/// # Errors
/// When something does not build, OUT is another folder, or a file cannot be copied.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let root = repository::required()?;
    if args.out.exists() && !args.out.join(MARK).exists() {
        return Err(hinted(
            format!("`{}` exists and is not an earlier bundle", args.out.display()),
            format!("cargo xtask bundle {}-bundle", args.out.display()),
        ));
    }
    let built = build::ensure_compiled()?;
    // The whole workspace, so that nothing is compiled again after `cargo xtask test`.
    let all = |arguments: &[&str]| compile::run(&root, &[arguments, &["--workspace"]].concat());
    let mut made = all(&["test", "--release", "--no-run"])?.executables;
    made.extend(all(&["build", "--release", "--bins", "--examples"])?.executables);
    if !args.no_benches {
        made.extend(all(&["bench", "--benches", "--no-run"])?.executables);
    }
    made.retain(|e| !LEFT_OUT.contains(&&*e.package));
    let mut programs: Vec<(String, Executable)> = made
        .into_iter()
        .map(|e| (file_name(&e), e))
        .filter(|(name, e)| args.only.is_empty() || args.only.iter().any(|o| *o == *name || *o == e.name))
        .collect();
    programs.sort_by(|a, b| a.0.cmp(&b.0));
    programs.dedup_by(|a, b| a.0 == b.0);
    if let Some(wanted) = args.only.iter().find(|o| !programs.iter().any(|(n, e)| *o == n || **o == e.name)) {
        return Err(hinted(format!("there is no program `{wanted}`"), "cargo xtask bundle OUT --dry-run"));
    }
    let mut copies: Vec<(PathBuf, PathBuf)> =
        programs.iter().map(|(name, e)| (e.path.clone(), Path::new("bin").join(name))).collect();
    // With the notices that lie beside the libraries.
    copies.push((built.engine_dir.clone(), "engines".into()));
    for path in COMMITTED {
        copies.push((root.join(path), Path::new("repository").join(path)));
    }
    for data in &args.data {
        let name = data.file_name().with_context(|| format!("`{}` has no name", data.display()))?;
        copies.push((data.clone(), Path::new("data").join(name)));
    }
    if args.dry_run {
        for (from, to) in &copies {
            ui::data(&format!("{} -> {}", from.display(), to.display()))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    write(args, &built, &copies)
}

fn write(args: &Args, built: &build::Built, copies: &[(PathBuf, PathBuf)]) -> anyhow::Result<ExitCode> {
    if args.out.exists() {
        fs_err::remove_dir_all(&args.out)?;
    }
    let mut files = Vec::new();
    for (from, to) in copies {
        copy(from, &args.out.join(to), &mut files)?;
    }
    for (_, to) in copies.iter().filter(|(_, to)| to.starts_with("bin")) {
        // Without `strip` the bundle is only larger.
        let _ = Command::new("strip").arg(args.out.join(to)).status();
    }
    if args.pack {
        pack(&args.out)?;
        files.retain(|file| !file.starts_with(args.out.join("bin")));
        files.push(args.out.join(PACKED));
    }
    fs_err::write(args.out.join("run.sh"), RUN)?;
    let total: u64 = files.iter().map(|f| fs_err::metadata(f).map_or(0, |m| m.len())).sum();
    let names: Vec<_> = files.iter().map(|f| f.strip_prefix(&args.out).unwrap_or(f)).collect();
    let record = serde_json::json!({
        "torch": built.torch_version, "fingerprint": built.fingerprint, "bytes": total, "files": names,
    });
    fs_err::write(args.out.join(MARK), serde_json::to_string_pretty(&record)?)?;
    if args.json {
        ui::json(&record)?;
    } else {
        let (n, size) = (files.len(), ui::bytes(total));
        ui::data(&format!("{n} files, {size}: {}", args.out.display()))?;
        ui::note(&format!(
            "there, with torch {}: bash {}/run.sh",
            built.torch_version,
            args.out.file_name().unwrap_or_default().to_string_lossy()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

const PACKED: &str = "bin.tar.xz";

/// Programs of one workspace share most of their code, which xz finds.
fn pack(out: &Path) -> anyhow::Result<()> {
    let tar = Command::new("tar").args(["-cJf", PACKED, "bin"]).current_dir(out).status();
    if !tar.with_context(|| "cannot start tar")?.success() {
        return Err(hinted("tar could not pack the programs", "install xz-utils, or leave out --pack"));
    }
    Ok(fs_err::remove_dir_all(out.join("bin"))?)
}

/// `splat-tch.memory.test`, `splat`: unique in one folder, and its kind can be read off.
fn file_name(e: &Executable) -> String {
    match e.kind {
        "bin" | "example" => e.name.clone(),
        kind => format!("{}.{}.{kind}", e.package, e.name),
    }
}

fn copy(from: &Path, to: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if fs_err::metadata(from)?.is_dir() {
        for entry in fs_err::read_dir(from)? {
            let entry = entry?;
            if entry.file_name() == "__pycache__" {
                continue;
            }
            copy(&entry.path(), &to.join(entry.file_name()), files)?;
        }
        return Ok(());
    }
    if let Some(parent) = to.parent() {
        fs_err::create_dir_all(parent)?;
    }
    fs_err::copy(from, to)?;
    files.push(to.to_owned());
    Ok(())
}

/// Finds libtorch, runs one program or every test, and counts what passed, failed and was skipped.
const RUN: &str = r#"#!/usr/bin/env bash
# Runs what `cargo xtask bundle` gathered. Needs bash and a torch of the row named in splatwright-bundle.json.
#   bash run.sh                 every test; ends with `N passed, N failed, N skipped`
#   bash run.sh PROGRAM ARGS    one program of bin/
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lib=${LIBTORCH:+$LIBTORCH/lib}
lib=${lib:-$(python3 -c 'import torch; print(torch.__path__[0])' 2>/dev/null)/lib}
if [ ! -e "$lib/libtorch.so" ]; then
  echo "error: no libtorch: \`$lib/libtorch.so\` does not exist" >&2
  echo "hint: export LIBTORCH=/path/to/torch" >&2
  exit 2
fi
export LD_LIBRARY_PATH="$lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export SPLAT_ENGINES="${SPLAT_ENGINES:-$here/engines}"
export SPLAT_REPOSITORY="$here/repository" SPLAT_PROGRAMS="$here/bin"
export SPLAT_DATA="${SPLAT_DATA:-$here/data}"
export SPLAT_GOLDEN="${SPLAT_GOLDEN:-$here/data/golden}"
if [ ! -d "$here/bin" ]; then
  tar -C "$here" -xJf "$here/bin.tar.xz" 2>/dev/null || python3 -m tarfile -e "$here/bin.tar.xz" "$here" || exit 2
fi
chmod +x "$here"/bin/* 2>/dev/null
if [ $# -gt 0 ]; then
  program=$1
  shift
  exec "$here/bin/$program" "$@"
fi
passed=0 failed=0 skipped=0
for program in "$here"/bin/*.test "$here"/bin/*.unit; do
  [ -e "$program" ] || continue
  echo "== $(basename "$program")"
  log=$(cd "$here" && "$program" --show-output 2>&1)
  status=$?
  printf '%s\n' "$log"
  result=$(printf '%s\n' "$log" | grep '^test result: ' | tail -n 1)
  p=$(printf '%s' "$result" | sed -nE 's/.* ([0-9]+) passed.*/\1/p')
  f=$(printf '%s' "$result" | sed -nE 's/.* ([0-9]+) failed.*/\1/p')
  i=$(printf '%s' "$result" | sed -nE 's/.* ([0-9]+) ignored.*/\1/p')
  # A test that says `skipped:` counts once, however many of its cases say so.
  s=$(printf '%s\n' "$log" | awk '/^---- .* stdout ----$/ { open = 1 } /^skipped: / && open { n++; open = 0 } END { print n + 0 }')
  [ -n "$result" ] || f=1
  [ "$status" -eq 0 ] || [ "${f:-0}" -gt 0 ] || f=1
  passed=$((passed + ${p:-0} - s)) failed=$((failed + ${f:-0})) skipped=$((skipped + s + ${i:-0}))
done
# The Python module's tests, where python3 has the torch that they need.
if [ -e "$here/repository/python" ] && python3 -c 'import torch' 2>/dev/null; then
  echo "== python/tests"
  log=$(cd "$here/repository" && PYTHONDONTWRITEBYTECODE=1 python3 -m unittest discover -s python/tests 2>&1)
  status=$?
  printf '%s\n' "$log"
  n=$(printf '%s\n' "$log" | sed -nE 's/^Ran ([0-9]+) tests?.*/\1/p' | tail -n 1)
  count() { printf '%s\n' "$log" | tail -n 1 | sed -nE "s/.*$1=([0-9]+).*/\1/p"; }
  s=$(count skipped) f=$(count failures) e=$(count errors)
  f=$((${f:-0} + ${e:-0}))
  [ "$status" -eq 0 ] || [ "$f" -gt 0 ] || f=1
  passed=$((passed + ${n:-0} - ${s:-0} - f)) failed=$((failed + f)) skipped=$((skipped + ${s:-0}))
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
"#;
