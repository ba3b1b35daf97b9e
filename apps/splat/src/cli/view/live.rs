//! `splat train --view`: the page of `splat view` while the scene is in training, with a held-out view, curves, and buttons
//! that pause and stop.
//!
//! The training thread copies what is to be shown, and a thread of its own makes files of it. Nothing is copied while nobody
//! looks, and copies are so far apart that they cost about a fortieth of the time. The scene goes to the page as `.splat`
//! (32 bytes per Gaussian, colours of degree 0), and with its harmonics once the training has finished.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use image::codecs::jpeg::JpegEncoder;
use image::{RgbImage, imageops};
use serde::Serialize;
use splat_core::Camera;
use splat_scene::{Dataset, Gaussians, ply, splat_file};
use splat_train::{Event, Outcome, Sample, Trainer};

use super::server::Server;
use super::site::Site;
use super::{View, open_browser, require_libraries, with_page};
use crate::cli::bar::Pace;
use crate::cli::say;
use crate::output::curves;
use crate::report::{Rgb8, compared, rgb8, svg};
use crate::trajectory::Framing;

/// Least time between two copies of the scene, and how many times what a copy costs.
const EVERY: Duration = Duration::from_secs(3);
const COST: u32 = 40;
/// A page asks every half second; one that has not asked for so long is closed or hidden.
const AWAY: Duration = Duration::from_secs(3);
/// How long the program stays at the end so that an open page gets the finished scene.
const LAST: Duration = Duration::from_secs(10);
/// Widest picture of the held-out view: photograph, render and error beside each other.
const WIDEST: u32 = 1536;

/// Whether a training is shown in a browser.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Live viewing in a browser")]
pub(crate) struct LiveArgs {
    /// Show the training in a browser on this machine: scene, held-out view, curves, pause and stop; --view=PORT chooses the
    /// port of 127.0.0.1
    #[arg(long, value_name = "PORT", num_args = 0..=1, require_equals = true, default_missing_value = "0")]
    view: Option<u16>,
    /// With --view: print the address without opening a browser
    #[arg(long, requires = "view")]
    no_open: bool,
}

impl LiveArgs {
    pub(crate) fn wanted(&self) -> bool {
        self.view.is_some()
    }
}

/// What the page reads every half second, `progress.json`.
#[derive(Debug, Default, Serialize)]
struct Now {
    /// `training`, `paused`, `stopping` or `finished`.
    state: &'static str,
    step: u64,
    iterations: u64,
    loss: Option<f64>,
    psnr: Option<f64>,
    gaussians: usize,
    steps_per_second: f64,
    seconds_left: Option<f64>,
    /// PSNR in dB and SSIM of the last evaluation.
    held_out: Option<[f64; 2]>,
    /// Number of scenes so far, the file of the newest, and whether there is a picture of a held-out view.
    revision: u64,
    scene: &'static str,
    picture: bool,
}

/// What training, page and worker share.
struct Shared {
    site: Arc<Site>,
    now: Mutex<Now>,
    /// Whether the worker has something to do, and how many microseconds the last thing took.
    busy: AtomicBool,
    took: AtomicU64,
}

impl Shared {
    fn tell(&self, change: impl FnOnce(&mut Now)) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut now);
        self.site.put("progress.json", serde_json::to_vec(&*now).expect("plain numbers and words"));
    }
}

/// Copies of what is shown.
struct Copied {
    scene: Gaussians,
    finished: bool,
    picture: Option<Rgb8>,
    outcome: Outcome,
}

/// A training that is shown.
pub(crate) struct Live {
    shared: Arc<Shared>,
    paused: Arc<(Mutex<bool>, Condvar)>,
    stop: Arc<AtomicBool>,
    worker: SyncSender<Copied>,
    due: Instant,
    pace: Pace,
    began: Instant,
    outcome: Outcome,
    cameras: Vec<Camera>,
}

