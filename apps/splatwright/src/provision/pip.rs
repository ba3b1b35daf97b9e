//! Running pip, and saying what went wrong in words that help. pip keeps the user's own configuration of
//! *where from* (index, mirror, proxy, certificates, credentials); what would change *where to* or *what* is
//! taken away. Nothing of a package is executed: wheels only.

use std::{
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Command, ExitStatus, Stdio},
};

use anyhow::{Context, Result};

use crate::hint::hinted;

/// Runs a module as `python -m` does, but never from the current folder, and on Linux tied to our life: an
/// orphaned pip would go on filling a folder that the next build has removed.
const RUN_MODULE: &str = "\
import sys
sys.path[:] = [p for p in sys.path if p]
if sys.platform == 'linux':
    try:
        import ctypes
        ctypes.CDLL(None).prctl(1, 9)
    except Exception:
        pass
import runpy
module = sys.argv.pop(1)
runpy.run_module(module, run_name='__main__', alter_sys=True)
";

/// Variables of pip that would install something else, or elsewhere.
pub(crate) const NOT_OURS: &[&str] = &[
    "PIP_CONSTRAINT",
    "PIP_DRY_RUN",
    "PIP_EDITABLE",
    "PIP_NO_BINARY",
    "PIP_PREFIX",
    "PIP_PYTHON",
    "PIP_REPORT",
    "PIP_REQUIREMENT",
    "PIP_ROOT",
    "PIP_TARGET",
];

/// What a finished child said on stderr (and on stdout, where that was not shown).
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A Python that runs `module`; arguments follow.
pub(crate) fn module(python: &Path, module: &str) -> Command {
    let mut command = Command::new(python);
    command.args(["-c", RUN_MODULE, module]);
    command
}

/// `pip install` of pinned wheels into `target`. `python_version` (`3.12`) asks for the wheels of another
/// Python than the one that runs.
pub(crate) fn install(
    python: &Path,
    requirements: &Path,
    target: &Path,
    scratch: &Path,
    python_version: Option<&str>,
    live: bool,
) -> Result<Finished> {
    let mut command = module(python, "pip");
    command.arg("install").arg("--target").arg(target);
    command.args(["--require-hashes", "--no-deps", "--only-binary", ":all:", "--no-compile", "--no-user"]);
    if let Some(version) = python_version {
        command.args(["--python-version", version]);
    }
    if live {
        command.args(["--progress-bar", "on"]);
    } else {
        command.args(["--progress-bar", "off", "--quiet", "--no-input"]);
    }
    command.arg("--requirement").arg(requirements);
    for name in NOT_OURS {
        command.env_remove(name);
    }
    // pip unpacks where TMPDIR says: on our own file system it is a rename from there, and ours to clean.
    for name in ["TMPDIR", "TEMP", "TMP"] {
        command.env(name, scratch);
    }
    command.env("PIP_DISABLE_PIP_VERSION_CHECK", "1");
    command.env("PIP_ROOT_USER_ACTION", "ignore");
    command.env("PIP_REQUIRE_VIRTUALENV", "0");
    run(command, live)
}

/// Runs a child to its end. With `live`, its stdout (where pip draws) and stderr appear on our stderr.
pub(crate) fn run(mut command: Command, live: bool) -> Result<Finished> {
    command.stdin(if live { Stdio::inherit() } else { Stdio::null() });
    command.stdout(if live { Stdio::from(std::io::stderr()) } else { Stdio::piped() });
    command.stderr(Stdio::piped());
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().with_context(|| format!("cannot start `{program}`"))?;
    let stdout = child.stdout.take();
    let stderr = child.stderr.take();
    // Each pipe needs its own reader, or the child blocks on the one that nobody empties.
    let (stdout, stderr) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut text = Vec::new();
            if let Some(mut pipe) = stdout {
                let _ = pipe.read_to_end(&mut text);
            }
            String::from_utf8_lossy(&text).into_owned()
        });
        let mut text = String::new();
        if let Some(pipe) = stderr {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line);
                if live {
                    let _ = writeln!(std::io::stderr(), "{line}");
                }
                text.push_str(&line);
                text.push('\n');
            }
        }
        (reader.join().unwrap_or_default(), text)
    });
    Ok(Finished { status: child.wait()?, stdout, stderr })
}

/// What one failure means for the user.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    NoPip,
    /// Expected and got.
    Hash(String, String),
    DiskFull,
    Network,
    /// The requirement that no source offers.
    NotOffered(String),
    CutShort,
    Other,
}

