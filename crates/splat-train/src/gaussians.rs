//! The parameters as tensors: leaves that require gradients, in the form that an optimiser keeps (logits, logarithms,
//! quaternions of any length), and how they are rendered.
//!
//! World units are the dataset's; quaternions are wxyz. Each row is a Gaussian; their order has no meaning.

use splat_core::Values;
use splat_scene::Origin;
use splat_tch::{Camera, Color, Pass, Rendered, Settings, Shape};
use tch::{Device, Kind, Tensor};

use crate::shares::Shares;
use crate::{Result, Rows, Wants};

/// `P` Gaussians on a device, with raw parameters as in [`splat_scene::Gaussians`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Gaussians {
    /// Centres, `[P,3]`, world coordinates.
    pub means: Tensor,
    /// SH coefficients of degree 0, `[P,1,3]`.
    pub sh_first: Tensor,
    /// SH coefficients of higher degrees, `[P,M-1,3]`; `M` is 1, 4, 9 or 16. After [`Gaussians::compact`] `[P,S]` `Half`, `S`
    /// being `3 (M-1)` rounded up to a multiple of 16.
    pub sh_rest: Tensor,
    /// Logits of opacities, `[P,1]`.
    pub opacity_logits: Tensor,
    /// Logarithms of the standard deviations along the three axes in world units, `[P,3]`.
    pub log_scales: Tensor,
    /// Quaternions wxyz, `[P,4]`, normalised where they are used.
    pub rotations: Tensor,
    /// Where the local coordinates of `means` lie in the world.
    pub origin: Origin,
    /// Which rows of the whole these are, if they are shared out over the ranks of a group.
    pub(crate) shares: Option<Shares>,
}

/// Names of [`Gaussians::parameters`], in the same order.
pub const PARAMETERS: [&str; 6] =
    ["means", "sh_first", "sh_rest", "opacity_logits", "log_scales", "rotations"];

/// Leaves that only receive screen-space gradients, for densification. Their values are never read.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Probe {
    /// `[P,3]`: the gradient of the projected centres in NDC units; z is zero.
    pub means2d: Option<Tensor>,
    /// `[P,2]`: sums over the pixels of the absolute gradients, in the same units.
    pub means2d_abs: Option<Tensor>,
}

impl Probe {
    /// The leaves that `wants` asks for, for `p` Gaussians on `device`.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn new(p: usize, wants: Wants, device: Device) -> Result<Self> {
        let leaf = |wanted: bool, n: i64| -> Result<Option<Tensor>> {
            if !wanted {
                return Ok(None);
            }
            let unread = Tensor::f_empty([p as i64, n], (Kind::Float, device))?;
            Ok(Some(unread.f_set_requires_grad(true)?))
        };
        Ok(Self { means2d: leaf(wants.signed, 3)?, means2d_abs: leaf(wants.absolute, 2)? })
    }

    /// The leaves that exist.
    pub fn leaves(&self) -> impl Iterator<Item = &Tensor> {
        self.means2d.iter().chain(&self.means2d_abs)
    }
}

impl Gaussians {
    /// Copies `host` to `device`.
    ///
    /// # Errors
    /// Arrays that disagree in length or contain NaN; out of device memory.
    pub fn upload(host: &splat_scene::Gaussians, device: Device) -> Result<Self> {
        host.check().map_err(splat_scene::Error::from)?;
        let p = host.len() as i64;
        let copy = |values: &[f32], shape: &[i64]| -> Result<Tensor> {
            Ok(Tensor::f_from_slice(values)?.f_view(shape)?.f_to_device(device)?)
        };
        let sh = copy(&host.sh, &[p, host.coeffs as i64, 3])?;
        Self::leaves([
            copy(&host.means, &[p, 3])?,
            sh.f_narrow(1, 0, 1)?,
            sh.f_narrow(1, 1, host.coeffs as i64 - 1)?,
            copy(&host.opacity_logits, &[p, 1])?,
            copy(&host.log_scales, &[p, 3])?,
            copy(&host.rotations, &[p, 4])?,
        ])
        .map(|gaussians| Self { origin: host.origin, ..gaussians })
    }

