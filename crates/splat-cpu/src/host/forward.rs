//! Renders, and what they give.
#![expect(unsafe_code, reason = "hands slices to an engine as pointers")]

use splat_core::{Camera, Channel, Scene, Settings};
use splat_engine::{Engine, EngineError, Workspace, abi};

use super::arena::Arena;
use super::{Inputs, context, host_only, images, pixels};

/// Images and radii of one call, and what [`backward`](super::backward()) needs. Every output begins with the dimension of the `C`
/// cameras, of which [`forward`] has one.
#[derive(Debug)]
pub struct Rendered {
    /// `[C,3,H,W]` RGB.
    pub color: Vec<f32>,
    /// `[C,P]` 3-sigma radii in pixels, 0 where not visible.
    pub radii: Vec<i32>,
    /// `[C,1,H,W]` blended inverse depth.
    pub inv_depth: Vec<f32>,
    /// `[C,1,H,W]` blended depth, if the engine has it.
    pub depth: Option<Vec<f32>>,
    /// `[C,1,H,W]` accumulated opacity, if the engine has it.
    pub alpha: Option<Vec<f32>>,
    /// `[C,F,H,W]` blended features, if there are any and the engine has them.
    pub features: Option<Vec<f32>>,
    pub(super) saved: abi::Saved,
    // `saved` points into it.
    _memory: Arena,
}

impl Rendered {
    /// Gaussian-tile intersections that were blended, of all cameras.
    #[must_use]
    pub fn pairs(&self) -> i64 {
        self.saved.rendered
    }

    /// Gaussians left out because a number of theirs is not finite.
    #[must_use]
    pub fn rejected(&self) -> i64 {
        self.saved.rejected
    }

    /// What the call left, for [`Workspace::poll`].
    #[must_use]
    pub fn saved(&self) -> &abi::Saved {
        &self.saved
    }
}

/// Renders `scene` with every image channel that `engine` has.
///
/// # Errors
/// The engine's [`EngineError`]; [`EngineError::Unsupported`] for an engine on a GPU.
pub fn forward(
    engine: &dyn Engine,
    scene: &Scene,
    camera: &Camera,
    settings: &Settings,
) -> Result<Rendered, EngineError> {
    forward_batch(engine, scene, std::slice::from_ref(camera), settings, None)
}

/// [`forward`] for several cameras of one size, and with a workspace.
///
/// # Errors
/// As [`forward`].
pub fn forward_batch(
    engine: &dyn Engine,
    scene: &Scene,
    cameras: &[Camera],
    settings: &Settings,
    workspace: Option<&mut Workspace>,
) -> Result<Rendered, EngineError> {
    let capabilities = host_only(engine)?;
    let (pixels, features) = (pixels(cameras)?, scene.features.count);
    let mut outputs: Vec<(Channel, Vec<f32>)> = images(capabilities, features)
        .map(|(channel, planes)| (channel, vec![f32::NAN; planes * cameras.len() * pixels]))
        .collect();
    let list = outputs.iter_mut().map(|(channel, data)| abi::Channel {
        source: *channel as u32,
        data: data.as_mut_ptr(),
        ..abi::Channel::EMPTY
    });
    let list: Vec<_> = list.collect();
    let mut radii = vec![-1; cameras.len() * scene.len()];
    let mut saved = abi::Saved::EMPTY;
    let mut memory = Arena::default();
    let call = Inputs::new(scene, cameras, settings)?;
    let context = context(&mut memory, workspace);
    let args = abi::ForwardArgs {
        camera_count: call.cameras.len() as u32,
        channel_count: list.len() as u32,
        context: &raw const context,
        cameras: call.cameras.as_ptr(),
        gaussians: &raw const call.gaussians,
        settings: &raw const call.settings,
        channels: list.as_ptr(),
        radii: radii.as_mut_ptr(),
        saved: &raw mut saved,
        ..abi::ForwardArgs::EMPTY
    };
    // SAFETY: inputs were measured by `Inputs::new`, outputs are sized above, the arena outlives the call.
    unsafe { engine.forward(&args)? };
    let mut take = |channel| {
        let at = outputs.iter().position(|(c, _)| *c == channel);
        at.map(|at| outputs.swap_remove(at).1)
    };
    Ok(Rendered {
        color: take(Channel::Color).unwrap_or_default(),
        inv_depth: take(Channel::InvDepth).unwrap_or_default(),
        depth: take(Channel::Depth),
        alpha: take(Channel::Alpha),
        features: take(Channel::Features),
        radii,
        saved,
        _memory: memory,
    })
}
