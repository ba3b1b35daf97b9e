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
    /// Which formulas backward uses where the original's is not the derivative.
    pub derivative: Derivative,
    /// `[P,2]` added to the projected centres, NDC units, or empty: what finite differences of the
    /// `means2D` gradient move.
    pub ndc_shift: &'a [T],
}

impl<T> Default for Tuning<'_, T> {
    fn default() -> Self {
        Self {
            lanes: Lanes::Auto,
            cutoff: Cutoff::Contract,
            cull_tiles: true,
            derivative: Derivative::Original,
            ndc_shift: &[],
        }
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
    /// stop. The image is then a smooth function of the inputs, except where a colour channel or the
    /// Jacobian is clamped.
    Smooth,
}

/// Which formulas backward uses where the original's is not the derivative, in mode `compat`; mode `exact`
/// ([`crate::Settings::exact`]) always takes the derivative.
///
/// They differ in four places: the depth gradient of a splat so far outside the field of view that its
/// Jacobian was clamped (the original has twice the term); the antialiasing factor (the original takes the
/// derivative of the ratio of determinants at the dilated covariance instead of the projected one);
/// the gradient for scales (the original's is for `scale_modifier * scale`); the conic (the original adds
/// `1e-7` to the squared determinant). Alpha's cap of 0.99 is passed straight through in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Derivative {
    /// The original's, so that trainings agree.
    #[default]
    Original,
    /// The derivative.
    Exact,
}