/// Reads pip's (or unearth's) last words. Pure.
pub(crate) fn cause(text: &str) -> Cause {
    let has = |needles: &[&str]| needles.iter().any(|needle| text.contains(needle));
    if has(&["No module named pip"]) {
        return Cause::NoPip;
    }
    if has(&["DO NOT MATCH THE HASHES"]) {
        let after = |word: &str| {
            let line = text.lines().rev().find(|line| line.trim_start().starts_with(word));
            line.and_then(|line| line.split_whitespace().last()).unwrap_or("?").to_owned()
        };
        return Cause::Hash(after("Expected sha256"), after("Got"));
    }
    if has(&["No space left on device", "[Errno 28]", "Disk quota exceeded", "not enough space on the disk"])
    {
        return Cause::DiskFull;
    }
    // Before "not offered": without a network, pip ends in that message too.
    if has(&[
        "Failed to establish a new connection",
        "Temporary failure in name resolution",
        "Name or service not known",
        "NameResolutionError",
        "NewConnectionError",
        "ConnectTimeoutError",
        "ReadTimeoutError",
        "ProxyError",
        "SSLError",
        "CERTIFICATE_VERIFY_FAILED",
        "ConnectError",
        "ConnectTimeout",
        "ReadTimeout",
        "Network is unreachable",
        "Connection refused",
        "Connection reset",
    ]) {
        return Cause::Network;
    }
    if has(&["IncompleteRead", "Connection broken", "incomplete-download", "BadZipFile", "is not a zip file"])
    {
        return Cause::CutShort;
    }
    for line in text.lines() {
        for needle in ["No matching distribution found for ", "that satisfies the requirement "] {
            if let Some((_, name)) = line.split_once(needle) {
                return Cause::NotOffered(name.split([' ', ',']).next().unwrap_or(name).to_owned());
            }
        }
    }
    if has(&["No matches are found"]) {
        return Cause::NotOffered(String::new());
    }
    Cause::Other
}

/// The error for a failed installation of `name`.
pub(crate) fn explain(
    finished: &Finished,
    name: &str,
    python: &Path,
    needs: &str,
    offline_hint: &str,
) -> anyhow::Error {
    let text = format!("{}{}", finished.stdout, finished.stderr);
    let python = python.display();
    let (why, hint) = match cause(&text) {
        Cause::NoPip => (
            format!("`{python}` has no pip"),
            format!(
                "`{python} -m ensurepip --user`, or your system's package (Debian, Ubuntu: `apt install python3-pip python3-venv`)"
            ),
        ),
        Cause::Hash(expected, got) => (
            format!("a download is not what is pinned: expected sha256 {expected}, got {got}"),
            format!(
                "`{python} -m pip cache purge`, then run again; if it stays so, your index or mirror serves another file than the one pinned"
            ),
        ),
        Cause::DiskFull => (
            format!("the disk is full: {needs} are needed"),
            "free some space, or name a cache on another disk: SPLATWRIGHT_HOME=/path cargo xtask build"
                .to_owned(),
        ),
        Cause::Network => (
            "the package index could not be reached".to_owned(),
            format!("check the network and pip's settings (`{python} -m pip config list`); {offline_hint}"),
        ),
        Cause::NotOffered(requirement) => (
            format!("no package source that pip reached offers {requirement} for this Python and platform"),
            format!("see which sources pip asks: `{python} -m pip config list`; {offline_hint}"),
        ),
        Cause::CutShort => {
            ("a download was cut short".to_owned(), "run again; what was whole is kept by pip".to_owned())
        }
        Cause::Other => (
            format!("pip ended with {}", finished.status),
            "run again with PIP_VERBOSE=1 to see what pip does".to_owned(),
        ),
    };
    let tail = last_lines(&text, 12);
    let quoted = if tail.is_empty() { String::new() } else { format!("\n  its last lines:\n{tail}") };
    hinted(format!("`{name}` could not be brought: {why}{quoted}"), hint)
}

/// The last `n` lines that say something, indented.
pub(crate) fn last_lines(text: &str, n: usize) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let from = lines.len().saturating_sub(n);
    lines[from..].iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pips_last_words_are_told_apart() {
        let cases = [
            ("/usr/bin/python3: No module named pip", Cause::NoPip),
            (
                "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n    ninja==1.13.2 from x:\n        \
                 Expected sha256 aaa\n        Expected     or bbb\n             Got        ccc\n",
                Cause::Hash("aaa".into(), "ccc".into()),
            ),
            (
                "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
                Cause::DiskFull,
            ),
            (
                "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(...: Failed to \
                 establish a new connection: [Errno 111] Connection refused')': /simple/ninja/\n\
                 ERROR: Could not find a version that satisfies the requirement ninja==1.13.2 (from versions: none)\n",
                Cause::Network,
            ),
            (
                "ERROR: Could not find a version that satisfies the requirement torch==2.4.0 (from versions: 2.6.0)\n\
                 ERROR: No matching distribution found for torch==2.4.0\n",
                Cause::NotOffered("torch==2.4.0".into()),
            ),
            (
                "pip._vendor.urllib3.exceptions.ProtocolError: ('Connection broken: IncompleteRead(10 bytes read)')",
                Cause::CutShort,
            ),
            ("zipfile.BadZipFile: File is not a zip file", Cause::CutShort),
            ("Traceback: something new", Cause::Other),
        ];
        for (text, expected) in cases {
            assert_eq!(cause(text), expected, "{text}");
        }
    }

    #[test]
    fn only_the_end_is_quoted() {
        assert_eq!(last_lines("a\n\nb\nc \n", 2), "    b\n    c");
    }
}
