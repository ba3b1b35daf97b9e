//! torch's own checks before it builds an extension, as released: the CUDA version, the compiler bounds and the
//! grammar of TORCH_CUDA_ARCH_LIST. Verdicts only, so that a build is refused or mended before torch is started.
//! Measured on torch 2.4.0, 2.7.1 and 2.11.0 (the conformance test runs torch's own functions beside these);
//! releases between take the tables of the nearest measured one below, 2.13 and 2.15 as their sources say.

mod tables;

use self::tables::{bounds, names, numbers};
use crate::{machine::CompilerKind, version::Version};

/// What torch says to a toolkit and a compiler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// RuntimeError: another major version (E01).
    OtherMajor,
    /// RuntimeError: the compiler is older than the bound (E21).
    TooOld {
        /// The oldest version that torch takes.
        least: Version,
    },
    /// RuntimeError: the compiler is at the bound or above (E21).
    TooNew {
        /// Every version that torch takes is below this one.
        below: Version,
    },
    /// It goes on.
    Accepted {
        /// Whether torch warns that the minor versions of CUDA differ (E02).
        minor_differs: bool,
        /// How far the compiler was looked at.
        bounds: Bounds,
    },
}

/// How far the compiler was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounds {
    /// Switched off (TORCH_DONT_CHECK_COMPILER_ABI), or not Linux.
    Unchecked,
    /// The table has no line for this CUDA: a warning (H05).
    Undefined,
    /// The table knows this CUDA version.
    Within,
}

/// What a check is made of.
#[derive(Clone, Debug)]
pub struct Check<'a> {
    /// torch's version.
    pub torch: &'a Version,
    /// torch.version.cuda; a CPU build is not checked.
    pub torch_cuda: &'a Version,
    /// What nvcc prints: 12.6.77.
    pub nvcc: &'a Version,
    /// The compiler's family.
    pub kind: CompilerKind,
    /// The compiler's version.
    pub compiler: &'a Version,
    /// TORCH_DONT_CHECK_COMPILER_ABI is set, or the system is not Linux.
    pub unchecked: bool,
}

/// The verdict of torch's `_check_cuda_version`.
pub fn check(asked: &Check<'_>) -> Verdict {
    let release = asked.nvcc.series();
    let torch_cuda = asked.torch_cuda.series();
    if release.major() != torch_cuda.major() {
        return Verdict::OtherMajor;
    }
    let accepted = |bounds| Verdict::Accepted { minor_differs: release != torch_cuda, bounds };
    if asked.unchecked || asked.kind == CompilerKind::Msvc {
        return accepted(Bounds::Unchecked);
    }
    let clang = asked.kind == CompilerKind::Clang;
    let Some((least, mut below)) = bounds(asked.torch, &release, clang) else {
        return accepted(Bounds::Undefined);
    };
    // 11.4.0 took less than its patch releases.
    if !clang && asked.nvcc.to_string() == "11.4.48" {
        below = Version::new(&[11, 0]);
    }
    if *asked.compiler < least {
        Verdict::TooOld { least }
    } else if *asked.compiler >= below {
        Verdict::TooNew { below }
    } else {
        accepted(Bounds::Within)
    }
}

/// The entry that torch does not take: `Unknown CUDA arch (8.6,8.9) or GPU not supported`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("torch takes no architecture `{0}`")]
pub struct UnknownArch(pub String);

/// Entries after names are replaced: `Ampere` is `8.0`, `8.6+PTX`. An empty list and `native` ask the GPUs present
/// and are not for this function.
///
/// # Errors
/// The first entry that torch refuses.
pub fn arch_entries(torch: &Version, list: &str) -> Result<Vec<String>, UnknownArch> {
    let mut text = list.replace(' ', ";");
    for (name, numbers) in names(torch) {
        text = text.replace(name, numbers);
    }
    let known = numbers(torch);
    text.split(';')
        .map(|entry| {
            let number = entry.strip_suffix("+PTX").unwrap_or(entry);
            if known.contains(&number) { Ok(entry.to_owned()) } else { Err(UnknownArch(entry.to_owned())) }
        })
        .collect()
}

/// The flags that torch gives nvcc for such a list, sorted.
///
/// # Errors
/// As [`arch_entries`].
pub fn arch_flags(torch: &Version, list: &str) -> Result<Vec<String>, UnknownArch> {
    let mut flags = Vec::new();
    for entry in arch_entries(torch, list)? {
        let (number, ptx) = match entry.strip_suffix("+PTX") {
            Some(number) => (number.replace('.', ""), true),
            None => (entry.replace('.', ""), false),
        };
        flags.push(format!("-gencode=arch=compute_{number},code=sm_{number}"));
        if ptx {
            flags.push(format!("-gencode=arch=compute_{number},code=compute_{number}"));
        }
    }
    flags.sort_unstable();
    flags.dedup();
    Ok(flags)
}

