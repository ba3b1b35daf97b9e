//! Wheels by their file names: which interpreter and platform each is for, and whether a given interpreter takes it.
//! Pure functions of text.

mod releases;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::releases::{Pinned, companion, newest_labelled, parse_report, torch_releases_of};
use crate::version::Version;

/// The parts of `torch-2.7.1+cu126-cp311-cp311-manylinux_2_28_x86_64.whl`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WheelName {
    /// Normalised: lower case, `-` for `_` and `.`.
    pub name: String,
    /// The version, with what follows `+`.
    pub version: String,
    /// The tags of Python: `cp311`.
    pub pythons: Vec<String>,
    /// The tags of the ABI: `cp311`, `abi3`, `none`.
    pub abis: Vec<String>,
    /// The tags of the platform: `manylinux_2_28_x86_64`.
    pub platforms: Vec<String>,
}

/// An interpreter, as far as wheels care.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interpreter {
    /// Its version.
    pub version: Version,
    /// `sysconfig.get_platform()`: `linux-x86_64`, `win-amd64`, `macosx-11.0-arm64`.
    pub platform: String,
    /// The system's glibc; `None` elsewhere.
    pub glibc: Option<Version>,
    /// A build without the global lock: `cp313t`.
    pub free_threaded: bool,
}

/// Why a wheel is not for an interpreter: its tag, and the interpreter's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{file}` is for {theirs}, and the interpreter is {ours}")]
pub struct WrongWheel {
    /// The file's name.
    pub file: String,
    /// What the file is for.
    pub theirs: String,
    /// What the interpreter is.
    pub ours: String,
}

impl WheelName {
    /// Reads a file name; `None` if it is no wheel's.
    pub fn parse(file: &str) -> Option<Self> {
        let parts: Vec<&str> = file.strip_suffix(".whl")?.split('-').collect();
        // A build number may stand between version and tags.
        let (name, version, tags) = match parts.as_slice() {
            [name, version, tags @ ..] if tags.len() == 3 => (name, version, tags),
            [name, version, _build, tags @ ..] if tags.len() == 3 => (name, version, tags),
            _ => return None,
        };
        let list = |text: &str| text.split('.').map(str::to_owned).collect();
        Some(Self {
            name: normalised(name),
            version: percent_plus(version),
            pythons: list(tags[0]),
            abis: list(tags[1]),
            platforms: list(tags[2]),
        })
    }

    /// Whether the interpreter takes it.
    ///
    /// # Errors
    /// It does not: the tag that disagrees and the interpreter's own.
    pub fn fits(&self, file: &str, interpreter: &Interpreter) -> Result<(), WrongWheel> {
        let wrong = |theirs: &[String], ours: String| WrongWheel {
            file: file.to_owned(),
            theirs: theirs.join("."),
            ours,
        };
        let stable = self.abis.iter().any(|abi| abi == "abi3");
        if !self.pythons.iter().any(|tag| interpreter.takes_python(tag, stable)) {
            return Err(wrong(&self.pythons, interpreter.tag()));
        }
        let own = interpreter.abi();
        if !self.abis.iter().any(|abi| abi == "none" || abi == "abi3" || *abi == own) {
            return Err(wrong(&self.abis, own));
        }
        if !self.platforms.iter().any(|tag| interpreter.takes_platform(tag)) {
            return Err(wrong(&self.platforms, interpreter.to_string()));
        }
        Ok(())
    }
}

impl Interpreter {
    /// `cp311`.
    pub fn tag(&self) -> String {
        format!("cp{}{}", self.version.major(), self.version.minor())
    }

    fn abi(&self) -> String {
        self.tag() + if self.free_threaded { "t" } else { "" }
    }

    fn takes_python(&self, tag: &str, stable: bool) -> bool {
        let split = tag.find(|c: char| c.is_ascii_digit()).unwrap_or(tag.len());
        let (kind, digits) = tag.split_at(split);
        let (major, minor) = digits.split_at(digits.len().min(1));
        if major.parse() != Ok(self.version.major()) {
            return false;
        }
        let minor: Option<u32> = minor.parse().ok();
        match kind {
            "py" => minor.is_none_or(|minor| minor <= self.version.minor()),
            "cp" if stable => minor.is_some_and(|minor| minor <= self.version.minor()),
            "cp" => minor == Some(self.version.minor()),
            _ => false,
        }
    }

