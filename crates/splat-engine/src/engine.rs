//! The trait that every engine meets, and what an engine says of itself.
#![expect(unsafe_code, reason = "the trait's calls take raw pointers")]

use std::sync::Arc;

use crate::abi;

/// An engine that several threads and autograd graphs may hold.
pub type SharedEngine = Arc<dyn Engine>;

/// A differentiable rasterizer behind the structs of `splat_engine.h`.
///
/// The calls take raw pointers, hence `unsafe`: skins (`splat-tch`, [`crate::host`]) check shapes and
/// keep the memory alive, so that their users need none.
pub trait Engine: Send + Sync + std::fmt::Debug {
    /// Name, device, outputs and properties. Never fails and touches no device.
    fn capabilities(&self) -> Capabilities;

    /// Whether `device` (a CUDA ordinal; ignored on the CPU) can be used in this process.
    ///
    /// # Errors
    /// [`EngineError::NoDevice`] with the driver's reason.
    fn device_ready(&self, device: i32) -> Result<(), EngineError>;

    /// Renders. Semantics of every member: `splat_engine.h`.
    ///
    /// # Errors
    /// [`EngineError`]; no output is then defined.
    ///
    /// # Safety
    /// Every non-null pointer in `args` is valid for the extent that the header states, in this engine's
    /// memory, for the duration of the call (on a stream: until the stream passes it), and outputs
    /// overlap nothing else.
    unsafe fn forward(&self, args: &mut abi::ForwardArgs) -> Result<(), EngineError>;

    /// Gradients of a loss for every input, from its gradients for the outputs.
    ///
    /// # Errors
    /// [`EngineError`]; no gradient is then defined.
    ///
    /// # Safety
    /// As [`Engine::forward`]; `args.saved` is what `forward` left for the same inputs, its buffers alive
    /// and unchanged.
    unsafe fn backward(&self, args: &mut abi::BackwardArgs) -> Result<(), EngineError>;

    /// Which centres lie in front of the camera (view-space depth over 0.2).
    ///
    /// # Errors
    /// [`EngineError`].
    ///
    /// # Safety
    /// As [`Engine::forward`].
    unsafe fn mark_visible(&self, args: &mut abi::MarkVisibleArgs) -> Result<(), EngineError>;

    /// Makes what [`Workspace`](crate::Workspace) owns; users take that.
    ///
    /// # Errors
    /// [`EngineError`]; [`EngineError::Unsupported`] without [`Features::WORKSPACE`].
    fn workspace_new(&self, device: i32) -> Result<*mut abi::Workspace, EngineError> {
        let _ = device;
        Err(self.lacks("a workspace"))
    }

    /// Frees what [`Engine::workspace_new`] made.
    ///
    /// # Safety
    /// `workspace` is of this engine and not freed yet, or null; no call that used it is under way.
    unsafe fn workspace_free(&self, workspace: *mut abi::Workspace) {
        debug_assert!(workspace.is_null(), "an engine without workspaces was handed one");
    }

    /// What the forward call that left `saved` needed; with `wait` it waits for the device.
    ///
    /// # Errors
    /// [`EngineError`].
    ///
    /// # Safety
    /// `workspace` is of this engine and alive, and `saved` of a call that used it.
    unsafe fn poll(
        &self,
        workspace: *mut abi::Workspace,
        saved: &abi::Saved,
        wait: bool,
    ) -> Result<abi::Progress, EngineError> {
        let _ = (workspace, saved, wait);
        Err(self.lacks("a workspace"))
    }

    /// One Adam step of up to eight parameter tensors.
    ///
    /// # Errors
    /// [`EngineError`]; [`EngineError::Unsupported`] without [`Features::OPTIMIZE`].
    ///
    /// # Safety
    /// As [`Engine::forward`].
    unsafe fn adam(&self, args: &mut abi::AdamArgs) -> Result<(), EngineError> {
        let _ = args;
        Err(self.lacks("an Adam step"))
    }

    /// Structural similarity of two images.
    ///
    /// # Errors
    /// As [`Engine::adam`].
    ///
    /// # Safety
    /// As [`Engine::forward`].
    unsafe fn ssim_forward(&self, args: &mut abi::SsimArgs) -> Result<(), EngineError> {
        let _ = args;
        Err(self.lacks("SSIM"))
    }

    /// Gradient of the similarity for the first image.
    ///
    /// # Errors
    /// As [`Engine::adam`].
    ///
    /// # Safety
    /// As [`Engine::forward`]; `args.partials` is what `ssim_forward` wrote for the same images.
    unsafe fn ssim_backward(&self, args: &mut abi::SsimArgs) -> Result<(), EngineError> {
        let _ = args;
        Err(self.lacks("SSIM"))
    }

