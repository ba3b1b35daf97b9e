//! The picture cache: the pictures do not depend on the budget, the budget is not exceeded, and errors reach every
//! caller.

use std::path::Path;

use splat_scene::{Dataset, OpenOptions, Photo, PictureCache, save_png};

const N: usize = 12;
/// 40 x 20 RGB; a cache reserves four channels until it knows better.
const PICTURE: u64 = 40 * 20 * 3;
const RESERVED: u64 = 40 * 20 * 4;

fn dataset(root: &Path) -> Dataset {
    let sparse = root.join("sparse/0");
    std::fs::create_dir_all(&sparse).unwrap();
    std::fs::create_dir_all(root.join("images")).unwrap();
    std::fs::write(sparse.join("cameras.txt"), "1 PINHOLE 40 20 30 32 20 10\n").unwrap();
    let images: String = (0..N).map(|i| format!("{i} 1 0 0 0 {i} 0 0 1 {i:02}.png\n\n")).collect();
    std::fs::write(sparse.join("images.txt"), images).unwrap();
    std::fs::write(sparse.join("points3D.txt"), "").unwrap();
    for i in 0..N {
        save_png(root.join(format!("images/{i:02}.png")), 40, 20, &vec![i as u8; PICTURE as usize]).unwrap();
    }
    Dataset::open(root, &OpenOptions::default()).unwrap()
}

fn is(photo: &Photo, i: usize) {
    assert!(
        (photo.width, photo.height) == (40, 20) && photo.pixels.iter().all(|&p| p == i as u8),
        "view {i}"
    );
}

/// Epochs in changing orders, with no to four background threads, and with budgets from nothing to everything.
#[test]
fn pictures_do_not_depend_on_the_budget_and_memory_does() {
    let dir = tempfile::tempdir().unwrap();
    let d = dataset(dir.path());
    for threads in [0, 1, 4] {
        for budget in [0, 1, RESERVED, 3 * RESERVED, u64::MAX] {
            let cache = PictureCache::with_threads(&d.views, budget, threads);
            for epoch in 0..3 {
                let order: Vec<usize> = (0..N).map(|i| (i * 5 + epoch * 7) % N).collect();
                cache.prefetch(&order);
                order.iter().for_each(|&i| is(&cache.get(i).unwrap().photo, i));
            }
            let stats = cache.stats();
            assert!(stats.peak <= budget.max(RESERVED), "{budget}: {stats:?}");
            if budget == u64::MAX {
                assert_eq!((stats.loads, stats.evictions, stats.held), (N as u64, 0, N as u64 * PICTURE));
            } else {
                assert!(stats.loads >= 2 * N as u64 && stats.evictions > 0, "{budget}: {stats:?}");
                // Pictures that were used make room for those that are needed next: none is read twice per epoch.
                let ahead = threads > 0 && budget >= 3 * RESERVED;
                assert!(!ahead || stats.loads <= 3 * N as u64, "{threads} threads: {stats:?}");
            }
        }
    }
}

/// With room for a quarter of the pictures and a known order, background threads read each picture once per epoch.
#[test]
fn a_known_order_is_read_ahead_once() {
    let dir = tempfile::tempdir().unwrap();
    let d = dataset(dir.path());
    let cache = PictureCache::with_threads(&d.views, 3 * RESERVED, 1);
    let order: Vec<usize> = (0..N).collect();
    cache.prefetch(&order);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while cache.stats().held < 3 * PICTURE && std::time::Instant::now() < deadline {
        std::thread::yield_now();
    }
    // Pictures are read ahead without a request, and no further than the budget.
    assert!(cache.stats().held >= 3 * PICTURE && cache.stats().loads <= 4, "{:?}", cache.stats());
    order.iter().for_each(|&i| is(&cache.get(i).unwrap().photo, i));
    assert_eq!(cache.stats().loads, N as u64, "{:?}", cache.stats());
}

