//! Safe calls of an engine whose memory is the host's: slices in, vectors out.
//!
//! For tests, verification and programs without torch. Shapes and units are those of `splat_engine.h`.
//! An engine on a GPU is refused: its pointers would be device memory.

mod arena;
mod backward;
mod forward;
mod inputs;

use std::ptr::null_mut;

use splat_core::{Camera, Channel, Scene, Settings};
use splat_engine::{Capabilities, Channels, DeviceKind, Engine, EngineError, Workspace, abi};

use self::arena::{Arena, alloc};
use self::inputs::{camera_of, gaussians_of, settings_of};
use crate::invalid;

pub use backward::{backward, backward_batch};
pub use forward::{Rendered, forward, forward_batch};

/// The image channels that the engine has and that are not empty, with their planes.
fn images(capabilities: &Capabilities, features: usize) -> impl Iterator<Item = (Channel, usize)> {
    let has = capabilities.channels;
    let channels = Channel::ALL.into_iter().filter(move |c| has.contains(Channels::of(*c as u32)));
    channels.filter_map(move |c| c.planes(features).filter(|planes| *planes > 0).map(|planes| (c, planes)))
}

/// What forward and backward share.
struct Inputs {
    cameras: Vec<abi::Camera>,
    gaussians: abi::Gaussians,
    settings: abi::Settings,
}

impl Inputs {
    fn new(scene: &Scene, cameras: &[Camera], settings: &Settings) -> Result<Self, EngineError> {
        Ok(Self {
            cameras: cameras.iter().map(camera_of).collect::<Result<_, _>>()?,
            gaussians: gaussians_of(scene)?,
            settings: settings_of(settings),
        })
    }
}

/// Pixels of each image.
fn pixels(cameras: &[Camera]) -> Result<usize, EngineError> {
    let Some(first) = cameras.first() else {
        return invalid(format!("no camera is given, but a call needs 1 to {}", abi::MAX_CAMERAS));
    };
    if let Some(other) = cameras.iter().find(|c| (c.width, c.height) != (first.width, first.height)) {
        return invalid(format!(
            "a camera has {}x{} pixels, but the first has {}x{}",
            other.width, other.height, first.width, first.height
        ));
    }
    Ok(first.width as usize * first.height as usize)
}

fn host_only(engine: &dyn Engine) -> Result<&Capabilities, EngineError> {
    let capabilities = engine.capabilities();
    match capabilities.device {
        DeviceKind::Cpu => Ok(capabilities),
        DeviceKind::Cuda => Err(EngineError::Unsupported(format!(
            "engine `{}` reads device memory, but this call has host memory",
            capabilities.name
        ))),
    }
}

fn context(arena: &mut Arena, workspace: Option<&mut Workspace>) -> abi::Context {
    abi::Context {
        device: -1,
        workspace: workspace.map_or(null_mut(), Workspace::as_ptr),
        alloc: Some(alloc),
        user: std::ptr::from_mut(arena).cast(),
        ..abi::Context::EMPTY
    }
}
