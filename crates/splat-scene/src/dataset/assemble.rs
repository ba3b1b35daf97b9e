//! From what a format lists to views that can be loaded: photographs found and measured, intrinsics scaled to the size
//! that is read, masks and depth maps matched, views split. Oddities become warnings.

use std::path::Path;

use image::metadata::Orientation;
use splat_core::Camera;

use super::capture::{Capture, Posed};
use super::companions::Companions;
use super::photos;
use crate::image::photo;
use crate::image::picture::{Recipe, same_shape};
use crate::image::warp::Warp;
use crate::{Dataset, Error, OpenOptions, Origin, Remedy, Result, View};

/// Squares of distances between points farther out overflow an `f32`.
const FARTHEST: f32 = 1e15;

pub(crate) fn assemble(capture: Capture, options: &OpenOptions) -> Result<Dataset> {
    let Capture { source, root, file, mut posed, mut points, photos, depth, mut warnings } = capture;
    posed.sort_by(|a, b| a.name.cmp(&b.name));
    let listed = posed.len();
    posed.dedup_by(|b, a| a.name == b.name);
    if posed.len() < listed {
        warnings.push(format!(
            "{} lists {} photographs more than once: the first pose of each is used",
            file.display(),
            listed - posed.len()
        ));
    }
    let total = posed.len();
    if let Some(wanted) = options.downscale
        && photos.reduction > wanted
    {
        warnings.push(format!(
            "1/{wanted} of the full size was asked for, but {} is the largest folder there is",
            photos.path.display()
        ));
    }
    let companions = Companions::find(&root, photos.reduction, options)?;
    let (mut views, mut held, mut missing) = (Vec::with_capacity(total), Vec::new(), Vec::new());
    let (mut not_rotated, mut lost) = (Vec::new(), Vec::new());
    for mut p in posed {
        let Some(path) = photos::locate(&photos.path, &p.name) else {
            missing.push(p.name);
            continue;
        };
        let mut meaning = depth;
        for what in [&mut p.mask, &mut p.depth] {
            if let Some(file) = what.take_if(|file| !file.is_file()) {
                lost.push(file);
            }
        }
        p.mask = p.mask.or_else(|| companions.mask(&p.name));
        if p.depth.is_none()
            && let Some((path, means)) = companions.depth(&p.name)
        {
            (p.depth, meaning) = (Some(path), means);
        }
        held.push(p.held_out);
        let header = photo::header(&path)?;
        let turn = turn(&p, header);
        if turn == Orientation::NoTransforms && header.orientation != turn {
            not_rotated.push(p.name.clone());
        }
        let broken = |message| Error::Camera { path: file.clone(), camera: p.name.clone(), message };
        let (w, h) = header.size;
        let upright = if photo::swaps(turn) { (h, w) } else { (w, h) };
        let (size, intrinsics) = p.intrinsics.resolve(upright).map_err(broken)?;
        if !photos::same_aspect(upright, size) {
            return Err(Error::Aspect { path, image: upright, camera: size });
        }
        let working = photos::target(upright, size, options.downscale);
        let scale = [f64::from(working.0) / size.0 as f64, f64::from(working.1) / size.1 as f64];
        let mut intrinsics: [f64; 4] = std::array::from_fn(|k| intrinsics[k] * scale[k % 2]);
        let mut final_size = working;
        let warp = p.lens.map(|lens| Warp::new(lens, intrinsics, working));
        if let Some(warp) = &warp {
            (intrinsics, final_size) = (warp.to, warp.size);
        }
        let camera =
            Camera::from_pinhole(final_size.0, final_size.1, intrinsics, p.pose.rotation, p.pose.translation);
        let tangents = [camera.tan_fovx, camera.tan_fovy];
        let numbers = camera.view.iter().chain(&camera.proj).chain(&camera.campos).chain(&tangents);
        if !numbers.copied().all(f32::is_finite) {
            return Err(broken(format!(
                "the numbers are too large to compute with: intrinsics {intrinsics:?}, centre {:?}",
                p.pose.center()
            )));
        }
        if let Some(mask) = &p.mask {
            same_shape(mask, "mask", photo::header(mask)?.size, working)?;
        }
        // The sizes of NumPy files are checked when they are loaded.
        if let Some(depth) = p.depth.as_ref().filter(|d| d.extension().is_some_and(|e| e != "npy")) {
            same_shape(depth, "depth map", photo::header(depth)?.size, working)?;
        }
        let recipe = Recipe { file_size: header.size, turn, working, warp, depth: meaning };
        let center = p.pose.center();
        views.push(View { name: p.name, path, camera, center, mask: p.mask, depth: p.depth, recipe });
    }
    if !missing.is_empty() || views.is_empty() {
        let first = missing.first().cloned().unwrap_or_default();
        let error =
            Error::MissingImages { folder: photos.path.clone(), missing: missing.len(), total, first };
        if options.strict || views.is_empty() {
            return Err(error);
        }
        warnings.push(format!("{error}; these views are left out"));
    }
    warn_about(&mut warnings, &not_rotated, |n, first| {
        format!(
            "{n} photographs have an EXIF orientation that is not applied, because their cameras match the image as \
             it is stored; the first is {first}"
        )
    });
    let lost: Vec<String> = lost.iter().map(|p| p.display().to_string()).collect();
    warn_about(&mut warnings, &lost, |n, first| {
        format!("{n} masks or depth maps that the dataset names are missing; the first is {first}")
    });
    for (has, what, present) in [
        (companions.has_masks(), "mask", (|v| v.mask.is_some()) as fn(&View) -> bool),
        (companions.has_depths(), "usable depth map", |v| v.depth.is_some()),
    ] {
        let without: Vec<String> =
            views.iter().filter(|v| has && !present(v)).map(|v| v.name.clone()).collect();
        warn_about(&mut warnings, &without, |n, first| {
            format!("{n} of {} views have no {what}; the first is {first}", views.len())
        });
    }
    let before = points.len();
    points.retain(|p| p.position.iter().all(|x| x.abs() < FARTHEST));
    if points.len() < before {
        warnings.push(format!(
            "{} of {before} points are left out: their coordinates are not finite or beyond {FARTHEST:e}",
            before - points.len()
        ));
    }
    let (train, test) = split(&views, &held, options, &mut warnings);
    if train.is_empty() {
        let listed = held.contains(&Some(true)) || options.test_list.is_some();
        return Err(Error::AllHeldOut {
            path: photos.path,
            views: views.len(),
            remedy: if listed { Remedy::EmptyTestList } else { Remedy::ZeroTestEvery },
        });
    }
    let far = far(&views, &mut warnings);
    let near: Vec<usize> = train.iter().copied().filter(|i| !far.contains(i)).collect();
    let counted = if near.is_empty() { &train } else { &near };
    let scene_extent = extent(counted.iter().map(|&i| views[i].center));
    let origin = Origin::default();
    Ok(Dataset { source, views, train, test, origin, points, scene_extent, warnings })
}

