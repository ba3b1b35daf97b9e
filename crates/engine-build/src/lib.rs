//! Builds an engine of `splat_engine.h` from CUDA and C++ sources, for the build scripts of engine crates.
//!
//! [`Engine::build`] finds the toolkit (`tools.rs`), runs CMake on the crate's `CMakeLists.txt` and compiles the crate's
//! cxx bridge. Afterwards `$OUT_DIR/lib` holds the static library that is linked into the crate and the shared library that
//! exports the C function. Nothing is downloaded. Whatever is missing is reported at once, as errors of cargo with a hint
//! each.
//!
//! The crate that calls it has `links = "splat_NAME"` and depends on `splat-engine`, whose build script says where the
//! header is. Its code may read `SPLAT_ENGINE_LIBRARY` (the shared library's path) and `SPLAT_ENGINE_ARCHS` with `env!`.
//! Build scripts of dependents get `DEP_SPLAT_NAME_LIBDIR`.
#![deny(missing_docs)]
#![expect(clippy::print_stdout, reason = "cargo reads a build script's output")]

mod architectures;
mod problems;
mod tools;

use std::env;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use problems::{Problems, stop};
use tools::{Target, Tools, prepended, variable};

/// One engine, to be built by its crate's build script.
#[derive(Debug)]
pub struct Engine {
    name: &'static str,
    version: String,
    sources: Option<Sources>,
}

/// Third-party sources that an engine is built from.
#[derive(Debug)]
struct Sources {
    variable: &'static str,
    define: &'static str,
    files: &'static [&'static str],
    hint: &'static str,
}

impl Engine {
    /// The engine `name`, whose CMake targets are `splat_NAME` and `splat_NAME_shared`; it will report the crate's version.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self { name, version: env::var("CARGO_PKG_VERSION").unwrap_or_default(), sources: None }
    }

    /// Reports what the environment variable says as the engine's version, or `otherwise`.
    #[must_use]
    pub fn version_from(self, name: &str, otherwise: &str) -> Self {
        Self { version: variable(name).unwrap_or_else(|| otherwise.into()), ..self }
    }

    /// Needs a folder of third-party sources: the environment variable `variable` names it, CMake gets it as `define`, and it
    /// must have `files`. `hint` says how to get it.
    #[must_use]
    pub fn foreign_sources(
        self,
        variable: &'static str,
        define: &'static str,
        files: &'static [&'static str],
        hint: &'static str,
    ) -> Self {
        Self { sources: Some(Sources { variable, define, files, hint }), ..self }
    }

    /// Compiles the engine and tells cargo how to link it. Ends the build script with an error if it cannot.
    pub fn build(self) {
        let mut problems = Problems::default();
        let target = Target::of_cargo();
        let tools = Tools::find(&target, &mut problems);
        let sources = self.sources.as_ref().and_then(|s| s.find(&mut problems));
        let header = header(&mut problems);
        problems.stop_if_any(self.name);
        let (Some(tools), Some(header)) = (tools, header) else {
            unreachable!("whatever is missing is a problem")
        };
        let libraries = self.compile(&tools, &target, &header, sources.as_deref());
        self.link(&tools, &target, &libraries);
    }

    /// Runs CMake and returns the folder of the libraries.
    fn compile(&self, tools: &Tools, target: &Target, header: &Path, sources: Option<&Path>) -> PathBuf {
        let manifest = folder_of_cargo("CARGO_MANIFEST_DIR");
        let ours = Path::new(env!("CARGO_MANIFEST_DIR"));
        for path in ["CMakeLists.txt", "adapters", "kernels", "NOTICE"].map(|p| manifest.join(p)) {
            if path.exists() {
                println!("cargo::rerun-if-changed={}", path.display());
            }
        }
        for path in [ours.join("cpp"), ours.join("cmake"), header.to_owned()] {
            println!("cargo::rerun-if-changed={}", path.display());
        }
        cxx_build::bridge("src/ffi.rs").std("c++17").compile(&format!("splat_{}_bridge", self.name));

        let out = folder_of_cargo("OUT_DIR");
        let mut config = cmake::Config::new(&manifest);
        config
            .out_dir(out.join(format!("cmake-{:016x}", cache_key(tools))))
            // Kernels are never built for debugging: they would be too slow to test with.
            .profile("Release")
            .define("CMAKE_INSTALL_PREFIX", &out)
            .define("CMAKE_CUDA_COMPILER", &tools.nvcc)
            .define("CMAKE_CUDA_ARCHITECTURES", &tools.architectures)
            .define("SPLAT_ENGINE_BUILD", ours)
            .define("SPLAT_ENGINE_INCLUDE", header)
            .define("SPLAT_VERSION", &self.version)
            .define("SPLAT_FINGERPRINT", variable("SPLATWRIGHT_FINGERPRINT").unwrap_or_default());
        if !target.windows {
            // The host's linker does not know the `lib` of toolkits from Python packages (others have `lib64`).
            config.env("LIBRARY_PATH", prepended("LIBRARY_PATH", &tools.cuda_libraries));
        }
        if let (Some(asked), Some(found)) = (&self.sources, sources) {
            config.define(asked.define, found);
        }
        if let Some(compiler) = &tools.host_compiler {
            config.define("CMAKE_CUDA_HOST_COMPILER", compiler);
        }
        // The cmake crate runs the program `cmake`: ours comes first.
        if let Some(folder) = tools.cmake.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            config.env("PATH", prepended("PATH", folder));
        }
        if let Some(ninja) = &tools.ninja {
            config.generator("Ninja").define("CMAKE_MAKE_PROGRAM", ninja);
        }
        // The crate panics when CMake fails; its text, not a backtrace, is what helps.
        std::panic::set_hook(Box::new(|_| {}));
        let built = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| config.build()));
        let _ = std::panic::take_hook();
        if let Err(panic) = built {
            let text = panic.downcast_ref::<String>().and_then(|s| s.lines().find(|l| !l.is_empty()));
            stop(
                &format!("engine `{}` did not compile: {}", self.name, text.unwrap_or("CMake failed")),
                "the compiler's own words stand below under `--- stdout`; nvcc needs a C++ compiler that it supports \
                 (CUDAHOSTCXX names one)",
            );
        }
        out.join("lib")
    }

    fn link(&self, tools: &Tools, target: &Target, libraries: &Path) {
        println!("cargo::rustc-link-search=native={}", libraries.display());
        println!("cargo::rustc-link-search=native={}", tools.cuda_libraries.display());
        println!("cargo::rustc-link-lib=static=splat_{}", self.name);
        println!("cargo::rustc-link-lib=static:-bundle=cudart_static");
        if target.linux {
            for library in ["stdc++", "dl", "rt", "pthread"] {
                println!("cargo::rustc-link-lib={library}");
            }
        }
        let shared = libraries.join(target.shared_library(&format!("splat_{}", self.name)));
        println!("cargo::rustc-env=SPLAT_ENGINE_LIBRARY={}", shared.display());
        println!("cargo::rustc-env=SPLAT_ENGINE_ARCHS={}", tools.architectures);
        println!("cargo::metadata=libdir={}", libraries.display());
    }
}

