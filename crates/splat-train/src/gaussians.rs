//! The parameters as tensors: leaves that require gradients, what an optimiser keeps (logits, logarithms,
//! quaternions of any length), and their rendering.
//!
//! World units are the dataset's; quaternions are wxyz. Rows are Gaussians; their order has no meaning.

use splat_tch::{Camera, Color, Rendered, Settings, Shape};
use tch::{Device, Kind, Tensor};

use crate::{Result, Rows};

/// `P` Gaussians on a device: raw parameters, as in [`splat_scene::Gaussians`].
#[derive(Debug)]
pub struct Gaussians {
    /// Centres, `[P,3]`, world coordinates.
    pub means: Tensor,
    /// SH coefficients of degree 0, `[P,1,3]`.
    pub sh_first: Tensor,
    /// SH coefficients of higher degrees, `[P,M-1,3]`; `M` is 1, 4, 9 or 16.
    pub sh_rest: Tensor,
    /// `[P,1]`; the sigmoid makes opacities of them.
    pub opacity_logits: Tensor,
    /// `[P,3]`; the exponential makes standard deviations of them, in world units.
    pub log_scales: Tensor,
    /// `[P,4]`, wxyz, normalised where they are used.
    pub rotations: Tensor,
}

/// Names of [`Gaussians::parameters`], in their order.
pub const PARAMETERS: [&str; 6] =
    ["means", "sh_first", "sh_rest", "opacity_logits", "log_scales", "rotations"];

/// Leaves that only receive gradients: what densification looks at. Their values are never read.
#[derive(Debug, Default)]
pub struct Probe {
    /// `[P,3]`: the gradient of the projected centres, in NDC units; z is zero.
    pub means2d: Option<Tensor>,
    /// `[P,2]`: sums over the pixels of the absolute gradients, in the same units.
    pub means2d_abs: Option<Tensor>,
}

impl Probe {
    /// For `p` Gaussians on `device`.
    ///
    /// # Errors
    /// A device without room.
    pub fn new(p: usize, signed: bool, absolute: bool, device: Device) -> Result<Self> {
        let leaf = |wanted: bool, n: i64| -> Result<Option<Tensor>> {
            if !wanted {
                return Ok(None);
            }
            let unread = Tensor::f_empty([p as i64, n], (Kind::Float, device))?;
            Ok(Some(unread.f_set_requires_grad(true)?))
        };
        Ok(Self { means2d: leaf(signed, 3)?, means2d_abs: leaf(absolute, 2)? })
    }

    /// The leaves there are.
    pub fn leaves(&self) -> impl Iterator<Item = &Tensor> {
        self.means2d.iter().chain(&self.means2d_abs)
    }
}

impl Gaussians {
    /// Copies `host` to `device`.
    ///
    /// # Errors
    /// Arrays that disagree in length or hold NaN; a device without room.
    pub fn upload(host: &splat_scene::Gaussians, device: Device) -> Result<Self> {
        host.check().map_err(splat_scene::Error::from)?;
        let p = host.len() as i64;
        let copy = |values: &[f32], shape: &[i64]| -> Result<Tensor> {
            Ok(Tensor::f_from_slice(values)?.f_view(shape)?.f_to_device(device)?)
        };
        let sh = copy(&host.sh, &[p, host.coeffs as i64, 3])?;
        let parameters = [
            copy(&host.means, &[p, 3])?,
            sh.f_narrow(1, 0, 1)?,
            sh.f_narrow(1, 1, host.coeffs as i64 - 1)?,
            copy(&host.opacity_logits, &[p, 1])?,
            copy(&host.log_scales, &[p, 3])?,
            copy(&host.rotations, &[p, 4])?,
        ];
        Self::from_parameters(parameters)
    }

    /// Of tensors in the order of [`PARAMETERS`]; they become leaves of their own memory.
    ///
    /// # Errors
    /// Torch's.
    pub fn from_parameters(parameters: [Tensor; 6]) -> Result<Self> {
        let mut leaves = Vec::with_capacity(6);
        for t in parameters {
            leaves.push(t.f_detach()?.f_contiguous()?.f_set_requires_grad(true)?);
        }
        let [means, sh_first, sh_rest, opacity_logits, log_scales, rotations] =
            leaves.try_into().expect("six went in");
        Ok(Self { means, sh_first, sh_rest, opacity_logits, log_scales, rotations })
    }

