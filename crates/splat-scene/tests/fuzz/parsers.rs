//! Every parser that takes bytes, with sound files for it.

use std::path::Path;

use splat_scene::spz::Version;
use splat_scene::{GaussianFormat, cameras_json, colmap, ply};

use crate::common::packed::{files, gunzip, gzip, parse, unzip, zip};
use crate::common::ply_file::PlyFile;
use crate::common::scene;
use crate::damage::{Rng, damage};

/// What an error must name.
pub(crate) const PATH: &str = crate::common::packed::PATH;

type Repack = fn(&[u8], &mut Rng) -> Vec<u8>;
type Parse = dyn Fn(&[u8]) -> Result<(), String>;
/// The name of a file of a dataset, its sound contents, and its parser.
type DatasetFile = (&'static str, Vec<u8>, fn(&Path, &[u8]) -> splat_scene::Result<()>);

pub(crate) struct Parser {
    pub(crate) name: String,
    sound: Vec<u8>,
    text: bool,
    /// Whether a case takes long.
    pub(crate) slow: bool,
    /// What is inside of a packed file, and the way back.
    repack: Option<Repack>,
    /// Checks what it returns; the error is a text.
    pub(crate) parse: Box<Parse>,
}

impl Parser {
    fn new(
        name: impl Into<String>,
        sound: Vec<u8>,
        text: bool,
        parse: impl Fn(&[u8]) -> Result<(), String> + 'static,
    ) -> Self {
        let parser =
            Self { name: name.into(), sound, text, slow: false, repack: None, parse: Box::new(parse) };
        assert_eq!((parser.parse)(&parser.sound), Ok(()), "{}", parser.name);
        parser
    }

    pub(crate) fn damaged(&self, rng: &mut Rng) -> Vec<u8> {
        if let Some(repack) = self.repack.filter(|_| rng.below(2) == 0) {
            return repack(&self.sound, rng);
        }
        let mut bytes = self.sound.clone();
        damage(&mut bytes, self.text, rng);
        bytes
    }
}

fn gaussians(format: GaussianFormat) -> impl Fn(&[u8]) -> Result<(), String> {
    move |data| {
        let g = parse(format, data).map_err(|e| e.to_string())?;
        g.check_lengths().unwrap();
        assert!(format == GaussianFormat::Ply || g.check().is_ok(), "{format}: numbers are finite");
        Ok(())
    }
}

fn inside_gzip(sound: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut payload = gunzip(sound);
    damage(&mut payload, false, rng);
    gzip(&payload)
}

fn inside_zip(sound: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut entries = unzip(sound);
    let k = rng.below(entries.len());
    let text = entries[k].0.ends_with(".json");
    damage(&mut entries[k].1, text, rng);
    zip(&entries, ::zip::CompressionMethod::Stored)
}

pub(crate) fn all() -> Vec<Parser> {
    let path = Path::new(PATH);
    let mut all: Vec<Parser> = Vec::new();
    for (format, sound) in files() {
        // The numbers in a header count as text.
        let text = matches!(format, GaussianFormat::Ply | GaussianFormat::CompressedPly);
        let mut parser = Parser::new(format.to_string(), sound, text, gaussians(format));
        match format {
            GaussianFormat::Spz(Version::V3) => parser.repack = Some(inside_gzip),
            GaussianFormat::Sog => {
                parser.repack = Some(inside_zip);
                parser.slow = true;
            }
            _ => {}
        }
        all.push(parser);
    }
    let g = scene(5, 4);
    for format in ["ascii", "binary_big_endian"] {
        let file = PlyFile { format, ..PlyFile::of(&g) }.bytes();
        let text = format == "ascii";
        all.push(Parser::new(format!("PLY, {format}"), file.clone(), text, gaussians(GaussianFormat::Ply)));
        all.push(Parser::new(format!("points, {format}"), file, text, move |data| {
            ply::parse_points(path, data, data.len() as u64).map(drop).map_err(|e| e.to_string())
        }));
    }
    let mut dataset_parsers: Vec<DatasetFile> = Vec::new();
    let dir = tempfile::tempdir().unwrap();
    let sets = crate::datasets::datasets(dir.path());
    let sound = |set: usize, name: &str| std::fs::read(sets[set].1.join("sparse/0").join(name)).unwrap();
    dataset_parsers
        .push(("cameras.bin", sound(1, "cameras.bin"), |p, d| colmap::parse_cameras(p, d).map(drop)));
    dataset_parsers.push(("images.bin", sound(1, "images.bin"), |p, d| {
        colmap::parse_images(p, d, colmap::Tracks::Sample)?;
        colmap::parse_images(p, d, colmap::Tracks::Keep).map(drop)
    }));
    dataset_parsers.push(("points3D.bin", sound(1, "points3D.bin"), |p, d| {
        colmap::parse_points(p, d, colmap::Tracks::Keep).map(drop)
    }));
    fn text(data: &[u8]) -> String {
        String::from_utf8_lossy(data).into_owned()
    }
    dataset_parsers.push(("cameras.txt", sound(0, "cameras.txt"), |_, d| {
        drop(colmap::parse_cameras_text(&text(d)));
        Ok(())
    }));
    dataset_parsers.push(("images.txt", sound(0, "images.txt"), |_, d| {
        drop(colmap::parse_images_text(&text(d), colmap::Tracks::Keep));
        drop(colmap::parse_images_text(&text(d), colmap::Tracks::Sample));
        Ok(())
    }));
    dataset_parsers.push(("points3D.txt", sound(0, "points3D.txt"), |_, d| {
        drop(colmap::parse_points_text(&text(d), colmap::Tracks::Keep));
        Ok(())
    }));
    let cameras = br#"[{"id":0,"img_name":"a","width":24,"height":16,"position":[0,0,1],
        "rotation":[[1,0,0],[0,1,0],[0,0,1]],"fx":20.5,"fy":20}]"#;
    dataset_parsers.push(("cameras.json", cameras.to_vec(), |p, d| cameras_json::parse(p, d).map(drop)));
    for (name, sound, parse) in dataset_parsers {
        let is_text = !name.ends_with(".bin");
        let parse = move |data: &[u8]| parse(path, data).map_err(|e| e.to_string());
        all.push(Parser::new(name, sound, is_text, parse));
    }
    all
}
