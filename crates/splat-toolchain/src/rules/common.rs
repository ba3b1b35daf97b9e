//! Rules that hold for our own build and for other people's extensions alike: the driver, the C library, memory, the
//! Python that is active, code pages, programs that do not answer.

use crate::{
    env::Os,
    finding::{Finding, Severity},
    machine::{Machine, Toolkit},
    plan::JOB_MEMORY,
    tables,
    version::Version,
};

pub(super) fn os(machine: &Machine) -> Os {
    [Os::Windows, Os::Macos].into_iter().find(|os| os.name() == machine.os).unwrap_or(Os::Linux)
}

/// E07: the driver's number is neither the toolkit's nor torch's, and need not be.
pub(super) fn three_numbers(
    machine: &Machine,
    toolkit: Option<&Version>,
    torch: Option<&Version>,
) -> Option<Finding> {
    let driver = machine.driver_cuda.as_ref()?;
    let other = |version: Option<&Version>| {
        version.map(Version::series).filter(|version| *version != driver.value.series())
    };
    let toolkit = other(toolkit).map(|version| format!("the toolkit is {version}"));
    let torch = other(torch).map(|version| format!("torch is {version}"));
    let told: Vec<String> = toolkit.into_iter().chain(torch).collect();
    if told.is_empty() {
        return None;
    }
    let message = format!(
        "the driver runs CUDA up to {} (what nvidia-smi shows), {}: these are three different versions, which need not be equal",
        driver.value.series(),
        told.join(", ")
    );
    Some(Finding::new("E07", Severity::Info, message).evidence(driver.source.clone()))
}

/// E13: a toolkit contradicts itself.
pub(super) fn contradiction(toolkit: &Toolkit) -> Option<Finding> {
    let (version, other) = toolkit.version.as_ref().zip(toolkit.other_versions.first())?;
    let message = format!(
        "the toolkit's nvcc says {}, and another of its files says {}",
        version.value.series(),
        other.value.series()
    );
    Some(
        Finding::new("E13", Severity::Warning, message)
            .evidence(other.source.clone())
            .hint("two toolkits may be in one folder; `cargo xtask switch list` shows the others"),
    )
}

/// E60, E61: the driver against the toolkit.
pub(super) fn driver(machine: &Machine, cuda: Option<&Version>, archs: &[u32]) -> Option<Finding> {
    let (driver, version) = machine.driver.as_ref().zip(cuda)?;
    let os = os(machine);
    if let Some(least) = tables::driver_minimum(version, os).filter(|least| driver.value < *least) {
        let message = format!(
            "driver {} is older than the {least} that CUDA {} needs: nothing that nvcc compiles would run here",
            driver.value,
            version.series()
        );
        return Some(
            Finding::new("E61", Severity::Error, message)
                .evidence(driver.source.clone())
                .hint(format!("update the NVIDIA driver to {least}, or install a CUDA 12.x toolkit and `cargo xtask switch cuda 12`; `--engines cpu` builds without")),
        );
    }
    let least = tables::driver_for_ptx(version, os).filter(|least| driver.value < *least)?;
    let gpu = machine.gpus.iter().find(|gpu| crate::choose::archs::code_for(gpu.arch, archs).is_none())?;
    let message = format!(
        "{} (sm_{}) would run PTX, and driver {} is older than the {least} that compiles PTX of CUDA {}",
        gpu.name,
        gpu.arch,
        driver.value,
        version.series()
    );
    Some(Finding::new("E60", Severity::Error, message).evidence(driver.source.clone()).hint(format!(
        "build machine code for it: `cargo xtask build --arch {}`; or update the driver to {least}",
        gpu.arch
    )))
}

/// E61: the driver against torch's own CUDA.
pub(super) fn driver_for_torch(machine: &Machine, cuda: &Version, torch: &str) -> Option<Finding> {
    let driver = machine.driver.as_ref()?;
    let least = tables::driver_minimum(cuda, os(machine)).filter(|least| driver.value < *least)?;
    let message = format!(
        "driver {} is older than the {least} that torch {torch} (CUDA {cuda}) needs: torch will see no GPU",
        driver.value
    );
    Some(
        Finding::new("E61", Severity::Warning, message)
            .evidence(driver.source.clone())
            .hint("update the NVIDIA driver, or `cargo xtask switch torch 2.7` (CUDA 12.6)"),
    )
}

/// E62: a driver without its library.
pub(super) fn driver_library(machine: &Machine) -> Option<Finding> {
    let told = machine.driver.is_some() || !machine.gpus.is_empty();
    if machine.os != "linux" || !told || machine.driver_library.is_some() {
        return None;
    }
    let (message, hint) = match &machine.wsl {
        Some(_) => (
            "libcuda.so.1 is not in /usr/lib/wsl/lib: CUDA programs do not start here",
            "run `wsl --update` in Windows and install a Windows driver with WSL support; then `export LD_LIBRARY_PATH=/usr/lib/wsl/lib`",
        ),
        None => (
            "there is a driver but not its library libcuda.so.1: CUDA programs do not start here",
            "in a container: run it with `--gpus all` (and NVIDIA_DRIVER_CAPABILITIES=compute,utility); elsewhere install the driver's libraries",
        ),
    };
    let evidence = machine
        .wsl
        .as_ref()
        .map_or_else(|| "the usual folders of libraries, LD_LIBRARY_PATH".into(), |wsl| wsl.value.clone());
    Some(Finding::new("E62", Severity::Warning, message).evidence(evidence).hint(hint))
}

