//! `--json-events`: what the program that started this one reads on stdout, one JSON object per line. Progress is
//! `{"event": "progress", "stage", "done", "of", "seconds_left"}`, the end `{"event": "done", "command", ..}`; the events of a
//! training are those of splat-train.

use std::io::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct EventArgs {
    /// Write progress and the result to stdout, one JSON object per line
    #[arg(long)]
    json_events: bool,
}

impl EventArgs {
    /// Whether stdout belongs to events, so that results for people stay out of it.
    pub(crate) fn wanted(self) -> bool {
        self.json_events
    }

    /// `done` of `of` pieces are done; the time left is known once enough was measured.
    pub(super) fn progress(self, stage: &str, done: u64, of: u64, left: Option<f64>) {
        if self.json_events {
            tell(&json!({"event": "progress", "stage": stage, "done": done, "of": of, "seconds_left": left}));
        }
    }

    /// The command has ended well, or was stopped by Ctrl-C; `result` is an object.
    pub(crate) fn done(self, command: &str, mut result: Value) {
        if self.json_events {
            result["event"] = "done".into();
            result["command"] = command.into();
            tell(&result);
        }
    }
}

/// One line. A reader that has gone away is no reason to lose the work.
pub(super) fn tell(event: &impl Serialize) {
    if let Ok(line) = serde_json::to_string(event) {
        let _ = writeln!(std::io::stdout(), "{line}");
    }
}
