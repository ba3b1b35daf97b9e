//! What commands share: where the scene and the data are, how it is rendered, where results go.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use splat_scene::{Dataset, Gaussians, Options};
use splat_tch::Settings;
use splat_train::device_for;
use splat_train::metrics::Frozen;
use tch::Device;

use super::Hinted;

/// How the dataset is read.
#[derive(Debug, clap::Args, serde::Serialize)]
#[command(next_help_heading = "Dataset")]
pub(crate) struct DataArgs {
    /// Use photographs and cameras at 1/N of their size [default: the largest photographs there are]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) downscale: Option<u32>,
    /// Folder of the photographs, if it is not where the dataset says
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Folder of masks, if it is not `masks` beside the photographs
    #[arg(long, value_name = "DIR")]
    masks: Option<PathBuf>,
    /// Folder of depth maps, if it is not `depths` beside the photographs
    #[arg(long, value_name = "DIR")]
    pub(crate) depths: Option<PathBuf>,
    /// Every N-th photograph, by name, is the test split; 0: none
    #[arg(long, value_name = "N", default_value_t = 8)]
    test_every: u32,
    /// File with the names of the test split, one a line, instead of --test-every
    #[arg(long, value_name = "FILE")]
    test_list: Option<PathBuf>,
    /// Fail if photographs are missing, instead of leaving them out
    #[arg(long)]
    strict: bool,
}

/// A part of a dataset's views.
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
        let options = Options {
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
            return Err(Hinted::error(message, "take all views: --split all"));
        }
        Ok(views)
    }
}

/// How the scene is rendered.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Rendering")]
pub(crate) struct LookArgs {
    /// Who renders: cpu; cuda or inria (need a CUDA GPU); auto takes the GPU if it can
    #[arg(long, value_name = "NAME", default_value = "auto")]
    engine: String,
    #[command(flatten)]
    trained: TrainedArgs,
}

/// What a scene is trained for: shown otherwise, it looks wrong.
#[derive(Debug, clap::Args)]
pub(crate) struct TrainedArgs {
    /// Colour behind everything: black, white, #rrggbb, or three numbers 0 to 1 as r,g,b [default: that of the
    /// training, if its stats.json is beside the scene, else black]
    #[arg(long, value_name = "COLOR", value_parser = color, allow_hyphen_values = true)]
    background: Option<Color>,
    /// Compensate the opacity of splats that are widened to a pixel, as scenes trained with --antialiasing need it
    /// [default: as in the training, likewise, else off]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    antialiasing: Option<bool>,
}

impl TrainedArgs {
    /// Background and antialiasing for the scene in the file `scene`.
    pub(crate) fn of(&self, scene: &Path) -> (Color, bool) {
        let (background, antialiasing) = training_of(scene);
        (
            self.background.or(background).unwrap_or_default(),
            self.antialiasing.or(antialiasing).unwrap_or(false),
        )
    }
}

/// Red, green, blue.
pub(crate) type Color = [f32; 3];

pub(crate) fn color(text: &str) -> Result<Color, String> {
    let hex = |digits: &str| {
        let n = u32::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 6)?;
        Some([n >> 16, n >> 8, n].map(|x| (x & 255) as f32 / 255.0))
    };
    let found = match text {
        "black" => Some([0.0; 3]),
        "white" => Some([1.0; 3]),
        _ => match text.strip_prefix('#') {
            Some(digits) => hex(digits),
            None => numbers(text).ok().map(|c| c.map(|x| x as f32)),
        },
    };
    found
        .filter(|c| c.iter().all(|x| (0.0..=1.0).contains(x)))
        .ok_or_else(|| "expected black, white, #rrggbb or three numbers 0 to 1 as r,g,b".into())
}

/// `x,y,z`.
pub(crate) fn numbers(text: &str) -> Result<[f64; 3], String> {
    let found: Option<Vec<f64>> =
        text.split(',').map(|x| x.trim().parse().ok().filter(|x: &f64| x.is_finite())).collect();
    found.and_then(|v| v.try_into().ok()).ok_or_else(|| "expected three numbers as x,y,z".into())
}

/// A scene that can be rendered.
pub(crate) struct Scene {
    /// The file.
    pub(crate) path: PathBuf,
    pub(crate) host: Gaussians,
    pub(crate) frozen: Frozen,
    pub(crate) device: Device,
    pub(crate) engine: String,
    pub(crate) background: Color,
    pub(crate) settings: Settings,
}

impl Scene {
    /// Reads the scene and puts it on the engine's device.
    pub(crate) fn open(path: &Path, look: &LookArgs) -> Result<Self> {
        let path = file_of(path)?;
        let host = splat_scene::read_scene(&path)?;
        let (device, engine) = device_for(&look.engine)?;
        share_threads(device);
        let frozen =
            Frozen::new(&host, device).with_context(|| format!("cannot render {}", path.display()))?;
        if frozen.unusable() > 0 {
            anstream::eprintln!(
                "warning: {}: {} of {} Gaussians are left out: they hold NaN or infinity",
                path.display(),
                frozen.unusable(),
                host.len()
            );
        }
        if frozen.is_empty() {
            let message = format!("{}: there is no Gaussian to render", path.display());
            return Err(Hinted::error(message, "look at how it was made: `splat info` and `splat train`"));
        }
        let (background, antialiasing) = look.trained.of(&path);
        let settings = Settings {
            background: background.into(),
            antialiasing,
            sh_degree: frozen.sh_degree(),
            ..Settings::with_engine(splat_tch::engine(&engine)?)
        };
        Ok(Self { path, host, frozen, device, engine, background, settings })
    }
}

