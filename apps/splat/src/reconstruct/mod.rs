//! Camera poses from photographs or a video: structure from motion by COLMAP, and what becomes of it.
//!
//! The folder of a reconstruction is a COLMAP dataset, `sparse/0` and (of a video, or as a link) `images`, with
//! `reconstruction.json`, which says what it was made of, and `cameras.png`, a picture of it from above. Everything is made in
//! `.work` and put into its place at the end, when `reconstruction.json` is marked as finished. The same photographs with the same
//! settings are not reconstructed again.
//!
//! Cameras keep the lens distortion that COLMAP finds: the dataset's reader undistorts photographs of all its perspective models
//! while it loads them, so no undistorted copies are written.

mod child;
mod photos;
mod stages;
mod tool;
mod video;
mod words;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use splat_scene::{Dataset, OpenOptions, save_png, write_atomically};
use splatwright::provision::{Terminal, reconstruction};

use crate::cli::Hinted;
use crate::{machine, report};

pub(crate) use tool::Sfm;
pub(crate) use words::{left_out, photographs};

/// Endings of videos.
const VIDEOS: [&str; 8] = ["mp4", "mov", "mkv", "avi", "webm", "m4v", "mts", "3gp"];
/// Part of every fingerprint: another number makes all reconstructions again.
const VERSION: &str = "1";

/// Photographs without poses.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Source {
    Photos(PathBuf),
    Video(PathBuf),
}

/// Which photographs share a camera.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Cameras {
    /// Those of one folder, size, EXIF camera and focal length
    #[default]
    Auto,
    /// All of one size
    One,
    /// None: focus or zoom changed all the time
    Each,
}

/// How poses are found.
#[derive(Debug, Clone, clap::Args, Serialize)]
#[command(next_help_heading = "Photographs without poses")]
pub(crate) struct Settings {
    /// The program for structure from motion [default: auto]
    #[arg(long, value_name = "NAME", default_value = "auto", hide_default_value = true)]
    sfm: Sfm,
    /// Which photographs share a camera [default: auto]
    #[arg(long, value_name = "WHICH", default_value = "auto", hide_default_value = true)]
    cameras: Cameras,
    /// COLMAP's name of the lens model: SIMPLE_RADIAL, OPENCV, OPENCV_FISHEYE and others
    #[arg(long, value_name = "MODEL", default_value = "SIMPLE_RADIAL", value_parser = camera_model)]
    camera_model: String,
    /// How many frames of a video to use, the sharpest ones [default: 2 per second, 40 to 300]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(3..))]
    frames: Option<u32>,
    /// Fetch nothing: fail if a program is missing
    #[arg(long)]
    #[serde(skip)]
    offline: bool,
}

fn camera_model(name: &str) -> Result<String, String> {
    let known = splat_scene::lens::CameraModel::by_name(name);
    known.map(|_| name.to_owned()).ok_or_else(|| "COLMAP has no camera model of this name".into())
}

/// A photograph that is not in the reconstruction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LeftOut {
    pub(crate) name: String,
    pub(crate) why: String,
}

/// `reconstruction.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    format: u32,
    /// Of photographs and settings; empty while the folder is being written.
    fingerprint: String,
    pub(crate) tool: String,
    /// The folder that names are relative to.
    pub(crate) images: PathBuf,
    /// How many photographs there are, with those that cannot be read.
    pub(crate) photographs: usize,
    pub(crate) placed: usize,
    pub(crate) points: usize,
    /// Photographs of each model that was found; the largest is kept.
    pub(crate) models: Vec<usize>,
    pub(crate) left_out: Vec<LeftOut>,
    pub(crate) seconds: f64,
    /// Whether it was there already.
    #[serde(skip)]
    pub(crate) reused: bool,
    /// The folder of masks that features were not looked for in, if there is one.
    pub(crate) masks: Option<PathBuf>,
}

/// Photographs or a video in `path`; None if there are none.
pub(crate) fn source(path: &Path) -> Option<Source> {
    if path.is_file() {
        return photos::ends_in(path, &VIDEOS).then(|| Source::Video(path.into()));
    }
    let images = path.join("images");
    let folder = if images.is_dir() { images } else { path.to_owned() };
    let listed = photos::list(&folder).ok()?;
    let any = !listed.names.is_empty() || !listed.foreign.is_empty();
    any.then_some(Source::Photos(folder))
}

