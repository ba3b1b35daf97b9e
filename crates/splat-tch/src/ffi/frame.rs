//! One call in the ABI's terms: what was asked, and tensors as strided inputs.
//!
//! Pointers are made here but never followed. They are of the tensors' device and live as long as the tensors
//! they were taken from.

use splat_engine::{SharedEngine, abi};
use tch::{Device, Tensor};

use crate::Error;

/// The tensors of a scene, in the order of the autograd node's inputs. `means2d` is never read.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    pub(crate) means3d: &'a Tensor,
    pub(crate) means2d: Option<&'a Tensor>,
    pub(crate) opacities: &'a Tensor,
    /// `[P,M,3]` or `[P,3]`, as [`Frame::sh_coeffs`] says.
    pub(crate) color: &'a Tensor,
    /// `[P,3]` scales, or `[P,6]` covariances when there are no rotations.
    pub(crate) shape: &'a Tensor,
    pub(crate) rotations: Option<&'a Tensor>,
}

/// What a call is made of besides tensors.
#[derive(Clone)]
pub(crate) struct Frame {
    pub(crate) engine: SharedEngine,
    pub(crate) device: Device,
    /// Whether the engine reads strides; otherwise it gets contiguous tensors.
    pub(crate) strided: bool,
    pub(crate) width: i32,
    pub(crate) height: i32,
    pub(crate) tan_fovx: f32,
    pub(crate) tan_fovy: f32,
    pub(crate) flags: u32,
    pub(crate) scale_modifier: f32,
    pub(crate) sh_degree: i32,
    pub(crate) count: i64,
    /// `M` when colours come from SH.
    pub(crate) sh_coeffs: Option<i64>,
    pub(crate) depth: bool,
    pub(crate) alpha: bool,
}

/// Offsets into the camera's tensor: view, proj, campos.
pub(super) const PROJ: usize = 16;
pub(super) const CAMPOS: usize = 32;

impl Frame {
    pub(super) fn camera(&self, tensor: &Tensor) -> abi::Camera {
        let data = tensor.data_ptr().cast::<f32>().cast_const();
        abi::Camera {
            width: self.width,
            height: self.height,
            tan_fovx: self.tan_fovx,
            tan_fovy: self.tan_fovy,
            view: data,
            proj: data.wrapping_add(PROJ),
            campos: data.wrapping_add(CAMPOS),
            ..abi::Camera::EMPTY
        }
    }

    pub(super) fn settings(&self, background: &Tensor) -> abi::Settings {
        abi::Settings {
            flags: self.flags,
            background: background.data_ptr().cast(),
            scale_modifier: self.scale_modifier,
            sh_degree: self.sh_degree,
            ..abi::Settings::EMPTY
        }
    }

    pub(super) fn gaussians(&self, lent: &Lent, camera: &Tensor) -> abi::Gaussians {
        let input = |t: &Tensor| self.input(t, camera);
        let (color, shape) = (input(&lent.color), input(&lent.shape));
        let only = |yes: bool, i: abi::In| if yes { i } else { abi::In::ABSENT };
        let (sh, scales) = (self.sh_coeffs.is_some(), lent.rotations.is_some());
        abi::Gaussians {
            count: self.count,
            sh_coeffs: self.sh_coeffs.unwrap_or(0),
            means3d: input(&lent.means3d),
            opacities: input(&lent.opacities),
            sh: only(sh, color),
            colors: only(!sh, color),
            scales: only(scales, shape),
            rotations: lent.rotations.as_ref().map_or(abi::In::ABSENT, input),
            cov3d: only(!scales, shape),
            ..abi::Gaussians::EMPTY
        }
    }

    /// A tensor as an engine's input. An empty one gets the address of `some`: null would say "absent".
    pub(super) fn input(&self, t: &Tensor, some: &Tensor) -> abi::In {
        let data = if t.numel() == 0 { some.data_ptr() } else { t.data_ptr() };
        if !self.strided {
            return abi::In::contiguous(data.cast(), &t.size());
        }
        let mut stride = [0; 3];
        for (to, from) in stride.iter_mut().zip(t.stride()) {
            *to = from;
        }
        abi::In { data: data.cast(), stride }
    }

    /// The tensor itself, or a contiguous copy for an engine that reads no strides. No graph is recorded.
    pub(super) fn lend_one(&self, t: &Tensor) -> Result<Tensor, Error> {
        let plain = t.f_detach()?;
        Ok(if self.strided { plain } else { plain.f_contiguous()? })
    }

    pub(super) fn lend(&self, inputs: &Inputs<'_>) -> Result<Lent, Error> {
        Ok(Lent {
            means3d: self.lend_one(inputs.means3d)?,
            opacities: self.lend_one(inputs.opacities)?,
            color: self.lend_one(inputs.color)?,
            shape: self.lend_one(inputs.shape)?,
            rotations: inputs.rotations.map(|t| self.lend_one(t)).transpose()?,
        })
    }
}

/// Inputs as one engine call reads them.
pub(super) struct Lent {
    means3d: Tensor,
    opacities: Tensor,
    color: Tensor,
    shape: Tensor,
    rotations: Option<Tensor>,
}
