//! Why no first points could be found.

/// `std::result::Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there are no first points, or no Gaussians at them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A photograph that cannot be read.
    #[error(transparent)]
    Scene(#[from] splat_scene::Error),
    /// The dataset's own points were asked for, and it has none.
    #[error("the dataset has no points, and Gaussians start at its points")]
    NoPoints,
    /// The listener stopped the search.
    #[error("stopped before the first points were found")]
    Stopped,
    /// A point is not finite, or the points cannot be indexed.
    #[error("{0}")]
    Points(String),
}
