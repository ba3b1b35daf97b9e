//! The platform tag of a wheel, from what its libraries really ask of the system that loads them.
//!
//! Linux: PEP 600, `manylinux_2_N` where N is glibc's release with everything that any library needs; needs of
//! libstdc++ and libgcc count as the first glibc whose distributions have them. Windows: system libraries only.

use anyhow::{Context as _, bail};
use object::{Object as _, ObjectSymbol as _, read::elf::Dyn as _, read::elf::FileHeader as _};

use crate::hint::hinted;

/// Libraries that every system of a manylinux tag has (PEP 600 and auditwheel's list, the C and C++ parts of it).
const LINUX: &[&str] = &[
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
    "libc.so.6",
    "libdl.so.2",
    "libgcc_s.so.1",
    "libm.so.6",
    "libpthread.so.0",
    "librt.so.1",
    "libstdc++.so.6",
];

/// Libraries that every 64-bit Windows 10 has, without their suffix; `api-ms-win-` besides.
const WINDOWS: &[&str] =
    &["advapi32", "bcrypt", "bcryptprimitives", "kernel32", "msvcrt", "ntdll", "userenv", "ws2_32"];

/// Libraries of torch that a program may need whose wheel requires torch.
const TORCH: &[&str] = &["libc10.so", "libtorch.so", "libtorch_cpu.so"];

/// The highest symbol versions that distributions with a glibc `2.N` have: N, GLIBCXX 3.4.x, CXXABI 1.3.x, GCC x.
const RUNTIMES: &[[u32; 4]] = &[
    [17, 19, 7, 4],
    [24, 22, 10, 4],
    [27, 24, 11, 7],
    [31, 28, 12, 7],
    [34, 29, 13, 7],
    [35, 30, 13, 12],
    [39, 33, 15, 14],
];

/// Functions that glibc before 2.34 has in libraries of their own. A file that calls one and does not name its library asks
/// for 2.34, although the symbol's version is an old one.
const APART: &[(&str, &str)] = &[
    ("dladdr", "libdl.so.2"),
    ("dlopen", "libdl.so.2"),
    ("dlsym", "libdl.so.2"),
    ("pthread_create", "libpthread.so.0"),
    ("pthread_join", "libpthread.so.0"),
    ("pthread_key_create", "libpthread.so.0"),
    ("sem_wait", "libpthread.so.0"),
    ("shm_open", "librt.so.1"),
];

/// What one library asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    /// Its name.
    pub name: String,
    /// `linux_x86_64` or `win_amd64`.
    pub system: String,
    /// Libraries that it needs.
    pub needed: Vec<String>,
    /// Versions of symbols that it needs, such as `GLIBC_2.34`; what follows a space is a reason.
    pub versions: Vec<String>,
    /// What it exports.
    pub symbols: Vec<String>,
}

impl Library {
    /// Reads a library's file; nothing is loaded.
    ///
    /// # Errors
    /// When it is no 64-bit library for x86-64 or ARM.
    pub fn read(name: &str, bytes: &[u8]) -> anyhow::Result<Self> {
        let file = object::File::parse(bytes).with_context(|| format!("`{name}` is no library"))?;
        let processor = match file.architecture() {
            object::Architecture::X86_64 => "x86_64",
            object::Architecture::Aarch64 => "aarch64",
            other => bail!("`{name}` is for {other:?}, but wheels are made for x86-64 and 64-bit ARM"),
        };
        let mut library = Self {
            name: name.to_owned(),
            system: format!("linux_{processor}"),
            needed: Vec::new(),
            versions: Vec::new(),
            symbols: Vec::new(),
        };
        if file.format() == object::BinaryFormat::Pe {
            library.system = if processor == "x86_64" { "win_amd64".into() } else { "win_arm64".into() };
            for import in file.imports()? {
                library.needed.push(String::from_utf8_lossy(import?.library()).into_owned());
            }
            for export in file.exports()? {
                if let object::NameOrOrdinal::Name(name) = export?.name() {
                    library.symbols.push(String::from_utf8_lossy(name).into_owned());
                }
            }
        } else {
            let defined = file.dynamic_symbols().filter(|s| s.is_definition() && s.is_global());
            library.symbols.extend(defined.filter_map(|s| s.name().ok().map(str::to_owned)));
            library.read_elf(bytes)?;
            let called = file.dynamic_symbols().filter(|s| s.is_undefined()).filter_map(|s| s.name().ok());
            for (_, apart) in called.filter_map(|name| APART.iter().find(|(symbol, _)| *symbol == name)) {
                if !library.needed.iter().any(|needed| needed == apart) {
                    library.versions.push(format!("GLIBC_2.34 without {apart}"));
                }
            }
        }
        for list in [&mut library.needed, &mut library.versions, &mut library.symbols] {
            list.sort();
            list.dedup();
        }
        Ok(library)
    }

