//! The whole backward pass: [`rasterize_backward`](crate::rasterize_backward) and then
//! [`project_backward`](crate::project_backward), Gaussian by Gaussian; and what it gives.
//!
//! Bit-identical whatever the number of threads.

use rayon::prelude::*;

use crate::{
    Camera, Error, Real, SavedRef, Scene, Settings, Tuning, Upstream, check,
    project_backward::gaussians,
    projection::Projection,
    rasterize_backward::{moments, of_moments},
    splat::Splat,
};

/// Gradients of the loss with respect to the inputs. Rows of Gaussians with radius 0 are exact zeros, and every number
/// is finite (one that overflows becomes the largest of its type).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gradients<T = f32> {
    /// `[P,3]`, world units.
    pub means3d: Vec<T>,
    /// `[P,3]` for the projected centre in NDC units (pixel gradient times half the image size); z = 0.
    pub means2d: Vec<T>,
    /// `[P,2]` sum over the pixels of the absolute gradients for the projected centre, x and y, same units (Ye et al.
    /// 2024, AbsGS); empty unless [`Upstream::means2d_abs`].
    pub means2d_abs: Vec<T>,
    /// `[P]`.
    pub opacities: Vec<T>,
    /// `[P,M,3]`, or `[P,1,3]` if the coefficients are split, zero above the active degree; empty if colours were given.
    pub sh: Vec<T>,
    /// `[P,M-1,3]` if the coefficients are split, otherwise empty.
    pub sh_rest: Vec<T>,
    /// `[P,3]` for the colour as blended, also when it came from SH.
    pub colors: Vec<T>,
    /// `[P,3]`; zeros if covariances were given.
    pub scales: Vec<T>,
    /// `[P,4]` for the quaternion as given; zeros if covariances were given.
    pub rotations: Vec<T>,
    /// `[P,6]`, also when it came from scales and rotations; off-diagonals count both halves.
    pub cov3d: Vec<T>,
    /// `[P,F]`; empty from [`crate::project_backward`].
    pub features: Vec<T>,
    /// For the background colour; zeros from [`crate::project_backward`].
    pub background: [T; 3],
    /// For the world-to-camera matrix, laid out like it, its last row zero. `proj` and `campos` are taken to follow it:
    /// `proj = projection * view` with a fixed projection, `campos = -R^-1 t`.
    pub view: [T; 16],
}

impl<T: Real> Gradients<T> {
    /// Adds the gradients of another camera for the same scene and background. `view`, `means2d` and `means2d_abs`
    /// belong to one camera and are left alone.
    pub fn add_camera(&mut self, other: &Self) {
        let sums = [
            (&mut self.means3d, &other.means3d),
            (&mut self.opacities, &other.opacities),
            (&mut self.sh, &other.sh),
            (&mut self.sh_rest, &other.sh_rest),
            (&mut self.colors, &other.colors),
            (&mut self.scales, &other.scales),
            (&mut self.rotations, &other.rotations),
            (&mut self.cov3d, &other.cov3d),
            (&mut self.features, &other.features),
        ];
        for (to, from) in sums {
            to.par_iter_mut().zip(from).with_min_len(1 << 14).for_each(|(to, from)| *to += *from);
        }
        for (to, from) in self.background.iter_mut().zip(other.background) {
            *to += from;
        }
    }
}

/// Gradients for the inputs of [`crate::forward()`], from these inputs, what it saved, its radii, and the gradients of
/// its channels.
///
/// Gradients pass straight through alpha's cap of 0.99, as in the original. Mode `compat` also keeps the original's
/// other formulas that are not the derivative ([`crate::Derivative`]).
///
/// # Errors
/// [`Error`] as forward, and if `saved`, `radii` or an upstream gradient does not fit the inputs.
pub fn backward<T: Real>(
    scene: &Scene<T>,
    camera: &Camera<T>,
    settings: &Settings<T>,
    saved: SavedRef<T>,
    radii: &[i32],
    upstream: &Upstream<T>,
) -> Result<Gradients<T>, Error> {
    backward_with(scene, camera, settings, saved, radii, upstream, &Tuning::default())
}

/// [`backward()`] with a choice of how to compute; it must be that of the forward call.
///
/// # Errors
/// As [`backward()`].
pub fn backward_with<T: Real>(
    scene: &Scene<T>,
    camera: &Camera<T>,
    settings: &Settings<T>,
    saved: SavedRef<T>,
    radii: &[i32],
    upstream: &Upstream<T>,
    tuning: &Tuning<T>,
) -> Result<Gradients<T>, Error> {
    let projection = Projection::new(scene, camera, settings, tuning)?;
    check::radii(radii, scene.len())?;
    let each = radii.par_iter().enumerate().with_min_len(256).map(|(i, radius)| match radius {
        1.. => Splat::new(&projection.record(i), scene.features.row(i), tuning.cutoff),
        _ => Splat::invisible(),
    });
    let splats: Vec<Splat<T>> = each.collect();
    let size = [camera.width, camera.height];
    let image = moments(&splats, scene.features, size, settings, saved, upstream, tuning)?;
    let gradient = |i: usize| of_moments(&image.records[i], &splats[i]);
    let out = gaussians(scene, camera, settings, upstream.means2d_abs, tuning, gradient);
    Ok(Gradients { features: image.features, background: image.background, ..out })
}
