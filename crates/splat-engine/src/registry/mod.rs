//! Which engines this program can use: those that are linked, and libraries in a few documented places.
//!
//! A program registers the engines that it links ([`register`]); `splat-tch` does so for its own. Libraries are looked
//! for in this order:
//!
//! 1. `$SPLAT_ENGINES`, a path list as `PATH` is one, of engine libraries and of folders;
//! 2. the folder of the running program;
//! 3. `v1/engines` in `$SPLATWRIGHT_HOME` or, if that is not set, in the folder `splatwright` of the user's caches
//!    (`$XDG_CACHE_HOME` or `~/.cache`; `~/Library/Caches` on macOS; `%LOCALAPPDATA%` on Windows).
//!
//! In a folder, engine libraries are the files named `libsplat_NAME.so` (`splat_NAME.dll`, `libsplat_NAME.dylib`). The
//! places are read anew at every search; a library that loaded stays loaded and is the same engine in every search.
//! Linked engines come before libraries, and of two libraries of one name the one found first counts.

mod places;

use std::collections::BTreeMap;
use std::env::consts::DLL_SUFFIX;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use self::places::{Places, canonical, name_of};
use crate::{DeviceKind, LoadError, SharedEngine, TableEngine};

/// CUDA engines of this project, best first; others come after them.
const BEST_ON_CUDA: [&str; 2] = ["cuda", "inria"];

static GLOBAL: LazyLock<Registry> = LazyLock::new(|| Registry::new(Places::Documented));
/// Every library that this process has loaded, by its canonical path.
static LOADED: Mutex<BTreeMap<PathBuf, SharedEngine>> = Mutex::new(BTreeMap::new());

/// Adds a linked engine to the process's registry; see [`Registry::register`].
pub fn register(engine: SharedEngine) -> bool {
    GLOBAL.register(engine)
}

/// Every engine of the process's registry; see [`Registry::engines`].
#[must_use]
pub fn engines() -> Vec<Listed> {
    GLOBAL.engines()
}

/// The engine of that name or file in the process's registry; see [`Registry::find`].
///
/// # Errors
/// As [`Registry::find`].
pub fn find(name_or_path: &str) -> Result<SharedEngine, FindError> {
    GLOBAL.find(name_or_path)
}

/// The best engine for a kind of device in the process's registry; see [`Registry::for_device`].
///
/// # Errors
/// As [`Registry::for_device`].
pub fn for_device(kind: DeviceKind) -> Result<SharedEngine, FindError> {
    GLOBAL.for_device(kind)
}

/// Where an engine comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// It is linked into this program.
    Linked,
    /// It is this library.
    Found(PathBuf),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Linked => f.write_str("linked"),
            Self::Found(path) => path.display().fmt(f),
        }
    }
}

/// One engine of a registry, or a library that is none and why.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The engine's name; for a library that did not load, what its file name says.
    pub name: String,
    /// Where it comes from.
    pub origin: Origin,
    /// The engine, or why the library cannot be used.
    pub engine: Result<SharedEngine, LoadError>,
}

/// No engine fits what was asked for. The text lists those that there are and the places that were searched.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// There is no such engine.
    #[error(
        "there is no {wanted}; there are: {}; searched: {}; hint: put the engine's library, or its folder, into \
         SPLAT_ENGINES",
        engines_of(.listed),
        paths_of(.searched)
    )]
    Unknown {
        /// What was asked for, such as ``engine `x` ``.
        wanted: String,
        /// The engines and broken libraries that there are.
        listed: Vec<Listed>,
        /// Files and folders that were searched, whether they exist or not.
        searched: Vec<PathBuf>,
    },
    /// The library that was asked for cannot be used.
    #[error(transparent)]
    Load(#[from] LoadError),
}

fn engines_of(listed: &[Listed]) -> String {
    let shown = |l: &Listed| match &l.engine {
        Ok(_) => format!("`{}` ({})", l.name, l.origin),
        Err(reason) => format!("not usable: {reason}"),
    };
    let all: Vec<_> = listed.iter().map(shown).collect();
    if all.is_empty() { "none".into() } else { all.join(", ") }
}

