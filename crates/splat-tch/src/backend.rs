//! Where and by what work is done: a device and an engine for it, in one value.

use std::sync::{Mutex, Once, PoisonError};

use splat_engine::{Capabilities, DeviceKind, SharedEngine, registry};
use tch::{Cuda, Device};

use crate::error::device_name;
use crate::{Error, ffi};

/// A device and an engine that computes on it. Choose it once and hand it to everything: clones are cheap.
///
/// ```
/// # fn main() -> Result<(), splat_tch::Error> {
/// use splat_tch::{Backend, Settings};
///
/// let backend = Backend::auto(); // a usable GPU with an engine for it, otherwise the CPU
/// let settings = Settings::new(&backend);
/// println!("{} on {:?}", backend.name(), backend.device());
/// let same = Backend::find(Some("cpu"), Some("cpu"))?; // by name, as a program's arguments say it
/// # Ok(()) }
/// ```
///
/// Engines are those that this crate links (`cpu` always; `cuda` and `inria` with the features of those names), those that the
/// program adds with [`splat_engine::registry::register`], and libraries found at run time in the places that
/// [`splat_engine::registry`] documents.
#[derive(Debug, Clone)]
pub struct Backend {
    device: Device,
    engine: SharedEngine,
}

impl Backend {
    /// The CPU engine.
    #[must_use]
    pub fn cpu() -> Self {
        link();
        Self { device: Device::Cpu, engine: splat_cpu::engine() }
    }

    /// The best engine on the first GPU that can be used, or else the CPU engine.
    #[must_use]
    pub fn auto() -> Self {
        Self::first_gpu(None).unwrap_or_else(|_| Self::cpu())
    }

    /// This engine on this device.
    ///
    /// # Errors
    /// [`Error::NoEngine`] if the engine computes in other memory, [`Error::NoDevice`] if the device cannot be used.
    pub fn new(device: Device, engine: SharedEngine) -> Result<Self, Error> {
        let backend = Self { device, engine };
        backend.check(&format!("the device is {}", device_name(device)))?;
        if let Device::Cuda(ordinal) = device {
            ready(&backend.engine, ordinal)?;
        }
        Ok(backend)
    }

    /// The best engine for tensors on `device`.
    ///
    /// # Errors
    /// [`Error::NoEngine`] if there is none, [`Error::NoDevice`] if the device cannot be used.
    pub fn of(device: Device) -> Result<Self, Error> {
        // Looking for libraries reads folders, and every render without a backend asks.
        static KNOWN: Mutex<Vec<Backend>> = Mutex::new(Vec::new());
        if device == Device::Cpu {
            return Ok(Self::cpu());
        }
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(backend) = known.iter().find(|backend| backend.device == device) {
            return Ok(backend.clone());
        }
        let backend = Self::new(device, cuda_engine(device)?)?;
        known.push(backend.clone());
        Ok(backend)
    }

    /// The engine of that name, or in the library at that path, and the device `cpu`, `cuda` or `cuda:N`. What is `None` is
    /// chosen to fit the other, as well as possible; `cuda` is the first GPU that can be used.
    ///
    /// # Errors
    /// [`Error::NoEngine`] or [`Error::NoDevice`] if there is no such engine or device, or they do not fit.
    pub fn find(engine: Option<&str>, device: Option<&str>) -> Result<Self, Error> {
        link();
        let engine = engine.map(registry::find).transpose().map_err(|e| Error::NoEngine(e.to_string()))?;
        match (engine, device.map(parse).transpose()?) {
            (None, None) => Ok(Self::auto()),
            (None, Some(Place::At(device))) => Self::of(device),
            (Some(engine), Some(Place::At(device))) => Self::new(device, engine),
            (Some(engine), None) if engine.capabilities().device == DeviceKind::Cpu => {
                Self::new(Device::Cpu, engine)
            }
            (engine, _) => Self::first_gpu(engine),
        }
    }

    /// Where it computes.
    #[must_use]
    pub fn device(&self) -> Device {
        self.device
    }

    /// What computes.
    #[must_use]
    pub fn engine(&self) -> &SharedEngine {
        &self.engine
    }

