//! Pictures and videos without camera poses, given to a command that needs some: the command that finds them.

use std::path::Path;

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
