//! Writes rendered pictures: PNGs in a folder, or videos. Images are converted to bytes on their device.

use std::path::{Path, PathBuf};

use crate::report::{self, Pixels, PngPool, Video};
use crate::trajectory::Shot;
use anyhow::Result;
use serde_json::{Value, json};
use splat_scene::write_atomically;
use splat_tch::Rendered;
use tch::{Device, Kind, Tensor};

use super::folder::Folder;
use super::render::is_video;
use super::{Hinted, common};

/// Depth is known where the opacity is at least this.
const SOLID: f64 = 0.5;

/// What is written besides colour.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extras {
    pub(super) transparent: bool,
    pub(super) alpha: bool,
    /// The depth that the largest value stands for, if depth is wanted.
    pub(super) depth: Option<f64>,
}

/// Writes pictures in order.
pub(super) struct Output {
    path: PathBuf,
    extras: Extras,
    /// File names of the pictures, without ending.
    names: Vec<String>,
    to: Option<To>,
    /// For depth.json.
    depths: Vec<Value>,
    /// Nobody else writes to it meanwhile.
    _folder: Option<Folder>,
}

enum To {
    Folder(PngPool),
    Videos(Box<Videos>),
}

struct Videos {
    color: Video,
    depth: Option<Video>,
    alpha: Option<Video>,
}

impl Output {
    /// Checks that `path` can be written, and creates the folder.
    pub(super) fn check(path: &Path, overwrite: bool, transparent: bool) -> Result<Self> {
        if is_video(path) {
            if transparent {
                let message = format!("{}: a video has no transparency", path.display());
                return Err(Hinted::error(
                    message,
                    "write PNGs with -o FOLDER, or leave out --transparent and add --alpha for a second video of the opacity",
                ));
            }
            if path.exists() && !overwrite {
                return Err(Hinted::error(
                    format!("{} already exists", path.display()),
                    "use --overwrite to replace it, or choose another name",
                ));
            }
        } else {
            let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
            if !path.is_dir()
                && ["png", "jpg", "jpeg", "gif", "webm", "avi", "webp"].contains(&ending.as_str())
            {
                let message = format!("{}: .{ending} files are not written", path.display());
                return Err(Hinted::error(
                    message,
                    "name a folder for PNGs after -o, or a .mp4, .mkv or .mov file",
                ));
            }
        }
        let hint = "choose another folder, or replace files of the same names with --overwrite";
        let folder = (!is_video(path)).then(|| Folder::open(path, overwrite, hint)).transpose()?;
        let extras = Extras { transparent, alpha: false, depth: None };
        Ok(Self {
            path: path.into(),
            extras,
            names: Vec::new(),
            to: None,
            depths: Vec::new(),
            _folder: folder,
        })
    }

    /// Starts threads or ffmpeg.
    pub(super) fn begin(&mut self, shots: &[Shot], extras: Extras, fps: f64) -> Result<()> {
        self.extras = extras;
        self.names = report::file_names(shots.iter().map(|s| s.name.as_str()));
        if !is_video(&self.path) {
            for (folder, _) in
                [("depth", extras.depth.is_some()), ("alpha", extras.alpha)].iter().filter(|(_, on)| *on)
            {
                fs_err::create_dir_all(self.path.join(folder))?;
            }
            self.to = Some(To::Folder(PngPool::new(common::png_threads())?));
            return Ok(());
        }
        let size = |s: &Shot| (s.camera.width, s.camera.height);
        let (width, height) = size(&shots[0]);
        if let Some(other) = shots.iter().find(|s| size(s) != (width, height)) {
            let (w, h) = size(other);
            let message = format!(
                "{}: the pictures of a video have one size, but {} is {width}x{height} and {} is {w}x{h}",
                self.path.display(),
                shots[0].name,
                other.name
            );
            return Err(Hinted::error(message, "choose one, for example --width 1280 --height 720"));
        }
        let beside = |what: &str| {
            let ending = self.path.extension().unwrap_or_default().to_string_lossy();
            self.path.with_extension(format!("{what}.{ending}"))
        };
        let start = |on: bool, path: PathBuf| on.then(|| Video::start(&path, width, height, fps)).transpose();
        self.to = Some(To::Videos(Box::new(Videos {
            color: Video::start(&self.path, width, height, fps)?,
            depth: start(extras.depth.is_some(), beside("depth"))?,
            alpha: start(extras.alpha, beside("alpha"))?,
        })));
        Ok(())
    }

    /// Writes picture `i`.
    pub(super) fn write(&mut self, i: usize, picture: &Rendered) -> Result<()> {
        let Some(to) = &mut self.to else { return Ok(()) };
        let alpha = picture.alpha.as_ref();
        match to {
            To::Folder(pool) => {
                let name = format!("{}.png", self.names[i]);
                let (_, h, w) = picture.color.size3()?;
                let (w, h) = (w as u32, h as u32);
                let color = match alpha {
                    Some(alpha) if self.extras.transparent => {
                        Pixels::Rgba(report::bytes(&straight(&picture.color, alpha)?)?)
                    }
                    _ => Pixels::Rgb(report::bytes(&picture.color)?),
                };
                pool.push(self.path.join(&name), w, h, color)?;
                if let (Some(depth), Some(alpha), Some(largest)) = (&picture.depth, alpha, self.extras.depth)
                {
                    let (values, beyond) = deep(&share_of_depth(depth, alpha, largest)?)?;
                    self.depths.push(json!({ "file": name, "name": self.names[i], "beyond_scale": beyond }));
                    pool.push(self.path.join("depth").join(&name), w, h, Pixels::Gray16(values))?;
                }
                if let (Some(alpha), true) = (alpha, self.extras.alpha) {
                    pool.push(
                        self.path.join("alpha").join(&name),
                        w,
                        h,
                        Pixels::Gray(report::bytes(alpha)?),
                    )?;
                }
            }
            To::Videos(videos) => {
                videos.color.frame(&report::bytes(&picture.color)?)?;
                if let (Some(video), Some(depth), Some(alpha), Some(largest)) =
                    (&mut videos.depth, &picture.depth, alpha, self.extras.depth)
                {
                    // Near is bright; unknown depth is as dark as the farthest.
                    let share = share_of_depth(depth, alpha, largest)?;
                    let near = share.f_neg()?.f_add_scalar(1.0)?.f_mul(&share.f_gt(0.0)?)?;
                    video.frame(&report::bytes(&report::heat(&near)?)?)?;
                }
                if let (Some(video), Some(alpha)) = (&mut videos.alpha, alpha) {
                    video.frame(&report::bytes(&alpha.f_expand([3, -1, -1], false)?)?)?;
                }
            }
        }
        Ok(())
    }

