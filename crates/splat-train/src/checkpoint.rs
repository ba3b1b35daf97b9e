//! The state of a run between two steps in one safetensors file: parameters, moments, the strategy's state, the order of
//! views, and everything reported so far. It is restored bit for bit.
//!
//! The file is replaced atomically, so that a run that is killed while it saves keeps its last checkpoint.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::gaussians::to_host;
use crate::parts::Part;
use crate::{Config, Error, Gaussians, Outcome, PARAMETERS, Result};

/// The version of the file's layout.
const FORMAT: u32 = 1;
/// The key of the [`Header`] in the file's metadata.
const KEY: &str = "splatwright";

/// Everything in a checkpoint that is not a tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the file's layout.
    pub format: u32,
    /// Version of this crate when the file was written.
    pub version: String,
    /// [`splat_scene::Dataset::fingerprint`].
    pub dataset: String,
    /// The settings.
    pub config: Config,
    /// The name of the engine that rendered.
    pub engine: String,
    /// Steps done.
    pub steps: u64,
    /// Views that are still to come in this round, [`Order::state`](crate::Order::state).
    pub coming: Vec<usize>,
    /// State of the generator that orders the views.
    pub rng: u64,
    /// Everything reported so far.
    pub outcome: Outcome,
    /// Where the local coordinates of the Gaussians lie in the world.
    #[serde(default)]
    pub origin: splat_scene::Origin,
    /// The files beside this one that have the rows, if the ranks of a group wrote them side by side. Whoever reads the
    /// checkpoint gets the whole, without parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<String>,
    /// [`RunOptions::note`](crate::RunOptions::note).
    #[serde(default)]
    pub note: serde_json::Value,
}

/// A checkpoint in memory, on the host.
#[derive(Debug)]
pub struct Checkpoint {
    /// Everything that is not a tensor.
    pub header: Header,
    pub(crate) tensors: Vec<Values>,
    /// In a group, the part of it that this rank writes.
    pub(crate) part: Option<Part>,
}

/// A tensor on the host: name, shape and numbers.
pub(crate) type Values = (String, Vec<usize>, Vec<f32>);

impl Header {
    /// A header of this version of the crate, before the first step. `dataset` is the fingerprint of the dataset, `engine` the
    /// name of the engine.
    #[must_use]
    pub fn new(dataset: impl Into<String>, config: Config, engine: impl Into<String>) -> Self {
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").into(),
            dataset: dataset.into(),
            config,
            engine: engine.into(),
            steps: 0,
            coming: Vec::new(),
            rng: 0,
            outcome: Outcome::default(),
            origin: splat_scene::Origin::default(),
            parts: Vec::new(),
            note: serde_json::Value::Null,
        }
    }
}

