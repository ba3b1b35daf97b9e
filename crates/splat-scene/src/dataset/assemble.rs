//! From what a format lists to views that can be loaded: photographs found and measured, an origin chosen, intrinsics
//! scaled to the size that is read, masks and depth maps matched, views split. Oddities become warnings.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use image::metadata::Orientation;
use splat_core::Camera;

use super::capture::{Broken, Capture, Posed, WorldPoint};
use super::companions::{Companions, UNDECLARED};
use super::find::{Finder, is_renamed};
use super::photos;
use super::poses::{FARTHEST, usable};
use super::split::{extent, far, far_out, split};
use crate::image::photo;
use crate::image::picture::{Recipe, same_shape};
use crate::image::warp::Warp;
use crate::{Dataset, Error, OpenOptions, Origin, Point, Remedy, Result, View};

/// Names of frames and photographs that a warning is about.
#[derive(Default)]
struct Oddities {
    renamed: Vec<String>,
    scaled: Vec<(String, f64)>,
    transposed: Vec<String>,
    not_rotated: Vec<String>,
    moved: Vec<String>,
    lost: Vec<String>,
    missing: Vec<String>,
    broken: Vec<Broken>,
    /// What is wrong with pictures whose frames are broken for that reason.
    pictures: Vec<Error>,
}

/// Whether an error is about one photograph, mask or depth map, without which the others can be used.
fn is_of_one_file(error: &Error) -> bool {
    use Error::{Aspect, Companion, CutOff, Decode, NotAFile};
    matches!(error, Aspect { .. } | Companion { .. } | CutOff { .. } | Decode { .. } | NotAFile { .. })
}

