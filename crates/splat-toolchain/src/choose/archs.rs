//! Which architectures get machine code (SASS), and which one is also kept as PTX for GPUs to come.

use super::Chosen;
use crate::{
    finding::{Finding, Severity},
    machine::Gpu,
    plan::Explained,
    tables::DEFAULT_ARCHS,
};

/// The architecture whose machine code a GPU runs: its own, or a lower one of the same generation.
pub(crate) fn code_for(gpu: u32, codes: &[u32]) -> Option<u32> {
    codes.iter().copied().filter(|code| code / 10 == gpu / 10 && *code <= gpu).max()
}

/// Machine code for what was asked for, else for the GPUs present, else for the documented list.
/// `codes` are the toolkit's; `toolkit` names it in messages.
pub(crate) fn choose(asked: Option<&[u32]>, gpus: &[Gpu], codes: &[u32], toolkit: &str) -> Chosen<Vec<u32>> {
    let mut explained = Explained { subject: "architectures".into(), ..Explained::default() };
    let mut findings = Vec::new();
    let mut choice: Vec<u32> = Vec::new();
    let (oldest, newest) = (codes.first().copied().unwrap_or(0), codes.last().copied().unwrap_or(0));
    if let Some(asked) = asked.filter(|asked| !asked.is_empty()) {
        explained.because = "they were asked for".into();
        for arch in asked {
            if codes.contains(arch) {
                choice.push(*arch);
            } else {
                findings.push(unknown(*arch, codes, toolkit));
                explained.rejected.push((format!("sm_{arch}"), format!("{toolkit} does not know it")));
            }
        }
    } else if gpus.is_empty() {
        explained.because = "no GPU is visible: the documented list, as far as the toolkit knows it".into();
        for arch in DEFAULT_ARCHS {
            if codes.contains(&arch) {
                choice.push(arch);
            } else {
                explained.rejected.push((format!("sm_{arch}"), format!("{toolkit} does not know it")));
            }
        }
    } else {
        explained.because = "they are those of the GPUs present".into();
        for gpu in gpus {
            match code_for(gpu.arch, codes) {
                Some(code) => choice.push(code),
                None if gpu.arch > newest => {
                    choice.push(newest);
                    findings.push(newer_than_toolkit(gpu, newest, toolkit));
                }
                None => {
                    explained.rejected.push((
                        format!("{} (sm_{})", gpu.name, gpu.arch),
                        format!("{toolkit} starts at sm_{oldest}"),
                    ));
                    findings.push(older_than_toolkit(
                        gpu,
                        oldest,
                        toolkit,
                        choice.is_empty() && gpus.len() == 1,
                    ));
                }
            }
        }
    }
    choice.sort_unstable();
    choice.dedup();
    let ptx = choice.last().map(|arch| format!(", sm_{arch} also as PTX")).unwrap_or_default();
    let names: Vec<String> = choice.iter().map(|arch| format!("sm_{arch}")).collect();
    explained.chosen = if names.is_empty() { "none".into() } else { names.join(" ") + &ptx };
    Chosen { choice, explained, findings }
}

fn unknown(arch: u32, codes: &[u32], toolkit: &str) -> Finding {
    let (code, what) = match (codes.first(), codes.last()) {
        (Some(oldest), _) if arch < *oldest => ("E53", "dropped"),
        (_, Some(newest)) if arch > *newest => ("E52", "does not know"),
        _ => ("E50", "cannot compile for"),
    };
    let list: Vec<String> = codes.iter().map(ToString::to_string).collect();
    Finding::new(code, Severity::Error, format!("sm_{arch} was asked for, which {toolkit} {what}"))
        .evidence(format!("it compiles for {}", list.join(" ")))
        .hint("name others with `--arch`, or another toolkit with `cargo xtask switch cuda VERSION`")
}

fn newer_than_toolkit(gpu: &Gpu, newest: u32, toolkit: &str) -> Finding {
    Finding::new(
        "E52",
        Severity::Warning,
        format!("{} is sm_{}, newer than {toolkit} compiles for; it gets PTX of sm_{newest}, which the driver compiles at first use", gpu.name, gpu.arch),
    )
    .evidence(gpu.source.clone())
    .hint("a newer toolkit gives it machine code: `cargo xtask switch cuda managed`")
}

fn older_than_toolkit(gpu: &Gpu, oldest: u32, toolkit: &str, only: bool) -> Finding {
    let severity = if only { Severity::Error } else { Severity::Warning };
    let message = format!(
        "{} is sm_{}, and {toolkit} starts at sm_{oldest}: CUDA engines cannot run on it",
        gpu.name, gpu.arch
    );
    Finding::new("E53", severity, message)
        .evidence(gpu.source.clone())
        .hint("install a CUDA 12.x toolkit, then `cargo xtask switch cuda 12`; or build with `--engines cpu`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::gpu_codes;

    fn gpu(arch: u32) -> Gpu {
        Gpu { name: "GPU".into(), arch, memory_mb: None, source: "nvidia-smi".into() }
    }

    fn codes(cuda: &str) -> &'static [u32] {
        gpu_codes(&cuda.parse().unwrap())
    }

    #[test]
    fn machine_code_runs_within_a_generation_only() {
        assert_eq!(code_for(86, &[75, 80, 86]), Some(86));
        assert_eq!(code_for(89, &[75, 80, 86]), Some(86));
        assert_eq!(code_for(90, &[75, 80, 86]), None);
        assert_eq!(code_for(80, &[86]), None);
    }

    #[test]
    fn without_a_gpu_the_documented_list_as_far_as_it_goes() {
        let chosen = choose(None, &[], codes("13.0"), "CUDA 13.0");
        assert_eq!(chosen.choice, DEFAULT_ARCHS);
        assert_eq!(choose(None, &[], codes("12.6"), "CUDA 12.6").choice, [75, 80, 86, 89, 90]);
    }

    #[test]
    fn a_gpu_too_new_gets_ptx_and_one_too_old_is_an_error() {
        let new = choose(None, &[gpu(120)], codes("12.6"), "CUDA 12.6");
        assert_eq!((new.choice.as_slice(), new.findings[0].code.as_str()), ([90].as_slice(), "E52"));
        let old = choose(None, &[gpu(61)], codes("13.0"), "CUDA 13.0");
        assert!(old.choice.is_empty());
        assert_eq!((old.findings[0].code.as_str(), old.findings[0].severity), ("E53", Severity::Error));
    }

    #[test]
    fn an_architecture_asked_for_is_never_dropped_in_silence() {
        let chosen = choose(Some(&[61, 90, 101, 200]), &[], codes("13.0"), "CUDA 13.0");
        assert_eq!(chosen.choice, [90]);
        let codes: Vec<&str> = chosen.findings.iter().map(|finding| finding.code.as_str()).collect();
        assert_eq!(codes, ["E53", "E50", "E52"]);
    }
}
