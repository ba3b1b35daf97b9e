//! What a run ran on, for `stats.json`: figures without their machine cannot be compared.
//!
//! Asks the engine and reads `/proc`; what cannot be found out is left out.

use serde::Serialize;
use splat_train::Backend;
use tch::Device;

/// Facts about this machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Machine {
    /// `linux-x86_64` and the like.
    system: String,
    /// Model name of the processor.
    cpu: Option<String>,
    /// Threads that can run at once.
    threads: usize,
    /// Name of the GPU, if the run used one.
    pub(crate) gpu: Option<String>,
    /// Version of its driver.
    gpu_driver: Option<String>,
}

impl Machine {
    /// The machine, and the GPU of `backend` if that is on one.
    pub(crate) fn probe(backend: &Backend) -> Self {
        let gpu = match backend.device() {
            Device::Cuda(ordinal) => i32::try_from(ordinal)
                .ok()
                .and_then(|i| backend.engine().device(i).ok())
                .map(|device| device.name),
            _ => None,
        };
        Self {
            system: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
            cpu: field("/proc/cpuinfo", "model name"),
            threads: std::thread::available_parallelism().map_or(1, Into::into),
            gpu_driver: gpu.as_ref().and_then(|_| driver()),
            gpu,
        }
    }
}

/// The most memory that this process has held, in MiB. Linux only.
pub(crate) fn peak_host_mib() -> Option<u64> {
    Some(field("/proc/self/status", "VmHWM")?.strip_suffix(" kB")?.parse::<u64>().ok()? / 1024)
}

/// The value in the first line `name : value` of a file.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs_err::read_to_string(path).ok()?;
    let line = text.lines().find(|l| l.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The version in `NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.04  ...`.
fn driver() -> Option<String> {
    let line = field("/proc/driver/nvidia/version", "NVRM version")?;
    let version = |word: &&str| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.');
    line.split_whitespace().find(version).map(str::to_owned)
}
