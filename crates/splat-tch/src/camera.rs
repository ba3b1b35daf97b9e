//! Cameras whose matrices lie on the device where they render, and poses that learn.

use tch::{Device, Kind, Tensor};

use crate::Error;
use crate::scene::upload;

/// A camera on a device. Make it once a view, not once a render.
#[derive(Debug)]
pub struct Camera {
    core: splat_core::Camera,
    /// view, proj, campos: 35 numbers, each matrix column-major. Without meaning for a camera with a pose.
    tensor: Tensor,
    pose: Option<Pose>,
}

#[derive(Debug)]
struct Pose {
    /// `[4,4]`, the caller's.
    view: Tensor,
    /// `[4,4]` camera to clip.
    projection: Tensor,
}

impl Camera {
    /// Copies `camera` to `device`.
    ///
    /// # Errors
    /// [`Error::Torch`] if the device does not exist.
    pub fn new(camera: splat_core::Camera, device: Device) -> Result<Self, Error> {
        let mut numbers = [0.0_f32; 35];
        numbers[..16].copy_from_slice(&camera.view);
        numbers[16..32].copy_from_slice(&camera.proj);
        numbers[32..].copy_from_slice(&camera.campos);
        Ok(Self { core: camera, tensor: upload(&numbers, device)?, pose: None })
    }

    /// `camera` at another place, which may be learned: `view` is the matrix from world to camera, `[4,4]`, rows, last
    /// row 0 0 0 1 (`x_camera = view @ x_world`), on the device where it renders. Renders read it as it then is; if
    /// it requires a gradient, `backward()` gives it one, whose last row is zero. Image size and projection are
    /// `camera`'s.
    ///
    /// # Errors
    /// [`Error`] if it is not such a tensor.
    pub fn with_pose(camera: splat_core::Camera, view: &Tensor) -> Result<Self, Error> {
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

    /// The camera it was made from.
    #[must_use]
    pub fn core(&self) -> &splat_core::Camera {
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

    /// The 35 numbers, of the pose as it is now. No graph, no wait for the device.
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

    /// The view matrix, column-major, `[16]`, with the graph of a pose.
    pub(crate) fn view_column(&self) -> Result<Tensor, Error> {
        Ok(match &self.pose {
            Some(pose) => pose.view.f_tr()?.f_reshape([16])?,
            None => self.tensor.f_narrow(0, 0, 16)?,
        })
    }
}
