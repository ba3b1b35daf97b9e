//! Writing: places by halving the scene, levels by merging neighbours within each place, parts of many places.
//!
//! A part is written as soon as it is full, so that beside the scene itself only one unfinished part per level is in memory.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::{files, meta::Asset, write as sog};
use super::{Bound, Place, Range, Streamed, VERSION};
use crate::files::Together;
use crate::gaussians::rows::{self, Rows};
use crate::{Error, Gaussians, Result, WriteProgress};

/// Gaussians of the finest level at a place: what a viewer chooses a level for.
const PLACE: usize = 1 << 15;
/// The usual number of Gaussians of the coarsest level.
const COARSEST: usize = 1 << 16;
/// The most levels that are chosen without being asked for.
const USUAL_LEVELS: u32 = 8;

/// How a streamed scene is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Division {
    /// Levels of detail, each with half the Gaussians of the one before, 1 to 16; `None` for as many as leave about 65,000
    /// Gaussians in the coarsest, at most 8.
    pub levels: Option<u32>,
    /// Gaussians of a part, at most; at least 32,768, the size of a place.
    pub part: usize,
}

impl Default for Division {
    fn default() -> Self {
        Self { levels: None, part: 512 * 1024 }
    }
}

impl Division {
    fn levels(self, gaussians: usize) -> u32 {
        let halvings = gaussians.div_ceil(COARSEST).max(1).next_power_of_two().ilog2();
        self.levels.unwrap_or((1 + halvings).min(USUAL_LEVELS)).clamp(1, 16)
    }
}

/// Writes `path`, which should be called `lod-meta.json`, the folders of its parts beside it, and the sidecar of an origin that
/// is not zero. All files are written before the first one replaces an older one, and `path` is replaced last; parts that an
/// older scene had in addition stay, unnamed.
///
/// # Errors
/// Arrays that disagree in length or contain NaN or infinity; [`Write`](crate::Error::Write).
pub fn write(
    path: impl AsRef<Path>,
    gaussians: &dyn Rows,
    division: Division,
    progress: WriteProgress<'_>,
) -> Result<()> {
    let path = path.as_ref();
    gaussians.check()?;
    let mut rows = rows::all(gaussians);
    let mut writer = Writer {
        path,
        g: gaussians,
        means: rows::means(gaussians)?,
        part: division.part.clamp(PLACE, sog::MOST),
        levels: (0..division.levels(gaussians.len())).map(|_| Level::default()).collect(),
        filenames: Vec::new(),
        files: Together::default(),
        progress,
        done: 0,
    };
    let tree = writer.place(&mut rows)?;
    for level in 0..writer.levels.len() {
        writer.finish(level)?;
    }
    let counts: Vec<u64> = writer.levels.iter().map(|level| level.count).collect();
    let scene = Streamed {
        version: VERSION,
        asset: Asset::ours(),
        count: counts.iter().sum(),
        levels: counts.len() as u64,
        counts,
        environment: None,
        filenames: writer.filenames,
        tree,
    };
    let json = serde_json::to_vec(&scene).expect("numbers and text");
    writer.files.add(path, |out| out.write_all(&json))?;
    writer.files.replace()?;
    gaussians.origin().write_sidecar(path)
}

/// The part of a level that is being filled.
#[derive(Default)]
struct Level {
    open: Option<(usize, Gaussians)>,
    /// Parts and Gaussians so far.
    parts: usize,
    count: u64,
}

struct Writer<'a> {
    path: &'a Path,
    g: &'a dyn Rows,
    means: Vec<f32>,
    part: usize,
    levels: Vec<Level>,
    filenames: Vec<String>,
    files: Together,
    progress: WriteProgress<'a>,
    done: usize,
}