    /// Moves the local coordinates to another origin; the Gaussians stay where they are in the world.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn set_origin(&mut self, origin: Origin) -> Result<()> {
        if origin != self.origin {
            let _guard = tch::no_grad_guard();
            let shift: [f32; 3] = std::array::from_fn(|k| (self.origin.offset[k] - origin.offset[k]) as f32);
            let _ = self.means.f_add_(&Tensor::f_from_slice(&shift)?.f_to_device(self.device())?)?;
            self.origin = origin;
        }
        Ok(())
    }

    /// Stores [`Gaussians::sh_rest`] in 16 bits, rounded to the nearest.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn compact(&mut self) -> Result<()> {
        if self.is_compact() {
            return Ok(());
        }
        let width = 3 * (self.coeffs() - 1);
        let filled = splat_core::compact_columns(width as usize) as i64;
        let _guard = tch::no_grad_guard();
        let half = self.sh_rest.f_to_kind(Kind::Half)?.f_view([-1, width])?;
        self.sh_rest = half.f_constant_pad_nd([0, filled - width].as_slice())?.f_set_requires_grad(true)?;
        Ok(())
    }

    /// Whether [`Gaussians::sh_rest`] is in 16 bits.
    #[must_use]
    pub fn is_compact(&self) -> bool {
        self.sh_rest.kind() == Kind::Half
    }

    /// SH coefficients per channel, `M`.
    #[must_use]
    pub fn coeffs(&self) -> i64 {
        let columns = self.sh_rest.size()[1];
        match (self.is_compact(), columns) {
            (false, rest) => rest + 1,
            (true, 0) => 1,
            (true, 16) => 4,
            (true, 32) => 9,
            (true, _) => 16,
        }
    }

    /// [`Gaussians::sh_rest`] as `[P,M-1,3]` `Float`, a copy without a graph if it is in 16 bits.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn wide_rest(&self) -> Result<Tensor> {
        if !self.is_compact() {
            return Ok(self.sh_rest.shallow_clone());
        }
        let rest = self.coeffs() - 1;
        let numbers = self.sh_rest.f_detach()?.f_narrow(1, 0, 3 * rest)?.f_to_kind(Kind::Float)?;
        Ok(numbers.f_reshape([self.len() as i64, rest, 3])?)
    }

    /// Builds Gaussians from copies of tensors in the order of [`PARAMETERS`]; `parameters` do not change with them.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn from_parameters(parameters: [Tensor; 6]) -> Result<Self> {
        let _guard = tch::no_grad_guard();
        let mut copies = Vec::with_capacity(6);
        for t in parameters {
            let mut copy = Tensor::f_empty(t.size().as_slice(), (t.f_kind()?, t.device()))?;
            copy.f_copy_(&t)?;
            copies.push(copy);
        }
        Self::leaves(copies.try_into().expect("six went in"))
    }

    /// Gaussians whose leaves are `parameters` themselves as far as these are contiguous.
    pub(crate) fn leaves(parameters: [Tensor; 6]) -> Result<Self> {
        let mut leaves = Vec::with_capacity(6);
        for t in parameters {
            leaves.push(t.f_detach()?.f_contiguous()?.f_set_requires_grad(true)?);
        }
        let [means, sh_first, sh_rest, opacity_logits, log_scales, rotations] =
            leaves.try_into().expect("six went in");
        let origin = Origin::default();
        Ok(Self { means, sh_first, sh_rest, opacity_logits, log_scales, rotations, origin, shares: None })
    }

    /// The leaves, in the order of [`PARAMETERS`].
    pub fn parameters(&self) -> [&Tensor; 6] {
        [&self.means, &self.sh_first, &self.sh_rest, &self.opacity_logits, &self.log_scales, &self.rotations]
    }

    pub(crate) fn parameters_mut(&mut self) -> [&mut Tensor; 6] {
        [
            &mut self.means,
            &mut self.sh_first,
            &mut self.sh_rest,
            &mut self.opacity_logits,
            &mut self.log_scales,
            &mut self.rotations,
        ]
    }

    /// Copies the parameters to the host, which waits for the device.
    ///
    /// # Errors
    /// What torch reports, for example a failure of the device.
    pub fn download(&self) -> Result<splat_scene::Gaussians> {
        let sh = Tensor::f_cat(&[self.sh_first.f_detach()?, self.wide_rest()?.f_detach()?], 1)?;
        Ok(splat_scene::Gaussians {
            means: to_host(&self.means)?,
            coeffs: sh.size()[1] as usize,
            sh: to_host(&sh)?,
            opacity_logits: to_host(&self.opacity_logits)?,
            log_scales: to_host(&self.log_scales)?,
            rotations: to_host(&self.rotations)?,
            origin: self.origin,
        })
    }

    /// The number of Gaussians, `P`.
    #[must_use]
    pub fn len(&self) -> usize {
        self.means.size()[0] as usize
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The device of the parameters.
    #[must_use]
    pub fn device(&self) -> Device {
        self.means.device()
    }

    /// Opacities, `[P,1]`, with a graph if gradients are enabled.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn opacities(&self) -> Result<Tensor> {
        Ok(self.opacity_logits.f_sigmoid()?)
    }

    /// Standard deviations along the three axes in world units, `[P,3]`, with a graph if gradients are enabled.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn scales(&self) -> Result<Tensor> {
        Ok(self.log_scales.f_exp()?)
    }

    /// Unit quaternions wxyz, `[P,4]`, with a graph if gradients are enabled.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn unit_rotations(&self) -> Result<Tensor> {
        let norm = self.rotations.f_norm_scalaropt_dim(2, [1i64].as_slice(), true)?.f_clamp_min(1e-12)?;
        Ok(self.rotations.f_div(&norm)?)
    }

    /// Renders with a graph back to the parameters and to the leaves of `probe`. With [`Values::Raw`] the engine activates the
    /// parameters itself; with [`Values::Activated`], for engines that cannot, torch does.
    ///
    /// # Errors
    /// What the rasterizer refuses.
    pub fn render(&self, camera: &Camera, settings: &Settings, probe: &Probe) -> Result<Rendered> {
        self.render_with_features(camera, settings, probe, None)
    }

    /// As [`Gaussians::render`], with `features` (`[P,F]`): extra channels that are alpha-blended like colour.
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
        if settings.values == Values::Raw {
            return Ok(splat_tch::render(&self.raw(probe, features), camera, settings)?);
        }
        let sh = Tensor::f_cat(&[&self.sh_first, &self.wide_rest()?], 1)?;
        let (opacities, scales, rotations) = (self.opacities()?, self.scales()?, self.unit_rotations()?);
        let shape = Shape::ScaleRotation { scales: &scales, rotations: &rotations };
        let scene = splat_tch::Gaussians {
            means2d: probe.means2d.as_ref(),
            means2d_abs: probe.means2d_abs.as_ref(),
            features,
            ..splat_tch::Gaussians::new(&self.means, &opacities, Color::Sh(&sh), shape)
        };
        Ok(splat_tch::render(&scene, camera, settings)?)
    }

    /// Renders with raw values and without a graph; the backward pass is [`Optimizer::step_pass`](crate::Optimizer::step_pass).
    ///
    /// # Errors
    /// What the rasterizer refuses; an engine that cannot step.
    pub fn render_pass(&self, camera: &Camera, settings: &Settings) -> Result<(Rendered, Pass)> {
        Ok(splat_tch::render_pass(&self.raw(&Probe::default(), None), &[camera], settings)?)
    }

    /// The parameters as they are, for [`Values::Raw`].
    pub(crate) fn raw<'a>(
        &'a self,
        probe: &'a Probe,
        features: Option<&'a Tensor>,
    ) -> splat_tch::Gaussians<'a> {
        let color = if self.is_compact() {
            Color::CompactSh { first: &self.sh_first, rest: &self.sh_rest, coeffs: self.coeffs() }
        } else {
            Color::SplitSh { first: &self.sh_first, rest: &self.sh_rest }
        };
        let shape = Shape::ScaleRotation { scales: &self.log_scales, rotations: &self.rotations };
        splat_tch::Gaussians {
            means2d: probe.means2d.as_ref(),
            means2d_abs: probe.means2d_abs.as_ref(),
            features,
            ..splat_tch::Gaussians::new(&self.means, &self.opacity_logits, color, shape)
        }
    }

    /// Rearranges this rank's rows. The parameters are new leaves afterwards. Where Gaussians may be shared out over a group, use
    /// [`Gaussians::rearrange`].
    ///
    /// # Errors
    /// A row that does not exist; out of device memory.
    pub fn select(&mut self, rows: &Rows) -> Result<()> {
        let _guard = tch::no_grad_guard();
        // One after the other, each freeing its old memory before the next: half the memory of all at once.
        for t in self.parameters_mut() {
            *t = t.f_detach()?.f_index_select(0, &rows.index)?.f_set_requires_grad(true)?;
        }
        Ok(())
    }
}

/// The numbers of a tensor in row-major order, of kinds that `Float` holds exactly; waits for the device.
pub(crate) fn to_host(t: &Tensor) -> Result<Vec<f32>> {
    let t = t.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?;
    let mut values = vec![0.0f32; t.numel()];
    t.f_copy_data(&mut values, t.numel())?;
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step changes the leaves in place, so they must not share memory with tensors of the caller.
    #[test]
    fn leaves_have_memory_of_their_own() {
        let floats = (Kind::Float, Device::Cpu);
        let shapes: [&[i64]; 6] = [&[2, 3], &[2, 1, 3], &[2, 0, 3], &[2, 1], &[2, 3], &[2, 4]];
        let given = shapes.map(|shape| Tensor::ones(shape, floats));
        let gaussians = Gaussians::from_parameters(given.each_ref().map(Tensor::shallow_clone)).unwrap();
        for leaf in gaussians.parameters() {
            assert!(leaf.is_leaf() && leaf.requires_grad());
            let _ = leaf.detach().fill_(7.0);
        }
        assert!(given.iter().all(|t| t.sum(Kind::Float).double_value(&[]) == t.numel() as f64));
    }
}
