//! Renders views and compares them with their photographs.

use std::time::Instant;

use splat_scene::Picture;
use splat_tch::{Backend, Camera, Settings};
use tch::{Cuda, Device, Kind, Tensor};

use super::{Lpips, Scores, ViewScore, ssim_map};
use crate::{Error, Result};

/// A photograph and which of its pixels count.
#[derive(Debug)]
pub struct Truth {
    /// `[3,H,W]`, 0 to 1.
    pub photo: Tensor,
    /// `[H,W]` `Bool`, true where a pixel counts; `None`: all pixels count.
    pub mask: Option<Tensor>,
}

impl Truth {
    /// Copies a photograph to the device of `backend`, over `background` (RGB, 0 to 1) where it is transparent. A pixel counts
    /// if its mask is 128 or more.
    ///
    /// # Errors
    /// [`Error::Settings`] for a mask of another size than the photograph; out of device memory.
    pub fn new(picture: &Picture, background: [f32; 3], backend: &Backend) -> Result<Self> {
        let device = backend.device();
        let photo = &picture.photo;
        let (height, width) = (i64::from(photo.height), i64::from(photo.width));
        let mask = match &picture.mask {
            Some(mask) if mask.len() as i64 != height * width => {
                return Err(Error::Settings(format!(
                    "the mask has {} pixels, but its photograph is {width}x{height}",
                    mask.len()
                )));
            }
            Some(mask) => {
                Some(Tensor::f_from_slice(mask)?.f_to_device(device)?.f_ge(128)?.f_view([height, width])?)
            }
            None => None,
        };
        let pixels = Tensor::f_from_slice(&photo.clone().into_rgb(background))?.f_to_device(device)?;
        let photo = pixels.f_view([height, width, 3])?.f_permute([2, 0, 1])?.f_contiguous()?;
        Ok(Self { photo: photo.f_to_kind(Kind::Float)?.f_div_scalar(255.0)?, mask })
    }
}

/// Compares renders with photographs.
#[derive(Debug, Default)]
pub struct Evaluator {
    lpips: Option<Lpips>,
}

impl Evaluator {
    /// An evaluator of PSNR and SSIM, and of LPIPS if there is a network.
    #[must_use]
    pub fn new(lpips: Option<Lpips>) -> Self {
        Self { lpips }
    }

    /// Compares `image` (`[3,H,W]`, clamped first) with a photograph on the same device; waits for the device. `None` if the
    /// mask leaves no pixel. [`ViewScore::milliseconds`] is 0.
    ///
    /// With a mask, PSNR and mean SSIM are over the pixels that count. For SSIM and LPIPS the other pixels are those of the
    /// photograph in both images.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if the image contains NaN; [`Error::Lpips`]; torch's, for example for shapes that differ.
    pub fn compare(&self, name: &str, image: &Tensor, truth: &Truth) -> Result<Option<ViewScore>> {
        let _guard = tch::no_grad_guard();
        let photo = &truth.photo;
        if image.size() != photo.size() {
            return Err(Error::Settings(format!(
                "view {name}: the render has shape {:?}, but the photograph {:?}",
                image.size(),
                photo.size()
            )));
        }
        // NaN survives the clamp and shows in the sum.
        let mut image = image.f_detach()?.f_clamp(0.0, 1.0)?;
        let mut pixels = photo.numel() as f64 / 3.0;
        if let Some(mask) = &truth.mask {
            pixels = mask.f_sum(Kind::Double)?.f_double_value(&[])?;
            image = image.f_where_self(mask, photo)?;
        }
        if pixels == 0.0 {
            return Ok(None);
        }
        let squared = image.f_sub(photo)?.f_square()?.f_sum(Kind::Double)?;
        let mut similarity = ssim_map(&image, photo)?;
        if let Some(mask) = &truth.mask {
            similarity = similarity.f_mul(mask)?;
        }
        let corrected = color_corrected(&image, photo, truth.mask.as_ref())?;
        let corrected = corrected.f_sub(photo)?.f_square()?.f_sum(Kind::Double)?;
        let sums = Tensor::f_stack(&[squared, similarity.f_sum(Kind::Double)?, corrected], 0)?;
        let [squared, similarity, corrected] = [0, 1, 2].map(|k| sums.double_value(&[k]));
        if !(squared.is_finite() && similarity.is_finite()) {
            return Err(Error::NotFinite { view: name.into() });
        }
        Ok(Some(ViewScore {
            name: name.into(),
            psnr: -10.0 * (squared / (3.0 * pixels)).log10(),
            // No correction is also a correction, and clamping may make the fitted one worse.
            cc_psnr: -10.0 * (corrected.min(squared) / (3.0 * pixels)).log10(),
            ssim: similarity / (3.0 * pixels),
            lpips: self.lpips.as_ref().map(|net| net.number(&image, photo)).transpose()?,
            milliseconds: 0.0,
        }))
    }

