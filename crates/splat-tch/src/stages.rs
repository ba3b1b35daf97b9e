//! A render in two stages, for Gaussians that do not all lie on one device: [`project`] turns Gaussians into records, which
//! may travel, and [`rasterize`] turns the records that came together into images. Each has a backward pass of its own, since
//! between the two there is no graph.
//!
//! A record is a row of [`RECORD`] numbers, `splat_record` of `splat_engine.h`; its gradient is a row of [`RECORD_GRADIENT`]
//! numbers, `splat_record_gradient`. Features are not part of it.

use splat_engine::{Abilities, abi};
use tch::{Kind, Tensor};

use crate::ffi::{self, Frame, Raster};
use crate::input::{Input, PerInput};
use crate::render::{Prepared, background, flags, of, prepare, sides, weight_image};
use crate::{Backend, Camera, Counts, Error, Gaussians, Settings, channel, check};

/// Numbers of a record. The thirteenth has the bits of an `i32`, the radius in pixels; where it is 0 the Gaussian is not
/// visible and all numbers are 0.
pub const RECORD: i64 = 16;
/// Numbers of a record's gradient.
pub const RECORD_GRADIENT: i64 = 12;
/// The place of the radius in a record.
const RADIUS: i64 = 12;

/// Gaussians as `C` cameras see them, and what the backward pass needs.
pub struct Projection {
    frame: Frame,
    /// The inputs, detached.
    lent: PerInput<Option<Tensor>>,
    cameras: Tensor,
    records: Tensor,
}

/// Gradients of a loss with respect to what was projected, each in the shape of its input and summed over the cameras.
#[derive(Debug)]
#[non_exhaustive]
pub struct Projected {
    /// Of the centres, `[P,3]`.
    pub means3d: Tensor,
    /// Of the opacities.
    pub opacities: Tensor,
    /// Of [`Color::Sh`](crate::Color::Sh) or of `first` of [`Color::SplitSh`](crate::Color::SplitSh).
    pub sh: Option<Tensor>,
    /// Of `rest` of [`Color::SplitSh`](crate::Color::SplitSh).
    pub sh_rest: Option<Tensor>,
    /// Of [`Color::Rgb`](crate::Color::Rgb).
    pub colors: Option<Tensor>,
    /// Of the scales of [`Shape::ScaleRotation`](crate::Shape::ScaleRotation).
    pub scales: Option<Tensor>,
    /// Of its rotations.
    pub rotations: Option<Tensor>,
    /// Of [`Shape::Covariance`](crate::Shape::Covariance).
    pub cov3d: Option<Tensor>,
    /// Of the projected centres in NDC units, `[C,P,3]`, if it was asked for; z is zero.
    pub means2d: Option<Tensor>,
    /// Sums over the pixels of their absolute values, `[C,P,2]`, if they were asked for.
    pub means2d_abs: Option<Tensor>,
    /// Of the world-to-camera matrices, column-major, `[C,16]`, if it was asked for; the last row of each is zero.
    pub view: Option<Tensor>,
}

/// What a backward pass of [`Projection`] gives besides the gradients of the Gaussians; nothing by default.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extra {
    /// [`Projected::means2d`].
    pub means2d: bool,
    /// [`Projected::means2d_abs`].
    pub means2d_abs: bool,
    /// [`Projected::view`].
    pub view: bool,
}

/// Projects `gaussians` for 1 to 32 cameras of one image size. Features, `means2d` and `means2d_abs` are not read.
///
/// # Errors
/// As for [`render`](crate::render), and [`Error::Settings`] if the engine has no stages.
pub fn project(
    gaussians: &Gaussians<'_>,
    cameras: &[&Camera],
    settings: &Settings,
) -> Result<Projection, Error> {
    let gaussians = Gaussians { features: None, means2d: None, means2d_abs: None, ..*gaussians };
    // What weighs an image belongs to the second stage.
    let settings = Settings { weight_image: None, ..settings.clone() };
    let Prepared { frame, numbers, background, .. } = prepare(&gaussians, cameras, true, &settings, false)?;
    staged(&frame.backend)?;
    let mut inputs = of(&gaussians);
    inputs[Input::Background] = Some(&background);
    let lent = frame.lend(&inputs)?;
    let records = ffi::project(&frame, &lent, &numbers)?;
    Ok(Projection { frame, lent, cameras: numbers, records })
}

