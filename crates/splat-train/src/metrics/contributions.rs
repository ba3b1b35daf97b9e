//! What each Gaussian contributes to a set of views: its weights in the blending, over all pixels.

use splat_tch::{Camera, Gaussians, Settings};
use tch::{Kind, Tensor};

use crate::Result;

/// The least weight with which a Gaussian counts as seen: a step of 8 bits.
const SEEN: f64 = 1.0 / 255.0;

/// What `P` Gaussians contribute to views. A weight is what a Gaussian's colour is multiplied with in a pixel, 0 to 1: its
/// alpha times what the Gaussians before it let through.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Contributions {
    /// `[P]`, the sum of the weights over all pixels of all views.
    pub sums: Vec<f32>,
    /// `[P]`, the largest weight in any pixel of any view.
    pub peaks: Vec<f32>,
    /// `[P]`, the number of views in which the largest weight is at least 1/255.
    pub views: Vec<u32>,
}

impl Contributions {
    /// Renders `cameras` one after another; `seen` is told the number of those done.
    ///
    /// # Errors
    /// What the rasterizer returns; an engine without weights.
    pub fn of(
        scene: &Gaussians<'_>,
        cameras: impl IntoIterator<Item = Result<Camera>>,
        settings: Settings,
        seen: &mut dyn FnMut(u64),
    ) -> Result<Self> {
        let _guard = tch::no_grad_guard();
        let settings = Settings { weight_sum: true, weight_max: true, ..settings };
        let mut sum: Option<[Tensor; 3]> = None;
        for (done, camera) in (1..).zip(cameras) {
            let rendered = splat_tch::render(scene, &camera?, &settings)?;
            let weights = rendered.weight_sum.expect("asked for").f_to_kind(Kind::Double)?;
            let peaks = rendered.weight_max.expect("asked for");
            let views = peaks.f_ge(SEEN)?.f_to_kind(Kind::Int)?;
            sum = Some(match sum {
                None => [weights, peaks, views],
                Some([w, p, v]) => [w.f_add(&weights)?, p.f_maximum(&peaks)?, v.f_add(&views)?],
            });
            seen(done);
        }
        let Some([sums, peaks, views]) = sum else { return Ok(Self::default()) };
        let floats = |t: Tensor| -> Result<Vec<f32>> {
            Ok(Vec::try_from(t.f_to_kind(Kind::Float)?.f_to_device(tch::Device::Cpu)?)?)
        };
        let views = floats(views)?.into_iter().map(|x| x as u32).collect();
        Ok(Self { sums: floats(sums)?, peaks: floats(peaks)?, views })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Frozen;
    use splat_tch::Backend;

    /// A wall hides what is behind it from one side, and not from the other; what no camera looks at gets nothing.
    #[test]
    fn what_is_hidden_contributes_to_fewer_views() {
        let host = splat_scene::Gaussians {
            // A flat wall of three layers, a Gaussian behind it, one far outside of all views.
            means: vec![0.0, 0.0, 0.0, 0.0, 0.0, 0.1, 0.0, 0.0, 0.2, 0.0, 0.0, 2.0, 90.0, 0.0, 0.0],
            sh: vec![0.5; 15],
            coeffs: 1,
            opacity_logits: vec![6.0; 5],
            log_scales: [[1.0f32, 1.0, -6.0]; 3].into_iter().chain([[-2.0; 3]; 2]).flatten().collect(),
            rotations: [1.0, 0.0, 0.0, 0.0].repeat(5),
            origin: splat_scene::Origin::default(),
        };
        let scene = Frozen::new(&host, &Backend::cpu()).unwrap();
        let camera = |z: f64| {
            let core = splat_core::Camera::look_at(32, 24, 40.0, [0.0, 0.0, z], [0.0; 3], [0.0, -1.0, 0.0]);
            Ok(Camera::new(core, tch::Device::Cpu)?)
        };
        let settings = || Settings { sh_degree: 0, ..Settings::default() };
        let mut done = Vec::new();
        let views = [camera(-6.0), camera(8.0)];
        let both = Contributions::of(&scene.scene(), views, settings(), &mut |n| done.push(n)).unwrap();
        assert_eq!(done, [1, 2]);
        assert_eq!((both.views[0], both.views[3], both.views[4]), (2, 1, 0), "{both:?}");
        // The one behind is small: its peak is spread by the dilation.
        assert!(both.peaks[0] > 0.95 && both.peaks[3] > 0.5 && both.peaks[4] == 0.0, "{both:?}");
        assert!(both.sums[0] > both.sums[3] && both.sums[3] > both.peaks[3], "{both:?}");
        let front = Contributions::of(&scene.scene(), [camera(-6.0)], settings(), &mut |_| {}).unwrap();
        assert_eq!(front.views[3], 0, "hidden: {front:?}");
        // Every pixel's weights add up to at most 1.
        let total: f32 = front.sums.iter().sum();
        assert!(total <= 32.0 * 24.0 && total > 0.9 * 32.0 * 24.0, "{total}");
        assert_eq!(
            Contributions::of(&scene.scene(), [], settings(), &mut |_| {}).unwrap(),
            Contributions::default()
        );
    }
}
