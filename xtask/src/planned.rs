//! The plan of a build, with the consent that it may rest on, and everything it lacks, brought from packages.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use splat_toolchain::{
    Choice, EngineName, ManagedItem, Plan, Request, Sources,
    env::Env,
    plan::plan,
    probe::{probe, repo},
};
use splatwright::{
    hint::{self, hinted},
    provision::{self, Accepted, Cache, Consent, Original, Terminal, consent},
    ui,
};

use crate::build::Args;

/// A plan, the consent that it may rest on, and where the cache lies.
pub(crate) struct Planned {
    pub(crate) plan: Plan,
    accepted: Option<Accepted>,
    cache_root: Option<PathBuf>,
}

/// Probes and plans; asks for consent if `may_ask` and the engine was asked for.
pub(crate) fn planned(root: &Path, args: &Args, may_ask: bool) -> anyhow::Result<Planned> {
    let repo = repo(root);
    let asked = args.engines.as_ref().or(repo.settings.engines.as_ref());
    let wants_inria = asked.is_some_and(|e| e.contains(&EngineName::Inria));
    let consent = consent::consent(root, args.accept_license.is_some(), may_ask && wants_inria)?;
    let mut engines = args.engines.clone();
    if let (Consent::Given(_), None, Some(recorded)) = (&consent, &engines, &repo.settings.engines)
        && args.accept_license.is_some()
        && !recorded.contains(&EngineName::Inria)
    {
        // Accepting the licence asks for the engine, also where an earlier call chose without it.
        engines = Some(recorded.iter().copied().chain([EngineName::Inria]).collect());
    }
    let request = Request {
        row: args.row.clone(),
        engines,
        archs: args.arch.clone(),
        cuda: None,
        offline: args.offline,
        accept_inria: matches!(consent, Consent::Given(_)),
    };
    let machine = probe(&Env::real(), &repo, &request);
    let plan = plan(&machine, &request, &repo);
    if let (Consent::Missing { because, hint }, true) = (&consent, wants_inria) {
        ui::note(&format!("{because}\n{hint}"));
    }
    let accepted = match consent {
        Consent::Given(accepted) => Some(accepted),
        Consent::Missing { .. } => None,
    };
    Ok(Planned { plan, accepted, cache_root: machine.cache_root.map(|root| root.value) })
}

/// Every reason why this plan cannot be carried out, at once.
fn stop_at_blockers(plan: &Plan) -> anyhow::Result<()> {
    let texts: Vec<String> = plan.blockers().map(ui::finding).collect();
    if texts.is_empty() {
        return Ok(());
    }
    Err(hinted(format!("this plan cannot be built:\n{}", texts.join("\n")), "cargo xtask doctor"))
}

/// Brings what the plan lacks, then plans again: what is there now may say more than its pins did.
pub(crate) fn provisioned(
    root: &Path,
    args: &Args,
    planned: Planned,
) -> anyhow::Result<(Planned, Option<Original>)> {
    stop_at_blockers(&planned.plan)?;
    let plan = &planned.plan;
    let Some(python) = plan.python.clone() else { return Ok((planned, None)) };
    let cache_root = planned.cache_root.as_deref().context("there is no place for the cache")?;
    let cache = Cache::open(cache_root)?;
    let context = provision::Context { repo: root, cache: &cache, python: &python, offline: args.offline };
    let bring: Vec<_> = plan.to_bring().into_iter().map(|(item, _)| item).collect();
    provision::offline::check(&context, &bring)?;
    for item in managed(plan) {
        // Whole installations are only looked at; damaged ones are repaired here.
        provision::ensure_managed(&context, &item, &mut Terminal)?;
    }
    let mut original = None;
    if let (Some(accepted), false) = (&planned.accepted, plan.sources == Sources::Unneeded) {
        let found = provision::ensure_original(&context, accepted, &mut Terminal)?;
        for note in &found.notes {
            ui::note(note);
        }
        original = Some(found);
    }
    if bring.is_empty() && !brought_viewer(&context) {
        return Ok((planned, original));
    }
    let accepted = planned.accepted.clone();
    let mut again = self::planned(root, args, false)?;
    again.accepted = accepted;
    stop_at_blockers(&again.plan)?;
    Ok((again, original))
}

/// Brings the libraries of `splat view`; whether they are new. The build goes on without them, and says so.
fn brought_viewer(context: &provision::Context<'_>) -> bool {
    match provision::ensure_viewer(context, &mut Terminal) {
        Ok(new) => new,
        Err(error) => {
            ui::note(&format!("warning: `splat view` is left out: {error:#}"));
            if let Some(hint) = hint::of(&error) {
                ui::note(&format!("hint: {hint}"));
            }
            false
        }
    }
}

/// Our own installations that the plan uses, each once, whether they are there yet or not.
fn managed(plan: &Plan) -> Vec<ManagedItem> {
    let mut items = Vec::new();
    for choice in [&plan.torch, &plan.cuda, &plan.cmake, &plan.ninja] {
        match choice {
            Choice::Managed { item, .. } if !items.contains(item) => items.push(*item),
            _ => {}
        }
    }
    items
}