    /// Waits until all pictures are written; `done` is their number.
    pub(super) fn finish(&mut self, done: usize) -> Result<()> {
        match self.to.take() {
            // Stopped before the first picture: there is nothing to make a video of.
            Some(To::Videos(_)) if done == 0 => {}
            Some(To::Videos(videos)) => {
                let Videos { color, depth, alpha } = *videos;
                color.finish()?;
                depth.map(Video::finish).transpose()?;
                alpha.map(Video::finish).transpose()?;
            }
            Some(To::Folder(pool)) => {
                pool.finish()?;
                if let Some(largest) = self.extras.depth {
                    let sidecar = json!({
                        "format": 1,
                        "depth": "distance along the camera's axis in world units = value * units_per_value",
                        "units_per_value": largest / 65535.0,
                        "unknown": 0,
                        "opaque_from": SOLID,
                        "frames": self.depths,
                    });
                    let path = self.path.join("depth/depth.json");
                    write_atomically(&path, |out| Ok(serde_json::to_writer_pretty(out, &sidecar)?))?;
                }
            }
            None => {}
        }
        Ok(())
    }
}

/// Colour over black `[3,H,W]` and opacity `[1,H,W]` as straight (not premultiplied) RGBA, `[4,H,W]`.
fn straight(color: &Tensor, alpha: &Tensor) -> Result<Tensor> {
    // Below half a step of 8 bits nothing is visible, and the quotient would be noise.
    let seen = alpha.f_gt(0.5 / 255.0)?;
    let color = color.f_div(&alpha.f_clamp_min(1e-6)?)?.f_mul(&seen)?;
    Ok(Tensor::f_cat(&[&color, alpha], 0)?)
}

/// Depth as a fraction of `largest`, `[H,W]`; 0 where it is unknown.
fn share_of_depth(depth: &Tensor, alpha: &Tensor, largest: f64) -> Result<Tensor> {
    let solid = alpha.f_ge(SOLID)?;
    let share = depth.f_div(&alpha.f_clamp_min(SOLID)?)?.f_div_scalar(largest)?.f_mul(&solid)?;
    Ok(share.f_squeeze_dim(0)?)
}

/// 16-bit values, 1 to 65535 where depth is known, and the number of pixels beyond the scale.
fn deep(share: &Tensor) -> Result<(Vec<u16>, u64)> {
    let known = share.f_gt(0.0)?;
    let scaled = share.f_mul_scalar(65535.0)?.f_round()?;
    let beyond = scaled.f_gt(65535.0)?.f_sum(Kind::Int64)?.f_int64_value(&[])?;
    let values = scaled.f_clamp(1.0, 65535.0)?.f_mul(&known)?.f_to_kind(Kind::Int)?;
    let values = values.f_to_device(Device::Cpu)?.f_contiguous()?;
    let mut host = vec![0i32; values.numel()];
    values.f_copy_data(&mut host, values.numel())?;
    Ok((host.into_iter().map(|x| x as u16).collect(), beyond as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[f32]) -> Tensor {
        Tensor::from_slice(values).view([1, 1, -1])
    }

    #[test]
    fn depth_is_that_of_what_is_solid() {
        // Nothing, half seen at 4, solid at 8, twice as far as the scale.
        let (depth, alpha) = (row(&[0.0, 1.6, 8.0, 32.0]), row(&[0.0, 0.4, 1.0, 1.0]));
        let share = share_of_depth(&depth, &alpha, 16.0).unwrap();
        assert_eq!(Vec::<f32>::try_from(share.view(-1)).unwrap(), [0.0, 0.0, 0.5, 2.0]);
        assert_eq!(deep(&share).unwrap(), (vec![0, 0, 32768, 65535], 1));
        let near = share_of_depth(&row(&[1e-6]), &row(&[1.0]), 16.0).unwrap();
        assert_eq!(deep(&near).unwrap().0, [1], "0 is kept for what is unknown");
    }

    #[test]
    fn transparent_colours_are_not_darkened() {
        let color = Tensor::from_slice(&[0.25f32, 0.0, 0.1]).view([1, 1, 3]).expand([3, 1, 3], false);
        let rgba = straight(&color, &row(&[0.5, 0.0, 0.001])).unwrap();
        let numbers = Vec::<f32>::try_from(rgba.view(-1)).unwrap();
        assert_eq!(numbers[..3], [0.5, 0.0, 0.0]);
        assert_eq!(numbers[9..], [0.5, 0.0, 0.001]);
    }
}
