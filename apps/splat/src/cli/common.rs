//! What the commands share: how a dataset is opened, what renders, and where results go.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use serde_json::Value;
use splat_scene::{Dataset, OpenOptions};
use splat_train::{Backend, Ranks};
use tch::Device;

use super::{Hinted, poses, say};
use crate::reconstruct::{self, Source};

/// How a command ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Done,
    /// By Ctrl-C, before it was done; what it had is saved.
    Stopped,
}

/// How the dataset is read.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, serde::Serialize, serde::Deserialize)]
#[serde(default)]
#[command(next_help_heading = "Dataset")]
pub(crate) struct DataArgs {
    /// Use photographs and cameras at 1/N of their size [default: the largest photographs that exist]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) downscale: Option<u32>,
    /// Folder of the photographs, if they are not where the dataset says
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Folder of the masks, if it is not `masks` beside the photographs
    #[arg(long, value_name = "DIR")]
    pub(crate) masks: Option<PathBuf>,
    /// Folder of the depth maps, if it is not `depths` beside the photographs
    #[arg(long, value_name = "DIR")]
    pub(crate) depths: Option<PathBuf>,
    /// Hold out every N-th photograph, by name, as the test split; 0: none [default: 8]
    #[arg(long, value_name = "N")]
    test_every: Option<u32>,
    /// File with the names of the test split, one per line, instead of --test-every
    #[arg(long, value_name = "FILE")]
    test_list: Option<PathBuf>,
    /// Fail if photographs are missing or frames cannot be used, instead of leaving them out
    #[arg(long)]
    strict: bool,
}

/// A subset of a dataset's views.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Split {
    Train,
    Test,
    All,
}

impl DataArgs {
    /// Opens the dataset; its warnings go to stderr.
    pub(crate) fn open(&self, path: &Path) -> Result<Dataset> {
        Self::opened(path, self.read(path))
    }

    /// What [`DataArgs::read`] gave for `path`, with warnings to stderr and an error for people.
    pub(crate) fn opened(path: &Path, read: Result<Dataset>) -> Result<Dataset> {
        let dataset = read.map_err(|error| without_poses(path, error))?;
        dataset.warnings.iter().for_each(|warning| say::warn(warning));
        Ok(dataset)
    }

    /// Opens the dataset. An error of [`is_unposed`] may mean photographs without poses.
    pub(crate) fn read(&self, path: &Path) -> Result<Dataset> {
        let test_list = match &self.test_list {
            Some(file) => {
                let text = text_of(file)?;
                Some(text.lines().map(str::trim).filter(|l| !l.is_empty()).map(String::from).collect())
            }
            None => None,
        };
        let options = OpenOptions {
            downscale: self.downscale,
            images: self.images.clone(),
            masks: self.masks.clone(),
            depths: self.depths.clone(),
            test_every: self.test_every.unwrap_or(8),
            test_list,
            strict: self.strict,
        };
        Ok(Dataset::open(path, &options)?)
    }

    /// What has no poses in `path`, if anything.
    pub(crate) fn source(&self, path: &Path) -> Option<Source> {
        self.images.clone().map(Source::Photos).or_else(|| reconstruct::source(path))
    }

    /// These arguments for photographs in `images` with the masks in `masks`, unless they name others.
    pub(crate) fn of_photographs(&self, images: &Path, masks: Option<&Path>) -> Self {
        let or =
            |mine: &Option<PathBuf>, found: Option<&Path>| mine.clone().or_else(|| found.map(Path::to_owned));
        Self { images: or(&self.images, Some(images)), masks: or(&self.masks, masks), ..self.clone() }
    }

    /// These arguments, and those of an earlier command where these say nothing.
    pub(crate) fn over(&self, earlier: &Self) -> Self {
        // A list and a number contradict each other: whichever is given now holds.
        let split = self.test_every.is_none() && self.test_list.is_none();
        let kept = |mine: &Option<PathBuf>, other: &Option<PathBuf>| mine.clone().or_else(|| other.clone());
        Self {
            downscale: self.downscale.or(earlier.downscale),
            images: kept(&self.images, &earlier.images),
            masks: kept(&self.masks, &earlier.masks),
            depths: kept(&self.depths, &earlier.depths),
            test_every: if split { earlier.test_every } else { self.test_every },
            test_list: if split { earlier.test_list.clone() } else { self.test_list.clone() },
            strict: self.strict || earlier.strict,
        }
    }

