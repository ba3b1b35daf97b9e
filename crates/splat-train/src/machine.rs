//! What a run ran on, for `stats.json`: figures without their machine cannot be compared.
//!
//! Reads `/proc` and asks `nvidia-smi`; what cannot be learned is left out.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

/// Facts about this machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Machine {
    /// `linux-x86_64` and the like.
    pub system: String,
    /// Model name of the processor.
    pub cpu: Option<String>,
    /// Threads that may run at once.
    pub threads: usize,
    /// Name of the GPU, if the run used one.
    pub gpu: Option<String>,
    /// Version of its driver.
    pub gpu_driver: Option<String>,
}

impl Machine {
    /// Looks around; asks for the GPU only if `with_gpu`.
    #[must_use]
    pub fn probe(with_gpu: bool) -> Self {
        let cpu = fs_err::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
            let line = text.lines().find(|l| l.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
        let gpu = if with_gpu { ask("name,driver_version") } else { None };
        let mut words = gpu.iter().flat_map(|l| l.split(", ")).map(str::to_owned);
        Self {
            system: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
            cpu,
            threads: std::thread::available_parallelism().map_or(1, Into::into),
            gpu: words.next(),
            gpu_driver: words.next(),
        }
    }
}

/// Most memory this process has held, in MiB. Linux alone.
pub fn peak_host_mib() -> Option<u64> {
    host_mib("VmHWM:")
}

fn host_mib(field: &str) -> Option<u64> {
    let text = fs_err::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix(field))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? / 1024)
}

/// Memory in use, looked at every five seconds: the first GPU's by everyone, the driver's context included, or this
/// process's own.
#[derive(Debug)]
pub(crate) struct MemoryWatch {
    gpu: Option<Arc<AtomicU64>>,
}

impl MemoryWatch {
    /// On a GPU a thread asks `nvidia-smi`, which takes longer than a step.
    pub(crate) fn start(gpu: bool) -> Self {
        if !gpu {
            return Self { gpu: None };
        }
        let seen = Arc::new(AtomicU64::new(0));
        let weak = Arc::downgrade(&seen);
        std::thread::spawn(move || {
            // Until the run, which holds the other end, is over; or there is nobody to ask.
            while let Some(seen) = weak.upgrade() {
                let Some(now) = gpu_memory_mib() else { return };
                seen.store(now, Ordering::Relaxed);
                drop(seen);
                std::thread::sleep(Duration::from_secs(5));
            }
        });
        Self { gpu: Some(seen) }
    }

    /// In MiB, as last seen.
    pub(crate) fn now(&self) -> Option<u64> {
        match &self.gpu {
            Some(seen) => Some(seen.load(Ordering::Relaxed)).filter(|&mib| mib > 0),
            None => host_mib("VmRSS:"),
        }
    }
}

/// Memory in use on the first GPU, by everyone, in MiB. Torch keeps what it has once taken, so at the end
/// of a run on a GPU of its own this is about the peak, the driver's context included.
pub fn gpu_memory_mib() -> Option<u64> {
    ask("memory.used")?.parse().ok()
}

fn ask(fields: &str) -> Option<String> {
    let out = Command::new("nvidia-smi")
        .args([&format!("--query-gpu={fields}"), "--format=csv,noheader,nounits", "--id=0"])
        .output()
        .ok()?;
    let line = String::from_utf8_lossy(&out.stdout).lines().next()?.trim().to_owned();
    (out.status.success() && !line.is_empty()).then_some(line)
}
