//! Tries the methods that find points in photographs, one after another, and combines what they find.

use std::time::Duration;

use kiddo::{ImmutableKdTree, SquaredEuclidean};
use rayon::prelude::*;
use splat_scene::Point;

use crate::eye::Eye;
use crate::hull::Hull;
use crate::layout::Layout;
use crate::linear::{norm, quantile, sub};
use crate::sweep::{self, Range};
use crate::{Found, Init, Method, PointSource, Result, Start, Watch, bounds, fill, random};

/// Below this many points, the search for depth counts as failed.
const FEWEST: usize = 500;
/// Number of views, besides the one it was found for, in which a point must be found too.
const AGREEING: usize = 2;
/// Distance in pixels between the places at which a view's hull is sampled.
const HULL_STRIDE: usize = 3;
/// Cells without agreed depth get this share of the points that their area would give them.
const FILL: f64 = 0.5;
/// Share of all points that is scattered at random where many cameras look.
const SCATTERED: f64 = 0.02;

/// Tries every method from the one asked for down to random points.
pub(crate) fn search(
    eyes: &[Eye],
    init: &Init,
    mut warnings: Vec<String>,
    watch: Watch<'_>,
) -> Result<Start> {
    let layout = Layout::of(eyes);
    let transparent = eyes.iter().filter(|e| e.transparent).count();
    let silhouettes = transparent * 5 >= eyes.len() * 4;
    let mut found: Option<(Method, Found, usize)> = None;
    if init.source != PointSource::Random && layout.without_parallax {
        warnings.push(match eyes.len() {
            0 => "there are no photographs to look for points in".into(),
            1 => "a single camera gives no depth: points are random".into(),
            n => format!("{n} cameras at the same place give no depth: points are random"),
        });
    } else if init.source != PointSource::Random {
        let hull =
            if silhouettes || init.source == PointSource::Hull { Hull::carve(eyes, &layout) } else { None };
        if hull.is_none() && (silhouettes || init.source == PointSource::Hull) {
            warnings.push("the silhouettes have no visual hull in common: it is not used".into());
        }
        if init.source != PointSource::Hull {
            found = by_depth(eyes, &layout, hull.as_ref(), init, &mut warnings, watch)?;
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
                "{} points instead of {}: the volume that {seen} cameras see is small",
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
    Ok(Start { points, method, guessed, bounds, took: Duration::ZERO, warnings })
}

/// The whole image may be anywhere between two depths.
struct Between([f32; 2]);

impl Range for Between {
    fn at(&self, _: [f32; 2]) -> Option<[f32; 2]> {
        Some(self.0)
    }
}

/// Points from depth maps where these agree, and guesses for the rest.
fn by_depth(
    eyes: &[Eye],
    layout: &Layout,
    hull: Option<&Hull>,
    init: &Init,
    warnings: &mut Vec<String>,
    watch: Watch<'_>,
) -> Result<Option<(Method, Found, usize)>> {
    let found = match hull {
        Some(hull) => with_ranges(eyes, layout, &hull.spans(eyes, HULL_STRIDE), 0, init, watch),
        None => {
            let ranges: Vec<Between> =
                eyes.iter().map(|_| Between([layout.far, layout.near].map(|z| 1.0 / z as f32))).collect();
            with_ranges(eyes, layout, &ranges, (SCATTERED * init.count as f64) as usize, init, watch)
        }
    };
    Ok(match found? {
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
    })
}

/// The points and how many of them are guesses; or how few points the views agreed on. `scattered` random points are tried in
/// addition.
fn with_ranges<R: Range>(
    eyes: &[Eye],
    layout: &Layout,
    ranges: &[R],
    scattered: usize,
    init: &Init,
    watch: Watch<'_>,
) -> Result<Result<(Found, usize), usize>> {
    let maps = sweep::depth_maps(eyes, layout, ranges, init.seed, watch)?;
    let checked: Vec<Vec<usize>> =
        (0..eyes.len()).into_par_iter().map(|i| layout.neighbours(eyes, i, sweep::CHECKED)).collect();
    let mut fused = sweep::fuse(eyes, &maps, &checked, AGREEING.min(eyes.len() - 1));
    let mut points = std::mem::take(&mut fused.points);
    remove_strays(&mut points, eyes);
    if points.len() < FEWEST {
        return Ok(Err(points.len()));
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
    Ok(Ok((points, guessed)))
}

/// Removes isolated points: those that, seen from the nearest camera, are much farther from their neighbours than usual.
pub(crate) fn remove_strays(points: &mut Found, eyes: &[Eye]) {
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

/// Keeps at most `count` of the points, chosen by `seed`, in their order.
fn thin(points: &mut Found, count: usize, seed: u64) {
    if points.len() > count {
        let mut chosen = fastrand::Rng::with_seed(seed).choose_multiple(0..points.len(), count);
        chosen.sort_unstable();
        *points = chosen.into_iter().map(|i| points[i]).collect();
    }
}
