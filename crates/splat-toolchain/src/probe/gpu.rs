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
    let gpus = match (stated.is_empty(), smi_gpus.is_empty()) {
        (false, _) => stated,
        (true, false) => smi_gpus,
        (true, true) => by_model(env),
    };
    Answer { driver, gpus }
}

/// Names of well-known GPUs and their architecture, for where nvidia-smi is absent or does not answer. What is not
/// listed is left out rather than guessed.
const MODELS: &[(&str, u32)] = &[
    ("RTX 50", 120),
    ("RTX PRO 6000 Blackwell", 120),
    ("B200", 100),
    ("H100", 90),
    ("H200", 90),
    ("RTX 40", 89),
    ("L40", 89),
    ("L4", 89),
    ("RTX 30", 86),
    ("A10", 86),
    ("A40", 86),
    ("A100", 80),
    ("A30", 80),
    ("RTX 20", 75),
    ("GTX 16", 75),
    ("T4", 75),
    ("V100", 70),
    ("GTX 10", 61),
    ("P100", 60),
];

/// The GPUs that the kernel module lists by name.
fn by_model(env: &Env) -> Vec<Gpu> {
    let entries = fs_err::read_dir(env.place("/proc/driver/nvidia/gpus")).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path().join("information")).collect();
    files.sort();
    files.iter().filter_map(|file| parse_information(&fs_err::read_to_string(file).ok()?)).collect()
}

/// `Model: NVIDIA GeForce RTX 3090`, after tabs.
pub fn parse_information(text: &str) -> Option<Gpu> {
    let name = text.lines().find_map(|line| line.strip_prefix("Model:"))?.trim();
    // The whole words of the name; of `A10` and `A100` the longer fits the longer.
    let model = |(model, _): &&(&str, u32)| {
        name.match_indices(model).any(|(at, _)| {
            let after = name[at + model.len()..].chars().next();
            let series = model.ends_with('0') && model.starts_with(['R', 'G']) && model.contains("X ");
            let before = name[..at].chars().next_back();
            before.is_none_or(|c| !c.is_alphanumeric())
                && (series || after.is_none_or(|c| !c.is_ascii_digit()))
        })
    };
    let (_, arch) = MODELS.iter().find(model)?;
    Some(Gpu {
        name: name.to_owned(),
        arch: *arch,
        memory_mb: None,
        source: "/proc/driver/nvidia/gpus, by its name".into(),
    })
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
    fn gpus_by_their_names_where_nothing_else_answers() {
        let arch =
            |name: &str| parse_information(&format!("Model: \t\t {name}\nIRQ: 1\n")).map(|gpu| gpu.arch);
        for (name, expected) in [
            ("NVIDIA GeForce RTX 3090", 86),
            ("NVIDIA GeForce RTX 5070 Ti", 120),
            ("NVIDIA A100-SXM4-80GB", 80),
            ("NVIDIA A10", 86),
            ("NVIDIA H100 80GB HBM3", 90),
            ("NVIDIA L4", 89),
            ("NVIDIA L40S", 89),
            ("Tesla T4", 75),
            ("NVIDIA GeForce GTX 1080 Ti", 61),
        ] {
            assert_eq!(arch(name), Some(expected), "{name}");
        }
        assert_eq!(arch("NVIDIA GeForce 9800 GT"), None);
        assert_eq!(arch("NVIDIA RTX A4000"), None, "not listed, so not guessed");
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
