//! Builds the CUDA engines that `SPLATWRIGHT_ENGINES` names, through CMake; without it builds nothing and needs
//! neither CUDA nor a C++ compiler.
//!
//! Everything comes from the environment, which `cargo xtask build` and `cargo xtask switch` write: no search,
//! no network. Results lie in `$OUT_DIR/lib`: the static library that is linked here, the shared one with the C
//! functions of `splat_engine.h`, and the notice of the original's terms.

use std::env;
use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::exit;

const HINT: &str = "hint: cargo xtask build";

fn main() {
    println!("cargo::rustc-check-cfg=cfg(engine_cuda, engine_inria)");
    println!("cargo::rerun-if-changed=build.rs");
    let engines = variable("SPLATWRIGHT_ENGINES").unwrap_or_default();
    let engines: Vec<&str> = engines.split([',', ';', ' ']).filter(|name| !name.is_empty()).collect();
    if let Some(unknown) = engines.iter().find(|name| !["cpu", "cuda", "inria"].contains(name)) {
        stop(&format!("SPLATWRIGHT_ENGINES names `{unknown}`, but there are `cpu`, `cuda` and `inria`"));
    }
    let engines: Vec<&str> = ["cuda", "inria"].into_iter().filter(|name| engines.contains(name)).collect();
    if !engines.is_empty() {
        let inputs = Inputs::from_env(&engines);
        let libraries = inputs.compile(&engines);
        link(&engines, &libraries, &inputs);
    }
}

/// What the environment says, checked.
struct Inputs {
    cuda: PathBuf,
    /// Folder of the toolkit's own libraries: `lib64`, or `lib` in the Python packages.
    cuda_libraries: PathBuf,
    archs: String,
    cmake: PathBuf,
    ninja: Option<PathBuf>,
    /// The original's sources, where engine `inria` is built.
    source: Option<PathBuf>,
    version: String,
    fingerprint: String,
    host_compiler: Option<OsString>,
}

