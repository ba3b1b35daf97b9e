//! The inputs that all passes share, as the core takes them. Contiguous inputs are borrowed.
#![expect(unsafe_code, reason = "reads through the ABI's pointers")]

use std::borrow::Cow;

use splat_core as core;

use splat_engine::EngineError;
use splat_engine::abi::{self, In};

use crate::channels::Extent;
use crate::invalid;
use crate::memory::{extent, gather, matrix, slice};

/// Flags that this engine knows. It is always reproducible.
const FLAGS: u32 =
    abi::ANTIALIASING | abi::DEBUG | abi::EXACT | abi::RAW | abi::REPRODUCIBLE | abi::FORWARD_ONLY;

pub(crate) struct Call<'a> {
    pub(crate) count: usize,
    /// At least one, all of one size and model.
    pub(crate) cameras: Vec<core::Camera>,
    pub(crate) settings: core::Settings,
    /// Of the settings, as given.
    pub(crate) flags: u32,
    means3d: Cow<'a, [f32]>,
    opacities: Cow<'a, [f32]>,
    color: Color<'a>,
    shape: Shape<'a>,
    features: (Cow<'a, [f32]>, usize),
}

enum Color<'a> {
    Sh(Cow<'a, [f32]>, usize),
    SplitSh(Cow<'a, [f32]>, Cow<'a, [f32]>, usize),
    Rgb(Cow<'a, [f32]>),
}

enum Shape<'a> {
    ScaleRotation(Cow<'a, [f32]>, Cow<'a, [f32]>),
    Covariance(Cow<'a, [f32]>),
}

impl<'a> Call<'a> {
    /// # Safety
    /// As [`splat_engine::Engine::forward`], for these structs and the pointers in them.
    pub(crate) unsafe fn read(
        cameras: *const abi::Camera,
        camera_count: u32,
        g: &abi::Gaussians,
        settings: *const abi::Settings,
    ) -> Result<Self, EngineError> {
        // SAFETY: forwarded from the caller.
        let (settings, flags) = unsafe { read_settings(settings)? };
        let count = extent("count", g.count)?;
        let coeffs = extent("sh_coeffs", g.sh_coeffs)?;
        feature_count(g.feature_count)?;
        let (p, m, f) = (g.count, g.sh_coeffs, g.feature_count);
        // Exactly one of the two, except that without Gaussians both may be absent.
        let first_of = |a: &In, b: &In, names: &str| {
            if count > 0 && a.data.is_null() == b.data.is_null() {
                let given = if a.data.is_null() { "none is" } else { "both are" };
                return invalid(format!("exactly one of {names} is needed, but {given} given"));
            }
            Ok(b.data.is_null())
        };
        let by_sh = first_of(&g.sh, &g.colors, "`sh` and `colors`")? && (count > 0 || coeffs > 0);
        let by_scale = first_of(&g.scales, &g.cov3d, "`scales` with `rotations` and `cov3d`")?;
        let compact = !g.sh_rest16.is_null();
        if compact && !g.sh_rest.data.is_null() {
            return invalid("at most one of `sh_rest` and `sh_rest16` is needed, but both are given".into());
        }
        let split = compact || !g.sh_rest.data.is_null();
        if split && (!by_sh || coeffs == 0) {
            return invalid(format!(
                "`sh_rest` is given with {m} `sh_coeffs`, but it needs `sh` and at least 1"
            ));
        }
        // SAFETY: forwarded from the caller.
        unsafe {
            Ok(Self {
                count,
                cameras: read_cameras(cameras, camera_count)?,
                settings,
                flags,
                means3d: gather("means3d", &g.means3d, &[p, 3])?,
                opacities: gather("opacities", &g.opacities, &[p])?,
                color: match (by_sh, split) {
                    (true, true) => Color::SplitSh(
                        gather("sh", &g.sh, &[p, 1, 3])?,
                        if compact {
                            Cow::Owned(widened(g.sh_rest16, count, 3 * (coeffs - 1)))
                        } else {
                            gather("sh_rest", &g.sh_rest, &[p, m - 1, 3])?
                        },
                        coeffs,
                    ),
                    (true, false) => Color::Sh(gather("sh", &g.sh, &[p, m, 3])?, coeffs),
                    (false, _) => Color::Rgb(gather("colors", &g.colors, &[p, 3])?),
                },
                shape: if by_scale {
                    Shape::ScaleRotation(
                        gather("scales", &g.scales, &[p, 3])?,
                        gather("rotations", &g.rotations, &[p, 4])?,
                    )
                } else {
                    Shape::Covariance(gather("cov3d", &g.cov3d, &[p, 6])?)
                },
                features: (gather("features", &g.features, &[p, f])?, f as usize),
            })
        }
    }

    pub(crate) fn scene(&self) -> core::Scene<'_> {
        core::Scene {
            means3d: &self.means3d,
            opacities: &self.opacities,
            color: match &self.color {
                Color::Sh(values, coeffs) => core::Color::Sh { values, coeffs: *coeffs },
                Color::SplitSh(first, rest, coeffs) => core::Color::SplitSh { first, rest, coeffs: *coeffs },
                Color::Rgb(values) => core::Color::Rgb(values),
            },
            shape: match &self.shape {
                Shape::ScaleRotation(scales, rotations) => core::Shape::ScaleRotation { scales, rotations },
                Shape::Covariance(values) => core::Shape::Covariance(values),
            },
            features: core::FeatureChannels { values: &self.features.0, count: self.features.1 },
        }
    }

    /// Numbers of a Gaussian in `sh` and in `sh_rest`.
    pub(crate) fn sh_widths(&self) -> [usize; 2] {
        match &self.color {
            Color::Sh(_, coeffs) => [3 * coeffs, 0],
            Color::SplitSh(_, _, coeffs) => [3, 3 * (coeffs - 1)],
            Color::Rgb(_) => [0, 0],
        }
    }

    /// The size of every image: width, height.
    pub(crate) fn size(&self) -> [u32; 2] {
        [self.cameras[0].width, self.cameras[0].height]
    }

    /// What the sizes of channels follow from.
    pub(crate) fn extent(&self) -> Extent {
        let [width, height] = self.size();
        Extent { pixels: width as usize * height as usize, count: self.count, features: self.features.1 }
    }
}

