//! What the forward pass leaves for the backward pass: plain data that callers may keep as bytes.

/// What the backward pass needs besides its inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Saved<T = f32> {
    /// Indices of Gaussians (records), tile after tile, each tile's front to back.
    pub point_list: Vec<u32>,
    /// Start and end in `point_list` of each 16x16 tile, row-major.
    pub ranges: Vec<[u64; 2]>,
    /// `[H,W]` remaining transmittance.
    pub final_t: Vec<T>,
    /// `[H,W]` how many Gaussians of its tile's list the pixel looked at: those before the one at which it stopped, or
    /// all of them.
    pub contributors: Vec<u32>,
}

impl<T> Saved<T> {
    /// Number of Gaussian-tile intersections in the lists. The original also counts those without any pixel over the
    /// opacity threshold (see [`crate::Tuning::cull_tiles`]).
    #[must_use]
    pub fn rendered(&self) -> u64 {
        self.point_list.len() as u64
    }

    /// Borrows every part.
    #[must_use]
    pub fn as_ref(&self) -> SavedRef<'_, T> {
        SavedRef {
            point_list: &self.point_list,
            ranges: &self.ranges,
            final_t: &self.final_t,
            contributors: &self.contributors,
        }
    }
}

/// [`Saved`], borrowed from wherever the caller kept it.
#[derive(Debug, Clone, Copy)]
pub struct SavedRef<'a, T = f32> {
    /// See [`Saved::point_list`].
    pub point_list: &'a [u32],
    /// See [`Saved::ranges`].
    pub ranges: &'a [[u64; 2]],
    /// See [`Saved::final_t`].
    pub final_t: &'a [T],
    /// See [`Saved::contributors`].
    pub contributors: &'a [u32],
}
