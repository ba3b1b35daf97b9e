//! Rendering in stages: Gaussians to records, records to images, and the backward pass of each.
#![expect(unsafe_code, reason = "reads and writes through the ABI's pointers")]

use std::borrow::Cow;

use splat_core as core;
use splat_core::{FeatureChannels, Record, Tuning};
use splat_engine::EngineError;
use splat_engine::abi::{self, In};

use crate::call::{Call, feature_count, image_count, image_size, read_settings};
use crate::channels::{Channels, Extent};
use crate::memory::{extent, gather, required, slice, write};
use crate::raster::Total;
use crate::saved::{Kept, leave};
use crate::{invalid, refused};

/// Gradients at this border; inside the core they are f64.
type RecordGradient = core::RecordGradient<f32>;

// The header's records are the core's.
const _: () = assert!(
    size_of::<Record>() == size_of::<abi::Record>() && align_of::<Record>() == align_of::<abi::Record>()
);
const _: () = assert!(
    size_of::<RecordGradient>() == size_of::<abi::RecordGradient>()
        && align_of::<RecordGradient>() == align_of::<abi::RecordGradient>()
);

/// # Safety
/// As [`splat_engine::Engine::project`].
pub(crate) unsafe fn project(args: &abi::ProjectArgs) -> Result<(), EngineError> {
    // SAFETY: the caller of `project` vouches for every pointer in `args`.
    let call = unsafe {
        abi::read(args.context, "context")?;
        let gaussians = without_features(args.gaussians)?;
        Call::read(args.cameras, args.camera_count, &gaussians, args.settings)?
    };
    if call.count > 0 {
        required("records", args.records)?;
    }
    for (i, camera) in call.cameras.iter().enumerate() {
        let out =
            core::project(&call.scene(), camera, &call.settings, &Tuning::default()).map_err(refused)?;
        // SAFETY: P records per camera, of the layout asserted above.
        unsafe { write(args.records.cast::<Record>(), i, &out.records) };
    }
    Ok(())
}

/// # Safety
/// As [`splat_engine::Engine::project_backward`].
pub(crate) unsafe fn project_backward(args: &abi::ProjectBackwardArgs) -> Result<(), EngineError> {
    // SAFETY: forwarded from the caller.
    unsafe {
        project_total(args)?.write();
    }
    Ok(())
}

/// The backward pass without its last part: the sums over the cameras are not written yet.
///
/// # Safety
/// As [`splat_engine::Engine::project_backward`].
pub(crate) unsafe fn project_total(args: &abi::ProjectBackwardArgs) -> Result<Total, EngineError> {
    // SAFETY: the caller of `project_backward` vouches for every pointer in `args`.
    let (call, gradients) = unsafe {
        abi::read(args.context, "context")?;
        let gaussians = without_features(args.gaussians)?;
        let call = Call::read(args.cameras, args.camera_count, &gaussians, args.settings)?;
        (call, abi::read(args.gradients, "gradients")?)
    };
    if !gradients.features.is_null() || !gradients.background.is_null() {
        return invalid(
            "`gradients.features` and `gradients.background` must be NULL: rasterize_backward gives them"
                .into(),
        );
    }
    let count = call.count;
    if count > 0 {
        required("records", args.records)?;
        required("record_gradients", args.record_gradients)?;
    }
    let mut total = Total::new(gradients, &call);
    for (i, camera) in call.cameras.iter().enumerate() {
        // SAFETY: P records and gradients per camera, of the layouts asserted above.
        let (records, upstream) = unsafe {
            let upstream = args.record_gradients.cast::<RecordGradient>().wrapping_add(i * count);
            (slice(args.records.cast::<Record>().wrapping_add(i * count), count), slice(upstream, count))
        };
        total.see(records.iter().map(|record| record.radius));
        let upstream: Vec<core::RecordGradient> = upstream.iter().map(|g| g.cast()).collect();
        let tuning = Tuning::default();
        let out = core::project_backward(&call.scene(), camera, &call.settings, records, &upstream, &tuning)
            .map_err(refused)?;
        // SAFETY: gradients have the shapes that the header states.
        unsafe { total.add(i, out) };
    }
    Ok(total)
}

/// Gaussians whose features are left unread: rasterization blends those.
///
/// # Safety
/// As for [`abi::read`].
unsafe fn without_features(gaussians: *const abi::Gaussians) -> Result<abi::Gaussians, EngineError> {
    // SAFETY: forwarded from the caller.
    let gaussians = unsafe { abi::read(gaussians, "gaussians")? };
    Ok(abi::Gaussians { feature_count: 0, features: In::EMPTY, ..gaussians })
}

