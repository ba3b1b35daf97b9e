//! Why a render was refused or failed. Texts name the input and the two values that disagree.

use splat_engine::EngineError;
use tch::{Device, Kind, TchError};

use crate::Backend;

/// Why [`render`](crate::render) or another call of this crate failed. Except for [`Error::Engine`] and [`Error::Torch`],
/// nothing was computed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor does not have the shape that the others imply.
    #[error("`{input}` has shape {found:?}, but {needed}")]
    Shape {
        /// Name of the input.
        input: &'static str,
        /// Its shape.
        found: Vec<i64>,
        /// The shape it should have, and why.
        needed: String,
    },
    /// A tensor is not `Float32`.
    #[error("`{input}` is {}, but the rasterizer computes in Float32; hint: .to_kind(Kind::Float)", kind_name(*.found))]
    Kind {
        /// Name of the input.
        input: &'static str,
        /// Its kind.
        found: Kind,
    },
    /// Tensors are on different devices.
    #[error("`{input}` is on {}, but `{other}` is on {}; hint: {}", device_name(*.found), device_name(*.expected), move_hint(.input, *.expected))]
    Device {
        /// Name of the input.
        input: &'static str,
        /// Its device.
        found: Device,
        /// Name of what it belongs to.
        other: &'static str,
        /// The device of that.
        expected: Device,
    },
    /// Two settings contradict each other or the scene, or one is out of range.
    #[error("{0}")]
    Settings(String),
    /// There is no such engine, or it does not compute where the tensors are.
    #[error("{0}")]
    NoEngine(String),
    /// There is no such device, or it cannot be used.
    #[error("{0}")]
    NoDevice(String),
    /// The engine refused or failed.
    #[error("engine `{engine}`: {reason}")]
    Engine {
        /// Its name.
        engine: String,
        /// Its reason; no `source`, which would print it twice.
        reason: EngineError,
    },
    /// Torch failed, for example because it ran out of memory.
    #[error("torch: {0}")]
    Torch(String),
}

impl Error {
    /// An engine's error. `allocator` is torch's reason if it gave the engine no memory.
    pub(crate) fn engine(backend: &Backend, reason: EngineError, allocator: Option<String>) -> Self {
        let reason = match (reason, allocator) {
            (EngineError::OutOfMemory(text), Some(why)) => {
                EngineError::OutOfMemory(format!("{text} ({why})"))
            }
            (reason, _) => reason,
        };
        Self::Engine { engine: backend.name().to_owned(), reason }
    }

    /// Whether a device, or the host, ran out of memory.
    #[must_use]
    pub fn is_out_of_memory(&self) -> bool {
        match self {
            Self::Engine { reason, .. } => matches!(reason, EngineError::OutOfMemory(_)),
            Self::Torch(text) => text.contains("out of memory"),
            _ => false,
        }
    }
}

impl From<TchError> for Error {
    fn from(e: TchError) -> Self {
        Self::Torch(sentence(&e))
    }
}

/// Torch's message without its C++ stack trace, and without the prefix of [`Error::Torch`], which it already has if it comes
/// from our own backward.
pub(crate) fn sentence(e: &TchError) -> String {
    let text = match e {
        TchError::Torch(text) => text.clone(),
        e => e.to_string(),
    };
    let text = text.split("\nException raised from").next().unwrap_or_default().trim_end();
    text.trim_start_matches("torch: ").to_owned()
}

/// Torch's public name of a kind; tch's own say `Double` and `Half`.
fn kind_name(kind: Kind) -> String {
    match kind {
        Kind::Double => "Float64".into(),
        Kind::Half => "Float16".into(),
        Kind::Int => "Int32".into(),
        kind => format!("{kind:?}"),
    }
}

/// `cpu`, `cuda:0`: as torch prints devices.
pub(crate) fn device_name(device: Device) -> String {
    match device {
        Device::Cuda(i) => format!("cuda:{i}"),
        device => format!("{device:?}").to_lowercase(),
    }
}

fn move_hint(input: &str, to: Device) -> String {
    match input {
        "camera" => format!("Camera::new(camera, Device::{to:?})"),
        _ => format!(".to_device(Device::{to:?})"),
    }
}
