//! Whole renders: every camera's image and its gradients through splat-core, one camera after the other.
#![expect(unsafe_code, reason = "reads and writes through the ABI's pointers")]

use splat_core as core;
use splat_engine::{EngineError, abi};

use crate::call::Call;
use crate::channels::Channels;
use crate::memory::{extent, gather, matrix, required, slice, write};
use crate::saved::{Kept, leave};
use crate::{invalid, refused};

/// # Safety
/// As [`splat_engine::Engine::forward`].
pub(crate) unsafe fn forward(args: &abi::ForwardArgs) -> Result<(), EngineError> {
    // SAFETY: the caller of `forward` vouches for every pointer in `args`.
    let (context, call) = unsafe {
        let gaussians = abi::read(args.gaussians, "gaussians")?;
        let call = Call::read(args.cameras, args.camera_count, &gaussians, args.settings)?;
        (abi::read(args.context, "context")?, call)
    };
    // SAFETY: as above.
    let channels = unsafe { Channels::read(args.channels, args.channel_count, call.extent())? };
    if call.count > 0 {
        required("radii", args.radii)?;
    }
    required("saved", args.saved)?;
    let scene = call.scene();
    let mut parts = Vec::with_capacity(call.cameras.len());
    let mut rejected = 0;
    for (i, camera) in call.cameras.iter().enumerate() {
        // SAFETY: images and outputs have a part per camera, by the contract of `forward`.
        unsafe {
            let wanted = channels.wanted(i)?;
            let tuning = core::Tuning::default();
            let out =
                core::forward_with(&scene, camera, &call.settings, &wanted, &tuning).map_err(refused)?;
            channels.write(i, &out.outputs);
            write(args.radii, i, &out.radii);
            rejected = out.rejected;
            parts.push(out.saved);
        }
    }
    // SAFETY: by the contract of `forward`.
    unsafe { leave(&parts, rejected, call.flags, &context, args.saved) }
}

/// # Safety
/// As [`splat_engine::Engine::backward`].
pub(crate) unsafe fn backward(args: &abi::BackwardArgs) -> Result<(), EngineError> {
    // SAFETY: forwarded from the caller.
    unsafe {
        total(args)?.write();
    }
    Ok(())
}

/// The backward pass without its last part: the sums over the cameras are not written yet.
///
/// # Safety
/// As [`splat_engine::Engine::backward`].
pub(crate) unsafe fn total(args: &abi::BackwardArgs) -> Result<Total, EngineError> {
    // SAFETY: the caller of `backward` vouches for every pointer in `args`.
    let (call, gradients) = unsafe {
        abi::read(args.context, "context")?;
        let gaussians = abi::read(args.gaussians, "gaussians")?;
        let call = Call::read(args.cameras, args.camera_count, &gaussians, args.settings)?;
        (call, abi::read(args.gradients, "gradients")?)
    };
    let count = call.count;
    if count > 0 {
        required("radii", args.radii)?;
    }
    // SAFETY: as above.
    let (channels, kept) = unsafe {
        let channels = Channels::read(args.channels, args.channel_count, call.extent())?;
        (channels, Kept::read(args.saved, call.cameras.len(), call.size())?)
    };
    let mut total = Total::new(gradients, &call);
    for (i, (camera, saved)) in call.cameras.iter().zip(kept).enumerate() {
        // SAFETY: radii have P numbers per camera, and gradients a part per camera.
        let (radii, upstream) = unsafe {
            let upstream = channels.upstream(i, !gradients.means2d_abs.is_null())?;
            (slice(args.radii.wrapping_add(i * count), count), upstream)
        };
        total.see(radii.iter().copied());
        let out = core::backward(&call.scene(), camera, &call.settings, saved, radii, &upstream)
            .map_err(refused)?;
        // SAFETY: gradients have the shapes that the header states.
        unsafe { total.add(i, out) };
    }
    // SAFETY: as above.
    unsafe {
        write(gradients.features, 0, &total.sum.features);
        write(gradients.background, 0, &total.sum.background);
    }
    Ok(total)
}

/// Gradients of all cameras of a call on their way to the caller.
pub(crate) struct Total {
    pub(crate) to: abi::Gradients,
    pub(crate) sum: core::Gradients,
    /// Numbers of a row of `sh` and of `sh_rest`.
    pub(crate) sh_widths: [usize; 2],
    /// Whether values are raw.
    pub(crate) raw: bool,
    /// `[P]`: the largest radius of each row over the cameras.
    pub(crate) radii: Vec<i32>,
}

impl Total {
    pub(crate) fn new(to: abi::Gradients, call: &Call<'_>) -> Self {
        Self {
            to,
            sum: core::Gradients::default(),
            sh_widths: call.sh_widths(),
            raw: call.settings.values == core::Values::Raw,
            radii: vec![0; call.count],
        }
    }

    /// Takes note of the radii of a camera.
    pub(crate) fn see(&mut self, radii: impl Iterator<Item = i32>) {
        for (most, radius) in self.radii.iter_mut().zip(radii) {
            *most = radius.max(*most);
        }
    }

    /// Writes what belongs to camera `i` alone and adds the rest.
    ///
    /// # Safety
    /// The gradients that are wanted have the shapes that the header states.
    pub(crate) unsafe fn add(&mut self, i: usize, out: core::Gradients) {
        // SAFETY: these three have a part per camera.
        unsafe {
            write(self.to.means2d, i, &out.means2d);
            write(self.to.means2d_abs, i, &out.means2d_abs);
            write(self.to.view, i, &out.view);
        }
        if i == 0 {
            self.sum = out;
        } else {
            self.sum.add_camera(&out);
        }
    }

    /// Writes the sums over the cameras, without those of features and background.
    ///
    /// # Safety
    /// As [`Total::add`].
    pub(crate) unsafe fn write(&self) {
        let (to, sum) = (&self.to, &self.sum);
        // SAFETY: gradients have the shapes of their inputs.
        unsafe {
            write(to.means3d, 0, &sum.means3d);
            write(to.opacities, 0, &sum.opacities);
            write(to.sh, 0, &sum.sh);
            write(to.sh_rest, 0, &sum.sh_rest);
            write(to.colors, 0, &sum.colors);
            write(to.scales, 0, &sum.scales);
            write(to.rotations, 0, &sum.rotations);
            write(to.cov3d, 0, &sum.cov3d);
        }
    }
}

/// # Safety
/// As [`splat_engine::Engine::mark_visible`].
pub(crate) unsafe fn mark_visible(args: &abi::MarkVisibleArgs) -> Result<(), EngineError> {
    let count = extent("count", args.count)?;
    // SAFETY: the caller of `mark_visible` vouches for the pointers in `args`.
    let (means, view) = unsafe {
        abi::read(args.context, "context")?;
        (gather("means3d", &args.means3d, &[args.count, 3])?, matrix::<16>("view", args.view)?)
    };
    if count == 0 {
        return Ok(());
    }
    required("visible", args.visible)?;
    let marks: Vec<u8> =
        core::mark_visible(&means, &view).map_err(refused)?.into_iter().map(u8::from).collect();
    if marks.len() != count {
        return invalid(format!("`means3d` gave {} marks for {count} Gaussians", marks.len()));
    }
    // SAFETY: `visible` has P bytes.
    unsafe { write(args.visible, 0, &marks) };
    Ok(())
}
