//! Whether a COLMAP model agrees with itself: do its points, seen by its cameras, fall where its images observed them?
//! Cameras that are written wrongly, or changed without the points, do not show otherwise until a scene trained on them stays
//! a blur.
//!
//! Distances are pixels of the images that the model's cameras are for. A sample is looked at: that of
//! [`Tracks::Sample`](super::Tracks::Sample).

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::{Camera, Image, Model, Point3d};

/// Fewer observations than this prove nothing.
const FEWEST: usize = 30;
/// The largest median error of a sound model, as a share of the image's width. Good models have a thousandth.
const ALLOWED: f64 = 0.02;
/// How far from the middle principal points are at most, as a share of the width, in a model that was not changed.
const CENTERED: f64 = 0.02;

/// How far the points of a model are from where its images observed them.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Reprojection {
    /// The median distance in pixels; infinite if half of the points are behind the cameras that observed them.
    pub error: f64,
    /// Up to here it would be plausible, in pixels.
    pub allowed: f64,
    /// How many observations were looked at.
    pub observations: usize,
    /// Whether most of their points have tracks too. Points that replaced those of the reconstruction have none, and
    /// may bear the ids of others by chance.
    pub tracked: bool,
    /// If the model is sound when read in another way: that way, and the distance in pixels that it leaves.
    pub reading: Option<(Reading, f64)>,
}

/// What the writer of a model may have meant by its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reading {
    /// Quaternions are in the order x y z w instead of w x y z.
    ScalarLast,
    /// Poses are from camera to world instead of from world to camera.
    CameraToWorld,
    /// Cameras look along the negative z axis with y up, as in OpenGL.
    OpenGl,
    /// Intrinsics are for images of another size than the observations and than the one that the cameras state.
    OtherSize,
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ScalarLast => "quaternions read as x y z w",
            Self::CameraToWorld => "poses read as camera to world",
            Self::OpenGl => "cameras read as those of OpenGL",
            Self::OtherSize => "intrinsics of another image size",
        })
    }
}

impl Reprojection {
    /// Whether points and observations agree.
    #[must_use]
    pub fn is_plausible(&self) -> bool {
        self.error <= self.allowed
    }
}

/// Rotation and translation from world to camera.
type Rigid = ([[f64; 3]; 3], [f64; 3]);
/// How the numbers of an image are read.
type Read = fn(&Image) -> Rigid;

/// A point, where it was observed, and by which image with which camera.
struct Observation<'a> {
    image: &'a Image,
    camera: &'a Camera,
    seen: [f64; 2],
    point: &'a Point3d,
}

/// The error of a sample of observations. `None` if the model names too few, or if they are for images of another size than
/// its cameras, as when only the cameras were scaled down with the photographs.
pub(crate) fn measure(model: &Model) -> Option<Reprojection> {
    let sample = observations(model);
    if sample.len() < FEWEST {
        return None;
    }
    let projected = |pose: Read| -> Vec<Option<[f64; 2]>> {
        sample.iter().map(|o| project(o.camera, pose(o.image), o.point.position)).collect()
    };
    // The observation with the median share of the width: that share, its distance and the width, in its pixels.
    let error = |projected: &[Option<[f64; 2]>], scale: f64| {
        let of = |(o, p): (&Observation<'_>, &Option<[f64; 2]>)| {
            let width = scale * o.camera.width as f64;
            let apart = |p: &[f64; 2]| (scale * p[0] - o.seen[0]).hypot(scale * p[1] - o.seen[1]);
            let distance = p.as_ref().map_or(f64::INFINITY, apart);
            (distance / width, distance, width)
        };
        let mut all: Vec<_> = sample.iter().zip(projected).map(of).collect();
        let middle = all.len() / 2;
        *all.select_nth_unstable_by(middle, |a, b| a.0.total_cmp(&b.0)).1
    };
    let stated = projected(stated);
    let (share, distance, width) = error(&stated, 1.0);
    let tracked = sample.iter().filter(|o| !o.point.track.is_empty()).count();
    let mut found = Reprojection {
        error: distance,
        allowed: ALLOWED * width,
        observations: sample.len(),
        tracked: 2 * tracked > sample.len(),
        reading: None,
    };
    if share <= ALLOWED {
        return Some(found);
    }
    let readings: [(Reading, Read); 3] = [
        (Reading::ScalarLast, scalar_last),
        (Reading::CameraToWorld, camera_to_world),
        (Reading::OpenGl, opengl),
    ];
    found.reading = readings.into_iter().find_map(|(reading, pose)| {
        let (share, distance, _) = error(&projected(pose), 1.0);
        (share <= ALLOWED).then_some((reading, distance))
    });
    if found.reading.is_none()
        && let Some(scale) = scale(&sample, &stated)
        && let (share, distance, _) = error(&stated, scale)
        && share <= ALLOWED
    {
        let off = |o: &&Observation<'_>| {
            let [_, _, cx, cy] = o.camera.intrinsics;
            let [w, h] = [o.camera.width, o.camera.height].map(|side| side as f64);
            (cx - 0.5 * w).hypot(cy - 0.5 * h) > CENTERED * w
        };
        if 2 * sample.iter().filter(off).count() < sample.len() {
            return None;
        }
        found.reading = Some((Reading::OtherSize, distance));
    }
    Some(found)
}

