//! `cargo xtask explain`: what a code of the catalogue means, or which of them a build's log shows. Reads a file or
//! standard input; looks at no machine.

use std::{io::Read, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use serde::Serialize;
use splat_toolchain::{
    catalogue::{self, Entry, Weight},
    explain::{Hit, Report, scan},
};

use crate::{
    hint::{WithHint as _, hinted},
    language::{label, said},
    ui,
};

/// Explain a failure: a code such as E21, or the log of a build that failed
///
/// Without an argument the log is read from standard input: `pip install . 2>&1 | cargo xtask explain`.
/// Known failures come first, the one to solve first at the top; harmless warnings come last and are marked as harmless.
///
/// Exit code: 0 if the code or the log is explained, that is, if the log shows a known failure, or harmless warnings and
/// no other error; 3 if nothing that is known explains the log; 1 if there is no such code, or the log cannot be read.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A code (E21), or a file with the log of a build; `-` or nothing for standard input
    #[arg(value_name = "CODE | LOG")]
    subject: Option<String>,
    /// List every code
    #[arg(long, conflicts_with = "subject")]
    list: bool,
    /// Print JSON on stdout
    #[arg(long)]
    json: bool,
}

/// The exit code for a log that nothing known explains. Command lines that cannot be parsed have 2.
const UNKNOWN: u8 = 3;

/// A hit with what is known of it.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    hit: &'a Hit,
    title: &'static str,
    consequence: &'static str,
    action: &'static str,
    automatic: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    lines: usize,
    explained: bool,
    first: Option<&'static str>,
    hits: Vec<Told<'a>>,
    unexplained: &'a Option<(usize, String)>,
}

/// Runs the command.
///
/// # Errors
/// There is no such code, or the log cannot be read.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.list {
        list(args.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let subject = args.subject.as_deref().unwrap_or("-");
    if let Some(entry) = catalogue::of(subject) {
        if args.json {
            ui::json(entry)?
        } else {
            ui::data(&entry_text(entry))?
        }
        return Ok(ExitCode::SUCCESS);
    }
    let report = scan(&read(subject)?);
    if args.json {
        ui::json(&answer(&report))?
    } else {
        ui::data(&report_text(&report))?
    }
    Ok(if report.is_explained() { ExitCode::SUCCESS } else { ExitCode::from(UNKNOWN) })
}

fn read(subject: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if subject == "-" {
        std::io::stdin().lock().read_to_end(&mut bytes).context("cannot read the log from standard input")?;
        return Ok(bytes);
    }
    let path = PathBuf::from(subject);
    if !path.exists() && catalogue::is_code(subject) {
        let message = format!("the catalogue has no code `{subject}`, and there is no file of that name");
        return Err(hinted(message, "cargo xtask explain --list"));
    }
    fs_err::read(path).with_hint(
        format!("cannot read the log `{subject}`"),
        "name the file that holds the log, or pipe the log in: pip install . 2>&1 | cargo xtask explain",
    )
}

fn list(json: bool) -> anyhow::Result<()> {
    let entries: Vec<&Entry> = catalogue::all().collect();
    if json {
        return ui::json(&entries);
    }
    let rows = entries.iter().map(|entry| {
        let found = match (entry.rule, entry.patterns.is_empty()) {
            (true, false) => "doctor, log",
            (true, true) => "doctor",
            (false, _) => "log",
        };
        vec![entry.code.into(), weight(entry.weight).into(), found.into(), entry.title.into()]
    });
    ui::data(&ui::table(&["Code", "Effect", "Found by", "What"], rows))
}

fn weight(weight: Weight) -> &'static str {
    match weight {
        Weight::Fatal => "ends the build",
        Weight::Late => "fails later",
        Weight::Harmless => "nothing",
    }
}

fn answer(report: &Report) -> Answer<'_> {
    let told = report.hits.iter().filter_map(|hit| {
        let entry = hit.entry()?;
        Some(Told {
            hit,
            title: entry.title,
            consequence: entry.consequence,
            action: entry.action,
            automatic: entry.automatic,
        })
    });
    Answer {
        lines: report.lines,
        explained: report.is_explained(),
        first: report.first().map(|hit| hit.code),
        hits: told.collect(),
        unexplained: &report.unexplained,
    }
}