    /// With paths that hold from every folder, to be found again later.
    pub(crate) fn absolute(&self) -> Self {
        let whole = |path: &Option<PathBuf>| path.as_deref().map(absolute);
        Self {
            images: whole(&self.images),
            masks: whole(&self.masks),
            depths: whole(&self.depths),
            test_list: whole(&self.test_list),
            ..self.clone()
        }
    }

    /// Where these arguments say something else than those of an earlier run; a sentence each.
    pub(crate) fn differences(&self, earlier: &Self) -> Vec<String> {
        let value = |args: &Self| serde_json::to_value(args.absolute()).unwrap_or_default();
        let (now, then) = (value(&self.over(earlier)), value(earlier));
        let names = now.as_object().into_iter().flat_map(|fields| fields.keys());
        names.filter_map(|name| differing(&option_named(name), &then[name], &now[name])).collect()
    }
}

/// Refuses a dataset from which nothing can be learned, and warns of what is odd about it. `own_points` says whether training
/// starts from the dataset's points.
pub(crate) fn plausible(path: &Path, dataset: &Dataset, own_points: bool) -> Result<()> {
    for finding in dataset.plausibility().findings {
        let elsewhere = finding.is_about_points();
        if finding.is_severe() && (own_points || !elsewhere) {
            let other = if elsewhere { "; or find points in the photographs with --init sweep" } else { "" };
            let message = format!("{}: {finding}", path.display());
            return Err(Hinted::error(message, format!("{}{other}", finding.remedy())));
        }
        say::warn(&format!("{finding}; {}", finding.remedy()));
    }
    Ok(())
}

/// The text of a file that the user names, which may be a pipe; devices that never end are given up on.
pub(crate) fn text_of(path: &Path) -> Result<String> {
    const MOST: u64 = 16 << 20;
    let mut text = String::new();
    let read = fs_err::File::open(path)?.take(MOST).read_to_string(&mut text);
    read.with_context(|| path.display().to_string())?;
    anyhow::ensure!((text.len() as u64) < MOST, "{}: more than {MOST} bytes of text", path.display());
    // Windows' editor puts a byte order mark in front.
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

/// `path` from the root of the file system.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

/// `--sh-degree` of `sh_degree`.
pub(crate) fn option_named(name: &str) -> String {
    format!("--{}", name.replace('_', "-"))
}

/// `that run used --x 1, this command says --x 2`; None if the values are the same.
pub(crate) fn differing(option: &str, then: &Value, now: &Value) -> Option<String> {
    let said = |value: &Value| match value {
        Value::Null | Value::Bool(false) => format!("no {option}"),
        Value::Bool(true) => option.to_owned(),
        Value::String(text) => format!("{option} {text}"),
        other => format!("{option} {other}"),
    };
    (then != now).then(|| format!("that run used {}, but this command says {}", said(then), said(now)))
}

/// Pictures or a video without poses: another command finds them.
fn without_poses(path: &Path, error: anyhow::Error) -> anyhow::Error {
    match poses::hint(path).filter(|_| is_unposed(&error)) {
        Some((what, hint)) => Hinted::error(format!("{}: {what}", path.display()), hint),
        None => error,
    }
}

/// Whether an error of [`DataArgs::read`] says that there is no dataset.
pub(crate) fn is_unposed(error: &anyhow::Error) -> bool {
    use splat_scene::Error;
    matches!(error.downcast_ref(), Some(Error::UnknownDataset { nearby: None, .. }))
}

impl Split {
    /// Indices of its views, at least one.
    pub(crate) fn of(self, dataset: &Dataset, path: &Path) -> Result<Vec<usize>> {
        let (name, views) = match self {
            Self::Train => ("train", dataset.train.clone()),
            Self::Test => ("test", dataset.test.clone()),
            Self::All => ("all", (0..dataset.views.len()).collect()),
        };
        if views.is_empty() {
            let message = format!("{}: no view is in the split `{name}`", path.display());
            return Err(Hinted::error(message, "use all views with --split all"));
        }
        Ok(views)
    }
}

/// What computes, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct BackendArgs {
    /// The rasterizer to use: cpu, cuda, inria, another engine's name, or the path of an engine library [default: the
    /// best one for the device]
    #[arg(long, value_name = "NAME|PATH")]
    engine: Option<String>,
    /// The device to use: cpu, cuda (the first usable GPU) or cuda:N [default: a GPU if one can be used, else the CPU]
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
}

impl BackendArgs {
    pub(crate) fn backend(&self) -> Result<Backend> {
        self.backend_like(None)
    }

    /// Whether they name the CPU.
    pub(crate) fn names_cpu(&self) -> bool {
        [&self.device, &self.engine].into_iter().any(|name| name.as_deref() == Some("cpu"))
    }

