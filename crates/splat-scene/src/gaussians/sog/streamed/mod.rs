//! Streamed SOG: a scene in parts, by place and level of detail, that a viewer loads as it needs them.
//!
//! `lod-meta.json` lists the parts, which are SOG folders, and a tree of places. A place without places inside it says, for
//! each level (0 is the finest), which Gaussians of which part are there. Source: "The Streamed SOG Format", version 1, in
//! PlayCanvas' user manual. A streamed scene in one zip is not part of the format, and is neither read nor written.

mod read;
mod write;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::meta::Asset;
pub(super) use read::scene;
pub use write::{Division, write};

/// The version that is written; files from before versions have none.
const VERSION: u32 = 1;

/// The description of a streamed scene.
#[derive(Serialize, Deserialize)]
pub(super) struct Streamed {
    #[serde(default)]
    version: u32,
    #[serde(default, skip_deserializing)]
    asset: Asset,
    /// Gaussians of all levels, and of each.
    #[serde(default)]
    count: u64,
    #[serde(default)]
    counts: Vec<u64>,
    #[serde(rename = "lodLevels")]
    levels: u64,
    /// Gaussians that are always shown, such as the sky.
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
    /// The descriptions of the parts, relative to this one.
    pub(super) filenames: Vec<String>,
    tree: Place,
}

/// Either two places or what is here.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Place {
    #[serde(skip_deserializing)]
    bound: Bound,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    children: Vec<Place>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lods: Option<BTreeMap<u64, Range>>,
}

/// A box that holds three standard deviations of its Gaussians, in their local coordinates.
#[derive(Serialize, Clone, Copy)]
struct Bound {
    min: [f32; 3],
    max: [f32; 3],
}

/// Gaussians of a part, in the order of its pixels.
#[derive(Serialize, Deserialize, Clone, Copy)]
struct Range {
    file: usize,
    offset: usize,
    count: usize,
}
