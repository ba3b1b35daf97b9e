//! What a toolkit's own files and programs say: version, architectures, and bounds of host compilers.

use std::path::Path;

use crate::{
    machine::{Guards, HostCeiling},
    version::{Version, parse_arch},
};

/// `Cuda compilation tools, release 13.0, V13.0.88`.
pub fn parse_nvcc_version(text: &str) -> Option<Version> {
    let (_, after) = text.split_once("release ")?;
    match after.split_once(", V") {
        Some((_, full)) => full.parse().ok(),
        None => after.parse().ok(),
    }
}

/// `{"cuda": {"name": "CUDA SDK", "version": "12.4.1"}, ...}`.
pub fn parse_version_json(text: &str) -> Option<Version> {
    let json: serde_json::Value = serde_json::from_str(text).ok()?;
    json.get("cuda")?.get("version")?.as_str()?.parse().ok()
}

/// `#define CUDA_VERSION 12040`.
pub fn parse_cuda_h(text: &str) -> Option<Version> {
    let number = text.lines().find_map(|line| line.trim().strip_prefix("#define CUDA_VERSION"))?;
    let number: u32 = number.trim().parse().ok()?;
    Some(Version::new(&[number / 1000, number % 1000 / 10]))
}

/// `sm_75` a line. Variants (`sm_90a`) are one chip's own and not asked for.
pub fn parse_gpu_codes(text: &str) -> Vec<u32> {
    let mut codes: Vec<u32> =
        text.lines().filter(|line| line.starts_with("sm_")).filter_map(parse_arch).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

pub(super) fn read_ceiling(include: &Path) -> HostCeiling {
    let header = include.join("crt/host_config.h");
    let text = fs_err::read_to_string(&header).unwrap_or_default();
    let mut ceiling = parse_host_config(&text);
    ceiling.evidence = ceiling.evidence.map(|line| format!("{}:{line}", header.display()));
    ceiling
}

pub(super) fn read_guards(include: &Path) -> Guards {
    let header = include.join("crt/math_functions.h");
    fs_err::read(header).map(|bytes| parse_guards(&String::from_utf8_lossy(&bytes))).unwrap_or_default()
}

/// Whether the declarations that glibc 2.41 and 2.42 make too are guarded.
pub fn parse_guards(text: &str) -> Guards {
    Guards {
        known: true,
        iec_60559: text.contains("__NV_IEC_60559_FUNCS_EXCEPTION_SPECIFIER"),
        rsqrt: text.contains("_NV_RSQRT_SPECIFIER"),
    }
}

/// The bounds in `crt/host_config.h`; `evidence` is the line of GCC's.
pub fn parse_host_config(text: &str) -> HostCeiling {
    let after = |line: &str, what: &str| -> Option<u32> {
        let digits = line.split_once(what)?.1.trim_start();
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        digits[..end].parse().ok()
    };
    let mut ceiling = HostCeiling::default();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with("#if")) {
        if ceiling.gcc_max.is_none()
            && let Some(max) = after(line, "__GNUC__ >")
        {
            ceiling.gcc_max = Some(max);
            ceiling.evidence = Some((number + 1).to_string());
        }
        if ceiling.clang_below.is_none() {
            ceiling.clang_below = after(line, "__clang_major__ >=");
        }
        if ceiling.msvc.is_none() {
            ceiling.msvc = after(line, "_MSC_VER <").zip(after(line, "_MSC_VER >="));
        }
    }
    ceiling
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_in_their_three_spellings() {
        let nvcc = "nvcc: NVIDIA (R) Cuda compiler driver\nCuda compilation tools, release 12.4, V12.4.131\nBuild cuda_12.4.r12.4/compiler.34097967_0\n";
        assert_eq!(parse_nvcc_version(nvcc).unwrap().to_string(), "12.4.131");
        assert_eq!(parse_version_json(r#"{"cuda":{"version":"12.4.1"}}"#).unwrap().to_string(), "12.4.1");
        assert_eq!(parse_cuda_h("#define CUDA_VERSION 12040\n").unwrap().to_string(), "12.4");
        assert_eq!(parse_nvcc_version("command not found"), None);
    }

    #[test]
    fn gpu_codes_are_sorted_and_plain() {
        assert_eq!(parse_gpu_codes("sm_75\nsm_110\nsm_103\nsm_90\nsm_90a\n"), [75, 90, 103, 110]);
    }

    #[test]
    fn bounds_as_the_header_of_13_0_writes_them() {
        let text = "#if (__GRCO_CLANG_COMPILER__ == 1) && ((__clang_major__ < 16) || (__clang_major__ > 20))\n#if defined (__GNUC__)\n#if __GNUC__ > 15\n#endif /* __GNUC__ > 15 */\n#if (__clang_major__ >= 21) || (__clang_major__ < 3)\n#if _MSC_VER < 1920 || _MSC_VER >= 1950\n";
        let ceiling = parse_host_config(text);
        assert_eq!(
            (ceiling.gcc_max, ceiling.clang_below, ceiling.msvc),
            (Some(15), Some(21), Some((1920, 1950)))
        );
        assert_eq!(ceiling.evidence.as_deref(), Some("3"));
    }
}
