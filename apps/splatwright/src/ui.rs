//! What users see: errors, findings, tables, sizes. Data goes to stdout (the commands print it), everything
//! else to stderr through here, in the reader's language ([`crate::language`]) and in the words of the running program
//! ([`crate::program`]). Colour only where the terminal takes it and NO_COLOR is unset (anstream).

use std::{borrow::Cow, io::Write, process::ExitCode};

use comfy_table::{ContentArrangement, Table, presets};
use owo_colors::OwoColorize;
use serde::Serialize;
use splat_toolchain::{Finding, Severity};

use crate::{
    hint,
    language::{label, said},
    program,
};

/// Prints `error:`, each `caused by:`, and one `hint:`; the exit code for it.
pub fn report(error: &anyhow::Error) -> ExitCode {
    let mut causes = error.chain().map(ToString::to_string).peekable();
    let mut last = causes.next().unwrap_or_default();
    note(&format!("{}{}", label("error:").red().bold(), said(&last)));
    for cause in causes {
        // Some errors repeat their source in their own text.
        if !last.contains(&cause) {
            note(&format!("  {}{}", label("caused by:").red(), said(&cause)));
        }
        last = cause;
    }
    if let Some(hint) = hint::of(error) {
        note(&format!("{}{}", label("hint:").cyan().bold(), said(hint)));
    }
    ExitCode::from(1)
}

/// What is one line in the reader's language; a block was put together from such lines.
fn line(text: &str) -> Cow<'_, str> {
    if text.trim().contains('\n') { text.into() } else { said(text) }
}

/// One line to stderr. A closed stderr is nobody's error.
pub fn note(line: &str) {
    let _ = writeln!(anstream::stderr(), "{}", program::spoken(&self::line(line)));
}

/// One line (or block) of data to stdout.
pub fn data(text: &str) -> anyhow::Result<()> {
    print(&line(text))
}

fn print(text: &str) -> anyhow::Result<()> {
    match writeln!(anstream::stdout(), "{}", program::spoken(text)) {
        // `| head` closed the pipe: it has what it wanted.
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// A value as indented JSON to stdout; in English, because programs read it.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&serde_json::to_string_pretty(value)?)
}

/// A finding as text: code, message, evidence, and its hint on a line of its own.
pub fn finding(finding: &Finding) -> String {
    let weight = finding.severity.to_string();
    let weight = said(&weight);
    let weight = match finding.severity {
        Severity::Info => weight.green().to_string(),
        Severity::Warning => weight.yellow().to_string(),
        Severity::Error | Severity::Broken => weight.red().bold().to_string(),
    };
    let mut text = format!("{weight}[{}] {}", finding.code, said(&finding.message));
    if !finding.evidence.is_empty() {
        text += &format!("\n  {}{}", label("seen in:").dimmed(), said(&finding.evidence));
    }
    if !finding.hint.is_empty() {
        text += &format!("\n  {}{}", label("hint:").cyan().bold(), said(&finding.hint));
    }
    text
}

/// A table without frames; columns as wide as the terminal allows.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.iter().map(|cell| said(cell)));
    table.add_rows(rows.into_iter().map(|row| row.into_iter().map(|cell| said(&cell).into_owned())));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// `4.8 GB`, in powers of 1000 as disks and package lists count.
pub fn bytes(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 || value >= 100.0 {
        format!("{value:.0} {}", units[unit])
    } else {
        format!("{value:.1} {}", units[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_say_them() {
        for (n, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_500, "1.5 kB"),
            (271_000_000, "271 MB"),
            (999_900, "1.0 MB"),
            (4_700_000_000, "4.7 GB"),
        ] {
            assert_eq!(bytes(n), text);
        }
    }

    #[test]
    fn a_finding_without_hint_prints_none() {
        let text = anstream::adapter::strip_str(&finding(&Finding::new("E07", Severity::Info, "three rows")))
            .to_string();
        assert_eq!(text, "info[E07] three rows");
    }
}
