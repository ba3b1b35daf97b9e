//! Photographs from a video: its length is divided into windows of as many frames, and from each comes the sharpest one, by
//! the variance of the Laplacian of its brightness (J. Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy",
//! 2000). Frames of one scene are compared with their neighbours alone, so that no threshold is needed.
//!
//! ffmpeg decodes twice: to reduced grey frames, which are measured, and to the chosen ones as JPEG. Both count decoded frames,
//! not times, which a phone's video does not space evenly.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};

use super::child::{self, Ended};
use crate::cli::Hinted;

/// The longer side of the frames that are measured, in pixels.
const MEASURED: u32 = 960;
/// Chosen frames per second of video, and how many there are at least and at most, unless the user says.
const PER_SECOND: f64 = 2.0;
const LEAST: usize = 40;
const MOST: usize = 300;
/// Numbers the frames one after another, whatever their times are, and keeps ffmpeg from repeating or dropping any.
const COUNTED: &str = "settb=1/25,setpts=N";

/// Writes the sharpest frames of `video` to `to`, as `frame_000123.jpg` of the 124th; about `count` of them. Returns how many
/// there are, or None if the user stopped.
pub(super) fn frames(
    ffmpeg: &Path,
    video: &Path,
    count: Option<usize>,
    to: &Path,
    stop: &AtomicBool,
    listen: &mut dyn FnMut(&str, u64, u64),
) -> Result<Option<usize>> {
    let Some((sharpness, seconds)) = measure(ffmpeg, video, stop, listen)? else { return Ok(None) };
    let usual = ((seconds * PER_SECOND) as usize).clamp(LEAST, MOST);
    let chosen = sharpest(&sharpness, count.unwrap_or(usual));
    let words = format!("writing the {} sharpest of {} frames", chosen.len(), sharpness.len());
    listen(&words, 0, 0);
    let terms: Vec<String> = chosen.iter().map(|n| format!("eq(n,{n})")).collect();
    let mut command = decoder(ffmpeg, video, &format!("select='{}',{COUNTED}", terms.join("+")));
    command.args(["-q:v", "2", "-start_number", "0"]).arg(to.join("%06d.jpg"));
    match child::run(&mut command, stop, MISSING, &mut |_| {})? {
        Ended::Stopped => return Ok(None),
        Ended::Failed(_, last) => return Err(failed(video, &last)),
        Ended::Done => {}
    }
    // From the last: a frame's number among all is never below its number among the chosen.
    for (i, n) in chosen.iter().enumerate().rev() {
        let written = to.join(format!("{i:06}.jpg"));
        fs_err::rename(&written, to.join(format!("frame_{n:06}.jpg")))
            .with_context(|| format!("{}: ffmpeg wrote fewer frames the second time", video.display()))?;
    }
    Ok(Some(chosen.len()))
}

/// What helps where ffmpeg does not start.
const MISSING: &str = "install ffmpeg (apt install ffmpeg, brew install ffmpeg)";

fn decoder(ffmpeg: &Path, video: &Path, filter: &str) -> Command {
    let mut command = Command::new(ffmpeg);
    command.args(["-nostdin", "-hide_banner", "-nostats", "-i"]).arg(video);
    command.args(["-map", "0:v:0", "-vf", filter, "-r", "25"]);
    command
}

