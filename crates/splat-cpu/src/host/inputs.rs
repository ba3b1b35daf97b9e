//! The core's cameras, settings and scenes as the header's structs, over memory that the caller keeps.

use splat_core::{Camera, Color, Mode, Model, Scene, Settings, Shape, Values};
use splat_engine::EngineError;
use splat_engine::abi::{self, In};

use crate::invalid;

pub(super) fn camera_of(camera: &Camera) -> Result<abi::Camera, EngineError> {
    let side = |n: u32| {
        i32::try_from(n)
            .map_err(|_| EngineError::InvalidArgument(format!("an image side is {n} pixels, over 2^31 - 1")))
    };
    Ok(abi::Camera {
        width: side(camera.width)?,
        height: side(camera.height)?,
        tan_fovx: camera.tan_fovx,
        tan_fovy: camera.tan_fovy,
        model: match camera.model {
            Model::Pinhole => abi::PINHOLE,
            Model::Orthographic => abi::ORTHOGRAPHIC,
        },
        view: camera.view.as_ptr(),
        proj: camera.proj.as_ptr(),
        campos: camera.campos.as_ptr(),
        ..abi::Camera::EMPTY
    })
}

pub(super) fn settings_of(settings: &Settings) -> abi::Settings {
    let flag = |on: bool, bit: u32| if on { bit } else { 0 };
    abi::Settings {
        flags: flag(settings.antialiasing, abi::ANTIALIASING)
            | flag(settings.mode == Mode::Exact, abi::EXACT)
            | flag(settings.values == Values::Raw, abi::RAW),
        background: settings.background.as_ptr(),
        scale_modifier: settings.scale_modifier,
        sh_degree: settings.sh_degree as i32,
        ..abi::Settings::EMPTY
    }
}

/// Measures every slice against `P`, so that the engine's reads stay inside them.
pub(super) fn gaussians_of(scene: &Scene) -> Result<abi::Gaussians, EngineError> {
    let p = scene.len();
    let input = |name: &str, data: &[f32], inner: &[i64]| {
        let expected = p * inner.iter().product::<i64>() as usize;
        if data.len() != expected {
            return invalid(format!("`{name}` has {} numbers, but P = {p} needs {expected}", data.len()));
        }
        let shape: Vec<i64> = std::iter::once(p as i64).chain(inner.iter().copied()).collect();
        Ok(In::contiguous(data.as_ptr(), &shape))
    };
    let mut g = abi::Gaussians {
        count: p as i64,
        means3d: input("means3d", scene.means3d, &[3])?,
        opacities: input("opacities", scene.opacities, &[])?,
        ..abi::Gaussians::EMPTY
    };
    match scene.color {
        Color::Sh { values, coeffs } => {
            g.sh_coeffs = coeffs as i64;
            g.sh = input("sh", values, &[coeffs as i64, 3])?;
        }
        Color::SplitSh { first, rest, coeffs } => {
            g.sh_coeffs = coeffs as i64;
            g.sh = input("sh", first, &[1, 3])?;
            g.sh_rest = input("sh_rest", rest, &[coeffs as i64 - 1, 3])?;
        }
        Color::Rgb(values) => g.colors = input("colors", values, &[3])?,
    }
    match scene.shape {
        Shape::ScaleRotation { scales, rotations } => {
            g.scales = input("scales", scales, &[3])?;
            g.rotations = input("rotations", rotations, &[4])?;
        }
        Shape::Covariance(values) => g.cov3d = input("cov3d", values, &[6])?,
    }
    if scene.features.count > 0 {
        g.feature_count = scene.features.count as i64;
        g.features = input("features", scene.features.values, &[g.feature_count])?;
    }
    Ok(g)
}