    /// Renders `views` (name and camera) one after another and compares each with `truth(i)`, the photograph of view `i` at the
    /// size of its camera, on the device of the scene. `seen` gets every scored view with its render `[3,H,W]`, not clamped,
    /// for example to save it or to show progress.
    ///
    /// # Errors
    /// As [`compare`](Self::compare); what the rasterizer, `truth` and `seen` return.
    pub fn run<E: From<Error>>(
        &self,
        scene: &splat_tch::Gaussians<'_>,
        settings: &Settings,
        views: &[(&str, &Camera)],
        truth: &mut dyn FnMut(usize) -> Result<Truth>,
        seen: &mut dyn FnMut(&ViewScore, &Tensor, &Truth) -> Result<(), E>,
    ) -> Result<Scores, E> {
        let _guard = tch::no_grad_guard();
        let mut scores = Scores::default();
        for (i, (name, camera)) in views.iter().enumerate() {
            let truth = truth(i)?;
            wait(camera.device());
            let begin = Instant::now();
            let image = splat_tch::render(scene, camera, settings).map_err(Error::from)?.color;
            wait(camera.device());
            let milliseconds = 1e3 * begin.elapsed().as_secs_f64();
            match self.compare(name, &image, &truth)? {
                Some(score) => {
                    let score = ViewScore { milliseconds, ..score };
                    seen(&score, &image, &truth)?;
                    scores.views.push(score);
                }
                None => scores.skipped.push((*name).to_owned()),
            }
        }
        Ok(scores)
    }
}

/// `image` (`[3,H,W]`) after the affine map of its colours that minimises the squared distance from `photo` over `mask`
/// (`[H,W]`), clamped; where the mask is false, the photograph. Least squares with 4 unknowns per channel in f64, with a
/// small ridge towards the identity for what the image's colours do not determine.
fn color_corrected(image: &Tensor, photo: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    let flat = |t: &Tensor| t.f_view([3, -1])?.f_to_kind(Kind::Double);
    let (x, y) = (flat(image)?, flat(photo)?);
    let x = Tensor::f_cat(&[&x, &x.f_narrow(0, 0, 1)?.f_ones_like()?], 0)?;
    let weighted = match mask {
        Some(mask) => x.f_mul(&mask.f_view([1, -1])?)?,
        None => x.shallow_clone(),
    };
    // [4,4] and [4,3], solved on the host: the GPU's solver takes longer to load than to solve.
    let small = |t: Tensor| t.f_to_device(Device::Cpu);
    let normal = small(weighted.f_mm(&x.f_tr()?)?)?;
    let found = small(weighted.f_mm(&y.f_tr()?)?)?;
    let ridge = 1e-6 * normal.f_double_value(&[3, 3])?.max(1.0);
    let doubles = (Kind::Double, Device::Cpu);
    let normal = normal.f_add(&Tensor::f_eye(4, doubles)?.f_mul_scalar(ridge)?)?;
    let found = found.f_add(&Tensor::f_eye_m(4, 3, doubles)?.f_mul_scalar(ridge)?)?;
    if normal.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 {
        return Ok(image.shallow_clone());
    }
    let map = Tensor::f_linalg_solve(&normal, &found, true)?.f_to_device(image.device())?;
    let corrected = map.f_tr()?.f_mm(&x)?.f_clamp(0.0, 1.0)?.f_view(image.size().as_slice())?;
    Ok(match mask {
        Some(mask) => corrected.f_where_self(mask, &photo.f_to_kind(Kind::Double)?)?,
        None => corrected,
    })
}

