//! Depth from photographs alone: a depth map for each view from comparing patches with neighbouring views, and points where
//! several depth maps agree.
//!
//! The method is Collins' plane sweep (1996) as the initialisation, then propagation and random refinement of slanted
//! planes as in PatchMatch stereo (Bleyer, Rhemann, Rother 2011), normalised cross-correlation with
//! bilateral weights, and consistency between views. World units.

mod depth;
mod fuse;
mod patch;

pub(super) use depth::{Depths, Range};
pub(super) use fuse::{Fused, fuse, support};

use super::eye::Eye;
use super::layout::Layout;
use super::{Result, Watch};

/// The number of views that a view is compared with, and the number of views whose depths are checked against its own.
const COMPARED: usize = 5;
pub(super) const CHECKED: usize = 10;

/// The depth map of every view. `ranges` has one element per view.
pub(super) fn depth_maps<R: Range>(
    eyes: &[Eye],
    layout: &Layout,
    ranges: &[R],
    seed: u64,
    watch: Watch<'_>,
) -> Result<Vec<Depths>> {
    watch.over(eyes, |i, eye| {
        let others: Vec<&Eye> = layout.neighbours(eyes, i, COMPARED).into_iter().map(|j| &eyes[j]).collect();
        Depths::find(eye, &others, &ranges[i], seed.wrapping_add(i as u64))
    })
}