/// The scene's file: `path`, or what a training left in the folder `path`.
pub(crate) fn file_of(path: &Path) -> Result<PathBuf> {
    if !path.is_dir() || path.join("meta.json").exists() {
        return Ok(path.into());
    }
    let plain = path.join("point_cloud.ply");
    if plain.exists() {
        return Ok(plain);
    }
    // The 3DGS authors' trainer: point_cloud/iteration_7000/point_cloud.ply.
    let mut steps: Vec<(u64, PathBuf)> = Vec::new();
    if let Ok(folders) = fs_err::read_dir(path.join("point_cloud")) {
        for folder in folders {
            let folder = folder?.path();
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            let step = name.strip_prefix("iteration_").and_then(|n| n.parse().ok());
            let file = folder.join("point_cloud.ply");
            steps.extend(step.filter(|_| file.exists()).map(|n| (n, file)));
        }
    }
    steps.into_iter().max().map(|(_, file)| file).ok_or_else(|| {
        Hinted::error(
            format!("{}: no scene in this folder: there is no point_cloud.ply", path.display()),
            "give a scene file, or the folder that `splat train -o` wrote",
        )
    })
}

/// Background and antialiasing of the training that wrote `stats.json` beside the scene.
fn training_of(scene: &Path) -> (Option<Color>, Option<bool>) {
    let stats = fs_err::read(scene.with_file_name("stats.json")).unwrap_or_default();
    let stats: serde_json::Value = serde_json::from_slice(&stats).unwrap_or_default();
    let config = &stats["config"];
    (serde_json::from_value(config["background"].clone()).ok(), config["antialiasing"].as_bool())
}

/// On the CPU, torch's threads and the rasterizer's take turns, and torch's spin while they wait: where
/// there are few processors they then take them from the rasterizer (4x the CPU time on two).
pub(crate) fn share_threads(device: Device) {
    if device.is_cuda() || std::env::var_os("OMP_NUM_THREADS").is_some() {
        return;
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    tch::set_num_threads(i32::try_from(threads / 4).unwrap_or(1).max(1));
}

/// Results go to stdout, with the end of a line. That its reader has gone (`splat info DATA | head`) is no failure.
pub(crate) fn print(text: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{text}").and_then(|()| std::io::stdout().flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to stdout")
        }
        _ => Ok(()),
    }
}

/// Makes the folder; refuses one with something in it unless `overwrite`.
pub(crate) fn make_folder(path: &Path, overwrite: bool) -> Result<()> {
    fs_err::create_dir_all(path)?;
    let occupied = fs_err::read_dir(path)?.next().is_some();
    if occupied && !overwrite {
        return Err(Hinted::error(
            format!("the folder {} is not empty", path.display()),
            "give another, or write over files of the same names: --overwrite",
        ));
    }
    Ok(())
}

/// Half of the processors, for PNGs: the rest computes or reads.
pub(crate) fn png_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| usize::from(n).div_ceil(2)).min(8)
}

/// A flag that Ctrl-C sets, for whoever can end in good order; a second Ctrl-C ends at once.
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

/// A bar on a terminal, nothing elsewhere.
pub(crate) fn bar(length: u64, quiet: bool) -> ProgressBar {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}  {elapsed_precise}, {eta} left")
        .expect("the template is valid");
    ProgressBar::with_draw_target(Some(length), target).with_style(style)
}

/// Adds what helps if the device has no more room.
pub(crate) fn with_levers(error: anyhow::Error, levers: &'static str) -> anyhow::Error {
    let text = format!("{error:#}");
    if text.contains("out of memory") || text.contains("allocate memory") {
        return error.context(Hinted { message: "the device has too little memory".into(), hint: levers });
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_places_are_read() {
        assert_eq!(color("white"), Ok([1.0; 3]));
        assert_eq!(color("#ff0080"), Ok([1.0, 0.0, 128.0 / 255.0]));
        assert_eq!(color("0.25, 0.5,1"), Ok([0.25, 0.5, 1.0]));
        for wrong in ["grey", "#ff00", "#gg0000", "1,2,3", "0.1,0.2", "nan,0,0", ""] {
            assert!(color(wrong).is_err(), "{wrong}");
        }
        assert_eq!(numbers("-1,2.5,3e1"), Ok([-1.0, 2.5, 30.0]));
        assert!(numbers("1,2,inf").is_err());
    }

    #[test]
    fn scenes_are_found_in_what_trainings_leave() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        assert!(file_of(dir.path()).unwrap_err().to_string().contains("point_cloud.ply"));
        for steps in [7000, 30000] {
            let folder = at(&format!("point_cloud/iteration_{steps}"));
            fs_err::create_dir_all(&folder).unwrap();
            fs_err::write(folder.join("point_cloud.ply"), []).unwrap();
        }
        assert!(file_of(dir.path()).unwrap().ends_with("iteration_30000/point_cloud.ply"));
        fs_err::write(at("point_cloud.ply"), []).unwrap();
        assert_eq!(file_of(dir.path()).unwrap(), at("point_cloud.ply"));
        assert_eq!(file_of(&at("other.splat")).unwrap(), at("other.splat"));
        assert_eq!(training_of(&at("point_cloud.ply")), (None, None));
        let stats = r#"{"config": {"background": [1.0, 1.0, 1.0], "antialiasing": true}}"#;
        fs_err::write(at("stats.json"), stats).unwrap();
        assert_eq!(training_of(&at("point_cloud.ply")), (Some([1.0; 3]), Some(true)));
    }

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
