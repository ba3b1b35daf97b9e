//! COLMAP's text files: pure functions of the text.
//!
//! Lines that begin with `#` are comments. In `images.txt` each image has two lines; the second one lists its
//! observations and may be blank. Some exporters leave it out, or put blank lines elsewhere, so what a line is follows from
//! what is in it. A line that cannot be read costs its record and no other.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::{BadCamera, CameraModel, Cameras, Image, Parsed, Point3d, Tracks, camera, insert, pose, sample};

/// The rest of a line, to be split at white space, and its number.
#[derive(Clone)]
struct Fields<'a> {
    line: usize,
    rest: &'a str,
}

impl<'a> Fields<'a> {
    fn text(&mut self, what: &str) -> Result<&'a str, String> {
        let s = self.rest.trim_start();
        let end = s.find(char::is_whitespace).unwrap_or(s.len());
        if end == 0 {
            return Err(format!("the line ends where {what} should be"));
        }
        self.rest = &s[end..];
        Ok(&s[..end])
    }

    fn number<T: FromStr>(&mut self, what: &str) -> Result<T, String> {
        let text = self.text(what)?;
        text.parse().map_err(|_| format!("{what} is {text:?}, expected a number"))
    }

    /// Numbers that programs may have written as NaN.
    fn reals<const N: usize>(&mut self, what: &str) -> Result<[f64; N], String> {
        let mut out = [f64::NAN; N];
        for x in &mut out {
            let text = self.text(what)?;
            *x = real(text).ok_or_else(|| format!("{what} is {text:?}, expected a number"))?;
        }
        Ok(out)
    }

    /// Whether the line has the numbers of an image and is not a list of triples.
    fn begins_image(&self) -> bool {
        let mut words = self.rest.split_whitespace();
        let whole = |word: Option<&str>| word.is_some_and(|w| w.parse::<u32>().is_ok());
        let numbers = whole(words.next())
            && (0..7).all(|_| words.next().and_then(real).is_some())
            && whole(words.next());
        let name: Vec<&str> = words.collect();
        numbers
            && !name.is_empty()
            && (!name.len().is_multiple_of(3) || name.iter().any(|w| real(w).is_none()))
    }

    /// Whether the line lists observations, well or, as the `second` line of an image, badly.
    fn lists_observations(&self, second: bool) -> bool {
        let mut words = self.rest.split_whitespace();
        let ends = words.clone().next_back().and_then(real).is_some();
        ends && (second || words.all(|word| real(word).is_some()))
    }

    fn is_empty(&self) -> bool {
        self.rest.trim().is_empty()
    }

    fn place(&self) -> String {
        format!("line {}", self.line)
    }
}

/// A number, also with the comma of a system in German or the exponent of Fortran; or NaN as the C libraries write it.
fn real(text: &str) -> Option<f64> {
    let bare = || text.trim_start_matches('-').to_ascii_lowercase();
    let otherwise = || {
        let bare = bare();
        if bare.starts_with("nan") || bare.starts_with("1.#") {
            return Some(f64::NAN);
        }
        text.replacen(',', ".", 1).replace(['d', 'D'], "e").parse().ok()
    };
    text.parse().ok().or_else(otherwise)
}

fn lines(text: &str) -> impl Iterator<Item = Fields<'_>> {
    // Editors on Windows put a byte order mark in front, and some on macOS end lines with a carriage return alone.
    let end = if text.contains('\n') { '\n' } else { '\r' };
    text.trim_start_matches('\u{feff}')
        .split(end)
        .enumerate()
        .map(|(i, rest)| Fields { line: i + 1, rest })
        .filter(|f| !f.is_empty() && !f.rest.trim_start().starts_with('#'))
}

/// Parses `cameras.txt`: per line id, model name, width, height and the parameters of the model. A camera that cannot be
/// used is kept as such.
#[must_use]
pub fn parse_cameras_text(text: &str) -> Parsed<Cameras> {
    let (mut cameras, mut left_out) = (BTreeMap::new(), Vec::new());
    for mut f in lines(text) {
        let place = f.place();
        let id: u32 = match f.number("the camera's id") {
            Ok(id) => id,
            Err(message) => {
                left_out.push((place, message));
                continue;
            }
        };
        let mut read = || {
            let model = f.text("the camera's model")?;
            let [width, height] = f.reals("the camera's width or height")?.map(|x: f64| x.round() as u64);
            let Some(model) = CameraModel::by_name(model) else {
                return Ok(Err(BadCamera::Model(model.into())));
            };
            let what = format!("one of {} intrinsics", model.numbers());
            let numbers = (0..model.numbers()).map(|_| Ok(f.reals::<1>(&what)?[0]));
            let numbers = numbers.collect::<Result<Vec<f64>, String>>()?;
            let further = f.rest.split_whitespace().filter(|word| real(word) != Some(0.0)).count();
            if further > 0 {
                return Err(format!(
                    "{further} further numbers after the {} of {}",
                    numbers.len(),
                    model.name
                ));
            }
            Ok(camera(width, height, model, &numbers))
        };
        let found = read().unwrap_or_else(|m: String| Err(BadCamera::Numbers(format!("{place}: {m}"))));
        insert(&mut cameras, id, found);
    }
    Parsed { records: cameras, left_out, warnings: Vec::new() }
}