/// What both passes over records read.
struct Images<'a> {
    args: &'a abi::RasterizeArgs,
    context: abi::Context,
    settings: core::Settings,
    flags: u32,
    channels: Channels,
    images: usize,
    size: [u32; 2],
    count: usize,
    features: usize,
}

impl<'a> Images<'a> {
    /// # Safety
    /// As [`splat_engine::Engine::rasterize`].
    unsafe fn read(args: &'a abi::RasterizeArgs) -> Result<Self, EngineError> {
        let images = image_count("image_count", args.image_count)?;
        let size = image_size(args.width, args.height)?;
        let (count, features) = (extent("count", args.count)?, feature_count(args.feature_count)?);
        if count > 0 {
            required("records", args.records)?;
        }
        let extent = Extent { pixels: size[0] as usize * size[1] as usize, count, features };
        // SAFETY: the caller vouches for every pointer in `args`.
        unsafe {
            let context = abi::read(args.context, "context")?;
            let (settings, flags) = read_settings(args.settings)?;
            let channels = Channels::read(args.channels, args.channel_count, extent)?;
            Ok(Self { args, context, settings, flags, channels, images, size, count, features })
        }
    }

    /// Records and `[N,F]` features of image `i`.
    ///
    /// # Safety
    /// As [`Images::read`].
    unsafe fn of(&self, i: usize) -> Result<(&'a [Record], Cow<'a, [f32]>), EngineError> {
        let [image, row, column] = self.args.features.stride;
        let data = self.args.features.data.wrapping_offset(i as isize * image as isize);
        let shape = [self.count as i64, self.features as i64];
        // SAFETY: N records and features per image, as the caller guarantees.
        unsafe {
            let records = self.args.records.cast::<Record>().wrapping_add(i * self.count);
            let features = gather("features", &In { data, stride: [row, column, 0] }, &shape)?;
            Ok((slice(records, self.count), features))
        }
    }
}

/// # Safety
/// As [`splat_engine::Engine::rasterize`].
pub(crate) unsafe fn rasterize(args: &abi::RasterizeArgs) -> Result<(), EngineError> {
    // SAFETY: forwarded from the caller.
    let call = unsafe { Images::read(args)? };
    required("saved", args.saved)?;
    let (mut parts, mut rejected) = (Vec::with_capacity(call.images), 0);
    for i in 0..call.images {
        // SAFETY: inputs, images and outputs have a part per image, by the contract of `rasterize`.
        unsafe {
            let (records, values) = call.of(i)?;
            let features = FeatureChannels { values: &values, count: call.features };
            let wanted = call.channels.wanted(i)?;
            let tuning = Tuning::default();
            let out = core::rasterize(records, features, call.size, &call.settings, &wanted, &tuning)
                .map_err(refused)?;
            call.channels.write(i, &out.outputs);
            rejected += out.rejected;
            parts.push(out.saved);
        }
    }
    // SAFETY: by the contract of `rasterize`.
    unsafe { leave(&parts, rejected, call.flags, &call.context, args.saved) }
}

/// # Safety
/// As [`splat_engine::Engine::rasterize_backward`].
pub(crate) unsafe fn rasterize_backward(args: &abi::RasterizeArgs) -> Result<(), EngineError> {
    // SAFETY: forwarded from the caller.
    let (call, kept) = unsafe {
        let call = Images::read(args)?;
        let kept = Kept::read(args.saved, call.images, call.size)?;
        (call, kept)
    };
    let mut background = [0.0; 3];
    for (i, saved) in kept.enumerate() {
        // SAFETY: inputs and gradients have a part per image, by the contract of `rasterize_backward`.
        unsafe {
            let (records, values) = call.of(i)?;
            let features = FeatureChannels { values: &values, count: call.features };
            let upstream = call.channels.upstream(i, args.absolute != 0)?;
            let tuning = Tuning::default();
            let (size, settings) = (call.size, &call.settings);
            let out = core::rasterize_backward(records, features, size, settings, saved, &upstream, &tuning)
                .map_err(refused)?;
            let narrow: Vec<RecordGradient> = out.records.into_iter().map(|g| g.cast()).collect();
            write(args.record_gradients.cast::<RecordGradient>(), i, &narrow);
            write(args.feature_gradients, i, &out.features);
            for (sum, one) in background.iter_mut().zip(out.background) {
                *sum += one;
            }
        }
    }
    // SAFETY: three numbers, by the contract of `rasterize_backward`.
    unsafe { write(args.background_gradient, 0, &background) };
    Ok(())
}
