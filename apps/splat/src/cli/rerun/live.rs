//! The connection to a viewer or a recording, and the thread that feeds it: the training hands over copies and continues.
//!
//! A viewer that is slow, hangs or goes away costs the training nothing but what is not shown; a recording gets all.

use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use re_sdk::external::re_uri::ProxyUri;
use re_sdk::{RecordingStream, RecordingStreamBuilder, RecordingStreamError, SpawnError};
use re_sdk_types::archetypes::Scalars;
use splat_scene::Dataset;
use splat_train::{Config, Event, Trainer};

use super::super::Hinted;
use super::RerunArgs;
use super::scene::{self, Cloud, World};

/// Things that wait to be shown, a few MB each at most.
const WAITING: usize = 64;
/// What a viewer gets to answer, and at the end to take what is on its way. A recording is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
const LAST_PATIENCE: Duration = Duration::from_secs(30);

type Job = Box<dyn FnOnce(&RecordingStream) -> Result<()> + Send>;

/// A training that is shown.
pub(crate) struct Live {
    /// A step and what to show there; none once it has failed.
    jobs: Option<SyncSender<(u64, Job)>>,
    worker: JoinHandle<()>,
    /// How it went, as soon as everything has been handed over.
    done: Receiver<Result<()>>,
    /// Whether to wait for room: a file takes everything in finite time.
    recording: bool,
    left_out: u64,
    every: u64,
    world: Arc<World>,
}

impl Live {
    /// Opens what `args` ask for, if anything. A file that is there is replaced only with `overwrite`.
    pub(crate) fn open(
        args: &RerunArgs,
        dataset: &Dataset,
        config: &Config,
        overwrite: bool,
    ) -> Result<Option<Self>> {
        let shown = dataset.test.first().map(|&i| dataset.views[i].name.as_str());
        let builder = RecordingStreamBuilder::new("splat train").with_blueprint(scene::layout(shown));
        let stream = match (&args.rerun, &args.rerun_save) {
            (None, None) => return Ok(None),
            (None, Some(path)) if path.exists() && !overwrite => {
                return Err(Hinted::error(
                    format!("{} exists already", path.display()),
                    "choose another name, or replace it with --overwrite",
                ));
            }
            // The SDK's sentence names the file.
            (None, Some(path)) => builder.save(path)?,
            (Some(Some(url)), _) => connect(builder, url)?,
            (Some(None), _) => builder.spawn().map_err(no_viewer)?,
        };
        let recording = args.rerun_save.is_some();
        let world = Arc::new(World {
            views: dataset.views.clone(),
            held_out: dataset.test.clone(),
            background: config.background,
        });
        let views = Arc::clone(&world);
        let (jobs, waiting) = sync_channel(WAITING);
        let (tell, done) = channel();
        Ok(Some(Self {
            jobs: Some(jobs),
            worker: std::thread::spawn(move || {
                let _ = tell.send(work(&stream, &waiting, &views, recording));
                // What is left of a recording is written here.
                drop(stream);
            }),
            done,
            recording,
            left_out: 0,
            every: args.rerun_every,
            world,
        }))
    }

    /// Shows `event`, and the scene where it is time. What fails is told once, by the warning returned.
    pub(crate) fn show(&mut self, trainer: &Trainer, event: &Event) -> Option<Event> {
        self.jobs.as_ref()?;
        let error = self.look(trainer, event).err()?;
        self.jobs = None;
        Some(Event::Warning { text: format!("live viewing ends, but training continues: {error:#}") })
    }

    fn look(&mut self, trainer: &Trainer, event: &Event) -> Result<()> {
        match event {
            Event::Ready { step, .. } => {
                let first = (*step == 0).then(|| Cloud::of(trainer.gaussians())).transpose()?;
                let world = Arc::clone(&self.world);
                self.send(*step, move |to| world.show(to, first.as_ref()))?;
                self.snapshot(trainer, *step)
            }
            Event::Step { step, iterations, loss, psnr, gaussians, steps_per_second, memory_mib, .. } => {
                let mut numbers = vec![
                    ("train/loss", *loss),
                    ("train/psnr", *psnr),
                    ("train/gaussians", *gaussians as f64),
                    ("train/steps_per_second", *steps_per_second),
                ];
                numbers.extend(memory_mib.map(|mib| ("train/memory_mib", mib as f64)));
                self.numbers(*step, numbers)?;
                if step.is_multiple_of(self.every) || step == iterations {
                    self.snapshot(trainer, *step)?;
                }
                Ok(())
            }
            Event::Evaluated(e) => {
                self.numbers(e.step, vec![("held_out/psnr", e.psnr), ("held_out/ssim", e.ssim)])
            }
            _ => Ok(()),
        }
    }

