//! What the commands share: how a dataset is opened, what renders, and where results go.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use splat_scene::{Dataset, OpenOptions};
use splat_train::Backend;
use tch::Device;

use super::Hinted;

/// How the dataset is read.
#[derive(Debug, clap::Args, serde::Serialize)]
#[command(next_help_heading = "Dataset")]
pub(crate) struct DataArgs {
    /// Use photographs and cameras at 1/N of their size [default: the largest photographs that exist]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) downscale: Option<u32>,
    /// Folder of the photographs, if they are not where the dataset says
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Folder of the masks, if it is not `masks` beside the photographs
    #[arg(long, value_name = "DIR")]
    masks: Option<PathBuf>,
    /// Folder of the depth maps, if it is not `depths` beside the photographs
    #[arg(long, value_name = "DIR")]
    pub(crate) depths: Option<PathBuf>,
    /// Hold out every N-th photograph, by name, as the test split; 0: none
    #[arg(long, value_name = "N", default_value_t = 8)]
    test_every: u32,
    /// File with the names of the test split, one per line, instead of --test-every
    #[arg(long, value_name = "FILE")]
    test_list: Option<PathBuf>,
    /// Fail if photographs are missing, instead of leaving them out
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
        let test_list = match &self.test_list {
            Some(file) => {
                let text = fs_err::read_to_string(file)?;
                Some(text.lines().map(str::trim).filter(|l| !l.is_empty()).map(String::from).collect())
            }
            None => None,
        };
        let options = OpenOptions {
            downscale: self.downscale,
            images: self.images.clone(),
            masks: self.masks.clone(),
            depths: self.depths.clone(),
            test_every: self.test_every,
            test_list,
            strict: self.strict,
        };
        let dataset =
            Dataset::open(path, &options).with_context(|| format!("cannot use {}", path.display()))?;
        for warning in &dataset.warnings {
            anstream::eprintln!("warning: {warning}");
        }
        Ok(dataset)
    }
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
            return Err(Hinted::error(message, "use all views: --split all"));
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
        let named = |name: &'_ Option<String>| name.clone().filter(|name| name != "auto");
        let (engine, device) = (named(&self.engine), named(&self.device));
        let backend = Backend::find(engine.as_deref(), device.as_deref())?;
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

/// Prints a result and a line break to stdout. It is no failure if the reader has gone (`splat info DATA | head`).
pub(crate) fn print(text: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{text}").and_then(|()| std::io::stdout().flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to stdout")
        }
        _ => Ok(()),
    }
}

/// Creates the folder; refuses one that is not empty unless `overwrite`.
pub(crate) fn make_folder(path: &Path, overwrite: bool) -> Result<()> {
    fs_err::create_dir_all(path)?;
    let occupied = fs_err::read_dir(path)?.next().is_some();
    if occupied && !overwrite {
        return Err(Hinted::error(
            format!("the folder {} is not empty", path.display()),
            "name another folder, or replace files of the same names with --overwrite",
        ));
    }
    Ok(())
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

/// A progress bar on a terminal, nothing elsewhere.
pub(crate) fn bar(length: u64, quiet: bool) -> ProgressBar {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}  {elapsed_precise}, {eta} left")
        .expect("the template is valid");
    ProgressBar::with_draw_target(Some(length), target).with_style(style)
}

/// Adds `levers`, what helps, if the device ran out of memory.
pub(crate) fn with_levers(error: anyhow::Error, levers: &'static str) -> anyhow::Error {
    let text = format!("{error:#}");
    if text.contains("out of memory") || text.contains("allocate memory") {
        return error.context(Hinted { message: "out of device memory".into(), hint: levers });
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_with_something_in_them_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        make_folder(&folder, false).unwrap();
        make_folder(&folder, false).unwrap();
        fs_err::write(folder.join("c"), []).unwrap();
        assert!(make_folder(&folder, false).unwrap_err().to_string().contains("is not empty"));
        make_folder(&folder, true).unwrap();
    }
}
