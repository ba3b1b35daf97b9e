//! The steps of `splat edit`: remove, thin out, move.

use anyhow::Result;
use serde_json::{Value, json};
use splat_scene::{Gaussians, Similarity, most, up_of_cameras};

use super::Args;
use super::values::{Amount, Up};
use super::views::{Cost, Views};
use crate::cli::past::Past;
use crate::cli::scene_file::Inputs;
use crate::cli::{Hinted, say, view};

/// The up direction of a written scene, as `splat view` and most viewers of PLY expect it.
const UP: [f64; 3] = [0.0, -1.0, 0.0];

/// What thinning out did.
pub(super) struct Thinned {
    from: usize,
    to: usize,
    by: &'static str,
    cost: Option<Cost>,
}

impl Thinned {
    pub(super) fn as_json(&self) -> Value {
        let cost = self.cost.as_ref().map(|cost| {
            json!({"psnr_before": cost.before, "psnr_after": cost.after, "views": cost.views, "split": cost.split})
        });
        json!({"from": self.from, "to": self.to, "by": self.by, "cost": cost})
    }
}

impl Args {
    pub(super) fn removes(&self) -> bool {
        let floaters = [self.isolated, self.huge, self.min_opacity, self.min_contribution];
        self.floaters
            || self.r#box.is_some()
            || self.sphere.is_some()
            || self.min_views.is_some()
            || floaters.iter().any(Option::is_some)
    }

    pub(super) fn moves(&self) -> bool {
        self.up.is_some()
            || self.recenter
            || self.scale.is_some()
            || self.rotate.is_some()
            || self.translate.is_some()
    }

