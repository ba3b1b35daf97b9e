//! The inputs that forward and backward share, as the core takes them. Contiguous inputs are borrowed.
#![expect(unsafe_code, reason = "reads through the ABI's pointers")]

use std::borrow::Cow;

use splat_core as core;

use super::memory::{check_size, extent, gather, matrix, required};
use crate::abi::{self, In};
use crate::engine::EngineError;

/// Flags that this engine knows. It is always reproducible.
const FLAGS: u32 =
    abi::ANTIALIASING | abi::DEBUG | abi::EXACT | abi::RAW | abi::REPRODUCIBLE | abi::FORWARD_ONLY;

pub(super) struct Call<'a> {
    pub(super) count: usize,
    /// At least one, all of one size and model.
    pub(super) cameras: Vec<core::Camera>,
    pub(super) settings: core::Settings,
    means3d: Cow<'a, [f32]>,
    opacities: Cow<'a, [f32]>,
    color: Paint<'a>,
    shape: Extent<'a>,
    features: (Cow<'a, [f32]>, usize),
}

enum Paint<'a> {
    Sh(Cow<'a, [f32]>, usize),
    SplitSh(Cow<'a, [f32]>, Cow<'a, [f32]>, usize),
    Rgb(Cow<'a, [f32]>),
}

enum Extent<'a> {
    ScaleRotation(Cow<'a, [f32]>, Cow<'a, [f32]>),
    Covariance(Cow<'a, [f32]>),
}

fn invalid<T>(text: String) -> Result<T, EngineError> {
    Err(EngineError::InvalidArgument(text))
}

impl<'a> Call<'a> {
    /// # Safety
    /// As [`crate::Engine::forward`], for the pointers in the structs.
    pub(super) unsafe fn read(
        cameras: *const abi::Camera,
        camera_count: u32,
        g: &abi::Gaussians,
        settings: &abi::Settings,
    ) -> Result<Self, EngineError> {
        check_size("splat_gaussians", g.struct_size, abi::size::<abi::Gaussians>())?;
        check_size("splat_settings", settings.struct_size, abi::size::<abi::Settings>())?;
        let count = extent("count", g.count)?;
        let coeffs = extent("sh_coeffs", g.sh_coeffs)?;
        if settings.flags & !FLAGS != 0 {
            return invalid(format!(
                "`settings.flags` is {:#x}, of which {FLAGS:#x} are known",
                settings.flags
            ));
        }
        let Ok(sh_degree) = u32::try_from(settings.sh_degree) else {
            return invalid(format!("`sh_degree` is {}, but must be 0 to 3", settings.sh_degree));
        };
        if !(0..=abi::MAX_FEATURES).contains(&g.feature_count) {
            return invalid(format!(
                "`feature_count` is {}, but must be 0 to {}",
                g.feature_count,
                abi::MAX_FEATURES
            ));
        }
        let (p, m, f) = (g.count, g.sh_coeffs, g.feature_count);
        // Exactly one of the two, except that without splats both may be absent.
        let first_of = |a: &In, b: &In, names: &str| {
            if count > 0 && a.data.is_null() == b.data.is_null() {
                let given = if a.data.is_null() { "none is" } else { "both are" };
                return invalid(format!("exactly one of {names} is needed, but {given} given"));
            }
            Ok(b.data.is_null())
        };
        let by_sh = first_of(&g.sh, &g.colors, "`sh` and `colors`")? && (count > 0 || coeffs > 0);
        let by_scale = first_of(&g.scales, &g.cov3d, "`scales` with `rotations` and `cov3d`")?;
        let split = !g.sh_rest.data.is_null();
        if split && (!by_sh || coeffs == 0) {
            return invalid(format!(
                "`sh_rest` is given with {m} `sh_coeffs`, but it needs `sh` and at least 1"
            ));
        }
        let flag = |bit: u32| settings.flags & bit != 0;
        // SAFETY: forwarded from the caller.
        unsafe {
            Ok(Self {
                count,
                cameras: read_cameras(cameras, camera_count)?,
                settings: core::Settings {
                    background: matrix::<3>("background", settings.background)?,
                    scale_modifier: settings.scale_modifier,
                    sh_degree,
                    antialiasing: flag(abi::ANTIALIASING),
                    exact: flag(abi::EXACT),
                    raw: flag(abi::RAW),
                },
                means3d: gather("means3d", &g.means3d, &[p, 3])?,
                opacities: gather("opacities", &g.opacities, &[p])?,
                color: match (by_sh, split) {
                    (true, true) => Paint::SplitSh(
                        gather("sh", &g.sh, &[p, 1, 3])?,
                        gather("sh_rest", &g.sh_rest, &[p, m - 1, 3])?,
                        coeffs,
                    ),
                    (true, false) => Paint::Sh(gather("sh", &g.sh, &[p, m, 3])?, coeffs),
                    (false, _) => Paint::Rgb(gather("colors", &g.colors, &[p, 3])?),
                },
                shape: if by_scale {
                    Extent::ScaleRotation(
                        gather("scales", &g.scales, &[p, 3])?,
                        gather("rotations", &g.rotations, &[p, 4])?,
                    )
                } else {
                    Extent::Covariance(gather("cov3d", &g.cov3d, &[p, 6])?)
                },
                features: (gather("features", &g.features, &[p, f])?, f as usize),
            })
        }
    }

    pub(super) fn scene(&self) -> core::Scene<'_> {
        core::Scene {
            means3d: &self.means3d,
            opacities: &self.opacities,
            color: match &self.color {
                Paint::Sh(values, coeffs) => core::Color::Sh { values, coeffs: *coeffs },
                Paint::SplitSh(first, rest, coeffs) => core::Color::SplitSh { first, rest, coeffs: *coeffs },
                Paint::Rgb(values) => core::Color::Rgb(values),
            },
            shape: match &self.shape {
                Extent::ScaleRotation(scales, rotations) => core::Shape::ScaleRotation { scales, rotations },
                Extent::Covariance(values) => core::Shape::Covariance(values),
            },
            features: core::Features { values: &self.features.0, count: self.features.1 },
        }
    }

    /// Of each image.
    pub(super) fn pixels(&self) -> usize {
        self.cameras[0].width as usize * self.cameras[0].height as usize
    }

    /// Of each image.
    pub(super) fn tiles(&self) -> usize {
        self.cameras[0].width.div_ceil(16) as usize * self.cameras[0].height.div_ceil(16) as usize
    }

    /// Channels of the features.
    pub(super) fn channels(&self) -> usize {
        self.features.1
    }
}

