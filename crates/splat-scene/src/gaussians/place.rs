//! The place of Gaussians in the world: moving the origin of their local coordinates, and merging scenes whose origins
//! differ.

use std::path::Path;

use splat_core::Error;

use crate::{Gaussians, Origin};

/// `g`, which was read from `path`, with the origin that the sidecar states, if there is one.
pub(super) fn placed(path: &Path, mut g: Gaussians) -> crate::Result<Gaussians> {
    g.origin = Origin::read_sidecar(path)?.unwrap_or_default();
    Ok(g)
}

impl Gaussians {
    /// The centres in world coordinates.
    pub fn world_means(&self) -> impl Iterator<Item = [f64; 3]> {
        self.means.chunks_exact(3).map(|m| self.origin.to_world([m[0], m[1], m[2]]))
    }

    /// Makes local coordinates relative to `origin`. The Gaussians stay where they are in the world, but for the rounding
    /// of local coordinates to `f32`.
    pub fn set_origin(&mut self, origin: Origin) {
        if origin != self.origin {
            self.means = self.world_means().flat_map(|x| origin.to_local(x)).collect();
            self.origin = origin;
        }
    }

    /// Appends the Gaussians of `other`. The result has the higher of the two SH degrees; missing coefficients are 0. If the
    /// origins differ, the result has one that suits both.
    ///
    /// # Errors
    /// [`Error::Length`] or [`Error::Settings`] if the arrays of either disagree in length.
    pub fn append(&mut self, other: &Self) -> Result<(), Error> {
        self.check_lengths()?;
        other.check_lengths()?;
        let moved;
        let mut other = other;
        if self.origin != other.origin {
            let chosen = Origin::choose(self.world_means().chain(other.world_means()));
            let origin = [chosen, self.origin, other.origin].into_iter().find(|o| !o.is_zero());
            let origin = origin.expect("one of two that differ");
            self.set_origin(origin);
            let mut copy = other.clone();
            copy.set_origin(origin);
            moved = copy;
            other = &moved;
        }
        let coeffs = self.coeffs.max(other.coeffs);
        let widened = |g: &Self| -> Vec<f32> {
            let zeros = [0.0].into_iter().cycle().take(3 * (coeffs - g.coeffs));
            g.sh.chunks_exact(3 * g.coeffs).flat_map(|c| c.iter().copied().chain(zeros.clone())).collect()
        };
        if coeffs > self.coeffs {
            self.sh = widened(self);
            self.coeffs = coeffs;
        }
        self.sh.extend(widened(other));
        self.means.extend(&other.means);
        self.opacity_logits.extend(&other.opacity_logits);
        self.log_scales.extend(&other.log_scales);
        self.rotations.extend(&other.rotations);
        Ok(())
    }
}
