//! Where the first Gaussians are: at the dataset's points, or where photographs and cameras alone say that
//! there is something.
//!
//! [`first_points`] gives coloured points in world units, [`initial`] makes Gaussians of them. Held-out
//! views are not looked at. The same views, options and seed give the same points on any number of threads.

#![deny(missing_docs)]

mod error;
mod eye;
mod fill;
mod hull;
mod layout;
pub mod linear;
mod points;
mod random;
mod sweep;

use std::time::{Duration, Instant};

use kiddo::{ImmutableKdTree, SquaredEuclidean};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use splat_scene::{Dataset, Point};

pub use error::{Error, Result};
pub use points::{initial, neighbour_distances};

use eye::Eye;
use hull::Hull;
use layout::Layout;
use linear::{Vec3, norm, quantile, sub};
use sweep::Range;

/// More views than this are not searched for depth: those that are, evenly spread, see the same.
const MOST_VIEWS: usize = 160;
/// Below this many points the search counts as failed.
const FEWEST: usize = 500;
/// Views in which a point must have been found, besides the one it was found for.
const AGREEING: usize = 2;
/// Pixels between the places where a view's hull is looked up.
const HULL_STRIDE: usize = 3;
/// Of the points that cells without agreed depth would get by their area, this share is made.
const FILL: f64 = 0.5;
/// Of all points, the share that is scattered where many cameras look, beside those that were found.
const SCATTERED: f64 = 0.02;

/// Where points come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PointSource {
    /// The dataset's points; without any, [`PointSource::Sweep`]; where that fails, the next below it.
    #[default]
    Auto,
    /// The dataset's points, and nothing else.
    Points,
    /// Depth by comparing photographs (within the visual hull, where they have alpha).
    Sweep,
    /// The surface of the visual hull of alphas; of masks, where there is no alpha.
    Hull,
    /// Uniform in the volume that many cameras see.
    Random,
}

/// How points are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Init {
    /// Where they come from.
    pub source: PointSource,
    /// How many to aim at, at most, where they are not the dataset's own.
    pub count: usize,
    /// Decides what is left to chance.
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
    /// The dataset brought them.
    Points,
    /// Depth from photographs.
    Sweep,
    /// Depth from photographs within the visual hull.
    SweepInHull,
    /// Surface of the visual hull.
    Hull,
    /// By chance.
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

/// Points to begin from, and what is to be said about them.
#[derive(Debug, Clone)]
pub struct Start {
    /// World coordinates, RGB.
    pub points: Vec<Point>,
    /// How they were found.
    pub method: Method,
    /// Of `points`, how many are guesses: where no depth was agreed on, or by chance.
    pub guessed: usize,
    /// The box around all points, world coordinates: smallest and largest corner.
    pub bounds: [[f32; 3]; 2],
    /// Time it took.
    pub took: Duration,
    /// What was not as asked, or is doubtful; one sentence each.
    pub warnings: Vec<String>,
}

/// Found positions and colours (0 to 1).
type Found = Vec<(Vec3, [f32; 3])>;

