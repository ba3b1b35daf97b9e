//! JSON files of other programs, read into structs. What the values mean is up to the formats.

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::{Error, Place, Result};

/// Parses `json`; an error names the file `path`, the line, and that it is not a `what`.
pub(crate) fn parse<T: DeserializeOwned>(path: &Path, json: &[u8], what: &str) -> Result<T> {
    // Editors on Windows put a byte order mark in front.
    let json = json.strip_prefix("\u{feff}".as_bytes()).unwrap_or(json);
    serde_json::from_slice(json).map_err(|e| Error::Malformed {
        path: path.into(),
        place: Place::Line(e.line() as u64),
        message: format!("this is not a {what}: {e}"),
    })
}