    /// Removes what the options exclude; why, and how many. A Gaussian is counted for the first reason that holds.
    pub(super) fn remove(&self, g: &mut Gaussians, views: Option<&Views>) -> Result<Vec<(String, usize)>> {
        let of = g.len();
        let mut removed: Vec<(String, usize)> = Vec::new();
        let mut take = |g: &mut Gaussians, why: String, goes: Vec<bool>| -> Result<()> {
            let n = g.retain(&goes.iter().map(|goes| !goes).collect::<Vec<_>>());
            if !self.quiet && !self.json {
                say::note(&format!("removed {} of {}: {why}", say::grouped(n), say::grouped(of)));
            }
            removed.push((why, n));
            if g.is_empty() {
                let all: Vec<_> = removed.iter().map(|(why, n)| format!("{n} {why}")).collect();
                let message = format!("nothing is left of {of} Gaussians: {}", all.join(", "));
                let hint = "`splat info SCENE` shows where a scene lies; ask for less to be removed";
                return Err(Hinted::error(message, hint));
            }
            Ok(())
        };
        for (region, name) in [(&self.r#box, "box"), (&self.sphere, "sphere")] {
            if let Some(region) = region {
                let goes = g.inside(region).iter().map(|inside| *inside == self.outside).collect();
                let side = if self.outside { "inside" } else { "outside" };
                take(g, format!("{side} of the {name}"), goes)?;
            }
        }
        let usual = |given: Option<f64>, usual: f64| given.or(self.floaters.then_some(usual));
        if let Some(least) = usual(self.min_opacity, 0.005) {
            let goes = g.fainter_than(least);
            take(g, format!("opacity below {least}"), goes)?;
        }
        if let Some(share) = self.huge {
            let size = share * g.extent();
            let goes = g.larger_than(size);
            take(g, format!("a standard deviation above {size:.3}, {share} of the extent"), goes)?;
        }
        if let Some(factor) = usual(self.isolated, 10.0) {
            let goes = g.isolated(factor as f32)?;
            take(g, format!("isolated by a factor of {factor}"), goes)?;
        }
        let Some(views) = views else { return Ok(removed) };
        let least = usual(self.min_contribution, 0.02);
        if least.is_none() && self.min_views.is_none() {
            return Ok(removed);
        }
        let mut shown = views.contributions(g)?;
        if let Some(least) = least {
            let goes: Vec<bool> = shown.peaks.iter().map(|&peak| f64::from(peak) < least).collect();
            let mut stays = goes.iter().map(|goes| !goes);
            shown.views.retain(|_| stays.next().unwrap_or(false));
            take(g, format!("a weight below {least} in every pixel of {} views", views.len()), goes)?;
        }
        if let Some(n) = self.min_views {
            let goes = shown.views.iter().map(|&views| views < n).collect();
            take(g, format!("shown by fewer than {n} of {} views", views.len()), goes)?;
        }
        Ok(removed)
    }

    pub(super) fn thin_out(&self, g: &mut Gaussians, views: Option<&Views>) -> Result<Option<Thinned>> {
        let from = g.len();
        let to = match self.max_gaussians {
            None => return Ok(None),
            Some(Amount::Count(n)) => n,
            Some(Amount::Percent(percent)) => ((from as f64 * percent / 100.0).round() as usize).max(1),
        };
        if to >= from {
            return Ok(None);
        }
        let (by, weights) = match views {
            Some(views) => ("contribution to the views", views.contributions(g)?.sums),
            None => ("opacity times volume", g.size_weights()),
        };
        let before = views.map(|views| views.psnr(g)).transpose()?;
        g.retain(&most(&weights, to));
        let cost = match (views, before) {
            (Some(views), Some(before)) => Some(views.cost(before, views.psnr(g)?)),
            _ => None,
        };
        let thinned = Thinned { from, to, by, cost };
        if !self.quiet && !self.json {
            say::note(&format!("kept {} of {} by {by}", say::grouped(to), say::grouped(from)));
            match &thinned.cost {
                Some(cost) => say::note(&cost.to_string()),
                None => say::note(
                    "name a dataset with --data to keep what its views show, and to learn what that costs",
                ),
            }
        }
        Ok(Some(thinned))
    }

    /// The transforms in their order; None if there is none.
    pub(super) fn transform(&self, inputs: &Inputs) -> Result<Option<Similarity>> {
        if !self.moves() {
            return Ok(None);
        }
        let mut all = Similarity::default();
        let mut next = |step: Similarity| all = all.then(&step);
        let up = match self.up {
            None => None,
            Some(Up::Direction(up)) => Some(up),
            Some(Up::Cameras) => Some(self.up_of_cameras(inputs)?),
        };
        if let Some(up) = up {
            next(Similarity::turning(up, UP));
        }
        if self.recenter {
            let mut turned = inputs.g.clone();
            up.iter().for_each(|&up| turned.transform(&Similarity::turning(up, UP)));
            next(Similarity { translation: turned.middle().map(|x| -x), ..Similarity::default() });
        }
        next(Similarity { scale: self.scale.unwrap_or(1.0), ..Similarity::default() });
        for (k, degrees) in self.rotate.unwrap_or_default().into_iter().enumerate() {
            let (sin, cos) = (degrees.to_radians() / 2.0).sin_cos();
            let mut rotation = [cos, 0.0, 0.0, 0.0];
            rotation[k + 1] = sin;
            next(Similarity { rotation, ..Similarity::default() });
        }
        next(Similarity { translation: self.translate.unwrap_or_default(), ..Similarity::default() });
        Ok(Some(all))
    }

    fn up_of_cameras(&self, inputs: &Inputs) -> Result<[f64; 3]> {
        let Some(path) = self.data.clone().or_else(|| Past::beside(&inputs.first).cameras()) else {
            let message = format!("no cameras.json is beside {}", inputs.first.display());
            return Err(Hinted::error(
                message,
                "name a dataset with --data, or the direction itself: --up 0,0,1",
            ));
        };
        let (cameras, _) = view::cameras(&path)?;
        up_of_cameras(&cameras).ok_or_else(|| {
            let message =
                format!("{}: {} cameras do not stand upright together", path.display(), cameras.len());
            Hinted::error(message, "name the direction itself, such as --up 0,0,1")
        })
    }
}
