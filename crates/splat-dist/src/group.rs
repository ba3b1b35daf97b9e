//! The group as a rank sees it: how to join it, what to exchange in it, and how to leave it.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cxx::UniquePtr;
use tch::{Device, Kind, Tensor};

use crate::ffi::{cpp, lend};
use crate::watch::{Shared, alive, because_of, left, watch};
use crate::{Error, Rendezvous, Result};

/// The library made of `cpp/nccl.cpp`, empty without feature `nccl`.
#[cfg(with_nccl)]
static NCCL: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/splat_nccl.so"));
#[cfg(not(with_nccl))]
static NCCL: &[u8] = &[];

/// A group of processes that exchange tensors, as one of them sees it. All ranks must call the same functions in the same
/// order; clones are the same member. When the group has ended, every call gives the error that ended it.
#[derive(Clone)]
pub struct Group(Arc<Member>);

struct Member {
    shared: Arc<Shared>,
    rendezvous: Rendezvous,
    device: Device,
    store: UniquePtr<cpp::Store>,
    /// One exchange at a time.
    turn: Mutex<Times>,
    agreed: AtomicU64,
    watch: Mutex<Option<JoinHandle<()>>>,
}

/// What exchanges have taken so far, by the host's clock.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct Times {
    /// Exchanges of tensors.
    pub exchanges: u64,
    /// Bytes that this rank sent to others.
    pub bytes: u64,
    /// Seconds in [`Group::counts`]: for the device to catch up and for the other ranks to come.
    pub waiting: f64,
    /// Seconds in all other exchanges; on a GPU that is the time to queue them.
    pub exchanging: f64,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Group(rank {} of {} on {:?})", self.rank(), self.world(), self.device())
    }
}

impl Group {
    /// Makes a GPU the current one of this thread; does nothing for the CPU. A rank calls it before anything else uses a GPU:
    /// what works on the current device by the way then does not take memory of the first one, which is another rank's.
    ///
    /// # Errors
    /// [`Error::Torch`] if there is no such device.
    pub fn use_device(device: Device) -> Result<()> {
        let Device::Cuda(index) = device else { return Ok(()) };
        cpp::make_current(i32::try_from(index).unwrap_or(i32::MAX)).map_err(torch)
    }

    /// Meets the other ranks; tensors are on `device`, a GPU of this rank's own or the CPU. A rank that is lost, or that keeps
    /// the others waiting for longer than `timeout`, ends the group.
    ///
    /// # Errors
    /// All but [`Error::Differs`] and [`Error::Lost`].
    pub fn join(rendezvous: &Rendezvous, device: Device, timeout: Duration) -> Result<Self> {
        let r = rendezvous.clone();
        let (host, milliseconds) = (host(), timeout.as_millis() as u64);
        let connect = |serve: bool| {
            cpp::connect(&r.address, r.port, serve, milliseconds)
                .map_err(|e| refused(&r, &host, serve, e.what()))
        };
        let store = connect(r.rank == 0 && !r.store_runs)?;
        store.set(&alive(r.rank), "0 0").map_err(torch)?;
        store.set(&format!("host/{}", r.rank), &host).map_err(torch)?;
        let hosts = all_hosts(&store, &r, timeout)?;
        let carrier = carrier(&store, &r, device, milliseconds)?;
        let shared = Arc::new(Shared {
            rank: r.rank,
            hosts,
            timeout,
            carrier,
            begun: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            over: AtomicBool::new(false),
            lost: Mutex::new(None),
            stuck: Mutex::new(None),
        });
        // A connection of its own, because the other may be busy in an exchange.
        let own = connect(false)?;
        let watched = shared.clone();
        let watch = std::thread::spawn(move || watch(&watched, &own));
        Ok(Self(Arc::new(Member {
            shared,
            rendezvous: r,
            device,
            store,
            turn: Mutex::default(),
            agreed: AtomicU64::new(0),
            watch: Mutex::new(Some(watch)),
        })))
    }

