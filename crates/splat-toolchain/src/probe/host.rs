//! C++ compilers, cmake, ninja, Rust: where they are and what version each prints.

use std::path::{Path, PathBuf};

use super::msvc;
use crate::{
    env::{Env, Os, real_path},
    machine::{CompilerKind, HostCompiler, Tool},
    managed::{ManagedState, TOOLS},
    version::Version,
};

/// CUDAHOSTCXX and CXX of the user (or the one that belongs to CC alone), `c++`, `g++`, `clang++`, then every `g++-N` and `clang++-N`, newest first.
pub(crate) fn compilers(env: &Env) -> Vec<HostCompiler> {
    let mut candidates: Vec<(PathBuf, String, bool)> = Vec::new();
    for name in ["CUDAHOSTCXX", "CXX"] {
        if let Some(path) = env.user(name).and_then(|value| compiler_of(env, value)) {
            candidates.push((path, name.into(), name == "CUDAHOSTCXX"));
        }
    }
    if env.user("CXX").is_none() && env.os != Os::Windows {
        let of_c = env.user("CC").and_then(|value| compiler_of(env, value)).and_then(|path| cxx_of(&path));
        candidates.extend(of_c.map(|path| (path, "CC".into(), false)));
    }
    let names: &[&str] = match env.os {
        Os::Windows => &["cl", "clang-cl"],
        Os::Linux | Os::Macos => &["c++", "g++", "clang++", "x86_64-conda-linux-gnu-g++"],
    };
    for name in names {
        candidates.extend(env.on_path(name).map(|path| (path, format!("{name} on PATH"), false)));
    }
    candidates.extend(numbered(env).into_iter().map(|(path, name)| (path, format!("{name} on PATH"), false)));

    let mut unique: Vec<(PathBuf, String, bool)> = Vec::new();
    for (path, source, explicit) in candidates {
        match unique.iter_mut().find(|(known, ..)| real_path(known) == real_path(&path)) {
            Some(known) => known.2 |= explicit,
            None => unique.push((path, source, explicit)),
        }
    }
    let mut found = asked(env, unique);
    for toolset in msvc::toolsets(env) {
        // The prompt's own cl on PATH is one of them; what is known of the toolset is added to it.
        match found.iter_mut().find(|known| real_path(&known.path) == real_path(&toolset.path)) {
            Some(known) => known.msvc = toolset.msvc,
            None => found.push(toolset),
        }
    }
    found
}

/// `CC` of the user, then what torch's nvcc would find by itself: `gcc`, and `cc`.
pub(crate) fn c_compilers(env: &Env) -> Vec<HostCompiler> {
    if env.os == Os::Windows {
        return Vec::new();
    }
    let named =
        env.user("CC").and_then(|value| compiler_of(env, value)).map(|path| (path, "CC".into(), false));
    let found =
        ["gcc", "cc"].iter().filter_map(|name| Some((env.on_path(name)?, format!("{name} on PATH"), false)));
    asked(env, named.into_iter().chain(found).collect())
}

/// Each asked for its version, side by side.
fn asked(env: &Env, candidates: Vec<(PathBuf, String, bool)>) -> Vec<HostCompiler> {
    std::thread::scope(|scope| {
        let handles: Vec<_> = candidates
            .into_iter()
            .map(|(path, source, explicit)| {
                scope.spawn(move || {
                    // cl prints its banner and no more when it is called with nothing to do.
                    let args: &[&str] =
                        if env.os == Os::Windows && path.ends_with("cl.exe") { &[] } else { &["--version"] };
                    let (kind, version) = parse_compiler(&env.run(&path, args)?)?;
                    Some(HostCompiler { path, kind, version, source, explicit, msvc: None })
                })
            })
            .collect();
        handles.into_iter().filter_map(|handle| handle.join().ok().flatten()).collect()
    })
}

/// The compiler in `CXX=ccache g++-12 -m64`.
fn compiler_of(env: &Env, value: &str) -> Option<PathBuf> {
    if let Some(path) = env.on_path(value) {
        return Some(path); // a path with spaces in it
    }
    let wrappers = ["ccache", "sccache", "distcc"];
    let is_wrapper =
        |word: &str| wrappers.iter().any(|w| Path::new(word).file_stem().is_some_and(|stem| stem == *w));
    value.split_whitespace().find(|word| !is_wrapper(word)).and_then(|word| env.on_path(word))
}

/// `g++-12` beside `gcc-12`, `clang++` beside `clang`, `c++` beside `cc`.
fn cxx_of(c: &Path) -> Option<PathBuf> {
    let name = c.file_name()?.to_str()?;
    let (before, after, cxx) =
        [("clang", "clang++"), ("gcc", "g++"), ("cc", "c++")].into_iter().find_map(|(c, cxx)| {
            let (before, after) = name.rsplit_once(c)?;
            Some((before, after, cxx))
        })?;
    Some(c.with_file_name(format!("{before}{cxx}{after}"))).filter(|path| path.is_file())
}

