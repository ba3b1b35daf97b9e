//! What can stop a training run. What can be done about it is in `remedy.rs`.

use tch::TchError;

/// `std::result::Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why training could not start or continue.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The dataset, or a file that could not be written.
    #[error(transparent)]
    Scene(#[from] splat_scene::Error),
    /// There are no first points.
    #[error(transparent)]
    Init(#[from] splat_init::Error),
    /// The rasterizer.
    #[error(transparent)]
    Render(#[from] splat_tch::Error),
    /// The group of processes that train together.
    #[error(transparent)]
    Ranks(#[from] splat_dist::Error),
    /// Torch failed, for example because it ran out of memory.
    #[error("torch: {0}")]
    Torch(String),
    /// The system refused, for example to create a folder; the text names the path.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The strategy removed every Gaussian.
    #[error("the refinement after step {step} removed every Gaussian")]
    Emptied {
        /// Steps done.
        step: u64,
    },
    /// There is no view to train on.
    #[error("no view to train on: every view is held out")]
    NoViews,
    /// A checkpoint that cannot be read or does not fit the run.
    #[error("{}: {message}", path.display())]
    Checkpoint {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A setting or an argument out of range.
    #[error("{0}")]
    Settings(String),
    /// A render contains NaN or infinity.
    #[error("view {view}: the render contains NaN or infinity")]
    NotFinite {
        /// The view's name.
        view: String,
    },
    /// A file that is not a usable LPIPS network.
    #[error("{}: {message}", path.display())]
    Lpips {
        /// The file.
        path: std::path::PathBuf,
        /// What it did, and what was expected.
        message: String,
    },
    /// The loss is NaN or infinite.
    #[error("the loss is {loss} after step {step}: the parameters have diverged")]
    Diverged {
        /// Steps taken.
        step: u64,
        /// The loss.
        loss: f64,
    },
}

impl Error {
    /// Whether a device had too little memory.
    #[must_use]
    pub fn is_out_of_memory(&self) -> bool {
        match self {
            Self::Torch(text) | Self::Ranks(splat_dist::Error::Torch(text)) => text.contains("out of memory"),
            Self::Render(e) => e.is_out_of_memory(),
            _ => false,
        }
    }

    /// The error of `splat_scene`, if the dataset or a file is the reason.
    #[must_use]
    pub fn scene(&self) -> Option<&splat_scene::Error> {
        match self {
            Self::Scene(e) | Self::Init(splat_init::Error::Scene(e)) => Some(e),
            _ => None,
        }
    }
}

impl From<TchError> for Error {
    /// Torch's message without its C++ stack trace.
    fn from(e: TchError) -> Self {
        let text = e.to_string();
        Self::Torch(text.split("\nException raised from").next().unwrap_or_default().trim_end().to_owned())
    }
}
