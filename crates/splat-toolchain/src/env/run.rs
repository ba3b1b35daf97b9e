//! Running a program for what it prints, with a limit of time; a fixture's programs speak from a file.

use std::{
    io::Read,
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use super::{Env, says};
use crate::machine::Fact;

impl Env {
    /// Standard output and then standard error of a program that ends well within [`Self::patience`].
    pub fn run(&self, program: &Path, args: &[&str]) -> Option<String> {
        if self.is_fixture()
            && let Ok(text) = fs_err::read_to_string(says(program))
        {
            let root = self.root.display().to_string().replace('\\', "/");
            return said(&text.replace("{root}", &root), &args.join(" "));
        }
        let start = Instant::now();
        let answer = self.spawn(program, args);
        if let Ok(mut list) = self.started.lock() {
            let first_line = |text: &str| text.lines().next().unwrap_or_default().to_owned();
            let args: Vec<String> = args.iter().map(|arg| first_line(arg)).collect();
            list.push((format!("{} {}", program.display(), args.join(" ")), start.elapsed()));
        }
        answer
    }

    fn spawn(&self, program: &Path, args: &[&str]) -> Option<String> {
        let mut command = Command::new(program);
        command.args(args).env_clear().envs(&self.vars);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A freshly written script can be busy for a moment while another thread forks.
        let mut child = (0..20).find_map(|_| match command.spawn() {
            Ok(child) => Some(Some(child)),
            Err(e) if e.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                thread::sleep(Duration::from_millis(5));
                None
            }
            Err(_) => Some(None),
        })??;
        // Read on threads: a program that fills a pipe would otherwise wait for us for ever. Not joined: what the
        // program leaves running may hold its pipes open.
        let (out, err) = (read_aside(child.stdout.take()?), read_aside(child.stderr.take()?));
        let deadline = Instant::now() + self.patience;
        let left = || deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(100));
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
                _ => {
                    let _ = child.kill();
                    let _ = child.wait();
                    self.note_silent(program, args);
                    return None;
                }
            }
        };
        let text = out.recv_timeout(left()).ok()? + &err.recv_timeout(left()).ok()?;
        status.success().then_some(text)
    }

    fn note_silent(&self, program: &Path, args: &[&str]) {
        if let Ok(mut list) = self.silent.lock() {
            let line = format!("{} {}", program.display(), args.join(" "));
            list.push(Fact::new(self.patience.as_secs(), line.trim_end()));
        }
    }
}

/// The lines after `$ arguments`, or after `$ *` where the arguments are not listed.
fn said(text: &str, args: &str) -> Option<String> {
    let mut sections = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("$ ") {
            Some(heading) => sections.push((heading.trim(), String::new())),
            None => {
                if let Some((_, body)) = sections.last_mut() {
                    body.push_str(line);
                    body.push('\n');
                }
            }
        }
    }
    let named = |name: &str| sections.iter().find(|(heading, _)| *heading == name);
    named(args).or_else(|| named("*")).map(|(_, body)| body.clone())
}

fn read_aside(mut from: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || send.send(read_lossy(&mut from)));
    receive
}

fn read_lossy(from: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    // What came before a broken pipe still counts.
    let _ = from.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixture_speaks_for_its_programs() {
        let text = "$ --version\nrelease 12.6\n$ *\nanything\n";
        assert_eq!(said(text, "--version").as_deref(), Some("release 12.6\n"));
        assert_eq!(said(text, "-x y").as_deref(), Some("anything\n"));
        assert_eq!(said("$ --version\n1\n", "--help"), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_program_that_hangs_is_ended_and_reported() {
        let mut env = Env::real();
        env.patience = Duration::from_secs(1);
        let start = Instant::now();
        // The shell's child keeps the pipe open after the shell is gone.
        assert_eq!(env.run(Path::new("/bin/sh"), &["-c", "sleep 20; echo late"]), None);
        assert!(start.elapsed() < Duration::from_secs(5), "took {:?}", start.elapsed());
        assert_eq!(env.silent(), [Fact::new(1, "/bin/sh -c sleep 20; echo late")]);
        let start = Instant::now();
        let _ = env.run(Path::new("/bin/sh"), &["-c", "sleep 20 & echo now"]);
        assert!(start.elapsed() < Duration::from_secs(5), "took {:?}", start.elapsed());
    }

    #[cfg(unix)]
    #[test]
    fn a_program_that_fails_says_nothing() {
        let env = Env::real();
        assert_eq!(env.run(Path::new("/bin/sh"), &["-c", "echo yes; exit 3"]), None);
        assert_eq!(env.run(Path::new("/bin/sh"), &["-c", "echo yes"]).as_deref(), Some("yes\n"));
        assert_eq!(env.run(Path::new("/nonexistent/program"), &[]), None);
    }
}
