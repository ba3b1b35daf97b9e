//! What a build lacks, gathered so that all of it is said at once.

use std::process::exit;

/// Problems, each with what cures it.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<(String, String)>);

impl Problems {
    pub(crate) fn add(&mut self, what: String, hint: impl Into<String>) {
        self.0.push((what, hint.into()));
    }

    /// Ends the build script if there are problems.
    pub(crate) fn stop_if_any(&self, engine: &str) {
        if self.0.is_empty() {
            return;
        }
        error(&format!("engine `{engine}` cannot be compiled here:"));
        for (what, hint) in &self.0 {
            error(&format!("- {what}"));
            error(&format!("  hint: {hint}"));
        }
        exit(1);
    }
}

/// Ends the build script with one error.
pub(crate) fn stop(what: &str, hint: &str) -> ! {
    error(what);
    error(&format!("hint: {hint}"));
    exit(1);
}

fn error(line: &str) {
    println!("cargo::error={line}");
}
