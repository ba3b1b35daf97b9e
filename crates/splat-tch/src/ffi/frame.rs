//! One render in the header's terms: what was asked for, and tensors as strided inputs.
//!
//! Pointers are made here but never followed. They point into the memory of the tensors' device and live as long as the
//! tensors that they were taken from.

use splat_engine::{Abilities, abi};
use tch::{Kind, Tensor};

use crate::channel::Channel;
use crate::input::{Input, PerInput};
use crate::{Backend, Error};

/// What a render is made of besides the tensors of the Gaussians.
pub(crate) struct Frame {
    pub(crate) backend: Backend,
    pub(crate) width: i32,
    pub(crate) height: i32,
    pub(crate) model: i32,
    /// Tangents of half the field of view, for every camera.
    pub(crate) tangents: Vec<[f32; 2]>,
    /// Whether outputs have the number of cameras as their first dimension.
    pub(crate) batch: bool,
    pub(crate) flags: u32,
    pub(crate) scale_modifier: f32,
    pub(crate) sh_degree: i32,
    /// `P`.
    pub(crate) count: i64,
    /// `M`, or 0 with colours.
    pub(crate) sh_coeffs: i64,
    /// Whether SH after the constant term are in 16 bits.
    pub(crate) compact: bool,
    /// `F`.
    pub(crate) feature_count: i64,
    /// The outputs besides the radii.
    pub(crate) channels: Vec<&'static Channel>,
    /// `[H,W]` per camera, contiguous.
    pub(crate) weight_image: Option<Tensor>,
}

/// Numbers per camera in the cameras' tensor: view, projection, centre.
const CAMERA: usize = 35;
pub(super) const PROJ: usize = 16;
const CAMPOS: usize = 32;

/// The structs that the arguments of a call point to.
pub(super) struct Structs {
    pub(super) cameras: Vec<abi::Camera>,
    pub(super) gaussians: abi::Gaussians,
    pub(super) settings: abi::Settings,
}

impl Structs {
    /// The arguments of a backward pass but for the radii. They point to these structs and to the others, which must live
    /// through the call.
    pub(super) fn backward(
        &self,
        context: &abi::Context,
        channels: &[abi::Channel],
        saved: &abi::Saved,
        gradients: &abi::Gradients,
    ) -> abi::BackwardArgs {
        abi::BackwardArgs {
            context,
            camera_count: self.cameras.len() as u32,
            cameras: self.cameras.as_ptr(),
            gaussians: &raw const self.gaussians,
            settings: &raw const self.settings,
            channel_count: channels.len() as u32,
            channels: channels.as_ptr(),
            saved,
            gradients,
            ..abi::BackwardArgs::EMPTY
        }
    }
}

impl Frame {
    /// `shape`, with the cameras before it if outputs have that dimension.
    pub(super) fn per_camera(&self, shape: &[i64]) -> Vec<i64> {
        let cameras = self.batch.then_some(self.tangents.len() as i64);
        cameras.into_iter().chain(shape.iter().copied()).collect()
    }

    /// A tensor for an output or a gradient of that shape, uninitialised.
    pub(super) fn empty(&self, shape: &[i64]) -> Result<Tensor, Error> {
        Ok(Tensor::f_empty(shape, (Kind::Float, self.backend.device()))?)
    }

    /// A tensor for an output.
    pub(super) fn output(&self, channel: &Channel) -> Result<Tensor, Error> {
        let size = [i64::from(self.height), i64::from(self.width)];
        self.empty(&self.per_camera(&channel.shape(self.feature_count, size, self.count)))
    }

    /// The inputs as the engine reads them: the tensors themselves, or contiguous copies for an engine that reads no
    /// strides. No graph is recorded.
    pub(crate) fn lend(&self, inputs: &PerInput<Option<&Tensor>>) -> Result<PerInput<Option<Tensor>>, Error> {
        let strided = self.backend.capabilities().abilities.contains(Abilities::STRIDED_INPUTS);
        inputs.try_map(|input, tensor| {
            let Some(tensor) = tensor.filter(|_| input.is_read()) else { return Ok(None) };
            let plain = tensor.f_detach()?;
            Ok::<_, Error>(Some(if strided { plain } else { plain.f_contiguous()? }))
        })
    }