    /// The backend of a rank: on its own GPU, unless the CPU is named.
    pub(crate) fn backend_of_rank(&self, local_rank: usize, usual: Option<&str>) -> Result<Backend> {
        if self.names_cpu() {
            return self.backend_like(usual);
        }
        if let Some(device) = self.device.as_deref().filter(|name| !matches!(*name, "auto" | "cuda")) {
            return Err(Hinted::error(
                format!("--device {device} names one device, but each of several ranks has its own"),
                "leave --device out, and choose GPUs with CUDA_VISIBLE_DEVICES",
            ));
        }
        // A scheduler may show each rank its own GPU alone.
        let index = if tch::Cuda::device_count() == 1 { 0 } else { local_rank };
        if index < usize::try_from(tch::Cuda::device_count()).unwrap_or(0) {
            Ranks::use_device(Device::Cuda(index)).map_err(splat_train::Error::from)?;
        }
        let own = Self { engine: self.engine.clone(), device: Some(format!("cuda:{index}")) };
        own.backend_like(usual)
    }

    /// The backend that these arguments name; if they name no engine, that with the engine `usual`.
    pub(crate) fn backend_like(&self, usual: Option<&str>) -> Result<Backend> {
        let named = |name: &'_ Option<String>| name.clone().filter(|name| name != "auto");
        let (engine, device) = (named(&self.engine), named(&self.device));
        let backend = Backend::find(engine.as_deref().or(usual), device.as_deref())?;
        share_threads(backend.device());
        Ok(backend)
    }
}

/// On the CPU, torch's threads and those of the rasterizer take turns, and torch's spin while they wait. With few processors
/// they take them away from the rasterizer (4 times the CPU time on two), so torch gets fewer threads.
pub(crate) fn share_threads(device: Device) {
    if device.is_cuda() || std::env::var_os("OMP_NUM_THREADS").is_some() {
        return;
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    tch::set_num_threads(i32::try_from(threads / 4).unwrap_or(1).max(1));
}

/// Half of the processors write PNGs; the others compute or read.
pub(crate) fn png_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| usize::from(n).div_ceil(2)).min(8)
}

/// A flag that Ctrl-C sets, so that a command can end in an orderly way; a second Ctrl-C ends the program at once.
pub(crate) fn stopped_by_ctrl_c() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })
    .context("cannot catch Ctrl-C")?;
    Ok(stop)
}

/// Adds what helps if memory ran out: `levers`, and another device if there is one.
pub(crate) fn with_levers(error: anyhow::Error, levers: &str) -> anyhow::Error {
    let text = format!("{error:#}");
    if text.contains("out of memory") || text.contains("allocate memory") {
        let cpu = if tch::Cuda::is_available() { ", or --device cpu" } else { "" };
        let message = if cpu.is_empty() { "out of memory" } else { "out of device memory" };
        return error.context(Hinted { message: message.into(), hint: format!("use {levers}{cpu}") });
    }
    error
}

/// `X,Y,Z`, not all zero.
pub(crate) fn direction(text: &str) -> Result<[f64; 3], String> {
    let v = super::scene::numbers(text)?;
    if v.iter().any(|x| *x != 0.0) { Ok(v) } else { Err("a direction must not be 0,0,0".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direction_is_three_numbers_and_not_zero() {
        assert_eq!(direction("0, -1,0.5"), Ok([0.0, -1.0, 0.5]));
        for text in ["1,2", "0,0,0", "a,0,0", "inf,0,0"] {
            assert!(direction(text).is_err(), "{text}");
        }
    }

    #[test]
    fn earlier_arguments_hold_where_nothing_is_said_and_differences_are_named() {
        let earlier = DataArgs { downscale: Some(4), test_every: Some(5), ..DataArgs::default() };
        let nothing = DataArgs::default();
        assert_eq!(nothing.over(&earlier), earlier);
        assert!(nothing.differences(&earlier).is_empty());
        let other = DataArgs { downscale: Some(2), test_list: Some("list".into()), strict: true, ..nothing };
        let over = other.over(&earlier);
        assert_eq!((over.downscale, over.test_every, over.strict), (Some(2), None, true));
        let said = other.differences(&earlier);
        assert!(
            said.contains(&"that run used --downscale 4, but this command says --downscale 2".into()),
            "{said:?}"
        );
        assert!(said.iter().any(|s| s.contains("no --test-list")), "{said:?}");
        assert!(
            said.contains(&"that run used no --strict, but this command says --strict".into()),
            "{said:?}"
        );
    }
}
