//! What a viewer shows: `world` with cameras, first points and Gaussians; a held-out view beside its render; curves.
//!
//! `world` is the dataset's frame, right-handed. Cameras have OpenCV axes (x right, y down, z forward: rerun's RDF);
//! their transforms are camera-to-world. Images are JPEGs of bounded size, points a bounded number.

use crate::report::{Rgb8, rgb8};
use anyhow::Result;
use image::codecs::jpeg::JpegEncoder;
use image::{RgbImage, imageops};
use re_sdk::blueprint::{
    Blueprint, Horizontal, Spatial2DView, Spatial3DView, TimePanel, TimeSeriesView, Vertical,
};
use re_sdk::{EntityPath, RecordingStream, entity_path};
use re_sdk_types::archetypes::{EncodedImage, Pinhole, Points3D, Transform3D, ViewCoordinates};
use re_sdk_types::components::{Color, Radius};
use splat_core::Camera;
use splat_scene::{Photo, SH_C0, View};
use splat_train::Gaussians;
use tch::{Device, Tensor};

/// Everything that changes is at the number of steps done.
pub(super) const TIMELINE: &str = "step";
/// Most points of a cloud: evenly spread rows of it.
const MOST_POINTS: usize = 50_000;
/// Most cameras with their photographs; the others are frustums.
const MOST_PHOTOS: usize = 200;
/// Longest side of a camera's photograph, and of the held-out view.
const THUMBNAIL: u32 = 256;
const PICTURE: u32 = 1024;
const JPEG_QUALITY: u8 = 85;
/// Depth of the frustums, of the distance from the middle of the cameras to the farthest.
const FRUSTUM: f64 = 0.06;

/// Centres, colours and sizes of Gaussians, on the host.
#[derive(Debug)]
pub(super) struct Cloud {
    positions: Vec<[f32; 3]>,
    /// Seen from everywhere alike (SH of degree 0); alpha is the opacity.
    colors: Vec<Color>,
    /// Geometric means of the three standard deviations: of the ball of the same volume.
    radii: Vec<f32>,
}

impl Cloud {
    /// Waits for the device.
    pub(super) fn of(gaussians: &Gaussians) -> Result<Self> {
        let _guard = tch::no_grad_guard();
        let every = gaussians.len().div_ceil(MOST_POINTS).max(1) as i64;
        let thin = |t: &Tensor| t.f_slice(0, 0, None, every);
        let color = thin(&gaussians.sh_first)?.f_flatten(1, -1)?.f_mul_scalar(f64::from(SH_C0))?;
        let opacity = thin(&gaussians.opacity_logits)?.f_sigmoid()?;
        let size = thin(&gaussians.log_scales)?.f_mean_dim([1i64].as_slice(), true, None)?.f_exp()?;
        let color = color.f_add_scalar(0.5)?;
        let rows = Tensor::f_cat(&[thin(&gaussians.means)?, color, opacity, size], 1)?;
        let rows = rows.f_to_device(Device::Cpu)?.f_contiguous()?;
        let mut numbers = vec![0f32; rows.numel()];
        rows.f_copy_data(&mut numbers, rows.numel())?;
        let (rows, _) = numbers.as_chunks::<8>();
        let byte = |x: f32| (x.clamp(0.0, 1.0) * 255.0).round() as u8;
        Ok(Self {
            positions: rows.iter().map(|r| [r[0], r[1], r[2]]).collect(),
            colors: rows.iter().map(|r| Color::new([r[3], r[4], r[5], r[6]].map(byte))).collect(),
            radii: rows.iter().map(|r| r[7]).collect(),
        })
    }

    fn points(&self) -> Points3D {
        Points3D::new(self.positions.iter().copied()).with_colors(self.colors.iter().copied())
    }
}

/// How the viewer is laid out at first; `held_out` is the name of the view that is compared, if any is.
pub(super) fn layout(held_out: Option<&str>) -> Blueprint {
    let curve = |name: &str, paths: &[&str]| {
        TimeSeriesView::new(name)
            .with_origin("/")
            .with_contents(paths.iter().map(|p| format!("+ /{p}")))
            .into()
    };
    let world = Spatial3DView::new("world").with_origin("world");
    // The Gaussians of step 0 are at the first points: one of the two is enough at first sight.
    let mut scene = vec![world.with_contents(["+ /world/**", "- /world/first_points"]).into()];
    if let Some(name) = held_out {
        let photo = Spatial2DView::new(format!("{name}, photograph")).with_origin("held_out/photograph");
        let render = Spatial2DView::new(format!("{name}, render")).with_origin("held_out/render");
        scene.push(Horizontal::new([photo.into(), render.into()]).into());
    }
    let curves = [
        curve("loss", &["train/loss"]),
        curve("PSNR, dB", &["train/psnr", "held_out/psnr"]),
        curve("SSIM, held out", &["held_out/ssim"]),
        curve("Gaussians", &["train/gaussians"]),
        curve("steps a second", &["train/steps_per_second"]),
        curve("memory, MiB", &["train/memory_mib"]),
    ];
    let scene = Vertical::new(scene).with_row_shares(vec![3.0, 2.0]);
    let root = Horizontal::new([scene.into(), Vertical::new(curves).into()]);
    Blueprint::new(root.with_column_shares(vec![2.0, 1.0]))
        .with_time_panel(TimePanel::new().with_timeline(TIMELINE))
}

