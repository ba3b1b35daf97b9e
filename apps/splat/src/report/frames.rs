//! Pictures to files while the next are being rendered: PNGs by background threads, videos by ffmpeg.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Error, Result};
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use tch::Tensor;

use super::picture::{Rgb8, rgb8};
use crate::cli::Hinted;

/// What helps where ffmpeg is missing.
const MISSING: &str =
    "install ffmpeg (apt install ffmpeg, brew install ffmpeg), or write PNGs with -o FOLDER";
/// What helps where it fails.
const FAILED: &str = "make room on that disk if it is full; PNGs need no ffmpeg: -o FOLDER";

/// Pixels, rows from the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pixels {
    /// `[H,W,3]`.
    Rgb(Vec<u8>),
    /// `[H,W,4]`, not premultiplied.
    Rgba(Vec<u8>),
    /// `[H,W]`.
    Gray(Vec<u8>),
    /// `[H,W]`.
    Gray16(Vec<u16>),
}

/// Writes a PNG; the file appears whole or not at all.
pub(crate) fn save(path: &Path, width: u32, height: u32, pixels: &Pixels) -> Result<()> {
    let bytes16: Vec<u8>;
    let (bytes, kind): (&[u8], _) = match pixels {
        Pixels::Rgb(p) => (p, ExtendedColorType::Rgb8),
        Pixels::Rgba(p) => (p, ExtendedColorType::Rgba8),
        Pixels::Gray(p) => (p, ExtendedColorType::L8),
        Pixels::Gray16(p) => {
            bytes16 = p.iter().flat_map(|x| x.to_ne_bytes()).collect();
            (&bytes16, ExtendedColorType::L16)
        }
    };
    let expected = u64::from(width) * u64::from(height) * u64::from(kind.bits_per_pixel() / 8);
    Ok(splat_scene::write_atomically(path, |out| {
        if bytes.len() as u64 != expected {
            return Err(std::io::Error::other(format!(
                "{} bytes of pixels, but {width}x{height} needs {expected}",
                bytes.len()
            )));
        }
        // The strongest compression takes longer than a render and saves little of a photograph.
        PngEncoder::new_with_quality(out, CompressionType::Fast, FilterType::Adaptive)
            .write_image(bytes, width, height, kind)
            .map_err(std::io::Error::other)
    })?)
}

struct Job {
    path: PathBuf,
    width: u32,
    height: u32,
    pixels: Pixels,
}

/// Threads that write PNGs. A few pictures wait at most, so that memory is bounded.
#[derive(Debug)]
pub(crate) struct PngPool {
    jobs: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
    failed: Arc<Mutex<Option<Error>>>,
}

impl PngPool {
    /// Starts `threads` of them, at least one.
    pub(crate) fn new(threads: usize) -> Result<Self> {
        let threads = threads.max(1);
        let (jobs, queue) = sync_channel::<Job>(2 * threads);
        let (queue, failed) = (Arc::new(Mutex::new(queue)), Arc::new(Mutex::new(None)));
        let spawn = |i| {
            let (queue, failed) = (Arc::clone(&queue), Arc::clone(&failed));
            std::thread::Builder::new().name(format!("png-{i}")).spawn(move || work(&queue, &failed))
        };
        let threads = (0..threads).map(spawn).collect::<Result<_, _>>()?;
        Ok(Self { jobs: Some(jobs), threads, failed })
    }

    /// Leaves a picture to be written; waits while too many are.
    pub(crate) fn push(&self, path: PathBuf, width: u32, height: u32, pixels: Pixels) -> Result<()> {
        self.check()?;
        if let Some(jobs) = &self.jobs {
            // Threads end when the channel does, so there is someone to receive.
            let _ = jobs.send(Job { path, width, height, pixels });
        }
        Ok(())
    }

    /// Leaves an image `[3,H,W]` to be written.
    pub(crate) fn push_image(&self, path: PathBuf, image: &Tensor) -> Result<()> {
        let Rgb8 { width, height, pixels } = rgb8(image)?;
        self.push(path, width, height, Pixels::Rgb(pixels))
    }

