//! Photographs and cameras on the device, and the order in which steps take them.
//!
//! Photographs are kept with 8 bits per channel, a quarter of the memory of floats. As many as the budget allows stay on the
//! device; the others come through a bounded cache on the host, decoded ahead of the steps that need them, so that a dataset
//! may be larger than memory. A step gets images as `[3,H,W]`, 0 to 1.

use splat_scene::{Dataset, Picture, PictureCache};
use splat_tch::{Backend, Camera};
use tch::{Device, Tensor};

use crate::Result;

/// Views that are decoded ahead of their steps if they are not on the device.
const AHEAD: usize = 16;
/// Bytes of decoded photographs on the host during loading, when they only pass through.
const DECODED_AT_ONCE: u64 = 256 << 20;

/// The cameras of a dataset with their photographs.
#[derive(Debug)]
pub struct Views {
    views: Vec<View>,
    /// For photographs that do not stay on the device.
    cache: Option<PictureCache>,
    device: Device,
}

/// One view.
#[derive(Debug)]
struct View {
    name: String,
    camera: Camera,
    /// The photograph, if it stays on the device.
    resident: Option<Stored>,
}

/// A photograph on the device.
#[derive(Debug)]
struct Stored {
    /// `[3|4,H,W]` `Uint8`; the fourth channel is alpha, colours not multiplied by it.
    pixels: Tensor,
    /// `[1,H,W]` `Uint8`, 0 = ignored.
    mask: Option<Tensor>,
    /// `[1,H,W]`, 0 = unknown.
    inv_depth: Option<Tensor>,
}

/// A photograph and what belongs to it, on the device.
#[derive(Debug)]
#[non_exhaustive]
pub struct Target {
    /// The photograph, `[3,H,W]`, 0 to 1, over the background where it is transparent.
    pub color: Tensor,
    /// The weight of each pixel, `[1,H,W]`, 0 to 1.
    pub mask: Option<Tensor>,
    /// Inverse depth in world units, `[1,H,W]`, 0 = unknown.
    pub inv_depth: Option<Tensor>,
}

impl Views {
    /// Decodes the photographs of `dataset` and keeps up to `budget` bytes of them on the backend's device; the host cache may
    /// use as much again.
    ///
    /// # Errors
    /// A photograph that cannot be read; out of device memory.
    pub fn load(dataset: &Dataset, budget: u64, backend: &Backend) -> Result<Self> {
        let device = backend.device();
        let all: Vec<usize> = (0..dataset.views.len()).collect();
        let decoded = PictureCache::new(&dataset.views, budget.min(DECODED_AT_ONCE));
        decoded.prefetch(&all);
        let mut views = Vec::with_capacity(all.len());
        let mut room = Some(budget);
        for (i, view) in dataset.views.iter().enumerate() {
            let camera = Camera::new(view.camera.clone(), device)?;
            let mut resident = None;
            if let Some(bytes) = room {
                let picture = decoded.get(i)?;
                room = bytes.checked_sub(picture.bytes());
                if room.is_some() {
                    resident = Some(Stored::upload(&picture, device)?);
                }
            }
            views.push(View { name: view.name.clone(), camera, resident });
        }
        let cache = room.is_none().then(|| PictureCache::new(&dataset.views, budget));
        Ok(Self { views, cache, device })
    }

    /// Number of views.
    #[must_use]
    pub fn len(&self) -> usize {
        self.views.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.views.is_empty()
    }

    /// Name of view `i` in its dataset.
    #[must_use]
    pub fn name(&self, i: usize) -> &str {
        &self.views[i].name
    }

    /// Camera of view `i`, on the device.
    #[must_use]
    pub fn camera(&self, i: usize) -> &Camera {
        &self.views[i].camera
    }

    /// The photograph of view `i` and what belongs to it. `background` is `[3]` on the device.
    ///
    /// # Errors
    /// A photograph that cannot be read any more; out of device memory.
    pub fn target(&self, i: usize, background: &Tensor) -> Result<Target> {
        match (&self.views[i].resident, &self.cache) {
            (Some(stored), _) => stored.target(background),
            (None, Some(cache)) => Stored::upload(&*cache.get(i)?, self.device)?.target(background),
            (None, None) => unreachable!("a view that is not on the device has a cache"),
        }
    }

    /// Starts to decode views that steps will soon need, in the background.
    pub fn announce(&self, coming: impl Iterator<Item = usize>) {
        let Some(cache) = &self.cache else { return };
        let wanted: Vec<usize> = coming.filter(|&i| self.views[i].resident.is_none()).take(AHEAD).collect();
        if !wanted.is_empty() {
            cache.prefetch(&wanted);
        }
    }
}