impl Sources {
    fn find(&self, problems: &mut Problems) -> Option<PathBuf> {
        let Some(folder) = variable(self.variable).map(PathBuf::from) else {
            problems.add(format!("{} is not set", self.variable), self.hint);
            return None;
        };
        for file in self.files {
            let path = folder.join(file);
            if !path.is_file() {
                problems.add(
                    format!("{} has no `{file}`: `{}` is not a file", self.variable, path.display()),
                    self.hint,
                );
                return None;
            }
            println!("cargo::rerun-if-changed={}", path.parent().unwrap_or(&folder).display());
        }
        Some(folder)
    }
}

/// The folder of `splat_engine.h`.
fn header(problems: &mut Problems) -> Option<PathBuf> {
    let folder = variable("DEP_SPLAT_ENGINE_INCLUDE").map(PathBuf::from);
    let found = folder.filter(|f| f.join("splat_engine.h").is_file());
    if found.is_none() {
        problems.add(
            "DEP_SPLAT_ENGINE_INCLUDE names no folder with `splat_engine.h`".into(),
            "the crate must depend on `splat-engine` directly: cargo then sets this variable",
        );
    }
    found
}

/// A CMake folder serves one set of tools: other tools get another folder, and switching back recompiles nothing. What
/// CMake itself follows (sources, architectures, versions) stays out.
fn cache_key(tools: &Tools) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&tools.nvcc, &tools.cmake, &tools.ninja, &tools.host_compiler).hash(&mut hasher);
    let target = env::var("TARGET").unwrap_or_default().replace('-', "_");
    for name in ["CXX", "CXXFLAGS"] {
        (variable(name), variable(&format!("{name}_{target}"))).hash(&mut hasher);
    }
    hasher.finish()
}

/// A folder that cargo names for every build script.
fn folder_of_cargo(name: &str) -> PathBuf {
    let hint = "call this from a build script that cargo runs";
    env::var_os(name).map_or_else(|| stop(&format!("{name} is not set"), hint), PathBuf::from)
}
