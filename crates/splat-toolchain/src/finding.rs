//! Findings: what the rules say about a machine, each with a stable code, the evidence and one hint.
//! Codes `Exx` are those of the failure catalogue; `Sxx` are this project's own. A code never changes meaning.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How much a finding weighs, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing to do.
    Info,
    /// It builds, but something may surprise.
    Warning,
    /// The build cannot go on until the user does what the hint says.
    Error,
    /// What is already there is damaged or contradicts itself.
    Broken,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Broken => "broken",
        })
    }
}

/// One statement of one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// A code of the catalogue.
    pub code: String,
    /// How much it weighs.
    pub severity: Severity,
    /// What is so, with the two values that disagree.
    pub message: String,
    /// The file, variable or command that shows it; may be empty.
    pub evidence: String,
    /// What to do: one line that names a command where there is one; empty if there is nothing to do.
    pub hint: String,
}

impl Finding {
    /// A finding without evidence and hint.
    pub fn new(code: &str, severity: Severity, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            severity,
            message: message.into(),
            evidence: String::new(),
            hint: String::new(),
        }
    }

    /// Adds what shows it.
    #[must_use]
    pub fn evidence(mut self, evidence: impl Into<String>) -> Self {
        self.evidence = evidence.into();
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

/// The heaviest severity among findings, `None` if there are none.
pub fn worst(findings: &[Finding]) -> Option<Severity> {
    findings.iter().map(|finding| finding.severity).max()
}
