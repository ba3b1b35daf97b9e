//! Scores of views and their means. JSON has no infinity, so the PSNR of a render that equals its photograph serializes as
//! `null`.

use serde::Serialize;

/// The scores of one view.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ViewScore {
    /// The view's name in the dataset.
    pub name: String,
    /// PSNR in decibels; infinite for a render equal to its photograph.
    pub psnr: f64,
    /// PSNR after the affine map of the render's colours that fits the photograph best, so that exposure and white balance do
    /// not count. Not a replacement for `psnr`.
    pub cc_psnr: f64,
    /// SSIM, -1 to 1; 1 for equal images.
    pub ssim: f64,
    /// LPIPS, 0 for equal images; `None` without a network.
    pub lpips: Option<f64>,
    /// Time of the render in milliseconds, including the wait for the device.
    pub milliseconds: f64,
}

/// Means over views. As is customary, PSNR is averaged in decibels, not the squared errors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mean {
    /// PSNR in decibels.
    pub psnr: f64,
    /// PSNR after colour correction in decibels.
    pub cc_psnr: f64,
    /// SSIM, -1 to 1.
    pub ssim: f64,
    /// LPIPS; `None` without a network.
    pub lpips: Option<f64>,
    /// Time of a render in milliseconds.
    pub milliseconds: f64,
}

/// The scores of a set of views.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Scores {
    /// In the order of evaluation.
    pub views: Vec<ViewScore>,
    /// Names of views without scores because the mask leaves no pixel.
    pub skipped: Vec<String>,
}

impl Scores {
    /// The means; `None` if no view was scored.
    #[must_use]
    pub fn mean(&self) -> Option<Mean> {
        let n = self.views.len() as f64;
        let over = |f: &dyn Fn(&ViewScore) -> f64| self.views.iter().map(f).sum::<f64>() / n;
        let lpips: Option<f64> = self.views.iter().map(|v| v.lpips).sum();
        (!self.views.is_empty()).then(|| Mean {
            psnr: over(&|v| v.psnr),
            cc_psnr: over(&|v| v.cc_psnr),
            ssim: over(&|v| v.ssim),
            lpips: lpips.map(|sum| sum / n),
            milliseconds: over(&|v| v.milliseconds),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_over_views_and_lpips_needs_all_of_them() {
        let view = |psnr, lpips| ViewScore {
            name: "a".into(),
            psnr,
            cc_psnr: psnr + 1.0,
            ssim: 0.5,
            lpips,
            milliseconds: 2.0,
        };
        let scores = |views| Scores { views, skipped: Vec::new() };
        assert_eq!(Scores::default().mean(), None);
        let both = scores(vec![view(20.0, Some(0.25)), view(30.0, Some(0.75))]).mean().unwrap();
        assert_eq!((both.psnr, both.ssim, both.lpips, both.milliseconds), (25.0, 0.5, Some(0.5), 2.0));
        assert_eq!(both.cc_psnr, 26.0);
        assert_eq!(scores(vec![view(20.0, None), view(f64::INFINITY, None)]).mean().unwrap().lpips, None);
    }
}
