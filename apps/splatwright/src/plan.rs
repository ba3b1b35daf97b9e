//! `cargo xtask plan`: what a build would do, from a saved snapshot of any machine. The same snapshot gives the same
//! plan everywhere; nothing of this machine is looked at, nothing is changed.

use std::{io::Read, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use serde::Deserialize;
use splat_toolchain::{Machine, Plan, Repo, Request, plan::plan};

use crate::{doctor, hint::WithHint, ui};

/// Show what a build would use and why, from a snapshot that `cargo xtask doctor --json` wrote on any machine
///
/// Exit code: 0 if that build could go ahead, 1 if something is missing, 2 if something is damaged.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The snapshot; `-` for standard input
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Plan for this row of torch and tch instead of the snapshot's
    #[arg(long)]
    row: Option<String>,
    /// Plan for this CUDA toolkit: a version, a folder, `managed`, or `auto`
    #[arg(long)]
    cuda: Option<String>,
    /// Print the plan as JSON on stdout
    #[arg(long)]
    json: bool,
}

/// What a snapshot is planned from; the plan in it is made anew.
#[derive(Deserialize)]
struct Saved {
    machine: Machine,
    #[serde(default)]
    repo: Repo,
    #[serde(default)]
    request: Request,
}

/// Runs the command.
///
/// # Errors
/// The file cannot be read or is no snapshot.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let text = if args.from.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).context("cannot read standard input")?;
        text
    } else {
        fs_err::read_to_string(&args.from)?
    };
    let saved: Saved = serde_json::from_str(text.trim_start_matches('\u{feff}')).with_hint(
        format!("`{}` is no snapshot", args.from.display()),
        "cargo xtask doctor --json > snapshot.json",
    )?;
    let mut request = saved.request;
    request.row = args.row.clone().or(request.row);
    request.cuda = args.cuda.clone().or(request.cuda);
    let plan = plan(&saved.machine, &request, &saved.repo);
    if args.json {
        ui::json(&plan)?
    } else {
        ui::data(&self::text(&plan))?
    }
    Ok(doctor::exit_code(&plan.findings))
}

/// The plan for people: what was chosen and why, what lost and why, then what to know.
#[must_use]
pub fn text(plan: &Plan) -> String {
    let mut rows = Vec::new();
    for choice in &plan.choices {
        rows.push(vec![choice.subject.clone(), choice.chosen.clone(), choice.because.clone()]);
        for (candidate, why) in &choice.rejected {
            rows.push(vec![String::new(), format!("not {candidate}"), why.clone()]);
        }
    }
    let engines = plan.engines.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    rows.push(vec!["engines".into(), engines, format!("target folder {}", plan.target_dir)]);
    let bring = plan.to_bring();
    for (item, dir) in &bring {
        rows.push(vec![
            "to bring".into(),
            item.name.into(),
            format!("about {} into {}", ui::bytes(item.bytes), dir.display()),
        ]);
    }
    let mut text = ui::table(&["plan", "chosen", "because"], rows);
    for finding in &plan.findings {
        text += &format!("\n{}", ui::finding(finding));
    }
    text + "\n"
}
