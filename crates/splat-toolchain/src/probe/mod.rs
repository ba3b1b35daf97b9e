//! Reads a machine's facts: files, and a few programs asked for their version, side by side. Nothing is imported,
//! initialised, written or fetched. [`repo`] reads what the repository itself says.

mod cuda;
mod gpu;
mod host;
mod python;
mod repo;
mod system;
mod torch;

use std::{collections::BTreeMap, path::PathBuf, thread};

use crate::{
    env::Env,
    machine::{Fact, Machine},
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
    "CXXFLAGS",
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
        .filter(|path| path.is_absolute())
        .collect();
    thread::scope(|scope| {
        let managed = &managed;
        let gpus = scope.spawn(|| gpu::probe(env));
        let compilers = scope.spawn(|| host::compilers(env));
        let tools = scope.spawn(move || (host::cmake(env, managed), host::ninja(env, managed)));
        let rust = scope.spawn(|| (host::rust(env), system::glibc(env)));
        // Toolkits and torches are also looked for beside the interpreters' packages.
        let pythons = python::probe(env);
        let toolkits = cuda::probe(env, &pythons, managed, &asked);
        let torches = torch::probe(env, &pythons, managed);

        let gpus = gpus.join().unwrap_or(gpu::Answer { driver: None, gpus: Vec::new() });
        let (cmake, ninja) = tools.join().unwrap_or_default();
        let ((rustc, cargo), glibc) = rust.join().unwrap_or_default();
        let driver_cuda = gpus.driver.as_ref().and_then(|driver| {
            Some(Fact::new(
                tables::cuda_of_driver(&driver.value)?,
                format!("driver branch {}", driver.value.major()),
            ))
        });
        let cache_disk = cache_root.as_ref().and_then(|root| system::disk("cache", &root.value));
        Machine {
            os: env.os.name().into(),
            arch: std::env::consts::ARCH.into(),
            glibc,
            cpus: thread::available_parallelism().map_or(1, usize::from),
            memory: system::memory(env),
            disks: system::disk("repository", &repo.root).into_iter().chain(cache_disk).collect(),
            user_env: kept(env),
            pythons,
            torches,
            toolkits,
            host_compilers: compilers.join().unwrap_or_default(),
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
