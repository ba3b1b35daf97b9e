//! The rows: which torch goes with which tch, and what each pair needs to build. One tch release fits exactly
//! one libtorch, so users choose a row, never two free numbers.
//! Sources: tch's and torch-sys's released build scripts; the tags and `version.py` of the released wheels.

use serde::{Deserialize, Serialize};

use crate::{managed::ManagedItem, version::Version};

/// The row in force when nothing was chosen.
pub const DEFAULT: &str = "2.11";

/// A pair of torch and tch that builds together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// What users type: `2.11`.
    pub name: &'static str,
    /// The release that the managed installation brings.
    pub torch: &'static str,
    /// The release of tch (and torch-sys) that fits it.
    pub tch: &'static str,
    /// What torch-sys checks for; where it differs from `torch`, the check must be bypassed.
    pub tch_expects: &'static str,
    /// The CUDA that the wheel from the default index was built with.
    pub cuda: &'static str,
    /// `_GLIBCXX_USE_CXX11_ABI` of the Linux wheel.
    pub cxx11_abi: bool,
    /// CPython minor versions (3.x) with wheels, first and last.
    pub pythons: (u32, u32),
}

/// Every row, the oldest torch first.
pub const ROWS: &[Row] = &[
    row("2.4", "2.4.0", "0.17.0", "2.4.0", "12.1", false, (8, 12)),
    row("2.7", "2.7.1", "0.20.0", "2.7.0", "12.6", true, (9, 13)),
    row("2.9", "2.9.0", "0.22.0", "2.9.0", "12.8", true, (10, 14)),
    row("2.10", "2.10.0", "0.23.0", "2.10.0", "12.8", true, (10, 14)),
    row("2.11", "2.11.0", "0.24.0", "2.11.0", "13.0", true, (10, 14)),
    row("2.13", "2.13.0", "0.26.0", "2.13.0", "13.0", true, (10, 14)),
];

const fn row(
    name: &'static str,
    torch: &'static str,
    tch: &'static str,
    tch_expects: &'static str,
    cuda: &'static str,
    cxx11_abi: bool,
    pythons: (u32, u32),
) -> Row {
    Row { name, torch, tch, tch_expects, cuda, cxx11_abi, pythons }
}

impl Row {
    /// The row that users mean by `2.11`, `2.11.0` or `torch-2.11`.
    pub fn named(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches("torch-");
        let version: Version = text.parse().ok()?;
        ROWS.iter()
            .find(|row| row.name == text)
            .or_else(|| ROWS.iter().find(|row| row.takes(&version)))
            .copied()
    }

    /// The row that a release of tch belongs to.
    pub fn of_tch(tch: &Version) -> Option<Self> {
        ROWS.iter().find(|row| row.tch_version().series() == tch.series()).copied()
    }

    /// The row's version of torch.
    pub fn torch_version(&self) -> Version {
        self.torch.parse().unwrap_or_default()
    }

    /// The row's version of tch.
    pub fn tch_version(&self) -> Version {
        self.tch.parse().unwrap_or_default()
    }

    /// Whether this torch can serve the row: the release itself, or the one that tch checks for.
    pub fn takes(&self, torch: &Version) -> bool {
        *torch == self.torch_version() || *torch == self.tch_expects.parse().unwrap_or_default()
    }

    /// Whether torch-sys's version check must be bypassed for this torch (a patch release of the series).
    pub fn needs_bypass(&self, torch: &Version) -> bool {
        *torch != self.tch_expects.parse().unwrap_or_default()
    }

    /// Whether there are wheels for this interpreter.
    pub fn has_wheels_for(&self, python: &Version) -> bool {
        python.major() == 3 && (self.pythons.0..=self.pythons.1).contains(&python.minor())
    }

    /// `3.10 to 3.14`.
    pub fn python_range(&self) -> String {
        format!("3.{} to 3.{}", self.pythons.0, self.pythons.1)
    }

    /// Relative to the repository: each row has its own, so switching back recompiles nothing.
    pub fn target_dir(&self) -> String {
        format!("target/torch-{}", self.name)
    }

    /// The installation that brings this row's torch.
    pub fn item(&self) -> Option<ManagedItem> {
        ManagedItem::named(&format!("torch-{}", self.name))
    }
}

/// The names of all rows, for messages: `2.4, 2.7, ...`.
pub fn names() -> String {
    ROWS.iter().map(|row| row.name).collect::<Vec<_>>().join(", ")
}

#[derive(Serialize, Deserialize)]
struct Written {
    name: String,
    torch: String,
    tch: String,
}

impl Serialize for Row {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written { name: self.name.into(), torch: self.torch.into(), tch: self.tch.into() }
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        Self::named(&written.name).ok_or_else(|| {
            serde::de::Error::custom(format!("no row is called `{}`; rows: {}", written.name, names()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_installation_and_the_default_exists() {
        assert!(Row::named(DEFAULT).is_some());
        for row in ROWS {
            let item = row.item().unwrap_or_else(|| panic!("row {} has no managed item", row.name));
            assert_eq!(item.version, row.torch);
            assert_eq!(Row::of_tch(&row.tch_version()), Some(*row));
        }
    }

    /// torch-link, which has no dependencies, keeps the pairs of its own that it tells build scripts.
    #[test]
    fn the_pairs_are_those_of_torch_link() {
        let of_tch: Vec<_> = ROWS.iter().map(|row| row.tch_version().series().to_string()).collect();
        let pairs: Vec<_> = of_tch.iter().zip(ROWS).map(|(tch, row)| (tch.as_str(), row.name)).collect();
        assert_eq!(pairs, torch_link::ROWS);
    }

    #[test]
    fn rows_are_found_by_every_spelling() {
        for text in ["2.7", "2.7.1", "torch-2.7", "2.7.0"] {
            assert_eq!(Row::named(text).map(|row| row.name), Some("2.7"), "{text}");
        }
        assert_eq!(Row::named("2.1"), None);
        assert_eq!(Row::named("latest"), None);
    }

    #[test]
    fn only_a_patch_release_needs_the_bypass() {
        let row = Row::named("2.7").unwrap();
        assert!(row.needs_bypass(&"2.7.1".parse().unwrap()));
        assert!(!row.needs_bypass(&"2.7.0".parse().unwrap()));
        assert!(!Row::named("2.11").unwrap().needs_bypass(&"2.11.0".parse().unwrap()));
    }

    #[test]
    fn wheels_by_python() {
        let row = Row::named("2.4").unwrap();
        assert!(row.has_wheels_for(&"3.11.7".parse().unwrap()));
        assert!(!row.has_wheels_for(&"3.13.0".parse().unwrap()));
        assert!(!row.has_wheels_for(&"2.7.18".parse().unwrap()));
    }
}
