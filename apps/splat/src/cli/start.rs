//! What `--init FILE` begins with: a scene of Gaussians, or the points of a laser scan or of photogrammetry.
//!
//! Both have world coordinates, in 64 bits where the file has them, and are moved to the origin of the dataset, whose cameras must
//! have the same. Colours of LAS are 16 bits by its specification, and 8 bits in files of some programs; both are understood.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, Result};
use clap::ValueEnum as _;
use splat_scene::{Dataset, Error, Gaussians, Point, ply};
use splat_train::{Config, PointSource};

use super::scene;
use super::settings::InitName;
use super::{Hinted, say};

/// Points that are kept of a larger LAS file, evenly spread over it: far more than any training starts from.
const MOST: u64 = 20_000_000;
/// Points that are decoded at once.
const PIECE: u64 = 1 << 18;

/// A way to find first points, or a file to begin with.
#[derive(Debug, Clone)]
pub(crate) enum InitArg {
    Named(InitName),
    File(PathBuf),
}

impl FromStr for InitArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(name) = InitName::from_str(text, false) {
            return Ok(Self::Named(name));
        }
        if Path::new(text).exists() {
            return Ok(Self::File(text.into()));
        }
        Err("this is neither a file nor one of auto, points, sweep, hull and random".into())
    }
}

/// Begins with the file `path`: points replace those of `dataset`, and Gaussians are returned, with the SH degree of `config`.
pub(crate) fn apply(path: &Path, dataset: &mut Dataset, config: &mut Config) -> Result<Option<Gaussians>> {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let points = if matches!(ending.as_str(), "las" | "laz") {
        las(path)?
    } else {
        match scene::file_of(path).and_then(|file| scene::read(&file)) {
            Ok(mut gaussians) => {
                with_degree(&mut gaussians, config.sh_degree);
                gaussians.repair().with_context(|| path.display().to_string())?;
                return Ok(Some(gaussians));
            }
            Err(error) if matches!(error.downcast_ref(), Some(Error::NotGaussians { .. })) => {
                ply::read_world_points(path)?
            }
            Err(error) => return Err(error),
        }
    };
    let origin = dataset.origin;
    dataset.points =
        points.into_iter().map(|(p, color)| Point { position: origin.to_local(p), color }).collect();
    if dataset.points.is_empty() {
        return Err(Hinted::error(
            format!("{}: there are no points in it", path.display()),
            "leave out --init, and points are found",
        ));
    }
    config.init = PointSource::Points;
    Ok(None)
}

/// Drops spherical harmonics above `degree`, or adds zeros up to it.
fn with_degree(gaussians: &mut Gaussians, degree: u32) {
    gaussians.reduce_sh_degree(degree);
    let (have, want) = (3 * gaussians.coeffs, 3 * (degree as usize + 1).pow(2));
    if have < want {
        let zeros = vec![0.0; want - have];
        gaussians.sh =
            gaussians.sh.chunks_exact(have).flat_map(|c| c.iter().chain(&zeros)).copied().collect();
        gaussians.coeffs = want / 3;
    }
}

/// The points of a LAS or LAZ file; grey by intensity where it has no colours.
fn las(path: &Path) -> Result<Vec<ply::WorldPoint>> {
    let bad = || format!("cannot read {}", path.display());
    let mut reader = las::Reader::from_path(path).with_context(bad)?;
    let step = reader.header().number_of_points().div_ceil(MOST).max(1);
    let mut raw: Vec<([f64; 3], [u16; 3])> = Vec::new();
    let mut seen = 0;
    loop {
        let piece = reader.read_points(PIECE).with_context(bad)?;
        if piece.is_empty() {
            break;
        }
        for point in piece.points() {
            let point = point.with_context(bad)?;
            if seen % step == 0 {
                let color = point.color.map_or([point.intensity; 3], |c| [c.red, c.green, c.blue]);
                raw.push(([point.x, point.y, point.z], color));
            }
            seen += 1;
        }
    }
    if step > 1 {
        say::note(&format!("{}: every {step}th point is used", path.display()));
    }
    let eight = raw.iter().flat_map(|(_, color)| color).all(|&c| c < 256);
    let byte = |c: u16| (if eight { c } else { c >> 8 }) as u8;
    Ok(raw.into_iter().map(|(position, color)| (position, color.map(byte))).collect())
}