impl Projection {
    /// `[C,P,16]`.
    pub fn records(&self) -> &Tensor {
        &self.records
    }

    /// Radii in pixels, `[C,P]` `Int`, a view of the records; 0 = not visible.
    ///
    /// # Errors
    /// Torch's.
    pub fn radii(&self) -> Result<Tensor, Error> {
        Ok(self.records.f_view_dtype(Kind::Int)?.f_select(-1, RADIUS)?)
    }

    /// From gradients of the records, `[C,P,12]`, to those of the Gaussians. The Gaussians must not have changed since.
    ///
    /// # Errors
    /// [`Error::Shape`] for gradients of another shape; what the engine reports.
    pub fn backward(&self, gradients: &Tensor, extra: Extra) -> Result<Projected, Error> {
        let device = self.records.device();
        let shape = [self.records.size()[0], self.frame.count, RECORD_GRADIENT];
        let needed = || format!("the records need {shape:?}");
        check::tensor("record gradients", gradients, device, &[&shape], needed)?;
        let wanted = self.lent.map(|input, tensor| match input {
            Input::Means2d => extra.means2d,
            Input::Means2dAbs => extra.means2d_abs,
            Input::View => extra.view,
            Input::Background | Input::Features => false,
            _ => tensor.is_some(),
        });
        let gradients = gradients.f_detach()?.f_contiguous()?;
        let mut of = ffi::project_backward(
            &self.frame,
            &self.lent,
            &self.cameras,
            &self.records,
            &gradients,
            &wanted,
        )?;
        let lost = || Error::Torch("an engine's gradient got lost".into());
        Ok(Projected {
            means3d: of[Input::Means3d].take().ok_or_else(lost)?,
            opacities: of[Input::Opacities].take().ok_or_else(lost)?,
            sh: of[Input::Sh].take(),
            sh_rest: of[Input::ShRest].take(),
            colors: of[Input::Colors].take(),
            scales: of[Input::Scales].take(),
            rotations: of[Input::Rotations].take(),
            cov3d: of[Input::Cov3d].take(),
            means2d: of[Input::Means2d].take(),
            means2d_abs: of[Input::Means2dAbs].take(),
            view: of[Input::View].take(),
        })
    }
}

impl std::fmt::Debug for Projection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Projection").field("records", &self.records).finish_non_exhaustive()
    }
}

/// An image made of records. Its tensors have no graph.
pub struct Rasterization {
    /// RGB `[3,H,W]`, not clamped.
    pub color: Tensor,
    /// `[1,H,W]`, the sum of weight / z.
    pub inv_depth: Tensor,
    /// `[N]`, if [`Settings::weight_sum`] asks for it.
    pub weight_sum: Option<Tensor>,
    /// `[N]`, if [`Settings::weight_max`] asks for it.
    pub weight_max: Option<Tensor>,
    /// `[N]`, if there is a [`Settings::weight_image`].
    pub weight_image: Option<Tensor>,
    /// What the engine counted.
    pub counts: Counts,
    raster: Raster,
}

