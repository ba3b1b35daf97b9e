#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod error;
mod eye;
mod fill;
mod hull;
mod layout;
pub mod linear;
mod points;
mod random;
mod search;
mod sweep;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use splat_scene::{Dataset, Point};

pub use error::{Error, Result};
pub use points::{initial, neighbour_distances};

use eye::Eye;

/// Nobody can train more first points than this on one device; [`Init::count`] beyond it is refused.
pub const MOST_POINTS: usize = 50_000_000;

/// At most this many views, evenly spread, are searched for depth; more would see the same.
const MOST_VIEWS: usize = 160;

/// Where the first points come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PointSource {
    /// The dataset's points; if it has none, the methods below in order until one works.
    #[default]
    Auto,
    /// Only the dataset's points.
    Points,
    /// Depth from comparing photographs, within the visual hull if they have alpha.
    Sweep,
    /// The surface of the visual hull of the alphas, or of the masks if there is no alpha.
    Hull,
    /// Random points in the volume that many cameras see.
    Random,
}

/// How first points are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Init {
    /// Where they come from.
    pub source: PointSource,
    /// How many points to aim for at most, unless they are the dataset's own.
    pub count: usize,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for Init {
    /// [`PointSource::Auto`], 100,000, seed 0.
    fn default() -> Self {
        Self { source: PointSource::Auto, count: 100_000, seed: 0 }
    }
}

/// How the points of a [`Start`] were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// They are the dataset's points.
    Points,
    /// Depth from photographs.
    Sweep,
    /// Depth from photographs within the visual hull.
    SweepInHull,
    /// The surface of the visual hull.
    Hull,
    /// At random.
    Random,
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Points => "the dataset's points",
            Self::Sweep => "plane sweep",
            Self::SweepInHull => "plane sweep within the visual hull",
            Self::Hull => "visual hull",
            Self::Random => "random",
        })
    }
}

/// Points to start from, and how they were found.
#[derive(Debug, Clone)]
pub struct Start {
    /// Points in world coordinates with RGB colours.
    pub points: Vec<Point>,
    /// How they were found.
    pub method: Method,
    /// How many of `points` are guesses: random ones, and those where the views agreed on no depth.
    pub guessed: usize,
    /// The smallest and the largest corner of the box around all points, in world coordinates.
    pub bounds: [[f32; 3]; 2],
    /// The time it took.
    pub took: Duration,
    /// What is not as asked for, or is doubtful; one sentence each.
    pub warnings: Vec<String>,
}

/// Hears how far a search for first points is, and may end it. Called by several threads with the number of views done and
/// the number of views; after [`ControlFlow::Break`] the search ends in [`Error::Stopped`].
#[derive(Clone, Copy)]
pub struct Watch<'a>(pub &'a (dyn Fn(usize, usize) -> ControlFlow<()> + Sync));

impl Default for Watch<'_> {
    /// Nobody listens, and nothing ends the search.
    fn default() -> Self {
        Self(&|_, _| ControlFlow::Continue(()))
    }
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

impl Watch<'_> {
    /// What `work` makes of every element, by several threads, unless the watcher ends it.
    fn over<T: Sync, U: Send>(self, all: &[T], work: impl Fn(usize, &T) -> U + Sync) -> Result<Vec<U>> {
        let done = AtomicUsize::new(0);
        let one = |(i, element): (usize, &T)| {
            let told = (self.0)(done.load(Ordering::Relaxed), all.len());
            if told.is_break() {
                return Err(Error::Stopped);
            }
            let made = work(i, element);
            done.fetch_add(1, Ordering::Relaxed);
            Ok(made)
        };
        all.par_iter().enumerate().map(one).collect()
    }
}

/// Positions in world coordinates with colours, 0 to 1.
type Found = Vec<(linear::Vec3, [f32; 3])>;

/// Finds points to start training `dataset` from. Unless these are the dataset's own points, this reads the photographs of the
/// training views; held-out views are not used.
///
/// # Errors
/// [`Error::NoPoints`] if only the dataset's points are wanted and there are none; [`Error::Scene`] if no photograph can be
/// read; [`Error::Points`] for more than [`MOST_POINTS`].
pub fn first_points(dataset: &Dataset, init: &Init) -> Result<Start> {
    first_points_watched(dataset, init, Watch::default())
}

/// As [`first_points`], which may take a minute, with somebody who watches.
///
/// # Errors
/// As [`first_points`]; [`Error::Stopped`] if the watcher ends the search.
pub fn first_points_watched(dataset: &Dataset, init: &Init, watch: Watch<'_>) -> Result<Start> {
    let began = Instant::now();
    if init.count > MOST_POINTS {
        let asked = init.count;
        return Err(Error::Points(format!(
            "{asked} first points were asked for, at most {MOST_POINTS} are possible"
        )));
    }
    let own = matches!(init.source, PointSource::Auto | PointSource::Points);
    if own && dataset.points.iter().any(|p| p.position.iter().all(|x| x.is_finite())) {
        let sound = |p: &&Point| p.position.iter().all(|x| x.is_finite());
        let points: Vec<Point> = dataset.points.iter().filter(sound).copied().collect();
        let mut warnings = Vec::new();
        if points.len() < dataset.points.len() {
            let lost = dataset.points.len() - points.len();
            warnings
                .push(format!("{lost} of {} points are not finite and are left out", dataset.points.len()));
        }
        let bounds = bounds(&points);
        return Ok(Start {
            points,
            method: Method::Points,
            guessed: 0,
            bounds,
            took: began.elapsed(),
            warnings,
        });
    }
    if init.source == PointSource::Points {
        return Err(Error::NoPoints);
    }
    let chosen: Vec<usize> = if dataset.train.len() > MOST_VIEWS {
        (0..MOST_VIEWS).map(|k| dataset.train[k * dataset.train.len() / MOST_VIEWS]).collect()
    } else {
        dataset.train.clone()
    };
    let load = |_, &i: &usize| -> splat_scene::Result<Option<Eye>> {
        let view = &dataset.views[i];
        let picture = view.load()?;
        Ok(Eye::new(&view.camera, &picture.photo, picture.mask.as_deref()))
    };
    // Reading is quick beside the search: it only listens.
    let loaded = Watch(&|_, of| (watch.0)(0, of)).over(&chosen, load)?;
    let (mut eyes, mut warnings, mut unread) = (Vec::new(), Vec::new(), Vec::new());
    for (i, eye) in loaded.into_iter().enumerate() {
        match eye {
            Ok(Some(eye)) => eyes.push(eye),
            Ok(None) => warnings.push(format!(
                "{} has no perspective camera of finite numbers, or is too small to look for points",
                dataset.views[chosen[i]].name
            )),
            Err(e) => unread.push(e),
        }
    }
    if eyes.is_empty()
        && let Some(e) = unread.pop()
    {
        return Err(e.into());
    }
    warnings.extend(unread.into_iter().map(|e| format!("{e}; looked for points without it")));
    if chosen.len() < dataset.train.len() {
        warnings.push(format!("looked for points in {} of {} views", chosen.len(), dataset.train.len()));
    }
    let mut start = search::search(&eyes, init, warnings, watch)?;
    start.took = began.elapsed();
    Ok(start)
}

fn bounds(points: &[Point]) -> [[f32; 3]; 2] {
    let Some(first) = points.first() else { return [[0.0; 3]; 2] };
    points.iter().map(|p| p.position).fold([first.position; 2], |[low, high], at| {
        [std::array::from_fn(|k| low[k].min(at[k])), std::array::from_fn(|k| high[k].max(at[k]))]
    })
}

#[cfg(test)]
mod tests;
