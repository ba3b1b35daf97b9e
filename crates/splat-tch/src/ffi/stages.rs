//! The two stages of a render on tensors: Gaussians to records, records to images, and back. No graph is recorded here.
//!
//! Pointers point into the memory of the tensors' device.
#![expect(unsafe_code, reason = "hands tensors to an engine as pointers")]

use splat_engine::abi;
use tch::Tensor;

use super::call::guarded;
use super::frame::{Frame, address};
use super::scope::Scope;
use crate::input::PerInput;
use crate::stages::{RECORD, RECORD_GRADIENT};
use crate::workspace::counted;
use crate::{Counts, Error, Workspace};

// The tensors of records have a row of floats for each of the header's structs.
const _: () = assert!(size_of::<abi::Record>() == 4 * RECORD as usize);
const _: () = assert!(size_of::<abi::RecordGradient>() == 4 * RECORD_GRADIENT as usize);

/// Records `[C,P,16]`. `lent` is from [`Frame::lend`], `cameras` is `[C,35]`.
pub(crate) fn project(
    frame: &Frame,
    lent: &PerInput<Option<Tensor>>,
    cameras: &Tensor,
) -> Result<Tensor, Error> {
    let structs = frame.structs(lent, cameras);
    let records = frame.empty(&[structs.cameras.len() as i64, frame.count, RECORD])?;
    let scope = Scope::enter(&frame.backend)?;
    let context = scope.context();
    let args = abi::ProjectArgs {
        context: &raw const context,
        camera_count: structs.cameras.len() as u32,
        cameras: structs.cameras.as_ptr(),
        gaussians: &raw const structs.gaussians,
        settings: &raw const structs.settings,
        records: address(&records, cameras),
        ..abi::ProjectArgs::EMPTY
    };
    // SAFETY: the structs are on this stack; every pointer in them is of a tensor on the engine's device whose shape was
    // checked and which lives past the call; the records are fresh.
    let done = guarded(&frame.backend, |engine| unsafe { engine.project(&args) });
    scope.finish(&frame.backend, done)?;
    Ok(records)
}

/// The gradients of the inputs that are `wanted`, from those of the records `[C,P,12]`.
pub(crate) fn project_backward(
    frame: &Frame,
    lent: &PerInput<Option<Tensor>>,
    cameras: &Tensor,
    records: &Tensor,
    upstream: &Tensor,
    wanted: &PerInput<bool>,
) -> Result<PerInput<Option<Tensor>>, Error> {
    let structs = frame.structs(lent, cameras);
    let gradients = frame.gradients(lent, wanted)?;
    let targets = frame.targets(&gradients);
    let scope = Scope::enter(&frame.backend)?;
    let context = scope.context();
    let args = abi::ProjectBackwardArgs {
        context: &raw const context,
        camera_count: structs.cameras.len() as u32,
        cameras: structs.cameras.as_ptr(),
        gaussians: &raw const structs.gaussians,
        settings: &raw const structs.settings,
        records: address(records, cameras),
        record_gradients: address(upstream, cameras),
        gradients: &raw const targets,
        ..abi::ProjectBackwardArgs::EMPTY
    };
    // SAFETY: as in `project`; records and their gradients have the shapes that the caller has checked, and the gradients
    // of the inputs are fresh and have their sizes.
    let done = guarded(&frame.backend, |engine| unsafe { engine.project_backward(&args) });
    scope.finish(&frame.backend, done)?;
    Ok(gradients)
}

/// An image made of records, and what its backward pass needs.
pub(crate) struct Raster {
    /// Of one image, with records instead of Gaussians.
    frame: Frame,
    /// `[N,16]`.
    records: Tensor,
    /// `[3]`.
    background: Tensor,
    /// In the order of the frame's channels.
    pub(crate) outputs: Vec<Tensor>,
    pub(crate) counts: Counts,
    saved: abi::Saved,
    /// Own the memory that `saved` points to.
    _buffers: Vec<Tensor>,
}

