//! What the tests of this crate share.
#![allow(dead_code, unreachable_pub, reason = "no test uses all of it")]

pub mod blob;
pub mod call;
pub mod rich;

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use splat_engine::{SharedEngine, TableEngine};

/// The C library that cargo built with the tests (the example target `splat_cpu`), or another build of it: the one that
/// `SPLATWRIGHT_CPU_LIBRARY` names, such as that inside a wheel, or one among the gathered engines of a bundle.
pub fn library() -> PathBuf {
    if let Some(path) = std::env::var_os("SPLATWRIGHT_CPU_LIBRARY") {
        return path.into();
    }
    let deps = std::env::current_exe().expect("this test's path");
    let built = deps.parent().expect("a folder").with_file_name("examples").join(file_name("cpu"));
    let given = std::env::var_os("SPLAT_ENGINES").unwrap_or_default();
    let gathered = std::env::split_paths(&given).map(|place| place.join(file_name("cpu")));
    std::iter::once(built)
        .chain(gathered)
        .find(|path| path.exists())
        .expect("the library is built: cargo build --release -p splat-cpu --example splat_cpu")
}

/// What the library of an engine of that name is called.
pub fn file_name(engine: &str) -> String {
    format!("{DLL_PREFIX}splat_{engine}{DLL_SUFFIX}")
}

/// The engine as Rust links it and as a program loads it.
pub fn both() -> [SharedEngine; 2] {
    [splat_cpu::engine(), Arc::new(TableEngine::open(library()).expect("the library is an engine"))]
}

/// A library of that engine's name, compiled from C.
pub fn c_library(folder: &Path, engine: &str, source: &str) -> PathBuf {
    let (c, library) = (folder.join(format!("{engine}.c")), folder.join(file_name(engine)));
    std::fs::write(&c, source).expect("written");
    let cc = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let built = Command::new(cc).args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&c).status();
    assert!(built.expect("a C compiler").success());
    library
}
