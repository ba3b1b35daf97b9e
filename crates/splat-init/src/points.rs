//! The first Gaussians: one per point, as large as the distance to its neighbours.

use std::num::NonZero;

use kiddo::{ImmutableKdTree, SquaredEuclidean};
use rayon::prelude::*;
use splat_scene::{Gaussians, Origin, Point, SH_C0};

use crate::{Error, Result};

/// The initial opacity of every Gaussian.
const OPACITY: f32 = 0.1;
/// Smallest mean squared distance, so that coincident points get an extent.
const SMALLEST: f32 = 1e-7;

/// For each point the mean of the squared distances to its 3 nearest neighbours, or to as many as exist; 0 for a single point.
/// Coincident points count as neighbours at distance 0.
///
/// # Errors
/// [`Error::Points`] if a position is not finite.
pub fn neighbour_distances(points: &[[f32; 3]]) -> Result<Vec<f32>> {
    if points.len() < 2 {
        return Ok(vec![0.0; points.len()]);
    }
    if let Some(i) = points.iter().position(|p| p.iter().any(|x| !x.is_finite())) {
        return Err(Error::Points(format!("point {i} is at {:?}, expected finite numbers", points[i])));
    }
    let tree: ImmutableKdTree<f32, 3> = ImmutableKdTree::new_from_slice(points)
        .map_err(|e| Error::Points(format!("{} points cannot be indexed: {e:?}", points.len())))?;
    let count = points.len().min(4);
    let mean = |p: &[f32; 3]| {
        let nearest =
            tree.query(p).nearest_n::<SquaredEuclidean<f32>>(NonZero::new(count).expect("2 to 4")).execute();
        // The nearest is the point itself or a coincident one: distance 0 either way.
        nearest[1..].iter().map(|n| n.distance).sum::<f32>() / (count - 1) as f32
    };
    Ok(points.par_iter().map(mean).collect())
}

/// Gaussians at `points`, or at `max_points` of them chosen by `seed`: with the colour of the point, opacity 0.1, as large as
/// the root mean square distance to its neighbours in all directions, and with SH coefficients up to `sh_degree`.
///
/// # Errors
/// [`Error::NoPoints`]; [`Error::Points`] if a position is not finite.
pub fn initial(points: &[Point], max_points: Option<usize>, sh_degree: u32, seed: u64) -> Result<Gaussians> {
    let mut chosen: Vec<usize> = (0..points.len()).collect();
    if let Some(max) = max_points
        && max < chosen.len()
    {
        chosen = fastrand::Rng::with_seed(seed).choose_multiple(chosen, max);
        chosen.sort_unstable();
    }
    if chosen.is_empty() {
        return Err(Error::NoPoints);
    }
    let positions: Vec<[f32; 3]> = chosen.iter().map(|&i| points[i].position).collect();
    let coeffs = (sh_degree as usize + 1).pow(2);
    let mut sh = vec![0.0; 3 * coeffs * chosen.len()];
    for (values, &i) in sh.chunks_exact_mut(3 * coeffs).zip(&chosen) {
        for (value, &color) in values.iter_mut().zip(&points[i].color) {
            *value = (f32::from(color) / 255.0 - 0.5) / SH_C0;
        }
    }
    let log_scale = |d: f32| d.max(SMALLEST).sqrt().ln();
    Ok(Gaussians {
        sh,
        coeffs,
        opacity_logits: vec![(OPACITY / (1.0 - OPACITY)).ln(); chosen.len()],
        log_scales: neighbour_distances(&positions)?.into_iter().flat_map(|d| [log_scale(d); 3]).collect(),
        rotations: [1.0, 0.0, 0.0, 0.0].repeat(chosen.len()),
        means: positions.into_iter().flatten().collect(),
        origin: Origin::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud(n: usize) -> Vec<[f32; 3]> {
        let mut rng = fastrand::Rng::with_seed(7);
        (0..n).map(|_| std::array::from_fn(|_| rng.f32() * 10.0 - 5.0)).collect()
    }

    fn brute(points: &[[f32; 3]]) -> Vec<f32> {
        let distance = |a: [f32; 3], b: [f32; 3]| (0..3).map(|k| (a[k] - b[k]).powi(2)).sum::<f32>();
        let of = |i: usize| {
            let mut all: Vec<f32> =
                (0..points.len()).filter(|&j| j != i).map(|j| distance(points[i], points[j])).collect();
            all.sort_by(f32::total_cmp);
            let n = all.len().min(3);
            all[..n].iter().sum::<f32>() / n as f32
        };
        (0..points.len()).map(of).collect()
    }

    #[test]
    fn neighbours_are_those_of_all_pairs() {
        let mut with_twins = cloud(300);
        with_twins.extend_from_within(..50);
        for points in [cloud(2), cloud(3), cloud(5), cloud(500), with_twins] {
            for (a, b) in neighbour_distances(&points).unwrap().into_iter().zip(brute(&points)) {
                assert!((a - b).abs() <= 1e-5 * b, "{a} {b}");
            }
        }
    }

    #[test]
    fn degenerate_clouds_have_an_extent() {
        let points: Vec<Point> =
            (0..1000).map(|_| Point { position: [1.0, 2.0, 3.0], color: [255, 0, 128] }).collect();
        for n in [1, 2, 1000] {
            let g = initial(&points[..n], None, 3, 0).unwrap();
            g.check().unwrap();
            assert!(g.log_scales.iter().all(|s| (s.exp() - 1e-7f32.sqrt()).abs() < 1e-6));
        }
        assert!(matches!(initial(&[], None, 3, 0), Err(Error::NoPoints)));
        assert!(neighbour_distances(&[[f32::NAN; 3], [0.0; 3]]).is_err());
    }

    #[test]
    fn first_gaussians_look_like_their_points() {
        let points: Vec<Point> = cloud(20)
            .into_iter()
            .enumerate()
            .map(|(i, position)| Point { position, color: [i as u8, 255, 0] })
            .collect();
        let g = initial(&points, None, 2, 0).unwrap();
        assert_eq!((g.len(), g.coeffs), (20, 9));
        let a = g.activated();
        assert!(a.opacities.iter().all(|o| (o - 0.1).abs() < 1e-6));
        assert!((0.5 + SH_C0 * g.sh[27 * 3] - 3.0 / 255.0).abs() < 1e-6);
        assert!(g.sh[27 * 3 + 3..27 * 4].iter().all(|&x| x == 0.0));

        let some = initial(&points, Some(5), 0, 1).unwrap();
        assert_eq!(some.len(), 5);
        assert_eq!(some, initial(&points, Some(5), 0, 1).unwrap(), "the seed decides");
        assert_ne!(some, initial(&points, Some(5), 0, 2).unwrap());
    }
}
