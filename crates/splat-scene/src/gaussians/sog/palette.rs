//! A palette of up to 65536 vectors that approximate many, by k-means on two levels, so that a round costs `n x 2 sqrt(K)`
//! distances rather than `n x K`.
//!
//! The points are first divided among `sqrt(K)` coarse centres. Each cell then gets centres of its own, in proportion to
//! its squared error. The result is deterministic: random choices have fixed seeds.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::gaussians::rows::PART;
use crate::{Result, WriteProgress};

/// Rounds of k-means per level, after k-means++ has chosen the start.
const ROUNDS: usize = 6;
/// Points per coarse centre that the coarse centres are fitted to.
const SAMPLE: usize = 64;
/// Centres whose distances are computed at once; with two points they fit in vector registers.
const LANES: usize = 16;

pub(super) struct Palette {
    /// `[K,dim]`.
    pub(super) centers: Vec<f32>,
    /// `[n]`: the index of each point's centre.
    pub(super) labels: Vec<u16>,
}

/// Points that are fetched as they are needed.
pub(super) struct Points<'a> {
    pub(super) count: usize,
    pub(super) dim: usize,
    /// The points of these numbers, in this order.
    pub(super) fetch: &'a (dyn Fn(&[u32]) -> Result<Vec<f32>> + Sync),
}

impl Points<'_> {
    /// Calls `each` for all points in parts, in their order, until it returns false.
    fn each_part(&self, mut each: impl FnMut(&[f32]) -> bool) -> Result<()> {
        for from in (0..self.count).step_by(PART) {
            let part: Vec<u32> = (from as u32..).take(PART.min(self.count - from)).collect();
            if !each(&(self.fetch)(&part)?) {
                break;
            }
        }
        Ok(())
    }
}

/// Fits at most `size` centres (at most 65536) to `points`.
pub(super) fn fit(points: &Points<'_>, size: usize, progress: WriteProgress<'_>) -> Result<Palette> {
    let (n, dim) = (points.count, points.dim);
    if let Some(exact) = distinct(points, size)? {
        return Ok(exact);
    }
    let mut rng = fastrand::Rng::with_seed(0);
    let cells = size.isqrt().max(1);
    let mut chosen: Vec<u32> = rng.choose_multiple(0..n as u32, (SAMPLE * cells).min(n));
    chosen.sort_unstable();
    let coarse = means(&(points.fetch)(&chosen)?, dim, cells, &mut rng);

    let mut members: Vec<Vec<u32>> = vec![Vec::new(); coarse.len()];
    let mut errors = vec![0.0f64; coarse.len()];
    let mut next = 0;
    points.each_part(|part| {
        let mut nearest = vec![(0, 0.0); part.len() / dim];
        coarse.find_all(part, &mut nearest);
        for (cell, distance) in nearest {
            members[cell].push(next);
            errors[cell] += f64::from(distance);
            next += 1;
        }
        true
    })?;
    let shares = divide(size, &errors, &members);
    let work: Vec<(&Vec<u32>, usize)> = members.iter().zip(shares).collect();
    let done = std::sync::atomic::AtomicUsize::new(0);
    let progress = std::sync::Mutex::new(progress);
    let fine: Vec<(Vec<f32>, Vec<usize>)> = work
        .par_iter()
        .enumerate()
        .map(|(cell, (members, share))| {
            let own = (points.fetch)(members)?;
            let centers = means(&own, dim, *share, &mut fastrand::Rng::with_seed(cell as u64));
            let mut nearest = vec![(0, 0.0); members.len()];
            centers.find_all(&own, &mut nearest);
            let count = 1 + done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if let Ok(mut report) = progress.lock() {
                report(count as u64, work.len() as u64);
            }
            Ok((centers.rows(), nearest.into_iter().map(|(k, _)| k).collect()))
        })
        .collect::<Result<_>>()?;

    let mut palette = Palette { centers: Vec::new(), labels: vec![0; n] };
    for (members, (centers, nearest)) in members.iter().zip(fine) {
        let first = palette.centers.len() / dim;
        for (&i, k) in members.iter().zip(nearest) {
            palette.labels[i as usize] = u16::try_from(first + k).expect("65536 centres at most");
        }
        palette.centers.extend(centers);
    }
    Ok(palette)
}

/// The distinct points themselves as centres, if there are at most `size` of them.
fn distinct(points: &Points<'_>, size: usize) -> Result<Option<Palette>> {
    let mut seen: HashMap<Vec<u32>, u16> = HashMap::new();
    let mut palette = Palette { centers: Vec::new(), labels: Vec::new() };
    points.each_part(|part| {
        part.chunks_exact(points.dim).all(|point| {
            let next = seen.len();
            // Adding 0 turns -0 into 0.
            let bits = point.iter().map(|x| (x + 0.0).to_bits()).collect();
            palette.labels.push(*seen.entry(bits).or_insert_with(|| {
                palette.centers.extend_from_slice(point);
                next as u16
            }));
            seen.len() <= size
        })
    })?;
    Ok((seen.len() <= size).then_some(palette))
}

