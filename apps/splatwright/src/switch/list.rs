//! `cargo xtask switch list`: the rows and what of each is here, then the CUDA toolkits and whether each fits.

use std::process::ExitCode;

use serde::Serialize;
use splat_toolchain::{Choice, Plan, Repo, Request, managed, plan::cuda_choice, plan::plan, rows::ROWS};

use crate::{doctor::Snapshot, ui};

#[derive(Debug, Serialize)]
struct List {
    rows: Vec<RowState>,
    toolkits: Vec<ToolkitState>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct RowState {
    name: &'static str,
    torch: &'static str,
    tch: &'static str,
    /// CUDA of the packages that `cargo xtask build` would bring.
    cuda: &'static str,
    in_force: bool,
    /// `installed`, `in the cache`, `can be brought` or `not pinned here`.
    state: &'static str,
    path: Option<String>,
}

#[derive(Debug, Serialize)]
struct ToolkitState {
    version: Option<String>,
    path: String,
    /// Engines on CUDA would be built with it.
    in_force: bool,
    /// Why it was found, or why it is not used.
    remark: String,
}

pub(crate) fn run(json: bool) -> anyhow::Result<ExitCode> {
    let snapshot = Snapshot::take(Request::default());
    let list = List { rows: rows(&snapshot), toolkits: toolkits(&snapshot) };
    if json {
        ui::json(&list)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mark = |in_force| if in_force { "*" } else { "" }.to_owned();
    let lines = list.rows.iter().map(|row| {
        let path = row.path.clone().unwrap_or_default();
        vec![
            mark(row.in_force),
            row.name.into(),
            row.torch.into(),
            row.tch.into(),
            row.cuda.into(),
            row.state.into(),
            path,
        ]
    });
    ui::data(&ui::table(&["", "Row", "torch", "tch", "CUDA of torch", "State", "Where"], lines))?;
    let lines = list.toolkits.iter().map(|toolkit| {
        let version = toolkit.version.clone().unwrap_or_else(|| "?".into());
        vec![mark(toolkit.in_force), version, toolkit.path.clone(), toolkit.remark.clone()]
    });
    ui::data(&format!("\n{}", ui::table(&["", "CUDA", "Where", "Remark"], lines)))?;
    ui::data(
        "\n* in force. Change with `cargo xtask switch torch ROW` or `cargo xtask switch cuda VERSION`",
    )?;
    Ok(ExitCode::SUCCESS)
}

fn rows(snapshot: &Snapshot) -> Vec<RowState> {
    ROWS.iter()
        .map(|row| {
            let request = Request { row: Some(row.name.into()), ..Request::default() };
            let planned: Plan = plan(&snapshot.machine, &request, &snapshot.repo);
            RowState {
                name: row.name,
                torch: row.torch,
                tch: row.tch,
                cuda: row.cuda,
                in_force: in_force(snapshot, row.name),
                state: state(&planned.torch),
                path: planned.torch.path().map(|path| path.display().to_string()),
            }
        })
        .collect()
}

/// The recorded row; where none is recorded, the one that the lock fits.
fn in_force(snapshot: &Snapshot, row: &str) -> bool {
    match (&snapshot.repo.settings.row, &snapshot.repo.tch_locked) {
        (Some(recorded), _) => recorded == row,
        (None, Some(locked)) => splat_toolchain::Row::of_tch(locked).is_some_and(|of| of.name == row),
        (None, None) => snapshot.plan.row.name == row,
    }
}

fn state(torch: &Choice) -> &'static str {
    match torch {
        Choice::Installed { .. } => "installed",
        Choice::Managed { present: true, .. } => "in the cache",
        Choice::Managed { .. } => "can be brought",
        Choice::Missing | Choice::Unneeded => "not pinned here",
    }
}

fn toolkits(snapshot: &Snapshot) -> Vec<ToolkitState> {
    let (chosen, explained, _) = cuda_choice(&snapshot.machine, &Request::default(), &snapshot.repo);
    let mut list: Vec<ToolkitState> = snapshot
        .machine
        .toolkits
        .iter()
        .map(|toolkit| {
            let path = toolkit.root.display().to_string();
            let in_force = chosen.path() == Some(&toolkit.root);
            let against = explained.rejected.iter().find(|(candidate, _)| candidate.ends_with(&path));
            let remark = match against {
                Some((_, why)) if !in_force => why.clone(),
                _ => toolkit.sources.join(", "),
            };
            ToolkitState {
                version: toolkit.version.as_ref().map(|v| v.value.to_string()),
                path,
                in_force,
                remark,
            }
        })
        .collect();
    let ours = managed::CUDA;
    if !snapshot.machine.toolkits.iter().any(|toolkit| toolkit.managed) && pinned(&snapshot.repo) {
        list.push(ToolkitState {
            version: Some(ours.version.into()),
            path: chosen.to_bring().map(|(_, dir)| dir.display().to_string()).unwrap_or_default(),
            in_force: matches!(chosen, Choice::Managed { .. }),
            remark: "`managed`: can be brought".into(),
        });
    }
    list
}

fn pinned(repo: &Repo) -> bool {
    repo.requirements.contains_key(managed::CUDA.requirements)
}
