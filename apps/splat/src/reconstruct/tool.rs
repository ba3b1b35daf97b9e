//! What finds the poses: the user's own COLMAP or GLOMAP, or COLMAP's Python package, which is brought into the cache. Each
//! stage is a command. Decides nothing about which stages there are.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use splatwright::provision::{Terminal, reconstruction};

use crate::cli::{Hinted, say};
use crate::machine::on_path;

/// The stages of pycolmap.
const DRIVER: &str = include_str!("driver.py");

/// The first release of COLMAP that is used unasked. 3.8, which distributions still have, put 13 photographs of a test's scene into
/// two groups that do not fit together, and said nothing.
const OLDEST: u32 = 4;

/// Which program the user wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Sfm {
    /// COLMAP if release 4 or later is installed, else pycolmap
    #[default]
    Auto,
    /// COLMAP's Python package, fetched once into the cache
    Pycolmap,
    /// The program `colmap` on PATH
    Colmap,
    /// The program `glomap` on PATH for the poses, after features and matches by one of the others
    Glomap,
}

/// A program for structure from motion.
#[derive(Debug)]
pub(super) struct Tool {
    /// How people know it, with its version.
    pub(super) name: String,
    kind: Kind,
    /// In place of the other's mapper.
    glomap: Option<PathBuf>,
}

#[derive(Debug)]
enum Kind {
    Pycolmap(reconstruction::Pycolmap),
    Colmap {
        program: PathBuf,
        /// How this release names its options: `--{0}Extraction.use_gpu`.
        prefix: &'static str,
        gpu: bool,
    },
}

/// The files of one reconstruction.
#[derive(Debug)]
pub(super) struct Files<'a> {
    pub(super) database: PathBuf,
    pub(super) images: &'a Path,
}

impl Tool {
    /// The program that the user wants; brings the package if it is that.
    pub(super) fn find(wanted: Sfm, offline: bool) -> Result<Self> {
        let glomap = if wanted == Sfm::Glomap { Some(required("glomap")?) } else { None };
        let own = match wanted {
            Sfm::Pycolmap => None,
            Sfm::Colmap => Some(colmap_at(required("colmap")?)),
            Sfm::Auto | Sfm::Glomap => on_path("colmap").map(colmap_at).filter(|own| {
                if own.release < OLDEST {
                    say::note(&format!(
                        "{} is older than release {OLDEST}: --sfm colmap would use it",
                        own.name
                    ));
                }
                own.release >= OLDEST
            }),
        };
        let (mut name, kind) = match own {
            Some(own) => (own.name, own.kind),
            None => {
                let package = reconstruction::pycolmap(offline, &mut Terminal)?;
                (format!("pycolmap {}", package.version), Kind::Pycolmap(package))
            }
        };
        if let Some(glomap) = &glomap {
            name = format!("{} after {name}", glomap.display());
        }
        Ok(Self { name, kind, glomap })
    }

    /// Finds the features of the photographs that the file `list` names; with `shared`, one camera took all of them.
    pub(super) fn features(
        &self,
        files: &Files<'_>,
        list: &Path,
        shared: bool,
        model: &str,
        masks: Option<&Path>,
    ) -> Command {
        match &self.kind {
            Kind::Pycolmap(package) => {
                let mut command = driver(package, "features", files);
                command
                    .arg(files.images)
                    .arg(list)
                    .args([if shared { "SINGLE" } else { "PER_IMAGE" }, model]);
                command.arg(masks.unwrap_or(Path::new("")));
                command
            }
            Kind::Colmap { program, prefix, gpu } => {
                let mut command = stage(program, "feature_extractor", files);
                command.arg("--image_path").arg(files.images).arg("--image_list_path").arg(list);
                command.args([
                    "--ImageReader.camera_model",
                    model,
                    "--ImageReader.single_camera",
                    digit(shared),
                ]);
                if let Some(masks) = masks {
                    command.arg("--ImageReader.mask_path").arg(masks);
                }
                command.args([&format!("--{prefix}Extraction.use_gpu"), digit(*gpu)]);
                command
            }
        }
    }

    /// Compares all photographs with each other, in blocks of `block`.
    pub(super) fn exhaustive(&self, files: &Files<'_>, block: usize) -> Command {
        let block = block.to_string();
        match &self.kind {
            Kind::Pycolmap(package) => with(driver(package, "exhaustive", files), &[&block]),
            Kind::Colmap { .. } => {
                with(self.matcher("exhaustive_matcher", files), &["--ExhaustiveMatching.block_size", &block])
            }
        }
    }

    /// Compares each photograph with the next ones by name.
    pub(super) fn sequential(&self, files: &Files<'_>) -> Command {
        match &self.kind {
            Kind::Pycolmap(package) => driver(package, "sequential", files),
            Kind::Colmap { .. } => self.matcher("sequential_matcher", files),
        }
    }