    /// The number of this rank, from 0.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.0.rendezvous.rank
    }

    /// The number of ranks.
    #[must_use]
    pub fn world(&self) -> usize {
        self.0.rendezvous.world
    }

    /// Where this rank's tensors are.
    #[must_use]
    pub fn device(&self) -> Device {
        self.0.device
    }

    /// The host of a rank.
    ///
    /// # Panics
    /// If there is no such rank.
    #[must_use]
    pub fn host(&self, rank: usize) -> &str {
        &self.0.shared.hosts[rank]
    }

    /// What exchanges have taken so far.
    #[must_use]
    pub fn times(&self) -> Times {
        *self.0.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the watch calls, on a thread of its own, if the group has ended and this rank does not come back from whatever it
    /// is doing within a few seconds: typically a function that says so and ends the process.
    pub fn when_stuck(&self, call: impl FnOnce(&Error) + Send + 'static) {
        *self.0.shared.stuck.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(call));
    }

    /// Does what may take long on this rank alone, such as writing a large file: the others may wait for it longer than the
    /// group's timeout.
    pub fn busy<T>(&self, work: impl FnOnce() -> T) -> T {
        self.0.shared.busy.store(true, Ordering::SeqCst);
        let done = work();
        self.0.shared.busy.store(false, Ordering::SeqCst);
        done
    }

    /// Adds up `tensor` over all ranks, in place: contiguous, of the same shape and kind everywhere.
    ///
    /// # Errors
    /// [`Error::Lost`]; [`Error::Torch`].
    pub fn all_reduce(&self, tensor: &mut Tensor) -> Result<()> {
        let bytes = tensor.numel() * tensor.f_kind()?.elt_size_in_bytes();
        self.exchange(bytes, |carrier| carrier.sum(lend(tensor)))
    }

    /// Sends `counts[r]` rows of `tensor` to rank `r`, those for rank 0 first, and gives the rows that come: `receive[r]` rows
    /// from rank `r`, in the order of the ranks.
    ///
    /// # Errors
    /// [`Error::Lost`]; [`Error::Torch`].
    pub fn all_to_all(&self, tensor: &Tensor, counts: &[i64], receive: &[i64]) -> Result<Tensor> {
        let tensor = tensor.f_detach()?.f_contiguous()?;
        let mut shape = tensor.size();
        let rows = shape[0];
        if (counts.len(), receive.len(), counts.iter().sum()) != (self.world(), self.world(), rows) {
            return Err(Error::Torch(format!(
                "{rows} rows are to go to {} ranks by counts {counts:?} and {receive:?}",
                self.world()
            )));
        }
        shape[0] = receive.iter().sum();
        let out = Tensor::f_empty(shape.as_slice(), (tensor.f_kind()?, tensor.device()))?;
        let size = tensor.numel() / (rows.max(1) as usize) * tensor.f_kind()?.elt_size_in_bytes();
        let bytes = (rows - counts[self.rank()]) as usize * size;
        self.exchange(bytes, |carrier| carrier.exchange(lend(&out), lend(&tensor), receive, counts))?;
        Ok(out)
    }

    /// Tells every rank how many rows it will get, `[W]` `Int64` on the device, and gives both as numbers: how many this rank
    /// sends to each rank, and how many it gets from each. Waits for the device and for the others.
    ///
    /// # Errors
    /// [`Error::Lost`]; [`Error::Torch`].
    pub fn counts(&self, send: &Tensor) -> Result<(Vec<i64>, Vec<i64>)> {
        self.counts_while(send, || ()).map(|(send, receive, ())| (send, receive))
    }

    /// The same, and does `work` while the numbers travel, so that the device is not idle meanwhile.
    ///
    /// # Errors
    /// As [`Group::counts`].
    pub fn counts_while<T>(
        &self,
        send: &Tensor,
        work: impl FnOnce() -> T,
    ) -> Result<(Vec<i64>, Vec<i64>, T)> {
        let (begin, before) = (Instant::now(), self.times().exchanging);
        let one = vec![1; self.world()];
        let got = self.all_to_all(send, &one, &one)?;
        let both = Tensor::f_cat(&[send, &got], 0)?;
        let done = work();
        let numbers = Vec::<i64>::try_from(&both.f_to_device(Device::Cpu)?)?;
        // A broken exchange ends without an error on the device; what it left is not to be used.
        self.check()?;
        let mut times = self.0.turn.lock().unwrap_or_else(PoisonError::into_inner);
        times.waiting += begin.elapsed().as_secs_f64();
        times.exchanging = before;
        drop(times);
        let (send, got) = numbers.split_at(self.world());
        Ok((send.to_vec(), got.to_vec(), done))
    }

    /// The numbers of all ranks, in their order; waits for them.
    ///
    /// # Errors
    /// [`Error::Lost`]; [`Error::Torch`].
    pub fn all_gather(&self, number: i64) -> Result<Vec<i64>> {
        let send = Tensor::f_full([self.world() as i64], number, (Kind::Int64, self.device()))?;
        Ok(self.counts(&send)?.1)
    }

    /// The rows of all ranks, those of rank 0 first, on every rank.
    ///
    /// # Errors
    /// [`Error::Lost`]; [`Error::Torch`].
    pub fn all_rows(&self, tensor: &Tensor) -> Result<Tensor> {
        let rows = tensor.size()[0];
        let receive = self.all_gather(rows)?;
        let copies = vec![tensor; self.world()];
        self.all_to_all(&Tensor::f_cat(&copies, 0)?, &vec![rows; self.world()], &receive)
    }

    /// Returns when all ranks have come here.
    ///
    /// # Errors
    /// [`Error::Lost`]; [`Error::Torch`].
    pub fn barrier(&self) -> Result<()> {
        self.all_gather(0).map(drop)
    }

    /// Checks that `value` is the same on all ranks, which must come here in the same order.
    ///
    /// # Errors
    /// [`Error::Differs`] on every rank if it is not; [`Error::Lost`].
    pub fn agree(&self, what: &str, value: &str) -> Result<()> {
        let number = self.0.agreed.fetch_add(1, Ordering::SeqCst);
        let key = |rank: usize| format!("agree/{number}/{rank}");
        self.0.store.set(&key(self.rank()), value).map_err(torch)?;
        self.barrier()?;
        let here = self.0.store.get(&key(0)).map_err(torch)?;
        for rank in 1..self.world() {
            let there = self.0.store.get(&key(rank)).map_err(torch)?;
            if there != here {
                let host = self.host(rank).to_owned();
                return Err(Error::Differs { what: what.to_owned(), rank, host, here, there });
            }
        }
        Ok(())
    }

    /// The error that ended the group, if it has ended so.
    ///
    /// # Errors
    /// [`Error::Lost`].
    pub fn check(&self) -> Result<()> {
        self.0.shared.error().map_or(Ok(()), Err)
    }

    /// Leaves the group: without `cause` in order, after all exchanges, for which it waits for the others; with a cause at
    /// once, and the others learn it. The first call counts.
    ///
    /// # Errors
    /// [`Error::Lost`] if the group has ended in disorder.
    pub fn leave(&self, cause: Option<&str>) -> Result<()> {
        self.0.leave(cause)
    }

    fn exchange(
        &self,
        bytes: usize,
        call: impl FnOnce(&cpp::Carrier) -> Result<(), cxx::Exception>,
    ) -> Result<()> {
        let member = &self.0;
        let mut times = member.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.check()?;
        member.shared.begun.fetch_add(1, Ordering::SeqCst);
        let begin = Instant::now();
        let done = call(&member.shared.carrier);
        times.exchanges += 1;
        times.bytes += bytes as u64;
        times.exchanging += begin.elapsed().as_secs_f64();
        drop(times);
        let Err(failed) = done else { return Ok(()) };
        // If the watch soon finds what broke the exchange, that is the error to report.
        let end = Instant::now() + member.shared.timeout;
        while Instant::now() < end {
            self.check()?;
            std::thread::sleep(Duration::from_millis(20));
        }
        self.check()?;
        Err(Error::Torch(first_line(failed.what())))
    }
}

