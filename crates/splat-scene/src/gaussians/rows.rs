//! Gaussians that writers take in parts, so that a scene need not be in memory: [`Rows`].

use crate::{Error, Gaussians, Origin, Result};

/// Gaussians that are taken at once; with harmonics of degree 3 they have 15 MB.
pub(super) const PART: usize = 1 << 16;

/// A scene whose Gaussians are fetched as they are needed: [`Gaussians`] in memory, or a file ([`ply::File`](crate::ply::File)).
pub trait Rows: Sync {
    /// The number of Gaussians.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of coefficients of their harmonics: 1, 4, 9 or 16.
    fn coeffs(&self) -> usize;

    /// Where their local coordinates lie in the world.
    fn origin(&self) -> Origin;

    /// The Gaussians of the numbers `rows`, each below [`len`](Self::len), in that order.
    ///
    /// # Errors
    /// They cannot be read.
    fn pick(&self, rows: &[u32]) -> Result<Gaussians>;

    /// Checks that all arrays agree in length.
    ///
    /// # Errors
    /// As [`Gaussians::check_lengths`].
    fn check_lengths(&self) -> Result<()> {
        Ok(())
    }

    /// Checks that all arrays agree in length and that all numbers are finite.
    ///
    /// # Errors
    /// As [`Gaussians::check`].
    fn check(&self) -> Result<()>;
}

impl Rows for Gaussians {
    fn len(&self) -> usize {
        self.len()
    }

    fn coeffs(&self) -> usize {
        self.coeffs
    }

    fn origin(&self) -> Origin {
        self.origin
    }

    fn pick(&self, rows: &[u32]) -> Result<Gaussians> {
        Ok(self.select(rows))
    }

    fn check_lengths(&self) -> Result<()> {
        Ok(self.check_lengths()?)
    }

    fn check(&self) -> Result<()> {
        Ok(self.check()?)
    }
}

/// The numbers of all Gaussians.
pub(super) fn all(g: &dyn Rows) -> Vec<u32> {
    (0..).take(g.len()).collect()
}

/// Calls `each` for all Gaussians in parts of [`PART`], in their order.
pub(super) fn each_part<E: From<Error>>(
    g: &dyn Rows,
    mut each: impl FnMut(&Gaussians) -> Result<(), E>,
) -> Result<(), E> {
    for from in (0..g.len()).step_by(PART) {
        let rows: Vec<u32> = (from as u32..).take(PART.min(g.len() - from)).collect();
        each(&g.pick(&rows)?)?;
    }
    Ok(())
}

/// As [`each_part`], in the order `rows`.
pub(super) fn each_of<E: From<Error>>(
    g: &dyn Rows,
    rows: &[u32],
    mut each: impl FnMut(&Gaussians) -> Result<(), E>,
) -> Result<(), E> {
    rows.chunks(PART).try_for_each(|rows| each(&g.pick(rows)?))
}

/// The centres, `[P,3]`.
pub(super) fn means(g: &dyn Rows) -> Result<Vec<f32>> {
    let mut means = Vec::with_capacity(3 * g.len());
    each_part(g, |part| {
        means.extend(&part.means);
        Ok::<_, Error>(())
    })?;
    Ok(means)
}
