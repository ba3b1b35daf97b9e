//! The container and the JSON description: the parts that lead to Gaussians, with every index checked where it is used.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde::Deserialize;
use serde_json::Value;

use super::{BIN, File, JSON, MAGIC, malformed};
use crate::files::cursor::Cursor;
use crate::files::{self, json};
use crate::{Error, Result};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    asset: Asset,
    pub(super) scene: Option<usize>,
    #[serde(default)]
    pub(super) scenes: Vec<Scene>,
    #[serde(default)]
    pub(super) nodes: Vec<Node>,
    #[serde(default)]
    pub(super) meshes: Vec<Mesh>,
    #[serde(default)]
    pub(super) accessors: Vec<Accessor>,
    #[serde(default)]
    pub(super) buffer_views: Vec<BufferView>,
    #[serde(default)]
    buffers: Vec<Buffer>,
}

#[derive(Debug, Deserialize)]
struct Asset {
    version: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Scene {
    #[serde(default)]
    pub(super) nodes: Vec<usize>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Node {
    pub(super) mesh: Option<usize>,
    #[serde(default)]
    pub(super) children: Vec<usize>,
    /// Column-major.
    pub(super) matrix: Option<[f64; 16]>,
    pub(super) translation: Option<[f64; 3]>,
    /// Quaternion xyzw.
    pub(super) rotation: Option<[f64; 4]>,
    pub(super) scale: Option<[f64; 3]>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Mesh {
    pub(super) primitives: Vec<Primitive>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Primitive {
    pub(super) attributes: BTreeMap<String, usize>,
    pub(super) mode: Option<u32>,
    #[serde(default)]
    pub(super) extensions: Extensions,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Extensions {
    #[serde(rename = "KHR_gaussian_splatting")]
    pub(super) splats: Option<Splats>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Splats {
    pub(super) kernel: String,
    pub(super) color_space: String,
    #[serde(default)]
    pub(super) extensions: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Accessor {
    pub(super) buffer_view: Option<usize>,
    #[serde(default)]
    pub(super) byte_offset: usize,
    pub(super) component_type: u32,
    #[serde(default)]
    pub(super) normalized: bool,
    pub(super) count: usize,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) sparse: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BufferView {
    pub(super) buffer: usize,
    #[serde(default)]
    pub(super) byte_offset: usize,
    pub(super) byte_length: usize,
    pub(super) byte_stride: Option<usize>,
    #[serde(default)]
    pub(super) extensions: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Buffer {
    uri: Option<String>,
    byte_length: usize,
}

/// Opens the container and the buffers.
pub(super) fn open<'a>(path: &'a Path, data: &'a [u8]) -> Result<File<'a>> {
    let (text, binary) = match data.starts_with(MAGIC) {
        true => chunks(path, data)?,
        false => (data, None),
    };
    let document: Document = json::parse(path, text, "glTF description")?;
    if !document.asset.version.starts_with("2.") {
        return Err(malformed(path, format!("glTF version {:?}, expected 2", document.asset.version)));
    }
    let mut buffers = Vec::new();
    for (i, buffer) in document.buffers.iter().enumerate() {
        let bytes = match (&buffer.uri, binary) {
            (Some(uri), _) => Cow::Owned(outside(path, uri)?),
            (None, Some(binary)) if i == 0 => Cow::Borrowed(binary),
            _ => return Err(malformed(path, format!("buffer {i} is nowhere: it has no URI"))),
        };
        if bytes.len() < buffer.byte_length {
            let left = bytes.len() as u64;
            let expected = format!("buffer {i} ({} bytes)", buffer.byte_length);
            return Err(Error::Truncated { path: path.into(), offset: 0, expected, left });
        }
        buffers.push(bytes);
    }
    Ok(File { path, document, buffers })
}

/// The description and the binary chunk of a `.glb`.
fn chunks<'a>(path: &'a Path, data: &'a [u8]) -> Result<(&'a [u8], Option<&'a [u8]>)> {
    let mut cursor = Cursor::new(path, data);
    cursor.take(4, "the magic number")?;
    let version = cursor.u32("the version")?;
    if version != 2 {
        return Err(malformed(path, format!("a binary glTF of version {version}, expected 2")));
    }
    let length = cursor.u32("the length of the file")? as usize;
    if length > data.len() {
        let left = data.len() as u64;
        let expected = format!("the whole file ({length} bytes)");
        return Err(Error::Truncated { path: path.into(), offset: 0, expected, left });
    }
    let mut chunk = |kind: u32, what: &str| {
        let size = cursor.u32(&format!("the size of the {what}"))? as usize;
        let found = cursor.u32(&format!("the type of the {what}"))?;
        if found != kind {
            return Err(cursor.malformed(format!("a chunk of type {found:#x}, expected the {what}")));
        }
        cursor.take(size, what)
    };
    let text = chunk(JSON, "description")?;
    // Without a buffer there is no second chunk.
    let binary = if length > 20 + text.len() { Some(chunk(BIN, "binary chunk")?) } else { None };
    Ok((text, binary))
}

/// The contents of a buffer in another file.
fn outside(path: &Path, uri: &str) -> Result<Vec<u8>> {
    if uri.starts_with("data:") {
        return Err(Error::NotGaussians {
            path: path.into(),
            found: "a glTF whose buffers are text in the same file (`data:`), which is not read".into(),
            hint: "export it as binary glTF, a file whose name ends in .glb".into(),
        });
    }
    // The name comes from a file, so it must not lead out of the folder.
    let name = Path::new(uri);
    let inside = name.components().all(|c| matches!(c, Component::Normal(_)));
    if uri.is_empty() || !inside || uri.contains(['\\', ':']) {
        return Err(malformed(path, format!("a buffer is in {uri:?}, which is not beside it")));
    }
    files::read(&path.with_file_name(name))
}
