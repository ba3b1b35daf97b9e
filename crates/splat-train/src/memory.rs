//! How much memory is in use. What cannot be found out is `None`.

use splat_tch::Backend;
use tch::Device;

/// Memory in use in MiB: on a GPU that of all programs together, as the engine reports it; on the CPU that of this process
/// (Linux only).
#[must_use]
pub fn memory_in_use_mib(backend: &Backend) -> Option<u64> {
    let Device::Cuda(ordinal) = backend.device() else { return resident_mib() };
    let device = backend.engine().device(i32::try_from(ordinal).ok()?).ok()?;
    Some(device.memory_total.saturating_sub(device.memory_free) >> 20)
}

fn resident_mib() -> Option<u64> {
    let text = fs_err::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? / 1024)
}