/// Reconstructs `source` into `folder`, which the caller has locked, or finds that done. None if the user stopped. `listen` hears
/// what is being done, how much of it is done, and how much there is (0: not known).
///
/// # Errors
/// Too few usable photographs, none that fit together, a program that is missing or fails, or a folder of something else.
pub(crate) fn run(
    source: &Source,
    folder: &Path,
    masks: Option<&Path>,
    settings: &Settings,
    stop: &AtomicBool,
    listen: &mut dyn FnMut(&str, u64, u64),
) -> Result<Option<Report>> {
    let began = Instant::now();
    let json = folder.join("reconstruction.json");
    if !json.exists() && fs_err::read_dir(folder)?.next().is_some() {
        return Err(Hinted::error(
            format!("{} holds something else than a reconstruction by this program", folder.display()),
            "choose another output folder: -o OTHER",
        ));
    }
    let masks = masks.map(Path::to_owned).or_else(|| usual_masks(source)).map(absolute);
    let fingerprint = fingerprint(source, masks.as_deref(), settings)?;
    if let Some(report) = finished(folder, &fingerprint) {
        return Ok(Some(report));
    }
    // From here on, what lies in the folder is unfinished, and ours to replace.
    write(&json, &Report::default())?;
    let work = folder.join(".work");
    if work.exists() {
        fs_err::remove_dir_all(&work)?;
    }
    fs_err::create_dir_all(&work)?;
    let images = match source {
        Source::Photos(path) => absolute(path.clone()),
        Source::Video(video) => {
            let to = work.join("images");
            fs_err::create_dir_all(&to)?;
            let ffmpeg = match machine::on_path("ffmpeg") {
                Some(ffmpeg) => ffmpeg,
                None => {
                    let brought = reconstruction::ffmpeg(settings.offline, &mut Terminal);
                    let Some(ffmpeg) = unless_stopped(brought, stop)? else { return Ok(None) };
                    ffmpeg
                }
            };
            let count = settings.frames.map(|n| n as usize);
            if video::frames(&ffmpeg, video, count, &to, stop, listen)?.is_none() {
                return Ok(None);
            }
            to
        }
    };
    let listed = photos::list(&images)?;
    let (usable, unreadable) = photos::inspect(&images, &listed.names);
    let out = |name: String, why: &str| LeftOut { name, why: why.into() };
    let mut left: Vec<LeftOut> = unreadable.into_iter().map(|(name, why)| out(name, &why)).collect();
    left.extend(
        listed.foreign.into_iter().map(|name| out(name, "its format is not read; save it as JPEG or PNG")),
    );
    let photographs = usable.len() + left.len();
    if usable.len() < stages::SMALLEST {
        return Err(words::too_few(usable.len(), &left));
    }
    let colmap_masks = work.join("masks");
    let masked = match &masks {
        Some(from) => photos::write_masks(from, &usable, &colmap_masks)? > 0,
        None => false,
    };
    let one = match settings.cameras {
        Cameras::Auto => None,
        Cameras::One => Some(true),
        Cameras::Each => Some(false),
    };
    let found = tool::Tool::find(settings.sfm, settings.offline);
    let Some(tool) = unless_stopped(found, stop)? else { return Ok(None) };
    listen(&format!("reconstructing {} with {}", self::photographs(usable.len()), tool.name), 0, 0);
    let groups = photos::groups(&usable, one);
    let job = stages::Job {
        tool: &tool,
        files: tool::Files { database: work.join("database.db"), images: &images },
        work: &work,
        groups: &groups,
        in_order: matches!(source, Source::Video(_)),
        model: &settings.camera_model,
        masks: masked.then_some(colmap_masks),
        stop,
    };
    let models = work.join("models");
    let Some(tally) = stages::run(&job, &models, listen)? else { return Ok(None) };
    let mut found = read_models(&models, &images)?;
    if found.is_empty() {
        return Err(words::nothing(&tally));
    }
    let (best, dataset) = found.remove(0);
    let names = |dataset: &Dataset| dataset.views.iter().map(|view| view.name.clone()).collect::<Vec<_>>();
    let placed = names(&dataset);
    let elsewhere: Vec<String> = found.iter().flat_map(|(_, other)| names(other)).collect();
    for photograph in usable.iter().filter(|photograph| !placed.contains(&photograph.name)) {
        let name = &photograph.name;
        left.push(out(name.clone(), words::reason(name, &tally, elsewhere.contains(name))));
    }
    let report = Report {
        format: 1,
        fingerprint,
        tool: tool.name.clone(),
        images: match source {
            Source::Photos(_) => images.clone(),
            Source::Video(_) => absolute(folder.join("images")),
        },
        photographs,
        placed: placed.len(),
        points: dataset.points.len(),
        models: [&dataset].into_iter().chain(found.iter().map(|(_, d)| d)).map(|d| d.views.len()).collect(),
        left_out: left,
        seconds: began.elapsed().as_secs_f64(),
        reused: false,
        masks: masked.then_some(masks).flatten(),
    };
    let top = report::from_above(&dataset, 1024);
    save_png(work.join("cameras.png"), top.width, top.height, &top.pixels)?;
    put(folder, &work, &best, source, &images)?;
    write(&json, &report)?;
    fs_err::remove_dir_all(&work)?;
    Ok(Some(report))
}

