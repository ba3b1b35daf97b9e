//! The list of channels of a call: what is wanted and where it goes, or which gradients came.
//!
//! Image channels have one part per camera of as many planes as they hold; the channels per Gaussian have `P` numbers
//! per camera.
#![expect(unsafe_code, reason = "reads and writes through the ABI's pointers")]

use splat_core as core;
use splat_core::Channel;
use splat_engine::{EngineError, abi};

use crate::invalid;
use crate::memory::{optional, required, write};

/// The channels of one call, whose data is there and whose sources are known and distinct.
pub(crate) struct Channels {
    list: Vec<(Channel, abi::Channel)>,
    extent: Extent,
}

/// What the sizes of channels follow from.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    /// Pixels of each image.
    pub(crate) pixels: usize,
    /// Gaussians or records of each image.
    pub(crate) count: usize,
    /// Feature channels.
    pub(crate) features: usize,
}

impl Extent {
    /// Numbers of a channel per camera.
    fn of(self, channel: Channel) -> usize {
        channel.planes(self.features).map_or(self.count, |planes| planes * self.pixels)
    }
}

impl Channels {
    /// # Safety
    /// `list` is null or points to `count` channels.
    pub(crate) unsafe fn read(
        list: *const abi::Channel,
        count: u32,
        extent: Extent,
    ) -> Result<Self, EngineError> {
        // SAFETY: forwarded from the caller.
        let given = unsafe { abi::read_array(list, count, "channels")? };
        let mut list: Vec<(Channel, abi::Channel)> = Vec::with_capacity(given.len());
        for (i, given) in given.into_iter().enumerate() {
            let source = given.source;
            let Some(channel) = Channel::ALL.into_iter().find(|c| *c as u32 == source) else {
                return Err(EngineError::Unsupported(format!(
                    "`channels[{i}].source` is {source}, but this engine has 0 to {}",
                    Channel::ALL.len() - 1
                )));
            };
            if list.iter().any(|(c, _)| *c == channel) {
                return invalid(format!("`channels[{i}].source` is {source}, which is listed twice"));
            }
            if (channel == Channel::WeightImage) == given.image.is_null() {
                let what = if given.image.is_null() { "NULL" } else { "given" };
                return invalid(format!(
                    "`channels[{i}].image` is {what} for source {source}, but it belongs to source {} alone",
                    abi::WEIGHT_IMAGE
                ));
            }
            list.push((channel, given));
        }
        Ok(Self { list, extent })
    }

    /// What forward is to compute for camera `i`, for whose outputs there must be room.
    ///
    /// # Safety
    /// Images have a part per camera that outlives `'a`.
    pub(crate) unsafe fn wanted<'a>(&self, i: usize) -> Result<core::Wanted<'a, f32>, EngineError> {
        let mut wanted = core::Wanted::nothing();
        for (channel, given) in &self.list {
            if self.extent.of(*channel) > 0 {
                required(&format!("data` of channel `{channel:?}"), given.data)?;
            }
            // SAFETY: forwarded from the caller; `read` saw to it that this channel has an image.
            wanted = match unsafe { optional(given.image, i, self.extent.pixels) } {
                Some(image) => wanted.and_weight_image(image),
                None => wanted.and(*channel),
            };
        }
        Ok(wanted)
    }

    /// Copies the outputs of camera `i` to the caller.
    ///
    /// # Safety
    /// Each channel's data has room for `i + 1` parts.
    pub(crate) unsafe fn write(&self, i: usize, outputs: &core::Outputs<f32>) {
        for (channel, given) in &self.list {
            // SAFETY: a part has as many numbers as the core's output, by the header.
            unsafe { write(given.data, i, &outputs[*channel]) };
        }
    }

    /// The gradients for camera `i`.
    ///
    /// # Safety
    /// Gradients are null or have a part per camera that outlives `'a`.
    pub(crate) unsafe fn upstream<'a>(
        &self,
        i: usize,
        means2d_abs: bool,
    ) -> Result<core::Upstream<'a, f32>, EngineError> {
        let mut upstream = core::Upstream { means2d_abs, ..core::Upstream::default() };
        for (channel, given) in &self.list {
            // SAFETY: forwarded from the caller.
            let Some(gradient) = (unsafe { optional(given.gradient, i, self.extent.of(*channel)) }) else {
                continue;
            };
            if channel.planes(1).is_none() {
                return invalid(format!("a gradient is given for channel `{channel:?}`, which has none"));
            }
            if !gradient.is_empty() {
                upstream.set(*channel, gradient);
            }
        }
        Ok(upstream)
    }
}
