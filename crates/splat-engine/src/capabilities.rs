//! What an engine says of itself, and of a device.

use crate::abi;

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// `cpu`, `cuda`, `inria`, or another engine's name.
    pub name: String,
    /// Version of the engine, or of the sources it was built from.
    pub version: String,
    /// Fingerprint of the build plan that made it; empty if unknown.
    pub fingerprint: String,
    /// The version of the header that it was built with.
    pub abi: u32,
    /// Whose memory it reads and writes.
    pub device: DeviceKind,
    /// Channels that it can render; asking for another is an error.
    pub channels: Channels,
    /// Further abilities.
    pub abilities: Abilities,
    /// Largest SH degree that it evaluates.
    pub max_sh_degree: u32,
    /// Whether it offers the interface OPTIMIZE (Adam).
    pub optimize: bool,
    /// Whether it offers the interface IMAGE (SSIM and the photometric loss).
    pub image: bool,
}

/// Whose memory an engine reads and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// Host memory.
    Cpu,
    /// Memory of one CUDA device.
    Cuda,
}

/// Properties of a device as an engine sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// The device's name.
    pub name: String,
    /// Streaming multiprocessors; 0 on a CPU.
    pub multiprocessors: u32,
    /// Free memory in bytes; 0 if unknown.
    pub memory_free: u64,
    /// All of its memory in bytes; 0 if unknown.
    pub memory_total: u64,
}

/// A set of output channels: bit `1 << source` for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Channels(pub u32);

impl Channels {
    /// RGB, `[C,3,H,W]`.
    pub const COLOR: Self = Self::of(abi::COLOR);
    /// Blended inverse depth, `[C,1,H,W]`.
    pub const INV_DEPTH: Self = Self::of(abi::INV_DEPTH);
    /// Blended depth, `[C,1,H,W]`.
    pub const DEPTH: Self = Self::of(abi::DEPTH);
    /// Accumulated opacity, `[C,1,H,W]`.
    pub const ALPHA: Self = Self::of(abi::ALPHA);
    /// Blended feature channels, `[C,F,H,W]`.
    pub const FEATURES: Self = Self::of(abi::FEATURES);
    /// Sum of each Gaussian's weights over the pixels, `[C,P]`.
    pub const WEIGHT_SUM: Self = Self::of(abi::WEIGHT_SUM);
    /// Largest of each Gaussian's weights, `[C,P]`.
    pub const WEIGHT_MAX: Self = Self::of(abi::WEIGHT_MAX);
    /// Sum of weight times a given image over the pixels, `[C,P]`.
    pub const WEIGHT_IMAGE: Self = Self::of(abi::WEIGHT_IMAGE);

    /// The set of one channel, named by its `source` ([`abi::COLOR`], ...).
    #[must_use]
    pub const fn of(source: u32) -> Self {
        Self(1 << source)
    }
}

/// A set of an engine's further abilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Abilities(pub u32);

impl Abilities {
    /// Reads inputs of any strides; otherwise they must be contiguous.
    pub const STRIDED_INPUTS: Self = Self(abi::STRIDED_INPUTS);
    /// Gradients are always bit-identical from run to run.
    pub const DETERMINISTIC: Self = Self(abi::DETERMINISTIC);
    /// Accepts [`abi::EXACT`].
    pub const EXACT: Self = Self(abi::CAN_EXACT);
    /// Accepts [`abi::RAW`].
    pub const RAW: Self = Self(abi::CAN_RAW);
    /// Accepts [`abi::REPRODUCIBLE`].
    pub const REPRODUCE: Self = Self(abi::CAN_REPRODUCE);
    /// Renders several cameras per call.
    pub const BATCH: Self = Self(abi::CAN_BATCH);
    /// Accepts [`abi::ORTHOGRAPHIC`] cameras.
    pub const ORTHOGRAPHIC: Self = Self(abi::CAN_ORTHOGRAPHIC);
    /// Accepts SH in two tensors.
    pub const SPLIT_SH: Self = Self(abi::CAN_SPLIT_SH);
    /// Gives absolute `means2d` gradients and those of view and background.
    pub const EXTRA_GRADIENTS: Self = Self(abi::CAN_EXTRA_GRADIENTS);
    /// Renders without waiting for the device, with a workspace.
    pub const WORKSPACE: Self = Self(abi::CAN_WORKSPACE);
    /// Renders in stages: project, rasterize and their backward passes.
    pub const STAGES: Self = Self(abi::CAN_STAGES);
    /// Ends a backward pass in Adam, and reads SH in 16 bits.
    pub const STEP: Self = Self(abi::CAN_STEP);
}

macro_rules! set {
    ($name:ident) => {
        impl $name {
            /// The members of both.
            #[must_use]
            pub const fn with(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// Whether every member of `other` is in it.
            #[must_use]
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }
        }
    };
}
set!(Channels);
set!(Abilities);
