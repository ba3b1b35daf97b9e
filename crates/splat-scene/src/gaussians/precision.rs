//! How exactly a format keeps the positions of a scene, against the scene's size.
//!
//! Sizes leave out the outermost hundredth on either side of each axis: a single Gaussian in the sky says nothing about
//! the scene. Units are those of the scene.

use super::formats::Loaded;
use super::{GaussianFormat, compressed_ply, spz};
use crate::Gaussians;

/// Positions are coarse if a scene is fewer steps across: then a picture of the whole shows them.
const FEWEST_STEPS: f64 = 2000.0;

/// How exactly a format keeps the positions of a scene.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Precision {
    /// The largest distance between neighbouring positions that the format can hold, within the scene's size.
    pub step: f64,
    /// The extent of the scene along its longest axis.
    pub size: f64,
}

impl Precision {
    /// Whether the steps are large enough to be seen.
    #[must_use]
    pub fn is_coarse(&self) -> bool {
        self.step * FEWEST_STEPS > self.size
    }
}

/// Half the steps between neighbours are what rounding costs.
impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = |x: f64| if x == 0.0 { 0 } else { (1.0 - x.log10().floor()).clamp(0.0, 12.0) as usize };
        let (step, size) = (self.step, self.size);
        write!(
            f,
            "steps of {step:.*}, {:.0} across the scene's {size:.*}",
            digits(step),
            size / step,
            digits(size)
        )
    }
}

/// The range of an axis, without outliers, and with them.
struct Axis {
    inner: [f32; 2],
    whole: [f32; 2],
}

impl Axis {
    fn of(g: &Gaussians, axis: usize) -> Self {
        let mut values: Vec<f32> =
            g.means.chunks_exact(3).map(|m| m[axis]).filter(|x| x.is_finite()).collect();
        if values.is_empty() {
            return Self { inner: [0.0; 2], whole: [0.0; 2] };
        }
        let outside = values.len() / 100;
        let last = values.len() - 1;
        let mut at = |k: usize| *values.select_nth_unstable_by(k, f32::total_cmp).1;
        Self { inner: [at(outside), at(last - outside)], whole: [at(0), at(last)] }
    }

    fn reach(range: [f32; 2]) -> f64 {
        f64::from(range[0].abs().max(range[1].abs()))
    }
}

impl Gaussians {
    /// The extent of the scene along its longest axis, without the outermost hundredth on either side; 0 for no Gaussians.
    #[must_use]
    pub fn extent(&self) -> f64 {
        extent(&[0, 1, 2].map(|k| Axis::of(self, k)))
    }
}

fn extent(axes: &[Axis; 3]) -> f64 {
    axes.iter().map(|a| f64::from(a.inner[1]) - f64::from(a.inner[0])).fold(0.0, f64::max)
}

/// The distance between neighbouring `f32` values at `x`, or a little more.
fn f32_step(x: f64) -> f64 {
    x * f64::from(f32::EPSILON)
}

impl GaussianFormat {
    /// How exactly this format would keep the positions of `gaussians`; `None` if there are none. A plain PLY keeps `f32`.
    #[must_use]
    pub fn precision(self, gaussians: &Gaussians) -> Option<Precision> {
        if gaussians.is_empty() {
            return None;
        }
        let axes = [0, 1, 2].map(|k| Axis::of(gaussians, k));
        let largest = |value: &dyn Fn(&Axis) -> f64| axes.iter().map(value).fold(0.0, f64::max);
        let float = largest(&|a| f32_step(Axis::reach(a.inner)));
        let step = match self {
            Self::Ply | Self::Splat | Self::Gltf | Self::Usd(_) => float,
            Self::CompressedPly => float.max(compressed_ply::usual_step(gaussians)),
            Self::Spz(_) => {
                let farthest = largest(&|a| Axis::reach(a.whole));
                f64::from(-spz::fractional_bits(farthest as f32)?).exp2()
            }
            // Parts of a streamed scene have ranges of their own, which are smaller.
            Self::Sog | Self::SogFolder | Self::SogStreamed => largest(&|a| {
                let log = |x: f32| f64::from(x).abs().ln_1p().copysign(f64::from(x));
                (log(a.whole[1]) - log(a.whole[0])) / 65_535.0 * (1.0 + Axis::reach(a.inner))
            }),
        };
        // A scene of one Gaussian is as large as that.
        let mut scales: Vec<f32> = gaussians.log_scales.iter().copied().filter(|x| !x.is_nan()).collect();
        let middle = scales.len() / 2;
        let usual = match scales.is_empty() {
            true => 0.0,
            false => f64::from(*scales.select_nth_unstable_by(middle, f32::total_cmp).1).exp(),
        };
        let size = extent(&axes).max(usual);
        Some(Precision { step, size })
    }
}

/// A warning if the scene lies so far from the origin that its `f32` positions are coarse: whoever wrote the file has
/// rounded them.
pub(super) fn warn_of_far_positions(loaded: &Loaded) -> Option<String> {
    // Nearer to the origin, steps are below a ten-thousandth.
    const NEAR: f32 = 1000.0;
    let g = &loaded.gaussians;
    if !g.origin.is_zero() || g.means.iter().all(|x| x.abs() < NEAR) {
        return None;
    }
    let p = GaussianFormat::Ply.precision(g).filter(Precision::is_coarse)?;
    Some(format!(
        "positions were stored in 32 bits far from the origin, which leaves {p}; they were rounded before"
    ))
}
