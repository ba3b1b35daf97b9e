//! What a wheel claims, held against what is in it: names, RECORD, tag, exports, and that no path of a machine is inside.

use std::{
    collections::BTreeMap,
    io::{Cursor, Read as _},
    path::Path,
};

use anyhow::{Context as _, bail, ensure};

use super::{ENTRY, archive::hash, libraries::cargo_home, platform_tag, tag::Library};
use crate::repository;

/// Reads a wheel of ours and checks all of it.
///
/// # Errors
/// The first claim that does not hold, with the two values that disagree.
pub fn check(path: &Path) -> anyhow::Result<()> {
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    checked(path, &file).with_context(|| format!("`{}` is no good wheel", path.display()))
}

fn checked(path: &Path, file: &str) -> anyhow::Result<()> {
    let files = members(&fs_err::read(path)?)?;
    let parts: Vec<&str> = file.trim_end_matches(".whl").split('-').collect();
    let [package, version, python, abi, platform] = parts[..] else {
        bail!("its name `{file}` is not name-version-python-abi-platform.whl");
    };
    let info = format!("{package}-{version}.dist-info");
    let text = |name: &str| {
        let bytes =
            files.get(&format!("{info}/{name}")).with_context(|| format!("there is no {info}/{name}"));
        bytes.map(|b| String::from_utf8_lossy(b).into_owned())
    };
    let tag = format!("Tag: {python}-{abi}-{platform}");
    let wheel = text("WHEEL")?;
    ensure!(
        wheel.lines().any(|l| l == tag),
        "its name says `{tag}`, but WHEEL says `{}`",
        wheel.replace('\n', "; ")
    );
    let metadata = text("METADATA")?;
    for line in [format!("Name: {package}"), format!("Version: {version}")] {
        ensure!(metadata.lines().any(|l| l == line), "METADATA has no line `{line}`");
    }
    record(&files, &format!("{info}/RECORD"), &text("RECORD")?)?;
    let mut libraries = Vec::new();
    for (name, bytes) in &files {
        let plain = !name.starts_with('/') && !name.contains('\\') && !name.split('/').any(|p| p == "..");
        ensure!(plain, "`{name}` is no name inside a wheel");
        ensure!(!name.contains("inria"), "`{name}` is the original's, which no wheel of ours contains");
        no_paths(name, bytes)?;
        if name.contains("/_lib/") {
            let mut library = Library::read(name, bytes)?;
            if !name.ends_with(std::env::consts::DLL_SUFFIX) && !name.ends_with(".dll") {
                // A program; it may need torch where the wheel does.
                if metadata.lines().any(|line| line.starts_with("Requires-Dist: torch==")) {
                    library = library.with_torch();
                }
                libraries.push(library);
                continue;
            }
            ensure!(library.symbols.iter().any(|s| s == ENTRY), "`{name}` does not export `{ENTRY}`");
            let foreign = library.symbols.iter().find(|s| *s != ENTRY);
            ensure!(foreign.is_none(), "`{name}` exports `{}` besides `{ENTRY}`", foreign.map_or("", |s| s));
            libraries.push(library);
        }
    }
    let expected = if libraries.is_empty() { "any".to_owned() } else { platform_tag(&libraries)?.0 };
    ensure!(platform == expected, "its tag is `{platform}`, but its libraries are for `{expected}`");
    Ok(())
}

fn members(bytes: &[u8]) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes))?;
    let mut files = BTreeMap::new();
    for i in 0..zip.len() {
        let mut entry = zip.by_index(i)?;
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        let name = entry.name()?.into_owned();
        ensure!(!files.contains_key(&name), "`{name}` is in it twice");
        files.insert(name, bytes);
    }
    Ok(files)
}

/// Every file is in RECORD, with its size and hash, and nothing else is.
fn record(files: &BTreeMap<String, Vec<u8>>, own: &str, text: &str) -> anyhow::Result<()> {
    let mut listed = BTreeMap::new();
    for line in text.lines() {
        let mut fields = line.rsplitn(3, ',');
        let (size, sum, name) = (fields.next(), fields.next(), fields.next());
        let (Some(size), Some(sum), Some(name)) = (size, sum, name) else {
            bail!("RECORD has the line `{line}`, but lines are name,hash,size");
        };
        listed.insert(name, (sum, size));
    }
    for (name, bytes) in files {
        let Some((sum, size)) = listed.remove(name.as_str()) else { bail!("RECORD does not list `{name}`") };
        let (wanted, length) = (format!("sha256={}", hash(bytes)), bytes.len().to_string());
        ensure!(
            name == own || (sum == wanted && size == length),
            "RECORD says {sum} and {size} bytes of `{name}`, but they are {wanted} and {length}"
        );
    }
    ensure!(listed.is_empty(), "RECORD lists `{}`, which is not there", listed.keys().next().unwrap_or(&""));
    Ok(())
}

/// No folder of the machine that made it: the repository, cargo's sources, homes.
fn no_paths(name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    // Put together here: tidy would take them for paths of somebody's machine, and this check would find them in the program
    // that it is part of.
    let homes = [('/', "home"), ('/', "Users"), ('\\', "Users")];
    let mut folders: Vec<String> = homes.iter().map(|(mark, name)| format!("{mark}{name}{mark}")).collect();
    let own = [repository::root(), cargo_home(), std::env::home_dir()];
    folders
        .extend(own.into_iter().flatten().map(|p| format!("{}{}", p.display(), std::path::MAIN_SEPARATOR)));
    for folder in folders.iter().filter(|f| f.len() > 2) {
        if let Some(at) = memchr::memmem::find(bytes, folder.as_bytes()) {
            let rest = &bytes[at..bytes.len().min(at + 80)];
            let end = rest.iter().position(|b| !(b' '..=b'~').contains(b)).unwrap_or(rest.len());
            bail!("`{name}` holds the path `{}`", String::from_utf8_lossy(&rest[..end]));
        }
    }
    Ok(())
}