impl Stored {
    fn upload(picture: &Picture, device: Device) -> Result<Self> {
        let photo = &picture.photo;
        let (h, w) = (i64::from(photo.height), i64::from(photo.width));
        let pixels = Tensor::f_from_slice(&photo.pixels)?.f_to_device(device)?;
        let pixels =
            pixels.f_view([h, w, i64::from(photo.channels)])?.f_permute([2, 0, 1])?.f_contiguous()?;
        let mask = picture.mask.as_deref().map(Tensor::f_from_slice).transpose()?;
        let inv_depth = picture.inv_depth.as_deref().map(Tensor::f_from_slice).transpose()?;
        let plane = |t: Option<Tensor>| -> Result<Option<Tensor>> {
            Ok(t.map(|t| t.f_view([1, h, w])?.f_to_device(device)).transpose()?)
        };
        Ok(Self { pixels, mask: plane(mask)?, inv_depth: plane(inv_depth)? })
    }

    fn target(&self, background: &Tensor) -> Result<Target> {
        // True division, which also converts bytes to floats.
        let unit = |t: &Tensor| t.f_div_scalar(255.0);
        let pixels = unit(&self.pixels)?;
        let color = if pixels.size()[0] == 4 {
            let (rgb, alpha) = (pixels.f_narrow(0, 0, 3)?, pixels.f_narrow(0, 3, 1)?);
            let behind = background.f_view([3, 1, 1])?;
            behind.f_lerp_tensor(&rgb, &alpha)?
        } else {
            pixels
        };
        let mask = self.mask.as_ref().map(unit).transpose()?;
        Ok(Target { color, mask, inv_depth: self.inv_depth.as_ref().map(Tensor::shallow_clone) })
    }
}

impl Target {
    /// Area-averaged down to `height` x `width`, without inverse depths.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn reduced(&self, height: i64, width: i64) -> Result<Self> {
        let small = |t: &Tensor| t.f_adaptive_avg_pool2d([height, width]);
        Ok(Self {
            color: small(&self.color)?,
            mask: self.mask.as_ref().map(small).transpose()?,
            // Averages of known and unknown depths would be meaningless.
            inv_depth: None,
        })
    }
}

/// Views in random order, each once before any comes again.
#[derive(Debug, Clone)]
pub struct Order {
    all: Vec<usize>,
    coming: Vec<usize>,
    rng: fastrand::Rng,
}

impl Order {
    /// The order of the views `all`.
    #[must_use]
    pub fn new(all: &[usize], seed: u64) -> Self {
        Self { all: all.to_vec(), coming: Vec::new(), rng: fastrand::Rng::with_seed(seed) }
    }

    /// The state for a checkpoint: the views that are still to come in this round, and the state of the generator.
    #[must_use]
    pub fn state(&self) -> (Vec<usize>, u64) {
        (self.coming.clone(), self.rng.get_seed())
    }

    /// Restores what [`Order::state`] returned.
    pub fn restore(&mut self, (coming, seed): (Vec<usize>, u64)) {
        self.coming = coming;
        self.rng = fastrand::Rng::with_seed(seed);
    }

    /// The views that come next, up to the end of this round.
    pub fn coming(&self) -> impl Iterator<Item = usize> {
        self.coming.iter().rev().copied()
    }
}

impl Iterator for Order {
    type Item = usize;

    /// `None` only if there are no views.
    fn next(&mut self) -> Option<usize> {
        if self.coming.is_empty() {
            self.coming.clone_from(&self.all);
            self.rng.shuffle(&mut self.coming);
        }
        self.coming.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_takes_every_view_once() {
        let all = [3, 5, 8, 9];
        let mut order = Order::new(&all, 1);
        for _ in 0..5 {
            let mut round: Vec<usize> = order.by_ref().take(4).collect();
            round.sort_unstable();
            assert_eq!(round, all);
        }
        assert_eq!(Order::new(&[], 1).next(), None);
    }

    /// A restored order continues like the one that was saved.
    #[test]
    fn an_order_survives_a_checkpoint() {
        let all: Vec<usize> = (0..10).collect();
        let mut order = Order::new(&all, 7);
        let _ = order.by_ref().take(13).count();
        let mut other = Order::new(&all, 0);
        other.restore(order.state());
        assert_eq!(order.take(40).collect::<Vec<_>>(), other.take(40).collect::<Vec<_>>());
    }

    #[test]
    fn transparency_shows_the_background() {
        let stored = Stored {
            pixels: Tensor::from_slice(&[255u8, 0, 100, 0, 50, 255, 0, 255]).view([4, 1, 2]),
            mask: None,
            inv_depth: None,
        };
        let target = stored.target(&Tensor::from_slice(&[0.25f32, 0.5, 0.75])).unwrap();
        let color: Vec<f32> = Vec::try_from(target.color.view(-1)).unwrap();
        for (a, b) in color.iter().zip([0.25, 0.0, 0.5, 0.0, 0.75, 1.0]) {
            assert!((a - b).abs() < 1e-6, "{color:?}");
        }
    }
}
