//! Where local coordinates lie in the world.
//!
//! Georeferenced scenes have coordinates in the millions of metres, where neighbouring `f32` values are a quarter of a
//! metre apart. Such scenes are read in `f64` and shifted to an origin of their own: everything else in this project
//! computes with local coordinates, and files and reports lead back to the world. A scene that `f32` can hold is not
//! shifted.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::{self, json, write_atomically};
use crate::{Error, Result};

/// The shift between local and world coordinates, in the units of the dataset: `world = local + offset`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Origin {
    /// The world coordinates of the local origin.
    pub offset: [f64; 3],
}

impl Origin {
    /// The origin that suits `positions` (world coordinates): zero where `f32` resolves the scene well, or else the
    /// middle of their bounding box, rounded to whole units so that it is short to write. A scene is shifted if it lies
    /// more than 32 times its own size away from the world's origin.
    #[must_use]
    pub fn choose(positions: impl IntoIterator<Item = [f64; 3]>) -> Self {
        let mut low = [f64::INFINITY; 3];
        let mut high = [f64::NEG_INFINITY; 3];
        for p in positions.into_iter().filter(|p| p.iter().all(|x| x.is_finite())) {
            for axis in 0..3 {
                low[axis] = low[axis].min(p[axis]);
                high[axis] = high[axis].max(p[axis]);
            }
        }
        let size = (0..3).map(|i| high[i] - low[i]).fold(0.0, f64::max);
        let reach = (0..3).map(|i| low[i].abs().max(high[i].abs())).fold(0.0, f64::max);
        if !size.is_finite() || !reach.is_finite() || reach <= 32.0 * size.max(1.0) {
            return Self::default();
        }
        Self { offset: std::array::from_fn(|i| (0.5 * (low[i] + high[i])).round()) }
    }

    /// Whether local and world coordinates are the same.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.offset == [0.0; 3]
    }

    /// A local position in world coordinates.
    #[must_use]
    pub fn to_world(&self, local: [f32; 3]) -> [f64; 3] {
        std::array::from_fn(|i| f64::from(local[i]) + self.offset[i])
    }

    /// A world position in local coordinates.
    #[must_use]
    pub fn to_local(&self, world: [f64; 3]) -> [f32; 3] {
        std::array::from_fn(|i| (world[i] - self.offset[i]) as f32)
    }

    /// The file that states the origin of the scene file `path`: its name with `.origin.json` appended.
    #[must_use]
    pub fn sidecar(path: &Path) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(".origin.json");
        PathBuf::from(name)
    }

    /// Writes the sidecar of the scene file `path`, or removes a stale one if the origin is zero.
    ///
    /// # Errors
    /// [`Error::Write`], naming the sidecar.
    pub fn write_sidecar(&self, path: &Path) -> Result<()> {
        let sidecar = Self::sidecar(path);
        if self.is_zero() {
            return match std::fs::remove_file(&sidecar) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    Err(Error::Write { path: sidecar, source: e })
                }
                _ => Ok(()),
            };
        }
        write_atomically(&sidecar, |out| serde_json::to_writer_pretty(out, self).map_err(Into::into))
    }

    /// The origin that the sidecar of the scene file `path` states, if there is one.
    ///
    /// # Errors
    /// A sidecar that cannot be read, or that states no finite offset.
    pub fn read_sidecar(path: &Path) -> Result<Option<Self>> {
        let sidecar = Self::sidecar(path);
        if !sidecar.exists() {
            return Ok(None);
        }
        // JSON has no infinity: numbers that overflow are refused by the parser.
        json::parse(&sidecar, &files::read(&sidecar)?, "origin sidecar").map(Some)
    }
}
