//! Whether a dataset makes sense before anything is trained on it: do cameras see the points, can they see depth, can
//! `f32` tell their places apart. Nothing here refuses a dataset; [`Finding`]s say what to expect of it.
//!
//! Lengths are world units, angles degrees. Points are sampled, so that the work is bounded: at most [`SAMPLE`] points per
//! camera. A point closer than [`NEAREST`] counts as unseen, because rasterizers cut it off.

use std::fmt;
use std::path::Path;

use super::colmap::{Reading, Reprojection};
use crate::image::photo;
use crate::{Dataset, View};

/// Points that are looked at.
const SAMPLE: usize = 2000;
/// Points that a camera which sees none of the sample looks at.
const SECOND_SAMPLE: usize = 50_000;
/// The near plane of the original rasterizer and of those that follow it, in world units.
const NEAREST: f64 = 0.2;
/// Below this share of seen points or of seeing cameras, points and cameras do not belong together.
const APART: f64 = 0.02;
/// Below this share, some of them do not.
const PARTLY: f64 = 0.5;
/// A lens of 2000 mm on a full frame, and what a pinhole cannot show any more.
const NARROWEST: f64 = 1.0;
const WIDEST: f64 = 170.0;
/// How far from the middle a principal point may be, as a share of the way to the image's edge. Parts cut from photographs
/// have theirs far out; one that was divided by the image's size is in a corner.
const CENTERED: f64 = 0.9;
/// Masks that are looked at.
const MASKS: usize = 8;
/// Extent of the cameras over the distance to the points, below which depth cannot be told.
const BASELINE: f64 = 0.01;
/// Steps of `f32` in the extent of the cameras.
const STEPS: f64 = 1e4;
/// How many times the largest plausible distance of points from their observations leaves nothing to learn.
const HOPELESS: f64 = 3.0;

/// What [`Dataset::plausibility`] measured.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Plausibility {
    /// The share of the points that some camera sees, 0 to 1; `None` without points.
    pub points_seen: Option<f64>,
    /// The share of the cameras that see some point, 0 to 1; `None` without points.
    pub cameras_seeing: Option<f64>,
    /// The smallest and largest field of view, along the longer side of the image, in degrees.
    pub field_of_view: [f64; 2],
    /// Twice the median distance of the cameras from the middle of all cameras, in world units.
    pub baseline: f64,
    /// The median distance of a point in view from a camera, along its axis, in world units; `None` if none is in view.
    pub depth: Option<f64>,
    /// The largest coordinate of a camera, in local coordinates.
    pub reach: f64,
    /// [`Dataset::scene_extent`].
    pub extent: f64,
    /// What is not plausible, the worst first.
    pub findings: Vec<Finding>,
}

/// Something about a dataset that is not plausible. Its text has the number found and the one expected.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Finding {
    /// The points of a reconstruction are not where its photographs observed them.
    Contradiction(Reprojection),
    /// Next to no camera sees any point, or next to no point is seen: the points belong to something else.
    PointsElsewhere {
        /// The share of the points that some camera sees.
        points_seen: f64,
        /// The share of the cameras that see some point.
        cameras_seeing: f64,
        /// The middle of the points, in world coordinates.
        points_at: [f64; 3],
        /// The middle of the cameras, in world coordinates.
        cameras_at: [f64; 3],
    },
    /// The points are in front of the cameras, but nearer than the rasterizer's near plane: the scene is too small.
    TooSmall {
        /// The median distance of the points, in world units.
        depth: f64,
    },
    /// Many points are seen by no camera.
    PointsOutOfView {
        /// The share of the points that some camera sees.
        points_seen: f64,
    },
    /// Many cameras see no point.
    CamerasAstray {
        /// The share of the cameras that see some point.
        cameras_seeing: f64,
        /// The name of the first view without a point.
        first: String,
    },
    /// A field of view that hardly any lens has.
    FieldOfView {
        /// The field of view in degrees.
        degrees: f64,
        /// How many views have such a one.
        views: usize,
        /// The first of them.
        first: String,
    },
    /// The principal point is at the edge of the image or outside: the intrinsics are probably for another size.
    PrincipalPoint {
        /// The principal point in pixels of the image that is read.
        at: [f64; 2],
        /// Width and height of that image.
        size: [u32; 2],
        /// How many views have such a one.
        views: usize,
        /// The first of them.
        first: String,
    },
    /// The masks leave no pixel to train on.
    AllMasked {
        /// How many masks were looked at, all of which are black.
        masks: usize,
        /// The first of them.
        first: String,
    },
    /// The cameras are so close to each other, against the distance of the points, that they cannot tell depth.
    NoBaseline {
        /// Twice the median distance of the cameras from their middle, in world units.
        baseline: f64,
        /// The median distance of a point from a camera, in world units.
        depth: f64,
    },
    /// `f32` is too coarse at these coordinates.
    Coarse {
        /// The largest coordinate of a camera.
        reach: f64,
        /// The extent of the cameras.
        extent: f64,
    },
}

