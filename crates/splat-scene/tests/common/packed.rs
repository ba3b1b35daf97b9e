//! Small files of every format of Gaussians, and what opens and closes their containers.
#![allow(dead_code, reason = "each test file takes what it needs")]

use std::io::{Cursor, Read, Write};
use std::path::Path;
use std::sync::OnceLock;

use super::scene;
use splat_scene::spz::Version;
use splat_scene::{GaussianFormat, Gaussians, Result, compressed_ply, gltf, ply, sog, splat_file, spz};

/// The path that errors must name.
pub(crate) const PATH: &str = "some/scene";

fn path() -> &'static Path {
    Path::new(PATH)
}

/// The bytes of a small scene in every format that is one file.
pub(crate) fn files() -> Vec<(GaussianFormat, Vec<u8>)> {
    static FILES: OnceLock<Vec<(GaussianFormat, Vec<u8>)>> = OnceLock::new();
    let formats = [
        GaussianFormat::Ply,
        GaussianFormat::CompressedPly,
        GaussianFormat::Splat,
        GaussianFormat::Spz(Version::V3),
        GaussianFormat::Spz(Version::V4),
        GaussianFormat::Sog,
        GaussianFormat::Gltf,
    ];
    let make = || {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scene");
        let bytes = |format| {
            scene(20, 4).write_as(&path, format, &mut |_, _| {}).unwrap();
            (format, std::fs::read(&path).unwrap())
        };
        formats.map(bytes).into()
    };
    FILES.get_or_init(make).clone()
}

pub(crate) fn parse(format: GaussianFormat, data: &[u8]) -> Result<Gaussians> {
    match format {
        GaussianFormat::Ply => ply::parse_gaussians(path(), data, data.len() as u64),
        GaussianFormat::CompressedPly => compressed_ply::parse(path(), data),
        GaussianFormat::Splat => splat_file::parse(path(), data),
        GaussianFormat::Spz(_) => spz::parse(path(), data),
        GaussianFormat::Sog | GaussianFormat::SogFolder => sog::parse_bundle(path(), data.to_vec()),
        GaussianFormat::Gltf => gltf::parse(path(), data),
        other => panic!("{other} has no hostile files yet"),
    }
}

/// The entries of a zip.
pub(crate) fn unzip(data: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(Cursor::new(data)).unwrap();
    (0..archive.len())
        .map(|i| {
            let mut entry = archive.by_index(i).unwrap();
            let mut data = Vec::new();
            entry.read_to_end(&mut data).unwrap();
            (entry.name().unwrap().into_owned(), data)
        })
        .collect()
}

pub(crate) fn zip(entries: &[(String, Vec<u8>)], method: zip::CompressionMethod) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    for (name, data) in entries {
        zip.start_file(name.as_str(), options).unwrap();
        zip.write_all(data).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

pub(crate) fn gunzip(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(data).read_to_end(&mut out).unwrap();
    out
}

pub(crate) fn gzip(data: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(data).unwrap();
    gzip.finish().unwrap()
}

#[track_caller]
pub(crate) fn refused(format: GaussianFormat, data: &[u8], words: &[&str]) {
    let e = parse(format, data).expect_err("refused").to_string();
    assert!(words.iter().all(|w| e.contains(w)) && e.contains("some/scene"), "{e}");
}