    /// `lent` is from [`Frame::lend`], `cameras` is `[C,35]`, contiguous.
    pub(super) fn structs(&self, lent: &PerInput<Option<Tensor>>, cameras: &Tensor) -> Structs {
        let input = |input: Input| lent[input].as_ref().map_or(abi::In::EMPTY, |t| strided(t, cameras));
        let (rest, half) = match &lent[Input::ShRest] {
            Some(half) if self.compact => (abi::In::EMPTY, address::<u16>(half, cameras).cast_const()),
            _ => (input(Input::ShRest), std::ptr::null()),
        };
        let features = if self.feature_count > 0 { input(Input::Features) } else { abi::In::EMPTY };
        Structs {
            cameras: self.cameras(cameras),
            gaussians: abi::Gaussians {
                count: self.count,
                sh_coeffs: self.sh_coeffs,
                feature_count: self.feature_count,
                means3d: input(Input::Means3d),
                opacities: input(Input::Opacities),
                sh: input(Input::Sh),
                sh_rest: rest,
                sh_rest16: half,
                colors: input(Input::Colors),
                scales: input(Input::Scales),
                rotations: input(Input::Rotations),
                cov3d: input(Input::Cov3d),
                features,
                ..abi::Gaussians::EMPTY
            },
            settings: abi::Settings {
                flags: self.flags,
                background: input(Input::Background).data,
                scale_modifier: self.scale_modifier,
                sh_degree: self.sh_degree,
                ..abi::Settings::EMPTY
            },
        }
    }

    /// The list of outputs; the functions give the addresses for the channel at a place of it.
    pub(super) fn channels(
        &self,
        data: impl Fn(usize) -> *mut f32,
        gradient: impl Fn(usize) -> *const f32,
    ) -> Vec<abi::Channel> {
        let image = self.weight_image.as_ref().map_or(std::ptr::null(), |t| t.data_ptr().cast_const().cast());
        let entry = |(i, channel): (usize, &&Channel)| abi::Channel {
            source: channel.source,
            data: data(i),
            gradient: gradient(i),
            image: if channel.source == abi::WEIGHT_IMAGE { image } else { std::ptr::null() },
            ..abi::Channel::EMPTY
        };
        self.channels.iter().enumerate().map(entry).collect()
    }

    /// Fresh tensors for the gradients that are wanted.
    pub(super) fn gradients(
        &self,
        inputs: &PerInput<Option<Tensor>>,
        wanted: &PerInput<bool>,
    ) -> Result<PerInput<Option<Tensor>>, Error> {
        wanted.try_map(|input, wanted| {
            let shape = match input {
                _ if !*wanted => return Ok(None),
                Input::Means2d => self.per_camera(&[self.count, 3]),
                Input::Means2dAbs => self.per_camera(&[self.count, 2]),
                Input::View => vec![self.tangents.len() as i64, 16],
                input => inputs[input].as_ref().map(Tensor::size).unwrap_or_default(),
            };
            self.empty(&shape).map(Some)
        })
    }

    /// The addresses of gradients.
    pub(super) fn targets(&self, gradients: &PerInput<Option<Tensor>>) -> abi::Gradients {
        let to =
            |input: Input| gradients[input].as_ref().map_or(std::ptr::null_mut(), |t| t.data_ptr().cast());
        abi::Gradients {
            means3d: to(Input::Means3d),
            means2d: to(Input::Means2d),
            means2d_abs: to(Input::Means2dAbs),
            opacities: to(Input::Opacities),
            sh: to(Input::Sh),
            sh_rest: to(Input::ShRest),
            colors: to(Input::Colors),
            scales: to(Input::Scales),
            rotations: to(Input::Rotations),
            cov3d: to(Input::Cov3d),
            features: to(Input::Features),
            background: to(Input::Background),
            view: to(Input::View),
            ..abi::Gradients::EMPTY
        }
    }

    fn cameras(&self, tensor: &Tensor) -> Vec<abi::Camera> {
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
}

/// A tensor's address. An empty tensor has none, which would mean "absent": it gets that of `some`.
pub(super) fn address<T>(tensor: &Tensor, some: &Tensor) -> *mut T {
    let tensor = if tensor.numel() == 0 { some } else { tensor };
    tensor.data_ptr().cast()
}

fn strided(tensor: &Tensor, some: &Tensor) -> abi::In {
    let mut stride = [0; 3];
    for (to, from) in stride.iter_mut().zip(tensor.stride()) {
        *to = from;
    }
    abi::In { data: address::<f32>(tensor, some), stride }
}
