//! Scores of views and their means, as they stand in `stats.json`. JSON has no infinity: there, the PSNR of a
//! render that equals its photograph is `null`.

use serde::Serialize;

/// One view.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ViewScore {
    /// Its name in the dataset.
    pub name: String,
    /// Decibels; infinite for a render equal to its photograph.
    pub psnr: f64,
    /// The same after the affine map of the render's colours that comes nearest to the photograph: what is left when
    /// exposure and white balance do not count. No replacement for `psnr`.
    pub cc_psnr: f64,
    /// -1 to 1; 1 for equal images.
    pub ssim: f64,
    /// 0 for equal images; none without a network.
    pub lpips: Option<f64>,
    /// What the render took, the device awaited.
    pub milliseconds: f64,
}

/// Means over views: of the decibels, not of the squared errors, as is the custom.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mean {
    /// Decibels.
    pub psnr: f64,
    /// Decibels, colours corrected.
    pub cc_psnr: f64,
    /// -1 to 1.
    pub ssim: f64,
    /// None without a network.
    pub lpips: Option<f64>,
    /// A render.
    pub milliseconds: f64,
}

/// All views.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Scores {
    /// In the order of evaluation.
    pub views: Vec<ViewScore>,
    /// Names of views of which the mask leaves no pixel: they are in no mean.
    pub skipped: Vec<String>,
}

impl Scores {
    /// None where no view was scored.
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
