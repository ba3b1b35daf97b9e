//! Pictures and videos without camera poses, given to a command that needs some, and pictures of other formats: the commands
//! that make a dataset of them.

use std::path::Path;

use crate::machine::on_path;
use crate::reconstruct::{self, Source};

/// What `path` is and the command that gives it poses, if it is a video or a folder with pictures.
pub(crate) fn hint(path: &Path) -> Option<(&'static str, String)> {
    let what = match reconstruct::source(path)? {
        Source::Video(_) => "a video, which has no camera poses",
        Source::Photos(_) => "pictures, but no camera poses",
    };
    let mut beside = path.canonicalize().unwrap_or_else(|_| path.into()).with_extension("").into_os_string();
    beside.push("-poses");
    let beside = Path::new(&beside);
    let found = beside.join("reconstruction");
    let (path, beside, found) = (quoted(path), quoted(beside), quoted(&found));
    Some((what, format!("find them first: splat reconstruct {path} -o {beside}; they are then in {found}")))
}

/// The command that makes PNG files of all pictures beside `picture` in a new folder, and the option that uses them.
pub(crate) fn converted(picture: &Path) -> String {
    let folder = picture.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.into());
    let mut new = folder.clone().into_os_string();
    new.push("-png");
    let (from, to) = (quoted(&folder), quoted(Path::new(&new)));
    // mkdir fails if the folder exists, so that nothing is overwritten.
    format!(
        "make PNG files of all of them in a new folder, and add --images {to}: {}mkdir {to} && mogrify -format png -path {to} \
         {from}/*",
        install(&["mogrify"]).replace("mogrify", "imagemagick")
    )
}

/// How to get those of `programs` that this machine lacks; nothing if it has them all.
fn install(programs: &[&str]) -> String {
    let missing: Vec<&str> = programs.iter().copied().filter(|program| on_path(program).is_none()).collect();
    match missing.as_slice() {
        [] => String::new(),
        missing => format!("install {0} (apt install {0}, brew install {0}), then: ", missing.join(" ")),
    }
}

/// The command line of this process, for a shell.
pub(crate) fn this_command() -> String {
    let words = std::env::args_os().skip(1).map(|word| quoted(Path::new(&word)));
    std::iter::once("splat".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// `path` as one word of a shell.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+:\\".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_and_videos_get_their_commands() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs_err::create_dir_all(at("set/images")).unwrap();
        fs_err::create_dir_all(at("my photos")).unwrap();
        for name in ["set/images/a.JPG", "my photos/b.png", "walk.MP4", "text.txt"] {
            fs_err::write(at(name), []).unwrap();
        }
        let (what, set) = hint(&at("set")).unwrap();
        assert!(what.contains("no camera poses") && set.contains("splat reconstruct"), "{set}");
        let (_, flat) = hint(&at("my photos")).unwrap();
        assert!(flat.contains("my photos-poses'; they") && flat.contains("poses/reconstruction'"), "{flat}");
        let (what, video) = hint(&at("walk.MP4")).unwrap();
        assert!(what.contains("video") && video.contains("walk-poses"), "{video}");
        assert_eq!((hint(&at("text.txt")), hint(&at("none"))), (None, None));
        assert_eq!([quoted("it's".as_ref()), quoted("".as_ref())], [r"'it'\''s'", "''"]);
    }
}
