//! Which engine renders: by name, by handle, or by the device of the tensors.

use splat_engine::{DeviceKind, SharedEngine};
use tch::Device;

use crate::error::device_name;
use crate::{EngineChoice, Error};

/// Engines for CUDA tensors, best first.
const ON_CUDA: [&str; 2] = ["cuda", "inria"];

/// The engine of that name: `cpu`, or a CUDA engine that this program was built with.
///
/// # Errors
/// [`Error::NoEngine`], naming those that there are.
pub fn engine(name: &str) -> Result<SharedEngine, Error> {
    if name == "cpu" {
        return Ok(splat_engine::cpu());
    }
    if !splat_cuda::BUILT.contains(&name) {
        let built: Vec<_> = std::iter::once("cpu").chain(splat_cuda::BUILT.iter().copied()).collect();
        return Err(Error::NoEngine(format!(
            "there is no engine `{name}` in this program, which was built with {}; hint: `cargo xtask build \
             --engines cpu,{name}`",
            built.join(", ")
        )));
    }
    splat_cuda::engine(name).map_err(|reason| Error::Engine { engine: name.into(), reason })
}

/// The engine for tensors of `device`; `input` is the one that decides.
pub(crate) fn choose(choice: &EngineChoice, device: Device, input: &str) -> Result<SharedEngine, Error> {
    let chosen = match choice {
        EngineChoice::Handle(engine) => engine.clone(),
        EngineChoice::Named(name) => engine(name)?,
        EngineChoice::Auto => match device {
            Device::Cpu => splat_engine::cpu(),
            Device::Cuda(_) => match ON_CUDA.into_iter().find(|name| splat_cuda::BUILT.contains(name)) {
                Some(name) => engine(name)?,
                None => {
                    return Err(Error::NoEngine(format!(
                        "{input} is on {}, but this program was built without a CUDA engine; hint: `cargo \
                         xtask build --engines cpu,cuda`, or .to_device(Device::Cpu)",
                        device_name(device)
                    )));
                }
            },
            device => {
                return Err(Error::NoEngine(format!(
                    "{input} is on {}, where no engine computes; hint: .to_device(Device::Cpu)",
                    device_name(device)
                )));
            }
        },
    };
    let capabilities = chosen.capabilities();
    let (memory, fits, hint) = match capabilities.device {
        DeviceKind::Cpu => ("host memory", device == Device::Cpu, ".to_device(Device::Cpu)"),
        DeviceKind::Cuda => ("CUDA memory", matches!(device, Device::Cuda(_)), ".to_device(Device::Cuda(0))"),
    };
    if !fits {
        return Err(Error::NoEngine(format!(
            "engine `{}` computes in {memory}, but {input} is on {}; hint: {hint}",
            capabilities.name,
            device_name(device)
        )));
    }
    Ok(chosen)
}