fn paths_of(paths: &[PathBuf]) -> String {
    paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Linked engines, and the places where libraries are found.
#[derive(Debug)]
pub struct Registry {
    places: Places,
    linked: Mutex<Vec<SharedEngine>>,
}

impl Registry {
    /// An empty registry over these files and folders instead of the documented places.
    #[must_use]
    pub fn with_places(places: Vec<PathBuf>) -> Self {
        Self::new(Places::Fixed(places))
    }

    fn new(places: Places) -> Self {
        Self { places, linked: Mutex::new(Vec::new()) }
    }

    /// Adds a linked engine. Returns whether it was added: a name that is already registered keeps its first engine.
    pub fn register(&self, engine: SharedEngine) -> bool {
        let mut linked = lock(&self.linked);
        let name = &engine.capabilities().name;
        let free = linked.iter().all(|e| e.capabilities().name != *name);
        if free {
            linked.push(engine);
        }
        free
    }

    /// All engines: linked ones in the order of their registration, then libraries in the order of the places. A
    /// library that cannot be used is listed with the reason.
    #[must_use]
    pub fn engines(&self) -> Vec<Listed> {
        let linked = lock(&self.linked).clone();
        let linked = linked.into_iter().map(|engine| Listed {
            name: engine.capabilities().name.clone(),
            origin: Origin::Linked,
            engine: Ok(engine),
        });
        linked.chain(self.places.files().iter().map(|path| listed(path))).collect()
    }

    /// The engine called `name_or_path`, or the one in the library at that path. It is taken for a path if it has a
    /// separator or the suffix of a library.
    ///
    /// # Errors
    /// [`FindError`].
    pub fn find(&self, name_or_path: &str) -> Result<SharedEngine, FindError> {
        let path = Path::new(name_or_path);
        if path.components().count() > 1 || name_or_path.ends_with(DLL_SUFFIX) {
            return Ok(load(path)?);
        }
        self.named(name_or_path).ok_or_else(|| self.unknown(format!("engine `{name_or_path}`")))
    }

    /// The best engine for tensors in that memory: on CUDA `cuda` before `inria` before any other, and of each name
    /// the linked one before a library.
    ///
    /// # Errors
    /// [`FindError::Unknown`] if there is none.
    pub fn for_device(&self, kind: DeviceKind) -> Result<SharedEngine, FindError> {
        let (best, shown): (&[&str], _) = match kind {
            DeviceKind::Cpu => (&["cpu"], "CPU engine"),
            DeviceKind::Cuda => (&BEST_ON_CUDA, "CUDA engine"),
        };
        let fits = |engine: &SharedEngine| engine.capabilities().device == kind;
        let best = best.iter().find_map(|name| self.named(name).filter(fits));
        best.or_else(|| self.engines().into_iter().filter_map(|l| l.engine.ok()).find(fits))
            .ok_or_else(|| self.unknown(shown.into()))
    }

    /// Loads no library whose file name says another name, unless nothing else fits.
    fn named(&self, name: &str) -> Option<SharedEngine> {
        let is = |engine: &SharedEngine| engine.capabilities().name == name;
        if let Some(engine) = lock(&self.linked).iter().find(|e| is(e)) {
            return Some(engine.clone());
        }
        let (likely, others): (Vec<_>, Vec<_>) =
            self.places.files().into_iter().partition(|path| name_of(path) == name);
        likely.iter().chain(&others).find_map(|path| load(path).ok().filter(is))
    }

    fn unknown(&self, wanted: String) -> FindError {
        FindError::Unknown { wanted, listed: self.engines(), searched: self.places.searched() }
    }
}

impl Default for Registry {
    /// An empty registry over the documented places.
    fn default() -> Self {
        Self::new(Places::Documented)
    }
}

fn listed(path: &Path) -> Listed {
    let engine = load(path);
    let name = match &engine {
        Ok(engine) => engine.capabilities().name.clone(),
        Err(_) => name_of(path).to_owned(),
    };
    Listed { name, origin: Origin::Found(path.to_owned()), engine }
}

/// The engine of a library, the same one at every call.
fn load(path: &Path) -> Result<SharedEngine, LoadError> {
    let key = canonical(path);
    let mut loaded = lock(&LOADED);
    if let Some(engine) = loaded.get(&key) {
        return Ok(engine.clone());
    }
    let engine: SharedEngine = Arc::new(TableEngine::open(path)?);
    loaded.insert(key, engine.clone());
    Ok(engine)
}

/// A panic elsewhere leaves these lists whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