impl Live {
    /// Opens the port and the page, if `args` ask for it. The page's order to stop sets `stop`.
    pub(crate) fn open(args: &LiveArgs, dataset: &Dataset, stop: &Arc<AtomicBool>) -> Result<Option<Self>> {
        let Some(port) = args.view else { return Ok(None) };
        require_libraries("train without --view")?;
        let paused = Arc::new((Mutex::new(false), Condvar::new()));
        let (switch, flag) = (Arc::clone(&paused), Arc::clone(stop));
        let site = Arc::new(Site::with_orders(Box::new(move |order| {
            match order {
                "pause" | "resume" => {
                    *switch.0.lock().unwrap_or_else(PoisonError::into_inner) = order == "pause";
                }
                "stop" => flag.store(true, Ordering::Relaxed),
                _ => return false,
            }
            switch.1.notify_all();
            true
        })));
        with_page(&site);
        let server = Server::open(port)?;
        open_browser(&server, args.no_open, "the training goes on whether or not anybody looks");
        let shared = Arc::new(Shared {
            site: Arc::clone(&site),
            now: Mutex::default(),
            busy: AtomicBool::new(false),
            took: AtomicU64::new(0),
        });
        std::thread::spawn(move || {
            if let Err(error) = server.serve(site) {
                say::warn(&format!("--view: {error:#}"));
            }
        });
        let (worker, copies) = sync_channel(1);
        let publisher = Arc::clone(&shared);
        std::thread::spawn(move || {
            for copied in copies {
                let begin = Instant::now();
                publish(&publisher, &copied);
                publisher.took.store(begin.elapsed().as_micros() as u64, Ordering::Relaxed);
                publisher.busy.store(false, Ordering::Relaxed);
            }
        });
        Ok(Some(Self {
            shared,
            paused,
            stop: Arc::clone(stop),
            worker,
            due: Instant::now(),
            pace: Pace::default(),
            began: Instant::now(),
            outcome: Outcome::default(),
            cameras: dataset.train.iter().map(|&i| dataset.views[i].camera.clone()).collect(),
        }))
    }

    /// Hears an event of the training, and waits in here while the page says pause. Returns how long that was.
    pub(crate) fn show(&mut self, trainer: &Trainer, event: &Event) -> Result<Duration> {
        match event {
            Event::Ready { step, .. } => {
                self.begin(trainer)?;
                let iterations = trainer.config().iterations;
                self.shared
                    .tell(|now| (now.state, now.step, now.iterations) = ("training", *step, iterations));
                self.copy(trainer, false)?;
            }
            Event::Evaluated(e) => {
                self.outcome.evaluations.push(*e);
                self.shared.tell(|now| now.held_out = Some([e.psnr, e.ssim]));
            }
            Event::Step { step, iterations, loss, psnr, gaussians, steps_per_second, .. } => {
                let seconds = self.began.elapsed().as_secs_f64();
                self.pace.hear(*step, seconds);
                let (loss, psnr, gaussians) = (*loss, *psnr, *gaussians);
                self.outcome.sample(Sample { step: *step, loss, psnr, gaussians, train_seconds: seconds });
                let left = self.pace.left(*iterations);
                let stopping = self.stop.load(Ordering::Relaxed);
                self.shared.tell(|now| {
                    now.state = if stopping { "stopping" } else { "training" };
                    (now.step, now.loss, now.psnr, now.gaussians) =
                        (*step, Some(loss), Some(psnr), gaussians);
                    (now.steps_per_second, now.seconds_left) = (*steps_per_second, left);
                });
                let watched = self.shared.site.asked("progress.json").is_some_and(|at| at.elapsed() < AWAY);
                if watched && Instant::now() >= self.due {
                    self.copy(trainer, false)?;
                }
                return self.pause(trainer);
            }
            _ => {}
        }
        Ok(Duration::ZERO)
    }

