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

use std::time::{Duration, Instant};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use splat_scene::{Dataset, Point};

pub use error::{Error, Result};
pub use points::{initial, neighbour_distances};

use eye::Eye;

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

/// Positions in world coordinates with colours, 0 to 1.
type Found = Vec<(linear::Vec3, [f32; 3])>;

/// Finds points to start training `dataset` from. Unless these are the dataset's own points, this reads the photographs of the
/// training views; held-out views are not used.
///
/// # Errors
/// [`Error::NoPoints`] if only the dataset's points are wanted and there are none; [`Error::Scene`] if no photograph can be
/// read.
pub fn first_points(dataset: &Dataset, init: &Init) -> Result<Start> {
    let began = Instant::now();
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
    let loaded: Vec<splat_scene::Result<Option<Eye>>> = chosen
        .par_iter()
        .map(|&i| {
            let view = &dataset.views[i];
            let picture = view.load()?;
            Ok(Eye::new(&view.camera, &picture.photo, picture.mask.as_deref()))
        })
        .collect();
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
    let mut start = search::search(&eyes, init, warnings);
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
