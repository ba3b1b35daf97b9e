//! One chooser per ingredient: which candidate is taken, why, and why each of the others is not. Explicit choices of
//! the user are never overridden: one that cannot work is an error that names what would.

pub(crate) mod archs;
pub(crate) mod cuda;
pub(crate) mod host;
pub(crate) mod torch;

use std::path::{Path, PathBuf};

use crate::{
    env::Os,
    finding::Finding,
    machine::{Machine, Python},
    managed::ManagedItem,
    paths,
    plan::{Choice, Explained},
    request::{EngineName, Repo, Settings},
    rows::Row,
};

/// What every chooser sees.
pub(crate) struct Context<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) repo: &'a Repo,
    /// Recorded choices with the request's laid over them.
    pub(crate) settings: &'a Settings,
    pub(crate) row: Row,
    pub(crate) engines: &'a [EngineName],
    /// The interpreter whose wheels would be brought.
    pub(crate) python: Option<&'a Python>,
}

/// A choice with its reasons.
pub(crate) struct Chosen<T> {
    pub(crate) choice: T,
    pub(crate) explained: Explained,
    pub(crate) findings: Vec<Finding>,
}

impl Context<'_> {
    pub(crate) fn os(&self) -> Os {
        match self.machine.os.as_str() {
            "windows" => Os::Windows,
            "macos" => Os::Macos,
            _ => Os::Linux,
        }
    }

    pub(crate) fn needs_cuda(&self) -> bool {
        self.engines.iter().any(|engine| engine.needs_cuda())
    }

    /// Where an item of ours lies or would lie, and whether it is whole there. `None` if nothing pins it here.
    pub(crate) fn managed(&self, item: ManagedItem) -> Option<(PathBuf, bool)> {
        let text = self.repo.requirements.get(item.requirements)?;
        let root = &self.machine.cache_root.as_ref()?.value;
        let whole =
            |dir: &Path| self.machine.managed.iter().any(|state| state.dir == dir && state.lacks.is_empty());
        let tag = self.python.map_or_else(|| "any".to_owned(), Python::tag);
        let dir = item.dir(root, text, &tag);
        if whole(&dir) {
            return Some((dir, true));
        }
        // What another interpreter brought is as good: no choice of ours is loaded into Python.
        let others = self.machine.managed.iter().filter(|state| state.item == item && state.lacks.is_empty());
        let pin = |dir: &Path| paths::file_name(dir).rsplit_once('-').map(|(_, hash)| hash.to_owned());
        let same_pin = others.map(|state| &state.dir).find(|other| pin(other) == pin(&dir));
        Some(same_pin.map_or((dir, false), |other| (other.clone(), true)))
    }

    /// `item` as a choice; `inside` leads from its folder to what the choice names.
    pub(crate) fn managed_choice(&self, item: ManagedItem, inside: &str) -> Option<Choice> {
        let (dir, present) = self.managed(item)?;
        let path = paths::join(&dir, inside);
        Some(Choice::Managed { item, dir, path, version: item.version.parse().unwrap_or_default(), present })
    }
}

/// `it is in the cache`, or that it will be brought.
pub(crate) fn presence(choice: &Choice) -> &'static str {
    match choice {
        Choice::Managed { present: false, .. } => "`cargo xtask build` brings it",
        _ => "it is in the cache",
    }
}
