//! Damaged files for every parser: datasets on disk, and every format in memory. Whatever the bytes, there is a result or
//! an error that names a file, with a bounded amount of work and no panic.
//!
//! `a_long_run` tries `SPLAT_FUZZ_CASES` cases (200,000) from `SPLAT_FUZZ_SEED` and prints its figures, and every minute
//! how far it is: `cargo test --release -p splat-scene --test fuzz -- --ignored --nocapture`.
#![expect(clippy::print_stdout, reason = "the long run prints what it measured")]

#[path = "../common/mod.rs"]
mod common;
mod damage;
mod datasets;
mod on_disk;
mod parsers;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use damage::Rng;
use on_disk::Datasets;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

/// Counts the allocations of this process, in which one test runs at a time.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// The most that a case may allocate in total, in bytes. The sound files are a few kilobytes, and pictures 24 x 16 pixels;
/// the work of every stage is proportional to what it allocates, so this bounds the work without a clock. The cases of the
/// short tests need up to 0.7 MB on disk, and in memory 70 MB, where streams claim to expand up to their limit.
const MOST_ALLOCATED: usize = 8 << 20;
const MOST_ALLOCATED_IN_MEMORY: usize = 512 << 20;

/// In the long run, one case in so many is a dataset, and the others are for parsers in memory.
const DATASET_EVERY: usize = 500;

#[derive(Debug, Default)]
struct Figures {
    panics: usize,
    read: usize,
    refused: usize,
    /// Views of datasets that opened.
    unloadable: usize,
    /// The largest number of bytes that a case allocated.
    most_allocated: usize,
    slowest: Duration,
    /// Cases that took more than a second three times.
    hangs: usize,
}

impl Figures {
    /// Runs a case, which returns whether its input was read, and how many views could not be loaded.
    fn count(&mut self, case: impl Fn() -> (bool, usize), what: impl Fn() -> String) {
        let region = Region::new(ALLOCATOR);
        let start = Instant::now();
        let answer = catch_unwind(AssertUnwindSafe(&case));
        let mut took = start.elapsed();
        self.most_allocated = self.most_allocated.max(region.change().bytes_allocated);
        match answer {
            Ok((read, unloadable)) => {
                self.read += usize::from(read);
                self.refused += usize::from(!read);
                self.unloadable += unloadable;
                // Another program may have had the processor.
                for _ in 0..2 {
                    if took > Duration::from_secs(1) {
                        let start = Instant::now();
                        case();
                        took = took.min(start.elapsed());
                    }
                }
            }
            Err(_) => {
                println!("panicked: {}", what());
                self.panics += 1;
            }
        }
        self.slowest = self.slowest.max(took);
        if took > Duration::from_secs(1) {
            println!("took {took:?}: {}", what());
            self.hangs += 1;
        }
    }
}

/// A case for one of the parsers in memory.
fn in_memory(case: usize, parsers: &[parsers::Parser], rng: &mut Rng, figures: &mut Figures) {
    // Decoding pictures and packing archives takes a hundred times as long as the rest.
    let slow = case.is_multiple_of(50);
    let those: Vec<_> = parsers.iter().filter(|p| p.slow == slow).collect();
    let parser = those[rng.below(those.len())];
    let bytes = parser.damaged(rng);
    let answer = || {
        let result = (parser.parse)(&bytes);
        if let Err(error) = &result {
            assert!(error.contains(parsers::PATH), "no file is named: {error}");
        }
        (result.is_ok(), 0)
    };
    figures.count(answer, || format!("{}, case {case}: {} bytes", parser.name, bytes.len()));
}

/// Datasets, then files in memory: one after the other, because allocations are counted for the whole process.
#[test]
fn damaged_files_are_answered() {
    damaged_datasets();
    damaged_files_in_memory();
}

fn damaged_datasets() {
    let mut figures = Figures::default();
    let (datasets, mut rng) = (Datasets::new(), Rng(0x5eed));
    (0..600).for_each(|case| datasets.damaged(case, &mut rng, &mut figures));
    assert_eq!(figures.panics, 0);
    assert!(figures.read > 120 && figures.refused > 120 && figures.unloadable > 10, "{figures:?}");
    assert!(figures.most_allocated < MOST_ALLOCATED, "{figures:?}");
}

fn damaged_files_in_memory() {
    let mut figures = Figures::default();
    let (parsers, mut rng) = (parsers::all(), Rng(0x5eed));
    (0..4000).for_each(|case| in_memory(case, &parsers, &mut rng, &mut figures));
    assert_eq!(figures.panics, 0);
    assert!(figures.read > 400 && figures.refused > 1000, "{figures:?}");
    assert!(figures.most_allocated < MOST_ALLOCATED_IN_MEMORY, "{figures:?}");
}

#[test]
#[ignore = "minutes; prints figures"]
fn a_long_run() {
    let cases: usize = std::env::var("SPLAT_FUZZ_CASES").map_or(200_000, |n| n.parse().unwrap());
    let seed = std::env::var("SPLAT_FUZZ_SEED").map_or(0xfeed_f00d, |n| n.parse().unwrap());
    let (mut on_disk, mut in_memory_figures) = (Figures::default(), Figures::default());
    let (datasets, parsers, mut rng) = (Datasets::new(), parsers::all(), Rng(seed));
    let start = Instant::now();
    let mut said = start;
    let told = |case: usize, on_disk: &Figures, in_memory: &Figures| {
        let minutes = start.elapsed().as_secs_f64() / 60.0;
        println!("{case} cases in {minutes:.1} min, peak memory {}", peak_memory());
        println!("  datasets: {on_disk:?}\n  in memory: {in_memory:?}");
    };
    for case in 0..cases {
        // A dataset is written, opened and loaded, which takes milliseconds.
        if case.is_multiple_of(DATASET_EVERY) {
            datasets.damaged(case / DATASET_EVERY, &mut rng, &mut on_disk);
        } else {
            in_memory(case, &parsers, &mut rng, &mut in_memory_figures);
        }
        if said.elapsed() > Duration::from_secs(60) {
            said = Instant::now();
            told(case + 1, &on_disk, &in_memory_figures);
        }
    }
    told(cases, &on_disk, &in_memory_figures);
    assert_eq!((on_disk.panics, in_memory_figures.panics), (0, 0));
}

fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.map_or("unknown".into(), |l| l.trim().to_owned())
}
