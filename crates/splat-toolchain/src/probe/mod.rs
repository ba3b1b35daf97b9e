//! Reads a machine's facts: files, and a few programs asked for their version, side by side. Nothing is imported,
//! initialised, written or fetched. [`repo`] reads what the repository itself says.

mod around;
pub mod cuda;
pub mod gpu;
pub mod host;
pub mod msvc;
mod python;
mod repo;
mod sites;
mod system;
pub mod torch;

use std::{collections::BTreeMap, path::PathBuf, thread};

use crate::{
    env::Env,
    machine::{Fact, Machine},
    paths,
    request::{Repo, Request},
    tables,
};

pub use repo::repo;

/// User variables that a choice or a rule depends on, kept in the snapshot so that it replays.
const KEPT: &[&str] = &[
    "LIBTORCH",
    "LIBTORCH_USE_PYTORCH",
    "LIBTORCH_INCLUDE",
    "LIBTORCH_LIB",
    "LIBTORCH_CXX11_ABI",
    "CUDA_HOME",
    "CUDA_PATH",
    "CUDAHOSTCXX",
    "CXX",
    "CC",
    "CXXFLAGS",
    "TORCH_CUDA_ARCH_LIST",
    "TORCH_DONT_CHECK_COMPILER_ABI",
    "TCNN_CUDA_ARCHITECTURES",
    "CUDAARCHS",
    "MAX_JOBS",
    "VSCMD_ARG_TGT_ARCH",
    "VSCMD_ARG_HOST_ARCH",
    "DISTUTILS_USE_SDK",
    "VSLANG",
    "PYTHONUTF8",
    "RUSTFLAGS",
    "TORCH_CUDA_VERSION",
    "NVCC_PREPEND_FLAGS",
    "NVCC_APPEND_FLAGS",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "SPLATWRIGHT_HOME",
    "SPLATWRIGHT_ACCEPT_LICENSE",
    "SPLATWRIGHT_DRIVER",
    "SPLATWRIGHT_GPUS",
    "CARGO_TARGET_DIR",
];

/// The facts of the machine that `env` shows. `repo` and `request` only add places to look at.
pub fn probe(env: &Env, repo: &Repo, request: &Request) -> Machine {
    let env = &env.clone().with_own(&repo.toolchain_env);
    let cache_root = system::cache_root(env);
    let managed = cache_root.as_ref().map(|root| system::managed(&root.value)).unwrap_or_default();
    let asked: Vec<PathBuf> = [&request.cuda, &repo.settings.cuda]
        .into_iter()
        .flatten()
        .map(PathBuf::from)
        .filter(|path| paths::is_absolute(&path.to_string_lossy()))
        .collect();
    thread::scope(|scope| {
        let managed = &managed;
        let gpus = scope.spawn(|| gpu::probe(env));
        let compilers = scope.spawn(|| (host::compilers(env), host::c_compilers(env)));
        let tools = scope.spawn(move || (host::cmake(env, managed), host::ninja(env, managed)));
        let rust = scope.spawn(|| (host::rust(env), system::glibc(env)));
        let locale = scope.spawn(|| (around::locale(env), around::long_paths(env), msvc::sdks(env)));
        // Toolkits and torches are also looked for beside the interpreters' packages.
        let pythons = python::probe(env);
        let (torches, toolkits) = thread::scope(|inner| {
            let torches = inner.spawn(|| torch::probe(env, &pythons, managed, &repo.root));
            let toolkits = cuda::probe(env, &pythons, managed, &asked);
            (torches.join().unwrap_or_default(), toolkits)
        });
        let cudnn = around::cudnn(env, &toolkits, &pythons);

        let gpus = gpus.join().unwrap_or(gpu::Answer { driver: None, gpus: Vec::new() });
        let (cmake, ninja) = tools.join().unwrap_or_default();
        let ((rustc, cargo), glibc) = rust.join().unwrap_or_default();
        let (locale, long_paths, windows_sdks) = locale.join().unwrap_or_default();
        let (host_compilers, c_compilers) = compilers.join().unwrap_or_default();
        let driver_cuda = gpus.driver.as_ref().and_then(|driver| {
            Some(Fact::new(
                tables::cuda_of_driver(&driver.value)?,
                format!("driver branch {}", driver.value.major()),
            ))
        });
        let cache = cache_root.as_ref().map(|root| root.value.as_path());
        Machine {
            os: env.os.name().into(),
            arch: system::arch(env),
            glibc,
            cpus: system::cpus(env),
            memory: system::memory(env),
            disks: system::disks(env, &repo.root, cache),
            wsl: around::wsl(env),
            driver_library: around::driver_library(env),
            cudnn,
            locale,
            folders: around::folders(env, &repo.root, cache),
            long_paths,
            windows_sdks,
            conda_packages: around::conda_packages(env),
            extension_locks: around::extension_locks(env),
            silent: env.silent(),
            user_env: kept(env),
            pythons,
            torches,
            toolkits,
            host_compilers,
            c_compilers,
            driver: gpus.driver,
            driver_cuda,
            gpus: gpus.gpus,
            cmake,
            ninja,
            rustc,
            cargo,
            managed: managed.clone(),
            cache_root,
        }
    })
}

fn kept(env: &Env) -> BTreeMap<String, String> {
    KEPT.iter().filter_map(|name| Some(((*name).to_owned(), env.user(name)?.to_owned()))).collect()
}
