//! The whole of a streamed scene at its finest level.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::super::files::{Files, malformed};
use super::super::{decode, meta};
use super::{Place, Range, Streamed};
use crate::{Gaussians, Result};

/// The finest level there is at each place below `place`, by part.
fn finest(place: &Place, ranges: &mut BTreeMap<usize, Vec<Range>>) {
    place.children.iter().for_each(|inner| finest(inner, ranges));
    let here = place.lods.as_ref().and_then(|lods| lods.values().next());
    if let (true, Some(range)) = (place.children.is_empty(), here) {
        ranges.entry(range.file).or_default().push(*range);
    }
}

/// The scene that `path` describes, and what is worth knowing about it.
pub(in super::super) fn scene(path: &Path, scene: &Streamed) -> Result<(Gaussians, Vec<String>)> {
    if scene.version > super::VERSION {
        let message = format!("streamed SOG of version {}, expected {}", scene.version, super::VERSION);
        return Err(malformed(path, message));
    }
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
