//! Weights per Gaussian: the channels [`Channel::WeightSum`], [`Channel::WeightMax`] and [`Channel::WeightImage`].
//!
//! Each tile leaves one row for each Gaussian of its list; the rows are added to their Gaussians in the order of the
//! lists, in f64, so that the sums do not depend on the number of threads.

use rayon::prelude::*;

use crate::{Channel, Outputs, Real, Wanted};

/// The weights of one Gaussian in the pixels of one tile, or of the image.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Weights<T> {
    pub(crate) sum: T,
    pub(crate) max: T,
    /// Sum of weight * image.
    pub(crate) image: T,
}

/// Writes the wanted channels of `count` Gaussians, from the rows of all lists one after the other.
pub(crate) fn merge<T: Real>(
    point_list: &[u32],
    rows: &[Weights<T>],
    count: usize,
    wanted: &Wanted<T>,
    outputs: &mut Outputs<T>,
) {
    let mut totals = vec![Weights::<f64>::default(); count];
    // Each task owns a range of Gaussians and looks at every row.
    let share = count.div_ceil(rayon::current_num_threads()).max(1);
    totals.par_chunks_mut(share).enumerate().for_each(|(task, totals)| {
        for (&id, row) in point_list.iter().zip(rows) {
            if let Some(total) = totals.get_mut((id as usize).wrapping_sub(task * share)) {
                total.sum += row.sum.to_f64_exact();
                total.max = total.max.max(row.max.to_f64_exact());
                total.image += row.image.to_f64_exact();
            }
        }
    });
    let column =
        |of: fn(&Weights<f64>) -> f64| totals.iter().map(|total| T::from_f64_lossy(of(total))).collect();
    for (channel, of) in [
        (Channel::WeightSum, (|w| w.sum) as fn(&Weights<f64>) -> f64),
        (Channel::WeightMax, |w| w.max),
        (Channel::WeightImage, |w| w.image),
    ] {
        if wanted.contains(channel) {
            outputs.put(channel, column(of));
        }
    }
}
