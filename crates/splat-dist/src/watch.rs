//! The watch over the other ranks: a thread with a connection of its own. It reports that this rank is alive, and checks whether
//! the others are, whether they have left, and whether they take part in the exchanges that this rank waits in.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cxx::UniquePtr;

use crate::Error;
use crate::ffi::cpp;

/// What the group and its watch share.
pub(crate) struct Shared {
    pub(crate) rank: usize,
    /// Of every rank.
    pub(crate) hosts: Vec<String>,
    pub(crate) timeout: Duration,
    pub(crate) carrier: UniquePtr<cpp::Carrier>,
    /// Exchanges begun.
    pub(crate) begun: AtomicU64,
    /// Whether this rank is doing something for which the others may wait as long as it takes.
    pub(crate) busy: AtomicBool,
    /// Whether the group has ended in order.
    pub(crate) over: AtomicBool,
    /// Why the group has ended otherwise.
    pub(crate) lost: Mutex<Option<Error>>,
    /// Called by the watch if this rank itself does not notice the end of the group.
    pub(crate) stuck: Mutex<Option<Stuck>>,
}

/// What to do about the end of the group.
pub(crate) type Stuck = Box<dyn FnOnce(&Error) + Send>;

/// The key under which a rank says how far it is.
pub(crate) fn alive(rank: usize) -> String {
    format!("alive/{rank}")
}

/// The key under which a rank says after how many exchanges it left, and why.
pub(crate) fn left(rank: usize) -> String {
    format!("left/{rank}")
}

/// What was last seen of a rank.
struct Seen {
    text: String,
    at: Instant,
    begun: u64,
    /// When it was last seen to begin an exchange.
    still: Instant,
}

impl Shared {
    pub(crate) fn error(&self) -> Option<Error> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn lose(&self, rank: usize, cause: String) -> Error {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        let host = self.hosts.get(rank).cloned().unwrap_or_default();
        let error = || Error::Lost { rank, host, cause };
        lost.get_or_insert_with(error).clone()
    }

    /// What this rank says of itself: a number that changes, exchanges begun, and a word if it is busy.
    pub(crate) fn progress(&self, beat: u64) -> String {
        let busy = if self.busy.load(Ordering::SeqCst) { " busy" } else { "" };
        format!("{beat} {}{busy}", self.begun.load(Ordering::SeqCst))
    }

    /// Looks at all ranks once, and returns the first that is lost, and why.
    fn look(&self, store: &cpp::Store, seen: &mut [Seen]) -> Result<Option<(usize, String)>, cxx::Exception> {
        let now = Instant::now();
        let own = self.begun.load(Ordering::SeqCst);
        for (rank, seen) in seen.iter_mut().enumerate() {
            if rank != self.rank && store.has(&left(rank))? {
                let text = store.get(&left(rank))?;
                let (begun, cause) = text.split_once(' ').unwrap_or((&text, ""));
                // A rank that left in order has done everything that the others need from it, unless they begin another exchange.
                if !cause.is_empty() || begun.parse().unwrap_or(0) < own {
                    let cause = if cause.is_empty() { "it left the group" } else { cause };
                    return Ok(Some(blame(rank, cause)));
                }
                (seen.begun, seen.still) = (own, now);
                continue;
            }
            let text = if rank == self.rank { self.progress(0) } else { store.get(&alive(rank))? };
            let mut words = text.split(' ').skip(1);
            let begun = words.next().and_then(|n| n.parse().ok()).unwrap_or(0);
            if words.next().is_some() {
                seen.still = now;
            }
            if text != seen.text {
                (seen.text, seen.at) = (text, now);
            }
            if begun != seen.begun {
                (seen.begun, seen.still) = (begun, now);
            }
            if rank != self.rank && now - seen.at > self.timeout {
                let seconds = self.timeout.as_secs_f64();
                return Ok(Some((rank, format!("it gave no sign of life for {seconds:.0} s"))));
            }
        }
        // A rank that waits in an exchange waits for those that have not begun it.
        let most = seen.iter().map(|s| s.begun).max().unwrap_or(0);
        let behind = seen.iter().position(|s| s.begun < most && now - s.still > self.timeout);
        let others_wait = seen.iter().any(|s| s.begun == most && now - s.still > self.timeout);
        Ok(behind.filter(|_| others_wait).map(|rank| {
            let seconds = self.timeout.as_secs_f64();
            (rank, format!("it hangs: the others have waited {seconds:.0} s for it in exchange {most}"))
        }))
    }
}

/// What a rank says when it leaves because of another one.
pub(crate) fn because_of(rank: usize, cause: &str) -> String {
    format!("@{rank} {cause}")
}

/// The rank to blame, and why, from what `rank` said when it left.
fn blame(rank: usize, said: &str) -> (usize, String) {
    let other = said.strip_prefix('@').and_then(|said| said.split_once(' '));
    let other = other.and_then(|(other, cause)| Some((other.parse().ok()?, cause.to_owned())));
    other.unwrap_or_else(|| (rank, said.to_owned()))
}

/// Watches until the group is over or lost.
pub(crate) fn watch(shared: &Arc<Shared>, store: &cpp::Store) {
    let every = (shared.timeout / 20).clamp(Duration::from_millis(50), Duration::from_secs(1));
    let now = Instant::now();
    let seen = || Seen { text: String::new(), at: now, begun: 0, still: now };
    let mut all: Vec<Seen> = shared.hosts.iter().map(|_| seen()).collect();
    let mut beat = 0_u64;
    while !shared.over.load(Ordering::SeqCst) {
        beat += 1;
        let looked = store
            .set(&alive(shared.rank), &shared.progress(beat))
            .and_then(|()| shared.look(store, &mut all));
        let found = match looked {
            Ok(found) => found,
            // The store lives with rank 0, or with its launcher.
            Err(_) => Some((0, "the store that it keeps does not answer any more".into())),
        };
        if let Some((rank, cause)) = found {
            if shared.over.load(Ordering::SeqCst) {
                return;
            }
            let error = shared.lose(rank, cause);
            // Ends the exchange in which this rank may be waiting, so that it comes back with the error.
            let _ = shared.carrier.abort();
            give_time(shared, every);
            let stuck = shared.stuck.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(stuck) = stuck.filter(|_| !shared.over.load(Ordering::SeqCst)) {
                stuck(&error);
            }
            return;
        }
        std::thread::sleep(every);
    }
}

/// Lets the rank come back and leave by itself.
fn give_time(shared: &Shared, every: Duration) {
    let end = Instant::now() + (shared.timeout / 4).clamp(Duration::from_secs(2), Duration::from_secs(10));
    while Instant::now() < end && !shared.over.load(Ordering::SeqCst) {
        std::thread::sleep(every);
    }
}
