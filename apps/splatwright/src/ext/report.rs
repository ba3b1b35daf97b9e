//! What `cargo xtask ext build` shows: the plan before, the proof after. Text and JSON; decides nothing.

use std::path::PathBuf;

use serde::Serialize;
use splat_toolchain::{Finding, ext::ExtPlan};

use crate::{language::said, ui};

/// The proof of one wheel.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether everything holds; the wheel is in its place only then.
    pub ok: bool,
    /// The wheel that was checked.
    pub wheel: PathBuf,
    /// Seconds that the build took, where it was built now.
    pub seconds: Option<u64>,
    /// The build's log; `None` for a wheel that was built elsewhere.
    pub log: Option<PathBuf>,
    /// The compiled modules in it.
    pub modules: Vec<Module>,
    /// What is wrong with it.
    pub findings: Vec<Finding>,
}

/// One compiled module.
#[derive(Debug, Serialize)]
pub struct Module {
    /// As Python imports it.
    pub name: String,
    /// `sm_86` for machine code, `compute_86` for PTX.
    pub archs: Vec<String>,
    /// Libraries that it asks the loader for.
    pub needed: Vec<String>,
    /// How many symbols it needs.
    pub symbols: usize,
    /// Those of them that nothing defines.
    pub unresolved: Vec<String>,
    pub imports: bool,
}

/// The plan for people.
pub(crate) fn plan(plan: &ExtPlan) -> String {
    let cuda = plan.torch.cuda.as_ref().map_or_else(|| "no CUDA".to_owned(), |cuda| format!("CUDA {cuda}"));
    let mut rows = vec![vec![
        "torch".to_owned(),
        format!("{} at {}", plan.torch.full_version, plan.torch.root.display()),
        format!("it is the environment's; built with {cuda}"),
    ]];
    for choice in &plan.choices {
        rows.push(vec![choice.subject.clone(), choice.chosen.clone(), choice.because.clone()]);
        for (candidate, why) in &choice.rejected {
            rows.push(vec![String::new(), format!("not {candidate}"), why.clone()]);
        }
    }
    rows.push(vec!["jobs".into(), plan.jobs.to_string(), plan.jobs_because.clone()]);
    let mut text = ui::table(&["plan", "chosen", "because"], rows);
    for finding in &plan.findings {
        text += &format!("\n{}", ui::finding(finding));
    }
    text + "\n"
}

/// The proof for people.
pub(crate) fn table(report: &Report) -> String {
    let rows = report.modules.iter().map(|module| {
        vec![
            module.name.clone(),
            format!("{}/{}", module.symbols - module.unresolved.len(), module.symbols),
            if module.archs.is_empty() { "-".into() } else { module.archs.join(" ") },
            if module.imports { "yes" } else { "no" }.to_owned(),
        ]
    });
    let mut text = ui::table(&["module", "symbols found", "GPU code", "imports"], rows);
    for finding in &report.findings {
        text += &format!("\n{}", ui::finding(finding));
    }
    let wheel = report.wheel.display();
    let verdict = match (report.ok, report.seconds, &report.log) {
        (true, Some(seconds), _) => format!("{wheel} (built in {seconds} s)"),
        (false, _, Some(log)) => format!(
            "no wheel is handed over; the log: {}; `--keep` keeps the wheel and the build folder",
            log.display()
        ),
        (true, None, _) => format!("{wheel} holds what it should"),
        (false, _, None) => format!("{wheel} cannot be used in this environment"),
    };
    text + "\n" + &said(&verdict)
}
