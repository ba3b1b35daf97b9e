//! LPIPS (Zhang et al. 2018): a learned distance between images. The network is not part of this crate; the user provides it
//! as a TorchScript file.

use std::path::{Path, PathBuf};

use tch::{CModule, Device, Kind, Tensor};

use crate::{Error, Result};

/// Side of the images with which a new network is tried.
const TRIAL: i64 = 64;

/// An LPIPS network on a device.
///
/// Its file is a TorchScript module that takes two images `[1,3,H,W]`, -1 to 1, and returns their distance. With the Python
/// package `lpips`:
///
/// ```python
/// import torch, lpips
/// net, x = lpips.LPIPS(net="alex").eval(), torch.zeros(1, 3, 64, 64)
/// torch.jit.trace(net, (x, x), check_trace=False).save("lpips.pt")
/// ```
#[derive(Debug)]
pub struct Lpips {
    module: CModule,
    path: PathBuf,
}

impl Lpips {
    /// Loads the network and tries it: two images must give one finite number, and equal images 0.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; [`Error::Lpips`] if it is not a TorchScript module, or not one like this.
    pub fn load(path: &Path, device: Device) -> Result<Self> {
        // Torch's own message for a missing file does not say that it is missing.
        drop(fs_err::File::open(path)?);
        let refused = |message: String| Error::Lpips { path: path.into(), message };
        let mut module = CModule::load_on_device(path, device).map_err(|e| {
            refused(format!("it is not a TorchScript module ({})", first_line(&Error::from(e).to_string())))
        })?;
        module.f_set_eval()?;
        let this = Self { module, path: path.into() };
        // A pattern with colours and with edges in both directions, and its mirror image.
        let steps = Tensor::f_arange(3 * TRIAL * TRIAL, (Kind::Float, device))?.f_view([3, TRIAL, TRIAL])?;
        let image = steps.f_mul_scalar(0.37)?.f_sin()?.f_mul_scalar(0.5)?.f_add_scalar(0.5)?;
        this.number(&image, &image.f_flip([2i64])?)?;
        let same = this.number(&image, &image)?;
        if same.abs() > 1e-4 {
            return Err(refused(format!("it returns {same} for two equal images, but their LPIPS is 0")));
        }
        Ok(this)
    }

    /// The file of the network.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The distance of two images `[3,H,W]`, 0 to 1, on the network's device; waits for the device.
    ///
    /// # Errors
    /// [`Error::Lpips`], for example for images that are too small for the network.
    pub fn number(&self, image: &Tensor, photo: &Tensor) -> Result<f64> {
        let _guard = tch::no_grad_guard();
        let input = |t: &Tensor| t.f_mul_scalar(2.0)?.f_sub_scalar(1.0)?.f_unsqueeze(0);
        let size = image.size();
        let refused = |message: String| Error::Lpips { path: self.path.clone(), message };
        let distance = self.module.forward_ts(&[input(image)?, input(photo)?]).map_err(|e| {
            let reason = Error::from(e);
            if matches!(&reason, Error::Torch(text) if text.contains("out of memory")) {
                return reason;
            }
            let text = reason.to_string();
            // The error of a script begins with a trace; its last line is the reason.
            let line = text.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or(&text);
            refused(format!("it fails on two images of {}x{}: {}", size[2], size[1], line.trim()))
        })?;
        if distance.numel() != 1 {
            return Err(refused(format!(
                "it returns a tensor of shape {:?} for two images of {}x{}, expected one number",
                distance.size(),
                size[2],
                size[1]
            )));
        }
        let value = distance.f_reshape([1])?.f_double_value(&[0])?;
        if value.is_finite() {
            Ok(value)
        } else {
            Err(refused(format!("it returns {value}, expected a finite number")))
        }
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default().trim_end_matches('.')
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::random::tests::Random;

    fn floats(shape: &[i64]) -> Tensor {
        Random::new(shape.iter().sum::<i64>() as u64).uniform(shape)
    }

    /// Traces `distance` as a module of two images and saves it.
    pub(crate) fn save_module(path: &Path, mut distance: impl FnMut(&Tensor, &Tensor) -> Tensor) {
        let inputs = [floats(&[1, 3, 8, 8]), floats(&[1, 3, 8, 8])];
        let mut body = |t: &[Tensor]| vec![distance(&t[0], &t[1])];
        let module = CModule::create_by_tracing("Distance", "forward", &inputs, &mut body).unwrap();
        module.save(path).unwrap();
    }

    /// The module gets both images in the range -1 to 1, whatever their size, and its number is returned.
    #[test]
    fn the_networks_number_is_returned() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("net.pt");
        // Not symmetric about 0, so that a wrong range would be noticed.
        save_module(&path, |a, b| (a.exp() - b.exp()).abs().mean(Kind::Float).view([1, 1, 1, 1]));
        let net = Lpips::load(&path, Device::Cpu).unwrap();
        let (a, b) = (floats(&[3, 13, 9]), floats(&[3, 13, 9]).flip([1i64]));
        let range = |t: &Tensor| (t * 2.0 - 1.0).exp();
        let expected = (range(&a) - range(&b)).abs().mean(Kind::Float).double_value(&[]);
        assert!((net.number(&a, &b).unwrap() - expected).abs() < 1e-6);
        assert_eq!(net.number(&a, &a).unwrap(), 0.0);
        let odd = net.number(&a, &floats(&[3, 4, 4])).unwrap_err();
        assert!(odd.to_string().contains("net.pt: it fails on two images of 9x13"), "{odd}");
    }

    #[test]
    fn a_wrong_file_is_refused_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("net.pt");
        let refused = || {
            let error = Lpips::load(&path, Device::Cpu).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("net.pt") && !text.contains('\n'), "{text}");
            (text, error.remedy())
        };
        assert!(refused().0.contains("No such file"));
        fs_err::write(&path, b"PK\x03\x04 or something").unwrap();
        let (text, hint) = refused();
        assert!(
            text.contains("not a TorchScript module") && hint == Some(crate::Remedy::ExportLpips),
            "{text}"
        );
        save_module(&path, |a, b| a - b);
        assert!(refused().0.contains("shape [1, 3, 64, 64]"));
        save_module(&path, |a, b| (a * b).mean(Kind::Float) + 3.0);
        assert!(refused().0.contains("for two equal images"));
        save_module(&path, |a, b| ((a - b).abs() + 1.0).mean(Kind::Float) / 0.0);
        assert!(refused().0.contains("finite"));
    }
}
