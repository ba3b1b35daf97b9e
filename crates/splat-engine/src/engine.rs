//! The trait that every engine meets.
#![expect(unsafe_code, reason = "the trait's calls take raw pointers")]

use std::sync::Arc;

use crate::abi;
use crate::{Capabilities, DeviceInfo, EngineError};

/// An engine that several threads and autograd graphs may hold.
pub type SharedEngine = Arc<dyn Engine>;

/// Functions that take one struct and that an engine may lack.
macro_rules! optional {
    ($($(#[$doc:meta])* $function:ident($args:ident): $what:literal;)*) => {$(
        $(#[$doc])*
        unsafe fn $function(&self, args: &abi::$args) -> Result<(), EngineError> {
            let _ = args;
            Err(self.unsupported($what))
        }
    )*};
}

/// A differentiable rasterizer behind the structs of `splat_engine.h`.
///
/// The calls take raw pointers, hence `unsafe`. Code that wraps them (`splat-tch` for tensors, `splat_cpu::host` for
/// slices) checks shapes and keeps the memory alive, so that its users need no `unsafe`. Engines in C, C++ or another
/// library are [`TableEngine`](crate::TableEngine)s; implement the trait yourself for an engine in Rust or to wrap one.
///
/// Functions with a default body are those that an engine may lack: they return [`EngineError::Unsupported`].
pub trait Engine: Send + Sync + std::fmt::Debug {
    /// Name, device, channels and abilities. Never fails and touches no device.
    fn capabilities(&self) -> &Capabilities;

    /// Whether `device` (a CUDA ordinal; ignored by a CPU engine) can be used in this process.
    ///
    /// # Errors
    /// [`EngineError::NoDevice`] with the driver's reason.
    fn device_ready(&self, device: i32) -> Result<(), EngineError>;

    /// Properties of `device` (a CUDA ordinal; ignored by a CPU engine).
    ///
    /// # Errors
    /// [`EngineError::NoDevice`] if it cannot be used.
    fn device(&self, device: i32) -> Result<DeviceInfo, EngineError> {
        let _ = device;
        Err(self.unsupported("properties of its devices"))
    }

    /// Renders. The header describes every member.
    ///
    /// # Errors
    /// [`EngineError`]; the outputs are then undefined.
    ///
    /// # Safety
    /// Every non-null pointer in `args` and in the structs that it points to is valid for the extent that the header
    /// states, in this engine's memory, for the duration of the call (on a stream: until the stream has passed it).
    /// Outputs overlap nothing else.
    unsafe fn forward(&self, args: &abi::ForwardArgs) -> Result<(), EngineError>;

    /// Gradients of a loss with respect to every input, from its gradients with respect to the channels.
    ///
    /// # Errors
    /// [`EngineError`]; the gradients are then undefined.
    ///
    /// # Safety
    /// As [`Engine::forward`]; `args.saved` is what `forward` left for the same inputs, its buffers alive and
    /// unchanged.
    unsafe fn backward(&self, args: &abi::BackwardArgs) -> Result<(), EngineError>;

    /// Marks the Gaussians whose centre lies in front of the camera (view-space depth over 0.2).
    ///
    /// # Errors
    /// [`EngineError`].
    ///
    /// # Safety
    /// As [`Engine::forward`].
    unsafe fn mark_visible(&self, args: &abi::MarkVisibleArgs) -> Result<(), EngineError>;

    optional! {
        /// First stage: a record of every Gaussian as every camera sees it.
        ///
        /// # Errors
        /// [`EngineError`]; [`EngineError::Unsupported`] without [`Abilities::STAGES`](crate::Abilities::STAGES).
        ///
        /// # Safety
        /// As [`Engine::forward`].
        project(ProjectArgs): "rendering in stages";

        /// Second stage: images from records.
        ///
        /// # Errors
        /// As [`Engine::project`].
        ///
        /// # Safety
        /// As [`Engine::forward`].
        rasterize(RasterizeArgs): "rendering in stages";

        /// Backward pass of the second stage: gradients with respect to the records.
        ///
        /// # Errors
        /// As [`Engine::project`].
        ///
        /// # Safety
        /// As [`Engine::backward`], for what `rasterize` left.
        rasterize_backward(RasterizeArgs): "rendering in stages";

        /// Backward pass of the first stage: from gradients of records to gradients of Gaussians.
        ///
        /// # Errors
        /// As [`Engine::project`].
        ///
        /// # Safety
        /// As [`Engine::forward`]; the records are what `project` wrote for the same inputs.
        project_backward(ProjectBackwardArgs): "rendering in stages";
    }

    /// Creates what a [`Workspace`](crate::Workspace) owns; use that instead.
    ///
    /// # Errors
    /// [`EngineError`]; [`EngineError::Unsupported`] without [`Abilities::WORKSPACE`](crate::Abilities::WORKSPACE).
    fn workspace_new(&self, device: i32) -> Result<*mut abi::Workspace, EngineError> {
        let _ = device;
        Err(self.unsupported("workspaces"))
    }

    /// Waits for the calls that used `workspace` and frees it.
    ///
    /// # Safety
    /// `workspace` came from [`Engine::workspace_new`] of this engine and is not freed yet, or is null.
    unsafe fn workspace_free(&self, workspace: *mut abi::Workspace) {
        debug_assert!(workspace.is_null(), "an engine without workspaces was given one");
    }

    /// What the forward call that left `saved` needed. With `wait` it waits for the device.
    ///
    /// # Errors
    /// [`EngineError::InvalidArgument`] for a call that did not use this workspace; the device's error.
    ///
    /// # Safety
    /// `workspace` is alive and of this engine, and `saved` is of a call that used it.
    unsafe fn poll(
        &self,
        workspace: *mut abi::Workspace,
        saved: &abi::Saved,
        wait: bool,
    ) -> Result<abi::Progress, EngineError> {
        let _ = (workspace, saved, wait);
        Err(self.unsupported("workspaces"))
    }

    optional! {
        /// One Adam step of up to [`abi::MAX_ADAM_GROUPS`] parameter tensors.
        ///
        /// # Errors
        /// [`EngineError`]; [`EngineError::Unsupported`] if [`Capabilities::optimize`] is false.
        ///
        /// # Safety
        /// As [`Engine::forward`].
        adam(AdamArgs): "Adam";

        /// A backward pass that ends in an Adam step of the parameters.
        ///
        /// # Errors
        /// [`EngineError`]; [`EngineError::Unsupported`] without [`Abilities::STEP`](crate::Abilities::STEP).
        ///
        /// # Safety
        /// As [`Engine::backward`] or [`Engine::project_backward`], whichever is given; the groups' memory has the sizes that
        /// their storage needs and no other use during the call, but for the inputs' own.
        backward_step(StepArgs): "a backward pass that ends in Adam";

        /// Structural similarity of two images.
        ///
        /// # Errors
        /// [`EngineError`]; [`EngineError::Unsupported`] if [`Capabilities::image`] is false.
        ///
        /// # Safety
        /// As [`Engine::forward`].
        ssim(SsimArgs): "SSIM";

        /// Gradient of the similarity with respect to the first image.
        ///
        /// # Errors
        /// As [`Engine::ssim`].
        ///
        /// # Safety
        /// As [`Engine::forward`]; `args.partials` is what [`Engine::ssim`] wrote for the same images.
        ssim_backward(SsimArgs): "SSIM";

        /// The photometric loss `(1 - l) mean |image - target| + l (1 - mean SSIM)`.
        ///
        /// # Errors
        /// As [`Engine::ssim`].
        ///
        /// # Safety
        /// As [`Engine::forward`].
        photometric(PhotometricArgs): "the photometric loss";

        /// Gradient of the photometric loss with respect to the first image.
        ///
        /// # Errors
        /// As [`Engine::ssim`].
        ///
        /// # Safety
        /// As [`Engine::forward`]; `args.partials` is what [`Engine::photometric`] wrote for the same images.
        photometric_backward(PhotometricArgs): "the photometric loss";
    }

    /// The error for something that this engine does not have.
    fn unsupported(&self, what: &str) -> EngineError {
        EngineError::Unsupported(format!("engine `{}` does not offer {what}", self.capabilities().name))
    }
}