/// The number of centres that each cell gets: at least one if it has points, at most one per point, and in proportion to
/// its error in between. The sum is at most `size`.
fn divide(size: usize, errors: &[f64], members: &[Vec<u32>]) -> Vec<usize> {
    let mut shares: Vec<usize> = members.iter().map(|m| m.len().min(1)).collect();
    let mut left = size.saturating_sub(shares.iter().sum());
    // What a full cell cannot take is given to the others in the next round.
    loop {
        let open = |k: usize| shares[k] < members[k].len() && errors[k] > 0.0;
        let total: f64 = (0..errors.len()).filter(|&k| open(k)).map(|k| errors[k]).sum();
        let gifts: Vec<usize> = (0..errors.len())
            .map(|k| {
                let share = if open(k) { (left as f64 * errors[k] / total) as usize } else { 0 };
                share.min(members[k].len() - shares[k])
            })
            .collect();
        let given: usize = gifts.iter().sum();
        if given == 0 {
            return shares;
        }
        shares.iter_mut().zip(&gifts).for_each(|(share, gift)| *share += gift);
        left -= given;
    }
}

/// Centres in the layout of [`Centers::find`]: panels of 16, coefficient by coefficient.
struct Centers {
    dim: usize,
    count: usize,
    panels: Vec<f32>,
    /// Half of the squared norm of each centre; infinite for the padding.
    halves: Vec<f32>,
}

impl Centers {
    fn new(rows: &[f32], dim: usize) -> Self {
        let count = rows.len() / dim;
        let padded = count.next_multiple_of(LANES);
        let mut c = Self { dim, count, panels: vec![0.0; padded * dim], halves: vec![f32::INFINITY; padded] };
        for (k, row) in rows.chunks_exact(dim).enumerate() {
            c.halves[k] = 0.5 * row.iter().map(|x| x * x).sum::<f32>();
            let panel = k / LANES * LANES * dim + k % LANES;
            row.iter().enumerate().for_each(|(j, &x)| c.panels[panel + j * LANES] = x);
        }
        c
    }

    fn len(&self) -> usize {
        self.count
    }

    fn rows(&self) -> Vec<f32> {
        let at = |k: usize, j: usize| self.panels[k / LANES * LANES * self.dim + k % LANES + j * LANES];
        (0..self.count).flat_map(|k| (0..self.dim).map(move |j| at(k, j))).collect()
    }

    /// Finds the nearest centre of each of `points` and the squared distance to it.
    fn find_all(&self, points: &[f32], nearest: &mut [(usize, f32)]) {
        points.par_chunks(2 * self.dim).zip(nearest.par_chunks_mut(2)).with_min_len(512).for_each(
            |(pair, out)| {
                let (a, b) = pair.split_at(self.dim);
                let found = self.find([a, if b.is_empty() { a } else { b }]);
                out.iter_mut().zip(found).for_each(|(slot, found)| *slot = found);
            },
        );
    }

    /// The nearest centres of two points. Half the squared distance is `|x|^2 / 2 + |c|^2 / 2 - x c`, and its first term is
    /// the same for all centres.
    fn find(&self, [a, b]: [&[f32]; 2]) -> [(usize, f32); 2] {
        let mut best = [(0, f32::INFINITY); 2];
        for (panel, (rows, halves)) in
            self.panels.chunks_exact(LANES * self.dim).zip(self.halves.chunks_exact(LANES)).enumerate()
        {
            let mut sums = [[0.0f32; LANES]; 2];
            for ((row, &x), &y) in rows.chunks_exact(LANES).zip(a).zip(b) {
                for k in 0..LANES {
                    sums[0][k] += row[k] * x;
                    sums[1][k] += row[k] * y;
                }
            }
            for (best, sums) in best.iter_mut().zip(sums) {
                for k in 0..LANES {
                    let distance = halves[k] - sums[k];
                    if distance < best.1 {
                        *best = (LANES * panel + k, distance);
                    }
                }
            }
        }
        let squared = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>();
        let distance = |(k, half): (usize, f32), x| (k, (2.0 * half + squared(x)).max(0.0));
        [distance(best[0], a), distance(best[1], b)]
    }
}

/// The squared distance, in eight sums, because a single sum would prevent vector instructions.
fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    for (a, b) in a.chunks(8).zip(b.chunks(8)) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += (a - b) * (a - b);
        }
    }
    sums.iter().sum()
}

