//! COLMAP's text files: pure functions of the text. `path` is only used to name the file in errors.
//!
//! Lines that begin with `#` are comments. In `images.txt` each image has two lines; the second one lists its
//! observations and may be blank. Some exporters leave it out, so a line that begins a next image is not taken for
//! observations.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use super::{Camera, CameraModel, Image, Point3d, Tracks, camera, pose};
use crate::{Error, Place, Result};

/// The rest of a line, to be split at white space, and its number.
struct Fields<'a> {
    path: &'a Path,
    line: usize,
    rest: &'a str,
}

impl<'a> Fields<'a> {
    fn text(&mut self, what: &str) -> Result<&'a str> {
        let s = self.rest.trim_start();
        let end = s.find(char::is_whitespace).unwrap_or(s.len());
        if end == 0 {
            return Err(self.malformed(format!("the line ends where {what} should be")));
        }
        self.rest = &s[end..];
        Ok(&s[..end])
    }

    fn number<T: FromStr>(&mut self, what: &str) -> Result<T> {
        let text = self.text(what)?;
        text.parse().map_err(|_| self.malformed(format!("{what} is {text:?}, expected a number")))
    }

    fn numbers<T: FromStr + Copy + Default, const N: usize>(&mut self, what: &str) -> Result<[T; N]> {
        let mut out = [T::default(); N];
        for x in &mut out {
            *x = self.number(what)?;
        }
        Ok(out)
    }

    /// Whether the line begins an image rather than listing observations: it has the numbers of a pose, and is not a
    /// list of triples.
    fn begins_image(&self) -> bool {
        let mut words = self.rest.split_whitespace();
        let is = |word: Option<&str>, whole: bool| {
            word.is_some_and(|w| w.parse::<u32>().is_ok() || !whole && w.parse::<f64>().is_ok())
        };
        let pose =
            is(words.next(), true) && (0..7).all(|_| is(words.next(), false)) && is(words.next(), true);
        let name: Vec<&str> = words.collect();
        pose && !name.is_empty()
            && (!name.len().is_multiple_of(3) || name.iter().any(|w| w.parse::<f64>().is_err()))
    }

    /// A number that programs may have written as NaN, in the ways of their C libraries.
    fn reals<const N: usize>(&mut self, what: &str) -> Result<[f64; N]> {
        let mut out = [f64::NAN; N];
        for x in &mut out {
            let text = self.text(what)?;
            let bare = text.trim_start_matches('-').to_ascii_lowercase();
            let not_a_number = bare.starts_with("nan") || bare.starts_with("1.#");
            match text.parse() {
                Ok(number) => *x = number,
                Err(_) if not_a_number => {}
                Err(_) => return Err(self.malformed(format!("{what} is {text:?}, expected a number"))),
            }
        }
        Ok(out)
    }

    fn is_empty(&self) -> bool {
        self.rest.trim().is_empty()
    }

    fn malformed(&self, message: impl Into<String>) -> Error {
        Error::Malformed {
            path: self.path.into(),
            place: Place::Line(self.line as u64),
            message: message.into(),
        }
    }
}

fn lines<'a>(path: &'a Path, text: &'a str) -> impl Iterator<Item = Fields<'a>> {
    // Editors on Windows put a byte order mark in front.
    text.trim_start_matches('\u{feff}')
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.starts_with('#'))
        .map(move |(i, rest)| Fields { path, line: i + 1, rest })
}

/// Parses `cameras.txt`: per line id, model name, width, height and the parameters of the model.
///
/// # Errors
/// A missing or impossible number, two cameras with the same id, an unknown camera model.
pub fn parse_cameras_text(path: &Path, text: &str) -> Result<BTreeMap<u32, Camera>> {
    let mut cameras = BTreeMap::new();
    for mut f in lines(path, text).filter(|f| !f.is_empty()) {
        let id: u32 = f.number("the camera's id")?;
        let model = f.text("the camera's model")?;
        let (width, height) = (f.number("the camera's width")?, f.number("the camera's height")?);
        let Some(model) = CameraModel::by_name(model) else {
            let (camera, model) = (format!("camera {id}"), model.to_owned());
            return Err(Error::CameraModel { path: path.into(), camera, model });
        };
        let what = format!("one of {} intrinsics", model.numbers());
        let numbers = (0..model.numbers()).map(|_| f.number(&what)).collect::<Result<Vec<f64>>>()?;
        let camera =
            camera(width, height, model, &numbers).map_err(|m| f.malformed(format!("camera {id}: {m}")))?;
        if cameras.insert(id, camera).is_some() {
            return Err(f.malformed(format!("camera {id} appears twice")));
        }
    }
    Ok(cameras)
}

/// Parses `images.txt`: per image a line with id, quaternion wxyz, translation, camera id and name, then a line of
/// `x y point-id` triples.
///
/// # Errors
/// A missing or impossible number, or observations that are not triples.
pub fn parse_images_text(path: &Path, text: &str, tracks: Tracks) -> Result<Vec<Image>> {
    let mut images = Vec::new();
    let mut lines = lines(path, text).peekable();
    while let Some(mut f) = lines.next() {
        if f.is_empty() {
            continue;
        }
        let id: u32 = f.number("the image's id")?;
        let q = f.reals("one of 4 quaternion numbers")?;
        let t = f.reals("one of 3 translation numbers")?;
        let (rotation, translation) = pose(q, t);
        let camera = f.number("the image's camera")?;
        // Names may contain spaces: the name is the rest of the line.
        let name = f.rest.trim().to_owned();
        if name.is_empty() {
            return Err(f.malformed(format!("image {id} has no name")));
        }
        let mut observations = Vec::new();
        if let Some(mut f) = lines.next_if(|f| !f.begins_image()) {
            while !f.is_empty() {
                let [x, y] = f.numbers("an observation's x or y")?;
                let point: i64 = f.number("an observation's point id")?;
                if tracks == Tracks::Keep {
                    observations.push((x, y, point));
                }
            }
        }
        images.push(Image { id, rotation, translation, camera, name, observations });
    }
    Ok(images)
}

/// Parses `points3D.txt`: per line id, position, RGB, error, then the pairs of the track.
///
/// # Errors
/// A missing or impossible number.
pub fn parse_points_text(path: &Path, text: &str, tracks: Tracks) -> Result<Vec<Point3d>> {
    let mut points = Vec::new();
    for mut f in lines(path, text).filter(|f| !f.is_empty()) {
        let id = f.number("the point's id")?;
        let position = f.reals("one of 3 coordinates")?;
        let color = f.numbers("one of 3 colours (0 to 255)")?;
        let _error: f64 = f.number("the point's error")?;
        let mut track = Vec::new();
        while !f.is_empty() {
            let [image, observation] = f.numbers("a track's image id or observation index")?;
            if tracks == Tracks::Keep {
                track.push((image, observation));
            }
        }
        points.push(Point3d { id, position, color, track });
    }
    Ok(points)
}
