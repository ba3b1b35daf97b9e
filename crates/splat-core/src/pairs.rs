//! Counts what a render blended, for measurements. Not on any path that renders.

use rayon::prelude::*;

use crate::{
    Camera, Error, Real, SavedRef, Scene, Settings, Tuning,
    blend::Limits,
    check,
    fused::fma,
    projection::project_all,
    tiles::{Grid, TILE},
};

/// Number of (pixel, splat) pairs that the forward call which left `saved` blended: the unit in which the
/// cost of blending is told.
///
/// # Errors
/// [`Error`] as [`crate::backward()`].
pub fn blended_pairs<T: Real>(
    scene: &Scene<T>,
    camera: &Camera<T>,
    settings: &Settings<T>,
    saved: SavedRef<T>,
    radii: &[i32],
) -> Result<u64, Error> {
    check::inputs(scene, camera, settings)?;
    let grid = Grid::new(camera.width, camera.height);
    check::saved(&saved, radii, scene.len(), &grid)?;
    let tuning = Tuning::default();
    let limits = Limits::<T>::new(tuning.cutoff);
    let splats = project_all(scene, camera, settings, &tuning, |i| radii[i] > 0);
    let pixel = |at: usize| -> u64 {
        let [start, _] = saved.ranges[grid.tile_of(at)];
        let list = &saved.point_list[start as usize..][..saved.contributors[at] as usize];
        let [x, y] = [at % grid.width, at / grid.width].map(|p| T::from_f64_lossy(p as f64));
        let blends = |&&id: &&u32| {
            let s = &splats[id as usize];
            let (dx, dy) = (s.mean[0] - x, s.mean[1] - y);
            let [xx, xy, yy] = s.conic;
            let square = fma(xx * dx, dx, yy * dy * dy);
            let power = T::from_f64_lossy(-0.5) * square - xy * dx * dy;
            power <= T::zero() && s.opacity * power.exp() >= limits.alpha_min
        };
        list.iter().filter(blends).count() as u64
    };
    Ok((0..grid.pixels()).into_par_iter().with_min_len(TILE * TILE).map(pixel).sum())
}