impl Inputs {
    fn from_env(engines: &[&str]) -> Self {
        let cuda = needed("SPLATWRIGHT_CUDA_HOME", "the CUDA toolkit");
        let nvcc = nvcc(&cuda);
        if !nvcc.is_file() {
            stop(&format!("SPLATWRIGHT_CUDA_HOME has no compiler: `{}` is not a file", nvcc.display()));
        }
        let archive = if cfg!(windows) { "cudart_static.lib" } else { "libcudart_static.a" };
        let folders = ["lib64", "lib", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib", "lib/x64"];
        let found = folders.iter().map(|f| cuda.join(f)).find(|f| f.join(archive).is_file());
        let Some(cuda_libraries) = found else {
            stop(&format!("SPLATWRIGHT_CUDA_HOME (`{}`) has no {archive} in {folders:?}", cuda.display()));
        };
        let source = engines.contains(&"inria").then(original_sources);
        let cmake = variable("SPLATWRIGHT_CMAKE").map_or_else(|| "cmake".into(), PathBuf::from);
        let bare = cmake.as_os_str() == "cmake";
        if !bare && (cmake.file_stem().is_none_or(|name| name != "cmake") || !cmake.is_file()) {
            stop(&format!("SPLATWRIGHT_CMAKE (`{}`) is no program named cmake", cmake.display()));
        }
        let ninja = variable("SPLATWRIGHT_NINJA").map(PathBuf::from);
        if let Some(path) = ninja.as_ref().filter(|path| !path.is_file()) {
            stop(&format!("SPLATWRIGHT_NINJA (`{}`) is not a file", path.display()));
        }
        Self {
            cuda,
            cuda_libraries,
            archs: architectures(&text("SPLATWRIGHT_CUDA_ARCHS", "the GPU architectures, such as \"80;90\"")),
            cmake,
            ninja,
            source,
            version: variable("SPLATWRIGHT_INRIA_VERSION").unwrap_or_else(|| "unpinned".into()),
            fingerprint: variable("SPLATWRIGHT_FINGERPRINT").unwrap_or_default(),
            host_compiler: variable("CUDAHOSTCXX").map(OsString::from),
        }
    }

    /// Runs CMake and returns the folder of the libraries.
    fn compile(&self, engines: &[&str]) -> PathBuf {
        let crate_dir = folder_of_cargo("CARGO_MANIFEST_DIR");
        for path in ["CMakeLists.txt", "adapters", "cmake", "kernels"] {
            println!("cargo::rerun-if-changed={path}");
        }
        let header = crate_dir.join("../splat-engine/include");
        println!("cargo::rerun-if-changed={}", header.display());
        cxx_build::bridges(engines.iter().map(|name| format!("src/ffi/{name}.rs")))
            .include("adapters")
            .include(&header)
            .std("c++17")
            .compile("splat_cuda_bridge");

        let out = folder_of_cargo("OUT_DIR");
        let on = |name| if engines.contains(&name) { "ON" } else { "OFF" };
        let mut config = cmake::Config::new(&crate_dir);
        config
            .out_dir(out.join(format!("cmake-{:016x}", self.tools())))
            // Kernels are never built for debugging: they would be too slow to test with.
            .profile("Release")
            .define("CMAKE_INSTALL_PREFIX", &out)
            .define("CMAKE_CUDA_COMPILER", nvcc(&self.cuda))
            .define("CMAKE_CUDA_ARCHITECTURES", &self.archs)
            .define("SPLAT_ENGINE_CUDA", on("cuda"))
            .define("SPLAT_CUDA_VERSION", env!("CARGO_PKG_VERSION"))
            .define("SPLAT_ENGINE_INRIA", on("inria"))
            .define("SPLAT_INRIA_VERSION", &self.version)
            .define("SPLAT_FINGERPRINT", &self.fingerprint)
            .define("SPLAT_ENGINE_INCLUDE", header)
            // The host's linker does not know the Python packages' `lib` (a toolkit has `lib64`).
            .env("LIBRARY_PATH", prepended("LIBRARY_PATH", &self.cuda_libraries));
        if let Some(source) = &self.source {
            config.define("SPLAT_INRIA_SOURCE", source);
        }
        if let Some(compiler) = &self.host_compiler {
            config.define("CMAKE_CUDA_HOST_COMPILER", compiler);
        }
        // The cmake crate runs the program `cmake`: ours comes first.
        if let Some(folder) = self.cmake.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            config.env("PATH", prepended("PATH", folder));
        }
        if let Some(ninja) = &self.ninja {
            config.generator("Ninja").define("CMAKE_MAKE_PROGRAM", ninja);
        }
        // The crate panics when CMake fails; its text, not a backtrace, is what helps.
        std::panic::set_hook(Box::new(|_| {}));
        if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| config.build())) {
            let text =
                panic.downcast_ref::<String>().map(|s| s.lines().find(|l| !l.is_empty()).unwrap_or_default());
            println!(
                "cargo::error=the CUDA engines ({}) did not compile: {}",
                engines.join(", "),
                text.unwrap_or("CMake failed")
            );
            println!(
                "cargo::error=hint: the compiler's own words stand below under `--- stdout`; then cargo xtask doctor"
            );
            exit(1);
        }
        let _ = std::panic::take_hook();
        out.join("lib")
    }

    /// A CMake folder serves one set of tools: other tools get another folder, and switching back recompiles
    /// nothing. What CMake itself follows (sources, architectures, versions) stays out.
    fn tools(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.cuda, &self.cmake, &self.ninja, &self.host_compiler).hash(&mut hasher);
        let target = env::var("TARGET").unwrap_or_default().replace('-', "_");
        for name in ["CXX", "CXXFLAGS"] {
            (variable(name), variable(&format!("{name}_{target}"))).hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// The folder of the original's sources, which must be whole.
fn original_sources() -> PathBuf {
    let source = needed("SPLATWRIGHT_INRIA_SOURCE", "the original rasterizer's sources");
    for file in ["cuda_rasterizer/rasterizer_impl.cu", "third_party/glm/glm/glm.hpp"] {
        let path = source.join(file);
        println!("cargo::rerun-if-changed={}", path.parent().unwrap_or(&source).display());
        if !path.is_file() {
            stop(&format!("SPLATWRIGHT_INRIA_SOURCE has no `{file}`: `{}` is not a file", path.display()));
        }
    }
    source
}

fn link(engines: &[&str], libraries: &Path, inputs: &Inputs) {
    println!("cargo::rustc-link-search=native={}", libraries.display());
    println!("cargo::rustc-link-search=native={}", inputs.cuda_libraries.display());
    for name in engines {
        let upper = name.to_uppercase();
        let file = format!("{}splat_{name}{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX);
        println!("cargo::rustc-cfg=engine_{name}");
        println!("cargo::rustc-link-lib=static=splat_{name}");
        println!("cargo::rustc-env=SPLAT_{upper}_LIBRARY={}", libraries.join(file).display());
        println!("cargo::rustc-env=SPLAT_{upper}_ARCHS={}", inputs.archs);
    }
    println!("cargo::rustc-link-lib=static:-bundle=cudart_static");
    if cfg!(target_os = "linux") {
        for library in ["stdc++", "dl", "rt", "pthread"] {
            println!("cargo::rustc-link-lib={library}");
        }
    }
    println!("cargo::metadata=libdir={}", libraries.display());
}

fn nvcc(cuda: &Path) -> PathBuf {
    cuda.join("bin").join(format!("nvcc{}", env::consts::EXE_SUFFIX))
}

/// `80;90` as CMake writes it: machine code for each, and for the highest also PTX, which later GPUs compile.
fn architectures(list: &str) -> String {
    let mut archs: Vec<(u32, &str)> = list
        .split([';', ',', ' '])
        .filter(|arch| !arch.is_empty())
        .map(|arch| match arch.trim_end_matches(['a', 'f']).parse() {
            Ok(number) => (number, arch),
            Err(_) => {
                stop(&format!("SPLATWRIGHT_CUDA_ARCHS has `{arch}`, which is no architecture such as 90"))
            }
        })
        .collect();
    archs.sort_unstable();
    archs.dedup();
    let Some((highest, real)) = archs.split_last() else {
        stop("SPLATWRIGHT_CUDA_ARCHS is empty, but code is compiled for architectures such as \"80;90\"");
    };
    let real: String = real.iter().map(|(_, arch)| format!("{arch}-real;")).collect();
    real + highest.1
}

/// `folder` before what the variable holds.
fn prepended(name: &str, folder: &Path) -> OsString {
    let rest = env::var_os(name).unwrap_or_default();
    let paths = std::iter::once(folder.to_owned()).chain(env::split_paths(&rest));
    env::join_paths(paths.filter(|p| !p.as_os_str().is_empty())).unwrap_or(rest)
}

fn variable(name: &str) -> Option<String> {
    println!("cargo::rerun-if-env-changed={name}");
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// A folder that cargo names for every build script.
fn folder_of_cargo(name: &str) -> PathBuf {
    env::var_os(name)
        .map_or_else(|| stop(&format!("{name} is not set: cargo runs this program")), PathBuf::from)
}

fn text(name: &str, what: &str) -> String {
    variable(name).unwrap_or_else(|| stop(&format!("{name} is not set; it names {what}")))
}

fn needed(name: &str, what: &str) -> PathBuf {
    let path = PathBuf::from(text(name, what));
    if !path.is_dir() {
        stop(&format!("{name} names {what}, but `{}` is not a folder", path.display()));
    }
    path
}

fn stop(message: &str) -> ! {
    println!("cargo::error={message}");
    println!("cargo::error={HINT}");
    exit(1);
}
