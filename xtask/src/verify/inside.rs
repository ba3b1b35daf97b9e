//! What an engine library's file shows without being loaded: exported symbols, needed libraries, embedded GPU code.

use std::path::Path;

use object::{Object, ObjectSection, ObjectSymbol};
use splat_toolchain::{Finding, fatbin};
use splatwright::wheel::ENTRY;

use super::{Subject, broken};

/// Looks into a library's file and says what it shows to be wrong. Returns the architectures of its GPU code.
pub(super) fn look(
    path: &Path,
    subject: &Subject<'_>,
    findings: &mut Vec<Finding>,
) -> anyhow::Result<Vec<String>> {
    let bytes = fs_err::read(path)?;
    let library = object::File::parse(&*bytes)?;
    let file = path.display();
    let mut exported = library.dynamic_symbols().filter(|s| s.is_definition() && s.is_global());
    if !exported.any(|symbol| symbol.name() == Ok(ENTRY)) {
        findings.push(broken("V07", format!("`{file}` does not export `{ENTRY}`")));
    }
    for needed in needed(&bytes).iter().filter(|n| n.starts_with("libcudart") || n.starts_with("libtorch")) {
        findings.push(broken(
            "V08",
            format!("`{file}` needs `{needed}` at run time, but engines link the CUDA runtime statically and never see torch"),
        ));
    }
    let mut archs = Vec::new();
    for section in library.sections() {
        if section.name().is_ok_and(|n| n.starts_with(".nv_fatbin") || n == ".nv_fatb") {
            archs.extend(names(&fatbin::architectures(section.data()?)));
        }
    }
    archs.sort();
    archs.dedup();
    let (sass, ptx) = subject.archs;
    let planned = names(&fatbin::Architectures { sass: sass.to_vec(), ptx: ptx.into_iter().collect() });
    let missing: Vec<String> = planned.into_iter().filter(|a| !archs.contains(a)).collect();
    if !archs.is_empty() && !missing.is_empty() && subject.fingerprint.is_some() {
        let (has, missing) = (archs.join(" "), missing.join(" "));
        let what = format!("`{file}` has GPU code for {has}, but the plan asks for {missing} too");
        findings.push(broken("V09", what));
    }
    Ok(archs)
}

/// DT_NEEDED of a 64-bit ELF library; empty for other formats.
fn needed(bytes: &[u8]) -> Vec<String> {
    use object::read::elf::{Dyn, FileHeader};
    let Ok(header) = object::elf::FileHeader64::<object::Endianness>::parse(bytes) else { return Vec::new() };
    let Ok(endian) = header.endian() else { return Vec::new() };
    let Ok(sections) = header.sections(endian, bytes) else { return Vec::new() };
    let Ok(Some((dynamic, link))) = sections.dynamic(endian, bytes) else { return Vec::new() };
    let Ok(strings) = sections.strings(endian, bytes, link) else { return Vec::new() };
    dynamic
        .iter()
        .filter(|d| d.tag(endian) == object::elf::DT_NEEDED)
        .filter_map(|d| d.string(endian, strings).ok())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect()
}

fn names(of: &fatbin::Architectures) -> Vec<String> {
    let sass = of.sass.iter().map(|a| format!("sm_{a}"));
    sass.chain(of.ptx.iter().map(|a| format!("compute_{a}"))).collect()
}
