//! The parameters as tensors: leaves that require gradients, and the activations the rasterizer needs.

use splat_tch::{Color, Shape};
use tch::{Device, Kind, Tensor};

use crate::Result;

/// `P` Gaussians on a device: raw parameters, as in [`splat_scene::Gaussians`].
#[derive(Debug)]
pub struct Gaussians {
    /// `[P,3]`.
    pub means: Tensor,
    /// `[P,M,3]`.
    pub sh: Tensor,
    /// `[P,1]`.
    pub opacity_logits: Tensor,
    /// `[P,3]`.
    pub log_scales: Tensor,
    /// `[P,4]`.
    pub rotations: Tensor,
}

/// [`Gaussians`] after the activations, with a graph back to them.
#[derive(Debug)]
pub(crate) struct Activated<'a> {
    means: &'a Tensor,
    sh: &'a Tensor,
    opacities: Tensor,
    scales: Tensor,
    rotations: Tensor,
}

impl Gaussians {
    /// Copies `host` to `device`.
    ///
    /// # Errors
    /// Arrays that disagree in length or hold NaN; a device without room.
    pub fn upload(host: &splat_scene::Gaussians, device: Device) -> Result<Self> {
        host.check().map_err(splat_scene::Error::from)?;
        let p = host.len() as i64;
        let leaf = |values: &[f32], shape: &[i64]| -> Result<Tensor> {
            let t = Tensor::f_from_slice(values)?.f_to_device(device)?.f_view(shape)?;
            Ok(t.f_set_requires_grad(true)?)
        };
        Ok(Self {
            means: leaf(&host.means, &[p, 3])?,
            sh: leaf(&host.sh, &[p, host.coeffs as i64, 3])?,
            opacity_logits: leaf(&host.opacity_logits, &[p, 1])?,
            log_scales: leaf(&host.log_scales, &[p, 3])?,
            rotations: leaf(&host.rotations, &[p, 4])?,
        })
    }

    /// Copies them to the host; waits for the device.
    ///
    /// # Errors
    /// Torch's.
    pub fn download(&self) -> Result<splat_scene::Gaussians> {
        let host = |t: &Tensor| -> Result<Vec<f32>> {
            let t = t.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
            let mut values = vec![0.0f32; t.numel()];
            t.f_copy_data(&mut values, t.numel())?;
            Ok(values)
        };
        Ok(splat_scene::Gaussians {
            means: host(&self.means)?,
            sh: host(&self.sh)?,
            coeffs: self.sh.size()[1] as usize,
            opacity_logits: host(&self.opacity_logits)?,
            log_scales: host(&self.log_scales)?,
            rotations: host(&self.rotations)?,
        })
    }

    /// `P`.
    #[must_use]
    pub fn len(&self) -> usize {
        self.means.size()[0] as usize
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sigmoid, exponential, unit quaternions.
    pub(crate) fn activate(&self) -> Result<Activated<'_>> {
        let norm = self.rotations.f_norm_scalaropt_dim(2, [1i64].as_slice(), true)?.f_clamp_min(1e-12)?;
        Ok(Activated {
            means: &self.means,
            sh: &self.sh,
            opacities: self.opacity_logits.f_sigmoid()?,
            scales: self.log_scales.f_exp()?,
            rotations: self.rotations.f_div(&norm)?,
        })
    }
}

impl Activated<'_> {
    /// As the rasterizer's input.
    pub(crate) fn scene(&self) -> splat_tch::Gaussians<'_> {
        splat_tch::Gaussians {
            means3d: self.means,
            opacities: &self.opacities,
            color: Color::Sh(self.sh),
            shape: Shape::ScaleRotation { scales: &self.scales, rotations: &self.rotations },
            means2d: None,
            means2d_abs: None,
            features: None,
        }
    }
}

/// Whether every number of `t` is finite; waits for the device.
pub(crate) fn all_finite(t: &Tensor) -> Result<bool> {
    Ok(t.f_isfinite()?.f_all()?.f_to_kind(Kind::Int64)?.f_int64_value(&[])? == 1)
}
