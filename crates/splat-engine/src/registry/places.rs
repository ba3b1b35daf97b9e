//! The files and folders in which engine libraries are looked for.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};

/// Engine libraries in the cache.
const CACHED: &str = "v1/engines";

/// Where libraries are looked for.
#[derive(Debug, Clone)]
pub(super) enum Places {
    /// Those of the parent module's documentation, read from the environment at every search.
    Documented,
    /// These files and folders.
    Fixed(Vec<PathBuf>),
}

impl Places {
    /// The files and folders, whether they exist or not.
    pub(super) fn searched(&self) -> Vec<PathBuf> {
        match self {
            Self::Fixed(places) => places.clone(),
            Self::Documented => documented(),
        }
    }

    /// Libraries in the places, each file once; a named file or folder of `$SPLAT_ENGINES` that does not exist is
    /// among them, so that loading it says so.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = Vec::new();
        let cache = cache_folder().map(|folder| folder.join(CACHED));
        for place in self.searched() {
            let found = match place.is_dir() {
                true => libraries(&place),
                // Nobody asked for this one.
                false if cache.as_ref() == Some(&place) => Vec::new(),
                false => vec![place],
            };
            for file in found {
                if !files.iter().any(|f| canonical(f) == canonical(&file)) {
                    files.push(file);
                }
            }
        }
        files
    }
}

/// The places of the parent module's documentation.
fn documented() -> Vec<PathBuf> {
    let given = std::env::var_os("SPLAT_ENGINES");
    let given = given.iter().flat_map(std::env::split_paths).filter(|path| !path.as_os_str().is_empty());
    let program = std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_owned));
    let cache = cache_folder().map(|folder| folder.join(CACHED));
    given.chain(program).chain(cache).collect()
}

fn cache_folder() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(home) = absolute("SPLATWRIGHT_HOME") {
        return Some(home);
    }
    let caches = if cfg!(windows) {
        absolute("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        absolute("HOME").map(|home| home.join("Library/Caches"))
    } else {
        absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))
    };
    caches.map(|caches| caches.join("splatwright"))
}

/// Files of a folder that are named like engine libraries, by name.
fn libraries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|e| e.path()).filter(|path| !name_of(path).is_empty()).collect();
    files.sort();
    files
}

/// `NAME` of `libsplat_NAME.so`, or nothing.
pub(super) fn name_of(path: &Path) -> &str {
    let name = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(DLL_SUFFIX));
    name.and_then(|n| n.strip_prefix(DLL_PREFIX)).and_then(|n| n.strip_prefix("splat_")).unwrap_or_default()
}

/// One path per file, as far as it exists.
pub(super) fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
