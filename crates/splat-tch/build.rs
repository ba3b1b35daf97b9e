//! Compiles the autograd node (`cpp/`) against the headers of the libtorch that tch uses, and puts libtorch on the library
//! path of everything that cargo runs on this crate. No network, no CUDA.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_DOC_ONLY").is_some() {
        return;
    }
    if let Err(text) = build() {
        for line in text.lines() {
            println!("cargo::error={line}");
        }
    }
}

fn build() -> Result<(), String> {
    for name in torch_link::VARIABLES.into_iter().chain(["LIBTORCH_BYPASS_VERSION_CHECK"]) {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let torch = torch_link::torch()?;
    // Torch-sys needs minutes to find out; its C++ compiles meanwhile.
    let (tch, read) = torch_link::tch_of_manifest(Path::new(env!("CARGO_MANIFEST_DIR")));
    for path in read {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    if let Some(tch) = tch {
        torch_link::check(&torch, &tch)?;
    }
    let out = env::var_os("OUT_DIR").map(PathBuf::from).ok_or("cargo does not set OUT_DIR")?;
    let line = torch_link::for_dependents(&torch, &out)
        .map_err(|e| format!("libtorch cannot be linked into `{}`: {e}", out.display()))?;
    println!("{line}");
    compile(&torch);
    Ok(())
}

fn compile(torch: &torch_link::Torch) {
    println!("cargo::rerun-if-changed=src/ffi/bridge.rs");
    println!("cargo::rerun-if-changed=cpp");
    let mut node = cxx_build::bridge("src/ffi/bridge.rs");
    node.file("cpp/render.cpp").std("c++17").include(torch_link::include());
    let msvc = node.get_compiler().is_like_msvc();
    node.flags(torch.flags(msvc)).compile("splat_tch");

    // Nothing calls its initialiser, so a linker that takes only what is named would leave it out.
    let mut half = cc::Build::new();
    half.cpp(true).std("c++17").file("cpp/cuda_half.cpp").link_lib_modifier("+whole-archive");
    half.compile("splat_tch_cuda_half");
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        // dlopen and dlsym; part of libc itself since glibc 2.34.
        println!("cargo::rustc-link-lib=dl");
    }
}
