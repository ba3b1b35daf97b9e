//! The checkpoints of a run: written in the background, and saved when the device has too little memory for another step.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use super::{RunOptions, Trainer};
use crate::{Checkpoint, Error, Event, Outcome, Result};

impl Trainer {
    /// The state with the note of whoever runs it.
    pub(super) fn noted(&self, outcome: Outcome, options: &RunOptions<'_>) -> Result<Checkpoint> {
        let mut checkpoint = self.checkpoint(outcome)?;
        checkpoint.header.note = options.note.clone();
        Ok(checkpoint)
    }

    /// Saves the state if the device has too little memory for another step: with other settings or on another machine the
    /// run can continue from there. Parameters are copied to the host, which needs no memory of the device.
    pub(super) fn rescue(
        &self,
        error: &Error,
        options: &RunOptions<'_>,
        outcome: &Outcome,
        listen: &mut dyn FnMut(&Event),
    ) {
        let Some(path) = options.checkpoint.as_ref().filter(|_| error.is_out_of_memory()) else { return };
        if self.gaussians.shares.is_some() {
            // The others are in the midst of a step and cannot give their shares.
            return listen(&Event::Warning { text: what_stands(path).into() });
        }
        let warn = |text: String| Event::Warning { text };
        let outcome = Outcome { steps: self.steps, ..outcome.clone() };
        let whole = self.is_whole().then(|| self.noted(outcome, options));
        match whole.map(|checkpoint| checkpoint.and_then(|c| c.write(path))) {
            None => listen(&warn(format!("a refinement was interrupted; {}", what_stands(path)))),
            Some(Ok(())) => listen(&Event::Saved { path: path.clone() }),
            Some(Err(e)) => listen(&warn(format!("{e}; {}", what_stands(path)))),
        }
    }
}

/// What there is to resume from after a checkpoint could not be written.
fn what_stands(path: &Path) -> &'static str {
    if path.exists() { "the checkpoint before it is kept" } else { "there is no earlier checkpoint" }
}

/// Writes checkpoints in the background, one at a time.
#[derive(Default)]
pub(super) struct Saver {
    running: Option<JoinHandle<(PathBuf, Result<(), Error>)>>,
}

impl Drop for Saver {
    /// Even if the run ends in an error, a checkpoint that is being written is finished.
    fn drop(&mut self) {
        self.wait(&mut |_| {});
    }
}

impl Saver {
    pub(super) fn save(&mut self, checkpoint: Checkpoint, path: &Path, listen: &mut dyn FnMut(&Event)) {
        self.wait(listen);
        let path = path.to_owned();
        self.running = Some(std::thread::spawn(move || {
            let written = checkpoint.write(&path);
            (path, written)
        }));
    }

    /// A full disk does not end the training: an earlier checkpoint is intact, and there may be room next time.
    pub(super) fn wait(&mut self, listen: &mut dyn FnMut(&Event)) {
        match self.running.take().map(JoinHandle::join) {
            None => {}
            Some(Ok((path, Ok(())))) => listen(&Event::Saved { path }),
            Some(Ok((path, Err(e)))) => {
                listen(&Event::Warning { text: format!("{e}; {}", what_stands(&path)) });
            }
            Some(Err(_)) => {
                listen(&Event::Warning { text: "the thread that writes checkpoints panicked".into() })
            }
        }
    }
}
