//! The outputs of a render: the one table of this crate that says what the channels of `splat_engine.h` are called, what
//! shape they have and which setting asks for them.

use splat_engine::{Capabilities, Channels, abi};

use crate::{Error, Settings};

/// One output channel.
#[derive(Debug)]
pub(crate) struct Channel {
    /// Its number in the header.
    pub(crate) source: u32,
    name: &'static str,
    extent: Extent,
    asked: fn(&Settings, features: bool) -> bool,
}

/// The shape of a channel for one camera.
#[derive(Debug, Clone, Copy)]
enum Extent {
    /// `[n,H,W]`.
    Planes(i64),
    /// `[F,H,W]`.
    Features,
    /// `[P]`, without a gradient.
    PerGaussian,
}

type Asked = fn(&Settings, bool) -> bool;

const fn row(source: u32, name: &'static str, extent: Extent, asked: Asked) -> Channel {
    Channel { source, name, extent, asked }
}

/// [`Rendered`](crate::Rendered) has a field of each name.
static TABLE: [Channel; 8] = [
    row(abi::COLOR, "color", Extent::Planes(3), |_, _| true),
    row(abi::INV_DEPTH, "inv_depth", Extent::Planes(1), |_, _| true),
    row(abi::DEPTH, "depth", Extent::Planes(1), |s, _| s.depth),
    row(abi::ALPHA, "alpha", Extent::Planes(1), |s, _| s.alpha),
    row(abi::FEATURES, "features", Extent::Features, |_, features| features),
    row(abi::WEIGHT_SUM, "weight_sum", Extent::PerGaussian, |s, _| s.weight_sum),
    row(abi::WEIGHT_MAX, "weight_max", Extent::PerGaussian, |s, _| s.weight_max),
    row(abi::WEIGHT_IMAGE, "weight_image", Extent::PerGaussian, |s, _| s.weight_image.is_some()),
];

impl Channel {
    /// `features` is `F`, `count` is `P`.
    pub(crate) fn shape(&self, features: i64, [height, width]: [i64; 2], count: i64) -> Vec<i64> {
        match self.extent {
            Extent::Planes(n) => vec![n, height, width],
            Extent::Features => vec![features, height, width],
            Extent::PerGaussian => vec![count],
        }
    }

    pub(crate) fn has_gradient(&self) -> bool {
        !matches!(self.extent, Extent::PerGaussian)
    }
}

/// The channels that `settings` and the presence of features ask for.
///
/// # Errors
/// [`Error::Settings`] naming one that the engine does not have.
pub(crate) fn wanted(
    settings: &Settings,
    features: bool,
    engine: &Capabilities,
) -> Result<Vec<&'static Channel>, Error> {
    let has = |channel: &&Channel| engine.channels.contains(Channels::of(channel.source));
    let wanted: Vec<_> = TABLE.iter().filter(|channel| (channel.asked)(settings, features)).collect();
    if let Some(missing) = wanted.iter().find(|channel| !has(channel)) {
        let able: Vec<_> = TABLE.iter().filter(has).map(|channel| channel.name).collect();
        return Err(Error::Settings(format!(
            "`{}` was asked for, but engine `{}` produces {}",
            missing.name,
            engine.name,
            able.join(", ")
        )));
    }
    Ok(wanted)
}