/// Adds a warning about `names`, if there are any.
fn warn_about(warnings: &mut Vec<String>, names: &[String], say: impl Fn(usize, &str) -> String) {
    if let Some(first) = names.first() {
        warnings.push(say(names.len(), first));
    }
}

/// The rotation to apply to a photograph. The EXIF orientation counts only if the camera has the shape of the rotated
/// image and not that of the stored one: some reconstruction programs apply it, and COLMAP does not.
fn turn(posed: &Posed, header: photo::Header) -> Orientation {
    let (w, h) = header.size;
    match posed.intrinsics.size {
        Some(camera)
            if photo::swaps(header.orientation)
                && !photos::same_aspect((w, h), camera)
                && photos::same_aspect((h, w), camera) =>
        {
            header.orientation
        }
        _ => Orientation::NoTransforms,
    }
}

/// Training and held-out views: by the list, by the dataset's own split, or by every N-th view.
fn split(
    views: &[View],
    held: &[Option<bool>],
    options: &OpenOptions,
    warnings: &mut Vec<String>,
) -> (Vec<usize>, Vec<usize>) {
    if let Some(list) = &options.test_list {
        let stem = |name: &str| Path::new(name).with_extension("");
        let is = |view: &View, name: &str| view.name == name || stem(&view.name) == Path::new(name);
        let unknown: Vec<String> = list.iter().filter(|n| !views.iter().any(|v| is(v, n))).cloned().collect();
        warn_about(warnings, &unknown, |n, first| {
            format!(
                "{n} of {} names in the list of held-out views match no view; the first is {first}",
                list.len()
            )
        });
        return (0..views.len()).partition(|&i| !list.iter().any(|n| is(&views[i], n)));
    }
    if held.contains(&Some(true)) {
        return (0..views.len()).partition(|&i| held[i] != Some(true));
    }
    if views.len() == 1 && options.test_every > 0 {
        warnings.push("there is only one view, so none is held out".into());
        return (vec![0], Vec::new());
    }
    let held_out = |i: &usize| options.test_every > 0 && i.is_multiple_of(options.test_every as usize);
    (0..views.len()).partition(|i| !held_out(i))
}

fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    (0..3).map(|k| (a[k] - b[k]).powi(2)).sum::<f64>().sqrt()
}

/// Cameras more than a thousand times farther out than half of all cameras; each is warned about. A single one would
/// determine the scene's extent, and through it a learning rate of positions that flings every Gaussian out of sight.
fn far(views: &[View], warnings: &mut Vec<String>) -> Vec<usize> {
    let middle = |mut numbers: Vec<f64>| {
        numbers.sort_by(f64::total_cmp);
        numbers[numbers.len() / 2]
    };
    let center = std::array::from_fn(|k| middle(views.iter().map(|v| v.center[k]).collect()));
    let distances: Vec<f64> = views.iter().map(|v| distance(v.center, center)).collect();
    let usual = middle(distances.clone());
    let far: Vec<usize> =
        (0..views.len()).filter(|&i| usual > 0.0 && distances[i] > 1000.0 * usual).collect();
    let names: Vec<String> = far.iter().map(|&i| views[i].name.clone()).collect();
    warn_about(warnings, &names, |n, first| {
        format!(
            "{n} cameras are over 1000 times farther out than half of the cameras and are ignored for the scene's \
             extent; the first is {first}"
        )
    });
    far
}

/// 1.1 times the largest distance from the mean, or 1 if that is 0 (a single camera), so that learning rates scaled by
/// it do not vanish.
fn extent(centers: impl Iterator<Item = [f64; 3]> + Clone) -> f64 {
    let n = centers.clone().count() as f64;
    let mean = centers.clone().fold([0.0; 3], |m, c| std::array::from_fn(|k| m[k] + c[k] / n));
    let largest = centers.map(|c| distance(c, mean)).fold(0.0, f64::max);
    if largest > 1e-9 { 1.1 * largest } else { 1.0 }
}