/// Waits until a GPU has finished what was queued.
pub(crate) fn wait(device: Device) {
    if let Device::Cuda(index) = device {
        Cuda::synchronize(index as i64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Frozen, lpips};
    use crate::random::tests::Random;
    use splat_scene::Photo;

    const FLOATS: (Kind, Device) = (Kind::Float, Device::Cpu);

    fn truth(photo: Tensor, mask: Option<Tensor>) -> Truth {
        Truth { photo, mask }
    }

    #[test]
    fn psnr_and_ssim_are_those_of_the_whole_image() {
        let photo = Tensor::full([3, 16, 16], 0.75, FLOATS);
        let compare = |image: &Tensor| {
            Evaluator::default().compare("v", image, &truth(photo.copy(), None)).unwrap().unwrap()
        };
        let darker = compare(&Tensor::full([3, 16, 16], 0.65, FLOATS));
        assert!(
            (darker.psnr - 20.0).abs() < 1e-4 && darker.ssim < 1.0 && darker.lpips.is_none(),
            "{darker:?}"
        );
        let same = compare(&photo);
        assert!(same.psnr == f64::INFINITY && (same.ssim - 1.0).abs() < 1e-6, "{same:?}");
        // Clamped: 7 is white.
        let white = compare(&Tensor::full([3, 16, 16], 7.0, FLOATS));
        assert!((white.psnr - -20.0 * 0.25f64.log10()).abs() < 1e-4, "{white:?}");
    }

    /// An exposure alone costs nothing there; what is no map of colours does; masked pixels decide nothing.
    #[test]
    fn colors_are_corrected_for_a_figure_of_its_own() {
        let mut random = Random::new(2);
        let photo = random.uniform(&[3, 24, 20]);
        let exposed = &photo * 0.7 + 0.1;
        let noisy = (&exposed + random.normal(&[3, 24, 20]) * 0.02).clamp(0.0, 1.0);
        let score = |image: &Tensor, mask: Option<&Tensor>| {
            let truth = truth(photo.copy(), mask.map(Tensor::copy));
            Evaluator::default().compare("v", image, &truth).unwrap().unwrap()
        };
        let alone = score(&exposed, None);
        assert!(alone.psnr < 25.0 && alone.cc_psnr > 80.0, "{alone:?}");
        // Noise of .02, stretched by 1/.7.
        let noise = score(&noisy, None).cc_psnr;
        assert!((noise - 20.0 * (0.7f64 / 0.02).log10()).abs() < 0.5, "{noise}");
        let rows: Vec<bool> = (0..24 * 20).map(|i| i / 20 < 15).collect();
        let mask = Tensor::from_slice(&rows).view([24, 20]);
        let spoilt = exposed.copy();
        let _ = spoilt.narrow(1, 15, 9).fill_(0.0);
        assert!(score(&spoilt, Some(&mask)).cc_psnr > 80.0 && score(&spoilt, None).cc_psnr < 40.0);
        // One colour says nothing of a map, and NaN is named elsewhere.
        let plain = score(&Tensor::full([3, 24, 20], 0.5, FLOATS), None);
        assert!(plain.cc_psnr >= plain.psnr && plain.cc_psnr.is_finite(), "{plain:?}");
    }

    /// What a mask leaves out has no influence at all, not even through SSIM's windows.
    #[test]
    fn masked_pixels_do_not_count() {
        let mut random = Random::new(1);
        let photo = random.uniform(&[3, 24, 20]);
        let render = (&photo + random.uniform(&[3, 24, 20]) * 0.1).clamp(0.0, 1.0);
        let rows: Vec<bool> = (0..24 * 20).map(|i| i / 20 < 15).collect();
        let mask = Tensor::from_slice(&rows).view([24, 20]);
        let spoilt = render.copy();
        let _ = spoilt.narrow(1, 15, 9).fill_(0.0);
        let score = |image: &Tensor, mask: Option<&Tensor>| {
            let truth = truth(photo.copy(), mask.map(Tensor::copy));
            Evaluator::default().compare("v", image, &truth).unwrap()
        };
        let (masked, other) = (score(&render, Some(&mask)).unwrap(), score(&spoilt, Some(&mask)).unwrap());
        assert_eq!(masked, other);
        let alone = truth(photo.narrow(1, 0, 15), None);
        let top = Evaluator::default().compare("v", &render.narrow(1, 0, 15), &alone).unwrap().unwrap();
        assert!((masked.psnr - top.psnr).abs() < 1e-4, "{masked:?} {top:?}");
        let all = score(&render, Some(&mask.ones_like())).unwrap();
        let none = score(&render, None).unwrap();
        assert!((all.psnr - none.psnr).abs() < 1e-9 && (all.ssim - none.ssim).abs() < 1e-9);
        assert_eq!(score(&render, Some(&mask.zeros_like())), None);
    }

    #[test]
    fn renders_that_are_no_numbers_are_errors_with_the_views_name() {
        let photo = || truth(Tensor::zeros([3, 4, 4], FLOATS), None);
        let image = Tensor::zeros([3, 4, 4], FLOATS);
        let _ = image.get(1).get(2).fill_(f64::NAN);
        let error = Evaluator::default().compare("a.png", &image, &photo()).unwrap_err();
        assert!(matches!(&error, Error::NotFinite { view } if view == "a.png"), "{error}");
        let small = Evaluator::default().compare("a.png", &Tensor::zeros([3, 4, 3], FLOATS), &photo());
        assert!(small.unwrap_err().to_string().contains("a.png"));
    }

    #[test]
    fn photographs_come_over_the_background_and_masks_have_their_size() {
        let picture = |mask: &[u8]| Picture {
            photo: Photo { width: 2, height: 1, channels: 4, pixels: vec![255, 0, 0, 255, 9, 9, 9, 0] },
            mask: Some(mask.into()),
            inv_depth: None,
        };
        let made = Truth::new(&picture(&[127, 128]), [0.0, 1.0, 0.0], &Backend::cpu()).unwrap();
        assert_eq!(Vec::<f32>::try_from(made.photo.view(-1)).unwrap(), [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
        assert_eq!(Vec::<bool>::try_from(made.mask.unwrap().view(-1)).unwrap(), [false, true]);
        let wrong = Truth::new(&picture(&[0; 3]), [0.0; 3], &Backend::cpu()).unwrap_err().to_string();
        assert!(wrong.contains("3 pixels") && wrong.contains("2x1"), "{wrong}");
    }

    /// Rendered, scored and handed on in order, with LPIPS, and views without pixels apart.
    #[test]
    fn a_set_of_views_is_rendered_and_scored() {
        let dir = tempfile::tempdir().unwrap();
        let net = dir.path().join("net.pt");
        lpips::tests::save_module(&net, |a, b| (a - b).abs().mean(Kind::Float));
        let evaluator = Evaluator::new(Some(Lpips::load(&net, Device::Cpu).unwrap()));
        let host = splat_scene::Gaussians {
            means: vec![0.0, 0.0, 0.0],
            sh: vec![1.0, 0.0, -1.0],
            coeffs: 1,
            opacity_logits: vec![3.0],
            log_scales: vec![-1.0; 3],
            rotations: vec![1.0, 0.0, 0.0, 0.0],
            origin: splat_scene::Origin::default(),
        };
        let scene = Frozen::new(&host, &Backend::cpu()).unwrap();
        let camera = |z: f64| {
            let core = splat_core::Camera::look_at(20, 16, 60.0, [0.0, 0.0, z], [0.0; 3], [0.0, -1.0, 0.0]);
            Camera::new(core, Device::Cpu).unwrap()
        };
        let cameras = [camera(-3.0), camera(-4.0), camera(-5.0)];
        let settings = Settings { sh_degree: scene.sh_degree(), ..Settings::default() };
        let picture = |i: usize| splat_tch::render(&scene.scene(), &cameras[i], &settings).unwrap().color;
        let views = [("near", &cameras[0]), ("empty", &cameras[1]), ("far", &cameras[2])];
        let mut handed = Vec::new();
        let scores = evaluator
            .run(
                &scene.scene(),
                &settings,
                &views,
                &mut |i| {
                    let mask = (i == 1).then(|| Tensor::zeros([16, 20], (Kind::Bool, Device::Cpu)));
                    Ok(truth(picture(i).clamp(0.0, 1.0) * if i == 2 { 0.5 } else { 1.0 }, mask))
                },
                &mut |score, image, _| {
                    handed.push((score.name.clone(), image.size()));
                    Ok::<_, Error>(())
                },
            )
            .unwrap();
        assert_eq!(scores.skipped, ["empty"]);
        let [near, far] = scores.views.as_slice() else { panic!("{scores:?}") };
        assert_eq!((near.psnr, near.lpips), (f64::INFINITY, Some(0.0)));
        // In -1 to 1, half as bright is off by the brightness itself.
        let brightness = picture(2).clamp(0.0, 1.0).mean(Kind::Float).double_value(&[]);
        assert!(brightness > 0.01 && (far.lpips.unwrap() - brightness).abs() < 1e-6, "{far:?}");
        assert!(far.psnr.is_finite() && near.milliseconds > 0.0);
        assert_eq!(handed, [("near".into(), vec![3, 16, 20]), ("far".into(), vec![3, 16, 20])]);
    }
}