/// What stays as it is: the views, the first `held_out` of them compared with its render.
#[derive(Debug)]
pub(super) struct World {
    pub(super) views: Vec<View>,
    pub(super) held_out: Vec<usize>,
    /// Of the training, behind photographs with alpha.
    pub(super) background: [f32; 3],
}

impl World {
    /// The frame, the cameras, the photograph that is compared, and the first points where they are known.
    pub(super) fn show(&self, to: &RecordingStream, first: Option<&Cloud>) -> Result<()> {
        let views = &self.views;
        to.log_static("world", &world_axes(views.iter().map(|view| &view.camera)))?;
        let count = views.len().max(1) as f64;
        let middle: [f64; 3] =
            std::array::from_fn(|k| views.iter().map(|v| v.center[k]).sum::<f64>() / count);
        let away = |v: &View| (0..3).map(|k| (v.center[k] - middle[k]).powi(2)).sum::<f64>().sqrt();
        let farthest = views.iter().map(away).fold(0.0, f64::max);
        let depth = FRUSTUM * if farthest > 0.0 { farthest } else { 1.0 };
        for (i, view) in views.iter().enumerate() {
            to.log_static(self.path(i), &pose(&view.camera))?;
            to.log_static(self.path(i), &pinhole(&view.camera).with_image_plane_distance(depth as f32))?;
        }
        if let Some(first) = first {
            let points = first.points().with_radii([Radius::new_ui_points(1.5)]);
            to.log_static("world/first_points", &points)?;
        }
        match self.held_out.first() {
            Some(&i) => self.show_photograph(to, i, "held_out/photograph".into(), PICTURE),
            None => Ok(()),
        }
    }

    /// Views whose photographs are shown in their cameras.
    pub(super) fn photographs(&self) -> impl Iterator<Item = usize> + use<> {
        (0..self.views.len()).step_by(self.views.len().div_ceil(MOST_PHOTOS).max(1))
    }

    /// Decodes one and shows it in its camera.
    pub(super) fn show_in_camera(&self, to: &RecordingStream, i: usize) -> Result<()> {
        self.show_photograph(to, i, self.path(i), THUMBNAIL)
    }

    /// One that cannot be read is left out: the training has its own word on that.
    fn show_photograph(&self, to: &RecordingStream, i: usize, path: EntityPath, most: u32) -> Result<()> {
        let Ok(picture) = self.views[i].load() else { return Ok(()) };
        let image = opaque(picture.photo, self.background);
        let [width, height] = within([image.width(), image.height()], most);
        let image = if width < image.width() { imageops::thumbnail(&image, width, height) } else { image };
        Ok(to.log_static(path, &jpeg(&image)?)?)
    }

    fn path(&self, i: usize) -> EntityPath {
        let split = if self.held_out.contains(&i) { "held_out" } else { "train" };
        entity_path!("world", "cameras", split, self.views[i].name)
    }
}

/// The scene after some step.
pub(super) fn show_snapshot(to: &RecordingStream, cloud: &Cloud, render: Option<&RgbImage>) -> Result<()> {
    to.log("world/gaussians", &cloud.points().with_radii(cloud.radii.iter().copied()))?;
    if let Some(render) = render {
        to.log("held_out/render", &jpeg(render)?)?;
    }
    Ok(())
}

/// `[3,H,W]`, at the size of the photograph that it is compared with. Waits for the device.
pub(super) fn rendered(image: &Tensor) -> Result<RgbImage> {
    let (_, h, w) = image.size3()?;
    let [width, height] = within([w as u32, h as u32], PICTURE).map(i64::from);
    let image = if width < w { image.f_adaptive_avg_pool2d([height, width])? } else { image.shallow_clone() };
    let Rgb8 { width, height, pixels } = rgb8(&image)?;
    Ok(RgbImage::from_raw(width, height, pixels).expect("three bytes per pixel"))
}

/// From the camera's axes to the world.
fn pose(camera: &Camera) -> Transform3D {
    // Columns of the inverse of a rotation are its rows; `view` is column-major.
    let columns: [[f32; 3]; 3] = std::array::from_fn(|r| std::array::from_fn(|c| camera.view[4 * c + r]));
    Transform3D::from_translation_mat3x3(camera.campos, columns)
}

/// The projection onto the photograph as it is shown.
fn pinhole(camera: &Camera) -> Pinhole {
    let [width, height] = within([camera.width, camera.height], THUMBNAIL).map(|n| n as f32);
    let p = camera.projection();
    // NDC to pixels: see `Camera::from_pinhole`.
    let x = |column: usize| p[0][column] as f32 * width / 2.0;
    let y = |column: usize| p[1][column] as f32 * height / 2.0;
    let (cx, cy) = (x(2) + width / 2.0, y(2) + height / 2.0);
    Pinhole::new([[x(0), 0.0, 0.0], [x(1), y(1), 0.0], [cx, cy, 1.0]])
        .with_resolution([width, height])
        .with_camera_xyz(Pinhole::DEFAULT_CAMERA_XYZ)
}