    /// The same where torch is there.
    pub(super) fn with_torch(mut self) -> Self {
        self.needed.retain(|name| !TORCH.contains(&name.as_str()));
        self
    }

    fn read_elf(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let header = object::elf::FileHeader64::<object::Endianness>::parse(bytes)?;
        let endian = header.endian()?;
        let sections = header.sections(endian, bytes)?;
        if let Some((dynamic, link)) = sections.dynamic(endian, bytes)? {
            let strings = sections.strings(endian, bytes, link)?;
            for entry in dynamic {
                let tag = entry.tag(endian);
                if tag == object::elf::DT_RPATH || tag == object::elf::DT_RUNPATH {
                    bail!("`{}` looks for libraries in {}", self.name, text(entry.string(endian, strings)?));
                }
                if tag == object::elf::DT_NEEDED {
                    self.needed.push(text(entry.string(endian, strings)?));
                }
            }
        }
        if let Some((mut needs, link)) = sections.gnu_verneed(endian, bytes)? {
            let strings = sections.strings(endian, bytes, link)?;
            while let Some((_, mut versions)) = needs.next()? {
                while let Some(version) = versions.next()? {
                    self.versions.push(text(version.name(endian, strings)?));
                }
            }
        }
        Ok(())
    }

    /// The smallest N of glibc 2.N that has all of it, and the version that asks for it.
    fn floor(&self) -> anyhow::Result<(u32, String)> {
        let mut floor = (17, "manylinux's oldest".to_owned());
        for version in &self.versions {
            let least = least_glibc(version).ok_or_else(|| {
                hinted(
                    format!("`{}` needs {version}, which no manylinux system is known to have", self.name),
                    "compile with an older or a known C++ compiler: CXX=g++-12 cargo xtask wheel",
                )
            })?;
            if least > floor.0 {
                floor = (least, version.clone());
            }
        }
        Ok(floor)
    }
}

/// The tag of a wheel with these libraries, and what decided it.
///
/// # Errors
/// When there are none, they are for several systems, or one asks for a library that not every system has.
pub fn platform_tag(libraries: &[Library]) -> anyhow::Result<(String, String)> {
    let first = libraries.first().context("a wheel without any engine has no platform")?;
    for library in libraries {
        if library.system != first.system {
            bail!("`{}` is for {}, but `{}` for {}", library.name, library.system, first.name, first.system);
        }
        for needed in &library.needed {
            let base = needed.to_ascii_lowercase();
            let base = base.trim_end_matches(".dll");
            let known = match first.system.starts_with("win") {
                true => WINDOWS.contains(&base) || base.starts_with("api-ms-win-"),
                false => LINUX.contains(&needed.as_str()),
            };
            if !known {
                return Err(hinted(
                    format!("`{}` needs `{needed}`, which other machines may not have", library.name),
                    "link it statically",
                ));
            }
        }
    }
    let Some(processor) = first.system.strip_prefix("linux_") else {
        return Ok((first.system.clone(), "system libraries alone".into()));
    };
    let mut highest = (0, String::new());
    for library in libraries {
        let (floor, version) = library.floor()?;
        if floor > highest.0 {
            highest = (floor, format!("{version} ({})", library.name));
        }
    }
    Ok((format!("manylinux_2_{}_{processor}", highest.0), highest.1))
}