/// The sharpness of every frame, and the length of the video in seconds (0 if it states none).
fn measure(
    ffmpeg: &Path,
    video: &Path,
    stop: &AtomicBool,
    listen: &mut dyn FnMut(&str, u64, u64),
) -> Result<Option<(Vec<f64>, f64)>> {
    let within =
        format!("scale=w='min({MEASURED},iw)':h='min({MEASURED},ih)':force_original_aspect_ratio=decrease");
    let mut command = decoder(ffmpeg, video, &format!("{within},format=gray,{COUNTED}"));
    command.args(["-f", "image2pipe", "-c:v", "pgm", "-"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|e| Hinted::error(format!("`{}` does not start: {e}", ffmpeg.display()), MISSING))?;
    let mut stderr = child.stderr.take().context("ffmpeg has no stderr")?;
    let said = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stderr.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let mut stdout = BufReader::with_capacity(1 << 20, child.stdout.take().context("ffmpeg has no stdout")?);
    let mut sharpness = Vec::new();
    let read = loop {
        if stop.load(Ordering::Relaxed) {
            let _ = child.kill();
        }
        match pgm(&mut stdout) {
            Ok(Some((width, pixels))) => sharpness.push(laplacian_variance(width, &pixels)),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
        if sharpness.len().is_multiple_of(25) {
            listen("measuring how sharp the frames of the video are", sharpness.len() as u64, 0);
        }
    };
    drop(stdout);
    let status = child.wait()?;
    let said = said.join().unwrap_or_default();
    if stop.load(Ordering::Relaxed) {
        return Ok(None);
    }
    if !status.success() || sharpness.is_empty() {
        return Err(failed(video, &said));
    }
    read.with_context(|| format!("{}: what ffmpeg sends is not understood", video.display()))?;
    Ok(Some((sharpness, duration(&said).unwrap_or(0.0))))
}

fn failed(video: &Path, said: &str) -> anyhow::Error {
    let lines: Vec<&str> = said.lines().rev().filter(|line| !line.trim().is_empty()).take(3).collect();
    let last: Vec<&str> = lines.into_iter().rev().collect();
    Hinted::error(
        format!("{}: ffmpeg cannot read this video:\n{}", video.display(), last.join("\n")),
        "play it to see whether it is whole; if another program plays it, save it from there as MP4 (H.264)",
    )
}

/// The next picture of a stream of binary PGM files with 8 bits: its width and its pixels.
fn pgm(stream: &mut impl BufRead) -> Result<Option<(usize, Vec<u8>)>> {
    let mut header = [0usize; 3];
    let mut magic = [0; 2];
    match stream.read_exact(&mut magic) {
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    anyhow::ensure!(magic == *b"P5", "{magic:?} instead of a PGM header");
    for number in &mut header {
        let mut byte = [b' '];
        while byte[0].is_ascii_whitespace() {
            stream.read_exact(&mut byte)?;
        }
        while byte[0].is_ascii_digit() {
            *number = (*number * 10 + usize::from(byte[0] - b'0')).min(1 << 16);
            stream.read_exact(&mut byte)?;
        }
    }
    let [width, height, most] = header;
    anyhow::ensure!(
        width > 0 && height > 0 && most == 255,
        "a PGM of {width}x{height} with values to {most}"
    );
    let mut pixels = vec![0; width * height];
    stream.read_exact(&mut pixels)?;
    Ok(Some((width, pixels)))
}

/// The variance of the 4-neighbour Laplacian over the inner pixels.
fn laplacian_variance(width: usize, pixels: &[u8]) -> f64 {
    let at = |i: usize| i64::from(pixels[i]);
    let height = pixels.len() / width;
    let (mut n, mut sum, mut squares) = (0i64, 0i64, 0i64);
    for y in 1..height.saturating_sub(1) {
        for x in 1..width.saturating_sub(1) {
            let i = y * width + x;
            let value = 4 * at(i) - at(i - 1) - at(i + 1) - at(i - width) - at(i + width);
            (n, sum, squares) = (n + 1, sum + value, squares + value * value);
        }
    }
    let n = n.max(1) as f64;
    squares as f64 / n - (sum as f64 / n).powi(2)
}

/// The number of the sharpest frame in each of `count` windows.
fn sharpest(sharpness: &[f64], count: usize) -> Vec<usize> {
    let all = sharpness.len();
    let count = count.clamp(1, all);
    let window = |i: usize| i * all / count..(i + 1) * all / count;
    let best = |i| window(i).max_by(|&a, &b| sharpness[a].total_cmp(&sharpness[b]));
    (0..count).filter_map(best).collect()
}

/// `Duration: 00:01:02.50,` in seconds.
fn duration(said: &str) -> Option<f64> {
    let text = said.split_once("Duration: ")?.1.split(',').next()?;
    let parts = text.trim().split(':').map(|part| part.parse::<f64>().ok()).collect::<Option<Vec<_>>>()?;
    Some(parts.iter().fold(0.0, |sum, part| 60.0 * sum + part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_sharp_and_a_blur_is_not() {
        let step: Vec<u8> = (0..64).map(|i| if i % 8 < 4 { 0 } else { 200 }).collect();
        let ramp: Vec<u8> = (0..64).map(|i| (i % 8) as u8 * 28).collect();
        assert!(laplacian_variance(8, &step) > 100.0 * laplacian_variance(8, &ramp).max(1.0));
        assert!(laplacian_variance(8, &[7; 64]) < 1e-9 && laplacian_variance(1, &[1, 9]) < 1e-9);
    }

    #[test]
    fn each_window_gives_its_sharpest_frame() {
        let sharpness = [1.0, 5.0, 2.0, 0.5, 9.0, 8.0, 3.0];
        assert_eq!(sharpest(&sharpness, 3), [1, 2, 4]);
        assert_eq!(sharpest(&sharpness, 1), [4]);
        assert_eq!(sharpest(&sharpness, 99), [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn streams_of_pictures_and_durations_are_read() {
        let stream = b"P5\n2 1\n255\n\x01\x02P5 1 1 255 \x09";
        let mut reader = &stream[..];
        assert_eq!(pgm(&mut reader).unwrap(), Some((2, vec![1, 2])));
        assert_eq!(pgm(&mut reader).unwrap(), Some((1, vec![9])));
        assert_eq!(pgm(&mut reader).unwrap(), None);
        assert!(pgm(&mut &b"P5 9 9 255 \x01"[..]).is_err() && pgm(&mut &b"JPEG"[..]).is_err());
        assert_eq!(duration("  Duration: 00:01:02.50, start: 0.0"), Some(62.5));
        assert_eq!(duration("  Duration: N/A, start"), None);
    }

    /// A video of photographs of which all but each fifth are blurred. Where the sharp one of five stands changes.
    #[test]
    fn the_sharp_frames_of_a_video_are_chosen() {
        let Some(photos) = splat_testdata::shared("fox-colmap/images_2") else { return };
        let ffmpeg = crate::machine::on_path("ffmpeg").unwrap_or_else(|| {
            splatwright::provision::reconstruction::ffmpeg(false, &mut splatwright::provision::Terminal)
                .unwrap()
        });
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let mut names: Vec<_> =
            fs_err::read_dir(photos).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        let sharp = [2, 5, 14, 15, 21, 28];
        for (i, path) in names.iter().take(6).enumerate() {
            let photo = image::open(path).unwrap();
            let blurred = photo.blur(1.5);
            for n in 5 * i..5 * i + 5 {
                let frame = if sharp[i] == n { &photo } else { &blurred };
                frame.save(at(&format!("{n:02}.png"))).unwrap();
            }
        }
        let video = at("a video.mp4");
        let mut make = Command::new(&ffmpeg);
        make.args(["-loglevel", "error", "-framerate", "30", "-i"]).arg(at("%02d.png"));
        let made = make.args(["-c:v", "mpeg4", "-q:v", "2"]).arg(&video).status().unwrap();
        assert!(made.success());
        let to = at("frames");
        fs_err::create_dir_all(&to).unwrap();
        let stop = AtomicBool::new(false);
        assert_eq!(frames(&ffmpeg, &video, Some(6), &to, &stop, &mut |_, _, _| {}).unwrap(), Some(6));
        let mut found: Vec<_> = fs_err::read_dir(&to).unwrap().map(|e| e.unwrap().file_name()).collect();
        found.sort();
        assert_eq!(found, sharp.map(|n| format!("frame_{n:06}.jpg")).map(std::ffi::OsString::from));
        // What the file holds is that frame: closer to its photograph than to the next one.
        let pixels = |path: &Path| image::open(path).unwrap().thumbnail(64, 64).into_luma8().into_raw();
        let distance =
            |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>();
        for (i, file) in found.iter().enumerate() {
            let frame = pixels(&to.join(file));
            let own = distance(&frame, &pixels(&names[i]));
            assert!(
                names
                    .iter()
                    .take(6)
                    .all(|other| *other == names[i] || own < distance(&frame, &pixels(other))),
                "{i}"
            );
        }

        fs_err::write(&video, b"no video").unwrap();
        let error = frames(&ffmpeg, &video, None, &to, &stop, &mut |_, _, _| {}).unwrap_err();
        assert!(error.to_string().contains("ffmpeg cannot read this video"), "{error}");
        stop.store(true, Ordering::Relaxed);
        assert_eq!(frames(&ffmpeg, &video, None, &to, &stop, &mut |_, _, _| {}).unwrap(), None);
    }
}
