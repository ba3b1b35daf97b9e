//! The NVIDIA driver and the GPUs, without initialising CUDA. The order: the user's override, the kernel module's
//! own files, then `nvidia-smi`. A machine may have the driver and no GPU visible, or the reverse in a container.

use std::path::PathBuf;

use crate::{
    env::Env,
    machine::{Fact, Gpu},
    version::{Version, parse_arch},
};

pub(crate) struct Answer {
    pub(crate) driver: Option<Fact<Version>>,
    pub(crate) gpus: Vec<Gpu>,
}

pub(crate) fn probe(env: &Env) -> Answer {
    let (smi_driver, smi_gpus) = nvidia_smi(env).unwrap_or_default();
    let stated = env.var("SPLATWRIGHT_DRIVER").and_then(|text| text.parse().ok());
    let driver = stated
        .map(|version| Fact::new(version, "SPLATWRIGHT_DRIVER"))
        .or_else(|| {
            let version = env.read("/sys/module/nvidia/version")?.parse().ok()?;
            Some(Fact::new(version, "/sys/module/nvidia/version"))
        })
        .or_else(|| {
            let version = parse_proc(&env.read("/proc/driver/nvidia/version")?)?;
            Some(Fact::new(version, "/proc/driver/nvidia/version"))
        })
        .or_else(|| smi_driver.map(|version| Fact::new(version, "nvidia-smi")));
    let stated: Vec<Gpu> = env
        .var("SPLATWRIGHT_GPUS")
        .into_iter()
        .flat_map(|list| list.split([';', ',', ' ']))
        .filter_map(parse_arch)
        .map(|arch| Gpu {
            name: "stated GPU".into(),
            arch,
            memory_mb: None,
            source: "SPLATWRIGHT_GPUS".into(),
        })
        .collect();
    Answer { driver, gpus: if stated.is_empty() { smi_gpus } else { stated } }
}

fn nvidia_smi(env: &Env) -> Option<(Option<Version>, Vec<Gpu>)> {
    if env.var("SPLATWRIGHT_GPUS").is_some() && env.var("SPLATWRIGHT_DRIVER").is_some() {
        return None; // nothing left to ask, and it can take a second
    }
    let under_wsl = || Some(env.place("/usr/lib/wsl/lib/nvidia-smi")).filter(|path: &PathBuf| path.is_file());
    let program = env.on_path("nvidia-smi").or_else(under_wsl)?;
    let query = ["--query-gpu=driver_version,compute_cap,memory.total,name", "--format=csv,noheader,nounits"];
    Some(parse_smi(&env.run(&program, &query)?))
}

/// `570.124.06, 9.0, 81559, NVIDIA H100 80GB HBM3` a line.
fn parse_smi(text: &str) -> (Option<Version>, Vec<Gpu>) {
    let mut driver = None;
    let mut gpus = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.splitn(4, ',').map(str::trim).collect();
        let [version, arch, memory, name] = fields.as_slice() else { continue };
        driver = driver.or_else(|| version.parse().ok());
        if let Some(arch) = parse_arch(arch) {
            let memory_mb = memory.parse().ok();
            gpus.push(Gpu { name: (*name).to_owned(), arch, memory_mb, source: "nvidia-smi".into() });
        }
    }
    (driver, gpus)
}

/// `NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.124.06  Release Build`.
fn parse_proc(text: &str) -> Option<Version> {
    let line = text.lines().find(|line| line.starts_with("NVRM version:"))?;
    let is_version = |word: &&str| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.');
    line.split_whitespace().find(is_version)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn driver_in_both_spellings_of_the_kernel_module() {
        for text in [
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\nGCC version:\n",
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.15  Release Build  (dvs-builder)\n",
        ] {
            assert_eq!(parse_proc(text).unwrap().to_string(), "550.54.15");
        }
    }

    #[test]
    fn gpus_of_one_query() {
        let (driver, gpus) = parse_smi(
            "580.95.05, 9.0, 81559, NVIDIA H100 80GB HBM3\n580.95.05, 12.0, 32607, NVIDIA GeForce RTX 5090\n",
        );
        assert_eq!(driver.unwrap().to_string(), "580.95.05");
        assert_eq!(gpus.iter().map(|gpu| gpu.arch).collect::<Vec<_>>(), [90, 120]);
        assert_eq!(gpus[0].memory_mb, Some(81559));
        assert!(
            parse_smi("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n")
                .1
                .is_empty()
        );
    }
}