/// The observations whose points, cameras and poses are usable: those that the images name, or else those that the tracks
/// of the points name.
fn observations(model: &Model) -> Vec<Observation<'_>> {
    let usable = |image: &&Image| image.fault().is_none();
    let cameras: Vec<(&Image, &Camera)> = model
        .images
        .iter()
        .filter(usable)
        .filter_map(|image| Some((image, model.cameras.get(&image.camera)?.as_ref().ok()?)))
        .collect();
    let finite = |p: &&Point3d| p.position.iter().all(|x| x.is_finite());
    let mut found = Vec::new();
    let named = || cameras.iter().flat_map(|(image, _)| &image.observations).filter(|o| o.2 >= 0);
    if named().next().is_none() {
        let by_id: HashMap<u32, (&Image, &Camera)> = cameras.iter().map(|&(i, c)| (i.id, (i, c))).collect();
        for point in model.points.iter().filter(finite) {
            for &(image, index) in &point.track {
                if let Some(&(image, camera)) = by_id.get(&image)
                    && let Some(&(x, y, _)) = image.observations.get(index as usize)
                {
                    found.push(Observation { image, camera, seen: [x, y], point });
                }
            }
        }
        return found;
    }
    let wanted: HashSet<u64> = named().map(|o| o.2.cast_unsigned()).collect();
    let points = model.points.iter().filter(|p| wanted.contains(&p.id)).filter(finite);
    let points: HashMap<u64, &Point3d> = points.map(|p| (p.id, p)).collect();
    for (image, camera) in cameras {
        for &(x, y, id) in &image.observations {
            if let Some(&point) = points.get(&id.cast_unsigned()) {
                found.push(Observation { image, camera, seen: [x, y], point });
            }
        }
    }
    found
}

/// The pixel that a world point is drawn at; `None` behind the camera or beyond what its lens shows.
fn project(camera: &Camera, (rotation, translation): Rigid, point: [f64; 3]) -> Option<[f64; 2]> {
    let [x, y, z] = moved(rotation, translation, point);
    if z <= 0.0 {
        return None;
    }
    let ray = [x / z, y / z];
    let [x, y] = camera.lens.map_or(Some(ray), |lens| lens.distort(ray))?;
    let [fx, fy, cx, cy] = camera.intrinsics;
    Some([fx * x + cx, fy * y + cy])
}

fn moved(rotation: [[f64; 3]; 3], translation: [f64; 3], point: [f64; 3]) -> [f64; 3] {
    std::array::from_fn(|r| (0..3).map(|c| rotation[r][c] * point[c]).sum::<f64>() + translation[r])
}

/// The median of how many times as far from the image's corner points were observed as they are drawn; `None` if most are not
/// drawn.
fn scale(sample: &[Observation<'_>], drawn: &[Option<[f64; 2]>]) -> Option<f64> {
    let ratio = |(o, p): (&Observation<'_>, &Option<[f64; 2]>)| {
        let ratio = o.seen[0].hypot(o.seen[1]) / p.map(|p| p[0].hypot(p[1]))?;
        (ratio.is_finite() && ratio > 0.0).then_some(ratio)
    };
    let mut ratios: Vec<f64> = sample.iter().zip(drawn).filter_map(ratio).collect();
    let middle = ratios.len() / 2;
    (2 * ratios.len() > sample.len()).then(|| *ratios.select_nth_unstable_by(middle, f64::total_cmp).1)
}

fn stated(image: &Image) -> Rigid {
    (image.rotation_matrix(), image.translation)
}

fn scalar_last(image: &Image) -> Rigid {
    let [x, y, z, w] = image.rotation;
    (super::rotation_matrix([w, x, y, z]), image.translation)
}

fn camera_to_world(image: &Image) -> Rigid {
    let r = image.rotation_matrix();
    let inverse = std::array::from_fn(|row| std::array::from_fn(|column| r[column][row]));
    (inverse, moved(inverse, [0.0; 3], image.translation.map(|x| -x)))
}

fn opengl(image: &Image) -> Rigid {
    let ([x, y, z], [a, b, c]) = stated(image);
    ([x, y.map(|v| -v), z.map(|v| -v)], [a, -b, -c])
}