#[cfg(test)]
mod tests {
    use splat_scene::Origin;

    use super::*;

    #[test]
    fn degrees_are_cut_and_filled() {
        let mut g = Gaussians { coeffs: 1, sh: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], ..Gaussians::default() };
        with_degree(&mut g, 1);
        assert_eq!(
            (g.coeffs, g.sh.len(), &g.sh[..4], &g.sh[12..15]),
            (4, 24, &[1.0, 2.0, 3.0, 0.0][..], &[4.0, 5.0, 6.0][..])
        );
        with_degree(&mut g, 0);
        assert_eq!(g.sh, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }

    /// Points in the millions of metres, as LAS and LAZ with 16-bit and 8-bit colours, and as PLY with doubles.
    #[test]
    fn georeferenced_clouds_keep_their_centimetres() {
        let dir = tempfile::tempdir().unwrap();
        let origin = Origin { offset: [691_000.0, 5_334_000.0, 500.0] };
        let local = |i: usize| [0.25 * i as f64, 0.03 * i as f64, -0.01 * i as f64];
        let world = |i: usize| -> [f64; 3] { std::array::from_fn(|k| origin.offset[k] + local(i)[k]) };
        let mut files = Vec::new();
        for (ending, gain) in [("las", 257), ("LAZ", 1)] {
            let path = dir.path().join(format!("cloud.{ending}"));
            let mut builder = las::Builder::from((1, 4));
            builder.point_format = las::point::Format::new(2).unwrap();
            builder.point_format.is_compressed = ending == "LAZ";
            for (axis, offset) in
                [&mut builder.transforms.x, &mut builder.transforms.y, &mut builder.transforms.z]
                    .into_iter()
                    .zip(origin.offset)
            {
                (axis.scale, axis.offset) = (0.001, offset);
            }
            let mut writer = las::Writer::from_path(&path, builder.into_header().unwrap()).unwrap();
            for i in 0..50 {
                let [x, y, z] = world(i);
                let c = i as u16;
                let color = Some(las::Color::new(gain * c, gain * 2 * c, gain * 200));
                writer.write_point(las::Point { x, y, z, color, ..las::Point::default() }).unwrap();
            }
            writer.close().unwrap();
            files.push(path);
        }
        let mut text = "ply\nformat ascii 1.0\nelement vertex 50\nproperty double x\nproperty double y\nproperty double z\n\
                        property uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n"
            .to_owned();
        for i in 0..50 {
            let [x, y, z] = world(i);
            text += &format!("{x} {y} {z} {i} {} 200\n", 2 * i);
        }
        let path = dir.path().join("cloud.ply");
        fs_err::write(&path, text).unwrap();
        files.push(path);
        for path in files {
            let mut dataset = Dataset { origin, ..Dataset::default() };
            let mut config = Config::default();
            assert!(apply(&path, &mut dataset, &mut config).unwrap().is_none());
            assert_eq!((dataset.points.len(), config.init), (50, PointSource::Points), "{}", path.display());
            for (i, point) in dataset.points.iter().enumerate() {
                assert_eq!(point.color, [i as u8, 2 * i as u8, 200], "{}", path.display());
                let off =
                    (0..3).map(|k| (f64::from(point.position[k]) - local(i)[k]).abs()).fold(0.0, f64::max);
                assert!(off < 1e-3, "{}: {off}", path.display());
            }
        }
        fs_err::write(dir.path().join("no.las"), b"LASF but not more").unwrap();
        let (mut dataset, mut config) = (Dataset::default(), Config::default());
        let error = apply(&dir.path().join("no.las"), &mut dataset, &mut config).unwrap_err();
        assert!(error.to_string().contains("no.las"), "{error}");
    }
}