/// N of the first glibc 2.N whose systems have this version of a symbol; `None` for a version of something else.
fn least_glibc(version: &str) -> Option<u32> {
    let (kind, number) = version.split(' ').next()?.rsplit_once('_')?;
    if version == "GLIBC_ABI_DT_RELR" {
        return Some(36);
    }
    let numbers: Vec<u32> = number.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let part = |i: usize| numbers.get(i).copied().unwrap_or(0);
    let first = |column: usize, highest: u32| RUNTIMES.iter().find(|r| highest <= r[column]).map(|r| r[0]);
    match kind {
        "GLIBC" => (part(0) == 2).then_some(part(1)),
        "GLIBCXX" if (part(0), part(1)) == (3, 4) => first(1, part(2)),
        "CXXABI" if (part(0), part(1)) == (1, 3) => first(2, part(2)),
        "GCC" => first(3, part(0)),
        _ => None,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(name: &str, needed: &[&str], versions: &[&str]) -> Library {
        let owned = |list: &[&str]| list.iter().map(|&s| s.to_owned()).collect();
        Library {
            name: name.into(),
            system: "linux_x86_64".into(),
            needed: owned(needed),
            versions: owned(versions),
            symbols: Vec::new(),
        }
    }

    #[test]
    fn the_highest_demand_of_any_library_decides() {
        let cpu = library("a", &["libc.so.6"], &["GLIBC_2.2.5", "GLIBC_2.34", "GLIBC_2.9", "GCC_4.2.0"]);
        let cuda = library("b", &[], &["GLIBC_2.17", "GLIBCXX_3.4.30"]);
        assert_eq!(
            platform_tag(std::slice::from_ref(&cpu)).unwrap(),
            ("manylinux_2_34_x86_64".into(), "GLIBC_2.34 (a)".into())
        );
        assert_eq!(
            platform_tag(&[cpu, cuda]).unwrap(),
            ("manylinux_2_35_x86_64".into(), "GLIBCXX_3.4.30 (b)".into())
        );
    }

    #[test]
    fn what_not_every_system_has_is_refused() {
        for bad in [
            library("a", &["libcudart.so.13"], &[]),
            library("a", &[], &["GLIBC_PRIVATE"]),
            library("a", &[], &["GLIBCXX_3.4.99"]),
            library("a", &[], &["ZLIB_1.2.9"]),
        ] {
            let error = platform_tag(&[bad]).unwrap_err().to_string();
            assert!(error.contains("`a` needs"), "{error}");
        }
        let mut windows = library("b", &["KERNEL32.dll", "api-ms-win-core-synch-l1-2-0.dll"], &[]);
        windows.system = "win_amd64".into();
        assert!(platform_tag(&[library("a", &[], &[]), windows.clone()]).is_err(), "two systems");
        assert_eq!(platform_tag(&[windows.clone()]).unwrap().0, "win_amd64");
        windows.needed.push("libgcc_s_seh-1.dll".into());
        assert!(platform_tag(&[windows]).is_err(), "mingw's own library is not on every Windows");
    }

    /// This test program is an ELF file that glibc's loader has just taken.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn a_real_file_is_read() {
        let bytes = fs_err::read(std::env::current_exe().unwrap()).unwrap();
        let read = Library::read("me", &bytes).unwrap();
        assert!(read.needed.iter().any(|n| n == "libc.so.6"), "{:?}", read.needed);
        let (tag, because) = platform_tag(&[read]).unwrap();
        assert!(tag.starts_with("manylinux_2_") && because.contains("(me)"), "{tag}, {because}");
    }

    /// A program with threads that also opens libraries, linked for an old C library and for none in particular.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn what_an_old_c_library_has_apart_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let run = |program: &str, arguments: &[&str]| {
            let mut command = std::process::Command::new(program);
            command.args(arguments).current_dir(folder.path()).env("LIBRARY_PATH", folder.path().join("lib"));
            let output = command.output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{program} {arguments:?}: {said}");
        };
        let code = "#include <dlfcn.h>\n#include <pthread.h>\n#include <sys/stat.h>\n\
                    static void *same(void *p) { return p; }\n\
                    int main(void) { pthread_t one; struct stat s; pthread_create(&one, 0, same, 0);\n\
                    return pthread_join(one, 0) || stat(\"/\", &s) || !dlopen(0, RTLD_NOW); }\n";
        fs_err::write(folder.path().join("a.c"), code).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/engine-build/old-glibc.sh");
        run("sh", &[script, "."]);
        run("cc", &["a.c", "-o", "a"]);
        run("./a", &[]);
        let read =
            |name: &str| Library::read(name, &fs_err::read(folder.path().join(name)).unwrap()).unwrap();
        let program = read("a");
        let (tag, because) = platform_tag(std::slice::from_ref(&program)).unwrap();
        let minor: u32 = tag.split('_').nth(2).unwrap().parse().unwrap();
        assert!(minor <= 28, "{tag} because of {because}");
        for apart in ["libpthread.so.0", "libdl.so.2"] {
            assert!(program.needed.iter().any(|name| name == apart), "{:?}", program.needed);
        }
        run("cc", &["-shared", "-fPIC", "-nostdlib", "a.c", "-o", "b.so"]);
        let (tag, because) = platform_tag(&[read("b.so")]).unwrap();
        assert!(tag.starts_with("manylinux_2_34_") && because.contains("without lib"), "{tag}, {because}");
    }
}