impl Raster {
    /// Makes the image; all tensors are contiguous and on the engine's device.
    pub(crate) fn new(
        frame: Frame,
        records: Tensor,
        background: Tensor,
        workspace: Option<&Workspace>,
    ) -> Result<Self, Error> {
        let outputs = frame.channels.iter().map(|c| frame.output(c)).collect::<Result<Vec<_>, _>>()?;
        let mut scope = Scope::enter(&frame.backend)?;
        let mut state = workspace.map(Workspace::lock);
        if let Some(state) = &mut state {
            scope.set_workspace(state.raw.as_ptr());
        }
        let channels = frame.channels(|i| address(&outputs[i], &background), |_| std::ptr::null());
        let settings = settings(&frame, &background);
        let context = scope.context();
        let mut saved = abi::Saved::EMPTY;
        let args = abi::RasterizeArgs {
            context: &raw const context,
            settings: &raw const settings,
            channel_count: channels.len() as u32,
            channels: channels.as_ptr(),
            saved: &raw mut saved,
            ..images(&frame, &records, &background)
        };
        // SAFETY: the structs are on this stack; every pointer in them is of a tensor on the engine's device of a shape
        // that the frame states and which lives past the call; outputs are fresh; the workspace is of this engine, locked.
        let done = guarded(&frame.backend, |engine| unsafe { engine.rasterize(&args) });
        let counts = counted(&saved, done.is_ok(), state);
        let buffers = scope.finish(&frame.backend, done)?;
        Ok(Self { frame, records, background, outputs, counts, saved, _buffers: buffers })
    }

    /// The channels' numbers in the header.
    pub(crate) fn sources(&self) -> impl Iterator<Item = u32> {
        self.frame.channels.iter().map(|channel| channel.source)
    }

    /// Gradients of the records, `[N,12]`. `upstream` gives the gradient of the channel with a number of the header; it is
    /// contiguous and has the channel's shape.
    pub(crate) fn backward(
        &self,
        upstream: impl Fn(u32) -> Option<Tensor>,
        absolute: bool,
    ) -> Result<Tensor, Error> {
        let frame = &self.frame;
        let gradients = frame.empty(&[frame.count, RECORD_GRADIENT])?;
        let given: Vec<Option<Tensor>> = self.sources().map(upstream).collect();
        let of = |i: usize| match &given[i] {
            Some(gradient) => gradient.data_ptr().cast_const().cast(),
            None => std::ptr::null(),
        };
        let channels = frame.channels(|_| std::ptr::null_mut(), of);
        let settings = settings(frame, &self.background);
        let scope = Scope::enter(&frame.backend)?;
        let context = scope.context();
        let mut saved = self.saved;
        let args = abi::RasterizeArgs {
            context: &raw const context,
            settings: &raw const settings,
            channel_count: channels.len() as u32,
            channels: channels.as_ptr(),
            absolute: u32::from(absolute),
            saved: &raw mut saved,
            record_gradients: address(&gradients, &self.background),
            ..images(frame, &self.records, &self.background)
        };
        // SAFETY: as in `new`; the buffers that `saved` points to are alive and unchanged.
        let done = guarded(&frame.backend, |engine| unsafe { engine.rasterize_backward(&args) });
        scope.finish(&frame.backend, done)?;
        Ok(gradients)
    }
}

/// What both passes over records read, without context, settings, channels and what was saved.
fn images(frame: &Frame, records: &Tensor, some: &Tensor) -> abi::RasterizeArgs {
    abi::RasterizeArgs {
        image_count: 1,
        width: frame.width,
        height: frame.height,
        count: frame.count,
        records: address(records, some),
        ..abi::RasterizeArgs::EMPTY
    }
}

fn settings(frame: &Frame, background: &Tensor) -> abi::Settings {
    abi::Settings {
        flags: frame.flags,
        background: background.data_ptr().cast_const().cast(),
        scale_modifier: frame.scale_modifier,
        ..abi::Settings::EMPTY
    }
}
