//! Cameras whose matrices are on the device where they render, and poses that can be optimised.

use splat_core::Camera as CameraModel;
use tch::{Device, Kind, Tensor};

use crate::Error;

/// A camera whose matrices are on a device. Create one per view and reuse it for every render.
#[derive(Debug)]
pub struct Camera {
    core: CameraModel,
    /// View, projection and centre: 35 numbers, each matrix column-major. Not used if there is a pose.
    tensor: Tensor,
    pose: Option<Pose>,
}

#[derive(Debug)]
struct Pose {
    /// `[4,4]` world to camera, the caller's.
    view: Tensor,
    /// `[4,4]` camera to clip.
    projection: Tensor,
}

impl Camera {
    /// Copies `camera` to `device`.
    ///
    /// # Errors
    /// [`Error::Torch`] if the device does not exist.
    pub fn new(camera: CameraModel, device: Device) -> Result<Self, Error> {
        let mut numbers = [0.0_f32; 35];
        numbers[..16].copy_from_slice(&camera.view);
        numbers[16..32].copy_from_slice(&camera.proj);
        numbers[32..].copy_from_slice(&camera.campos);
        Ok(Self { core: camera, tensor: upload(&numbers, device)?, pose: None })
    }

    /// A camera with the intrinsics of `camera` and an optimisable pose.
    ///
    /// `view` is the row-major 4x4 world-to-camera matrix (`x_camera = view @ x_world`) with last row 0 0 0 1, on the device
    /// where it renders; each render reads its current value. If it requires a gradient, `backward()` gives it one, whose last
    /// row is zero.
    ///
    /// # Errors
    /// [`Error::Kind`] or [`Error::Shape`] unless `view` is `Float32` of shape `[4,4]`.
    pub fn with_pose(camera: CameraModel, view: &Tensor) -> Result<Self, Error> {
        match view.f_kind()? {
            Kind::Float => {}
            found => return Err(Error::Kind { input: "view", found }),
        }
        if view.size() != [4, 4] {
            let needed = "a pose needs [4, 4]".into();
            return Err(Error::Shape { input: "view", found: view.size(), needed });
        }
        let device = view.device();
        let numbers: Vec<f32> = camera.projection().as_flattened().iter().map(|x| *x as f32).collect();
        let projection = upload(&numbers, device)?.f_view([4, 4])?;
        let pose = Pose { view: view.shallow_clone(), projection };
        Ok(Self { pose: Some(pose), ..Self::new(camera, device)? })
    }

    /// The camera that it was made from: image size, projection and, unless there is a [`Camera::pose`], the view.
    #[must_use]
    pub fn core(&self) -> &CameraModel {
        &self.core
    }

    /// The pose that it was made with, if any.
    #[must_use]
    pub fn pose(&self) -> Option<&Tensor> {
        self.pose.as_ref().map(|pose| &pose.view)
    }

    /// Where it renders.
    #[must_use]
    pub fn device(&self) -> Device {
        self.tensor.device()
    }

    /// The 35 numbers for the current pose. Records no graph and does not wait for the device.
    pub(crate) fn numbers(&self) -> Result<Tensor, Error> {
        let Some(Pose { view, projection }) = &self.pose else { return Ok(self.tensor.shallow_clone()) };
        let view = view.f_detach()?;
        let proj = projection.f_mm(&view)?;
        let (inverse, _) = Tensor::f_linalg_inv_ex(&view.f_narrow(0, 0, 3)?.f_narrow(1, 0, 3)?, false)?;
        let translation = view.f_narrow(0, 0, 3)?.f_select(1, 3)?;
        let center = inverse.f_mv(&translation)?.f_neg()?;
        let column = |m: &Tensor| m.f_tr()?.f_reshape([16]);
        Ok(Tensor::f_cat(&[column(&view)?, column(&proj)?, center], 0)?)
    }

    /// A scalar whose gradient for the [`Camera::pose`] is `gradient`, `[16]` as [`Stepped::view`](crate::Stepped) has it for
    /// one camera: what takes the gradient of a [`Pass`](crate::Pass) back to what the pose was made of.
    ///
    /// # Errors
    /// [`Error::Torch`] for another shape or device.
    pub fn with_gradient(&self, gradient: &Tensor) -> Result<Tensor, Error> {
        Ok(self.view_column()?.f_mul(&gradient.f_view([16])?)?.f_sum(Kind::Float)?)
    }

    /// The view matrix, column-major, `[16]`, with the graph of a pose.
    pub(crate) fn view_column(&self) -> Result<Tensor, Error> {
        Ok(match &self.pose {
            Some(pose) => pose.view.f_tr()?.f_reshape([16])?,
            None => self.tensor.f_narrow(0, 0, 16)?,
        })
    }
}

/// Host numbers on a device. Does not wait for the device: a copy this small is staged before it returns.
pub(crate) fn upload(numbers: &[f32], device: Device) -> Result<Tensor, Error> {
    let host = Tensor::f_from_slice(numbers)?;
    Ok(if device == Device::Cpu { host } else { host.f_to_device_(device, Kind::Float, true, false)? })
}