    /// Compares photographs whose EXIF places are close.
    pub(super) fn spatial(&self, files: &Files<'_>) -> Command {
        match &self.kind {
            Kind::Pycolmap(package) => driver(package, "spatial", files),
            Kind::Colmap { .. } => self.matcher("spatial_matcher", files),
        }
    }

    /// Compares the pairs of the file `list`, two names per line.
    pub(super) fn pairs(&self, files: &Files<'_>, list: &Path) -> Command {
        let mut command = match &self.kind {
            Kind::Pycolmap(package) => driver(package, "pairs", files),
            Kind::Colmap { .. } => {
                with(self.matcher("matches_importer", files), &["--match_type", "pairs", "--match_list_path"])
            }
        };
        command.arg(list);
        command
    }

    /// Works out poses and points; writes each model of at least `smallest` photographs into a folder in `models`.
    pub(super) fn mapping(&self, files: &Files<'_>, models: &Path, smallest: usize) -> Command {
        let smallest = smallest.to_string();
        let program = match (&self.glomap, &self.kind) {
            (Some(glomap), _) => glomap,
            (None, Kind::Colmap { program, .. }) => program,
            (None, Kind::Pycolmap(package)) => {
                let mut command = driver(package, "mapping", files);
                command.arg(files.images).arg(models).arg(smallest);
                return command;
            }
        };
        let mut command = stage(program, "mapper", files);
        command.arg("--image_path").arg(files.images).arg("--output_path").arg(models);
        if self.glomap.is_none() {
            command.args(["--Mapper.min_model_size", &smallest]);
        }
        command
    }

    /// Prints, for each photograph, how many places it has in common with another at most, as JSON. COLMAP's own program
    /// cannot tell.
    pub(super) fn shared(&self, files: &Files<'_>) -> Option<Command> {
        match &self.kind {
            Kind::Pycolmap(package) => Some(driver(package, "shared", files)),
            Kind::Colmap { .. } => None,
        }
    }

    fn matcher(&self, name: &str, files: &Files<'_>) -> Command {
        let Kind::Colmap { program, prefix, gpu } = &self.kind else {
            unreachable!("pycolmap has its own stages")
        };
        with(stage(program, name, files), &[&format!("--{prefix}Matching.use_gpu"), digit(*gpu)])
    }
}

fn digit(yes: bool) -> &'static str {
    if yes { "1" } else { "0" }
}

fn with(mut command: Command, arguments: &[&str]) -> Command {
    command.args(arguments);
    command
}

fn driver(package: &reconstruction::Pycolmap, stage: &str, files: &Files<'_>) -> Command {
    let mut command = Command::new(&package.python);
    // Isolated: neither the user's packages nor a `numpy.py` in the current folder come in between.
    command.args(["-I", "-c", DRIVER]).arg(&package.folder).arg(stage).arg(&files.database);
    command
}

fn stage(program: &Path, name: &str, files: &Files<'_>) -> Command {
    let mut command = Command::new(program);
    // Without a display, some builds end at once otherwise.
    command.env("QT_QPA_PLATFORM", "offscreen");
    command.arg(name).arg("--database_path").arg(&files.database);
    command
}

/// A program of the user's.
struct Own {
    name: String,
    /// The first number of its version; 0 if it does not say.
    release: u32,
    kind: Kind,
}

/// COLMAP on PATH: what it says of itself, and its options.
fn colmap_at(program: PathBuf) -> Own {
    let says = |arguments: &[&str]| {
        let said = Command::new(&program).env("QT_QPA_PLATFORM", "offscreen").args(arguments).output();
        said.map_or_else(
            |_| String::new(),
            |said| {
                String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr)
            },
        )
    };
    let banner = says(&["help"]);
    let version = banner.lines().find_map(|line| line.strip_prefix("COLMAP ")?.split_whitespace().next());
    let name = format!("{} {}", program.display(), version.unwrap_or("of unknown version"));
    let release = version.and_then(|version| version.split('.').next()?.parse().ok()).unwrap_or(0);
    // Renamed in COLMAP 3.13.
    let new = says(&["feature_extractor", "--help"]).contains("--FeatureExtraction.use_gpu");
    let gpu = banner.contains("with CUDA") && tch::Cuda::is_available();
    let kind = Kind::Colmap { program, prefix: if new { "Feature" } else { "Sift" }, gpu };
    Own { name, release, kind }
}

fn required(program: &str) -> Result<PathBuf> {
    on_path(program).ok_or_else(|| {
        Hinted::error(
            format!("there is no `{program}` on PATH"),
            "leave out --sfm, and what is needed is found or fetched",
        )
    })
}
