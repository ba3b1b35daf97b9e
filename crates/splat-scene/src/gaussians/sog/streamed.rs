//! Streamed SOG: a scene in parts, by place and level of detail, that a viewer loads as it needs them. Here the whole scene is
//! read at its finest level.
//!
//! `lod-meta.json` lists the parts, which are SOG folders, and a tree of places. A place without places inside it says, for
//! each level (0 is the finest), which Gaussians of which part are there. Source: "The Streamed SOG Format", version 1, in
//! PlayCanvas' user manual. A streamed scene in one zip is not part of the format, and is not read.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::files::{Files, malformed};
use super::{decode, meta};
use crate::{Gaussians, Result};

/// The description of a streamed scene.
#[derive(Deserialize)]
pub(super) struct Streamed {
    #[serde(rename = "lodLevels")]
    pub(super) levels: u64,
    /// The descriptions of the parts, relative to this one.
    pub(super) filenames: Vec<String>,
    /// Gaussians that are always shown, such as the sky.
    environment: Option<String>,
    tree: Place,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Place {
    children: Vec<Place>,
    lods: BTreeMap<u64, Range>,
}

/// Gaussians of a part.
#[derive(Deserialize, Clone, Copy)]
struct Range {
    file: usize,
    offset: usize,
    count: usize,
}

/// The finest level there is at each place below `place`, by part.
fn finest(place: &Place, ranges: &mut BTreeMap<usize, Vec<Range>>) {
    place.children.iter().for_each(|inner| finest(inner, ranges));
    if let (true, Some(range)) = (place.children.is_empty(), place.lods.values().next()) {
        ranges.entry(range.file).or_default().push(*range);
    }
}

/// The scene that `path` describes, and what is worth knowing about it.
pub(super) fn scene(path: &Path, scene: &Streamed) -> Result<(Gaussians, Vec<String>)> {
    let mut ranges = BTreeMap::new();
    finest(&scene.tree, &mut ranges);
    let mut whole = Gaussians { coeffs: 1, ..Gaussians::default() };
    let parts = ranges.len();
    for (file, ranges) in ranges {
        let Some(name) = scene.filenames.get(file) else {
            let listed = scene.filenames.len();
            return Err(malformed(path, format!("a place names part {file}, but {listed} parts are listed")));
        };
        let part = part(path, name)?;
        let mut rows: Vec<u32> = Vec::new();
        for Range { offset, count, .. } in ranges {
            let end = offset.checked_add(count).filter(|&end| end <= part.len());
            // A Gaussian stands at one place only, so together they are no more than the part has.
            let Some(end) = end.filter(|_| rows.len() + count <= part.len()) else {
                return Err(malformed(
                    path,
                    format!(
                        "places name {count} Gaussians from {offset} on in {name}, which has {}",
                        part.len()
                    ),
                ));
            };
            rows.extend((offset..end).filter_map(|row| u32::try_from(row).ok()));
        }
        whole.append(&part.select(&rows))?;
    }
    let mut warnings = vec![format!(
        "streamed SOG: the finest of {} levels of detail is read, from {parts} parts",
        scene.levels
    )];
    if let Some(name) = &scene.environment {
        let around = part(path, name)?;
        warnings
            .push(format!("{} Gaussians of its environment ({name}) are part of the scene", around.len()));
        whole.append(&around)?;
    }
    Ok((whole, warnings))
}

/// The Gaussians of the part `name`.
fn part(path: &Path, name: &str) -> Result<Gaussians> {
    let inside = Path::new(name).components().all(|c| matches!(c, Component::Normal(_)));
    if name.is_empty() || !inside || name.contains(['\\', ':']) || name.contains(char::is_control) {
        return Err(malformed(path, format!("it names the part {name:?}, which is not beside it")));
    }
    let at: PathBuf = path.with_file_name("").join(name);
    let mut files = Files::open(&at)?;
    let (described, json) = files.meta()?;
    decode::scene(&mut files, meta::parse(&described, &json)?)
}