impl Finding {
    /// Whether training cannot give a picture of the scene.
    #[must_use]
    pub fn is_severe(&self) -> bool {
        match self {
            Self::PointsElsewhere { .. } | Self::TooSmall { .. } | Self::AllMasked { .. } => true,
            Self::Contradiction(found) => {
                found.error > HOPELESS * found.allowed && (found.tracked || found.reading.is_some())
            }
            _ => false,
        }
    }

    /// Whether it does not matter to a training that places points of its own.
    #[must_use]
    pub fn is_about_points(&self) -> bool {
        matches!(self, Self::PointsElsewhere { .. } | Self::Contradiction(Reprojection { reading: None, .. }))
    }

    /// One line on what can be done.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Contradiction(found) => match found.reading {
                Some((Reading::ScalarLast, _)) => {
                    "write the quaternions in the order w x y z, as COLMAP has them"
                }
                Some((Reading::CameraToWorld, _)) => {
                    "write the inverse of each pose: COLMAP's rotation and translation lead from the world to the camera"
                }
                Some((Reading::OpenGl, _)) => {
                    "negate the y and z axes of the cameras: COLMAP's look along the positive z axis, with y down"
                }
                Some((Reading::OtherSize, _)) => {
                    "write focal lengths and principal points for the width and height that the cameras state"
                }
                None => {
                    "export cameras, poses and points anew and together; common causes are points that were replaced, moved, turned or \
                     scaled without the cameras, quaternions in another order than w x y z, flipped axes, and focal lengths \
                     for another image size"
                }
            },
            Self::PointsElsewhere { .. } => {
                "export poses and points together and in one coordinate system, or take the file of points away to \
                 begin with points of the trainer's own"
            }
            Self::TooSmall { .. } => {
                "scale poses and points up together, so that the scene is some units away"
            }
            Self::PointsOutOfView { .. } => {
                "check that the points are of this reconstruction; points that no camera sees are not trained"
            }
            Self::CamerasAstray { .. } => {
                "check the poses of these views, or leave their photographs out: they may come from a failed registration"
            }
            Self::FieldOfView { .. } => {
                "check that focal lengths are in pixels of the stated size, and angles in radians"
            }
            Self::PrincipalPoint { .. } => {
                "check that the photographs have the size that the intrinsics are for, and that the principal point is in pixels"
            }
            Self::AllMasked { .. } => {
                "white is trained on and black is ignored: make the masks so, or give a folder of others"
            }
            Self::NoBaseline { .. } => {
                "move the camera between photographs: turning on the spot shows no depth"
            }
            Self::Coarse { .. } => "subtract a common offset from poses and points before exporting them",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| 100.0 * share;
        let at = |p: &[f64; 3]| format!("({:.4}, {:.4}, {:.4})", p[0], p[1], p[2]);
        match self {
            Self::Contradiction(Reprojection { error, allowed, observations, reading, .. }) => {
                write!(f, "the reconstruction contradicts itself: ")?;
                if error.is_finite() {
                    write!(
                        f,
                        "its points are drawn {error:.1} pixels from where the photographs observed them (the median of \
                         {observations} observations)"
                    )?;
                } else {
                    write!(
                        f,
                        "half of its points are behind the cameras that observed them ({observations} observations)"
                    )?;
                }
                write!(f, ", expected up to {allowed:.1} pixels")?;
                reading.map_or(Ok(()), |(reading, left)| write!(f, "; with {reading} it would be {left:.1}"))
            }
            Self::PointsElsewhere { points_seen, cameras_seeing, points_at, cameras_at } => write!(
                f,
                "cameras and points do not belong together: {:.1} % of the points are in view of any camera, and {:.1} % \
                 of the cameras see any point, expected {:.0} % or more; the middle of the points is {}, that of the \
                 cameras {}",
                percent(*points_seen),
                percent(*cameras_seeing),
                percent(PARTLY),
                at(points_at),
                at(cameras_at)
            ),
            Self::TooSmall { depth } => write!(
                f,
                "the points are {depth:.3e} world units away from the cameras, but nothing nearer than {NEAREST} is drawn"
            ),
            Self::PointsOutOfView { points_seen } => write!(
                f,
                "only {:.1} % of the points are in view of any camera, expected {:.0} % or more",
                percent(*points_seen),
                percent(PARTLY)
            ),
            Self::CamerasAstray { cameras_seeing, first } => write!(
                f,
                "only {:.1} % of the cameras see any point, expected {:.0} % or more; the first without one is {}",
                percent(*cameras_seeing),
                percent(PARTLY),
                crate::error::printable(first)
            ),
            Self::FieldOfView { degrees, views, first } => write!(
                f,
                "{views} views have a field of view of {degrees:.3e} degrees or so, expected {NARROWEST} to {WIDEST}; the \
                 first is {}",
                crate::error::printable(first)
            ),
            Self::PrincipalPoint { at, size, views, first } => write!(
                f,
                "{views} views have a principal point at the edge of their image or outside: ({:.1}, {:.1}) in {}x{} \
                 pixels; the first is {}",
                at[0],
                at[1],
                size[0],
                size[1],
                crate::error::printable(first)
            ),
            Self::AllMasked { masks, first } => write!(
                f,
                "{masks} of {masks} masks that were looked at are black everywhere, expected some white; the first is {}",
                crate::error::printable(first)
            ),
            Self::NoBaseline { baseline, depth } => write!(
                f,
                "the cameras are {baseline:.3e} world units apart and the points {depth:.3e} away, expected a ratio of \
                 {BASELINE} or more"
            ),
            Self::Coarse { reach, extent } => write!(
                f,
                "the cameras are up to {reach:.4e} world units from the origin and only {extent:.4e} apart: `f32` \
                 tells {:.0} places apart, expected {STEPS} or more",
                steps(*reach, *extent)
            ),
        }
    }
}