/// Points to begin training `dataset` from. Reads the photographs of the views to train on, unless they are the
/// dataset's own points.
///
/// # Errors
/// [`Error::NoPoints`] if only the dataset's own are wanted and there are none; [`Error::Scene`] if no
/// photograph can be read.
pub fn first_points(dataset: &Dataset, init: &Init) -> Result<Start> {
    let began = Instant::now();
    let own = matches!(init.source, PointSource::Auto | PointSource::Points);
    if own && dataset.points.iter().any(|p| p.position.iter().all(|x| x.is_finite())) {
        let sound = |p: &&Point| p.position.iter().all(|x| x.is_finite());
        let points: Vec<Point> = dataset.points.iter().filter(sound).copied().collect();
        let mut warnings = Vec::new();
        if points.len() < dataset.points.len() {
            let lost = dataset.points.len() - points.len();
            warnings.push(format!("{lost} of {} points are not finite and left out", dataset.points.len()));
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
    let mut start = search(&eyes, init, warnings);
    start.took = began.elapsed();
    Ok(start)
}

/// Every way in turn, from the one asked for to chance.
fn search(eyes: &[Eye], init: &Init, mut warnings: Vec<String>) -> Start {
    let layout = Layout::of(eyes);
    let transparent = eyes.iter().filter(|e| e.transparent).count();
    let silhouettes = transparent * 5 >= eyes.len() * 4;
    let mut found: Option<(Method, Found, usize)> = None;
    if init.source != PointSource::Random && layout.without_parallax {
        warnings.push(match eyes.len() {
            0 => "there are no photographs to look for points in".into(),
            1 => "one camera alone tells no depth: points are random".into(),
            n => format!("{n} cameras at one place tell no depth: points are random"),
        });
    } else if init.source != PointSource::Random {
        let hull =
            if silhouettes || init.source == PointSource::Hull { Hull::carve(eyes, &layout) } else { None };
        if hull.is_none() && (silhouettes || init.source == PointSource::Hull) {
            warnings.push("the silhouettes have no visual hull in common: it is not used".into());
        }
        if init.source != PointSource::Hull {
            found = by_depth(eyes, &layout, hull.as_ref(), init, &mut warnings);
        }
        if found.is_none()
            && let Some(hull) = &hull
        {
            let spans = hull.spans(eyes, HULL_STRIDE);
            let mut points = hull.colored(eyes, &spans);
            thin(&mut points, init.count, init.seed);
            found = (!points.is_empty()).then_some((Method::Hull, points, 0));
        }
        if found.is_none() {
            warnings.push("neither depth nor a hull was found: points are random".into());
        }
    }
    let (method, points, guessed) = found.unwrap_or_else(|| {
        let (points, seen) = random::scatter(eyes, &layout, init.count, init.seed);
        if points.len() < init.count {
            warnings.push(format!(
                "{} points instead of {}: there is little room that {seen} cameras see",
                points.len(),
                init.count
            ));
        }
        let guessed = points.len();
        (Method::Random, points, guessed)
    });
    let byte = |x: f32| (x.clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
    let points: Vec<Point> = points
        .into_iter()
        .map(|(p, c)| Point { position: p.map(|x| x as f32), color: c.map(byte) })
        .filter(|p| p.position.iter().all(|x| x.is_finite()))
        .collect();
    let bounds = bounds(&points);
    Start { points, method, guessed, bounds, took: Duration::ZERO, warnings }
}

/// The whole picture may lie anywhere between two depths.
struct Between([f32; 2]);

impl Range for Between {
    fn at(&self, _: [f32; 2]) -> Option<[f32; 2]> {
        Some(self.0)
    }
}

/// Depth maps, what they agree on, and guesses for the rest.
fn by_depth(
    eyes: &[Eye],
    layout: &Layout,
    hull: Option<&Hull>,
    init: &Init,
    warnings: &mut Vec<String>,
) -> Option<(Method, Found, usize)> {
    let found = match hull {
        Some(hull) => with_ranges(eyes, layout, &hull.spans(eyes, HULL_STRIDE), 0, init),
        None => {
            let ranges: Vec<Between> =
                eyes.iter().map(|_| Between([layout.far, layout.near].map(|z| 1.0 / z as f32))).collect();
            with_ranges(eyes, layout, &ranges, (SCATTERED * init.count as f64) as usize, init)
        }
    };
    match found {
        Ok((points, guessed)) => {
            let method = if hull.is_some() { Method::SweepInHull } else { Method::Sweep };
            Some((method, points, guessed))
        }
        Err(few) => {
            warnings.push(format!(
                "the photographs agree on the depth of {few} points, fewer than {FEWEST}: they show little \
                 texture in common, or the poses are wrong"
            ));
            None
        }
    }
}

/// The points and how many of them are guesses; or how few were agreed on. `scattered`: points by chance
/// to try, besides.
fn with_ranges<R: Range>(
    eyes: &[Eye],
    layout: &Layout,
    ranges: &[R],
    scattered: usize,
    init: &Init,
) -> Result<(Found, usize), usize> {
    let maps = sweep::depth_maps(eyes, layout, ranges, init.seed);
    let checked: Vec<Vec<usize>> =
        (0..eyes.len()).into_par_iter().map(|i| layout.neighbours(eyes, i, sweep::CHECKED)).collect();
    let mut fused = sweep::fuse(eyes, &maps, &checked, AGREEING.min(eyes.len() - 1));
    let mut points = std::mem::take(&mut fused.points);
    remove_strays(&mut points, eyes);
    if points.len() < FEWEST {
        return Err(points.len());
    }
    let open = fill::share(eyes, &maps, &fused);
    let guesses = (FILL * open * init.count as f64) as usize;
    thin(&mut points, init.count - guesses - scattered, init.seed);
    let sure = points.len();
    points.extend(fill::fill(eyes, &maps, &fused, ranges, layout.reach, guesses, init.seed));
    let (mut chance, _) = random::scatter(eyes, layout, scattered, init.seed);
    chance.retain(|(p, _)| {
        let (there, through) = sweep::support(eyes, &maps, &fused.agreed, *p);
        through <= there
    });
    points.extend(chance);
    let guessed = points.len() - sure;
    Ok((points, guessed))
}

/// Leaves out points that stand alone: farther from their neighbours, seen from the nearest camera, than is
/// usual.
fn remove_strays(points: &mut Found, eyes: &[Eye]) {
    const NEIGHBOURS: usize = 8;
    const UNUSUAL: f64 = 5.0;
    if points.len() <= NEIGHBOURS {
        return;
    }
    let positions: Vec<[f32; 3]> = points.iter().map(|(p, _)| p.map(|x| x as f32)).collect();
    let Ok(tree) = ImmutableKdTree::<f32, 3>::new_from_slice(&positions) else { return };
    let count = std::num::NonZero::new(NEIGHBOURS + 1).expect("9");
    let angles: Vec<f64> = positions
        .par_iter()
        .zip(&*points)
        .map(|(p, (exact, _))| {
            let near = tree.query(p).nearest_n::<SquaredEuclidean<f32>>(count).execute();
            let farthest = near.iter().map(|n| n.distance).fold(0.0, f32::max);
            let camera = eyes.iter().map(|e| norm(sub(e.center, *exact))).fold(f64::INFINITY, f64::min);
            f64::from(farthest.sqrt()) / camera.max(1e-12)
        })
        .collect();
    let usual = quantile(&mut angles.clone(), 0.5).unwrap_or(0.0);
    let mut keep = angles.iter().map(|a| *a <= UNUSUAL * usual);
    points.retain(|_| keep.next().unwrap_or(false));
}

/// At most `count` of them, chosen by `seed`, in their order.
fn thin(points: &mut Found, count: usize, seed: u64) {
    if points.len() > count {
        let mut chosen = fastrand::Rng::with_seed(seed).choose_multiple(0..points.len(), count);
        chosen.sort_unstable();
        *points = chosen.into_iter().map(|i| points[i]).collect();
    }
}

fn bounds(points: &[Point]) -> [[f32; 3]; 2] {
    let Some(first) = points.first() else { return [[0.0; 3]; 2] };
    points.iter().map(|p| p.position).fold([first.position; 2], |[low, high], at| {
        [std::array::from_fn(|k| low[k].min(at[k])), std::array::from_fn(|k| high[k].max(at[k]))]
    })
}

#[cfg(test)]
mod tests;