fn entry_text(entry: &Entry) -> String {
    let does = if entry.automatic { "done by `cargo xtask ext build`" } else { "what to do" };
    let mut rows = vec![
        vec!["why".into(), entry.cause.to_owned()],
        vec!["what happens".into(), entry.consequence.to_owned()],
        vec![does.into(), entry.action.to_owned()],
        vec!["in our own build".into(), entry.own.to_owned()],
    ];
    if entry.rule {
        rows.push(vec!["found by".into(), "cargo xtask doctor (--for ext)".into()]);
    }
    for pattern in entry.patterns {
        rows.push(vec!["in a log".into(), pattern.described()]);
    }
    if !entry.seen.is_empty() {
        rows.push(vec!["met in".into(), entry.seen.join(", ")]);
    }
    ui::table(&[entry.code, entry.title], rows)
}

fn report_text(report: &Report) -> String {
    let mut text = String::new();
    let (mend, harmless): (Vec<&Hit>, Vec<&Hit>) =
        report.hits.iter().partition(|hit| hit.weight > Weight::Harmless);
    for (i, hit) in mend.iter().enumerate() {
        let Some(entry) = hit.entry() else { continue };
        if i == 0 && mend.len() > 1 {
            text += &label("first:");
        }
        text += &format!("{} {}\n", hit.code, said(entry.title));
        for (what, told) in [
            ("seen in:", &*format!("{}: {}", said(&place(hit)), hit.text)),
            ("why:", &said(entry.cause)),
            ("hint:", &said(entry.action)),
        ] {
            text += &format!("  {}{told}\n", label(what));
        }
        text += "\n";
    }
    if !harmless.is_empty() {
        text += &format!("{}\n", said("harmless:"));
        for hit in harmless {
            let title = hit.entry().map_or("", |entry| entry.title);
            text += &format!("  {} {} ({})\n", hit.code, said(title), said(&place(hit)));
        }
        text += "\n";
    }
    if let Some((line, quoted)) = report.unexplained.as_ref().filter(|_| mend.is_empty()) {
        text += &said(&format!(
            "no known failure; the first line that reads like an error is line {line}: {quoted}"
        ));
    } else if mend.is_empty() {
        text += &said(&format!(
            "no known failure, and no line that reads like an error (lines read: {})",
            report.lines
        ));
    }
    text.trim_end().to_owned()
}

fn place(hit: &Hit) -> String {
    match hit.count {
        ..=1 => format!("line {}", hit.line),
        more => format!("line {} and {} more", hit.line, more - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_mend_first_stands_first_and_harmless_is_said() {
        let log = b"warning #177-D: p_proj\nx.cu: error: identifier \"FLT_MAX\" is undefined\n\
            ImportError: libcudart.so.12: cannot open shared object file\n";
        let text = report_text(&scan(log));
        assert!(text.starts_with("first: E41 "), "{text}");
        assert!(text.find("E63").unwrap() < text.find("harmless:").unwrap(), "{text}");
        assert_eq!(answer(&scan(log)).first, Some("E41"));
    }

    #[test]
    fn an_unknown_error_is_quoted() {
        let text = report_text(&scan(b"my.cu(7): error: something new\n"));
        assert_eq!(
            text,
            "no known failure; the first line that reads like an error is line 1: my.cu(7): error: something new"
        );
        let nothing = report_text(&scan(b"all is well\n"));
        assert_eq!(nothing, "no known failure, and no line that reads like an error (lines read: 1)");
    }

    #[test]
    fn a_code_that_does_not_exist_is_an_error() {
        for code in ["E999", "Z03"] {
            let error = read(code).unwrap_err();
            assert!(error.to_string().contains(&format!("the catalogue has no code `{code}`")), "{error}");
            assert_eq!(crate::hint::of(&error), Some("cargo xtask explain --list"));
        }
        assert!(read("no/such.log").unwrap_err().to_string().contains("cannot read the log"));
    }
}