pub(crate) fn assemble(capture: Capture, options: &OpenOptions) -> Result<Dataset> {
    let Capture { source, root, file, mut posed, broken, unused, points, photos, mut warnings, reprojection } =
        capture;
    let finder = Finder::default();
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
    let total = posed.len() + broken.len();
    if let Some(wanted) = options.downscale
        && photos.reduction > wanted
    {
        warnings.push(format!(
            "1/{wanted} of the full size was asked for, but {} is the largest folder there is",
            photos.path.display()
        ));
    }
    let companions = Companions::find(&finder, &root, photos.reduction, options)?;
    let points = usable_points(points, &mut warnings);
    let origin = choose_origin(&posed, &points);
    let listed: Vec<&str> = posed.iter().map(|p| p.name.as_str()).collect();
    let missing = listed.iter().filter(|name| finder.photo(&photos.path, name).is_none()).count();
    // A few may have been put away on purpose.
    let moved = if 2 * missing > listed.len() { finder.moved(&photos.path, &listed) } else { HashMap::new() };
    let (mut views, mut held) = (Vec::with_capacity(total), Vec::new());
    // Widths of the pictures over those that their intrinsics are for.
    let mut sizes = Vec::with_capacity(total);
    let mut odd = Oddities { broken, ..Oddities::default() };
    for p in posed {
        let (held_out, name) = (p.held_out, p.name.clone());
        let size = p.intrinsics.size.map(|(w, _)| w);
        let path = finder.photo(&photos.path, &name);
        let path = path.or_else(|| {
            let path = moved.get(&name)?.clone();
            odd.moved.push(format!("{name}, which is {}", path.display()));
            Some(path)
        });
        let Some(path) = path else {
            odd.missing.push(name);
            continue;
        };
        match view(p, path, &finder, &photos.path, &companions, origin, options, &mut odd) {
            Ok(Some(view)) => {
                sizes.push(
                    f64::from(view.recipe.working.0) / size.unwrap_or(view.recipe.working.0.into()) as f64,
                );
                held.push(held_out);
                views.push(view);
            }
            Ok(None) => {}
            Err(error) if is_of_one_file(&error) => {
                odd.broken.push(Broken::new(name, error.to_string()));
                odd.pictures.push(error);
            }
            Err(error) => return Err(error),
        }
    }
    let missing = odd.missing.first().map(|first| Error::MissingImages {
        folder: photos.path.clone(),
        missing: odd.missing.len(),
        total,
        first: first.clone(),
        other: finder.pictures(&photos.path).first().filter(|_| views.is_empty()).cloned(),
    });
    let nothing = views.is_empty();
    // So many wrong pictures are those of something else.
    if (options.strict || nothing || 2 * odd.pictures.len() > total) && !odd.pictures.is_empty() {
        return Err(odd.pictures.swap_remove(0));
    }
    if let Some(first) = odd.broken.first() {
        let error = Error::BrokenFrames {
            path: file.clone(),
            broken: odd.broken.len(),
            total,
            first: first.name.clone(),
            message: first.message.clone(),
        };
        if options.strict || nothing && missing.is_none() {
            let of_model = |model: &String| Error::CameraModel {
                path: file,
                camera: first.name.clone(),
                model: model.clone(),
            };
            return Err(first.model.as_ref().filter(|_| nothing).map_or(error, of_model));
        }
        warnings.push(format!("{error}; left out: {}", names(odd.broken.iter().map(|b| b.name.as_str()))));
    }
    if let Some(error) = missing {
        if options.strict || nothing {
            return Err(error);
        }
        warnings.push(format!("{error}; these views are left out"));
    }
    odd.say(&mut warnings);
    other_sizes(&views, &sizes, &mut warnings);
    let known: Vec<&str> = odd.broken.iter().map(|b| &b.name).chain(&unused).map(String::as_str).collect();
    without_pose(&finder, &photos.path, &views, &known, &mut warnings);
    let has_masks = companions.has_masks() || views.iter().any(|v| v.mask.is_some());
    for (has, what, present) in [
        (has_masks, "mask", (|v| v.mask.is_some()) as fn(&View) -> bool),
        (companions.has_depths(), "usable depth map", |v| v.depth.is_some()),
    ] {
        let without: Vec<String> =
            views.iter().filter(|v| has && !present(v)).map(|v| v.name.clone()).collect();
        warn_about(&mut warnings, &without, |n, first| {
            format!("{n} of {} views have no {what}; the first is {first}", views.len())
        });
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
    let local = |p: &WorldPoint| Point { position: origin.to_local(p.position), color: p.color };
    let points = points.iter().map(local).collect();
    // Names of foreign origin reach terminals through warnings.
    let warnings = warnings.iter().map(|w| crate::error::printable(w)).collect();
    Ok(Dataset { source, views, train, test, origin, points, scene_extent, reprojection, warnings })
}

/// The view of `p`; `None` if it is left out.
#[expect(
    clippy::too_many_arguments,
    reason = "what one view takes from the dataset and from the loop around it"
)]
fn view(
    mut p: Posed,
    path: PathBuf,
    finder: &Finder,
    folder: &Path,
    companions: &Companions,
    origin: Origin,
    options: &OpenOptions,
    odd: &mut Oddities,
) -> Result<Option<View>> {
    if is_renamed(&path, &p.name) {
        odd.renamed.push(format!("{}, whose file is {}", p.name, path.display()));
    }
    if p.pose.scale != 1.0 {
        odd.scaled.push((p.name.clone(), p.pose.scale));
    }
    if p.pose.transposed {
        odd.transposed.push(p.name.clone());
    }
    let variant = |path: &Path| finder.below(path.parent()?, path.file_name()?.to_str()?);
    for file in [p.mask.as_mut(), p.depth.as_mut().map(|(file, _)| file)].into_iter().flatten() {
        match variant(file) {
            Some(found) => *file = found,
            None => odd.lost.push(file.display().to_string()),
        }
    }
    let beside = path.parent().unwrap_or(folder);
    let last = path.file_name().unwrap_or_default().to_string_lossy();
    let mask = p.mask.filter(|m| m.is_file());
    let mask =
        mask.or_else(|| companions.mask(finder, &p.name)).or_else(|| finder.mask_beside(beside, &last));
    let depth = p.depth.filter(|(d, _)| d.is_file()).or_else(|| companions.depth(finder, &p.name));
    let header = photo::header(&path)?;
    let turn = turn(p.intrinsics.size, header);
    if turn == Orientation::NoTransforms && header.orientation != turn {
        odd.not_rotated.push(p.name.clone());
    }
    let (w, h) = header.size;
    let upright = if photo::swaps(turn) { (h, w) } else { (w, h) };
    let (size, intrinsics) = match p.intrinsics.resolve(upright) {
        Ok(resolved) => resolved,
        Err(message) => {
            odd.broken.push(Broken::new(p.name, message));
            return Ok(None);
        }
    };
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
    let pose = p.pose.relative_to(origin.offset);
    let center = pose.center();
    let camera =
        Camera::from_pinhole(final_size.0, final_size.1, intrinsics, pose.rotation, pose.translation);
    let tangents = [camera.tan_fovx, camera.tan_fovy];
    let numbers = camera.view.iter().chain(&camera.proj).chain(&camera.campos).chain(&tangents);
    if !numbers.copied().all(f32::is_finite) {
        let message = format!(
            "the numbers are too large to compute with: intrinsics {intrinsics:?}, centre {:?}",
            p.pose.center()
        );
        odd.broken.push(Broken::new(p.name, message));
        return Ok(None);
    }
    if let Some(mask) = &mask {
        same_shape(mask, "mask", photo::header(mask)?.size, working)?;
    }
    // The sizes of NumPy files are checked when they are loaded.
    if let Some((depth, _)) = depth.as_ref().filter(|(d, _)| d.extension().is_some_and(|e| e != "npy")) {
        same_shape(depth, "depth map", photo::header(depth)?.size, working)?;
    }
    let meaning = depth.as_ref().map_or(UNDECLARED, |(_, meaning)| *meaning);
    let recipe = Recipe { file_size: header.size, turn, working, warp, depth: meaning };
    Ok(Some(View { name: p.name, path, camera, center, mask, depth: depth.map(|(d, _)| d), recipe }))
}

