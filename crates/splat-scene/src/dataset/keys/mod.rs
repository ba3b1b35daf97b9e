//! What the dialects of `transforms.json`, Polycam, `opencv_cameras.json`, Metashape, RealityScan and COLMAP can say, and what is made of it: one
//! table, from which `docs/datasets.md` is generated.
//!
//! A key that would change the result and is not applied is named in one warning if its value matters, and so is every
//! key that no dialect knows. Sources: the writers and readers of each dialect, named in the table's `of`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::text::number;

mod tables;

#[cfg(test)]
use tables::COLMAP;
pub(super) use tables::{METASHAPE, OPENCV, POLYCAM, REALITYSCAN, RECORD3D, TRANSFORMS};

/// What is made of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Read,
    /// It changes nothing about photographs, cameras and points.
    NoEffect,
    /// It would change the result if its value is not neutral, and is not applied: a warning names it.
    NotApplied(Neutral),
}

/// The values with which a key has no effect; null is always one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Neutral {
    /// No value.
    None,
    /// 0 or false, or a list of zeros.
    Zero,
    /// The same value in every frame.
    SameInAllFrames,
    /// At least the number of frames.
    NumberOfFrames,
}

/// A key, or several that go together.
pub(super) struct Key {
    pub(super) names: &'static [&'static str],
    /// The programs that write or read it.
    #[cfg_attr(not(test), expect(dead_code, reason = "for the documentation"))]
    pub(super) of: &'static str,
    pub(super) then: Use,
    /// What it says, and what is made of it.
    pub(super) meaning: &'static str,
}

/// What the keys of a file and its frames say that is not applied, as warnings about `file`.
pub(super) fn warnings(
    table: &[Key],
    file: &str,
    whole: &Map<String, Value>,
    frames: &[&Map<String, Value>],
) -> Vec<String> {
    let mut not_applied = BTreeMap::new();
    let mut unknown = BTreeSet::new();
    for (name, value) in std::iter::once(whole).chain(frames.iter().copied()).flatten() {
        match table.iter().find(|k| k.names.contains(&name.as_str())) {
            None => {
                unknown.insert(name.as_str());
            }
            Some(Key { then: Use::NotApplied(neutral), meaning, .. })
                if matters(*neutral, name, value, frames) =>
            {
                not_applied.insert(name.as_str(), *meaning);
            }
            Some(_) => {}
        }
    }
    let mut warnings = Vec::new();
    if !not_applied.is_empty() {
        let list: Vec<String> =
            not_applied.iter().map(|(name, meaning)| format!("`{name}` ({meaning})")).collect();
        warnings.push(format!("{file} says things that are not applied: {}", list.join(", ")));
    }
    if !unknown.is_empty() {
        let mut list: Vec<String> = unknown.iter().take(8).map(|name| format!("`{name}`")).collect();
        if unknown.len() > list.len() {
            list.push(format!("{} more", unknown.len() - list.len()));
        }
        warnings.push(format!("{file} has keys of no known program, which are ignored: {}", list.join(", ")));
    }
    warnings
}

fn matters(neutral: Neutral, name: &str, value: &Value, frames: &[&Map<String, Value>]) -> bool {
    let zero = |v: &Value| number(v) == Some(0.0) || v.is_null();
    if value.is_null() {
        return false;
    }
    match neutral {
        Neutral::None => true,
        Neutral::Zero => !zero(value) && !value.as_array().is_some_and(|list| list.iter().all(zero)),
        Neutral::SameInAllFrames => {
            frames.iter().find_map(|f| f.get(name)).is_some_and(|first| first != value)
        }
        Neutral::NumberOfFrames => number(value).is_none_or(|n| n < frames.len() as f64),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use serde_json::json;

    use super::*;

    const TABLES: [(&str, &[Key]); 7] = [
        ("`transforms.json`, `transforms_train.json`", TRANSFORMS),
        ("COLMAP's files", COLMAP),
        ("Polycam: `keyframes/cameras/N.json`", POLYCAM),
        ("Record3D: `metadata`", RECORD3D),
        ("`opencv_cameras.json`", OPENCV),
        ("Metashape: the calibration of a sensor", METASHAPE),
        ("RealityScan: the columns of its table of cameras", REALITYSCAN),
    ];

    fn markdown() -> String {
        let mut out = String::new();
        for (title, table) in TABLES {
            write!(out, "\n### {title}\n\n| key | of | what is made of it | meaning |\n|---|---|---|---|\n")
                .unwrap();
            for Key { names, of, then, meaning } in table {
                let names: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
                let then = match then {
                    Use::Read => "read",
                    Use::NoEffect => "no effect",
                    Use::NotApplied(Neutral::None) => "**not applied**: a warning",
                    Use::NotApplied(Neutral::Zero) => "**not applied**: a warning unless 0 or false",
                    Use::NotApplied(Neutral::SameInAllFrames) => {
                        "**not applied**: a warning if frames differ"
                    }
                    Use::NotApplied(Neutral::NumberOfFrames) => {
                        "**not applied**: a warning if below the number of frames"
                    }
                };
                writeln!(out, "| {} | {of} | {then} | {meaning} |", names.join(" ")).unwrap();
            }
        }
        out
    }

    /// `docs/datasets.md` has the tables of this module; with `WRITE_DOCS=1` the test puts it there.
    #[test]
    fn the_documentation_has_this_table() {
        const MARK: &str = "<!-- generated from crates/splat-scene/src/dataset/keys/tables.rs -->\n";
        let path = splat_testdata::committed("docs/datasets.md");
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = text.split_once(MARK).unwrap();
        if std::env::var_os("WRITE_DOCS").is_some() {
            std::fs::write(path, format!("{before}{MARK}{}", markdown())).unwrap();
        } else {
            assert_eq!(rest, markdown(), "run this test with WRITE_DOCS=1");
        }
    }

    #[test]
    fn keys_stand_once() {
        for (_, table) in TABLES {
            let names: Vec<&str> = table.iter().flat_map(|k| k.names).copied().collect();
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
        }
    }

    #[test]
    fn what_is_not_applied_is_named_where_it_matters() {
        let named = |file: Value, frames: &[Value]| {
            let frames: Vec<&Map<String, Value>> = frames.iter().map(|f| f.as_object().unwrap()).collect();
            warnings(TRANSFORMS, "t.json", file.as_object().unwrap(), &frames).join("; ")
        };
        let quiet = json!({"w": 1, "aabb_scale": 16, "rolling_shutter": [0, 0, 0.0, 0], "sharpen": 0, "envmap": null,
                           "white_transparent": false, "n_frames": 2, "sharpness_discard_threshold": "0.0"});
        assert_eq!(named(quiet, &[json!({"time": 0.5, "sharpness": 3.0}), json!({"time": 0.5})]), "");
        let loud =
            json!({"rolling_shutter": [0, 1, 0, 0], "white_transparent": true, "n_frames": 1, "lens_id": 3});
        let text = named(loud, &[json!({"time": 0.5, "z": 1}), json!({"time": 0.6})]);
        for word in [
            "`rolling_shutter`",
            "`white_transparent`",
            "`n_frames`",
            "`time`",
            "no known program",
            "`lens_id`, `z`",
        ] {
            assert!(text.contains(word), "{word}: {text}");
        }
    }
}
