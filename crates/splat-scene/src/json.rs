//! JSON files of other programs, read into structs of ours. What the numbers mean is the formats' own business.

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::{Error, Place, Result};

/// The `T` in `json`; an error says that `path` holds no `what`, and in which line.
pub(crate) fn parse<T: DeserializeOwned>(path: &Path, json: &[u8], what: &str) -> Result<T> {
    // Editors on Windows put a mark of the byte order in front.
    let json = json.strip_prefix("\u{feff}".as_bytes()).unwrap_or(json);
    serde_json::from_slice(json).map_err(|e| Error::Malformed {
        path: path.into(),
        place: Place::Line(e.line() as u64),
        message: format!("no {what}: {e}"),
    })
}