impl Oddities {
    fn say(&self, warnings: &mut Vec<String>) {
        warn_about(warnings, &self.renamed, |n, first| {
            format!(
                "{n} photographs have names that differ in case, Unicode form or encoding; the first is {first}"
            )
        });
        if let Some((first, scale)) = self.scaled.first() {
            warnings.push(format!(
                "the rotations of {} poses are multiplied by a scale, which is taken out; the first is {first}, by {scale:.4}",
                self.scaled.len()
            ));
        }
        warn_about(warnings, &self.transposed, |n, first| {
            format!(
                "the matrices of {n} poses stand column by column (the last column is 0 0 0 1), and are read so; the first \
                 is {first}"
            )
        });
        warn_about(warnings, &self.moved, |n, first| {
            format!("{n} photographs lie in other folders than listed; the first is {first}")
        });
        warn_about(warnings, &self.not_rotated, |n, first| {
            format!(
                "{n} photographs have an EXIF orientation that is not applied, because their cameras match the image \
                 as it is stored; the first is {first}"
            )
        });
        warn_about(warnings, &self.lost, |n, first| {
            format!("{n} masks or depth maps that the dataset names are missing; the first is {first}")
        });
    }
}

/// A warning about pictures that are much smaller than most, such as thumbnails: `sizes` are their widths over those that
/// their intrinsics are for.
fn other_sizes(views: &[View], sizes: &[f64], warnings: &mut Vec<String>) {
    let mut sorted = sizes.to_vec();
    sorted.sort_by(f64::total_cmp);
    let usual = sorted.get(sorted.len() / 2).copied().unwrap_or(1.0);
    let small = |(view, size): (&View, &f64)| (*size < 0.6 * usual).then(|| view.name.clone());
    let small: Vec<String> = views.iter().zip(sizes).filter_map(small).collect();
    warn_about(warnings, &small, |n, first| {
        format!("{n} photographs are less than 0.6 times as large as most; the first is {first}")
    });
}