    /// The error for something that this engine does not have.
    fn lacks(&self, what: &str) -> EngineError {
        EngineError::Unsupported(format!("engine `{}` has not {what}", self.capabilities().name))
    }
}

/// Whose memory an engine reads and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// Host memory.
    Cpu,
    /// Memory of one CUDA device.
    Cuda,
}

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// `cpu`, `cuda`, `inria`.
    pub name: String,
    /// Version of the engine, or of the sources it was built from.
    pub version: String,
    /// Fingerprint of the build plan that made it; empty when unknown.
    pub fingerprint: String,
    /// ABI version it was built with.
    pub abi: u32,
    /// Whose memory it uses.
    pub device: DeviceKind,
    /// Outputs it can produce; asking for another is an error.
    pub outputs: Outputs,
    /// Further properties.
    pub features: Features,
    /// Largest SH degree it evaluates.
    pub max_sh_degree: u32,
}

/// Bit set of `SPLAT_OUT_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outputs(pub u32);

impl Outputs {
    /// RGB, `[3,H,W]`.
    pub const COLOR: Self = Self(1);
    /// Pixel radii, `[P]`.
    pub const RADII: Self = Self(2);
    /// Blended inverse depth, `[1,H,W]`.
    pub const INV_DEPTH: Self = Self(4);
    /// Blended depth, `[1,H,W]`.
    pub const DEPTH: Self = Self(8);
    /// Accumulated opacity, `[1,H,W]`.
    pub const ALPHA: Self = Self(16);
    /// Blended feature channels, `[F,H,W]`.
    pub const FEATURES: Self = Self(32);

    /// Whether every bit of `other` is set.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Bit set of the engine's properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features(pub u32);

impl Features {
    /// Reads inputs of any strides.
    pub const STRIDED_INPUTS: Self = Self(1);
    /// Bit-identical gradients from run to run, always.
    pub const DETERMINISTIC: Self = Self(2);
    /// Takes [`abi::EXACT`].
    pub const EXACT: Self = Self(4);
    /// Takes [`abi::RAW`].
    pub const RAW: Self = Self(8);
    /// Takes [`abi::REPRODUCIBLE`].
    pub const REPRODUCE: Self = Self(16);
    /// Renders several cameras in a call.
    pub const BATCH: Self = Self(32);
    /// Takes [`abi::ORTHOGRAPHIC`] cameras.
    pub const ORTHOGRAPHIC: Self = Self(64);
    /// Takes the SH in two tensors.
    pub const SPLIT_SH: Self = Self(128);
    /// Gives absolute `means2d` gradients, and those of view and background.
    pub const EXTRA_GRADIENTS: Self = Self(256);
    /// Renders without waiting for the device, by a workspace.
    pub const WORKSPACE: Self = Self(512);
    /// Has Adam and SSIM.
    pub const OPTIMIZE: Self = Self(1024);

    /// The bits of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every bit of `other` is set.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Why a call failed; one variant a status code of the header. The text names the two values that disagree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// A shape, count, pointer or value is wrong.
    #[error("{0}")]
    InvalidArgument(String),
    /// Valid, but not by this engine.
    #[error("{0}")]
    Unsupported(String),
    /// The caller's allocator returned nothing.
    #[error("{0}")]
    OutOfMemory(String),
    /// No usable GPU or driver.
    #[error("{0}")]
    NoDevice(String),
    /// The device failed in the kernel that the text names.
    #[error("{0}")]
    Device(String),
    /// A defect of the engine.
    #[error("{0}")]
    Internal(String),
}

impl EngineError {
    /// The header's code for this error.
    #[must_use]
    pub fn status(&self) -> i32 {
        match self {
            Self::InvalidArgument(_) => abi::INVALID_ARGUMENT,
            Self::Unsupported(_) => abi::UNSUPPORTED,
            Self::OutOfMemory(_) => abi::OUT_OF_MEMORY,
            Self::NoDevice(_) => abi::NO_DEVICE,
            Self::Device(_) => abi::DEVICE_ERROR,
            Self::Internal(_) => abi::INTERNAL,
        }
    }

    /// The error for a status code, `None` for [`abi::OK`].
    #[must_use]
    pub fn from_status(status: i32, message: String) -> Option<Self> {
        Some(match status {
            abi::OK => return None,
            abi::INVALID_ARGUMENT => Self::InvalidArgument(message),
            abi::UNSUPPORTED => Self::Unsupported(message),
            abi::OUT_OF_MEMORY => Self::OutOfMemory(message),
            abi::NO_DEVICE => Self::NoDevice(message),
            abi::DEVICE_ERROR => Self::Device(message),
            _ => Self::Internal(message),
        })
    }
}
