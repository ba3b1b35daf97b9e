//! Why a render was refused or failed. Texts name the input and the two values that disagree.

use splat_engine::{EngineError, SharedEngine};
use tch::{Device, Kind, TchError};

/// Why [`render`](crate::render) gave no picture. Except for [`Error::Engine`] and [`Error::Torch`], nothing
/// was computed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tensor has another shape than the others imply.
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
    #[error("`{input}` is on {}, but `means3d` is on {}; hint: {}", device_name(*.found), device_name(*.expected), move_hint(.input, *.expected))]
    Device {
        /// Name of the input.
        input: &'static str,
        /// Its device.
        found: Device,
        /// The device of the centres.
        expected: Device,
    },
    /// Two settings contradict each other or the scene, or one is out of range.
    #[error("{0}")]
    Settings(String),
    /// No such engine, or none for these tensors.
    #[error("{0}")]
    NoEngine(String),
    /// The engine refused or failed.
    #[error("engine `{engine}`: {reason}")]
    Engine {
        /// Its name.
        engine: String,
        /// Its reason; no `source`, which would print it twice.
        reason: EngineError,
    },
    /// Torch failed, such as for want of memory.
    #[error("torch: {0}")]
    Torch(String),
}

impl Error {
    /// An engine's error; `allocator` is torch's reason when it gave the engine no memory.
    pub(crate) fn engine(engine: &SharedEngine, reason: EngineError, allocator: Option<String>) -> Self {
        let reason = match (reason, allocator) {
            (EngineError::OutOfMemory(text), Some(why)) => {
                EngineError::OutOfMemory(format!("{text} ({why})"))
            }
            (reason, _) => reason,
        };
        Self::Engine { engine: engine.capabilities().name, reason }
    }

    /// Whether a device had too little memory.
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

/// Torch's message without its C++ stack trace, and without our own word before it, which it has when it comes out of our
/// backward.
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