/// At most `count` centres by k-means, started by k-means++ (Arthur and Vassilvitskii, "k-means++: the advantages of
/// careful seeding", 2007).
fn means(points: &[f32], dim: usize, count: usize, rng: &mut fastrand::Rng) -> Centers {
    let n = points.len() / dim;
    let row = |i: usize| &points[dim * i..dim * (i + 1)];
    if n <= count {
        return Centers::new(points, dim);
    }
    let mut rows: Vec<f32> = row(rng.usize(..n)).to_vec();
    let mut distances = vec![f32::INFINITY; n];
    while rows.len() < count * dim {
        let last = &rows[rows.len() - dim..];
        let mut total = 0.0f64;
        for (i, distance) in distances.iter_mut().enumerate() {
            let to = squared_distance(row(i), last);
            *distance = distance.min(to);
            total += f64::from(*distance);
        }
        if total <= 0.0 {
            break; // every point is a centre
        }
        let mut left = rng.f64() * total;
        let chosen = distances.iter().position(|&d| {
            left -= f64::from(d);
            left < 0.0 && d > 0.0
        });
        let farthest = || (0..n).max_by(|&a, &b| distances[a].total_cmp(&distances[b])).expect("not empty");
        rows.extend_from_slice(row(chosen.unwrap_or_else(farthest)));
    }
    let mut centers = Centers::new(&rows, dim);
    let mut nearest = vec![(0, 0.0); n];
    for _ in 0..ROUNDS {
        centers.find_all(points, &mut nearest);
        let mut sums = vec![0.0f64; rows.len()];
        let mut counts = vec![0u32; centers.len()];
        for (i, &(k, _)) in nearest.iter().enumerate() {
            counts[k] += 1;
            sums[dim * k..dim * (k + 1)].iter_mut().zip(row(i)).for_each(|(sum, &x)| *sum += f64::from(x));
        }
        for (k, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            for j in dim * k..dim * (k + 1) {
                rows[j] = (sums[j] / f64::from(count)) as f32;
            }
        }
        centers = Centers::new(&rows, dim);
    }
    centers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(points: &[f32], dim: usize, size: usize) -> Palette {
        let fetch = |rows: &[u32]| {
            Ok(rows.iter().flat_map(|&i| &points[dim * i as usize..][..dim]).copied().collect())
        };
        let points = Points { count: points.len() / dim, dim, fetch: &fetch };
        fit(&points, size, &mut |_, _| {}).unwrap()
    }

    fn error(points: &[f32], dim: usize, p: &Palette) -> f64 {
        let centers: Vec<&[f32]> = p.centers.chunks_exact(dim).collect();
        let squared = |(x, &label): (&[f32], &u16)| -> f64 {
            x.iter().zip(centers[usize::from(label)]).map(|(a, b)| f64::from(a - b).powi(2)).sum()
        };
        points.chunks_exact(dim).zip(&p.labels).map(squared).sum::<f64>() / p.labels.len() as f64
    }

    #[test]
    fn the_nearest_centre_is_found() {
        let mut rng = fastrand::Rng::with_seed(4);
        for (dim, count) in [(9, 1), (24, 16), (45, 37)] {
            let rows: Vec<f32> = (0..dim * count).map(|_| rng.f32()).collect();
            let centers = Centers::new(&rows, dim);
            assert_eq!(centers.rows(), rows);
            let points: Vec<f32> = (0..dim * 101).map(|_| rng.f32()).collect();
            let mut nearest = vec![(0, 0.0); 101];
            centers.find_all(&points, &mut nearest);
            for (x, (k, distance)) in points.chunks_exact(dim).zip(nearest) {
                let to = |c: &[f32]| x.iter().zip(c).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
                let best = rows.chunks_exact(dim).map(to).fold(f32::INFINITY, f32::min);
                let found = to(&rows[dim * k..dim * (k + 1)]);
                assert!(found < best + 1e-4 && (distance - found).abs() < 1e-4);
            }
        }
    }

    /// If there are enough centres for well separated clusters, every point gets the centre of its own cluster.
    #[test]
    fn clusters_are_found() {
        let mut rng = fastrand::Rng::with_seed(5);
        let dim = 9;
        let clusters: Vec<f32> = (0..dim * 40).map(|_| 100.0 * rng.f32()).collect();
        let points: Vec<f32> = (0..2000)
            .flat_map(|i| clusters[dim * (i % 40)..dim * (i % 40 + 1)].to_vec())
            .map(|x| x + 0.01 * rng.f32())
            .collect();
        let p = fitted(&points, dim, 64);
        assert!(p.centers.len() <= 64 * dim);
        assert!(error(&points, dim, &p) < 1e-3, "{}", error(&points, dim, &p));
    }

    /// Equal points, and fewer points than centres, are fitted exactly.
    #[test]
    fn degenerate_points_are_fitted_exactly() {
        let same = vec![0.25; 9 * 3000];
        let p = fitted(&same, 9, 1024);
        assert_eq!(error(&same, 9, &p), 0.0);
        let few: Vec<f32> = (0..9 * 5).map(|x| x as f32).collect();
        assert_eq!(error(&few, 9, &fitted(&few, 9, 8)), 0.0);
    }
}
