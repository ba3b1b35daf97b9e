//! Gradients of the loss with respect to the outputs, which the backward pass starts from.

use crate::Channel;

/// Gradients of the loss with respect to the image channels; `None` means zero. Shapes are the channels'.
#[derive(Debug, Clone, Copy)]
pub struct Upstream<'a, T = f32> {
    /// `[3,H,W]`.
    pub color: Option<&'a [T]>,
    /// `[1,H,W]`.
    pub inv_depth: Option<&'a [T]>,
    /// `[1,H,W]`.
    pub depth: Option<&'a [T]>,
    /// `[1,H,W]`.
    pub alpha: Option<&'a [T]>,
    /// `[F,H,W]`.
    pub features: Option<&'a [T]>,
    /// Whether the absolute gradients of the projected centres are wanted ([`crate::Gradients::means2d_abs`],
    /// [`crate::RecordGradient::abs_x`]), which costs a little.
    pub means2d_abs: bool,
}

impl<T> Default for Upstream<'_, T> {
    fn default() -> Self {
        Self { color: None, inv_depth: None, depth: None, alpha: None, features: None, means2d_abs: false }
    }
}

impl<'a, T> Upstream<'a, T> {
    /// The gradient for a channel; `None` for the channels that have none.
    #[must_use]
    pub fn get(&self, channel: Channel) -> Option<&'a [T]> {
        match channel {
            Channel::Color => self.color,
            Channel::InvDepth => self.inv_depth,
            Channel::Depth => self.depth,
            Channel::Alpha => self.alpha,
            Channel::Features => self.features,
            Channel::WeightSum | Channel::WeightMax | Channel::WeightImage => None,
        }
    }

    /// Sets the gradient for a channel. Channels with one number per Gaussian have no gradient: they are ignored.
    pub fn set(&mut self, channel: Channel, gradient: &'a [T]) {
        match channel {
            Channel::Color => self.color = Some(gradient),
            Channel::InvDepth => self.inv_depth = Some(gradient),
            Channel::Depth => self.depth = Some(gradient),
            Channel::Alpha => self.alpha = Some(gradient),
            Channel::Features => self.features = Some(gradient),
            Channel::WeightSum | Channel::WeightMax | Channel::WeightImage => {}
        }
    }
}
