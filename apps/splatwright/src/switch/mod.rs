//! `cargo xtask switch`: which row of torch and tch, and which CUDA toolkit, is in force. Writes the ignored
//! `.cargo/toolchain.toml` and the row's tch in `Cargo.toml` and `Cargo.lock`, all or none; builds and fetches nothing.

mod cuda;
mod force;
mod list;
mod shell;
mod tch;

use std::{path::PathBuf, process::ExitCode};

use clap::{Subcommand, ValueEnum};
use serde::Serialize;
use splat_toolchain::{Choice, Finding, Request, Severity, Version, config, plan::cuda_choice, rows};

pub(crate) use self::force::replace;
pub use self::force::{Changed, RECORD, put_in_force};
use crate::{doctor::Snapshot, hint::hinted, language::said, repository, ui};

/// Choose the PyTorch release and the CUDA toolkit that builds use
///
/// One release of the Rust crate tch fits exactly one release of PyTorch, so the two are chosen together, as a row.
/// The choice is written to `.cargo/toolchain.toml` (ignored by git), which cargo and rust-analyzer read by
/// themselves: nothing needs to be exported. Each row has a target directory of its own, so that switching back
/// recompiles nothing. Nothing is downloaded here; `cargo xtask build` brings what is missing.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = false)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// Print the environment for builds outside this repository, and change nothing
    #[arg(long, value_enum, value_name = "SHELL", global = true)]
    print_env: Option<Shell>,
    /// Write a shell script that switches an open shell with one word, and print how to use it
    #[arg(long, value_enum, value_name = "SHELL")]
    install_shell: Option<Shell>,
    /// The folder for that script
    #[arg(long, value_name = "DIR", default_value = "target/shell", requires = "install_shell")]
    into: PathBuf,
    /// Show what would be written, and change nothing
    #[arg(long, global = true)]
    dry_run: bool,
    /// Print the result as JSON on stdout
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show the rows, which parts of each are installed, and the CUDA toolkits found
    List,
    /// Put a row in force: its PyTorch, and the tch that goes with it
    Torch {
        /// Such as 2.11; `cargo xtask switch list` shows all
        row: String,
    },
    /// Choose a CUDA toolkit
    Cuda {
        /// A version (12.6), a folder, `managed` for the one that Splatwright installs, or `auto` to choose the best fit
        toolkit: String,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Sh,
    Fish,
    Cmd,
    Powershell,
}

impl From<Shell> for config::Shell {
    fn from(shell: Shell) -> Self {
        match shell {
            Shell::Sh => Self::Sh,
            Shell::Fish => Self::Fish,
            Shell::Cmd => Self::Cmd,
            Shell::Powershell => Self::Powershell,
        }
    }
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Outcome<'a> {
    row: &'a str,
    torch: &'a Choice,
    cuda: &'a Choice,
    target_dir: &'a str,
    env: &'a std::collections::BTreeMap<String, String>,
    toolkit: Option<cuda::Told>,
    changed: Changed,
    findings: &'a [Finding],
}

