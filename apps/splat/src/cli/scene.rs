//! A scene that a command renders: where its file is, and how it is meant to be rendered.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use splat_scene::{Gaussians, Origin, ply};
use splat_tch::Settings;
use splat_train::Backend;
use splat_train::metrics::Frozen;

use super::common::BackendArgs;
use super::past::Past;
use super::{Hinted, say};

/// How the scene is rendered.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Rendering")]
pub(crate) struct LookArgs {
    #[command(flatten)]
    backend: BackendArgs,
    #[command(flatten)]
    trained: TrainedArgs,
}

/// How the scene was trained to be rendered; rendered otherwise, it looks wrong.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct TrainedArgs {
    /// Background colour: black, white, #rrggbb, or three numbers 0 to 1 as r,g,b [default: that of the training if its
    /// stats.json is beside the scene, else black]
    #[arg(long, value_name = "COLOR", value_parser = color, allow_hyphen_values = true)]
    background: Option<Color>,
    /// Compensate opacities for the dilation of small Gaussians, as scenes trained with --antialiasing need it [default: as
    /// in the training if its stats.json is beside the scene, else as a PLY's comment says, else off]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    antialiasing: Option<bool>,
}

impl TrainedArgs {
    /// Background and antialiasing for the scene in the file `scene`.
    pub(crate) fn of(&self, scene: &Path) -> (Color, bool) {
        let past = Past::beside(scene);
        (
            self.background.or_else(|| past.background()).unwrap_or_default(),
            self.antialiasing
                .or_else(|| past.antialiasing())
                .or_else(|| ply::antialiased(scene))
                .unwrap_or(false),
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
    /// Its file.
    pub(crate) path: PathBuf,
    pub(crate) host: Gaussians,
    pub(crate) frozen: Frozen,
    pub(crate) backend: Backend,
    pub(crate) background: Color,
    pub(crate) settings: Settings,
}

impl Scene {
    /// Reads the scene, moves its local coordinates to `origin`, where the cameras have theirs, and copies it to the device.
    pub(crate) fn open(path: &Path, look: &LookArgs, origin: Option<Origin>) -> Result<Self> {
        let path = file_of(path)?;
        let host = read(&path)?;
        Self::of(path, host, look, origin)
    }

    /// As [`open`](Self::open), for a scene that was read from the file `path` and may have been changed.
    pub(crate) fn of(
        path: PathBuf,
        mut host: Gaussians,
        look: &LookArgs,
        origin: Option<Origin>,
    ) -> Result<Self> {
        if let Some(origin) = origin {
            host.set_origin(origin);
        }
        let backend = look.backend.backend()?;
        let frozen =
            Frozen::new(&host, &backend).with_context(|| format!("cannot render {}", path.display()))?;
        if frozen.unusable() > 0 {
            say::warn(&format!(
                "{}: {} of {} Gaussians have invalid values (NaN or infinity); skipped",
                path.display(),
                frozen.unusable(),
                host.len()
            ));
        }
        if frozen.is_empty() {
            let message = format!("{}: there are no Gaussians to render", path.display());
            return Err(Hinted::error(
                message,
                "choose another scene; `splat info SCENE` shows what is in one",
            ));
        }
        let (background, antialiasing) = look.trained.of(&path);
        let settings = Settings {
            background: background.into(),
            antialiasing,
            sh_degree: frozen.sh_degree(),
            ..Settings::new(&backend)
        };
        Ok(Self { path, host, frozen, backend, background, settings })
    }
}

/// Reads the scene file `path`, and says what was read otherwise than it was stored.
pub(crate) fn read(path: &Path) -> Result<Gaussians> {
    let loaded = Gaussians::load(path)?;
    for warning in &loaded.warnings {
        say::warn(&format!("{}: {warning}", path.display()));
    }
    Ok(loaded.gaussians)
}

/// The file of the scene: `path`, or the one that a training left in the folder `path`.
pub(crate) fn file_of(path: &Path) -> Result<PathBuf> {
    const HINT: &str = "give a scene file, or the folder that `splat train -o` wrote";
    if !path.exists() {
        return Err(Hinted::error(format!("{}: there is no such file or folder", path.display()), HINT));
    }
    if !path.is_dir() || ["meta.json", "lod-meta.json"].iter().any(|name| path.join(name).exists()) {
        return Ok(path.into());
    }
    let plain = path.join("point_cloud.ply");
    if plain.exists() {
        return Ok(plain);
    }
    // The original trainer: point_cloud/iteration_7000/point_cloud.ply.
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
            format!("{}: there is no scene in this folder, that is, no point_cloud.ply", path.display()),
            HINT,
        )
    })
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
        let other = at("other.splat");
        assert!(file_of(&other).unwrap_err().to_string().contains("there is no such file"));
        fs_err::write(&other, []).unwrap();
        assert_eq!(file_of(&other).unwrap(), other);
        let look = |scene: &Path| (Past::beside(scene).background(), Past::beside(scene).antialiasing());
        assert_eq!(look(&at("point_cloud.ply")), (None, None));
        let stats = r#"{"config": {"background": [1.0, 1.0, 1.0], "antialiasing": true}}"#;
        fs_err::write(at("stats.json"), stats).unwrap();
        assert_eq!(look(&at("point_cloud.ply")), (Some([1.0; 3]), Some(true)));
        assert_eq!(look(&at("point_cloud/iteration_7000/point_cloud.ply")), (Some([1.0; 3]), Some(true)));
        fs_err::write(at("cameras.json"), "[]").unwrap();
        assert_eq!(Past::beside(&at("scene.ply")).cameras(), Some(at("cameras.json")));
    }
}
