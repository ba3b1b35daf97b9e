//! Which libtorch: the user's LIBTORCH, an installed one of the row's version, or ours.

use super::{Chosen, Context, presence};
use crate::{
    finding::{Finding, Severity},
    machine::Torch,
    plan::{Choice, Explained},
    rows::{self, Row},
};

pub(crate) fn choose(context: &Context<'_>) -> Chosen<Choice> {
    let row = context.row;
    let mut explained = Explained { subject: "torch".into(), ..Explained::default() };
    let mut findings = Vec::new();
    if let Some(torch) = context.machine.torches.iter().find(|torch| torch.explicit) {
        let choice = match unfit(torch, row) {
            None => {
                explained.because = "LIBTORCH names it".into();
                installed(torch)
            }
            Some(why) => {
                explained.because = "the torch that LIBTORCH names cannot be used".into();
                explained.rejected.push((describe(torch), why.clone()));
                findings.push(explicit_unfit(torch, row, &why));
                Choice::Missing
            }
        };
        explained.chosen = name(&choice);
        return Chosen { choice, explained, findings };
    }
    let mut choice = None;
    for torch in context.machine.torches.iter().filter(|torch| !torch.managed) {
        match unfit(torch, row) {
            None if choice.is_none() => {
                explained.because = format!("it is installed and is the row's release ({})", torch.source);
                choice = Some(installed(torch));
            }
            None => {
                explained.rejected.push((describe(torch), "it fits as well; another one comes first".into()))
            }
            Some(why) => explained.rejected.push((describe(torch), why)),
        }
    }
    let choice =
        choice.unwrap_or_else(|| match row.item().and_then(|item| context.managed_choice(item, "torch")) {
            Some(choice) => {
                explained.because = format!("no installed torch is {}; {}", row.torch, presence(&choice));
                choice
            }
            None => {
                explained.because =
                    format!("no installed torch is {}, and no packages are pinned to install one", row.torch);
                findings.push(nothing_pinned(context));
                Choice::Missing
            }
        });
    explained.chosen = name(&choice);
    Chosen { choice, explained, findings }
}

fn installed(torch: &Torch) -> Choice {
    Choice::Installed { path: torch.root.clone(), version: torch.version.clone() }
}

/// Why a torch cannot serve the row.
fn unfit(torch: &Torch, row: Row) -> Option<String> {
    if torch.full_version.is_empty() {
        Some("there is no libtorch in it (neither version.py nor build-version)".into())
    } else if torch.inactive {
        Some(format!(
            "its environment is not active ({}); LIBTORCH={} would name it",
            torch.source,
            torch.root.display()
        ))
    } else if !row.takes(&torch.version) {
        Some(format!("it is {}, and the row (tch {}) takes {}", torch.full_version, row.tch, row.torch))
    } else if !torch.complete {
        Some("its libraries or headers are missing".into())
    } else {
        None
    }
}

fn describe(torch: &Torch) -> String {
    if torch.full_version.is_empty() {
        torch.root.display().to_string()
    } else {
        format!("torch {} at {}", torch.full_version, torch.root.display())
    }
}

fn name(choice: &Choice) -> String {
    match (choice.version(), choice.path()) {
        (Some(version), Some(path)) => format!("torch {version} at {}", path.display()),
        _ => "none".into(),
    }
}

fn explicit_unfit(torch: &Torch, row: Row, why: &str) -> Finding {
    let fitting = rows::ROWS.iter().find(|other| other.takes(&torch.version));
    let hint = match fitting {
        Some(other) => format!("`cargo xtask switch torch {}`, or unset LIBTORCH", other.name),
        None => format!("unset LIBTORCH, and `cargo xtask build` finds or brings torch {}", row.torch),
    };
    let code = if torch.full_version.is_empty() { "E104" } else { "E101" };
    Finding::new(code, Severity::Error, format!("LIBTORCH cannot be used for row {}: {why}", row.name))
        .evidence(format!("LIBTORCH={}", torch.root.display()))
        .hint(hint)
}

fn nothing_pinned(context: &Context<'_>) -> Finding {
    let row = context.row;
    let pinned: Vec<&str> = rows::ROWS
        .iter()
        .filter(|other| {
            other.item().is_some_and(|item| context.repo.requirements.contains_key(item.requirements))
        })
        .map(|other| other.name)
        .collect();
    let path = row.item().map_or("vendor/requirements", |item| item.requirements);
    let mut hint = format!("install torch {} into the active Python environment", row.torch);
    if !pinned.is_empty() {
        hint += &format!(
            ", or `cargo xtask switch torch ROW` with a row that can be brought: {}",
            pinned.join(", ")
        );
    }
    let message = format!("torch {} is not installed and this repository pins no packages for it", row.torch);
    Finding::new("S06", Severity::Error, message).evidence(format!("no {path}")).hint(hint)
}
