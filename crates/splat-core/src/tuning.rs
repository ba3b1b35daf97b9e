//! How the engine computes rather than what: which instructions it uses, and the cut-offs that tests may remove.
//!
//! [`crate::forward()`] and [`crate::backward()`] use the defaults. The number of threads is that of the rayon pool in
//! which the call runs (`ThreadPool::install`); results are bit-identical whatever that number is.

/// Options of the stages, [`crate::forward_with`] and [`crate::backward_with`]; the forward and backward calls of one
/// render must be given the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tuning<'a, T = f32> {
    /// Instructions of the inner loops.
    pub lanes: Lanes,
    /// Which pixels a Gaussian contributes to.
    pub cutoff: Cutoff,
    /// Leave out Gaussian-tile intersections in which every pixel is certain to be under the opacity threshold. Images
    /// and gradients stay the same to the bit; without it [`crate::Saved::rendered`] is, in mode `compat`, the number
    /// that the original reports.
    pub cull_tiles: bool,
    /// Which formulas the backward pass uses where the original's is not the derivative.
    pub derivative: Derivative,
    /// `[P,2]` added to the projected centres, NDC units, or empty. Finite differences for the gradient of the projected
    /// centres need it.
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
    /// The widest vectors of this processor, chosen at run time; `f64` always uses one lane.
    #[default]
    Auto,
    /// One pixel at a time, from the same source code.
    Scalar,
}

/// Which pixels a Gaussian contributes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cutoff {
    /// Those of [`crate::Mode`], with alpha from 1/255 to 0.99, and a stop before the transmittance falls under 1e-4.
    #[default]
    Contract,
    /// For finite differences: every Gaussian contributes to every pixel, without threshold, cap or stop. The image is
    /// then a smooth function of the inputs, except where a colour channel or the Jacobian is clamped.
    Smooth,
}

/// Which formulas the backward pass uses where the original's is not the derivative, in mode `compat`; mode `exact`
/// ([`crate::Mode::Exact`]) always uses the derivative.
///
/// They differ in four places: the depth gradient of a Gaussian so far outside the field of view that its Jacobian was
/// clamped (the original has twice the term); the antialiasing factor (the original evaluates the derivative of the
/// ratio of determinants at the dilated covariance instead of the projected one); the gradient for scales (the
/// original's is for `scale_modifier * scale`); the inverse covariance (the original adds `1e-7` to the squared
/// determinant). Both pass gradients straight through alpha's cap of 0.99.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Derivative {
    /// The original's, so that training gives the same results.
    #[default]
    Original,
    /// The derivative.
    Exact,
}