/// The list that was meant, as torch reads it, where it is written otherwise: `8.6,8.9` is `8.6;8.9`, `sm_86` is `8.6`,
/// `86` is `8.6`, and empty entries go. `None` if an entry cannot be understood, or nothing needs a change.
pub fn mended(torch: &Version, list: &str) -> Option<String> {
    if arch_entries(torch, list).is_ok() {
        return None;
    }
    let known = numbers(torch);
    let names = names(torch);
    let mut entries: Vec<String> = Vec::new();
    for entry in list.split([' ', ';', ',', '|']).filter(|entry| !entry.is_empty()) {
        let cut = entry.len().checked_sub(4).filter(|cut| entry.is_char_boundary(*cut));
        let (bare, ptx) = match cut.map(|cut| entry.split_at(cut)) {
            Some((bare, end)) if end.eq_ignore_ascii_case("+PTX") => (bare.to_owned(), "+PTX"),
            _ => (entry.to_owned(), ""),
        };
        let name = names.iter().find(|(name, _)| name.eq_ignore_ascii_case(&bare));
        if let Some((name, _)) = name {
            entries.push((*name).to_owned());
            continue;
        }
        let digits = bare.to_lowercase();
        let digits = digits.trim_start_matches("sm_").trim_start_matches("compute_");
        let (plain, variant) = match digits.strip_suffix('a') {
            Some(plain) => (plain, "a"),
            None => (digits, ""),
        };
        let number = match plain.contains('.') {
            true => plain.to_owned(),
            false => {
                let (major, minor) = plain.split_at_checked(plain.len().checked_sub(1)?)?;
                format!("{major}.{minor}")
            }
        };
        let number = format!("{number}{variant}");
        known.contains(&number.as_str()).then_some(())?;
        entries.push(format!("{number}{ptx}"));
    }
    (!entries.is_empty()).then(|| entries.join(";"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(text: &str) -> Version {
        text.parse().unwrap()
    }

    fn verdict(torch: &str, torch_cuda: &str, nvcc: &str, kind: CompilerKind, compiler: &str) -> Verdict {
        check(&Check {
            torch: &v(torch),
            torch_cuda: &v(torch_cuda),
            nvcc: &v(nvcc),
            kind,
            compiler: &v(compiler),
            unchecked: false,
        })
    }

    #[test]
    fn majors_end_and_minors_warn() {
        assert_eq!(verdict("2.4.0", "12.4", "13.1.80", CompilerKind::Gcc, "12.2.0"), Verdict::OtherMajor);
        let minor = verdict("2.4.0", "12.4", "12.6.77", CompilerKind::Gcc, "12.2.0");
        assert_eq!(minor, Verdict::Accepted { minor_differs: true, bounds: Bounds::Undefined });
    }

    #[test]
    fn the_table_that_lags_behind() {
        assert_eq!(
            verdict("2.11.0", "12.8", "12.8.93", CompilerKind::Gcc, "14.1.0"),
            Verdict::TooNew { below: v("14.0") }
        );
        assert!(matches!(
            verdict("2.13.0", "12.8", "12.8.93", CompilerKind::Gcc, "14.1.0"),
            Verdict::Accepted { .. }
        ));
    }

    #[test]
    fn lists_are_mended_to_what_was_meant() {
        let torch = v("2.11.0");
        for (written, meant) in [
            ("8.6,8.9", "8.6;8.9"),
            ("8.6; 8.9", "8.6;8.9"),
            ("8.6;", "8.6"),
            ("sm_86", "8.6"),
            ("86", "8.6"),
            ("120", "12.0"),
            ("ampere", "Ampere"),
            ("sm_90a+PTX", "9.0a+PTX"),
        ] {
            assert_eq!(mended(&torch, written).as_deref(), Some(meant), "{written}");
            assert!(arch_entries(&torch, meant).is_ok());
        }
        for hopeless in ["All", "10.1", "8.8", "12.0f", "7", "native?", "é"] {
            assert_eq!(mended(&torch, hopeless), None, "{hopeless}");
        }
        assert_eq!(mended(&torch, "8.6;9.0+PTX"), None, "nothing to mend");
    }
}
