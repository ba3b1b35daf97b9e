//! GPU architectures: what the environment, this machine's GPUs or a default list ask for, as CMake writes it.

use std::path::Path;
use std::process::Command;

use crate::problems::Problems;
use crate::tools::{Target, variable};

/// Without a GPU to ask: from A100 (80), over RTX 30 and 40 and H100, to B200 (100) and RTX 50 (120).
const DEFAULT: [u32; 6] = [80, 86, 89, 90, 100, 120];
const HINT: &str = "set SPLATWRIGHT_CUDA_ARCHS to architectures that this toolkit knows, such as \"80;90\", or install a \
                    newer toolkit";

/// The value of `CMAKE_CUDA_ARCHITECTURES`.
pub(crate) fn find(nvcc: &Path, target: &Target, problems: &mut Problems) -> Option<String> {
    let known = known(nvcc);
    let asked = match variable("SPLATWRIGHT_CUDA_ARCHS") {
        Some(list) => parse(&list).map_err(|e| format!("SPLATWRIGHT_CUDA_ARCHS {e}")),
        None => {
            let found = if target.is_host { of_gpus() } else { Vec::new() };
            let otherwise = DEFAULT.iter().filter(|a| known.is_empty() || known.contains(a));
            Ok(if found.is_empty() { otherwise.map(u32::to_string).collect() } else { found })
        }
    };
    let asked = match asked {
        Ok(asked) => asked,
        Err(what) => {
            problems.add(what, HINT);
            return None;
        }
    };
    if let Some(unknown) = asked.iter().find(|a| !known.is_empty() && !known.contains(&number(a))) {
        let list: Vec<_> = known.iter().map(u32::to_string).collect();
        problems.add(
            format!("`{}` knows no architecture {unknown}, but {}", nvcc.display(), list.join(", ")),
            HINT,
        );
        return None;
    }
    Some(for_cmake(asked))
}

/// Machine code for each, and for the highest also PTX, which later GPUs compile.
fn for_cmake(mut architectures: Vec<String>) -> String {
    architectures.sort_unstable_by_key(|a| (number(a), a.clone()));
    architectures.dedup();
    let highest = architectures.pop().unwrap_or_default();
    let real: String = architectures.iter().map(|arch| format!("{arch}-real;")).collect();
    real + &highest
}

/// The number in `90` or `90a`; 0 if there is none.
fn number(architecture: &str) -> u32 {
    architecture.trim_end_matches(['a', 'f']).parse().unwrap_or(0)
}

fn parse(list: &str) -> Result<Vec<String>, String> {
    let found: Vec<String> =
        list.split([';', ',', ' ']).filter(|arch| !arch.is_empty()).map(str::to_owned).collect();
    if let Some(wrong) = found.iter().find(|arch| number(arch) == 0) {
        return Err(format!("has `{wrong}`, which is not an architecture (expected a number such as 90)"));
    }
    if found.is_empty() { Err("names no architecture".into()) } else { Ok(found) }
}

/// Of the GPUs that the driver lists; none without a driver.
fn of_gpus() -> Vec<String> {
    let smi = Command::new("nvidia-smi").args(["--query-gpu=compute_cap", "--format=csv,noheader"]).output();
    let text = smi.ok().filter(|o| o.status.success()).map(|o| o.stdout).unwrap_or_default();
    of_capabilities(&String::from_utf8_lossy(&text))
}

/// Lines such as `9.0`.
fn of_capabilities(text: &str) -> Vec<String> {
    let arch = |line: &str| line.trim().split_once('.').map(|(major, minor)| format!("{major}{minor}"));
    text.lines().filter_map(arch).filter(|a| number(a) > 0).collect()
}

/// What nvcc compiles for; empty if it does not say.
fn known(nvcc: &Path) -> Vec<u32> {
    let output = Command::new(nvcc).arg("--list-gpu-arch").output();
    let text = output.ok().filter(|o| o.status.success()).map(|o| o.stdout).unwrap_or_default();
    let arch = |line: &str| line.trim().strip_prefix("compute_").map(number);
    String::from_utf8_lossy(&text).lines().filter_map(arch).filter(|n| *n > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::{for_cmake, of_capabilities, parse};

    #[test]
    fn lists_become_machine_code_for_each_and_ptx_for_the_highest() {
        assert_eq!(parse("90, 80;80").map(for_cmake), Ok("80-real;90".into()));
        assert_eq!(parse("90a").map(for_cmake), Ok("90a".into()));
        assert_eq!(parse("120 90").map(for_cmake), Ok("90-real;120".into()));
    }

    #[test]
    fn what_is_no_architecture_is_refused_by_name() {
        assert!(parse("80;native").is_err_and(|e| e.contains("`native`")));
        assert!(parse(" ; ").is_err_and(|e| e.contains("no architecture")));
    }

    #[test]
    fn the_drivers_list_is_read_by_line() {
        assert_eq!(of_capabilities("9.0\n12.0\n"), ["90", "120"]);
        assert!(of_capabilities("NVIDIA-SMI has failed\n[N/A]\n").is_empty());
    }
}