impl Member {
    fn leave(&self, cause: Option<&str>) -> Result<()> {
        let shared = &self.shared;
        if shared.over.load(Ordering::SeqCst) {
            return shared.error().map_or(Ok(()), Err);
        }
        let begun = shared.begun.load(Ordering::SeqCst);
        let lost = shared.error();
        let why = match &lost {
            Some(Error::Lost { rank, cause, .. }) => because_of(*rank, cause),
            _ => cause.unwrap_or_default().replace('\n', " "),
        };
        let told = self.store.set(&left(shared.rank), format!("{begun} {why}").trim_end());
        let ended = match (cause, &lost) {
            (None, None) if told.is_ok() => shared.carrier.shutdown(),
            // Nobody comes to an exchange that is still under way. After a loss the watch has ended it.
            (_, None) => shared.carrier.abort(),
            _ => Ok(()),
        };
        // The process leaves in any case, for the reason that it has already.
        drop(ended);
        // The rank that keeps the store stays until the others have read what they need.
        let keeps = shared.rank == 0 && !self.rendezvous.store_runs;
        let end = Instant::now() + shared.timeout.min(Duration::from_secs(10));
        for rank in (0..shared.hosts.len()).filter(|_| keeps) {
            while Instant::now() < end && !self.store.has(&left(rank)).unwrap_or(true) {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        shared.over.store(true, Ordering::SeqCst);
        let watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(watch) = watch {
            let _ = watch.join();
        }
        lost.map_or(Ok(()), Err)
    }
}

impl Drop for Member {
    /// A member that is dropped without leaving leaves with a cause, so that nobody waits for it.
    fn drop(&mut self) {
        let _ = self.leave(Some("it left without saying why"));
    }
}

/// By NCCL for GPUs, through the store for the CPU.
fn carrier(
    store: &cpp::Store,
    r: &Rendezvous,
    device: Device,
    timeout: u64,
) -> Result<UniquePtr<cpp::Carrier>> {
    let (rank, world) = (r.rank as i32, r.world as i32);
    // The limit of an exchange itself comes long after ours: the watch names who is to blame, and knows who is busy.
    let torchs = timeout.saturating_mul(10);
    if !device.is_cuda() {
        return cpp::carry_by_store(store, rank, world, torchs).map_err(torch);
    }
    if NCCL.is_empty() {
        return Err(Error::NoNccl("this program was built without the feature `nccl`".into()));
    }
    cpp::carry_by_nccl(store, rank, world, torchs, NCCL).map_err(|e| Error::NoNccl(first_line(e.what())))
}

fn torch(e: cxx::Exception) -> Error {
    Error::Torch(first_line(e.what()))
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim_end().to_owned()
}

fn refused(r: &Rendezvous, host: &str, serve: bool, text: &str) -> Error {
    let in_use = ["EADDRINUSE", "address already in use", "failed to listen"];
    if serve && in_use.iter().any(|sign| text.contains(sign)) {
        return Error::PortInUse { address: r.address.clone(), port: r.port };
    }
    Error::Unreachable {
        rank: r.rank,
        host: host.to_owned(),
        address: r.address.clone(),
        port: r.port,
        reason: first_line(text),
    }
}

/// The key under which a rank that gives up waiting names those that did not come.
const MISSING: &str = "missing";

/// The hosts of all ranks, when all have come.
fn all_hosts(store: &cpp::Store, r: &Rendezvous, timeout: Duration) -> Result<Vec<String>> {
    let mut hosts = Vec::with_capacity(r.world);
    let end = Instant::now() + timeout;
    let missing = |missing: String| Error::Missing { seconds: timeout.as_secs(), world: r.world, missing };
    for rank in 0..r.world {
        let key = format!("host/{rank}");
        while !store.has(&key).map_err(torch)? {
            if store.has(MISSING).map_err(torch)? {
                return Err(missing(store.get(MISSING).map_err(torch)?));
            }
            if Instant::now() > end {
                let absent = |rank: &usize| !store.has(&format!("host/{rank}")).unwrap_or(false);
                let absent: Vec<String> = (0..r.world).filter(absent).map(|n| format!("rank {n}")).collect();
                let absent = absent.join(", ");
                let _ = store.set(MISSING, &absent);
                // If the store goes with this process, the others read this first.
                std::thread::sleep(Duration::from_millis(500));
                return Err(missing(absent));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        hosts.push(store.get(&key).map_err(torch)?);
    }
    Ok(hosts)
}

/// The name of this machine.
fn host() -> String {
    let named = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let named =
        named.or_else(|| std::env::var("HOSTNAME").ok()).or_else(|| std::env::var("COMPUTERNAME").ok());
    named
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".into())
}