    /// Waits until all is written.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.join();
        self.check()
    }

    fn check(&self) -> Result<()> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }

    fn join(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for PngPool {
    fn drop(&mut self) {
        self.join();
    }
}

fn work(queue: &Mutex<Receiver<Job>>, failed: &Mutex<Option<Error>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { path, width, height, pixels }) = job else { return };
        if let Err(error) = save(&path, width, height, &pixels) {
            failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
    }
}

/// A video in the making: H.264 in the container that the file's name says, by the program ffmpeg.
#[derive(Debug)]
pub(crate) struct Video {
    child: Child,
    frames: Option<ChildStdin>,
    complaints: Option<JoinHandle<String>>,
    path: PathBuf,
    partial: PathBuf,
    /// Locked while ffmpeg writes the file, so that no other program makes the same video.
    _lock: std::fs::File,
    bytes: usize,
    written: u64,
    done: bool,
}

impl Video {
    /// Starts ffmpeg for frames of one size, `fps` a second. An odd side gets a row or column of black, which the
    /// format needs.
    pub(crate) fn start(path: &Path, width: u32, height: u32, fps: f64) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // The same ending, which tells ffmpeg the container. A program that was killed leaves the file to the next one.
        let partial = path.with_file_name(format!(".partial.{name}"));
        // The system's own words if it cannot be written, before anything is rendered.
        let lock = fs_err::OpenOptions::new().create(true).truncate(false).write(true).open(&partial)?;
        let lock = lock.into_parts().0;
        // Windows would keep ffmpeg out too.
        if cfg!(unix) && matches!(lock.try_lock(), Err(std::fs::TryLockError::WouldBlock)) {
            let message = format!("another program is writing {} right now", path.display());
            return Err(Hinted::error(message, "wait until it has finished, or choose another name"));
        }
        let mut command = Command::new("ffmpeg");
        command.args(["-y", "-loglevel", "error", "-nostats", "-f", "rawvideo", "-pix_fmt", "rgb24"]);
        command.args(["-s", &format!("{width}x{height}"), "-r", &fps.to_string(), "-i", "-"]);
        command.args(["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-c:v", "libx264", "-crf", "17"]);
        command.args(["-pix_fmt", "yuv420p", "-movflags", "+faststart"]).arg(&partial);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let started = command.spawn().map_err(|e| {
            // Nothing was written to it.
            let _ = std::fs::remove_file(&partial);
            Hinted::error(format!("cannot write {}: ffmpeg does not start: {e}", path.display()), MISSING)
        });
        let mut child = started?;
        let frames = child.stdin.take();
        // Read all along: a full pipe would stop ffmpeg.
        let complaints = child.stderr.take().map(|mut from| {
            std::thread::spawn(move || {
                let mut text = Vec::new();
                let _ = from.read_to_end(&mut text);
                String::from_utf8_lossy(&text).into_owned()
            })
        });
        let bytes = 3 * width as usize * height as usize;
        let path = path.to_owned();
        Ok(Self { child, frames, complaints, path, partial, _lock: lock, bytes, written: 0, done: false })
    }

    /// Adds a frame, `[H,W,3]`.
    pub(crate) fn frame(&mut self, rgb: &[u8]) -> Result<()> {
        if rgb.len() != self.bytes {
            return Err(self.error(format!("a frame has {} bytes, the first {}", rgb.len(), self.bytes)));
        }
        match self.frames.as_mut().map(|pipe| pipe.write_all(rgb)) {
            Some(Ok(())) => {
                self.written += 1;
                Ok(())
            }
            _ => Err(self.failure()),
        }
    }

    /// Ends the video, checks that it is whole and puts it in its place. On a full disk ffmpeg complains and ends with success
    /// all the same.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.frames = None;
        let ended = self.child.wait()?;
        let words = self.words();
        if !ended.success() || !words.is_empty() {
            let last = if words.is_empty() { "it does not say why" } else { &words };
            return Err(self.error(format!("ffmpeg failed: {last}")));
        }
        match frames_in(&self.partial) {
            Some(found) if found != self.written => {
                let written = self.written;
                return Err(self.error(format!("it holds {found} of {written} pictures")));
            }
            None if fs_err::metadata(&self.partial)?.len() == 0 => {
                return Err(self.error("ffmpeg wrote nothing".into()));
            }
            _ => {}
        }
        fs_err::rename(&self.partial, &self.path)?;
        self.done = true;
        Ok(())
    }

    /// Why ffmpeg ended.
    fn failure(&mut self) -> Error {
        self.frames = None;
        let _ = self.child.wait();
        let words = self.words();
        self.error(format!(
            "ffmpeg failed: {}",
            if words.is_empty() { "it does not say why" } else { &words }
        ))
    }

    /// The last line that ffmpeg complained with, once it has ended.
    fn words(&mut self) -> String {
        let words = self.complaints.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
    }

    fn error(&self, message: String) -> Error {
        Hinted::error(format!("cannot write {}: {message}", self.path.display()), FAILED)
    }
}