impl Checkpoint {
    /// A checkpoint of copies of `tensors` (`Float`) by name; waits for the device.
    ///
    /// # Errors
    /// What torch reports, for example for tensors of another kind.
    pub fn new<'a>(header: Header, tensors: impl IntoIterator<Item = (String, &'a Tensor)>) -> Result<Self> {
        let mut copies = Vec::new();
        for (name, t) in tensors {
            let shape = t.size().iter().map(|&n| n as usize).collect();
            copies.push((name, shape, to_host(t)?));
        }
        Ok(Self { header, tensors: copies, part: None })
    }

    /// Whether the checkpoint has a tensor `name`.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.tensors.iter().any(|(n, _, _)| n == name)
    }

    /// The tensor `name`, copied to `device`.
    ///
    /// # Errors
    /// [`Error::Settings`] if there is none; out of device memory.
    pub fn tensor(&self, name: &str, device: Device) -> Result<Tensor> {
        let Some((_, shape, values)) = self.tensors.iter().find(|(n, _, _)| n == name) else {
            return Err(Error::Settings(format!("the checkpoint has no tensor `{name}`")));
        };
        let shape: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
        let t = Tensor::f_zeros(shape.as_slice(), (Kind::Float, Device::Cpu))?;
        if !values.is_empty() {
            t.f_view([-1])?.f_copy_(&Tensor::f_from_slice(values)?)?;
        }
        Ok(t.f_to_device(device)?)
    }

    /// The parameters, `gaussians/` and a name of [`PARAMETERS`] each, copied to `device`.
    ///
    /// # Errors
    /// As [`Checkpoint::tensor`].
    pub fn gaussians(&self, device: Device) -> Result<Gaussians> {
        let mut found = Vec::with_capacity(6);
        for name in PARAMETERS {
            found.push(self.tensor(&format!("gaussians/{name}"), device)?);
        }
        let gaussians = Gaussians::leaves(found.try_into().expect("six names"))?;
        Ok(Gaussians { origin: self.header.origin, ..gaussians })
    }

    /// Writes the file. If that fails, an existing file is unchanged. On a rank of a group, writes the rank's part beside it, and
    /// on rank 0 the file when all parts are there.
    ///
    /// # Errors
    /// [`Error::Scene`] if the file cannot be written, for example because the disk is full; [`Error::Checkpoint`] if another
    /// rank's part does not appear.
    pub fn write(&self, path: &Path) -> Result<()> {
        match &self.part {
            Some(part) => self.write_part(path, part)?,
            None => Self::write_tensors(path, &self.header, &self.tensors)?,
        }
        if self.part.as_ref().is_none_or(|part| part.rank == 0) {
            self.remove_other_parts(path);
        }
        Ok(())
    }

    pub(crate) fn write_tensors(path: &Path, header: &Header, tensors: &[Values]) -> Result<()> {
        let broken = |e: &dyn std::fmt::Display| Error::Settings(format!("checkpoint: {e}"));
        let header = serde_json::to_string(header).map_err(|e| broken(&e))?;
        let mut views = Vec::with_capacity(tensors.len());
        for (name, shape, values) in tensors {
            let bytes = bytemuck::cast_slice(values);
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(|e| broken(&e))?;
            views.push((name.as_str(), view));
        }
        let metadata = HashMap::from([(KEY.to_owned(), header)]);
        let bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| broken(&e))?;
        splat_scene::write_atomically(path, |out| out.write_all(&bytes))?;
        Ok(())
    }

    /// Reads the file, and the parts that it names.
    ///
    /// # Errors
    /// [`Error::Scene`] if the file cannot be read; [`Error::Checkpoint`] if it or a part is damaged, not a checkpoint, or of
    /// another layout.
    pub fn read(path: &Path) -> Result<Self> {
        let read = Self::read_one(path)?;
        if read.header.parts.is_empty() { Ok(read) } else { read.with_parts(path) }
    }

    /// Reads one file.
    pub(crate) fn read_one(path: &Path) -> Result<Self> {
        let bytes = splat_scene::read_file(path)?;
        let broken = |message: String| Error::Checkpoint { path: path.into(), message };
        let damaged =
            |e: safetensors::SafeTensorError| broken(format!("not a complete safetensors file: {e}"));
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
        let Some(text) = metadata.metadata().as_ref().and_then(|m| m.get(KEY)) else {
            return Err(broken("a safetensors file, but not a checkpoint of this program".into()));
        };
        // The layout's version first: another layout may have other fields.
        let value: serde_json::Value = serde_json::from_str(text).map_err(|e| broken(e.to_string()))?;
        let format = value["format"].as_u64();
        if format != Some(u64::from(FORMAT)) {
            return Err(broken(format!(
                "its format is {} (written by version {}), but this program (version {}) reads format {FORMAT}",
                format.map_or("unknown".into(), |f| f.to_string()),
                value["version"].as_str().unwrap_or("unknown"),
                env!("CARGO_PKG_VERSION"),
            )));
        }
        let header: Header = serde_json::from_value(value).map_err(|e| broken(e.to_string()))?;
        let file = SafeTensors::deserialize(&bytes).map_err(damaged)?;
        let mut tensors = Vec::new();
        for (name, view) in file.tensors() {
            if view.dtype() != Dtype::F32 {
                return Err(broken(format!("`{name}` is {:?}, expected F32", view.dtype())));
            }
            let (chunks, _) = view.data().as_chunks::<4>();
            let values = chunks.iter().map(|b| f32::from_le_bytes(*b)).collect();
            tensors.push((name, view.shape().to_vec(), values));
        }
        Ok(Self { header, tensors, part: None })
    }
}

/// The checkpoint of a run in the folder `folder`.
#[must_use]
pub fn checkpoint_path(folder: &Path) -> PathBuf {
    folder.join("checkpoint.safetensors")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        let header = Header {
            steps: 300,
            coming: vec![4, 1],
            rng: u64::MAX - 5,
            ..Header::new("abc", Config::default(), "cpu")
        };
        let t = Tensor::from_slice(&[1.5f32, -0.0, f32::MIN_POSITIVE, 3e-39]).view([2, 1, 2]);
        let empty = Tensor::zeros([2, 0, 3], (Kind::Float, Device::Cpu));
        Checkpoint::new(header, [("a/b".to_owned(), &t), ("empty".to_owned(), &empty)]).unwrap()
    }

    #[test]
    fn checkpoints_are_restored_bit_for_bit() {
        let dir = tempfile::tempdir().unwrap();
        let path = checkpoint_path(dir.path());
        let written = checkpoint();
        written.write(&path).unwrap();
        let read = Checkpoint::read(&path).unwrap();
        assert_eq!(read.header, written.header);
        let bits = |c: &Checkpoint| -> Vec<u32> {
            to_host(&c.tensor("a/b", Device::Cpu).unwrap()).unwrap().iter().map(|x| x.to_bits()).collect()
        };
        assert_eq!(bits(&read), bits(&written));
        assert_eq!(read.tensor("a/b", Device::Cpu).unwrap().size(), [2, 1, 2]);
        assert_eq!(read.tensor("empty", Device::Cpu).unwrap().size(), [2, 0, 3]);
        assert!(read.tensor("c", Device::Cpu).is_err());
    }

    /// Files that are cut off, of another layout or of another program are refused, and the error names the file.
    #[test]
    fn damaged_and_foreign_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = checkpoint_path(dir.path());
        checkpoint().write(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let refused = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let text = Checkpoint::read(&path).expect_err("refused").to_string();
            assert!(text.contains("checkpoint.safetensors"), "{text}");
            text
        };
        for cut in [0, 3, 8, 100, whole.len() / 2, whole.len() - 1] {
            refused(&whole[..cut]);
        }
        let mark = b"\\\"format\\\":";
        let place = whole.windows(mark.len()).position(|w| w == mark).expect("the header is JSON in JSON");
        let at = place + mark.len();
        let mut other = whole.clone();
        other[at] = b'7';
        let message = refused(&other);
        assert!(message.contains("format is 7") && message.contains("reads format 1"), "{message}");
        let foreign = safetensors::serialize(Vec::<(String, TensorView<'_>)>::new(), None).unwrap();
        assert!(refused(&foreign).contains("not a checkpoint of this program"));
    }
}
