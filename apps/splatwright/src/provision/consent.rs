//! Consent to the licence of the original rasterizer: a flag, a variable, or one recorded answer. Without it
//! nothing of those sources is fetched or compiled; the value [`Accepted`] is the only way to ask for them.

use std::{
    env,
    io::{self, BufRead, IsTerminal, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context as _, Result};
use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::sources::Sources;
use crate::{hint::hinted, language::said};

/// The variable that accepts; its value is a licence's name, or several with commas.
pub const VARIABLE: &str = "SPLATWRIGHT_ACCEPT_LICENSE";

/// The name under which the licence is accepted.
pub const INRIA: &str = "inria";

/// Proof that the licence is accepted, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// `--accept-license inria`, the variable, or the record's path and date.
    pub by: String,
}

/// Whether the original sources may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consent {
    /// The licence was accepted.
    Given(Accepted),
    /// The other engines are built; the texts are for the user.
    Missing {
        /// Why the engine `inria` is left out.
        because: String,
        /// How to add it.
        hint: String,
    },
}

/// One answer, as `vendor/consent.toml` keeps it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    accepted: bool,
    date: String,
    /// The text that was accepted: another text is another question.
    license_sha256: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Records {
    inria: Option<Record>,
}

/// Looks for consent in the flag, the variable and the record, and asks if `may_ask` and both stdin and stderr
/// are terminals. The answer, yes or no, is recorded, so that the question comes once.
///
/// # Errors
/// The variable names a licence that does not exist, or a file cannot be read or written.
pub fn consent(repo: &Path, flag: bool, may_ask: bool) -> Result<Consent> {
    let sources = Sources::read(repo)?;
    let variable = env::var(VARIABLE).ok();
    let terminal = may_ask && io::stdin().is_terminal() && io::stderr().is_terminal();
    let ask = terminal.then_some(|| ask(&sources, &mut io::stdin().lock(), &mut io::stderr()));
    decide(&path(repo), &sources.license_sha256, flag, variable.as_deref(), ask)
}

/// Where the answer is recorded.
pub fn path(repo: &Path) -> PathBuf {
    repo.join("vendor/consent.toml")
}

/// What the licence is, in our words.
pub fn about(sources: &Sources) -> String {
    format!(
        "The engine `inria` compiles the original CUDA rasterizer, by Inria and the Max Planck Institute for \
         Informatics.\nIts licence is not open source: it allows research and evaluation, not commercial use, \
         and it passes on to\nwhat is built from it. Its text is `{}` in the package {} {}, and will lie beside \
         the fetched sources.\nThe engines `cpu` and `cuda` are our own (MIT or Apache-2.0) and do not need it.",
        sources.license, sources.package, sources.version
    )
}

fn decide(
    path: &Path,
    license: &str,
    flag: bool,
    variable: Option<&str>,
    ask: Option<impl FnOnce() -> Result<bool>>,
) -> Result<Consent> {
    let given = |by: String| Ok(Consent::Given(Accepted { by }));
    if flag {
        // Kept, so that `cargo xtask test` afterwards means the same engines.
        if !read(path)?.inria.is_some_and(|r| r.accepted && r.license_sha256 == license) {
            record(path, license, true)?;
        }
        return given("--accept-license inria".to_owned());
    }
    if let Some(value) = variable.filter(|value| !value.trim().is_empty()) {
        if let Some(unknown) = value.split(',').map(str::trim).find(|name| *name != INRIA) {
            return Err(hinted(
                format!("{VARIABLE} names the licence `{unknown}`, and the only one to accept is `{INRIA}`"),
                format!("{VARIABLE}={INRIA} cargo xtask build, or unset it"),
            ));
        }
        return given(format!("{VARIABLE}={value}"));
    }
    let missing = |why: String| {
        Ok(Consent::Missing {
            because: format!("the engine `inria` is left out: {why}"),
            hint: "to add it: `cargo xtask build --accept-license inria` (research and evaluation only)"
                .into(),
        })
    };
    let mut changed = false;
    if let Some(record) = read(path)?.inria {
        let place = format!("`{}` of {}", path.display(), record.date);
        if record.license_sha256 != license {
            changed = true;
        } else if record.accepted {
            return given(place);
        } else {
            return missing(format!("the licence was declined ({place})"));
        }
    }
    let Some(ask) = ask else {
        return missing(if changed {
            "the licence's text has changed since it was accepted".to_owned()
        } else {
            "its licence (research and evaluation, not commercial) has not been accepted".to_owned()
        });
    };
    let accepted = ask()?;
    let date = record(path, license, accepted)?;
    if accepted {
        given(format!("`{}` of {date}", path.display()))
    } else {
        missing("the licence was declined just now".to_owned())
    }
}