    fn numbers(&mut self, step: u64, numbers: Vec<(&'static str, f64)>) -> Result<()> {
        self.send(step, move |to| {
            numbers.into_iter().try_for_each(|(path, x)| Ok(to.log(path, &Scalars::single(x))?))
        })
    }

    /// The Gaussians, and the first held-out view as they render it.
    fn snapshot(&mut self, trainer: &Trainer, step: u64) -> Result<()> {
        let cloud = Cloud::of(trainer.gaussians())?;
        let render =
            self.world.held_out.first().map(|&i| scene::rendered(&trainer.render(i)?)).transpose()?;
        self.send(step, move |to| scene::show_snapshot(to, &cloud, render.as_ref()))
    }

    fn send(
        &mut self,
        step: u64,
        job: impl FnOnce(&RecordingStream) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let Some(jobs) = &self.jobs else { return Ok(()) };
        let job: (u64, Job) = (step, Box::new(job));
        let sent = if self.recording { jobs.send(job).map_err(Into::into) } else { jobs.try_send(job) };
        match sent {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => {
                self.left_out += 1;
                Ok(())
            }
            // The thread ended before its time, and said why.
            Err(TrySendError::Disconnected(_)) => self.done.recv().unwrap_or_else(|_| Err(lost())),
        }
    }

    /// Sees everything off; what did not arrive is told by the warning returned.
    pub(crate) fn finish(mut self) -> Option<Event> {
        // Without jobs a warning was given already.
        drop(self.jobs.take()?);
        let patience = if self.recording { Duration::MAX } else { LAST_PATIENCE };
        let text = match self.done.recv_timeout(patience) {
            Ok(Ok(())) => {
                let _ = self.worker.join();
                if self.left_out == 0 {
                    return None;
                }
                format!("the viewer was too slow for {} of the things to show", self.left_out)
            }
            Ok(Err(error)) => format!("live viewing is incomplete: {error:#}"),
            Err(_) => format!("live viewing is incomplete: {:#}", lost()),
        };
        Some(Event::Warning { text })
    }
}

fn lost() -> anyhow::Error {
    anyhow::anyhow!("what was to be shown was not taken")
}

/// The thread: logs what comes until no more comes or something fails, and photographs while nothing does.
fn work(stream: &RecordingStream, jobs: &Receiver<(u64, Job)>, world: &World, recording: bool) -> Result<()> {
    let mut photographs = world.photographs();
    // Not before the training has loaded its own.
    let mut next = jobs.recv().ok();
    while let Some((step, job)) = next {
        stream.set_time_sequence(scene::TIMELINE, i64::try_from(step)?);
        job(stream)?;
        next = loop {
            match jobs.try_recv() {
                Ok(job) => break Some(job),
                Err(TryRecvError::Disconnected) => break None,
                Err(TryRecvError::Empty) => match photographs.next() {
                    Some(i) => world.show_in_camera(stream, i)?,
                    None => break jobs.recv().ok(),
                },
            }
        };
    }
    if recording {
        photographs.try_for_each(|i| world.show_in_camera(stream, i))?;
    }
    Ok(stream.flush_with_timeout(if recording { Duration::MAX } else { LAST_PATIENCE })?)
}

/// A viewer elsewhere. Rerun itself would wait for it in silence.
fn connect(builder: RecordingStreamBuilder, url: &str) -> Result<RecordingStream> {
    const FORM: &str = "the address of a viewer looks so: --rerun=rerun+http://127.0.0.1:9876/proxy";
    let uri: ProxyUri = url.parse().map_err(|e| Hinted::error(format!("--rerun={url}: {e}"), FORM))?;
    let place = format!("{}:{}", uri.origin.host, uri.origin.port);
    let answers = place
        .to_socket_addrs()
        .with_context(|| format!("--rerun={url}"))?
        .any(|address| TcpStream::connect_timeout(&address, PATIENCE).is_ok());
    if !answers {
        return Err(Hinted::error(
            format!("--rerun={url}: no viewer answers at {place}"),
            "start one there: rerun --port 9876; or record, and look later: --rerun-save FILE.rrd",
        ));
    }
    Ok(builder.connect_grpc_opts(url)?)
}

fn no_viewer(error: RecordingStreamError) -> anyhow::Error {
    match error {
        RecordingStreamError::SpawnViewer(SpawnError::ExecutableNotFoundInPath {
            executable_name, ..
        }) => Hinted::error(
            format!(
                "no viewer listens on port {}, and the program `{executable_name}` to start one is not in PATH \
                     (this SDK is {})",
                re_sdk::DEFAULT_SERVER_PORT,
                re_sdk::build_info().version
            ),
            "install the viewer: pip install rerun-sdk; or record, and look later: --rerun-save FILE.rrd",
        ),
        error => error.into(),
    }
}
