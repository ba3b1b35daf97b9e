//! What bringing something tells its caller: lines for people, and the step that was reached. The steps are
//! where an interruption can fall, so the tests stop a build at each of them. Prints only through [`Terminal`].

use std::io::IsTerminal;

use crate::ui;

/// A point that an installation or an extraction has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Another process holds the cache; this one is about to wait for it.
    Waiting,
    /// This process holds the cache's lock.
    Locked,
    /// The temporary folder is made; nothing is in it.
    Prepared,
    /// Everything lies in the temporary folder, unstamped.
    Filled,
    /// The stamp is written; the folder is not yet in its place.
    Stamped,
    /// The folder that is to be replaced was moved away, and the new one is not yet there.
    Displaced,
    /// The new folder is in its place; the temporary one still exists.
    Placed,
}

/// Where news goes.
pub trait Progress {
    /// One line for people.
    fn say(&mut self, line: &str);

    /// Whether pip may draw its progress bars on our stderr.
    fn live(&self) -> bool;

    /// A step was reached.
    fn step(&mut self, _step: Step) {}
}

/// Lines on stderr, and bars if that is a terminal.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terminal;

impl Progress for Terminal {
    fn say(&mut self, line: &str) {
        ui::note(line);
    }

    fn live(&self) -> bool {
        std::io::stderr().is_terminal()
    }
}
