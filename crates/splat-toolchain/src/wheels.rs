//! Wheels by their file names: which interpreter and platform each is for, and whether a given interpreter takes it.
//! Also what pip's installation report says, and which PyTorch releases carry which CUDA. Pure functions of text.

use std::fmt;

use serde::{Deserialize, Serialize};

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

/// One wheel that pip chose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// The package's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The name of the wheel.
    pub file: String,
    /// Where it can be fetched.
    pub url: String,
    /// Its hash, in hexadecimal, if the index tells it.
    pub sha256: Option<String>,
    /// Bytes, where the index says.
    #[serde(default)]
    pub size: Option<u64>,
    /// Asked for by name, not only needed by another.
    #[serde(default)]
    pub requested: bool,
}

/// pip's installation report (`pip install --dry-run --report`), its format 1.
///
/// # Errors
/// The text is no such report.
pub fn parse_report(text: &str) -> Result<Vec<Pinned>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Report {
        install: Vec<Item>,
    }
    #[derive(Deserialize)]
    struct Item {
        download_info: Download,
        metadata: Metadata,
        #[serde(default)]
        requested: bool,
    }
    #[derive(Deserialize)]
    struct Download {
        url: String,
        #[serde(default)]
        archive_info: Archive,
    }
    #[derive(Deserialize, Default)]
    struct Archive {
        #[serde(default)]
        hash: Option<String>,
        #[serde(default)]
        hashes: std::collections::BTreeMap<String, String>,
    }
    #[derive(Deserialize)]
    struct Metadata {
        name: String,
        version: String,
    }
    let report: Report = serde_json::from_str(text)?;
    let pinned = report.install.into_iter().map(|item| {
        let archive = item.download_info.archive_info;
        let old = archive.hash.and_then(|hash| hash.strip_prefix("sha256=").map(str::to_owned));
        let file = item.download_info.url.rsplit('/').next().unwrap_or_default();
        Pinned {
            name: normalised(&item.metadata.name),
            version: item.metadata.version,
            file: percent_plus(file.split(['#', '?']).next().unwrap_or_default()),
            url: item.download_info.url,
            sha256: archive.hashes.get("sha256").cloned().or(old),
            size: None,
            requested: item.requested,
        }
    });
    Ok(pinned.collect())
}

/// The releases whose wheels on the default index are built with that CUDA: at least, and below. Linux only: on
/// Windows that index has CPU builds.
pub fn torch_releases_of(cuda: &Version) -> Option<(&'static str, &'static str)> {
    let range = match (cuda.major(), cuda.minor()) {
        (11, 7) => ("2.0.1", "2.1"),
        (12, 1) => ("2.1", "2.5"),
        (12, 4) => ("2.5", "2.7"),
        (12, 6) => ("2.7", "2.8"),
        (12, 8) => ("2.8", "2.11"),
        (13, 0) => ("2.11", "2.14"),
        (13, 2) => ("2.15", "2.16"),
        _ => return None,
    };
    Some(range)
}

/// The series of a companion package that is released for this torch: `0.19` of torchvision for torch 2.4. torchaudio 2.11
/// is the last series of its own: it is built on torch's stable interface, declares no torch, and serves later ones.
pub fn companion(name: &str, torch: &Version) -> Option<Version> {
    let minor = torch.minor();
    let series = match (name, torch.major()) {
        ("torchvision", 2) => [0, minor + 15],
        ("torchvision", 1) => [0, minor + 1],
        ("torchaudio", 2) => [2, minor.min(11)],
        ("torchaudio", 1) => [0, minor],
        _ => return None,
    };
    Some(Version::new(&series))
}

/// Of the versions that an index lists, the newest that bears the local label of that CUDA: `2.6.0+cu124`.
pub fn newest_labelled<'a>(versions: impl IntoIterator<Item = &'a str>, cuda: &Version) -> Option<&'a str> {
    let label = format!("cu{}{}", cuda.major(), cuda.minor());
    let labelled =
        versions.into_iter().filter(|text| text.split_once('+').is_some_and(|(_, local)| local == label));
    labelled.max_by_key(|text| text.parse::<Version>().unwrap_or_default())
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
    fn a_report_gives_files_hashes_and_versions() {
        let text = r#"{"version":"1","install":[
            {"download_info":{"url":"https://a.example/whl/torch-2.6.0%2Bcu124-cp311-cp311-linux_x86_64.whl#sha256=aa",
              "archive_info":{"hashes":{"sha256":"aa"}}},"requested":true,"metadata":{"name":"torch","version":"2.6.0+cu124"}},
            {"download_info":{"url":"https://a.example/Jinja2-3.whl","archive_info":{"hash":"sha256=bb"}},
              "metadata":{"name":"Jinja2","version":"3"}}]}"#;
        let pinned = parse_report(text).unwrap();
        assert_eq!(pinned[0].file, "torch-2.6.0+cu124-cp311-cp311-linux_x86_64.whl");
        assert_eq!((pinned[0].sha256.as_deref(), pinned[0].requested), (Some("aa"), true));
        assert_eq!((pinned[1].name.as_str(), pinned[1].sha256.as_deref()), ("jinja2", Some("bb")));
        assert!(parse_report("ERROR: no").is_err());
    }

    #[test]
    fn releases_by_cuda() {
        let cuda = |text: &str| text.parse::<Version>().unwrap();
        assert_eq!(torch_releases_of(&cuda("12.4")), Some(("2.5", "2.7")));
        assert_eq!(torch_releases_of(&cuda("12.5")), None);
        let listed = ["2.6.0+cu126", "2.5.1+cu124", "2.6.0+cu124", "2.4.0+cu124", "2.7.0"];
        assert_eq!(newest_labelled(listed, &cuda("12.4")), Some("2.6.0+cu124"));
        assert_eq!(newest_labelled(listed, &cuda("11.8")), None);
    }

    #[test]
    fn companions_are_those_that_were_released_together() {
        let of = |name: &str, torch: &str| companion(name, &torch.parse().unwrap()).map(|v| v.to_string());
        for (torch, vision, audio) in [
            ("2.4.0", "0.19", "2.4"),
            ("2.0.1", "0.15", "2.0"),
            ("2.11.0", "0.26", "2.11"),
            ("2.14.1", "0.29", "2.11"),
        ] {
            assert_eq!(of("torchvision", torch).as_deref(), Some(vision));
            assert_eq!(of("torchaudio", torch).as_deref(), Some(audio));
        }
        assert_eq!(of("torchtext", "2.4.0"), None);
    }

    #[test]
    fn names_are_compared_as_indexes_compare_them() {
        assert_eq!(normalised("NVIDIA_cuBLAS.cu12"), "nvidia-cublas-cu12");
        assert_eq!(normalised("a-_.b"), "a-b");
    }
}