/// The number of pictures in a video, by ffprobe; None where there is no ffprobe. A file without any has 0.
fn frames_in(video: &Path) -> Option<u64> {
    let mut probe = Command::new("ffprobe");
    probe.args(["-v", "error", "-count_packets", "-select_streams", "v:0"]);
    probe.args(["-show_entries", "stream=nb_read_packets", "-of", "csv=p=0"]).arg(video);
    let output = probe.stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Some(text.trim().trim_end_matches(',').parse().unwrap_or(0))
}

impl Drop for Video {
    /// An unfinished video leaves nothing behind.
    fn drop(&mut self) {
        if !self.done {
            self.frames = None;
            let _ = self.child.kill();
            let _ = self.child.wait();
            let _ = std::fs::remove_file(&self.partial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_pixels_comes_back_from_its_png() {
        let dir = tempfile::tempdir().unwrap();
        let path = |i: usize| dir.path().join(format!("{i}.png"));
        let bytes = |n: usize| (0..n).map(|x| (x * 37 % 251) as u8).collect::<Vec<_>>();
        let deep: Vec<u16> = (0..12).map(|x| x * 5461).collect();
        let pool = PngPool::new(2).unwrap();
        let kinds = [
            Pixels::Rgb(bytes(36)),
            Pixels::Rgba(bytes(48)),
            Pixels::Gray(bytes(12)),
            Pixels::Gray16(deep.clone()),
        ];
        for (i, pixels) in kinds.into_iter().enumerate() {
            pool.push(path(i), 4, 3, pixels).unwrap();
        }
        pool.finish().unwrap();
        let read = |i: usize| image::open(path(i)).unwrap();
        assert_eq!(read(0).as_rgb8().unwrap().as_raw(), &bytes(36));
        assert_eq!(read(1).as_rgba8().unwrap().as_raw(), &bytes(48));
        assert_eq!(read(2).as_luma8().unwrap().as_raw(), &bytes(12));
        assert_eq!(read(3).as_luma16().unwrap().as_raw(), &deep);
    }

    /// A picture that cannot be written is an error of the pool, with its name, and the others are written.
    #[test]
    fn the_first_failure_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let pool = PngPool::new(1).unwrap();
        pool.push(dir.path().join("no/such/a.png"), 1, 1, Pixels::Gray(vec![1])).unwrap();
        // Sooner or later a push tells, or the end.
        let later = (0..50)
            .find_map(|i| pool.push(dir.path().join(format!("{i}.png")), 1, 1, Pixels::Gray(vec![1])).err());
        let error = later.unwrap_or_else(|| pool.finish().unwrap_err());
        assert!(error.to_string().contains("a.png"), "{error}");
        let wrong = save(&dir.path().join("b.png"), 2, 1, &Pixels::Gray(vec![1])).unwrap_err().to_string();
        assert!(wrong.contains("b.png") && wrong.contains("1 bytes"), "{wrong}");
        assert!(!dir.path().join("b.png").exists());
    }
}