#[test]
fn many_threads_may_ask_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let d = dataset(dir.path());
    let cache = PictureCache::with_threads(&d.views, 4 * RESERVED, 2);
    std::thread::scope(|scope| {
        for t in 0..6usize {
            let cache = &cache;
            scope.spawn(move || {
                for step in 0..60 {
                    let i = (step * (t + 1) + t) % N;
                    if step % 7 == 0 {
                        cache.prefetch(&[(i + 1) % N, (i + 2) % N]);
                    }
                    is(&cache.get(i).unwrap().photo, i);
                }
            });
        }
    });
    assert!(cache.stats().peak <= 4 * RESERVED + 6 * PICTURE, "{:?}", cache.stats());
}

/// A file that is cut off after the dataset was opened: every caller gets the error, even if a background thread met it
/// first, and the other pictures still arrive.
#[test]
fn a_broken_file_is_an_error_for_whoever_asks() {
    let dir = tempfile::tempdir().unwrap();
    let d = dataset(dir.path());
    let path = dir.path().join("images/03.png");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    for threads in [0, 2] {
        let cache = PictureCache::with_threads(&d.views, u64::MAX, threads);
        cache.prefetch(&(0..N).collect::<Vec<_>>());
        for i in 0..N {
            match cache.get(i) {
                Ok(picture) => is(&picture.photo, i),
                Err(error) => assert!(i == 3 && error.to_string().contains("03.png"), "{i}: {error}"),
            }
        }
        assert!(cache.get(3).is_err() && cache.get(4).is_ok());
        assert_eq!(cache.stats().held, (N as u64 - 1) * PICTURE, "what failed holds nothing");
    }
}

/// The memory that the system reports, not the cache: 200 photographs of 9 MB each through 64 MB.
#[test]
#[ignore = "seconds to minutes; prints the memory in use"]
#[expect(clippy::print_stdout, reason = "prints what it measured")]
fn a_set_much_larger_than_the_budget_stays_within_it() {
    const PHOTOS: usize = 200;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    std::fs::create_dir_all(root.join("sparse")).unwrap();
    std::fs::create_dir_all(root.join("images")).unwrap();
    std::fs::write(root.join("sparse/cameras.txt"), "1 PINHOLE 2000 1500 1500 1500 1000 750\n").unwrap();
    let images: String = (0..PHOTOS).map(|i| format!("{i} 1 0 0 0 {i} 0 0 1 {i:03}.jpg\n\n")).collect();
    std::fs::write(root.join("sparse/images.txt"), images).unwrap();
    std::fs::write(root.join("sparse/points3D.txt"), "").unwrap();
    let mut jpeg = Vec::new();
    let rgb: Vec<u8> = (0..2000 * 1500 * 3).map(|i| (i / 999 % 256) as u8).collect();
    image::codecs::jpeg::JpegEncoder::new(&mut jpeg)
        .encode(&rgb, 2000, 1500, image::ExtendedColorType::Rgb8)
        .unwrap();
    drop(rgb);
    (0..PHOTOS).for_each(|i| std::fs::write(root.join(format!("images/{i:03}.jpg")), &jpeg).unwrap());
    let d = Dataset::open(root, &OpenOptions::default()).unwrap();
    let resident = |key: &str| -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find(|l| l.starts_with(key)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0) / 1024
    };
    let before = resident("VmRSS");
    let cache = PictureCache::new(&d.views, 64 << 20);
    let begin = std::time::Instant::now();
    for epoch in 0..2 {
        let order: Vec<usize> = (0..PHOTOS).map(|i| (i * 37 + epoch * 11) % PHOTOS).collect();
        cache.prefetch(&order);
        order.iter().for_each(|&i| assert_eq!(cache.get(i).unwrap().photo.pixels.len(), 9_000_000));
    }
    let (seconds, peak) = (begin.elapsed().as_secs_f64(), resident("VmHWM"));
    println!(
        "{PHOTOS} photographs, 1800 MB: {before} MiB before, {peak} MiB at most, {seconds:.1} s for 2 epochs"
    );
    println!("{:?}", cache.stats());
    assert!(cache.stats().peak <= 64 << 20 && cache.stats().loads <= 2 * PHOTOS as u64);
    // The cache, a decoder's buffers per thread, and what was in use before.
    assert!(peak == 0 || peak < before + 64 + 128, "{peak} MiB");
}