/// Writes the answer down; returns its date.
fn record(path: &Path, license: &str, accepted: bool) -> Result<String> {
    let date = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let record = Record { accepted, date: date.clone(), license_sha256: license.to_owned() };
    let text = format!(
        "# The answer about the original rasterizer's licence; remove this file to be asked again.\n{}",
        toml::to_string(&Records { inria: Some(record) })?
    );
    fs::write(path, text)?;
    Ok(date)
}

fn read(path: &Path) -> Result<Records> {
    match fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).with_context(|| format!("in `{}`", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Records::default()),
        Err(error) => Err(error.into()),
    }
}

/// Asks until the answer is one. The end of the input is a no.
fn ask(sources: &Sources, from: &mut impl BufRead, to: &mut impl Write) -> Result<bool> {
    writeln!(to, "{}", said(&about(sources)))?;
    loop {
        write!(to, "{} ", said("Accept this licence and build the engine `inria`? [yes/no]"))?;
        to.flush()?;
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            writeln!(to)?;
            return Ok(false);
        }
        match line.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => return Ok(true),
            "n" | "no" => return Ok(false),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Asked = fn() -> Result<bool>;
    const NOBODY: Option<Asked> = None;

    fn missing(consent: Consent) -> String {
        match consent {
            Consent::Missing { because, hint } => {
                assert!(hint.contains("--accept-license inria"));
                because
            }
            Consent::Given(accepted) => panic!("accepted by {}", accepted.by),
        }
    }

    #[test]
    fn nothing_but_a_flag_a_variable_or_an_answer_accepts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("consent.toml");
        let because = missing(decide(&path, "h", false, None, NOBODY).unwrap());
        assert!(because.contains("has not been accepted"), "{because}");
        assert!(!path.exists(), "nobody was asked, so nothing is recorded");
        let by = |flag, variable| match decide(&path, "h", flag, variable, NOBODY).unwrap() {
            Consent::Given(accepted) => accepted.by,
            Consent::Missing { because, .. } => panic!("{because}"),
        };
        assert_eq!(by(false, Some("inria")), "SPLATWRIGHT_ACCEPT_LICENSE=inria");
        missing(decide(&path, "h", false, Some(""), NOBODY).unwrap());
        let error = decide(&path, "h", false, Some("yes"), NOBODY).unwrap_err();
        assert!(error.to_string().contains("the licence `yes`"), "{error}");
        assert!(!path.exists(), "the variable speaks for its own call alone");
        assert_eq!(by(true, None), "--accept-license inria");
        assert!(by(false, None).contains("consent.toml"), "the flag's answer is kept for the next command");
    }

    #[test]
    fn an_answer_is_recorded_once_for_one_text() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("consent.toml");
        let yes: Asked = || Ok(true);
        let never: Asked = || panic!("asked again");
        assert!(matches!(decide(&path, "h", false, None, Some(yes)).unwrap(), Consent::Given(_)));
        let Consent::Given(accepted) = decide(&path, "h", false, None, Some(never)).unwrap() else {
            panic!("the record was not read")
        };
        assert!(accepted.by.contains("consent.toml"), "{}", accepted.by);
        let because = missing(decide(&path, "other text", false, None, NOBODY).unwrap());
        assert!(because.contains("has changed"), "{because}");

        let no: Asked = || Ok(false);
        missing(decide(&path, "other text", false, None, Some(no)).unwrap());
        let because = missing(decide(&path, "other text", false, None, Some(never)).unwrap());
        assert!(because.contains("was declined"), "{because}");
        assert!(matches!(decide(&path, "h", true, None, NOBODY).unwrap(), Consent::Given(_)));
    }

    #[test]
    fn the_question_names_what_the_licence_forbids_and_takes_only_an_answer() {
        let repo = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let sources = Sources::read(repo).unwrap();
        let answer = |text: &str| {
            let mut screen = Vec::new();
            let answer = ask(&sources, &mut text.as_bytes(), &mut screen).unwrap();
            (answer, String::from_utf8(screen).unwrap())
        };
        let (accepted, screen) = answer("maybe\n\nYES\n");
        assert!(accepted);
        assert_eq!(screen.matches("[yes/no]").count(), 3);
        assert!(screen.contains("not commercial use") && screen.contains("LICENSE.md"), "{screen}");
        assert!(!answer("no\n").0);
        assert!(!answer("").0, "the end of the input is no consent");
    }
}