/// # Safety
/// `cameras` is null or points to `count` cameras whose pointers are null or valid.
unsafe fn read_cameras(cameras: *const abi::Camera, count: u32) -> Result<Vec<core::Camera>, EngineError> {
    if !(1..=abi::MAX_CAMERAS).contains(&count) {
        return invalid(format!("`camera_count` is {count}, but must be 1 to {}", abi::MAX_CAMERAS));
    }
    required("cameras", cameras)?;
    // SAFETY: not null, and of that many cameras by the caller's word.
    let cameras = unsafe { std::slice::from_raw_parts(cameras, count as usize) };
    let mut out = Vec::with_capacity(cameras.len());
    for (i, c) in cameras.iter().enumerate() {
        check_size("splat_camera", c.struct_size, abi::size::<abi::Camera>())?;
        if c.width < 1 || c.height < 1 {
            return invalid(format!(
                "the image is {}x{} pixels, but both sides must be at least 1",
                c.width, c.height
            ));
        }
        let (kind, first) = ((c.width, c.height, c.model), &cameras[0]);
        if kind != (first.width, first.height, first.model) {
            return invalid(format!(
                "camera {i} has {}x{} pixels and model {}, but camera 0 has {}x{} and {}",
                c.width, c.height, c.model, first.width, first.height, first.model
            ));
        }
        let model = match c.model {
            abi::PINHOLE => core::Model::Pinhole,
            abi::ORTHOGRAPHIC => core::Model::Orthographic,
            other => return invalid(format!("`model` is {other}, but there are 0 and 1")),
        };
        // SAFETY: the caller vouches for the camera's pointers.
        out.push(unsafe {
            core::Camera {
                width: c.width as u32,
                height: c.height as u32,
                model,
                tan_fovx: c.tan_fovx,
                tan_fovy: c.tan_fovy,
                view: matrix::<16>("view", c.view)?,
                proj: matrix::<16>("proj", c.proj)?,
                campos: matrix::<3>("campos", c.campos)?,
            }
        });
    }
    Ok(out)
}
