//! A render whose backward pass ends in an update of the parameters, without a tensor for any of their gradients.
//!
//! It stands beside torch's graph: [`render_pass`] gives images without a graph, the caller finds the gradients of the loss
//! with respect to these images (by torch or otherwise), and [`Pass::step`] takes them from there to the updated parameters.

use splat_engine::abi;
use tch::{Kind, Tensor};

use crate::check::{compact_rows, kind, same_device};
use crate::{Camera, Error, Gaussians, Rendered, Settings, ffi, render};

/// What the backward pass of one render needs: its inputs, which must not change before, and what the engine saved.
#[derive(Debug)]
#[must_use = "the parameters change in `step`"]
pub struct Pass(ffi::Pass);

/// Renders as [`render_batch`](crate::render_batch) does for several cameras, and as [`render()`](crate::render()) for one,
/// but without a graph: the images are leaves, and the backward pass is [`Pass::step`].
///
/// # Errors
/// As [`render()`](crate::render()); [`Error::Settings`] for an engine that cannot step.
pub fn render_pass(
    gaussians: &Gaussians<'_>,
    cameras: &[&Camera],
    settings: &Settings,
) -> Result<(Rendered, Pass), Error> {
    let (rendered, pass) = render::run(gaussians, cameras, cameras.len() > 1, settings, true)?;
    let pass = pass.ok_or_else(|| Error::Torch("the engine left nothing for the backward pass".into()))?;
    Ok((rendered, Pass(pass)))
}

/// Gradients of a loss with respect to the images, each in its image's shape; `None` is zero.
#[derive(Debug, Clone, Copy, Default)]
pub struct Upstream<'a> {
    /// Of [`Rendered::color`].
    pub color: Option<&'a Tensor>,
    /// Of [`Rendered::inv_depth`].
    pub inv_depth: Option<&'a Tensor>,
    /// Of [`Rendered::depth`].
    pub depth: Option<&'a Tensor>,
    /// Of [`Rendered::alpha`].
    pub alpha: Option<&'a Tensor>,
}

impl<'a> Upstream<'a> {
    /// By the channel's number in the header.
    pub(crate) fn of(&self, source: u32) -> Option<&'a Tensor> {
        match source {
            abi::COLOR => self.color,
            abi::INV_DEPTH => self.inv_depth,
            abi::DEPTH => self.depth,
            abi::ALPHA => self.alpha,
            _ => None,
        }
    }
}

/// A parameter of the Gaussians that a step can update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Target {
    /// Centres, 3 numbers per row.
    Means3d = abi::STEP_MEANS3D,
    /// The constant term of SH, 3 numbers per row; SH must be split.
    Sh = abi::STEP_SH,
    /// The other terms, `3 (M-1)` numbers per row.
    ShRest = abi::STEP_SH_REST,
    /// Opacities, 1 number per row.
    Opacities = abi::STEP_OPACITIES,
    /// Scales, 3 numbers per row.
    Scales = abi::STEP_SCALES,
    /// Rotations, 4 numbers per row.
    Rotations = abi::STEP_ROTATIONS,
}

/// A parameter and its moments, all updated in place, all contiguous. `root` is the square root of the second moment. What
/// has fewer bits than `Float` is rounded at random, from [`StepOptions::seed`] and the step.
#[derive(Debug, Clone, Copy)]
pub enum Stored<'a> {
    /// `Float` tensors of one shape `[P, ...]`.
    Full {
        /// The parameter: the input of the render, or another tensor that takes its gradient.
        param: &'a Tensor,
        /// First moment.
        exp_avg: &'a Tensor,
        /// Second moment.
        exp_avg_sq: &'a Tensor,
    },
    /// A `Float` parameter `[P, ...]` with moments in 16 bits.
    Half {
        /// The parameter.
        param: &'a Tensor,
        /// First moment, `BFloat16`.
        exp_avg: &'a Tensor,
        /// Root, `BFloat16`.
        root: &'a Tensor,
    },
    /// The parameter in 16 bits and moments in 8, for [`Target::ShRest`] of [`Color::CompactSh`](crate::Color::CompactSh).
    Compact {
        /// `[P,S]` `Half`.
        param: &'a Tensor,
        /// First moment in units of the row, `[P,S]` `Int8`.
        exp_avg: &'a Tensor,
        /// Root in units of the row, `[P,S]` `Uint8`.
        root: &'a Tensor,
        /// `[P,2]` `Float`: the units of the two.
        units: &'a Tensor,
    },
}

/// One parameter of a step, with Adam's constants as [`AdamGroup`](crate::AdamGroup) has them.
#[derive(Debug, Clone, Copy)]
pub struct StepGroup<'a> {
    /// Which parameter.
    pub target: Target,
    /// Where and how it is stored.
    pub stored: Stored<'a>,
    /// Added to the gradient of raw opacities is this times `o (1 - o)`, to that of raw scales this times `exp(param)`; 0 for
    /// every other parameter.
    pub pull: f32,
    /// Number of this update, from 1.
    pub step: i64,
    /// Learning rate.
    pub lr: f32,
    /// Decays of the first and second moments.
    pub betas: [f32; 2],
    /// Epsilon added to the denominator.
    pub eps: f32,
}

