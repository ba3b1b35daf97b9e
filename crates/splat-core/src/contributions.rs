//! Counts what a render blended, for measurements. No rendering uses it.

use rayon::prelude::*;

use crate::{
    Camera, Error, Real, Record, SavedRef, Scene, Settings, Tuning,
    blend::Limits,
    check,
    fused::fma,
    projection::Projection,
    tiles::{Grid, TILE},
};

/// Number of contributions of a Gaussian to a pixel in the forward call that left `saved`: the unit in which the cost of
/// blending is stated.
///
/// # Errors
/// [`Error`] as [`crate::backward()`].
pub fn blended_contributions<T: Real>(
    scene: &Scene<T>,
    camera: &Camera<T>,
    settings: &Settings<T>,
    saved: SavedRef<T>,
    radii: &[i32],
) -> Result<u64, Error> {
    let tuning = Tuning::default();
    let projection = Projection::new(scene, camera, settings, &tuning)?;
    check::radii(radii, scene.len())?;
    let grid = Grid::new([camera.width, camera.height]);
    check::saved(&saved, scene.len(), &grid)?;
    let limits = Limits::<T>::new(tuning.cutoff);
    let records: Vec<Record<T>> = (0..scene.len()).into_par_iter().map(|i| projection.record(i)).collect();
    let pixel = |at: usize| -> u64 {
        let [start, _] = saved.ranges[grid.tile_of(at)];
        let list = &saved.point_list[start as usize..][..saved.contributors[at] as usize];
        let [x, y] = [at % grid.width, at / grid.width].map(|p| T::from_f64_lossy(p as f64));
        let blends = |&&id: &&u32| {
            let r = &records[id as usize];
            let (dx, dy) = (r.x - x, r.y - y);
            let [xx, xy, yy] = r.inv_cov;
            let square = fma(xx * dx, dx, yy * dy * dy);
            let power = T::from_f64_lossy(-0.5) * square - xy * dx * dy;
            power <= T::zero() && r.opacity * power.exp() >= limits.alpha_min
        };
        list.iter().filter(blends).count() as u64
    };
    Ok((0..grid.pixels()).into_par_iter().with_min_len(TILE * TILE).map(pixel).sum())
}
