//! Version numbers as the tools print them: dotted integers of any length, compared number by number.
//! Local parts (`2.11.0+cu130`, `1.13.2.git`) are dropped; the text a tool printed is kept elsewhere.

use std::{cmp::Ordering, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A dotted version such as `13.0.88`. `13.0` and `13.0.0` are equal; the spelling (`580.65.06`) is kept.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Version {
    parts: Vec<u32>,
    text: String,
}

/// The text has no leading number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a version number")]
pub struct NotAVersion(pub String);

impl Version {
    /// From its numbers, most significant first.
    pub fn new(parts: &[u32]) -> Self {
        let text = parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(".");
        Self { parts: parts.to_vec(), text }
    }

    /// From a text known to be a version (our own tables); empty where it is not.
    pub(crate) fn from_numbers(text: &str) -> Self {
        text.parse().unwrap_or_default()
    }

    /// The first number, 0 if there is none.
    pub fn major(&self) -> u32 {
        self.part(0)
    }

    /// The second number, 0 if there is none.
    pub fn minor(&self) -> u32 {
        self.part(1)
    }

    fn part(&self, i: usize) -> u32 {
        self.parts.get(i).copied().unwrap_or(0)
    }

    /// `major.minor` alone: `13.0.88` gives `13.0`.
    pub fn series(&self) -> Self {
        Self::new(&[self.major(), self.minor()])
    }

    /// Whether `self` is `other` or a finer spelling of it: `2.11.0` starts with `2.11`.
    pub fn starts_with(&self, other: &Self) -> bool {
        (0..other.parts.len()).all(|i| self.part(i) == other.part(i))
    }

    /// The first version number standing in `text`, whatever surrounds it.
    pub fn find_in(text: &str) -> Option<Self> {
        let start = text.find(|c: char| c.is_ascii_digit())?;
        text[start..].parse().ok()
    }
}

impl FromStr for Version {
    type Err = NotAVersion;

    fn from_str(s: &str) -> Result<Self, NotAVersion> {
        let s = s.trim().trim_start_matches(['v', 'V']);
        let mut parts = Vec::new();
        let mut end = 0;
        for piece in s.split('.') {
            let digits = piece.len() - piece.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let Ok(number) = piece[..digits].parse() else { break };
            end += usize::from(!parts.is_empty()) + digits;
            parts.push(number);
            if digits < piece.len() {
                break; // `0+cu130`, `2rc1`: the number counts, what follows does not
            }
        }
        if parts.is_empty() {
            Err(NotAVersion(s.to_owned()))
        } else {
            Ok(Self { parts, text: s[..end].to_owned() })
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let longest = self.parts.len().max(other.parts.len());
        (0..longest).map(|i| self.part(i).cmp(&other.part(i))).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

impl From<Version> for String {
    fn from(v: Version) -> Self {
        v.text
    }
}

impl TryFrom<String> for Version {
    type Error = NotAVersion;

    fn try_from(s: String) -> Result<Self, NotAVersion> {
        // An unknown version is written as the empty text.
        if s.is_empty() { Ok(Self::default()) } else { s.parse() }
    }
}

/// A compute capability written as users write it (`86`, `8.6`, `sm_86`) as two digits, 86.
pub fn parse_arch(text: &str) -> Option<u32> {
    let text = text.trim();
    let text = text.strip_prefix("sm_").or_else(|| text.strip_prefix("compute_")).unwrap_or(text);
    match text.split_once('.') {
        Some((major, minor)) if minor.len() == 1 => {
            major.parse::<u32>().ok()?.checked_mul(10)?.checked_add(minor.parse().ok()?)
        }
        Some(_) => None,
        None => text.parse().ok().filter(|arch| (20..1000).contains(arch)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(s: &str) -> Version {
        s.parse().unwrap()
    }

    #[test]
    fn reads_what_tools_print() {
        assert_eq!(v("2.11.0+cu130").to_string(), "2.11.0");
        assert_eq!(v("1.13.2.git.kitware.jobserver-pipe-1").to_string(), "1.13.2");
        assert_eq!(v("2.12.0rc1").to_string(), "2.12.0");
        assert_eq!(Version::find_in("cmake version 4.4.4\n").unwrap().to_string(), "4.4.4");
        assert_eq!(Version::find_in("none"), None);
        assert!("nightly".parse::<Version>().is_err());
    }

    #[test]
    fn numbers_compare_as_numbers() {
        assert!(v("2.11") > v("2.4.1"));
        assert_eq!(v("13.0"), v("13.0.0"));
        assert!(v("580.65.06") > v("580.65"));
        assert_eq!(v("580.65.06").to_string(), "580.65.06");
        assert!(v("2.11.0").starts_with(&v("2.11")));
        assert!(!v("2.1.0").starts_with(&v("2.11")));
    }

    #[test]
    fn architectures_in_every_spelling() {
        for text in ["86", "8.6", "sm_86", "compute_86", " 8.6 "] {
            assert_eq!(parse_arch(text), Some(86), "{text}");
        }
        assert_eq!(parse_arch("12.0"), Some(120));
        for text in ["", "ampere", "8.6,8.9", "8.66", "native", "5"] {
            assert_eq!(parse_arch(text), None, "{text}");
        }
    }
}
