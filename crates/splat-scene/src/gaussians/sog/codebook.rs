//! A codebook of 256 numbers that approximate many, by k-means in one dimension.
//!
//! The values are sorted once, so that a round of k-means is 256 binary searches over prefix sums.

use std::ops::Range;

/// The largest number of rounds of k-means. It converges long before.
const ROUNDS: usize = 100;

/// The codebook of `values` in ascending order; it always has 256 entries. `values` must be finite.
pub(super) fn fit(values: impl Iterator<Item = f32>) -> Vec<f32> {
    let mut sorted: Vec<f32> = values.collect();
    sorted.sort_unstable_by(f32::total_cmp);
    let Some(&last) = sorted.last() else { return vec![0.0; 256] };
    let mut distinct = sorted.clone();
    distinct.dedup();
    if distinct.len() <= 256 {
        distinct.resize(256, last);
        return distinct;
    }
    drop(distinct);
    let sums = Sums::of(&sorted);
    let mut book = start(&sorted);
    for _ in 0..ROUNDS {
        // The values of an entry begin half way to the entry before it.
        let mut borders = vec![0];
        for pair in book.windows(2) {
            let half = 0.5 * (f64::from(pair[0]) + f64::from(pair[1]));
            let from = borders[borders.len() - 1];
            borders.push(from + sorted[from..].partition_point(|&x| f64::from(x) < half));
        }
        borders.push(sorted.len());
        let cells: Vec<Range<usize>> = borders.windows(2).map(|w| w[0]..w[1]).collect();
        let mut next: Vec<f32> = cells.iter().filter(|c| !c.is_empty()).map(|c| sums.mean(c)).collect();
        // An entry without values (in the gap before an outlier) moves to the cell with the largest error, which gets the
        // means of its two halves.
        let mut worst: Vec<(f64, &Range<usize>)> = cells.iter().map(|c| (sums.error(c), c)).collect();
        worst.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (_, cell) in worst.into_iter().take(book.len() - next.len()) {
            let middle = cell.start + cell.len() / 2;
            next.retain(|&x| x != sums.mean(cell));
            next.extend(
                [cell.start..middle, middle..cell.end].iter().filter(|c| !c.is_empty()).map(|c| sums.mean(c)),
            );
        }
        next.resize(book.len(), last);
        next.sort_unstable_by(f32::total_cmp);
        if next == book {
            break;
        }
        book = next;
    }
    book
}

/// Prefix sums of values and squares.
struct Sums(Vec<(f64, f64)>);

impl Sums {
    fn of(values: &[f32]) -> Self {
        let mut sum = (0.0, 0.0);
        let step = |&x: &f32| {
            let x = f64::from(x);
            sum = (sum.0 + x, sum.1 + x * x);
            sum
        };
        Self(std::iter::once((0.0, 0.0)).chain(values.iter().map(step)).collect())
    }

    fn mean(&self, r: &Range<usize>) -> f32 {
        ((self.0[r.end].0 - self.0[r.start].0) / r.len() as f64) as f32
    }

    /// The sum of squared distances to the mean.
    fn error(&self, r: &Range<usize>) -> f64 {
        if r.is_empty() {
            return 0.0;
        }
        let sum = self.0[r.end].0 - self.0[r.start].0;
        (self.0[r.end].1 - self.0[r.start].1 - sum * sum / r.len() as f64).max(0.0)
    }
}

/// The start of k-means: entries are spread with the cube root of the density, which is optimal for many entries (Panter
/// and Dite, "Quantization distortion in pulse-count modulation with nonuniform spacing of levels", 1951).
fn start(sorted: &[f32]) -> Vec<f32> {
    let bins = sorted.len().min(4096);
    let quantile = |j: usize| sorted[(j * (sorted.len() - 1)) / bins];
    let width = |j: usize| f64::from(quantile(j + 1)) - f64::from(quantile(j));
    // The gap before an outlier must not attract entries, because k-means takes long to bring them back.
    let mut widths: Vec<f64> = (0..bins).map(width).filter(|&w| w > 0.0).collect();
    widths.sort_unstable_by(f64::total_cmp);
    let widest = 100.0 * widths[widths.len() / 2];
    // A bin of width w contains 1/bins of the values, so density^(1/3) x w is proportional to w^(2/3).
    let weights: Vec<f64> = (0..bins).map(|j| width(j).min(widest).powf(2.0 / 3.0)).collect();
    let total: f64 = weights.iter().sum();
    let mut book = Vec::with_capacity(256);
    let (mut j, mut before) = (0, 0.0);
    for k in 0..256 {
        let wanted = (k as f64 + 0.5) / 256.0 * total;
        while j + 1 < bins && before + weights[j] < wanted {
            before += weights[j];
            j += 1;
        }
        let t = if weights[j] > 0.0 { ((wanted - before) / weights[j]).clamp(0.0, 1.0) } else { 0.5 };
        let (a, b) = (f64::from(quantile(j)), f64::from(quantile(j + 1)));
        book.push((a + (b - a) * t) as f32);
    }
    book
}

/// The index of the entry in the ascending `book` that is nearest to `x`.
pub(super) fn nearest(book: &[f32], x: f32) -> u8 {
    let above = book.partition_point(|&c| c < x).min(book.len() - 1);
    let below = above.saturating_sub(1);
    let nearer = if (book[above] - x).abs() < (x - book[below]).abs() { above } else { below };
    u8::try_from(nearer).expect("a codebook has 256 entries")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(book: &[f32], values: &[f32]) -> f64 {
        values.iter().map(|&x| f64::from(book[usize::from(nearest(book, x))] - x).powi(2)).sum::<f64>()
            / values.len() as f64
    }

    /// Up to 256 values are kept exactly, and every number finds its nearest entry.
    #[test]
    fn few_values_are_exact() {
        for n in [1, 2, 255, 256] {
            let values: Vec<f32> = (0..n).map(|i| (i as f32 * 0.7).sin() * 100.0).collect();
            let book = fit(values.iter().copied());
            assert_eq!((book.len(), error(&book, &values)), (256, 0.0), "{n}");
        }
        assert_eq!(fit(std::iter::empty()).len(), 256);
    }

    /// Equal steps are optimal for uniform values: the error must be close to 1/12 of a step squared.
    #[test]
    fn uniform_values_get_equal_steps() {
        let values: Vec<f32> = (0..100_000).map(|i| i as f32 / 100_000.0).collect();
        let book = fit(values.iter().copied());
        let best = (1.0f64 / 256.0).powi(2) / 12.0;
        assert!(error(&book, &values) < 1.01 * best, "{} {best}", error(&book, &values));
        assert!(book.is_sorted());
    }

    /// Far outliers do not cost the other values their precision.
    #[test]
    fn outliers_leave_the_middle_alone() {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut values: Vec<f32> = (0..100_000).map(|_| (0..4).map(|_| rng.f32() - 0.5).sum()).collect();
        let alone = error(&fit(values.iter().copied()), &values);
        values.extend([1e4, -1e4]);
        let book = fit(values.iter().copied());
        assert!(error(&book, &values) < 1.2 * alone);
    }
}