/// Runs the command.
///
/// # Errors
/// What was asked for does not exist, or the choice cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(shell) = args.install_shell {
        let (path, usage) = shell::install(shell.into(), &args.into)?;
        ui::note(&format!("written: {}", path.display()));
        ui::data(&usage)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut request = Request::default();
    match &args.what {
        Some(What::List) => return list::run(args.json),
        Some(What::Torch { row }) => {
            let known = rows::Row::named(row).ok_or_else(|| {
                hinted(format!("there is no row `{row}`; rows: {}", rows::names()), "cargo xtask switch list")
            })?;
            request.row = Some(known.name.to_owned());
        }
        Some(What::Cuda { toolkit }) => request.cuda = Some(absolute(toolkit)),
        None if args.print_env.is_none() => {
            return Err(hinted("nothing to switch to was named", "cargo xtask switch list"));
        }
        None => {}
    }
    let snapshot = Snapshot::take(request);
    let plan = &snapshot.plan;
    refuse(&snapshot)?;
    if let Some(shell) = args.print_env {
        let (cuda, ..) = cuda_choice(&snapshot.machine, &snapshot.request, &snapshot.repo);
        ui::data(config::exports(&shell::variables(&snapshot, &cuda), shell.into()).trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    repository::required()?;
    let changed =
        if args.dry_run { would_change(&snapshot) } else { put_in_force(&snapshot.repo.root, plan)? };
    if args.json {
        let (cuda, ..) = cuda_choice(&snapshot.machine, &snapshot.request, &snapshot.repo);
        ui::json(&Outcome {
            row: plan.row.name,
            torch: &plan.torch,
            cuda: if plan.cuda == Choice::Unneeded { &cuda } else { &plan.cuda },
            target_dir: &plan.target_dir,
            env: &plan.env,
            toolkit: snapshot.request.cuda.as_ref().and(cuda::told(&snapshot.machine, &cuda)),
            changed,
            findings: &plan.findings,
        })?;
    } else {
        tell(&snapshot, &changed, args.dry_run)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A folder is named from where the user stands; versions and words stay as they are.
fn absolute(toolkit: &str) -> String {
    let path = PathBuf::from(toolkit);
    if toolkit.contains(['/', '\\']) || (path.is_dir() && toolkit.parse::<Version>().is_err()) {
        let absolute = std::path::absolute(&path).unwrap_or(path);
        return absolute.display().to_string();
    }
    toolkit.to_owned()
}

/// A choice that cannot be put in force. Gaps that do not concern it (no Python, say) are the doctor's.
fn refuse(snapshot: &Snapshot) -> anyhow::Result<()> {
    let plan = &snapshot.plan;
    let mut against: Vec<Finding> = Vec::new();
    if snapshot.request.cuda.is_some() {
        against.extend(cuda_choice(&snapshot.machine, &snapshot.request, &snapshot.repo).2);
    }
    if plan.torch == Choice::Missing {
        against.extend(
            plan.findings.iter().filter(|f| matches!(f.code.as_str(), "E101" | "E104" | "S06")).cloned(),
        );
    }
    match against.into_iter().find(|finding| finding.severity >= Severity::Error) {
        Some(finding) if finding.code == "E03" && snapshot.request.cuda.is_some() => {
            let asked = snapshot.request.cuda.as_deref().unwrap_or_default();
            let (message, hint) = cuda::absent(&snapshot.machine, asked, &finding);
            Err(hinted(message, hint))
        }
        Some(finding) => Err(hinted(finding.message, finding.hint)),
        None => Ok(()),
    }
}

fn would_change(snapshot: &Snapshot) -> Changed {
    let plan = &snapshot.plan;
    let path = snapshot.repo.root.join(config::PATH);
    let fits = plan.row.tch_version();
    Changed {
        file: fs_err::read_to_string(path).ok().as_deref() != Some(config::render(plan).as_str()),
        tch: snapshot.repo.tch_locked.clone().filter(|locked| *locked != fits).map(|locked| (locked, fits)),
    }
}

fn tell(snapshot: &Snapshot, changed: &Changed, dry_run: bool) -> anyhow::Result<()> {
    let plan = &snapshot.plan;
    let would = if dry_run { "would be " } else { "" };
    let mut lines =
        vec![format!("row {}: torch {} with tch {}", plan.row.name, plan.row.torch, plan.row.tch)];
    for explained in
        plan.choices.iter().filter(|e| e.subject == "torch" || (e.subject == "CUDA" && e.chosen != "none"))
    {
        lines.push(format!(
            "{}: {}; {}",
            explained.subject,
            said(&explained.chosen),
            said(&explained.because)
        ));
    }
    if plan.cuda == Choice::Unneeded && snapshot.request.cuda.is_some() {
        let (_, explained, _) = cuda_choice(&snapshot.machine, &snapshot.request, &snapshot.repo);
        lines.push(format!("CUDA, once an engine needs it: {}; {}", explained.chosen, explained.because));
    }
    if snapshot.request.cuda.is_some() {
        let (cuda, ..) = cuda_choice(&snapshot.machine, &snapshot.request, &snapshot.repo);
        lines.extend(cuda::told(&snapshot.machine, &cuda).iter().flat_map(cuda::lines));
    }
    lines.push(match changed.file {
        true => format!("{} {would}written", config::PATH),
        false => format!("{} says so already", config::PATH),
    });
    if let Some((from, to)) = &changed.tch {
        lines.push(format!("Cargo.toml and Cargo.lock: tch {would}moved from {from} to {to}"));
    }
    if !plan.to_bring().is_empty() {
        lines.push("what is not here yet comes with `cargo xtask build`".into());
    }
    let lines: Vec<_> = lines.iter().map(|line| said(line)).collect();
    ui::data(&lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn versions_and_words_are_no_paths() {
        for text in ["12.6", "managed", "auto"] {
            assert_eq!(absolute(text), text);
        }
        assert!(Path::new(&absolute("./cuda")).is_absolute());
    }
}
