//! Memory: a dropped graph frees its buffers, backward frees what it needed, `no_grad` keeps nothing.
//!
//! Measured as resident memory of the process, so these tests run one at a time and alone in their program.
#![expect(clippy::print_stdout, reason = "says what is skipped")]

mod common;

use std::sync::{Mutex, PoisonError};

use common::engines::{allocate, hooked, touch};
use common::{Scene, camera_on};
use splat_engine::abi;
use splat_tch::{Settings, render};
use tch::{Device, Kind};

static ALONE: Mutex<()> = Mutex::new(());
const MIB: usize = 1 << 20;

/// Resident MiB, where the system tells.
fn resident() -> Option<i64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some((pages * 4096 / MIB) as i64)
}

/// Runs `test` with nothing else in the process, or says why not.
fn alone(test: impl FnOnce(&dyn Fn() -> i64)) {
    if resident().is_none() {
        println!("skipped: this system has no /proc/self/statm");
        return;
    }
    let _guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    test(&|| resident().unwrap_or_default());
}

/// The CPU engine, which also takes 64 MiB of each kind of memory in its forward.
fn greedy() -> Settings {
    let mut engine = hooked();
    engine.forward = Box::new(|args| {
        for kind in [abi::MEM_SAVED, abi::MEM_SCRATCH] {
            let start = allocate(args.context, kind, 64 * MIB as u64);
            assert_eq!(start.addr() % 256, 0, "the header promises 256-byte alignment");
            touch(start, 64 * MIB);
        }
        Ok(())
    });
    Settings { backend: Some(engine.backend()), ..Settings::default() }
}

#[test]
fn saved_buffers_live_until_backward_or_until_the_graph_is_dropped() {
    alone(|resident| {
        let (scene, camera, settings) = (Scene::new(10), camera_on(Device::Cpu), greedy());
        let once = || render(&scene.gaussians(true, false), &camera, &settings).unwrap().color;
        once().sum(Kind::Float).backward(); // what torch allocates once
        let before = resident();
        let near = |expected: i64, what: &str| {
            let grown = resident() - before;
            assert!((grown - expected).abs() < 24, "{what}: {grown} MiB more than before, not {expected}");
        };

        let color = once();
        near(64, "a live graph keeps what was SAVED and not what was SCRATCH");
        drop(color);
        near(0, "a dropped graph");

        let loss = once().sum(Kind::Float);
        near(64, "a live graph");
        loss.backward();
        near(0, "after backward, with the loss still alive");
        drop(loss);

        let color = tch::no_grad(once);
        near(0, "no_grad");
        drop(color);
    });
}

#[test]
fn a_thousand_renders_leave_memory_flat() {
    alone(|resident| {
        let (scene, camera) = (Scene::new(60), camera_on(Device::Cpu));
        let settings = Settings::default();
        let run = |n: usize| {
            for i in 0..n {
                let color = render(&scene.gaussians(true, false), &camera, &settings).unwrap().color;
                if i % 2 == 0 {
                    color.sum(Kind::Float).backward();
                }
            }
        };
        run(100);
        let before = resident();
        run(1000);
        let grown = resident() - before;
        assert!(grown < 8, "1000 renders, half of them with backward, grew the process by {grown} MiB");
    });
}

#[test]
fn an_allocation_that_fails_is_an_error_with_torchs_reason() {
    alone(|_| {
        let mut engine = hooked();
        engine.forward = Box::new(|args| {
            if allocate(args.context, abi::MEM_SCRATCH, 1 << 60).is_null() {
                return Err(splat_engine::EngineError::OutOfMemory("no memory for 2^60 bytes".into()));
            }
            Ok(())
        });
        let settings = Settings { backend: Some(engine.backend()), ..Settings::default() };
        let error =
            render(&Scene::new(3).gaussians(true, false), &camera_on(Device::Cpu), &settings).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("no memory for 2^60 bytes (") && text.contains("allocate"), "{text}");
        assert!(!text.contains("Exception raised"), "no C++ stack trace: {text}");
    });
}
