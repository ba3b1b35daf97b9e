//! Compiles the shim (`cpp/group.cpp`) against the headers of the libtorch that tch uses and, with feature `nccl`, its part for
//! NCCL into a library of its own, which the crate carries inside: it is opened only where a group of GPUs is made, so that
//! the program starts with a libtorch without CUDA, too.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(with_nccl)");
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
    println!("cargo::rerun-if-changed=src/ffi.rs");
    println!("cargo::rerun-if-changed=cpp");
    let torch = torch_link::torch()?;
    let out = env::var_os("OUT_DIR").map(PathBuf::from).ok_or("cargo does not set OUT_DIR")?;
    let line = torch_link::for_dependents(&torch, &out)
        .map_err(|e| format!("libtorch cannot be linked into `{}`: {e}", out.display()))?;
    println!("{line}");
    let mut shim = cxx_build::bridge("src/ffi.rs");
    shim.file("cpp/group.cpp");
    against(&mut shim, &torch).compile("splat_dist");
    if env::var_os("CARGO_FEATURE_NCCL").is_some() {
        nccl(&torch, &out)?;
    }
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        // dlopen and dlsym; part of libc itself since glibc 2.34.
        println!("cargo::rustc-link-lib=dl");
    }
    Ok(())
}

/// The compiler with torch's headers.
fn against<'a>(to: &'a mut cc::Build, torch: &torch_link::Torch) -> &'a mut cc::Build {
    to.cpp(true).std("c++17").include(torch_link::include());
    let msvc = to.get_compiler().is_like_msvc();
    to.flags(torch.flags(msvc))
}

/// The library for NCCL. It is linked with nothing: torch's CUDA half is open when it is opened.
fn nccl(torch: &torch_link::Torch, out: &Path) -> Result<(), String> {
    for name in ["CUDA_HOME", "NCCL_HOME", "SPLATWRIGHT_CUDA_HOME"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let mut build = cc::Build::new();
    for (header, folder) in headers(torch)? {
        println!("cargo::rerun-if-changed={}", folder.join(header).display());
        build.flag("-isystem").flag(folder.as_os_str());
    }
    build.file("cpp/nccl.cpp").pic(true);
    let compiled = against(&mut build, torch).define("USE_CUDA", None).compile_intermediates();
    let library = out.join("splat_nccl.so");
    let mut linker = build.get_compiler().to_command();
    linker.arg("-shared").arg("-o").arg(&library).args(&compiled);
    let status = linker.status().map_err(|e| format!("the C++ compiler does not start: {e}"))?;
    if !status.success() {
        return Err(format!("the library for NCCL could not be linked: {linker:?}: {status}"));
    }
    println!("cargo::rustc-cfg=with_nccl");
    Ok(())
}

/// The folders that hold the headers of NCCL and of CUDA, each found by one header.
fn headers(torch: &torch_link::Torch) -> Result<Vec<(&'static str, PathBuf)>, String> {
    // Python packages of NVIDIA lie beside torch.
    let beside = torch.lib.parent().and_then(Path::parent).map(|site| site.join("nvidia"));
    let packages = |names: &[&str]| -> Vec<PathBuf> {
        names.iter().filter_map(|name| Some(beside.as_ref()?.join(name).join("include"))).collect()
    };
    let named = |variable: &str| env::var_os(variable).map(|home| PathBuf::from(home).join("include"));
    let system = PathBuf::from("/usr/local/cuda/include");
    let cuda: Vec<PathBuf> = ["SPLATWRIGHT_CUDA_HOME", "CUDA_HOME"].into_iter().filter_map(named).collect();
    let mut found = Vec::new();
    for (header, variable, first, names) in [
        ("nccl.h", "NCCL_HOME", named("NCCL_HOME").into_iter().collect(), ["nccl"].as_slice()),
        ("cuda_runtime_api.h", "CUDA_HOME", cuda.clone(), &["cu13", "cuda_runtime"]),
        ("crt/host_defines.h", "CUDA_HOME", cuda.clone(), &["cu13", "cuda_nvcc", "cuda_crt"]),
        ("cublas_v2.h", "CUDA_HOME", cuda.clone(), &["cu13", "cublas"]),
        ("cusparse.h", "CUDA_HOME", cuda.clone(), &["cu13", "cusparse"]),
        ("cusolverDn.h", "CUDA_HOME", cuda.clone(), &["cu13", "cusolver"]),
    ] {
        let folders: Vec<PathBuf> =
            first.into_iter().chain(packages(names)).chain([system.clone()]).collect();
        let folder = folders.iter().find(|folder| folder.join(header).is_file()).ok_or_else(|| {
            let places: Vec<String> = folders.iter().map(|f| format!("`{}`", f.display())).collect();
            format!(
                "feature `nccl` needs `{header}`, which is not in {}\nhint: set {variable} to the folder whose \
                 include/ has it, or build without the feature",
                places.join(", ")
            )
        })?;
        found.push((header, folder.clone()));
    }
    Ok(found)
}
