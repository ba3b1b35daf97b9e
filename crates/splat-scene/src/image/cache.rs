//! Decoded pictures within a memory budget: background threads decode them in the order in which they will be asked for,
//! and they are dropped when others need the memory and decoded again when they are asked for again.
//!
//! In memory a picture takes 8 bits per channel. The results do not depend on the budget or on the number of threads;
//! only the time does.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::{Picture, Result, View};

/// A cache of [`Picture`]s with a memory budget. Threads may share it.
#[derive(Debug)]
pub struct PictureCache {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

/// What a [`PictureCache`] has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CacheStats {
    /// Bytes of the pictures in memory, including those that are being decoded.
    pub held: u64,
    /// The largest value that `held` has had.
    pub peak: u64,
    /// Number of pictures decoded.
    pub loads: u64,
    /// Number of requests answered from memory without waiting.
    pub hits: u64,
    /// Number of pictures dropped to make room for others.
    pub evictions: u64,
}

#[derive(Debug)]
struct Shared {
    views: Vec<View>,
    budget: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    slots: Vec<Slot>,
    /// When each view is needed next: its position in the announced order, or `NOT_DUE`.
    due: Vec<usize>,
    coming: VecDeque<usize>,
    clock: u64,
    closing: bool,
    stats: CacheStats,
}

const NOT_DUE: usize = usize::MAX;

#[derive(Debug)]
enum Slot {
    Empty,
    /// Being decoded, with this number of bytes reserved.
    Loading(u64),
    Ready {
        picture: Arc<Picture>,
        used: u64,
    },
    /// A background thread could not read it. The next request reads it again and gets the error.
    Failed,
}