/// `[rows,width]` numbers of compact rows.
///
/// # Safety
/// `from` points to so many compact rows of `width` numbers.
unsafe fn widened(from: *const u16, rows: usize, width: usize) -> Vec<f32> {
    let columns = core::compact_columns(width);
    // SAFETY: forwarded from the caller.
    let from = unsafe { slice(from, rows * columns) };
    let row = |row: &[u16]| row[..width].iter().map(|x| core::from_half(*x)).collect::<Vec<_>>();
    from.chunks_exact(columns.max(1)).flat_map(row).collect()
}

/// # Safety
/// `settings` is null or points to settings whose pointers are null or valid.
pub(crate) unsafe fn read_settings(
    settings: *const abi::Settings,
) -> Result<(core::Settings, u32), EngineError> {
    // SAFETY: forwarded from the caller.
    let s = unsafe { abi::read(settings, "settings")? };
    if s.flags & !FLAGS != 0 {
        return invalid(format!("`settings.flags` is {:#x}, of which {FLAGS:#x} are known", s.flags));
    }
    let Ok(sh_degree) = u32::try_from(s.sh_degree) else {
        return invalid(format!("`sh_degree` is {}, but must be 0 to {}", s.sh_degree, abi::MAX_SH_DEGREE));
    };
    let has = |bit: u32| s.flags & bit != 0;
    let settings = core::Settings {
        // SAFETY: the caller vouches for the pointer.
        background: unsafe { matrix::<3>("background", s.background)? },
        scale_modifier: s.scale_modifier,
        sh_degree,
        antialiasing: has(abi::ANTIALIASING),
        mode: if has(abi::EXACT) { core::Mode::Exact } else { core::Mode::Compat },
        values: if has(abi::RAW) { core::Values::Raw } else { core::Values::Activated },
    };
    Ok((settings, s.flags))
}

/// `F` in its limits.
pub(crate) fn feature_count(n: i64) -> Result<usize, EngineError> {
    let most = abi::MAX_FEATURES;
    if !(0..=most).contains(&n) {
        return invalid(format!("`feature_count` is {n}, but must be 0 to {most}"));
    }
    Ok(n as usize)
}

/// `C` in its limits.
pub(crate) fn image_count(name: &str, n: u32) -> Result<usize, EngineError> {
    if !(1..=abi::MAX_CAMERAS).contains(&n) {
        return invalid(format!("`{name}` is {n}, but must be 1 to {}", abi::MAX_CAMERAS));
    }
    Ok(n as usize)
}

/// An image's size, width and height.
pub(crate) fn image_size(width: i32, height: i32) -> Result<[u32; 2], EngineError> {
    if width < 1 || height < 1 {
        return invalid(format!("the image is {width}x{height} pixels, but both sides must be at least 1"));
    }
    Ok([width as u32, height as u32])
}

/// # Safety
/// `cameras` is null or points to `count` cameras whose pointers are null or valid.
unsafe fn read_cameras(cameras: *const abi::Camera, count: u32) -> Result<Vec<core::Camera>, EngineError> {
    image_count("camera_count", count)?;
    // SAFETY: forwarded from the caller.
    let cameras = unsafe { abi::read_array(cameras, count, "cameras")? };
    let mut out = Vec::with_capacity(cameras.len());
    for (i, c) in cameras.iter().enumerate() {
        let [width, height] = image_size(c.width, c.height)?;
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
                width,
                height,
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