    fn takes_platform(&self, tag: &str) -> bool {
        if tag == "any" {
            return true;
        }
        let own = self.platform.replace(['-', '.'], "_");
        if let Some(arch) = own.strip_prefix("linux_") {
            let Some(rest) = tag.strip_suffix(arch).and_then(|tag| tag.strip_suffix('_')) else {
                return false;
            };
            let needs = match rest {
                "linux" => return true,
                "manylinux1" => Version::new(&[2, 5]),
                "manylinux2010" => Version::new(&[2, 12]),
                "manylinux2014" => Version::new(&[2, 17]),
                other => match other.strip_prefix("manylinux_").map(|v| v.replace('_', ".").parse()) {
                    Some(Ok(version)) => version,
                    _ => return false,
                },
            };
            return self.glibc.as_ref().is_none_or(|have| *have >= needs);
        }
        if own.starts_with("macosx_") {
            let arch = own.rsplit_once('_').map_or("", |(_, arch)| arch);
            let arch = if own.ends_with("x86_64") { "x86_64" } else { arch };
            return tag.starts_with("macosx_") && (tag.ends_with(arch) || tag.ends_with("universal2"));
        }
        tag == own
    }
}

impl fmt::Display for Interpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.tag(), self.platform.replace(['-', '.'], "_"))?;
        match &self.glibc {
            Some(glibc) if self.platform.starts_with("linux") => write!(f, " (glibc {glibc})"),
            _ => Ok(()),
        }
    }
}

/// PEP 503: lower case, runs of `-`, `_` and `.` as one `-`.
pub fn normalised(name: &str) -> String {
    let mut text = String::new();
    for c in name.to_lowercase().chars() {
        let c = if matches!(c, '_' | '.') { '-' } else { c };
        if c != '-' || !text.ends_with('-') {
            text.push(c);
        }
    }
    text
}

/// Addresses write the `+` of a local version as `%2B`.
fn percent_plus(text: &str) -> String {
    text.replace("%2B", "+").replace("%2b", "+")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linux(version: &str, glibc: &str) -> Interpreter {
        Interpreter {
            version: version.parse().unwrap(),
            platform: "linux-x86_64".into(),
            glibc: glibc.parse().ok(),
            free_threaded: false,
        }
    }

    fn check(file: &str, interpreter: &Interpreter) -> Result<(), String> {
        WheelName::parse(file).unwrap().fits(file, interpreter).map_err(|e| e.to_string())
    }

    #[test]
    fn wheels_of_this_interpreter_are_taken() {
        let here = linux("3.11.7", "2.36");
        for file in [
            "torch-2.7.1+cu126-cp311-cp311-manylinux_2_28_x86_64.whl",
            "torch-2.4.0-cp311-cp311-manylinux1_x86_64.whl",
            "triton-3.0.0-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            "sympy-1.14.0-py3-none-any.whl",
            "x-1-py2.py3-none-any.whl",
            "ninja-1.13-cp38-abi3-manylinux_2_12_x86_64.whl",
            "nvidia_cublas_cu12-12.1.3.1-py3-none-manylinux1_x86_64.whl",
            "mine-1.0-cp311-cp311-linux_x86_64.whl",
        ] {
            assert_eq!(check(file, &here), Ok(()), "{file}");
        }
    }

    #[test]
    fn others_are_refused_with_both_tags() {
        let here = linux("3.11.7", "2.27");
        for (file, theirs, ours) in [
            ("torch-2.7.1-cp312-cp312-manylinux_2_17_x86_64.whl", "cp312", "cp311"),
            ("torch-2.7.1-cp311-cp311-win_amd64.whl", "win_amd64", "cp311 on linux_x86_64 (glibc 2.27)"),
            ("torch-2.7.1-cp311-cp311-manylinux_2_28_x86_64.whl", "manylinux_2_28_x86_64", "glibc 2.27"),
            ("torch-2.7.1-cp311-cp311-manylinux_2_17_aarch64.whl", "aarch64", "linux_x86_64"),
            ("torch-2.7.1-cp311-cp311t-manylinux_2_17_x86_64.whl", "cp311t", "cp311"),
            ("ninja-1.13-cp312-abi3-any.whl", "cp312", "cp311"),
        ] {
            let said = check(file, &here).unwrap_err();
            assert!(said.contains(theirs) && said.contains(ours), "{said}");
        }
        let windows = Interpreter { platform: "win-amd64".into(), glibc: None, ..here };
        assert_eq!(check("torch-2.7.1-cp311-cp311-win_amd64.whl", &windows), Ok(()));
        assert!(check("torch-2.7.1-cp311-cp311-manylinux1_x86_64.whl", &windows).is_err());
        assert_eq!(WheelName::parse("torch-2.7.1.tar.gz"), None);
        assert_eq!(WheelName::parse("torch.whl"), None);
    }

    #[test]
    fn mac_wheels_go_by_processor() {
        let mac = Interpreter { platform: "macosx-14.0-arm64".into(), glibc: None, ..linux("3.12.1", "1") };
        assert_eq!(check("torch-2.7.1-cp312-none-macosx_11_0_arm64.whl", &mac), Ok(()));
        assert!(check("torch-2.7.1-cp312-none-macosx_11_0_x86_64.whl", &mac).is_err());
    }

    #[test]
    fn names_are_compared_as_indexes_compare_them() {
        assert_eq!(normalised("NVIDIA_cuBLAS.cu12"), "nvidia-cublas-cu12");
        assert_eq!(normalised("a-_.b"), "a-b");
    }
}