impl PictureCache {
    /// A cache of the pictures of `views` that keeps at most `budget_bytes`, but at least one picture.
    ///
    /// If the background threads have taken the whole budget, a picture that a waiting [`get`](Self::get) decodes comes
    /// on top of it. Pictures that callers hold are not counted.
    #[must_use]
    pub fn new(views: &[View], budget_bytes: u64) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::with_threads(views, budget_bytes, (cores / 2).clamp(1, 8))
    }

    /// Like [`new`](Self::new), with this number of background threads. Without any, [`prefetch`](Self::prefetch) has no
    /// effect.
    #[must_use]
    pub fn with_threads(views: &[View], budget_bytes: u64, threads: usize) -> Self {
        let state = State {
            slots: views.iter().map(|_| Slot::Empty).collect(),
            due: vec![NOT_DUE; views.len()],
            coming: VecDeque::new(),
            clock: 0,
            closing: false,
            stats: CacheStats::default(),
        };
        let shared = Arc::new(Shared {
            views: views.to_vec(),
            budget: budget_bytes,
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let spawn = |i| {
            let shared = Arc::clone(&shared);
            // If the system refuses a thread, there is one less: `get` decodes what is not there.
            std::thread::Builder::new().name(format!("pictures-{i}")).spawn(move || shared.work()).ok()
        };
        let workers = (0..threads).filter_map(spawn).collect();
        Self { shared, workers }
    }

    /// The picture of view `i`; it is decoded now if it is not in memory.
    ///
    /// # Errors
    /// As [`View::load`].
    ///
    /// # Panics
    /// Panics if there is no view `i`.
    pub fn get(&self, i: usize) -> Result<Arc<Picture>> {
        let shared = &self.shared;
        let mut state = shared.lock();
        let mut waited = false;
        loop {
            match state.slots[i] {
                Slot::Ready { .. } => {
                    state.stats.hits += u64::from(!waited);
                    break;
                }
                Slot::Loading(_) => {
                    waited = true;
                    state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                Slot::Empty | Slot::Failed => {
                    // It is asked for now, so it is no longer expected, and may be the first to be dropped.
                    state.due[i] = NOT_DUE;
                    let bytes = shared.needs(i);
                    let bytes = if state.make_room(bytes, shared.budget, 0) { bytes } else { 0 };
                    state.begin(i, bytes);
                    drop(state);
                    return shared.load(i);
                }
            }
        }
        state.clock += 1;
        let now = state.clock;
        state.due[i] = NOT_DUE;
        let Slot::Ready { picture, used } = &mut state.slots[i] else { unreachable!("left the loop on it") };
        *used = now;
        let picture = Arc::clone(picture);
        drop(state);
        // It may be dropped from now on, which may make room for another.
        shared.changed.notify_all();
        Ok(picture)
    }

    /// Announces the order in which views will be asked for; it replaces the previous one. The background threads decode
    /// as far ahead as the budget allows, and the picture that is needed last is dropped first. If a view is listed twice,
    /// only the first time counts.
    ///
    /// # Panics
    /// Panics if `order` contains an index that is not a view.
    pub fn prefetch(&self, order: &[usize]) {
        let mut state = self.shared.lock();
        state.due.fill(NOT_DUE);
        state.coming.clear();
        for (place, &i) in order.iter().enumerate() {
            if state.due[i] == NOT_DUE {
                state.due[i] = place;
                state.coming.push_back(i);
            }
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    /// What the cache holds and has done so far.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        self.shared.lock().stats
    }
}

impl Drop for PictureCache {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.changed.notify_all();
        for worker in self.workers.drain(..) {
            // A thread that panicked has reported it on stderr, and its picture is marked as failed.
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes to reserve while view `i` is decoded: the picture, and the pixels of the file it is made from.
    fn needs(&self, i: usize) -> u64 {
        self.views[i].bytes_at_most() + self.views[i].scratch_bytes()
    }

    /// The background threads: decode what is needed next and fits, until the cache is dropped.
    fn work(&self) {
        let mut state = self.lock();
        while !state.closing {
            while state.coming.front().is_some_and(|&i| !matches!(state.slots[i], Slot::Empty)) {
                state.coming.pop_front();
            }
            if let Some(&i) = state.coming.front()
                && state.due[i] != NOT_DUE
            {
                let (bytes, due) = (self.needs(i), state.due[i]);
                if state.make_room(bytes, self.budget, due) {
                    state.coming.pop_front();
                    state.begin(i, bytes);
                    drop(state);
                    // The next request decodes it again and gets the error.
                    let _ = self.load(i);
                    state = self.lock();
                    continue;
                }
            } else if state.coming.pop_front().is_some() {
                // It was asked for, and dropped, before its turn came.
                continue;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Decodes view `i`, whose slot is marked as loading, and fills the slot.
    fn load(&self, i: usize) -> Result<Arc<Picture>> {
        /// Releases the reserved bytes whatever happens, so that nobody waits forever.
        struct Loading<'a>(&'a Shared, usize, Option<Arc<Picture>>);
        impl Drop for Loading<'_> {
            fn drop(&mut self) {
                self.0.lock().end(self.1, self.2.take(), self.0.budget);
                self.0.changed.notify_all();
            }
        }
        let mut loading = Loading(self, i, None);
        let picture = Arc::new(self.views[i].load()?);
        loading.2 = Some(Arc::clone(&picture));
        Ok(picture)
    }
}

impl State {
    /// Drops pictures that are needed later than `due` until `bytes` more fit, and returns whether they fit. The first
    /// picture always fits.
    fn make_room(&mut self, bytes: u64, budget: u64, due: usize) -> bool {
        while self.stats.held > 0 && self.stats.held.saturating_add(bytes) > budget {
            let last = self
                .slots
                .iter()
                .enumerate()
                .filter_map(|(i, slot)| match slot {
                    Slot::Ready { used, .. } => Some((self.due[i], std::cmp::Reverse(*used), i)),
                    _ => None,
                })
                .max();
            let Some((_, _, i)) = last.filter(|&(when, ..)| when > due) else { return false };
            if let Slot::Ready { picture, .. } = std::mem::replace(&mut self.slots[i], Slot::Empty) {
                self.stats.held -= picture.bytes();
                self.stats.evictions += 1;
            }
        }
        true
    }

    fn begin(&mut self, i: usize, bytes: u64) {
        self.slots[i] = Slot::Loading(bytes);
        self.stats.held += bytes;
        self.stats.peak = self.stats.peak.max(self.stats.held);
        self.stats.loads += 1;
    }

    /// Ends what [`begin`](Self::begin) began. The picture is kept if it fits.
    fn end(&mut self, i: usize, picture: Option<Arc<Picture>>, budget: u64) {
        let Slot::Loading(reserved) = self.slots[i] else { unreachable!("only its loader ends a load") };
        self.stats.held -= reserved;
        self.clock += 1;
        let used = self.clock;
        self.slots[i] = match picture {
            None => Slot::Failed,
            Some(picture) if self.stats.held == 0 || self.stats.held + picture.bytes() <= budget => {
                self.stats.held += picture.bytes();
                self.stats.peak = self.stats.peak.max(self.stats.held);
                Slot::Ready { picture, used }
            }
            Some(_) => Slot::Empty,
        };
    }
}