    /// Shows the finished scene, and stays until an open page has it.
    pub(crate) fn finish(mut self, trainer: &Trainer) -> Result<()> {
        let watched = self.shared.site.asked("progress.json").is_some_and(|at| at.elapsed() < AWAY);
        if !watched {
            return Ok(());
        }
        let begin = Instant::now();
        self.copy(trainer, true)?;
        self.stop.store(false, Ordering::Relaxed);
        let has = |name: &str| self.shared.site.asked(name).filter(|at| *at > begin);
        // The page asks for the progress again once it shows the scene.
        while has("scene.ply").is_none_or(|scene| has("progress.json").is_none_or(|then| then < scene))
            && begin.elapsed() < LAST
            && !self.stop.load(Ordering::Relaxed)
        {
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Where the page stands at first.
    fn begin(&self, trainer: &Trainer) -> Result<()> {
        let scene = trainer.gaussians().download()?;
        let cameras: Vec<&Camera> = self.cameras.iter().collect();
        let framing = Framing::of_cameras(&cameras, &scene, None)
            .unwrap_or_else(|| Framing::of_gaussians(&scene, None));
        let look = (trainer.config().background, trainer.config().antialiasing);
        let view = View { live: true, ..View::of(&scene, "training", "scene.splat", look, framing) };
        self.shared.site.put("view.json", serde_json::to_vec(&view)?);
        Ok(())
    }

    /// Copies scene and held-out view for the worker. While it is busy with the last copy there is no new one, unless it is
    /// the `finished` scene.
    fn copy(&mut self, trainer: &Trainer, finished: bool) -> Result<()> {
        if !finished && self.shared.busy.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let begin = Instant::now();
        let scene = trainer.gaussians().download()?;
        let picture = trainer.held_out().next().transpose()?;
        let picture = picture
            .map(|view| rgb8(&compared(&view.truth.photo, &view.image, view.truth.mask.as_ref())?))
            .transpose()?;
        // The worker lives as long as the program.
        let _ = self.worker.send(Copied { scene, finished, picture, outcome: self.outcome.clone() });
        let made = Duration::from_micros(self.shared.took.load(Ordering::Relaxed));
        self.due = Instant::now() + EVERY.max(COST * (begin.elapsed() + made));
        Ok(())
    }

    fn pause(&mut self, trainer: &Trainer) -> Result<Duration> {
        let begin = Instant::now();
        let asked = |paused: &Mutex<bool>| *paused.lock().unwrap_or_else(PoisonError::into_inner);
        if !asked(&self.paused.0) || self.stop.load(Ordering::Relaxed) {
            return Ok(Duration::ZERO);
        }
        self.copy(trainer, false)?;
        self.shared.tell(|now| (now.state, now.steps_per_second, now.seconds_left) = ("paused", 0.0, None));
        let paused = Arc::clone(&self.paused);
        let mut waits = paused.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Ctrl-C cannot notify: it is looked for.
        while *waits && !self.stop.load(Ordering::Relaxed) {
            let turn = paused.1.wait_timeout(waits, Duration::from_millis(100));
            waits = turn.unwrap_or_else(PoisonError::into_inner).0;
        }
        let took = begin.elapsed();
        self.began += took;
        Ok(took)
    }
}

/// Makes files of a copy. One that cannot be made is left out: the training has its own word on NaN.
fn publish(shared: &Shared, copied: &Copied) {
    let (name, bytes) = match copied.finished {
        true => ("scene.ply", ply::to_bytes(&copied.scene)),
        false => ("scene.splat", splat_file::to_bytes(&copied.scene)),
    };
    let Ok(bytes) = bytes else { return };
    shared.site.put(name, bytes);
    shared.site.put("curves.svg", svg(&curves(&copied.outcome)).into_bytes());
    let picture = copied.picture.as_ref().and_then(jpeg);
    let drawn = picture.is_some();
    if let Some(bytes) = picture {
        shared.site.put("held_out.jpg", bytes);
    }
    shared.tell(|now| {
        now.revision += 1;
        (now.scene, now.picture) = (name, drawn);
        if copied.finished {
            (now.state, now.seconds_left) = ("finished", None);
        }
    });
}

fn jpeg(picture: &Rgb8) -> Option<Vec<u8>> {
    let image = RgbImage::from_raw(picture.width, picture.height, picture.pixels.clone())?;
    let height = (u64::from(image.height()) * u64::from(WIDEST)).div_ceil(u64::from(image.width()).max(1));
    let image =
        if image.width() > WIDEST { imageops::thumbnail(&image, WIDEST, height as u32) } else { image };
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 85).encode_image(&image).ok()?;
    Some(bytes)
}
