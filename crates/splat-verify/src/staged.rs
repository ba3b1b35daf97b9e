//! An engine whose whole calls are made of its stages: `forward` projects and rasterizes, `backward` goes back through both.
//!
//! So the stages are tried by everything that tries the whole calls. Records and their gradients are tensors of the
//! engine's device; nothing is copied to the host. For tests and verification: it keeps the records of the latest forward
//! call for each `radii` pointer.
#![expect(unsafe_code, reason = "passes the caller's pointers on, and tensors' memory as records")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use splat_engine::{Capabilities, DeviceInfo, Engine, EngineError, SharedEngine, abi};
use tch::{Device, Kind, Tensor};

/// Numbers (4 bytes each) of a record and of its gradient.
const RECORD: i64 = (size_of::<abi::Record>() / 4) as i64;
const GRADIENT: i64 = (size_of::<abi::RecordGradient>() / 4) as i64;
/// Which number of a record its radius is.
const RADIUS: i64 = (std::mem::offset_of!(abi::Record, radius) / 4) as i64;

#[derive(Debug)]
struct Staged {
    inner: SharedEngine,
    /// By the address of `radii`, which both calls get.
    records: Mutex<BTreeMap<usize, Tensor>>,
}

/// `inner` by its stages.
#[must_use]
pub fn staged(inner: SharedEngine) -> SharedEngine {
    Arc::new(Staged { inner, records: Mutex::default() })
}

fn device_of(context: *const abi::Context) -> Device {
    // SAFETY: the caller of an engine gives a context that is valid for the call.
    match unsafe { (*context).device } {
        -1 => Device::Cpu,
        ordinal => Device::Cuda(ordinal as usize),
    }
}

fn torch(error: tch::TchError) -> EngineError {
    EngineError::Internal(format!("torch: {error}"))
}

impl Engine for Staged {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn device_ready(&self, device: i32) -> Result<(), EngineError> {
        self.inner.device_ready(device)
    }

    fn device(&self, device: i32) -> Result<DeviceInfo, EngineError> {
        self.inner.device(device)
    }

    unsafe fn forward(&self, args: &abi::ForwardArgs) -> Result<(), EngineError> {
        // SAFETY: the caller's pointers are valid for this call.
        let (camera, gaussians) = unsafe { (&*args.cameras, &*args.gaussians) };
        let (images, count) = (i64::from(args.camera_count), gaussians.count);
        let device = device_of(args.context);
        let records = Tensor::f_zeros([images, count, RECORD], (Kind::Int, device)).map_err(torch)?;
        let project = abi::ProjectArgs {
            camera_count: args.camera_count,
            context: args.context,
            cameras: args.cameras,
            gaussians: args.gaussians,
            settings: args.settings,
            records: records.data_ptr().cast(),
            ..abi::ProjectArgs::EMPTY
        };
        // SAFETY: the caller's inputs, and memory for C * P records.
        unsafe { self.inner.project(&project)? };
        if count > 0 {
            let shape = [images, count];
            // SAFETY: the caller's `radii` is [C,P] int32, contiguous, on this device, and outlives the copy's queueing.
            let mut radii = unsafe {
                Tensor::from_blob(
                    args.radii.cast::<u8>().cast_const(),
                    &shape,
                    &[count, 1],
                    Kind::Int,
                    device,
                )
            };
            radii.f_copy_(&records.select(2, RADIUS)).map_err(torch)?;
        }
        let rasterize = abi::RasterizeArgs {
            image_count: args.camera_count,
            channel_count: args.channel_count,
            width: camera.width,
            height: camera.height,
            count,
            feature_count: gaussians.feature_count,
            context: args.context,
            settings: args.settings,
            records: records.data_ptr().cast(),
            features: shared(gaussians.features),
            channels: args.channels,
            saved: args.saved,
            ..abi::RasterizeArgs::EMPTY
        };
        // SAFETY: records as `project` wrote them; the rest is the caller's.
        unsafe { self.inner.rasterize(&rasterize)? };
        let mut kept = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(args.radii as usize, records);
        Ok(())
    }

    unsafe fn backward(&self, args: &abi::BackwardArgs) -> Result<(), EngineError> {
        // SAFETY: the caller's pointers are valid for this call.
        let (camera, gaussians, wanted) = unsafe { (&*args.cameras, &*args.gaussians, &*args.gradients) };
        let (images, count) = (i64::from(args.camera_count), gaussians.count);
        let floats = (Kind::Float, device_of(args.context));
        let kept = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let records = kept.get(&(args.radii as usize));
        let records =
            records.ok_or_else(|| EngineError::Internal("no forward call with these radii".into()))?;
        let of_records = Tensor::f_zeros([images, count, GRADIENT], floats).map_err(torch)?;
        let of_features = Tensor::f_zeros([images, count, gaussians.feature_count], floats).map_err(torch)?;
        // SAFETY: as forward left it.
        let mut saved = unsafe { *args.saved };
        let rasterize = abi::RasterizeArgs {
            image_count: args.camera_count,
            channel_count: args.channel_count,
            absolute: u32::from(!wanted.means2d_abs.is_null()),
            width: camera.width,
            height: camera.height,
            count,
            feature_count: gaussians.feature_count,
            context: args.context,
            settings: args.settings,
            records: records.data_ptr().cast(),
            features: shared(gaussians.features),
            channels: args.channels,
            saved: &raw mut saved,
            record_gradients: of_records.data_ptr().cast(),
            feature_gradients: match wanted.features.is_null() {
                true => std::ptr::null_mut(),
                false => of_features.data_ptr().cast(),
            },
            background_gradient: wanted.background,
            ..abi::RasterizeArgs::EMPTY
        };
        // SAFETY: records and `saved` of the forward call, and memory of the sizes that the header says.
        unsafe { self.inner.rasterize_backward(&rasterize)? };
        if !wanted.features.is_null() && count > 0 {
            let f = gaussians.feature_count;
            let out = wanted.features.cast::<u8>().cast_const();
            // SAFETY: the caller's `features` gradient is [P,F], contiguous, on this device.
            let mut out = unsafe { Tensor::from_blob(out, &[count, f], &[f, 1], floats.0, floats.1) };
            let sum = of_features.f_sum_dim_intlist(0, false, Kind::Float).map_err(torch)?;
            out.f_copy_(&sum).map_err(torch)?;
        }
        let rest =
            abi::Gradients { features: std::ptr::null_mut(), background: std::ptr::null_mut(), ..*wanted };
        let project = abi::ProjectBackwardArgs {
            camera_count: args.camera_count,
            context: args.context,
            cameras: args.cameras,
            gaussians: args.gaussians,
            settings: args.settings,
            records: records.data_ptr().cast(),
            record_gradients: of_records.data_ptr().cast(),
            gradients: &raw const rest,
            ..abi::ProjectBackwardArgs::EMPTY
        };
        // SAFETY: records and their gradients as the calls before wrote them; the rest is the caller's.
        unsafe { self.inner.project_backward(&project) }
    }

    unsafe fn mark_visible(&self, args: &abi::MarkVisibleArgs) -> Result<(), EngineError> {
        // SAFETY: passed on.
        unsafe { self.inner.mark_visible(args) }
    }
}

/// Features of the Gaussians as features of records: the same for every image.
fn shared(features: abi::In) -> abi::In {
    abi::In { stride: [0, features.stride[0], features.stride[1]], ..features }
}
