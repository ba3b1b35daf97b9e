//! Counts tests from what Rust's and Python's test runners print.
//!
//! A test that cannot run here prints a line `skipped: <reason>` and returns; with `--show-output` that line
//! appears under the test's name. It is then counted as skipped, not as passed. Pure functions of text.
//!
//! Why text: libtest has no way for a running test to say that it was skipped, and cargo-nextest, which runs libtest's
//! binaries, therefore none either. libtest-mimic has one, at the price of `harness = false` and a list of tests in every
//! test target, and not for unit and documentation tests.

use std::collections::BTreeMap;

/// Tests counted so far.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Ran and held.
    pub passed: usize,
    /// Ran and failed, or could not be built.
    pub failed: usize,
    /// Could not run here, by reason.
    pub skipped: BTreeMap<String, usize>,
    /// Names of failed tests.
    pub failures: Vec<String>,
}

impl Counts {
    /// All skipped tests.
    #[must_use]
    pub fn skipped_total(&self) -> usize {
        self.skipped.values().sum()
    }

    /// Adds another run's counts.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.failures.extend(other.failures);
        for (reason, n) in other.skipped {
            *self.skipped.entry(reason).or_default() += n;
        }
    }

    /// The closing line.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped_total())
    }
}

/// Reads the output of `cargo test -- --show-output`, line by line.
#[derive(Debug, Default)]
pub struct CargoLog {
    counts: Counts,
    /// The test whose captured output is being read, until its first `skipped:` line.
    section: Option<String>,
    /// Skipped tests of the current program, which its result line will count as passed.
    pending: usize,
}

impl CargoLog {
    /// Takes the next line; returns whether it is worth showing (captured output of passing tests is not).
    pub fn line(&mut self, line: &str) -> bool {
        if let Some(name) = line.strip_prefix("---- ").and_then(|l| l.strip_suffix(" stdout ----")) {
            self.section = Some(name.to_owned());
            return true;
        }
        if let Some(reason) = line.strip_prefix("skipped: ") {
            // One test may say so of several cases: it still is one test.
            if self.section.take().is_some() {
                *self.counts.skipped.entry(reason.trim().to_owned()).or_default() += 1;
                // libtest counts it as passed, in the result line that comes later.
                self.pending += 1;
            }
            return true;
        }
        if let Some(rest) = line.strip_prefix("test result: ") {
            self.section = None;
            let number = |what: &str| -> usize {
                rest.split([';', '.'])
                    .find_map(|part| part.trim().strip_suffix(what)?.trim().parse().ok())
                    .unwrap_or(0)
            };
            self.counts.passed += number("passed").saturating_sub(std::mem::take(&mut self.pending));
            self.counts.failed += number("failed");
            let ignored = number("ignored");
            if ignored > 0 {
                *self.counts.skipped.entry("marked #[ignore]".into()).or_default() += ignored;
            }
            return true;
        }
        if let Some(name) = line.strip_prefix("test ").and_then(|l| l.strip_suffix(" ... FAILED")) {
            self.counts.failures.push(name.to_owned());
        }
        true
    }

    /// The counts. `succeeded`: whether cargo itself did; if not although no test failed, something could not be
    /// built or crashed, which counts as one failure.
    #[must_use]
    pub fn finish(mut self, succeeded: bool) -> Counts {
        if !succeeded && self.counts.failed == 0 {
            self.counts.failed = 1;
            self.counts
                .failures
                .push("cargo test stopped early: a target did not build, or a test program crashed".into());
        }
        self.counts
    }
}

/// Reads the stderr of `python -m unittest -v`.
#[must_use]
pub fn unittest(log: &str, succeeded: bool) -> Counts {
    let mut counts = Counts::default();
    for line in log.lines() {
        if line.ends_with("... ok") {
            counts.passed += 1;
        } else if line.ends_with("... FAIL") || line.ends_with("... ERROR") {
            counts.failed += 1;
            counts.failures.push(line.to_owned());
        } else if let Some((_, reason)) = line.split_once("... skipped ") {
            let reason = reason.trim_matches(|c| c == '\'' || c == '"').to_owned();
            *counts.skipped.entry(reason).or_default() += 1;
        }
    }
    if !succeeded && counts.failed == 0 {
        counts.failed = 1;
        counts.failures.push("the Python tests stopped early".into());
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(log: &str, succeeded: bool) -> Counts {
        let mut reader = CargoLog::default();
        for line in log.lines() {
            reader.line(line);
        }
        reader.finish(succeeded)
    }

    // libtest prints captured output before the result line of its binary.
    const LOG: &str = "
running 3 tests
test a ... ok
test gpu ... ok
test b ... FAILED

successes:

---- gpu stdout ----
skipped: no CUDA device
skipped: no CUDA device

successes:
    a
    gpu

failures:

---- b stdout ----
thread 'b' panicked

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn a_skipped_test_is_not_a_passed_one() {
        let counts = read(LOG, false);
        assert_eq!(counts.line(), "1 passed, 1 failed, 2 skipped");
        assert_eq!(counts.skipped["no CUDA device"], 1);
        assert_eq!(counts.failures, ["b"]);
    }

    #[test]
    fn a_build_failure_is_a_failure() {
        assert_eq!(read("error: could not compile `x`", false).failed, 1);
        assert_eq!(read("", true), Counts::default());
    }

    #[test]
    fn unittest_lines_are_counted() {
        let log = "test_a (m.T) ... ok\ntest_b (m.T) ... skipped 'no CUDA device'\ntest_c (m.T) ... FAIL\n";
        assert_eq!(unittest(log, false).line(), "1 passed, 1 failed, 1 skipped");
    }
}
