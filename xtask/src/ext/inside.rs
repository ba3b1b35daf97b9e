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
use splat_toolchain::fatbin;

/// One module.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Inside {
    /// Undefined symbols; in a PE file those of imported libraries.
    pub(crate) undefined: BTreeSet<String>,
    /// Names of the libraries it asks the loader for.
    pub(crate) needed: Vec<String>,
    /// `sm_86`, `compute_86`.
    pub(crate) archs: Vec<String>,
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
        }
    }
    inside.archs.sort();
    inside.archs.dedup();
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