/// Makes an image of `width` x `height` pixels of `records` `[N,16]`, in any order, of one camera.
///
/// # Errors
/// [`Error::Shape`] for records of another shape; [`Error::Settings`] if the engine has no stages or not what `settings` ask
/// for; what the engine reports.
pub fn rasterize(records: &Tensor, size: [u32; 2], settings: &Settings) -> Result<Rasterization, Error> {
    check::kind("records", records)?;
    let found = records.size();
    let &[count, RECORD] = found.as_slice() else {
        return Err(Error::Shape { input: "records", found, needed: format!("records need [N, {RECORD}]") });
    };
    let device = records.device();
    let backend = match &settings.backend {
        Some(backend) => backend.clone(),
        None => Backend::of(device)?,
    };
    backend.check_holds("records", device)?;
    staged(&backend)?;
    let channels = channel::wanted(settings, false, backend.capabilities())?;
    let [width, height] = sides(size)?;
    let frame = Frame {
        width,
        height,
        model: abi::PINHOLE,
        tangents: Vec::new(),
        batch: false,
        flags: flags(settings, &backend),
        scale_modifier: settings.scale_modifier,
        sh_degree: 0,
        count,
        sh_coeffs: 0,
        compact: false,
        feature_count: 0,
        channels,
        weight_image: weight_image(settings, &[height.into(), width.into()], device)?,
        backend,
    };
    let records = records.f_detach()?.f_contiguous()?;
    let background = background(settings, device)?.f_detach()?;
    let mut raster = Raster::new(frame, records, background, settings.workspace.as_ref())?;
    let sources: Vec<u32> = raster.sources().collect();
    let mut found: Vec<(u32, Tensor)> = sources.into_iter().zip(raster.outputs.drain(..)).collect();
    let mut take = |source: u32| {
        let i = found.iter().position(|(s, _)| *s == source)?;
        Some(found.swap_remove(i).1)
    };
    let lost = || Error::Torch("an engine's channel got lost".into());
    Ok(Rasterization {
        color: take(abi::COLOR).ok_or_else(lost)?,
        inv_depth: take(abi::INV_DEPTH).ok_or_else(lost)?,
        weight_sum: take(abi::WEIGHT_SUM),
        weight_max: take(abi::WEIGHT_MAX),
        weight_image: take(abi::WEIGHT_IMAGE),
        counts: raster.counts,
        raster,
    })
}

impl Rasterization {
    /// Gradients of the records, `[N,12]`, from those of [`Rasterization::color`] and [`Rasterization::inv_depth`]; `None`
    /// stands for zero. With `absolute` the last two of each row are the sums of absolute gradients.
    ///
    /// # Errors
    /// [`Error::Shape`] for gradients of another shape than their image; what the engine reports.
    pub fn backward(
        &self,
        color: Option<&Tensor>,
        inv_depth: Option<&Tensor>,
        absolute: bool,
    ) -> Result<Tensor, Error> {
        let given = |input, image: &Tensor, gradient: Option<&Tensor>| -> Result<_, Error> {
            let Some(gradient) = gradient.filter(|g| g.defined()) else { return Ok(None) };
            let shape = image.size();
            let needed = || format!("the image is {shape:?}");
            check::tensor(input, gradient, image.device(), &[&shape], needed)?;
            Ok(Some(gradient.f_detach()?.f_contiguous()?))
        };
        let color = given("gradient of color", &self.color, color)?;
        let inv_depth = given("gradient of inv_depth", &self.inv_depth, inv_depth)?;
        let upstream = |source| match source {
            abi::COLOR => color.as_ref().map(Tensor::shallow_clone),
            abi::INV_DEPTH => inv_depth.as_ref().map(Tensor::shallow_clone),
            _ => None,
        };
        self.raster.backward(upstream, absolute)
    }
}

impl std::fmt::Debug for Rasterization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rasterization").field("color", &self.color).finish_non_exhaustive()
    }
}

fn staged(backend: &Backend) -> Result<(), Error> {
    if backend.capabilities().abilities.contains(Abilities::STAGES) {
        return Ok(());
    }
    Err(Error::Settings(format!(
        "engine `{}` renders only as a whole, not in stages; hint: engine `cuda` or `cpu`",
        backend.name()
    )))
}
