//! The wheel of the programs: `splat`, `splatwright` and their engines beside them, with a launcher that finds torch.
//!
//! A program linked with libtorch fits one series of torch, so the wheel requires it and says so again when it starts.

use std::path::{Path, PathBuf};

use super::{Wheel, archive::Contents, platform_tag, tag::Library, write};

/// What the wheel is made of.
#[derive(Debug)]
pub struct Programs<'a> {
    /// Programs and engine libraries, for the kind of machine of [`portable_programs`](super::portable_programs).
    pub files: &'a [PathBuf],
    /// The series of torch that the programs are linked with, such as `2.11`.
    pub torch: &'a str,
    /// Licences of everything that is inside and not ours.
    pub notices: &'a str,
}

/// Writes the wheel into `folder` and checks it.
///
/// # Errors
/// A file asks for what no wheel may ask for, holds a path of this machine, or cannot be read or written.
pub fn programs(root: &Path, made: &Programs<'_>, folder: &Path) -> anyhow::Result<Wheel> {
    let mut contents = Contents::new("splatwright", root, Some(made.torch))?;
    let mut found = Vec::new();
    for path in made.files {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let bytes = fs_err::read(path)?;
        found.push(Library::read(&name, &bytes)?.with_torch());
        contents.add(&format!("splatwright/_lib/{name}"), bytes);
    }
    let (platform, because) = platform_tag(&found)?;
    contents.add("splatwright/_row.py", format!("TORCH = \"{}\"\n", made.torch).into_bytes());
    let info = contents.info();
    contents.add(&format!("{info}/licenses/THIRD-PARTY.md"), made.notices.as_bytes().to_vec());
    let commands = "[console_scripts]\nsplat = splatwright:splat\nsplatwright = splatwright:splatwright\n";
    contents.add(&format!("{info}/entry_points.txt"), commands.as_bytes().to_vec());
    write(contents, folder, &format!("py3-none-{platform}"), Some(because))
}