/// How many neighbouring `f32` values at `reach` an extent has.
fn steps(reach: f64, extent: f64) -> f64 {
    extent / (reach * f64::from(f32::EPSILON))
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// At most `n` of `items`, evenly spread.
fn some<T>(items: &[T], n: usize) -> impl Iterator<Item = &T> + Clone {
    items.iter().step_by(items.len().div_ceil(n).max(1))
}

/// The depth of a point in the camera of `view` if it falls into the image, however near it is.
fn depth_in(view: &View, p: [f32; 3]) -> Option<f64> {
    let p = p.map(f64::from);
    let row = |m: &[f32; 16], r: usize| {
        (0..3).map(|c| f64::from(m[4 * c + r]) * p[c]).sum::<f64>() + f64::from(m[12 + r])
    };
    let (x, y, w) = (row(&view.camera.proj, 0), row(&view.camera.proj, 1), row(&view.camera.proj, 3));
    (w > 0.0 && x.abs() <= w && y.abs() <= w).then_some(w)
}

impl Dataset {
    /// Measures whether cameras, points and angles go together. The work is bounded by a sample of the points: some
    /// milliseconds for hundreds of views.
    #[must_use]
    pub fn plausibility(&self) -> Plausibility {
        let middle = |axis: usize, of: &mut dyn Iterator<Item = [f64; 3]>| {
            median(of.map(|p| p[axis]).collect()).unwrap_or_default()
        };
        let cameras_at: [f64; 3] =
            std::array::from_fn(|k| middle(k, &mut self.views.iter().map(|v| v.center)));
        let points = || some(&self.points, SAMPLE).map(|p| p.position);
        let points_at: [f64; 3] = std::array::from_fn(|k| middle(k, &mut points().map(|p| p.map(f64::from))));
        let apart = |a: [f64; 3], b: [f64; 3]| (0..3).map(|k| (a[k] - b[k]).powi(2)).sum::<f64>().sqrt();
        let angles: Vec<f64> = self.views.iter().map(field_of_view).collect();
        let mut found = Plausibility {
            field_of_view: [
                angles.iter().copied().fold(f64::INFINITY, f64::min),
                angles.iter().copied().fold(0.0, f64::max),
            ],
            baseline: 2.0
                * median(self.views.iter().map(|v| apart(v.center, cameras_at)).collect()).unwrap_or(0.0),
            reach: self.views.iter().flat_map(|v| v.center).map(f64::abs).fold(0.0, f64::max),
            extent: self.scene_extent,
            ..Plausibility::default()
        };
        let mut findings = Vec::new();
        if !self.points.is_empty() && !self.views.is_empty() {
            let sees = |view: &View, p: [f32; 3]| depth_in(view, p).is_some_and(|d| d > NEAREST);
            let total = points().count() as f64;
            let seen = points().filter(|p| self.views.iter().any(|v| sees(v, *p))).count() as f64 / total;
            let more = || some(&self.points, SECOND_SAMPLE).map(|p| p.position);
            let blind = |v: &&View| !points().any(|p| sees(v, p)) && !more().any(|p| sees(v, p));
            let blind: Vec<&View> = self.views.iter().filter(blind).collect();
            let seeing = 1.0 - blind.len() as f64 / self.views.len() as f64;
            let few = || some(&self.views, 64);
            let depths: Vec<f64> =
                few().flat_map(|v| points().step_by(10).filter_map(move |p| depth_in(v, p))).collect();
            found.depth = median(depths);
            (found.points_seen, found.cameras_seeing) = (Some(seen), Some(seeing));
            let world = |p: [f64; 3]| std::array::from_fn(|k| p[k] + self.origin.offset[k]);
            if seen.min(seeing) < APART {
                findings.push(match found.depth {
                    Some(depth) if depth <= NEAREST => Finding::TooSmall { depth },
                    _ => Finding::PointsElsewhere {
                        points_seen: seen,
                        cameras_seeing: seeing,
                        points_at: world(points_at),
                        cameras_at: world(cameras_at),
                    },
                });
            } else {
                if seen < PARTLY {
                    findings.push(Finding::PointsOutOfView { points_seen: seen });
                }
                if seeing < PARTLY {
                    let first = blind[0].name.clone();
                    findings.push(Finding::CamerasAstray { cameras_seeing: seeing, first });
                }
            }
            if let Some(depth) = found.depth
                && self.views.len() > 1
                && found.baseline < BASELINE * depth
            {
                findings.push(Finding::NoBaseline { baseline: found.baseline, depth });
            }
        }
        let odd = |i: &usize| !(NARROWEST..=WIDEST).contains(&angles[*i]);
        if let Some(first) = (0..angles.len()).find(odd) {
            findings.push(Finding::FieldOfView {
                degrees: angles[first],
                views: (0..angles.len()).filter(odd).count(),
                first: self.views[first].name.clone(),
            });
        }
        let outside = |v: &&View| principal_point(v).iter().any(|x| x.abs() > CENTERED);
        if let Some(first) = self.views.iter().find(outside) {
            let size = [first.camera.width, first.camera.height];
            let at = principal_point(first);
            findings.push(Finding::PrincipalPoint {
                at: [0, 1].map(|k| 0.5 * f64::from(size[k]) * (1.0 + at[k])),
                size,
                views: self.views.iter().filter(outside).count(),
                first: first.name.clone(),
            });
        }
        let masks: Vec<&Path> = self.views.iter().filter_map(|v| v.mask.as_deref()).collect();
        let masks: Vec<&Path> = some(&masks, MASKS).copied().collect();
        let black = |path: &&Path| photo::mask(path).is_ok_and(|m| m.pixels.iter().all(|&p| p == 0));
        if let Some(first) = masks.first()
            && masks.iter().all(black)
        {
            findings.push(Finding::AllMasked { masks: masks.len(), first: first.display().to_string() });
        }
        if self.views.len() > 1 && found.reach > 0.0 && steps(found.reach, found.extent) < STEPS {
            findings.push(Finding::Coarse { reach: found.reach, extent: found.extent });
        }
        // Points elsewhere are not where they were observed either.
        let elsewhere = matches!(findings.first(), Some(Finding::PointsElsewhere { .. }));
        if let Some(found) = self.reprojection.filter(|r| !r.is_plausible())
            && (found.reading.is_some() || !elsewhere)
        {
            findings.insert(0, Finding::Contradiction(found));
        }
        found.findings = findings;
        found
    }
}

/// Along the longer side of the image, in degrees.
fn field_of_view(view: &View) -> f64 {
    let tangent = f64::from(view.camera.tan_fovx.max(view.camera.tan_fovy));
    2.0 * tangent.atan().to_degrees()
}

/// In normalised device coordinates: 0 in the middle of the image, -1 and 1 at its edges.
fn principal_point(view: &View) -> [f64; 2] {
    let projection = view.camera.projection();
    [projection[0][2], projection[1][2]]
}
