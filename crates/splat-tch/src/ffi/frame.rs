//! One call in the ABI's terms: what was asked, and tensors as strided inputs.
//!
//! Pointers are made here but never followed. They are of the tensors' device and live as long as the tensors
//! they were taken from.

use splat_engine::{SharedEngine, abi};
use tch::{Device, Tensor};

use crate::Error;

/// The tensors of a call. The screen positions are never read.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    pub(crate) means3d: &'a Tensor,
    pub(crate) means2d: Option<&'a Tensor>,
    pub(crate) means2d_abs: Option<&'a Tensor>,
    pub(crate) opacities: &'a Tensor,
    /// `[P,M,3]` or `[P,1,3]` coefficients or `[P,3]` colours, as [`Frame::sh_coeffs`] and `sh_rest` say.
    pub(crate) color: &'a Tensor,
    pub(crate) sh_rest: Option<&'a Tensor>,
    /// `[P,3]` scales, or `[P,6]` covariances when there are no rotations.
    pub(crate) shape: &'a Tensor,
    pub(crate) rotations: Option<&'a Tensor>,
    pub(crate) features: Option<&'a Tensor>,
    /// `[3]`, contiguous.
    pub(crate) background: &'a Tensor,
    /// `[C,16]` view matrices, of which only the graph matters.
    pub(crate) poses: Option<&'a Tensor>,
}

/// Number of [`Inputs::nodes`].
pub(crate) const NODES: usize = 11;
/// Number of [`Inputs::kept`].
pub(super) const KEPT: usize = 8;

impl<'a> Inputs<'a> {
    /// In the order of the autograd node's inputs.
    pub(crate) fn nodes(&self) -> [Option<&'a Tensor>; NODES] {
        [
            Some(self.means3d),
            self.means2d,
            self.means2d_abs,
            Some(self.opacities),
            Some(self.color),
            self.sh_rest,
            Some(self.shape),
            self.rotations,
            self.features,
            Some(self.background),
            self.poses,
        ]
    }

    /// What backward reads again.
    pub(super) fn kept(&self) -> [Option<&'a Tensor>; KEPT] {
        [
            Some(self.means3d),
            Some(self.opacities),
            Some(self.color),
            self.sh_rest,
            Some(self.shape),
            self.rotations,
            self.features,
            Some(self.background),
        ]
    }
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
    pub(crate) model: i32,
    /// Half-angle tangents of every camera.
    pub(crate) tangents: Vec<[f32; 2]>,
    /// Whether outputs have the number of cameras as their first dimension.
    pub(crate) batch: bool,
    pub(crate) flags: u32,
    pub(crate) scale_modifier: f32,
    pub(crate) sh_degree: i32,
    pub(crate) count: i64,
    /// `M` when colours come from SH.
    pub(crate) sh_coeffs: Option<i64>,
    /// `F`.
    pub(crate) channels: i64,
    pub(crate) depth: bool,
    pub(crate) alpha: bool,
}

/// Numbers of a camera in the cameras' tensor: view, proj, campos.
pub(crate) const CAMERA: usize = 35;
pub(super) const PROJ: usize = 16;
const CAMPOS: usize = 32;

/// Places of the outputs that may be missing.
pub(super) struct Places {
    pub(super) depth: Option<usize>,
    pub(super) alpha: Option<usize>,
    pub(super) features: Option<usize>,
}

impl Frame {
    /// `shape`, with the cameras before it if there are several.
    pub(super) fn per_camera(&self, shape: &[i64]) -> Vec<i64> {
        let cameras = self.batch.then_some(self.tangents.len() as i64);
        cameras.into_iter().chain(shape.iter().copied()).collect()
    }

    /// After colour, radii and inverse depth come those that were asked for, in this order.
    pub(super) fn places(&self) -> Places {
        let mut next = 3;
        let mut place = |wanted: bool| {
            wanted.then(|| {
                next += 1;
                next - 1
            })
        };
        Places { depth: place(self.depth), alpha: place(self.alpha), features: place(self.channels > 0) }
    }

    /// `tensor` is `[C,35]`, contiguous.
    pub(super) fn cameras(&self, tensor: &Tensor) -> Vec<abi::Camera> {
        let data = tensor.data_ptr().cast::<f32>().cast_const();
        let camera = |(i, [tan_fovx, tan_fovy]): (usize, &[f32; 2])| {
            let own = data.wrapping_add(CAMERA * i);
            abi::Camera {
                width: self.width,
                height: self.height,
                tan_fovx: *tan_fovx,
                tan_fovy: *tan_fovy,
                model: self.model,
                view: own,
                proj: own.wrapping_add(PROJ),
                campos: own.wrapping_add(CAMPOS),
                ..abi::Camera::EMPTY
            }
        };
        self.tangents.iter().enumerate().map(camera).collect()
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

    pub(super) fn gaussians(&self, lent: &Lent, some: &Tensor) -> abi::Gaussians {
        let input = |t: &Tensor| self.input(t, some);
        let optional = |t: &Option<Tensor>| t.as_ref().map_or(abi::In::ABSENT, input);
        let (color, shape) = (input(&lent.color), input(&lent.shape));
        let only = |yes: bool, i: abi::In| if yes { i } else { abi::In::ABSENT };
        let (sh, scales) = (self.sh_coeffs.is_some(), lent.rotations.is_some());
        abi::Gaussians {
            count: self.count,
            sh_coeffs: self.sh_coeffs.unwrap_or(0),
            feature_count: self.channels,
            means3d: input(&lent.means3d),
            opacities: input(&lent.opacities),
            sh: only(sh, color),
            sh_rest: optional(&lent.sh_rest),
            colors: only(!sh, color),
            scales: only(scales, shape),
            rotations: optional(&lent.rotations),
            cov3d: only(!scales, shape),
            features: only(self.channels > 0, optional(&lent.features)),
            ..abi::Gaussians::EMPTY
        }
    }

    /// A tensor as an engine's input. An empty one gets the address of `some`: null would say "absent".
    fn input(&self, t: &Tensor, some: &Tensor) -> abi::In {
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

    pub(super) fn lend(&self, inputs: &Inputs<'_>) -> Result<Lent, Error> {
        // The tensor itself, or a contiguous copy for an engine that reads no strides. No graph is recorded.
        let lend = |t: &Tensor| -> Result<Tensor, Error> {
            let plain = t.f_detach()?;
            Ok(if self.strided { plain } else { plain.f_contiguous()? })
        };
        Ok(Lent {
            means3d: lend(inputs.means3d)?,
            opacities: lend(inputs.opacities)?,
            color: lend(inputs.color)?,
            sh_rest: inputs.sh_rest.map(lend).transpose()?,
            shape: lend(inputs.shape)?,
            rotations: inputs.rotations.map(lend).transpose()?,
            features: inputs.features.map(lend).transpose()?,
        })
    }
}

/// Inputs as one engine call reads them.
pub(super) struct Lent {
    means3d: Tensor,
    opacities: Tensor,
    color: Tensor,
    sh_rest: Option<Tensor>,
    shape: Tensor,
    rotations: Option<Tensor>,
    features: Option<Tensor>,
}
