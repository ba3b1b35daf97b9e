//! Runs another program, hears every line of it, and ends it when the user does.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use anyhow::Result;

use crate::cli::Hinted;

/// Lines that are kept for an error.
const KEPT: usize = 12;
/// How often the user's wish to stop is looked at while the program is silent.
const PATIENCE: Duration = Duration::from_millis(100);

/// How a program ended.
#[derive(Debug)]
pub(super) enum Ended {
    Done,
    /// By us, because the user wants to stop.
    Stopped,
    /// On its own, with its last lines.
    Failed(ExitStatus, String),
}

/// Ends the program when this is dropped, in whatever way its watcher ends.
struct Watched(Child);

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs `command` to its end; `hear` gets the lines of its stdout and stderr as they come.
///
/// # Errors
/// It does not start; `hint` says what helps then.
pub(super) fn run(
    command: &mut Command,
    stop: &AtomicBool,
    hint: &str,
    hear: &mut dyn FnMut(&str),
) -> Result<Ended> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child =
        command.spawn().map_err(|e| Hinted::error(format!("`{program}` does not start: {e}"), hint))?;
    let mut child = Watched(child);
    let (sender, lines) = channel();
    let pipes: [Option<Box<dyn Read + Send>>; 2] = [
        child.0.stdout.take().map(|pipe| Box::new(pipe) as _),
        child.0.stderr.take().map(|pipe| Box::new(pipe) as _),
    ];
    for pipe in pipes.into_iter().flatten() {
        let sender = sender.clone();
        std::thread::spawn(move || forward(pipe, &sender));
    }
    drop(sender);
    let mut last = VecDeque::new();
    loop {
        if stop.load(Ordering::Relaxed) {
            return Ok(Ended::Stopped);
        }
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                hear(&line);
                if last.len() == KEPT {
                    last.pop_front();
                }
                last.push_back(line);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = child.0.wait()?;
    // Ctrl-C in a terminal reaches the program too, which may be faster than our own flag.
    if stop.load(Ordering::Relaxed) {
        return Ok(Ended::Stopped);
    }
    let last: Vec<String> = last.into();
    Ok(if status.success() { Ended::Done } else { Ended::Failed(status, last.join("\n")) })
}

/// Every line of `pipe`; a program that redraws one line ends each with a carriage return.
fn forward(pipe: impl Read, to: &Sender<String>) {
    for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
        for part in line.split(|&byte| byte == b'\r').filter(|part| !part.is_empty()) {
            if to.send(String::from_utf8_lossy(part).into_owned()).is_err() {
                return;
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str, stop: &AtomicBool, hear: &mut dyn FnMut(&str)) -> Ended {
        run(Command::new("sh").args(["-c", script]), stop, "", hear).unwrap()
    }

    #[test]
    fn lines_are_heard_and_the_last_ones_are_kept() {
        let stop = AtomicBool::new(false);
        let mut heard = Vec::new();
        let ended = shell("echo one; printf 'a\\rb\\n' >&2", &stop, &mut |line| heard.push(line.to_owned()));
        heard.sort();
        assert!(matches!(ended, Ended::Done));
        assert_eq!(heard, ["a", "b", "one"]);
        let Ended::Failed(status, last) = shell("seq 1 40; exit 7", &stop, &mut |_| {}) else { panic!() };
        assert_eq!((status.code(), last.lines().count(), last.lines().last()), (Some(7), KEPT, Some("40")));
        let error = run(&mut Command::new("/no/such"), &stop, "install it", &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains("`/no/such` does not start"), "{error}");
    }

    #[test]
    fn the_users_wish_ends_the_program() {
        let stop = AtomicBool::new(false);
        // The program says its number, then sleeps for longer than any test may take.
        let mut number = String::new();
        let ended = shell("echo $$; exec sleep 1000", &stop, &mut |line| {
            number = line.to_owned();
            stop.store(true, Ordering::Relaxed);
        });
        assert!(matches!(ended, Ended::Stopped));
        assert!(!std::path::Path::new("/proc").join(number).exists());
    }
}
