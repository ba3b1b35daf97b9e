//! The outputs of a render: what they are called, which of them a call computes, and where they come back.
//!
//! `weight` is the share `alpha * transmittance` with which a Gaussian contributes to a pixel, after alpha's cap and
//! with nothing after the pixel's early stop. To add a channel: a variant here, its arithmetic in `blend` (and
//! `blend_backward`, if it has a gradient), its line in `rasterize`.

use std::ops::Index;

/// One output of a render. The numbers are those of `splat_engine.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Channel {
    /// `[3,H,W]` planar RGB: sum of weight * colour, plus transmittance * background. Neither end is clamped.
    Color = 0,
    /// `[1,H,W]` sum of weight / z, with z the view-space depth; no background, not divided by alpha.
    InvDepth = 1,
    /// `[1,H,W]` sum of weight * z; no background, not divided by alpha.
    Depth = 2,
    /// `[1,H,W]` sum of the weights, which is one minus the remaining transmittance.
    Alpha = 3,
    /// `[F,H,W]` sum of weight * feature; no background.
    Features = 4,
    /// `[P]` sum of the Gaussian's weights over the pixels of the image. No gradient.
    WeightSum = 5,
    /// `[P]` largest of the Gaussian's weights. No gradient.
    WeightMax = 6,
    /// `[P]` sum over the pixels of weight * image, for a given image `[H,W]`. No gradient.
    WeightImage = 7,
}

impl Channel {
    /// Every channel, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Color,
        Self::InvDepth,
        Self::Depth,
        Self::Alpha,
        Self::Features,
        Self::WeightSum,
        Self::WeightMax,
        Self::WeightImage,
    ];

    /// Planes of the image when Gaussians have `features` feature channels; `None` if the channel has one number per
    /// Gaussian instead.
    #[must_use]
    pub fn planes(self, features: usize) -> Option<usize> {
        match self {
            Self::Color => Some(3),
            Self::InvDepth | Self::Depth | Self::Alpha => Some(1),
            Self::Features => Some(features),
            Self::WeightSum | Self::WeightMax | Self::WeightImage => None,
        }
    }
}

/// The channels that a call computes. A channel that is not wanted costs nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wanted<'a, T = f32> {
    /// Bit `1 << channel`.
    set: u32,
    weight_image: Option<&'a [T]>,
}

impl<'a, T> Wanted<'a, T> {
    /// No channel.
    #[must_use]
    pub fn nothing() -> Self {
        Self { set: 0, weight_image: None }
    }

    /// The five images: colour, inverse depth, depth, alpha and features.
    #[must_use]
    pub fn images() -> Self {
        Channel::ALL[..5].iter().fold(Self::nothing(), |wanted, channel| wanted.and(*channel))
    }

    /// This and `channel`; for [`Channel::WeightImage`] use [`and_weight_image`](Self::and_weight_image).
    #[must_use]
    pub fn and(self, channel: Channel) -> Self {
        Self { set: self.set | 1 << channel as u32, ..self }
    }

    /// This and [`Channel::WeightImage`] for `image`, `[H,W]`.
    #[must_use]
    pub fn and_weight_image(self, image: &'a [T]) -> Self {
        Self { weight_image: Some(image), ..self.and(Channel::WeightImage) }
    }

    /// Whether `channel` is wanted.
    #[must_use]
    pub fn contains(&self, channel: Channel) -> bool {
        self.set & 1 << channel as u32 != 0
    }

    /// Whether a channel with one number per Gaussian is wanted.
    pub(crate) fn weights(&self) -> bool {
        Channel::ALL[5..].iter().any(|channel| self.contains(*channel))
    }

    pub(crate) fn weight_image(&self) -> Option<&'a [T]> {
        self.weight_image
    }
}

/// What a call computed: `outputs[channel]` is a slice of the shape that [`Channel`] states, empty if the channel was
/// not wanted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outputs<T = f32>([Vec<T>; Channel::ALL.len()]);

impl<T> Outputs<T> {
    /// Moves a channel out; what remains of it is empty.
    #[must_use]
    pub fn take(&mut self, channel: Channel) -> Vec<T> {
        std::mem::take(&mut self.0[channel as usize])
    }

    pub(crate) fn put(&mut self, channel: Channel, values: Vec<T>) {
        self.0[channel as usize] = values;
    }

    /// Every channel with its numbers.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Channel, &mut [T])> {
        Channel::ALL.into_iter().zip(self.0.iter_mut().map(Vec::as_mut_slice))
    }
}

impl<T> Index<Channel> for Outputs<T> {
    type Output = [T];

    fn index(&self, channel: Channel) -> &[T] {
        &self.0[channel as usize]
    }
}
