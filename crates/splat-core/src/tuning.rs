//! How the engine computes, not what: which instructions it uses, and the cut-off that tests may smooth.
//!
//! Programs use [`crate::forward()`] and [`crate::backward()`], which take the defaults. The number of
//! threads is that of the rayon pool in which the call runs (`ThreadPool::install`); results are
//! bit-identical whatever that number is.

/// Options of [`crate::forward_with`] and [`crate::backward_with`]; give both calls the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tuning<'a, T = f32> {
    /// Instructions of the inner loops.
    pub lanes: Lanes,
    /// Which pixels a splat reaches.
    pub cutoff: Cutoff,
    /// Leave out (splat, tile) pairs of the 3-sigma square whose every pixel is certain to be under the
    /// opacity threshold. The images and gradients stay the same to the bit; without it
    /// [`crate::Saved::rendered`] is the number that the original reports.
    pub cull_tiles: bool,
    /// `[P,2]` added to the projected centres, NDC units, or empty: what finite differences of the
    /// `means2D` gradient move.
    pub ndc_shift: &'a [T],
}

impl<T> Default for Tuning<'_, T> {
    fn default() -> Self {
        Self { lanes: Lanes::Auto, cutoff: Cutoff::Contract, cull_tiles: true, ndc_shift: &[] }
    }
}

/// Instructions of the blending loops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lanes {
    /// The widest that this processor has (chosen at run time); `f64` always runs one lane.
    #[default]
    Auto,
    /// One pixel at a time, from the same source.
    Scalar,
}

/// Which pixels a splat reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cutoff {
    /// The contract's: tiles of the 3-sigma square, alpha from 1/255 to 0.99, stop before T < 1e-4.
    #[default]
    Contract,
    /// For finite differences: every splat reaches every pixel of the image, no threshold, no cap, no
    /// stop, no `1e-7` beside the determinant in the conic's gradient. The image is then a smooth function
    /// of the inputs, except where a colour channel or the Jacobian is clamped.
    Smooth,
}
