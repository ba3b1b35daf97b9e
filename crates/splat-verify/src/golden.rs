//! The original rasterizer's own answers, read from `.npz`: inputs, images, radii, gradients.
//!
//! Provenance and keys: `crates/splat-verify/data/golden/README.md`. Matrices are stored as the original takes them, which is
//! column-major order of the usual ones: what [`Camera`] holds.

use std::io::{Cursor, Read, Seek};

use npyz::{NpyFile, npz::NpzArchive};
use splat_core::{Camera, Model, Settings, Upstream};

use crate::demo::OwnedScene;

/// One case.
#[derive(Debug, Clone)]
pub struct Golden {
    /// The Gaussians.
    pub scene: OwnedScene,
    /// The camera.
    pub camera: Camera,
    /// Background, degree, scale modifier, antialiasing.
    pub settings: Settings,
    /// `[3,H,W]`.
    pub color: Vec<f32>,
    /// `[P]`.
    pub radii: Vec<i32>,
    /// `[1,H,W]`.
    pub inv_depth: Vec<f32>,
    /// Upstream gradient of `color`.
    pub grad_color: Vec<f32>,
    /// Upstream gradient of `inv_depth`.
    pub grad_inv_depth: Vec<f32>,
    /// Gradients by input name, those that the case has: `means3d`, `opacities`, ...
    pub gradients: Vec<(&'static str, Vec<f32>)>,
}

impl Golden {
    /// Reads one case.
    ///
    /// # Panics
    /// If a key is absent or of another type: golden files are part of the tests.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let mut npz = NpzArchive::new(Cursor::new(bytes)).expect("an npz archive");
        let mut numbers = |key: &str| array(&mut npz, key);
        let need = |key: &str, v: Option<Vec<f64>>| v.unwrap_or_else(|| panic!("golden file has `{key}`"));
        let f32s = |v: Vec<f64>| v.into_iter().map(|x| x as f32).collect::<Vec<f32>>();
        let mut one = |key: &str| need(key, numbers(key))[0];
        let (width, height) = (one("width") as u32, one("height") as u32);
        let (tan_fovx, tan_fovy) = (one("tanfovx") as f32, one("tanfovy") as f32);
        let scale_modifier = one("scale_modifier") as f32;
        let sh_degree = one("sh_degree") as u32;
        let antialiasing = one("antialiasing") != 0.0;
        let mut get = |key: &str| f32s(need(key, numbers(key)));
        let fixed = |v: Vec<f32>| -> [f32; 16] { v.try_into().expect("16 numbers") };
        let three = |v: Vec<f32>| -> [f32; 3] { v.try_into().expect("3 numbers") };
        let camera = Camera {
            width,
            height,
            model: Model::Pinhole,
            tan_fovx,
            tan_fovy,
            view: fixed(get("viewmatrix")),
            proj: fixed(get("projmatrix")),
            campos: three(get("campos")),
        };
        let background = three(get("bg"));
        let settings =
            Settings { background, scale_modifier, sh_degree, antialiasing, ..Settings::default() };
        let (means3d, opacities) = (get("means3D"), get("opacities"));
        let (color, radii, inv_depth) = (get("color"), get("radii"), get("invdepth"));
        let (grad_color, grad_inv_depth) = (get("grad_color"), get("grad_invdepth"));
        let mut maybe = |key: &str| numbers(key).map(f32s);
        let sh = maybe("shs");
        let sh_coeffs = sh.as_ref().map(|v| v.len() / (3 * opacities.len()));
        let (scales, rotations) = (maybe("scales"), maybe("rotations"));
        let cov3d = if scales.is_some() { None } else { maybe("cov3D_precomp") };
        let rgb = if sh.is_some() { None } else { maybe("colors_precomp") };
        let mut gradients = Vec::new();
        for (name, key, present) in [
            ("means3d", "d_means3D", true),
            ("means2d", "d_means2D", true),
            ("opacities", "d_opacities", true),
            ("sh", "d_shs", sh.is_some()),
            ("colors", "d_colors_precomp", true),
            ("scales", "d_scales", scales.is_some()),
            ("rotations", "d_rotations", scales.is_some()),
            ("cov3d", "d_cov3D_precomp", true),
        ] {
            if let (true, Some(values)) = (present, maybe(key)) {
                gradients.push((name, values));
            }
        }
        Self {
            scene: OwnedScene {
                means3d,
                opacities,
                color: sh.or(rgb).expect("golden file has `shs` or `colors_precomp`"),
                sh_coeffs,
                scales: scales.unwrap_or_default(),
                rotations: rotations.unwrap_or_default(),
                cov3d: cov3d.unwrap_or_default(),
            },
            camera,
            settings,
            color,
            radii: radii.into_iter().map(|r| r as i32).collect(),
            inv_depth,
            grad_color,
            grad_inv_depth,
            gradients,
        }
    }

    /// The case's upstream gradients.
    #[must_use]
    pub fn upstream(&self) -> Upstream<'_, f32> {
        Upstream {
            color: Some(&self.grad_color),
            inv_depth: Some(&self.grad_inv_depth),
            ..Upstream::default()
        }
    }
}

/// An array of any numeric type as `f64`, row-major; `None` if there is no such key.
fn array<R: Read + Seek>(npz: &mut NpzArchive<R>, key: &str) -> Option<Vec<f64>> {
    let npy: NpyFile<_> = npz.by_name(key).expect("a readable npz member")?;
    let kind = npy.dtype().descr();
    assert_eq!(npy.order(), npyz::Order::C, "`{key}` is in C order");
    let values = if kind.contains("f4") {
        npy.into_vec::<f32>().expect("f4").into_iter().map(f64::from).collect()
    } else if kind.contains("f8") {
        npy.into_vec::<f64>().expect("f8")
    } else if kind.contains("i4") {
        npy.into_vec::<i32>().expect("i4").into_iter().map(f64::from).collect()
    } else if kind.contains("i8") {
        npy.into_vec::<i64>().expect("i8").into_iter().map(|x| x as f64).collect()
    } else if kind.contains("b1") {
        npy.into_vec::<bool>().expect("b1").into_iter().map(|x| f64::from(u8::from(x))).collect()
    } else {
        panic!("`{key}` has type {kind}")
    };
    Some(values)
}
