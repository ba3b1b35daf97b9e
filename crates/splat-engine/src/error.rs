//! Why a call failed, and why a library is no engine.

use crate::abi;

/// Why a call failed: one variant per status code of the header. The text names the two values that disagree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// A shape, count, pointer or value is wrong.
    #[error("{0}")]
    InvalidArgument(String),
    /// Valid, but not something that this engine can do.
    #[error("{0}")]
    Unsupported(String),
    /// The caller's allocator returned null.
    #[error("{0}")]
    OutOfMemory(String),
    /// No usable GPU or driver.
    #[error("{0}")]
    NoDevice(String),
    /// The device reported an error in the kernel that the text names.
    #[error("{0}")]
    Device(String),
    /// A defect of the engine.
    #[error("{0}")]
    Internal(String),
}

impl EngineError {
    /// The header's status code for this error.
    #[must_use]
    pub fn status(&self) -> i32 {
        match self {
            Self::InvalidArgument(_) => abi::INVALID_ARGUMENT,
            Self::Unsupported(_) => abi::UNSUPPORTED,
            Self::OutOfMemory(_) => abi::OUT_OF_MEMORY,
            Self::NoDevice(_) => abi::NO_DEVICE,
            Self::Device(_) => abi::DEVICE_ERROR,
            Self::Internal(_) => abi::INTERNAL,
        }
    }

    /// The error for a status code; `None` for [`abi::OK`].
    #[must_use]
    pub fn from_status(status: i32, message: String) -> Option<Self> {
        Some(match status {
            abi::OK => return None,
            abi::INVALID_ARGUMENT => Self::InvalidArgument(message),
            abi::UNSUPPORTED => Self::Unsupported(message),
            abi::OUT_OF_MEMORY => Self::OutOfMemory(message),
            abi::NO_DEVICE => Self::NoDevice(message),
            abi::DEVICE_ERROR => Self::Device(message),
            _ => Self::Internal(message),
        })
    }
}

/// Why a library is not an engine that this program can use.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The loader refused the file.
    #[error("cannot load `{library}`: {reason}")]
    Open {
        /// The library.
        library: String,
        /// The loader's text.
        reason: String,
    },
    /// It does not export `splat_engine_get`.
    #[error("`{library}` is not an engine of this interface: it does not export `splat_engine_get`")]
    Symbol {
        /// The library.
        library: String,
    },
    /// It offers other versions of the interface.
    #[error("`{library}` offers engine ABI {}, but this program needs ABI {expected}", shown(.found))]
    Abi {
        /// The library.
        library: String,
        /// The newest version that it offers, if any was found.
        found: Option<u32>,
        /// The version that this crate speaks.
        expected: u32,
    },
    /// It lacks a function that every engine has, or does not say what it is.
    #[error("`{library}` is not a whole engine: {reason}")]
    Incomplete {
        /// The library.
        library: String,
        /// What is missing, or the engine's own text.
        reason: String,
    },
}

fn shown(version: &Option<u32>) -> String {
    version.map_or_else(|| "of no known version".into(), |v| v.to_string())
}
