//! The contents of `meta.json`, versions 1 and 2, and of the description of a streamed scene.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files::malformed;
use super::streamed::Streamed;
use crate::Result;
use crate::files::json;

/// Version 1, which has no version number. Every texture has ranges.
#[derive(Deserialize)]
pub(super) struct V1 {
    pub(super) means: Ranges1,
    pub(super) scales: Ranges1,
    pub(super) quats: Names,
    pub(super) sh0: Ranges1,
    #[serde(rename = "shN")]
    pub(super) sh_n: Option<Harmonics1>,
}

#[derive(Deserialize)]
pub(super) struct Ranges1 {
    /// Only the shape of `means` is used: its first number is the number of Gaussians.
    #[serde(default)]
    pub(super) shape: Vec<u64>,
    pub(super) mins: Vec<f64>,
    pub(super) maxs: Vec<f64>,
    pub(super) files: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct Harmonics1 {
    pub(super) mins: f64,
    pub(super) maxs: f64,
    pub(super) files: Vec<String>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct V2 {
    pub(super) version: u32,
    #[serde(default, skip_deserializing)]
    pub(super) asset: Asset,
    pub(super) count: u64,
    pub(super) means: Ranges2,
    pub(super) scales: Codebook,
    pub(super) quats: Names,
    pub(super) sh0: Codebook,
    #[serde(rename = "shN", skip_serializing_if = "Option::is_none")]
    pub(super) sh_n: Option<Harmonics2>,
}

#[derive(Serialize, Default)]
pub(super) struct Asset {
    pub(super) generator: String,
}

impl Asset {
    pub(super) fn ours() -> Self {
        Self { generator: concat!("Splatwright ", env!("CARGO_PKG_VERSION")).into() }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Ranges2 {
    pub(super) mins: Vec<f64>,
    pub(super) maxs: Vec<f64>,
    pub(super) files: Vec<String>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Codebook {
    pub(super) codebook: Vec<f32>,
    pub(super) files: Vec<String>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Names {
    pub(super) files: Vec<String>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Harmonics2 {
    /// The number of entries in the palette.
    pub(super) count: u64,
    /// The SH degree, 1 to 3.
    pub(super) bands: u32,
    pub(super) codebook: Vec<f32>,
    /// The palette, then the labels, i.e. the index into the palette per Gaussian.
    pub(super) files: Vec<String>,
}

pub(super) enum Meta {
    V1(V1),
    V2(V2),
    Streamed(Streamed),
}

pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Meta> {
    #[derive(Deserialize)]
    struct Version {
        version: Option<u64>,
        #[serde(rename = "lodLevels")]
        levels: Option<serde_json::Value>,
    }
    const WHAT: &str = "SOG description";
    let Version { version, levels } = json::parse(path, bytes, WHAT)?;
    if levels.is_some() {
        return json::parse(path, bytes, WHAT).map(Meta::Streamed);
    }
    match version {
        None => json::parse(path, bytes, WHAT).map(Meta::V1),
        Some(2) => json::parse(path, bytes, WHAT).map(Meta::V2),
        Some(v) => {
            Err(malformed(path, format!("SOG version {v}, expected 2, or no version number for version 1")))
        }
    }
}