    /// The leaves, in the order of [`PARAMETERS`].
    pub fn parameters(&self) -> [&Tensor; 6] {
        [&self.means, &self.sh_first, &self.sh_rest, &self.opacity_logits, &self.log_scales, &self.rotations]
    }

    /// Copies them to the host; waits for the device.
    ///
    /// # Errors
    /// Torch's.
    pub fn download(&self) -> Result<splat_scene::Gaussians> {
        let sh = Tensor::f_cat(&[self.sh_first.f_detach()?, self.sh_rest.f_detach()?], 1)?;
        Ok(splat_scene::Gaussians {
            means: to_host(&self.means)?,
            coeffs: sh.size()[1] as usize,
            sh: to_host(&sh)?,
            opacity_logits: to_host(&self.opacity_logits)?,
            log_scales: to_host(&self.log_scales)?,
            rotations: to_host(&self.rotations)?,
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

    /// Where they are.
    #[must_use]
    pub fn device(&self) -> Device {
        self.means.device()
    }

    /// Opacities, `[P,1]`, with a graph if gradients are recorded.
    ///
    /// # Errors
    /// Torch's.
    pub fn opacities(&self) -> Result<Tensor> {
        Ok(self.opacity_logits.f_sigmoid()?)
    }

    /// Standard deviations along the three axes, `[P,3]`, likewise.
    ///
    /// # Errors
    /// Torch's.
    pub fn scales(&self) -> Result<Tensor> {
        Ok(self.log_scales.f_exp()?)
    }

    /// Quaternions of length 1, `[P,4]`, likewise.
    ///
    /// # Errors
    /// Torch's.
    pub fn unit_rotations(&self) -> Result<Tensor> {
        let norm = self.rotations.f_norm_scalaropt_dim(2, [1i64].as_slice(), true)?.f_clamp_min(1e-12)?;
        Ok(self.rotations.f_div(&norm)?)
    }

    /// Renders them with a graph back to the parameters and to the leaves of `probe`. With `settings.raw` the engine
    /// activates the parameters itself; without, torch does (an engine may lack it).
    ///
    /// # Errors
    /// What the rasterizer refuses.
    pub fn render(&self, camera: &Camera, settings: &Settings, probe: &Probe) -> Result<Rendered> {
        self.render_with_features(camera, settings, probe, None)
    }

    /// As [`Gaussians::render`], with `[P,F]` further channels blended like colours.
    ///
    /// # Errors
    /// What the rasterizer refuses.
    pub fn render_with_features(
        &self,
        camera: &Camera,
        settings: &Settings,
        probe: &Probe,
        features: Option<&Tensor>,
    ) -> Result<Rendered> {
        let scene = |color, opacities, scales, rotations| splat_tch::Gaussians {
            means3d: &self.means,
            opacities,
            color,
            shape: Shape::ScaleRotation { scales, rotations },
            means2d: probe.means2d.as_ref(),
            means2d_abs: probe.means2d_abs.as_ref(),
            features,
        };
        if settings.raw {
            let color = Color::SplitSh { first: &self.sh_first, rest: &self.sh_rest };
            let scene = scene(color, &self.opacity_logits, &self.log_scales, &self.rotations);
            return Ok(splat_tch::render(&scene, camera, settings)?);
        }
        let sh = Tensor::f_cat(&[&self.sh_first, &self.sh_rest], 1)?;
        let (opacities, scales, rotations) = (self.opacities()?, self.scales()?, self.unit_rotations()?);
        Ok(splat_tch::render(&scene(Color::Sh(&sh), &opacities, &scales, &rotations), camera, settings)?)
    }

    /// Takes the rows `rows` names, in its order. The parameters are new leaves afterwards.
    ///
    /// # Errors
    /// A row that is not there; a device without room.
    pub fn select(&mut self, rows: &Rows) -> Result<()> {
        let _guard = tch::no_grad_guard();
        // One after the other, the old one freed before the next is made: half the memory of all at once.
        for t in [
            &mut self.means,
            &mut self.sh_first,
            &mut self.sh_rest,
            &mut self.opacity_logits,
            &mut self.log_scales,
            &mut self.rotations,
        ] {
            *t = t.f_detach()?.f_index_select(0, &rows.index)?.f_set_requires_grad(true)?;
        }
        Ok(())
    }
}

/// The numbers of a `Float` tensor, row by row; waits for the device.
pub(crate) fn to_host(t: &Tensor) -> Result<Vec<f32>> {
    let t = t.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
    let mut values = vec![0.0f32; t.numel()];
    t.f_copy_data(&mut values, t.numel())?;
    Ok(values)
}
