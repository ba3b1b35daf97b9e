//! What a run ran on, for `stats.json`: figures without their machine cannot be compared.
//!
//! Asks the engine and reads `/proc`; what cannot be found out is left out.

use std::path::PathBuf;

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

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {} threads", self.system, self.threads)?;
        self.cpu.iter().try_for_each(|cpu| write!(f, ", {cpu}"))?;
        self.gpu_driver.iter().try_for_each(|driver| write!(f, ", NVIDIA driver {driver}"))
    }
}

/// The most memory that this process has held, in MiB. Linux only.
pub(crate) fn peak_host_mib() -> Option<u64> {
    Some(field("/proc/self/status", "VmHWM")?.strip_suffix(" kB")?.parse::<u64>().ok()? / 1024)
}

/// Bytes of memory that this process can still get: of the machine, of its control group (a container's limit) and of its
/// own limit, whichever is least. Linux only.
pub(crate) fn available_memory() -> Option<u64> {
    let kib = |path: &str, name: &str| -> Option<u64> {
        Some(1024 * field(path, name)?.strip_suffix(" kB")?.trim().parse::<u64>().ok()?)
    };
    let number = |path: &str| fs_err::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let machine = kib("/proc/meminfo", "MemAvailable");
    let group = || {
        let text = fs_err::read_to_string("/proc/self/cgroup").ok()?;
        let path = text.lines().find_map(|line| line.strip_prefix("0::"))?.to_owned();
        let folder = format!("/sys/fs/cgroup{}", path.trim_end_matches('/'));
        let limit = number(&format!("{folder}/memory.max"))?;
        Some(limit.saturating_sub(number(&format!("{folder}/memory.current"))?))
    };
    let own = || {
        let line = fs_err::read_to_string("/proc/self/limits").ok()?;
        let line = line.lines().find(|l| l.starts_with("Max address space"))?.to_owned();
        let limit: u64 = line.split_whitespace().nth(3)?.parse().ok()?;
        Some(limit.saturating_sub(kib("/proc/self/status", "VmSize")?))
    };
    [machine, group(), own()].into_iter().flatten().min()
}

/// The program on PATH, if it is there.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let named = |folder: PathBuf| [folder.join(program), folder.join(format!("{program}.exe"))];
    std::env::split_paths(&path).flat_map(named).find(|path| path.is_file())
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

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_os = "linux")]
    fn some_memory_is_free_and_not_more_than_a_machine_has() {
        let free = super::available_memory().unwrap();
        assert!(free > 1 << 20 && free < 1 << 50, "{free}");
    }
}
