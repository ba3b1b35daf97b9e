//! The whole forward pass: [`project`](crate::project) and then [`rasterize`](crate::rasterize), Gaussian by Gaussian, so
//! that the records between them need no memory. And the test of visibility.

use rayon::prelude::*;

use crate::{
    Camera, Error, Outputs, Real, Saved, Scene, Settings, Tuning, Wanted, check,
    constants::NEAR,
    fused::affine_row,
    projection::{Projection, row},
    rasterize::render,
    splat::Splat,
};

/// What a render gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Forward<T = f32> {
    /// The wanted channels.
    pub outputs: Outputs<T>,
    /// `[P]` 3-sigma radius in whole pixels, 0 = not visible.
    pub radii: Vec<i32>,
    /// Gaussians left out because one of their numbers (SH: in the active degree) is not finite, in view or not.
    pub rejected: u64,
    /// For [`crate::backward()`].
    pub saved: Saved<T>,
}

/// Renders `scene` as `camera` sees it, with all five image channels.
///
/// [`crate::project`] says which Gaussians are visible. Where nothing is visible, `P = 0` included, colour is the
/// background (the original gives zeros for `P = 0`) and every other channel is zero.
///
/// # Errors
/// [`Error`] for wrong lengths, a camera or settings that are not finite, an empty image, an SH degree over 3 or over
/// what the coefficients provide, and if there is not enough memory for the lists of the tiles.
pub fn forward<T: Real>(
    scene: &Scene<T>,
    camera: &Camera<T>,
    settings: &Settings<T>,
) -> Result<Forward<T>, Error> {
    forward_with(scene, camera, settings, &Wanted::images(), &Tuning::default())
}

/// [`forward()`] with a choice of channels and of how to compute them.
///
/// # Errors
/// As [`forward()`], and for a weight image that does not fit.
pub fn forward_with<T: Real>(
    scene: &Scene<T>,
    camera: &Camera<T>,
    settings: &Settings<T>,
    wanted: &Wanted<T>,
    tuning: &Tuning<T>,
) -> Result<Forward<T>, Error> {
    let projection = Projection::new(scene, camera, settings, tuning)?;
    let (mut radii, mut splats) = (Vec::new(), Vec::new());
    let each = (0..scene.len()).into_par_iter().with_min_len(256).map(|i| {
        let record = projection.record(i);
        (record.radius, Splat::new(&record, scene.features.row(i), tuning.cutoff))
    });
    each.unzip_into_vecs(&mut radii, &mut splats);
    let size = [camera.width, camera.height];
    let (outputs, saved) = render(&splats, scene.features, size, settings, wanted, tuning)?;
    Ok(Forward { outputs, radii, rejected: projection.rejected(), saved })
}

/// Which centres lie in front of the camera: view-space z over 0.2, which NaN is not. `means3d` is `[P,3]`, `view` the
/// column-major world-to-camera matrix.
///
/// # Errors
/// [`Error`] for a length that is not a multiple of 3 and a matrix that is not finite.
pub fn mark_visible<T: Real>(means3d: &[T], view: &[T; 16]) -> Result<Vec<bool>, Error> {
    let p = means3d.len() / 3;
    check::length("means3D", means3d.len(), 3 * p, || format!("P = {p}, 3 each"))?;
    check::finite("viewmatrix", view)?;
    Ok((0..p)
        .into_par_iter()
        .with_min_len(1024)
        .map(|i| affine_row(view, 2, row(means3d, i)) > T::from_f64_lossy(NEAR))
        .collect())
}