    /// The engine's name: `cpu`, `cuda`, `inria`, or another.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.capabilities().name
    }

    /// What the engine can do.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        self.engine.capabilities()
    }

    /// The device as the header numbers it: a CUDA ordinal, or -1.
    pub(crate) fn ordinal(&self) -> i32 {
        match self.device {
            Device::Cuda(ordinal) => i32::try_from(ordinal).unwrap_or(i32::MAX),
            _ => -1,
        }
    }

    /// Whether `input` is where this backend computes.
    pub(crate) fn check_holds(&self, input: &'static str, device: Device) -> Result<(), Error> {
        if device == self.device {
            return Ok(());
        }
        // The sentence about memory says more where that is the reason.
        Self { device, engine: self.engine.clone() }
            .check(&format!("`{input}` is on {}", device_name(device)))?;
        Err(Error::NoEngine(format!(
            "engine `{}` of the backend computes on {}, but `{input}` is on {}; hint: .to_device(Device::{:?})",
            self.name(),
            device_name(self.device),
            device_name(device),
            self.device
        )))
    }

    /// Whether the engine computes in the device's memory.
    fn check(&self, what: &str) -> Result<(), Error> {
        let (memory, fits, hint) = match self.capabilities().device {
            DeviceKind::Cpu => ("host memory", self.device == Device::Cpu, "Device::Cpu"),
            DeviceKind::Cuda => ("CUDA memory", matches!(self.device, Device::Cuda(_)), "Device::Cuda(0)"),
        };
        if fits {
            return Ok(());
        }
        Err(Error::NoEngine(format!(
            "engine `{}` computes in {memory}, but {what}; hint: use {hint} or another engine",
            self.name()
        )))
    }

    /// The first GPU that can be used, with `engine` or the best one.
    fn first_gpu(engine: Option<SharedEngine>) -> Result<Self, Error> {
        let count = usize::try_from(Cuda::device_count()).unwrap_or(0);
        let mut failed = no_gpu();
        for ordinal in 0..count {
            let device = Device::Cuda(ordinal);
            let found = match &engine {
                Some(engine) => Self::new(device, engine.clone()),
                None => Self::of(device),
            };
            match found {
                Ok(backend) => return Ok(backend),
                Err(reason) => failed = reason,
            }
        }
        Err(failed)
    }
}

/// Registers the engines that this crate links, once.
fn link() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        registry::register(splat_cpu::engine());
        #[cfg(feature = "cuda")]
        splat_cuda::engine().into_iter().for_each(|engine| _ = registry::register(engine));
        #[cfg(feature = "inria")]
        splat_inria::engine().into_iter().for_each(|engine| _ = registry::register(engine));
    });
}

fn cuda_engine(device: Device) -> Result<SharedEngine, Error> {
    link();
    let Device::Cuda(_) = device else {
        return Err(Error::NoDevice(format!(
            "no engine computes on {}; hint: use Device::Cpu or Device::Cuda(0)",
            device_name(device)
        )));
    };
    registry::for_device(DeviceKind::Cuda).map_err(|e| {
        Error::NoEngine(format!(
            "nothing renders on {}: {e}, or build with feature `cuda` of splat-tch, which needs a CUDA toolkit",
            device_name(device)
        ))
    })
}

/// Whether torch and the engine can both use that GPU.
fn ready(engine: &SharedEngine, ordinal: usize) -> Result<(), Error> {
    let count = Cuda::device_count();
    if i64::try_from(ordinal).is_ok_and(|i| i >= count) {
        return Err(match count {
            0 => no_gpu(),
            n => Error::NoDevice(format!(
                "there is no cuda:{ordinal}: torch sees {n} CUDA devices, cuda:0 first"
            )),
        });
    }
    engine.device_ready(i32::try_from(ordinal).unwrap_or(i32::MAX)).map_err(|reason| {
        Error::NoDevice(format!(
            "engine `{}` cannot use cuda:{ordinal}: {reason}",
            engine.capabilities().name
        ))
    })
}

fn no_gpu() -> Error {
    let reason = match ffi::cuda_half_failure() {
        Some(reason) => reason,
        None => "the libtorch of this program has no CUDA, or there is no driver or GPU".into(),
    };
    Error::NoDevice(format!("torch can use no CUDA device: {reason}; hint: use the device `cpu`"))
}

enum Place {
    At(Device),
    AnyGpu,
}

fn parse(device: &str) -> Result<Place, Error> {
    match device {
        "cpu" => return Ok(Place::At(Device::Cpu)),
        "cuda" => return Ok(Place::AnyGpu),
        _ => {}
    }
    let ordinal = device.strip_prefix("cuda:").and_then(|n| n.parse::<u16>().ok());
    ordinal.map(|n| Place::At(Device::Cuda(n.into()))).ok_or_else(|| {
        Error::NoDevice(format!("`{device}` is not a device; hint: cpu, cuda, or cuda:N with N from 0"))
    })
}
