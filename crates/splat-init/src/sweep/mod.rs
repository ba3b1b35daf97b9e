//! Depth from pictures alone: each view's depth map by comparing patches with neighbouring views, then the
//! points that several depth maps agree on.
//!
//! The way: Collins' plane sweep (1996) for a beginning, then propagation and random refinement of slanted
//! planes as in PatchMatch stereo (Bleyer, Rhemann, Rother 2011), normalised cross-correlation with
//! bilateral weights, and consistency between views. World units.

mod depth;
mod fuse;
mod patch;

use rayon::prelude::*;

pub(super) use depth::{Depths, Range};
pub(super) use fuse::{Fused, fuse, support};

use super::eye::Eye;
use super::layout::Layout;

/// Views that a view is compared with, and views whose depth must agree with its own.
const COMPARED: usize = 5;
pub(super) const CHECKED: usize = 10;

/// The depth map of every view. `ranges`: one for each.
pub(super) fn depth_maps<R: Range>(eyes: &[Eye], layout: &Layout, ranges: &[R], seed: u64) -> Vec<Depths> {
    eyes.par_iter()
        .enumerate()
        .map(|(i, eye)| {
            let others: Vec<&Eye> =
                layout.neighbours(eyes, i, COMPARED).into_iter().map(|j| &eyes[j]).collect();
            Depths::find(eye, &others, &ranges[i], seed.wrapping_add(i as u64))
        })
        .collect()
}