/// E24: a C library whose maths headers contradict the toolkit's. Its own header decides where it was read.
pub(super) fn glibc(machine: &Machine, cuda: Option<&Version>, toolkit: Option<&Toolkit>) -> Option<Finding> {
    let (glibc, cuda) = machine.glibc.as_ref().zip(cuda)?;
    let guards = toolkit.map(|toolkit| &toolkit.guards).filter(|guards| guards.known);
    let guarded = |by_header: Option<bool>, from: [u32; 2]| by_header.unwrap_or(*cuda >= Version::new(&from));
    let rsqrt = guarded(guards.map(|guards| guards.rsqrt), [13, 2]);
    let cospi = guarded(guards.map(|guards| guards.iec_60559), [13, 0]);
    let below = if glibc.value >= Version::new(&[2, 42]) && !rsqrt {
        "13.2"
    } else if glibc.value >= Version::new(&[2, 41]) && !cospi {
        "13.0"
    } else {
        return None;
    };
    let message = format!(
        "glibc {} declares functions (cospi, rsqrt) that CUDA {} declares with another exception specification, which is known to fail",
        glibc.value,
        cuda.series()
    );
    Some(Finding::new("E24", Severity::Warning, message).evidence(glibc.source.clone()).hint(format!(
        "install CUDA {below} or newer and set CUDA_HOME to it, or build in a container with an older glibc"
    )))
}

/// E57: `native` where no GPU answers.
pub(super) fn native(machine: &Machine) -> Option<Finding> {
    if !machine.gpus.is_empty() {
        return None;
    }
    let names = [
        "TORCH_CUDA_ARCH_LIST",
        "CUDAARCHS",
        "TCNN_CUDA_ARCHITECTURES",
        "NVCC_PREPEND_FLAGS",
        "NVCC_APPEND_FLAGS",
    ];
    let (name, value) = names
        .into_iter()
        .filter_map(|name| Some((name, machine.user_env.get(name)?)))
        .find(|(_, value)| value.split([' ', '=', ';', ',']).any(|word| word == "native"))?;
    let message =
        format!("{name} asks for `native`, and no GPU is visible: nvcc would silently take its default");
    Some(
        Finding::new("E57", Severity::Warning, message)
            .evidence(format!("{name}={value}"))
            .hint(format!("unset {name}, or write numbers in it")),
    )
}

/// E82: an environment is active and another Python answers.
pub(super) fn environments(machine: &Machine) -> Option<Finding> {
    let (name, prefix) = ["VIRTUAL_ENV", "CONDA_PREFIX"]
        .into_iter()
        .find_map(|name| Some((name, machine.user_env.get(name)?)))?;
    let on_path = machine.pythons.iter().find(|python| python.source.ends_with("on PATH"))?;
    let path = on_path.path.display().to_string();
    let inside = |prefix: &String| path.starts_with(prefix.as_str());
    let environments =
        ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(|name| machine.user_env.get(name));
    if environments.into_iter().any(inside) {
        return None;
    }
    let message = format!(
        "{name} is {prefix}, and `python` is {path}: packages would be installed where the program does not look for them"
    );
    Some(
        Finding::new("E82", Severity::Warning, message)
            .evidence(format!("{name}={prefix}"))
            .hint("activate the environment again, or call its own interpreter: `python -m pip`"),
    )
}

/// E85: fewer jobs than cores, or hardly memory for one.
pub(super) fn memory(machine: &Machine, jobs: usize) -> Option<Finding> {
    let memory = machine.memory.as_ref()?;
    let gb = |bytes: u64| bytes as f64 / 1e9;
    if memory.value < JOB_MEMORY {
        let message = format!(
            "{:.1} GB of memory are free, and one compile job may take {:.0} GB",
            gb(memory.value),
            gb(JOB_MEMORY)
        );
        return Some(
            Finding::new("E85", Severity::Warning, message)
                .evidence(memory.source.clone())
                .hint("close other programs, or add swap; a compiler that the system stops for lack of memory reports `signal 9`"),
        );
    }
    (jobs < machine.cpus).then(|| {
        let message = format!(
            "{jobs} jobs at a time instead of {}: {:.1} GB of memory are free and a job may take {:.0} GB",
            machine.cpus,
            gb(memory.value),
            gb(JOB_MEMORY)
        );
        Finding::new("E85", Severity::Info, message).evidence(memory.source.clone())
    })
}

/// Code pages in which compilers speak English or Python's own UTF-8.
const SAFE_PAGES: &[u32] = &[65001, 437, 850, 1252];

/// E90: cl speaks another code page than torch decodes.
pub(super) fn code_page(machine: &Machine) -> Option<Finding> {
    let page = machine.locale.oem.as_ref().or(machine.locale.ansi.as_ref())?;
    let english = machine.user_env.get("VSLANG").is_some_and(|language| language == "1033");
    (!SAFE_PAGES.contains(&page.value) && !english).then(|| {
        let message = format!("compilers write in the system's code page {}, which torch may be unable to read; they are told to speak English", page.value);
        Finding::new("E90", Severity::Info, message)
            .evidence(page.source.clone())
            .hint("by hand: `set VSLANG=1033` and `chcp 65001`")
    })
}

/// S17: programs that did not answer.
pub(super) fn silent(machine: &Machine) -> Vec<Finding> {
    let all = machine.silent.iter();
    all.map(|program| {
        let message = format!(
            "`{}` did not answer within {} s and was stopped; its answer is unknown",
            program.source, program.value
        );
        let smi = program.source.contains("nvidia-smi");
        let hint = if smi {
            "the driver hangs: restart the machine, or state the GPU yourself: SPLATWRIGHT_DRIVER=580.65.06 SPLATWRIGHT_GPUS=86"
        } else {
            "run it by hand to see why"
        };
        Finding::new("S17", Severity::Warning, message).evidence(program.source.clone()).hint(hint)
    })
    .collect()
}
