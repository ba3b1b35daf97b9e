//! One frame of a `transforms.json`: what it says itself, or else what the file says for all frames.

use serde_json::{Map, Value};

use super::capture::Intrinsics;
use super::companions::UNDECLARED;
use super::poses::{Fault, Pose};
use super::text::{self, number};
use crate::image::depth::Meaning;
use crate::image::lens::{CameraModel, Lens};

/// The keys of a frame and of its file.
#[derive(Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) own: &'a Map<String, Value>,
    pub(super) all: &'a Map<String, Value>,
}

/// Why a frame has no camera.
pub(super) enum Wrong {
    Broken(String),
    Contradiction(String),
    Model(String),
}

impl From<Fault> for Wrong {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Broken(message) => Self::Broken(message),
            Fault::Contradiction(message) => Self::Contradiction(message),
        }
    }
}

impl From<String> for Wrong {
    fn from(message: String) -> Self {
        Self::Broken(message)
    }
}

impl<'a> Frame<'a> {
    /// The value of `key` for this frame, unless it is null or, in what was a table once, an empty text.
    fn get(self, key: &str) -> Option<&'a Value> {
        let given = |map: &'a Map<String, Value>| map.get(key).filter(|v| !v.is_null() && *v != "");
        given(self.own).or_else(|| given(self.all))
    }

    fn number(self, key: &str) -> Result<Option<f64>, String> {
        let Some(value) = self.get(key) else { return Ok(None) };
        number(value).map(Some).ok_or_else(|| format!("`{key}` is {value}, expected a number"))
    }

    fn is(self, key: &str) -> bool {
        self.get(key).and_then(number).is_some_and(|n| n != 0.0)
    }

    /// The mask that the frame names.
    pub(super) fn mask(self) -> Option<&'a str> {
        ["mask_path", "mask_file_path"].iter().find_map(|key| self.own.get(*key)?.as_str())
    }

    /// The depth map that the frame names, and the unit that its dialect gives it. A unit that is not above 0 says, in
    /// instant-ngp's dialect, that there is no depth.
    pub(super) fn depth(self) -> Option<(&'a str, Meaning)> {
        let unit = |key: &str| self.get(key).and_then(number);
        let (studio, ngp) = (unit("depth_unit_scale_factor"), unit("integer_depth_scale"));
        let path = |key: &str| self.own.get(key)?.as_str();
        let (path, unit) = match (path("depth_file_path"), path("depth_path")) {
            (Some(path), _) => (path, studio.or(ngp).unwrap_or(1e-3)),
            (None, Some(path))
                if self.get("enable_depth_loading").is_none() || self.is("enable_depth_loading") =>
            {
                (path, ngp.or(studio).unwrap_or(1e-3))
            }
            _ => return None,
        };
        (unit > 0.0 && unit.is_finite()).then_some((path, Meaning::Depth { png: unit, npy: unit }))
    }

    /// Whether the frame has a depth map in instant-ngp's dialect without its unit.
    pub(super) fn depth_is_undeclared(self) -> bool {
        debug_assert!(matches!(UNDECLARED, Meaning::Depth { png, .. } if png == 1e-3));
        let unit =
            ["depth_unit_scale_factor", "integer_depth_scale"].iter().any(|key| self.get(key).is_some());
        !unit && !self.own.contains_key("depth_file_path") && self.depth().is_some()
    }

    /// Pose, intrinsics and lens.
    pub(super) fn camera(self) -> Result<(Pose, Intrinsics, Option<Lens>), Wrong> {
        let pose = self.pose()?;
        Ok((pose, self.intrinsics()?, self.lens()?))
    }

    fn pose(self) -> Result<Pose, Fault> {
        let matrix = ["transform_matrix", "transform_matrix_start"].iter().find_map(|key| self.own.get(*key));
        let value = matrix.ok_or_else(|| Fault::Broken("it has no `transform_matrix`".into()))?;
        Pose::opengl_to_world(&text::matrix(value))
    }

    fn intrinsics(self) -> Result<Intrinsics, String> {
        let side = |key: &str| match self.number(key)? {
            // Some exporters write 360.0.
            Some(n) if n.fract() == 0.0 && (1.0..=1048576.0).contains(&n) => Ok(Some(n as u64)),
            Some(n) => Err(format!("a side of the image is {n} pixels, expected 1 to 1048576")),
            None => Ok(None),
        };
        let focal = [self.number("fl_x")?, self.number("fl_y")?];
        let angle = |degrees: &str, radians: &str| {
            let angle = self.number(degrees)?.map(f64::to_radians);
            let angle = if angle.is_some() { angle } else { self.number(radians)? };
            match angle {
                // Some exporters write an angle of 0 beside a focal length.
                _ if focal != [None; 2] => Ok(None),
                Some(a) if !(a > 0.0 && a < std::f64::consts::PI) => Err(format!(
                    "the angle of view is {a} radians, expected 0 to pi; `{degrees}` is the key of degrees"
                )),
                other => Ok(other),
            }
        };
        Ok(Intrinsics {
            size: side("w")?.zip(side("h")?),
            focal,
            center: [self.number("cx")?, self.number("cy")?],
            angle: [angle("x_fov", "camera_angle_x")?, angle("y_fov", "camera_angle_y")?],
            film: None,
        })
    }

    fn lens(self) -> Result<Option<Lens>, Wrong> {
        for panorama in ["latlong", "equirectangular"] {
            if self.is(panorama) {
                return Err(Wrong::Model("EQUIRECTANGULAR".into()));
            }
        }
        if self.get("ftheta_p0").is_some() {
            return Err(Wrong::Model("F-theta".into()));
        }
        let named = self.get("camera_model").and_then(Value::as_str).unwrap_or("OPENCV").to_ascii_uppercase();
        let model = |name: &str, lens: &[f64]| {
            let model = CameraModel::by_name(name).expect("one of COLMAP's models");
            // The focal lengths and principal point are not part of the lens.
            let numbers = [&[1.0, 1.0, 0.0, 0.0], lens].concat();
            model.camera(&numbers).map(|(_, lens)| lens).map_err(Wrong::Broken)
        };
        if let Some(list) = self.get("distortion_params").and_then(Value::as_array)
            && matches!(named.as_str(), "FISHEYE624" | "RAD_TAN_THIN_PRISM_FISHEYE")
        {
            return model("RAD_TAN_THIN_PRISM_FISHEYE", &list.iter().filter_map(number).collect::<Vec<_>>());
        }
        let of = |key: &str| Ok::<f64, String>(self.number(key)?.unwrap_or_default());
        let k = [of("k1")?, of("k2")?, of("k3")?, of("k4")?];
        let p = [of("p1")?, of("p2")?];
        let rational = [of("k5")?, of("k6")?];
        match named.as_str() {
            "OPENCV_FISHEYE" | "FISHEYE" | "SIMPLE_FISHEYE" | "RADIAL_FISHEYE" | "SIMPLE_RADIAL_FISHEYE" => {
                model("OPENCV_FISHEYE", &k)
            }
            _ if self.is("is_fisheye") => model("OPENCV_FISHEYE", &k),
            "FULL_OPENCV" => {
                model("FULL_OPENCV", &[k[0], k[1], p[0], p[1], k[2], k[3], rational[0], rational[1]])
            }
            "OPENCV" | "PINHOLE" | "SIMPLE_PINHOLE" | "SIMPLE_RADIAL" | "RADIAL" | "PERSPECTIVE"
            | "BROWN_CONRADY" => {
                if rational != [0.0; 2] {
                    return Err(Wrong::Broken(format!(
                        "k5 and k6 are {rational:?}, but the model is {named}; FULL_OPENCV has such numbers"
                    )));
                }
                Lens::polynomial(k, p).map_err(Wrong::Broken)
            }
            other => Err(Wrong::Model(other.into())),
        }
    }
}