fn numbered(env: &Env) -> Vec<(PathBuf, String)> {
    let mut found: Vec<(u32, PathBuf, String)> = Vec::new();
    for dir in env.path_dirs() {
        for entry in fs_err::read_dir(&dir).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let number = name.strip_prefix("g++-").or_else(|| name.strip_prefix("clang++-"));
            if let Some(number) = number.and_then(|digits| digits.parse().ok()) {
                found.push((number, entry.path(), name));
            }
        }
    }
    found.sort_by_key(|(number, ..)| std::cmp::Reverse(*number));
    found.into_iter().map(|(_, path, name)| (path, name)).collect()
}

/// `g++ (Debian 12.2.0-14) 12.2.0`, `Ubuntu clang version 18.1.3`, `... Compiler Version 19.42.34435 for x64`.
pub fn parse_compiler(text: &str) -> Option<(CompilerKind, Version)> {
    if let Some((_, after)) = text.split_once("clang version ") {
        return Some((CompilerKind::Clang, after.parse().ok()?));
    }
    if text.contains("Microsoft") {
        return Some((CompilerKind::Msvc, text.split_once("Version ")?.1.parse().ok()?));
    }
    // The vendor's text in brackets may hold versions of its own.
    let first = text.lines().next()?;
    let plain = first.rsplit_once(')').map_or(first, |(_, after)| after);
    // Other GNU programs name the foundation and a licence; GCC sends readers to its source.
    let gnu = (text.contains("Free Software Foundation") && !text.contains("License GPL"))
        || first.starts_with("g++")
        || first.starts_with("gcc")
        || first.contains("GCC");
    if gnu { Some((CompilerKind::Gcc, Version::find_in(plain)?)) } else { None }
}

pub(crate) fn cmake(env: &Env, managed: &[ManagedState]) -> Vec<Tool> {
    tool(env, "cmake", managed, "cmake/data/bin")
}

pub(crate) fn ninja(env: &Env, managed: &[ManagedState]) -> Vec<Tool> {
    let mut found = tool(env, "ninja", managed, "bin");
    if found.iter().all(|tool| tool.managed) {
        found.extend(on_path(env, "ninja-build")); // Fedora's name
    }
    found
}

fn tool(env: &Env, name: &str, managed: &[ManagedState], inside: &str) -> Vec<Tool> {
    let mut found: Vec<Tool> = on_path(env, name).into_iter().collect();
    for state in managed.iter().filter(|state| state.item == TOOLS && state.lacks.is_empty()) {
        let path = state.dir.join(inside).join(env.exe(name));
        found.extend(versioned(env, path, "Splatwright's cache", true));
    }
    found
}

fn on_path(env: &Env, name: &str) -> Option<Tool> {
    // The first one that answers: a pyenv shim of an inactive version does not.
    env.all_on_path(name).into_iter().find_map(|path| versioned(env, path, "PATH", false))
}

fn versioned(env: &Env, path: PathBuf, source: &str, managed: bool) -> Option<Tool> {
    let version = Version::find_in(&env.run(&path, &["--version"])?)?;
    Some(Tool { path, version, source: source.into(), managed })
}

/// cargo (the one that runs us, if one does) and the rustc beside it.
pub(crate) fn rust(env: &Env) -> (Option<Tool>, Option<Tool>) {
    let from_cargo = env.var("CARGO").map(PathBuf::from).filter(|path| path.is_file());
    let (cargo, source) = match from_cargo {
        Some(path) => (Some(path), "CARGO"),
        None => (env.on_path("cargo"), "PATH"),
    };
    let beside =
        cargo.as_ref().map(|path| path.with_file_name(env.exe("rustc"))).filter(|path| path.is_file());
    let rustc = beside.or_else(|| env.on_path("rustc"));
    (
        rustc.and_then(|path| versioned(env, path, source, false)),
        cargo.and_then(|path| versioned(env, path, source, false)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_by_what_they_print() {
        let parsed = |text: &str| parse_compiler(text).map(|(kind, version)| (kind, version.to_string()));
        let tool = "true (GNU coreutils) 9.1\nCopyright (C) 2022 Free Software Foundation, Inc.\nLicense GPLv3+: GNU GPL version 3 or later";
        assert_eq!(parsed(tool), None);
        let fsf = "\nCopyright (C) 2022 Free Software Foundation, Inc.\n";
        for (first, version) in [
            ("g++ (Debian 12.2.0-14+deb12u1) 12.2.0", "12.2.0"),
            ("x86_64-conda-linux-gnu-g++ (conda-forge gcc 13.3.0-1) 13.3.0", "13.3.0"),
            ("c++ (SUSE Linux) 13.2.1 20230803 [revision 1234]", "13.2.1"),
        ] {
            assert_eq!(
                parsed(&format!("{first}{fsf}")),
                Some((CompilerKind::Gcc, version.into())),
                "{first}"
            );
        }
        assert_eq!(
            parsed("Ubuntu clang version 18.1.3 (1ubuntu1)\n"),
            Some((CompilerKind::Clang, "18.1.3".into()))
        );
        assert_eq!(
            parsed("Microsoft (R) C/C++ Optimizing Compiler Version 19.42.34435 for x64\n"),
            Some((CompilerKind::Msvc, "19.42.34435".into()))
        );
        assert_eq!(parsed("pyenv: g++: command not found"), None);
    }
}