impl Writer<'_> {
    /// The place that holds the Gaussians `rows`, which it reorders.
    fn place(&mut self, rows: &mut [u32]) -> Result<Place> {
        if rows.len() <= PLACE {
            return self.leaf(rows);
        }
        let at = |row: u32, axis: usize| self.means[3 * row as usize + axis];
        let width = |axis: usize| {
            let range = rows.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &row| {
                (low.min(at(row, axis)), high.max(at(row, axis)))
            });
            range.1 - range.0
        };
        let widths = [0, 1, 2].map(width);
        let axis = (1..3).fold(0, |best, k| if widths[k] > widths[best] { k } else { best });
        let half = rows.len() / 2;
        rows.select_nth_unstable_by(half, |&a, &b| at(a, axis).total_cmp(&at(b, axis)).then(a.cmp(&b)));
        let (low, high) = rows.split_at_mut(half);
        let children = vec![self.place(low)?, self.place(high)?];
        let bound = children.iter().fold(Bound::default(), |all, child| all.with(child.bound));
        Ok(Place { bound, children, lods: None })
    }

    fn leaf(&mut self, rows: &[u32]) -> Result<Place> {
        let mut g = self.g.pick(rows)?;
        let (mut bound, mut lods) = (Bound::default(), BTreeMap::new());
        for level in 0..if rows.is_empty() { 0 } else { self.levels.len() } {
            if level > 0 {
                g = g.merged(g.len().div_ceil(2))?;
            }
            g = g.select(&g.morton_order());
            bound = bound.with(Bound::of(&g));
            lods.insert(level as u64, self.add(level, &g)?);
        }
        self.done += rows.len();
        (self.progress)(self.done as u64, self.g.len() as u64);
        Ok(Place { bound, children: Vec::new(), lods: Some(lods) })
    }

    /// Appends Gaussians to the open part of a level, or to a new one if they do not fit.
    fn add(&mut self, level: usize, g: &Gaussians) -> Result<Range> {
        if self.levels[level].open.as_ref().is_some_and(|(_, open)| open.len() + g.len() > self.part) {
            self.finish(level)?;
        }
        let here = &mut self.levels[level];
        here.count += g.len() as u64;
        let Some((file, open)) = &mut here.open else {
            let file = self.filenames.len();
            self.filenames.push(format!("{level}_{}/{}", here.parts, files::META));
            here.parts += 1;
            here.open = Some((file, g.clone()));
            return Ok(Range { file, offset: 0, count: g.len() });
        };
        let range = Range { file: *file, offset: open.len(), count: g.len() };
        open.append(g)?;
        Ok(range)
    }

    /// Writes the open part of a level.
    fn finish(&mut self, level: usize) -> Result<()> {
        let Some((file, part)) = self.levels[level].open.take() else { return Ok(()) };
        let meta = self.path.with_file_name("").join(&self.filenames[file]);
        if let Some(folder) = meta.parent() {
            std::fs::create_dir_all(folder).map_err(|source| Error::Write { path: folder.into(), source })?;
        }
        for (name, data) in sog::in_order(&part, &rows::all(&part), &mut |_, _| {})? {
            self.files.add(&meta.with_file_name(name), |out| out.write_all(&data))?;
        }
        Ok(())
    }
}

/// Nothing.
impl Default for Bound {
    fn default() -> Self {
        Self { min: [f32::INFINITY; 3], max: [f32::NEG_INFINITY; 3] }
    }
}

impl Bound {
    fn of(g: &Gaussians) -> Self {
        let mut all = Self::default();
        for i in 0..g.len() {
            let covariance = g.covariance(i);
            for (k, row) in covariance.iter().enumerate() {
                let (x, reach) = (g.means[3 * i + k], (3.0 * row[k].sqrt()) as f32);
                (all.min[k], all.max[k]) = (all.min[k].min(x - reach), all.max[k].max(x + reach));
            }
        }
        all
    }

    fn with(self, other: Self) -> Self {
        Self {
            min: std::array::from_fn(|k| self.min[k].min(other.min[k])),
            max: std::array::from_fn(|k| self.max[k].max(other.max[k])),
        }
    }
}
