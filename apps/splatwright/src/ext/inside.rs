//! What a compiled module's file says: the symbols it needs and defines, the libraries it names, the GPU code it
//! carries. ELF and PE; read from the file, nothing is loaded.

use std::{
    collections::{BTreeSet, HashSet},
    path::Path,
};

use anyhow::Result;
use object::{
    NameOrOrdinal, Object as _, ObjectSection as _, ObjectSymbol as _, ReadCache, ReadRef,
    read::elf::{Dyn as _, FileHeader as _},
};
use splat_toolchain::fatbin::{self, Architectures};

/// One module.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Inside {
    /// Undefined symbols; in a PE file those of imported libraries.
    pub(crate) undefined: BTreeSet<String>,
    /// Names of the libraries it asks the loader for.
    pub(crate) needed: Vec<String>,
    /// `sm_86`, `compute_86`.
    pub(crate) archs: Vec<String>,
    pub(crate) code: Architectures,
    pub(crate) windows: bool,
}

/// Reads a module.
pub(crate) fn module(path: &Path) -> Result<Inside> {
    let bytes = fs_err::read(path)?;
    let file = object::File::parse(&*bytes)?;
    let mut inside = Inside { windows: file.format() == object::BinaryFormat::Pe, ..Inside::default() };
    if inside.windows {
        for import in file.imports()? {
            let import = import?;
            inside.undefined.insert(text(import.name()));
            let library = String::from_utf8_lossy(import.library()).into_owned();
            if !inside.needed.contains(&library) {
                inside.needed.push(library);
            }
        }
    } else {
        let wanted = file.dynamic_symbols().filter(|symbol| symbol.is_undefined() && !symbol.is_weak());
        inside.undefined.extend(
            wanted.filter_map(|symbol| Some(symbol.name().ok()?.to_owned())).filter(|n| !n.is_empty()),
        );
        inside.needed = needed(&*bytes);
    }
    for section in file.sections() {
        if section.name().is_ok_and(|name| name.starts_with(".nv_fatb")) {
            let found = fatbin::architectures(section.data()?);
            inside.archs.extend(found.sass.iter().map(|arch| format!("sm_{arch}")));
            inside.archs.extend(found.ptx.iter().map(|arch| format!("compute_{arch}")));
            inside.code.sass.extend(found.sass);
            inside.code.ptx.extend(found.ptx);
        }
    }
    inside.archs.sort();
    inside.archs.dedup();
    inside.code.sass.sort_unstable();
    inside.code.ptx.sort_unstable();
    Ok(inside)
}

/// Takes from `wanted` what the library exports; the libraries that it needs in turn. Libraries of torch have
/// hundreds of megabytes: only their tables are read.
pub(crate) fn resolve(library: &Path, wanted: &mut BTreeSet<String>) -> Result<Vec<String>> {
    let cache = ReadCache::new(fs_err::File::open(library)?.into_file());
    let file = object::File::parse(&cache)?;
    if file.format() == object::BinaryFormat::Pe {
        for export in file.exports()? {
            wanted.remove(&text(export?.name()));
        }
        return Ok(Vec::new());
    }
    let mut found = HashSet::new();
    for symbol in file.dynamic_symbols().filter(|symbol| !symbol.is_undefined()) {
        if let Ok(name) = symbol.name()
            && wanted.contains(name)
        {
            found.insert(name.to_owned());
        }
    }
    wanted.retain(|name| !found.contains(name));
    Ok(needed(&cache))
}

/// A symbol of a PE file: by name, or by its number as `#12`.
fn text(name: NameOrOrdinal<&[u8]>) -> String {
    match name {
        NameOrOrdinal::Name(name) => String::from_utf8_lossy(name).into_owned(),
        NameOrOrdinal::Ordinal(number) => format!("#{number}"),
    }
}

/// DT_NEEDED of a 64-bit ELF file; empty for other formats.
fn needed<'a, R: ReadRef<'a>>(data: R) -> Vec<String> {
    let Ok(header) = object::elf::FileHeader64::<object::Endianness>::parse(data) else { return Vec::new() };
    let Ok(endian) = header.endian() else { return Vec::new() };
    let Ok(sections) = header.sections(endian, data) else { return Vec::new() };
    let Ok(Some((dynamic, link))) = sections.dynamic(endian, data) else { return Vec::new() };
    let Ok(strings) = sections.strings(endian, data, link) else { return Vec::new() };
    let names = dynamic.iter().filter(|entry| entry.tag(endian) == object::elf::DT_NEEDED);
    names
        .filter_map(|entry| entry.string(endian, strings).ok())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// The system's own library that every program here needs, and symbols that it defines.
    fn system() -> (&'static str, PathBuf, &'static str) {
        if cfg!(windows) {
            let root = std::env::var("SystemRoot").unwrap_or_else(|_| r"C:\windows".into());
            ("kernel32.dll", PathBuf::from(root).join(r"System32\kernel32.dll"), "GetLastError")
        } else {
            let folders =
                ["/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/lib64", "/usr/lib64", "/usr/lib"];
            let found =
                folders.iter().map(|folder| Path::new(folder).join("libc.so.6")).find(|path| path.exists());
            ("libc.so.6", found.unwrap_or_default(), "memmove")
        }
    }

    #[test]
    fn what_this_program_needs_is_found_where_the_system_has_it() {
        let inside = module(&std::env::current_exe().unwrap()).unwrap();
        assert_eq!(inside.windows, cfg!(windows));
        let (name, library, symbol) = system();
        assert!(inside.needed.iter().any(|needed| needed.eq_ignore_ascii_case(name)), "{:?}", inside.needed);
        assert!(inside.archs.is_empty());
        let before = inside.undefined.len();
        // memmove is chosen at load time (an indirect function), which is a definition all the same.
        let mut wanted = inside.undefined;
        wanted.insert(symbol.to_owned());
        wanted.insert("_ZN3c106SymInt19promote_to_negativeEv".to_owned());
        resolve(&library, &mut wanted).unwrap();
        assert!(!wanted.contains(symbol), "{symbol} of {}", library.display());
        assert!(wanted.contains("_ZN3c106SymInt19promote_to_negativeEv"));
        assert!(wanted.len() < before, "{before} before, {} after", wanted.len());
    }

    #[test]
    fn what_is_no_library_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("_C.so");
        fs_err::write(&path, "not a library").unwrap();
        assert!(module(&path).is_err());
    }
}
