//! What training needs to know about the views as a whole: which are held out, which are far out, and the extent of the
//! cameras.

use std::path::Path;

use crate::{OpenOptions, View};

/// Training and held-out views: by the list, by the dataset's own split, or by every N-th view.
pub(super) fn split(
    views: &[View],
    held: &[Option<bool>],
    options: &OpenOptions,
    warnings: &mut Vec<String>,
) -> (Vec<usize>, Vec<usize>) {
    if let Some(list) = &options.test_list {
        let stem = |name: &str| Path::new(name).with_extension("");
        let is = |view: &View, name: &str| view.name == name || stem(&view.name) == Path::new(name);
        let unknown: Vec<String> = list.iter().filter(|n| !views.iter().any(|v| is(v, n))).cloned().collect();
        if let Some(first) = unknown.first() {
            warnings.push(format!(
                "{} of {} names in the list of held-out views match no view; the first is {first}",
                unknown.len(),
                list.len()
            ));
        }
        return (0..views.len()).partition(|&i| !list.iter().any(|n| is(&views[i], n)));
    }
    if held.contains(&Some(true)) {
        return (0..views.len()).partition(|&i| held[i] != Some(true));
    }
    if views.len() == 1 && options.test_every > 0 {
        warnings.push("there is only one view, so none is held out".into());
        return (vec![0], Vec::new());
    }
    let held_out = |i: &usize| options.test_every > 0 && i.is_multiple_of(options.test_every as usize);
    (0..views.len()).partition(|i| !held_out(i))
}

fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    (0..3).map(|k| (a[k] - b[k]).powi(2)).sum::<f64>().sqrt()
}

/// Cameras more than a thousand times farther out than half of all cameras; each is warned about. A single one would
/// determine the scene's extent, and through it a learning rate of positions that flings every Gaussian out of sight.
pub(super) fn far(views: &[View], warnings: &mut Vec<String>) -> Vec<usize> {
    let far = far_out(&views.iter().map(|v| v.center).collect::<Vec<_>>());
    if let Some(&first) = far.first() {
        warnings.push(format!(
            "{} cameras are over 1000 times farther out than half of the cameras and are ignored for the scene's \
             extent; the first is {}",
            far.len(),
            views[first].name
        ));
    }
    far
}

/// Which of `centers` are more than a thousand times farther out than half of them.
pub(super) fn far_out(centers: &[[f64; 3]]) -> Vec<usize> {
    let middle = |mut numbers: Vec<f64>| {
        numbers.sort_by(f64::total_cmp);
        numbers.get(numbers.len() / 2).copied().unwrap_or_default()
    };
    let center = std::array::from_fn(|k| middle(centers.iter().map(|c| c[k]).collect()));
    let distances: Vec<f64> = centers.iter().map(|c| distance(*c, center)).collect();
    let usual = middle(distances.clone());
    (0..centers.len()).filter(|&i| usual > 0.0 && distances[i] > 1000.0 * usual).collect()
}

/// 1.1 times the largest distance from the mean, or 1 if that is 0 (a single camera), so that learning rates scaled by
/// it do not vanish.
pub(super) fn extent(centers: impl Iterator<Item = [f64; 3]> + Clone) -> f64 {
    let n = centers.clone().count() as f64;
    let mean = centers.clone().fold([0.0; 3], |m, c| std::array::from_fn(|k| m[k] + c[k] / n));
    let largest = centers.map(|c| distance(c, mean)).fold(0.0, f64::max);
    if largest > 1e-9 { 1.1 * largest } else { 1.0 }
}
