//! What can stop a training run.
//!
//! [`Error::hint`] gives the line a program may print after `hint:`.

use tch::TchError;

/// `std::result::Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why training could not start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The dataset, or a file to be written.
    #[error(transparent)]
    Scene(#[from] splat_scene::Error),
    /// The rasterizer.
    #[error(transparent)]
    Render(#[from] splat_tch::Error),
    /// Torch, such as for want of memory.
    #[error("torch: {0}")]
    Torch(String),
    /// A folder that cannot be made, and the like; the text names it.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// There are no points to begin from.
    #[error(transparent)]
    Init(#[from] splat_init::Error),
    /// The strategy removed every Gaussian.
    #[error("the refinement after step {step} left no Gaussian")]
    Emptied {
        /// Steps done.
        step: u64,
    },
    /// There is no view to train on.
    #[error("no view to train on: every view is held out")]
    NoViews,
    /// A checkpoint that cannot be gone on from.
    #[error("{}: {message}", path.display())]
    Checkpoint {
        /// The file.
        path: std::path::PathBuf,
        /// What is in the way.
        message: String,
    },
    /// A setting out of range.
    #[error("{0}")]
    Settings(String),
    /// A render holds NaN or infinity.
    #[error("view {view}: the render holds numbers that are NaN or infinite")]
    NotFinite {
        /// Its name.
        view: String,
    },
    /// A file that was given as an LPIPS network is none.
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

/// The levers, cheapest first.
const OUT_OF_MEMORY: &str = "fewer Gaussians (--max-gaussians 1000000), smaller images (--downscale 2) or fewer of \
                             them on the device (--image-cache 1GB)";

impl Error {
    /// Whether a device had too little memory.
    #[must_use]
    pub fn is_out_of_memory(&self) -> bool {
        match self {
            Self::Torch(text) => text.contains("out of memory"),
            Self::Render(e) => e.is_out_of_memory(),
            _ => false,
        }
    }

    /// One line on what the user can do, where there is something.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Scene(e) => return e.hint(),
            e if e.is_out_of_memory() => OUT_OF_MEMORY.into(),
            Self::Checkpoint { .. } => {
                "begin anew in another folder, or over this run with --overwrite; --resume wants the same \
                 data and settings"
                    .into()
            }
            Self::Lpips { .. } => {
                "make one with the Python package `lpips`: torch.jit.trace(lpips.LPIPS(net='alex').eval(), \
                 (x, x), check_trace=False).save('lpips.pt') with x = torch.zeros(1, 3, 64, 64)"
                    .into()
            }
            Self::Emptied { .. } => {
                "the scene is large against the distances of its cameras, or nothing was learned: look at \
                 both with splat info, or keep the number with --strategy fixed"
                    .into()
            }
            Self::Init(splat_init::Error::Scene(e)) => return e.hint(),
            Self::Init(splat_init::Error::NoPoints) => {
                "leave out --init points: photographs alone give points; or reconstruct some with COLMAP"
                    .into()
            }
            Self::Diverged { .. } => {
                "look for cameras far from the rest: their distance scales the learning rate of positions"
                    .into()
            }
            _ => return None,
        })
    }
}

impl From<TchError> for Error {
    /// Torch's message without its C++ stack trace.
    fn from(e: TchError) -> Self {
        let text = e.to_string();
        Self::Torch(text.split("\nException raised from").next().unwrap_or_default().trim_end().to_owned())
    }
}