/// The axis of the world that is nearest to what the cameras hold for up; right-handed all the same.
fn world_axes<'a>(cameras: impl Iterator<Item = &'a Camera>) -> ViewCoordinates {
    let mut up = [0f32; 3];
    cameras.for_each(|camera| (0..3).for_each(|k| up[k] -= camera.view[4 * k + 1]));
    let axis = (0..3).max_by(|&a, &b| up[a].abs().total_cmp(&up[b].abs())).unwrap_or(1);
    match (axis, up[axis] > 0.0) {
        (0, true) => ViewCoordinates::RIGHT_HAND_X_UP(),
        (0, false) => ViewCoordinates::RIGHT_HAND_X_DOWN(),
        (1, true) => ViewCoordinates::RIGHT_HAND_Y_UP(),
        (1, false) => ViewCoordinates::RIGHT_HAND_Y_DOWN(),
        (_, true) => ViewCoordinates::RIGHT_HAND_Z_UP(),
        (_, false) => ViewCoordinates::RIGHT_HAND_Z_DOWN(),
    }
}

/// The size with the longest side at `most`, if it is longer.
fn within(size: [u32; 2], most: u32) -> [u32; 2] {
    let longest = size[0].max(size[1]);
    if longest <= most {
        return size;
    }
    size.map(|n| ((f64::from(n) * f64::from(most) / f64::from(longest)).round() as u32).max(1))
}

/// Over the background of the training.
fn opaque(photo: Photo, background: [f32; 3]) -> RgbImage {
    let pixels = if photo.channels == 3 {
        photo.pixels
    } else {
        let (pixels, _) = photo.pixels.as_chunks::<4>();
        let over = |&[r, g, b, a]: &[u8; 4]| {
            let alpha = f32::from(a) / 255.0;
            let mix = |value: u8, behind: f32| f32::from(value) * alpha + behind * 255.0 * (1.0 - alpha);
            [mix(r, background[0]), mix(g, background[1]), mix(b, background[2])].map(|x| x.round() as u8)
        };
        pixels.iter().flat_map(over).collect()
    };
    RgbImage::from_raw(photo.width, photo.height, pixels).expect("three bytes per pixel")
}

fn jpeg(image: &RgbImage) -> Result<EncodedImage> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY).encode_image(image)?;
    Ok(EncodedImage::new(bytes).with_media_type("image/jpeg"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clouds_are_bounded_and_evenly_thinned() {
        let p = 2 * MOST_POINTS + 1;
        let host = splat_scene::Gaussians {
            means: (0..p).flat_map(|i| [i as f32, 0.0, 0.0]).collect(),
            coeffs: 1,
            sh: vec![0.0; 3 * p],
            opacity_logits: vec![0.0; p],
            log_scales: [0.0, 2f32.ln(), 4f32.ln()].repeat(p),
            rotations: [1.0, 0.0, 0.0, 0.0].repeat(p),
            ..splat_scene::Gaussians::default()
        };
        let cloud = Cloud::of(&Gaussians::upload(&host, Device::Cpu).unwrap()).unwrap();
        assert!(cloud.positions.len() <= MOST_POINTS && cloud.positions.len() > MOST_POINTS / 2);
        assert!(cloud.positions.iter().enumerate().all(|(i, x)| x[0] == 3.0 * i as f32));
        assert!(cloud.colors.iter().all(|c| c.to_array() == [128; 4]), "SH of 0 are grey");
        assert!(cloud.radii.iter().all(|r| (r - 2.0).abs() < 1e-5), "1, 2 and 4 make the ball of 2");
    }

    #[test]
    fn up_is_what_the_cameras_hold_for_it() {
        let axes = |up: [f64; 3]| {
            let eyes = [[3.0, 1.0, 2.0], [-2.0, 2.5, 1.0], [1.0, -3.0, -2.0]];
            let cameras = eyes.map(|eye| Camera::look_at(8, 8, 50.0, eye, [0.0; 3], up));
            world_axes(cameras.iter())
        };
        assert_eq!(axes([0.1, 0.2, 1.0]), ViewCoordinates::RIGHT_HAND_Z_UP());
        assert_eq!(axes([0.0, -1.0, 0.2]), ViewCoordinates::RIGHT_HAND_Y_DOWN());
        assert_eq!(axes([1.0, 0.1, 0.0]), ViewCoordinates::RIGHT_HAND_X_UP());
    }

    #[test]
    fn transparent_photographs_are_shown_as_they_are_trained_on() {
        let photo = Photo { width: 2, height: 1, channels: 4, pixels: vec![255, 0, 100, 0, 50, 255, 0, 255] };
        assert_eq!(opaque(photo, [0.2, 0.4, 0.6]).into_raw(), [51, 102, 153, 50, 255, 0]);
        assert_eq!(within([4000, 3000], 256), [256, 192]);
        assert_eq!((within([100, 90], 256), within([9000, 2], 256)), ([100, 90], [256, 1]));
    }
}