/// Adds a warning about `names`, if there are any.
fn warn_about(warnings: &mut Vec<String>, names: &[String], say: impl Fn(usize, &str) -> String) {
    if let Some(first) = names.first() {
        warnings.push(say(names.len(), first));
    }
}

/// The first few names, and how many more there are.
fn names<'a>(all: impl Iterator<Item = &'a str> + Clone) -> String {
    let some: Vec<&str> = all.clone().take(5).collect();
    match all.count() - some.len() {
        0 => some.join(", "),
        n => format!("{} and {n} more", some.join(", ")),
    }
}

/// The points with coordinates that can be computed with.
fn usable_points(mut points: Vec<WorldPoint>, warnings: &mut Vec<String>) -> Vec<WorldPoint> {
    let before = points.len();
    points.retain(|p| p.position.iter().all(|&x| usable(x)));
    if points.len() < before {
        warnings.push(format!(
            "{} of {before} points are left out: their coordinates are not finite or beyond {FARTHEST:e}",
            before - points.len()
        ));
    }
    points
}

/// The origin for cameras and points. Cameras far out, and on each axis the outer tenth of the points, do not count: a
/// single stray one would make the scene look large enough to stay where it is.
fn choose_origin(posed: &[Posed], points: &[WorldPoint]) -> Origin {
    let centers: Vec<[f64; 3]> = posed.iter().map(|p| p.pose.center()).collect();
    let far = far_out(&centers);
    let near = centers.iter().enumerate().filter(|(i, _)| !far.contains(i)).map(|(_, c)| *c);
    let bounds: [[f64; 2]; 3] = std::array::from_fn(|k| {
        let mut axis: Vec<f64> = points.iter().map(|p| p.position[k]).collect();
        axis.sort_by(f64::total_cmp);
        let n = axis.len();
        if n == 0 { [f64::NAN; 2] } else { [axis[n / 20], axis[n - 1 - n / 20]] }
    });
    Origin::choose(near.chain([0, 1].map(|end| bounds.map(|axis| axis[end]))))
}

/// The rotation to apply to a photograph. The EXIF orientation counts only if the camera has the shape of the rotated
/// image and not that of the stored one: some reconstruction programs apply it, and COLMAP does not.
fn turn(camera: Option<(u64, u64)>, header: photo::Header) -> Orientation {
    let (w, h) = header.size;
    match camera {
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

/// A warning about the photographs beside those of `views` that no pose names; `known` are listed, but not used.
fn without_pose(finder: &Finder, folder: &Path, views: &[View], known: &[&str], warnings: &mut Vec<String>) {
    let mut used: BTreeSet<PathBuf> = views.iter().map(|v| v.path.clone()).collect();
    used.extend(views.iter().flat_map(|v| [&v.mask, &v.depth]).flatten().cloned());
    used.extend(known.iter().filter_map(|n| finder.photo(folder, &photos::in_folder(finder, folder, n))));
    let folders: BTreeSet<&Path> = views.iter().filter_map(|v| v.path.parent()).collect();
    // Renders come with their depths and normals, and captures with masks, in the same folder.
    let is_companion = |p: &PathBuf| {
        let name = p.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        ["mask", "depth", "normal", "alpha"].iter().any(|word| name.contains(word))
    };
    let pictures = folders.iter().flat_map(|f| finder.pictures(f));
    let idle: Vec<String> =
        pictures.filter(|p| !used.contains(p) && !is_companion(p)).map(|p| p.display().to_string()).collect();
    warn_about(warnings, &idle, |n, first| {
        format!("{n} photographs have no pose and are not used; the first is {first}")
    });
}
