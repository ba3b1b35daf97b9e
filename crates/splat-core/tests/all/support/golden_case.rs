//! Golden cases: inputs of the original rasterizer and its results.

use std::{fs::File, io::BufReader, path::Path};

use npyz::npz::NpzArchive;
use splat_core::{Camera, Color, Scene, Settings, Shape};

/// One `.npz`.
pub(crate) struct Golden {
    pub(crate) name: String,
    pub(crate) camera: Camera<f32>,
    pub(crate) settings: Settings<f32>,
    pub(crate) means3d: Vec<f32>,
    pub(crate) opacities: Vec<f32>,
    pub(crate) shs: Option<Vec<f32>>,
    pub(crate) colors: Option<Vec<f32>>,
    pub(crate) scales: Option<Vec<f32>>,
    pub(crate) rotations: Option<Vec<f32>>,
    pub(crate) cov3d: Option<Vec<f32>>,
    pub(crate) color: Vec<f32>,
    pub(crate) inv_depth: Vec<f32>,
    pub(crate) radii: Vec<i32>,
    pub(crate) num_rendered: u64,
    pub(crate) grad_color: Vec<f32>,
    pub(crate) grad_inv_depth: Vec<f32>,
    archive: NpzArchive<BufReader<File>>,
}

impl Golden {
    pub(crate) fn open(path: &Path) -> Self {
        let mut archive = NpzArchive::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let z = &mut archive;
        let numbers =
            |z: &mut NpzArchive<_>, key| optional(z, key).unwrap_or_else(|| panic!("{key} missing"));
        let number = |z: &mut NpzArchive<_>, key| scalar(z, key);
        let sixteen = |v: Vec<f32>| -> [f32; 16] { v.try_into().expect("a 4x4 matrix") };
        let three = |v: Vec<f32>| -> [f32; 3] { v.try_into().expect("three numbers") };
        let camera = Camera {
            model: splat_core::Model::Pinhole,
            width: number(z, "width") as u32,
            height: number(z, "height") as u32,
            tan_fovx: number(z, "tanfovx") as f32,
            tan_fovy: number(z, "tanfovy") as f32,
            view: sixteen(numbers(z, "viewmatrix")),
            proj: sixteen(numbers(z, "projmatrix")),
            campos: three(numbers(z, "campos")),
        };
        let settings = Settings {
            background: three(numbers(z, "bg")),
            scale_modifier: number(z, "scale_modifier") as f32,
            sh_degree: number(z, "sh_degree") as u32,
            antialiasing: number(z, "antialiasing") != 0.0,
            ..Settings::default()
        };
        let radii = z.by_name("radii").unwrap().expect("radii").into_vec::<i32>().unwrap();
        Self {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            camera,
            settings,
            means3d: numbers(z, "means3D"),
            opacities: numbers(z, "opacities"),
            shs: optional(z, "shs"),
            colors: optional(z, "colors_precomp"),
            scales: optional(z, "scales"),
            rotations: optional(z, "rotations"),
            cov3d: optional(z, "cov3D_precomp"),
            color: numbers(z, "color"),
            inv_depth: numbers(z, "invdepth"),
            radii,
            num_rendered: number(z, "num_rendered") as u64,
            grad_color: numbers(z, "grad_color"),
            grad_inv_depth: numbers(z, "grad_invdepth"),
            archive,
        }
    }

    /// A gradient as the original gave it; `None` where the file has none.
    pub(crate) fn gradient(&mut self, key: &str) -> Option<Vec<f32>> {
        optional(&mut self.archive, key)
    }

    pub(crate) fn scene(&self) -> Scene<'_, f32> {
        let p = self.opacities.len();
        let color = match (&self.shs, &self.colors) {
            (Some(values), _) => Color::Sh { values, coeffs: values.len() / (3 * p) },
            (None, Some(colors)) => Color::Rgb(colors),
            (None, None) => panic!("{}: neither shs nor colors_precomp", self.name),
        };
        let shape = match (&self.scales, &self.rotations, &self.cov3d) {
            (Some(scales), Some(rotations), _) => Shape::ScaleRotation { scales, rotations },
            (_, _, Some(cov3d)) => Shape::Covariance(cov3d),
            _ => panic!("{}: neither scales and rotations nor cov3D_precomp", self.name),
        };
        let features = splat_core::FeatureChannels::default();
        Scene { means3d: &self.means3d, opacities: &self.opacities, color, shape, features }
    }
}

fn optional(z: &mut NpzArchive<BufReader<File>>, key: &str) -> Option<Vec<f32>> {
    z.by_name(key).unwrap().map(|a| a.into_vec::<f32>().unwrap_or_else(|e| panic!("{key}: {e}")))
}

/// A number of whatever type numpy chose.
fn scalar(z: &mut NpzArchive<BufReader<File>>, key: &str) -> f64 {
    macro_rules! read {
        ($type:ty) => {
            z.by_name(key).unwrap().unwrap_or_else(|| panic!("{key} missing")).into_vec::<$type>()
        };
    }
    if let Ok(v) = read!(f64) {
        v[0]
    } else if let Ok(v) = read!(i64) {
        v[0] as f64
    } else {
        f64::from(u8::from(read!(bool).unwrap()[0]))
    }
}