/// Parses `images.txt`: per image a line with id, quaternion wxyz, translation, camera id and name, then a line of
/// `x y point-id` triples.
#[must_use]
pub fn parse_images_text(text: &str, tracks: Tracks) -> Parsed<Vec<Image>> {
    let (mut images, mut left_out, mut warnings) = (Vec::<Image>::new(), Vec::new(), Vec::new());
    // Whose observations come next, if anybody's.
    let mut observed = None;
    for mut f in lines(text) {
        // What looks like an image may still have a name of nothing but quotation marks.
        let found = if f.begins_image() { image(&mut f.clone()).ok() } else { None };
        if let Some(found) = found {
            observed = Some(images.len());
            images.push(found);
        } else if f.lists_observations(observed.is_some()) {
            let Some(image) = observed.take().filter(|_| tracks != Tracks::Skip) else { continue };
            if tracks == Tracks::Sample {
                images[image].observations = sampled(f.rest);
                continue;
            }
            let place = f.place();
            match observations(&mut f) {
                Ok(list) => images[image].observations = list,
                Err(message) => warnings.push(format!("{place}: {message}: these observations are ignored")),
            }
        } else {
            observed = None;
            let message = image(&mut f.clone()).err().unwrap_or_default();
            // Names may contain spaces: the name is what follows the numbers.
            let name: Vec<&str> = f.rest.split_whitespace().skip(9).collect();
            let name = if name.is_empty() { f.place() } else { name.join(" ") };
            left_out.push((name, format!("{}: {message}", f.place())));
        }
    }
    Parsed { records: images, left_out, warnings }
}

fn image(f: &mut Fields<'_>) -> Result<Image, String> {
    let id: u32 = f.number("the image's id")?;
    let q = f.reals("one of 4 quaternion numbers")?;
    let t = f.reals("one of 3 translation numbers")?;
    let (rotation, translation) = pose(q, t);
    let camera = f.number("the image's camera")?;
    let name = f.rest.trim();
    let quoted = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let name = quoted.unwrap_or(name).to_owned();
    if name.is_empty() {
        return Err(format!("image {id} has no name"));
    }
    Ok(Image { id, rotation, translation, camera, name, observations: Vec::new() })
}

fn observations(f: &mut Fields<'_>) -> Result<Vec<(f64, f64, i64)>, String> {
    let mut list = Vec::new();
    while !f.is_empty() {
        let [x, y] = f.reals("an observation's x or y")?;
        list.push((x, y, f.number("an observation's point id")?));
    }
    Ok(list)
}

/// Some of the observations that name a point. Those that cannot be read are passed over.
fn sampled(line: &str) -> Vec<(f64, f64, i64)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let named: Vec<&[&str]> = words.chunks_exact(3).filter(|words| words[2] != "-1").collect();
    let read = |words: &[&str]| Some((real(words[0])?, real(words[1])?, words[2].parse().ok()?));
    sample(named.into_iter()).filter_map(read).collect()
}

/// Parses `points3D.txt`: per line id, position, RGB, error, then the pairs of the track. Nobody needs the error, which may
/// be missing; a track that cannot be read costs no point.
#[must_use]
pub fn parse_points_text(text: &str, tracks: Tracks) -> Parsed<Vec<Point3d>> {
    let (mut points, mut left_out, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
    for mut f in lines(text) {
        let place = f.place();
        match point(&mut f) {
            Ok(mut point) => {
                match tracks {
                    Tracks::Skip => {}
                    Tracks::Sample => point.track.extend(element(&mut f).ok()),
                    Tracks::Keep => match track(&mut f) {
                        Ok(track) => point.track = track,
                        Err(message) => warnings.push(format!("{place}: {message}: this track is ignored")),
                    },
                }
                points.push(point);
            }
            Err(message) => left_out.push((place, message)),
        }
    }
    Parsed { records: points, left_out, warnings }
}

fn point(f: &mut Fields<'_>) -> Result<Point3d, String> {
    let id = f.number("the point's id")?;
    let position = f.reals("one of 3 coordinates")?;
    let what = "one of 3 colours";
    let color: [f64; 3] = f.reals(what)?;
    if let Some(wrong) = color.iter().find(|c| !(0.0..=255.0).contains(*c)) {
        return Err(format!("{what} is {wrong}, expected 0 to 255"));
    }
    // The error of its reprojection.
    let _ = f.text("");
    Ok(Point3d { id, position, color: color.map(|c| c.round() as u8), track: Vec::new() })
}

fn track(f: &mut Fields<'_>) -> Result<Vec<(u32, u32)>, String> {
    let mut track = Vec::new();
    while !f.is_empty() {
        track.push(element(f)?);
    }
    Ok(track)
}

fn element(f: &mut Fields<'_>) -> Result<(u32, u32), String> {
    let what = "a track's image id or observation index";
    Ok((f.number(what)?, f.number(what)?))
}