/// None where bringing something failed because Ctrl-C ended pip too.
fn unless_stopped<T>(brought: Result<T>, stop: &AtomicBool) -> Result<Option<T>> {
    if brought.is_err() && stop.load(Ordering::Relaxed) { Ok(None) } else { brought.map(Some) }
}

/// Moves what is made in `work` into its place, over what an earlier reconstruction left there.
fn put(folder: &Path, work: &Path, best: &Path, source: &Source, images: &Path) -> Result<()> {
    let sparse = work.join("sparse");
    fs_err::create_dir_all(&sparse)?;
    fs_err::rename(best, sparse.join("0"))?;
    for name in ["sparse", "images", "cameras.png"] {
        let place = folder.join(name);
        // A link is removed, never what it leads to.
        match place.symlink_metadata() {
            Ok(there) if there.is_dir() => fs_err::remove_dir_all(&place)?,
            Ok(_) => fs_err::remove_file(&place)?,
            Err(_) => {}
        }
        if work.join(name).exists() {
            fs_err::rename(work.join(name), &place)?;
        }
    }
    // For other programs, and for `splat train FOLDER`; where links need rights, `reconstruction.json` names the photographs.
    #[cfg(unix)]
    if matches!(source, Source::Photos(_)) {
        fs_err::os::unix::fs::symlink(images, folder.join("images"))?;
    }
    #[cfg(not(unix))]
    let _ = (source, images);
    Ok(())
}

/// The models in the folders of `models`, the one with most photographs first.
fn read_models(models: &Path, images: &Path) -> Result<Vec<(PathBuf, Dataset)>> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(models)? {
        let path = entry?.path();
        if path.is_dir() {
            let options =
                OpenOptions { images: Some(images.into()), test_every: 0, ..OpenOptions::default() };
            let dataset = Dataset::open(&path, &options)?;
            if dataset.views.len() >= stages::SMALLEST {
                found.push((path, dataset));
            }
        }
    }
    found.sort_by_key(|(path, dataset)| (std::cmp::Reverse(dataset.views.len()), path.clone()));
    Ok(found)
}

/// The report of a reconstruction that is whole and made of the same.
fn finished(folder: &Path, fingerprint: &str) -> Option<Report> {
    let text = splat_scene::read_file(&folder.join("reconstruction.json")).ok()?;
    let report: Report = serde_json::from_slice(&text).ok()?;
    let whole =
        report.fingerprint == fingerprint && folder.join("sparse/0").is_dir() && report.images.is_dir();
    whole.then_some(Report { reused: true, ..report })
}

fn write(json: &Path, report: &Report) -> Result<()> {
    Ok(write_atomically(json, |out| Ok(serde_json::to_writer_pretty(out, report)?))?)
}

/// sha256 over the contents of the photographs or the video, their names, the masks and the settings, in hexadecimal.
fn fingerprint(source: &Source, masks: Option<&Path>, settings: &Settings) -> Result<String> {
    let mut hasher = Sha256::new();
    hasher.update(VERSION);
    hasher.update(serde_json::to_vec(settings)?);
    let mut folder = |folder: &Path| -> Result<()> {
        let listed = photos::list(folder)?;
        let names = [listed.names, listed.foreign].concat();
        for (name, hash) in names.iter().zip(photos::hashes(folder, &names)?) {
            hasher.update(name.as_bytes());
            hasher.update([0]);
            hasher.update(hash);
        }
        hasher.update([1]);
        Ok(())
    };
    match source {
        Source::Photos(photographs) => folder(photographs)?,
        Source::Video(_) => {}
    }
    if let Some(masks) = masks {
        folder(masks)?;
    }
    if let Source::Video(video) = source {
        hasher.update(photos::hash(video)?);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Masks beside the photographs.
fn usual_masks(source: &Source) -> Option<PathBuf> {
    let Source::Photos(folder) = source else { return None };
    let beside = folder.file_name().is_some_and(|name| name == "images").then(|| folder.parent()).flatten();
    let places = [Some(folder.as_path()), beside];
    places.into_iter().flatten().map(|place| place.join("masks")).find(|masks| masks.is_dir())
}

fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}
