//! What pip's installation report says, and which PyTorch releases carry which CUDA. Pure functions of text.

use serde::{Deserialize, Serialize};

use super::{normalised, percent_plus};
use crate::version::Version;

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
}