/// What a step does besides updating parameters.
#[derive(Debug, Clone, Copy, Default)]
pub struct StepOptions {
    /// Leave rows alone that no camera sees, moments too. Otherwise every row is updated and all moments decay.
    pub visible_only: bool,
    /// What stochastic roundings are drawn from, with the step, the row and the column.
    pub seed: u64,
    /// Give [`Stepped::means2d`].
    pub means2d: bool,
    /// Give [`Stepped::means2d_abs`].
    pub means2d_abs: bool,
    /// Give [`Stepped::view`].
    pub view: bool,
}

/// The gradients that a step gives out. With several cameras each has their number as its first dimension.
#[derive(Debug, Default)]
pub struct Stepped {
    /// `[P,3]` as [`Gaussians::means2d`] receives it.
    pub means2d: Option<Tensor>,
    /// `[P,2]` as [`Gaussians::means2d_abs`] receives it.
    pub means2d_abs: Option<Tensor>,
    /// `[C,16]`: of the world-to-camera matrices, column-major.
    pub view: Option<Tensor>,
}

impl Pass {
    /// The backward pass, from the gradients of the images to the updated parameters, in place.
    ///
    /// # Errors
    /// [`Error`] for tensors that do not fit and for what the engine refuses; nothing is changed then.
    pub fn step(
        self,
        upstream: &Upstream<'_>,
        groups: &[StepGroup<'_>],
        options: &StepOptions,
    ) -> Result<Stepped, Error> {
        let (rows, device) = (self.0.count(), self.0.device());
        for group in groups {
            let width = match group.target {
                Target::Means3d | Target::Sh | Target::Scales => 3,
                Target::ShRest => 3 * (self.0.coeffs() - 1).max(0),
                Target::Opacities => 1,
                Target::Rotations => 4,
            };
            for (name, t) in group.stored.tensors() {
                same_device(name, t.device(), "means3d", device)?;
            }
            match group.stored {
                Stored::Full { param, exp_avg, exp_avg_sq } => {
                    for (name, t) in [("param", param), ("exp_avg", exp_avg), ("exp_avg_sq", exp_avg_sq)] {
                        kind(name, t)?;
                        dense_rows(name, t, rows, width)?;
                    }
                }
                Stored::Half { param, exp_avg, root } => {
                    kind("param", param)?;
                    dense_rows("param", param, rows, width)?;
                    for (name, t) in [("exp_avg", exp_avg), ("root", root)] {
                        of_kind(name, t, Kind::BFloat16)?;
                        dense_rows(name, t, rows, width)?;
                    }
                }
                Stored::Compact { param, exp_avg, root, units } => {
                    compact_rows("param", param, rows, width, Kind::Half)?;
                    compact_rows("exp_avg", exp_avg, rows, width, Kind::Int8)?;
                    compact_rows("root", root, rows, width, Kind::Uint8)?;
                    kind("units", units)?;
                    dense_rows("units", units, rows, 2)?;
                }
            }
        }
        self.0.step(upstream, groups, options)
    }
}

impl<'a> Stored<'a> {
    /// Names and tensors; those that are `None` in the header are missing.
    pub(crate) fn tensors(&self) -> Vec<(&'static str, &'a Tensor)> {
        match *self {
            Self::Full { param, exp_avg, exp_avg_sq } => {
                vec![("param", param), ("exp_avg", exp_avg), ("exp_avg_sq", exp_avg_sq)]
            }
            Self::Half { param, exp_avg, root } => {
                vec![("param", param), ("exp_avg", exp_avg), ("root", root)]
            }
            Self::Compact { param, exp_avg, root, units } => {
                vec![("param", param), ("exp_avg", exp_avg), ("root", root), ("units", units)]
            }
        }
    }
}

fn of_kind(name: &'static str, t: &Tensor, kind: Kind) -> Result<(), Error> {
    let found = t.f_kind()?;
    if found == kind {
        return Ok(());
    }
    Err(Error::Settings(format!("`{name}` is {found:?}, but must be {kind:?} as it is stored")))
}

/// `[rows, ...]` of `width` numbers per row, contiguous.
fn dense_rows(name: &'static str, t: &Tensor, rows: i64, width: i64) -> Result<(), Error> {
    let shape = t.size();
    if shape.first() != Some(&rows) || shape.iter().skip(1).product::<i64>() != width {
        let needed = format!("the render has {rows} rows, and the parameter {width} numbers in each");
        return Err(Error::Shape { input: name, found: shape, needed });
    }
    if !t.is_contiguous() {
        return Err(Error::Settings(format!(
            "`{name}` is not contiguous, but a step changes its memory; hint: .contiguous()"
        )));
    }
    Ok(())
}
