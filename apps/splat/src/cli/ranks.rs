//! `splat train` on several GPUs: one process for each of them, a rank. On one machine this program starts them itself, on
//! several torchrun or Slurm does, and each rank finds the others by the variables that these set.

use std::net::TcpListener;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use splat_train::{Backend, Ranks, Rendezvous};

use super::common::BackendArgs;
use super::{Ended, Hinted, say};

/// Set for the ranks that this program starts.
const STARTED: &str = "SPLAT_STARTED_RANKS";

/// Several GPUs.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Several GPUs")]
pub(crate) struct RanksArgs {
    /// Train on N GPUs of this machine together, or on all of them: each keeps its share of the Gaussians. On several machines,
    /// let torchrun start the program: torchrun --nnodes 2 --nproc-per-node 4 --no-python splat train ...
    #[arg(long, value_name = "N|all", value_parser = gpus)]
    gpus: Option<Gpus>,
    /// With several GPUs: end the run when one of them keeps the others waiting for this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    dist_timeout: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Gpus {
    All,
    Some(usize),
}

fn gpus(text: &str) -> Result<Gpus, String> {
    if text == "all" {
        return Ok(Gpus::All);
    }
    let number = text.parse().ok().filter(|n| *n > 0);
    number.map(Gpus::Some).ok_or_else(|| "expected `all` or a number, 1 or more".into())
}

/// Which part of the work this process has.
pub(crate) enum Part {
    /// All of it.
    Alone,
    /// A rank of a group.
    Rank(Rendezvous),
    /// None: this many ranks are to be started.
    Starts(usize),
}

impl RanksArgs {
    /// What this process is to do.
    pub(crate) fn part(&self, backend: &BackendArgs) -> Result<Part> {
        let found = Rendezvous::from_env().map_err(splat_train::Error::from)?;
        let ours = std::env::var_os(STARTED).is_some();
        if let Some(rendezvous) = found {
            if self.gpus.is_some() && !ours {
                return Err(Hinted::error(
                    "--gpus starts the ranks of one machine, but RANK and WORLD_SIZE say that they were started \
                     already"
                        .into(),
                    "leave out --gpus under torchrun or Slurm; otherwise unset RANK and WORLD_SIZE",
                ));
            }
            return Ok(Part::Rank(rendezvous));
        }
        let Some(gpus) = self.gpus else { return Ok(Part::Alone) };
        let there = usize::try_from(tch::Cuda::device_count()).unwrap_or(0);
        let wanted = match gpus {
            Gpus::All => there,
            Gpus::Some(n) => n,
        };
        // On the CPU any number of processes may run, which serves tests.
        if !backend.names_cpu() && (wanted > there || wanted == 0) {
            return Err(Hinted::error(
                format!("--gpus asks for {}, but torch sees {there} GPUs", self.asked()),
                "ask for as many as there are, or leave --gpus out; `splat doctor` says why a GPU is not seen",
            ));
        }
        Ok(if wanted <= 1 { Part::Alone } else { Part::Starts(wanted) })
    }

    fn asked(&self) -> String {
        match self.gpus {
            Some(Gpus::Some(n)) => n.to_string(),
            _ => "all".into(),
        }
    }

    /// Meets the other ranks.
    pub(crate) fn join(&self, rendezvous: &Rendezvous, backend: &Backend) -> Result<Ranks> {
        let timeout = Duration::from_secs(self.dist_timeout);
        let group = Ranks::join(rendezvous, backend.device(), timeout).map_err(splat_train::Error::from)?;
        #[cfg(unix)]
        if std::env::var_os(STARTED).is_some() {
            end_with_parent();
        }
        group.when_stuck(|error| {
            super::print_error(&splat_train::Error::from(error.clone()).into());
            std::process::exit(1);
        });
        Ok(group)
    }

    /// Starts this program once for each of `world` GPUs, and waits for all.
    pub(crate) fn start(&self, world: usize, stop: &Arc<AtomicBool>) -> Result<Ended> {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = port.context("no port of 127.0.0.1 is free")?.port();
        let program = std::env::current_exe().context("this program does not know where it lies")?;
        let mut children = Vec::with_capacity(world);
        for rank in 0..world {
            let mut command = Command::new(&program);
            command.args(std::env::args_os().skip(1));
            for (name, value) in [("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", world)] {
                command.env(name, value.to_string());
            }
            command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", port.to_string()).env(STARTED, "1");
            if std::env::var_os("TORCH_CPP_LOG_LEVEL").is_none() {
                // Torch's warnings about connections repeat what our errors say, with stack traces.
                command.env("TORCH_CPP_LOG_LEVEL", "ERROR");
            }
            children.push(command.spawn().with_context(|| format!("rank {rank} cannot be started"))?);
        }
        self.wait(children, stop)
    }

    fn wait(&self, mut children: Vec<Child>, stop: &AtomicBool) -> Result<Ended> {
        let mut ended: Vec<Option<ExitStatus>> = vec![None; children.len()];
        let mut first_failed: Option<(usize, ExitStatus)> = None;
        let mut deadline = None;
        while ended.iter().any(Option::is_none) {
            for (rank, child) in children.iter_mut().enumerate() {
                if ended[rank].is_some() {
                    continue;
                }
                ended[rank] = child.try_wait().with_context(|| format!("rank {rank} cannot be watched"))?;
                if let Some(status) = ended[rank].filter(|status| !fine(*status)) {
                    first_failed = first_failed.or(Some((rank, status)));
                    // The others notice by themselves; a rank that does not is killed.
                    let patience = Duration::from_secs(self.dist_timeout + 30);
                    deadline = deadline.or_else(|| Some(Instant::now() + patience));
                }
                if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                    let _ = child.kill();
                }
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let Some((rank, status)) = first_failed else {
            let stopped = stop.load(Ordering::Relaxed) || ended.iter().flatten().any(|s| s.code() == Some(3));
            return Ok(if stopped { Ended::Stopped } else { Ended::Done });
        };
        Err(Hinted::error(
            format!("rank {rank} of {} failed first: {status}", ended.len()),
            "its error stands above; if there is a checkpoint, the same command with --resume continues from it, \
             with fewer GPUs if need be",
        ))
    }
}

/// Ends this process when the one that started it has gone, since nobody would hear of its errors.
#[cfg(unix)]
fn end_with_parent() {
    let parent = std::os::unix::process::parent_id();
    std::thread::spawn(move || {
        while std::os::unix::process::parent_id() == parent {
            std::thread::sleep(Duration::from_millis(500));
        }
        std::process::exit(1);
    });
}

/// Whether a rank did what it was asked to: everything, or to stop.
fn fine(status: ExitStatus) -> bool {
    matches!(status.code(), Some(0 | 3))
}

/// What a run on several GPUs cannot do.
pub(crate) fn refuse(option: &str, hint: &str) -> anyhow::Error {
    Hinted::error(format!("{option} does not work on several GPUs"), hint)
}

/// Says how many ranks there are, and on which hosts.
pub(crate) fn introduce(group: &Ranks, batch: usize) {
    let mut hosts: Vec<&str> = (0..group.world()).map(|rank| group.host(rank)).collect();
    hosts.dedup();
    say::note(&format!("{} ranks on {}, {batch} photographs per step", group.world(), hosts.join(", ")));
}
