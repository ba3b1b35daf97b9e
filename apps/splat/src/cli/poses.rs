//! Pictures and videos without camera poses: the way from them to a dataset, as commands for this machine.

use std::path::{Path, PathBuf};

const PICTURES: [&str; 6] = ["jpg", "jpeg", "png", "webp", "tif", "tiff"];
const VIDEOS: [&str; 6] = ["mp4", "mov", "mkv", "avi", "webm", "m4v"];

/// What `path` is and the commands that give it poses, if it is a video or a folder with pictures.
pub(crate) fn hint(path: &Path) -> Option<(&'static str, String)> {
    if path.is_file() && ends_in(path, &VIDEOS) {
        let folder = path.with_extension("");
        let images = folder.join("images");
        let frames = format!(
            "mkdir -p {to} && ffmpeg -n -i {from} -vf fps=2 -qscale:v 2 {to}/%05d.jpg && ",
            to = quoted(&images),
            from = quoted(path)
        );
        let hint = commands(&["ffmpeg", "colmap"], &frames, &images, &folder, "");
        return Some(("a video, which has no camera poses", hint));
    }
    let what = "pictures, but no camera poses";
    if has_pictures(&path.join("images")) {
        return Some((what, commands(&["colmap"], "", &path.join("images"), path, "")));
    }
    has_pictures(path).then(|| {
        let mut beside = path.canonicalize().unwrap_or_else(|_| path.into()).into_os_string();
        beside.push("-poses");
        let beside = PathBuf::from(beside);
        let make = format!("mkdir -p {} && ", quoted(&beside));
        let images = format!(" --images {}", quoted(path));
        (what, commands(&["colmap"], &make, path, &beside, &images))
    })
}

fn commands(programs: &[&str], before: &str, images: &Path, workspace: &Path, more: &str) -> String {
    let missing: Vec<&str> = programs.iter().copied().filter(|program| !installed(program)).collect();
    let install = match missing.as_slice() {
        [] => String::new(),
        missing => format!("install {0} (apt install {0}, brew install {0}), then: ", missing.join(" ")),
    };
    let (images, workspace) = (quoted(images), quoted(workspace));
    format!(
        "compute them with COLMAP: {install}{before}colmap automatic_reconstructor --image_path {images} \
         --workspace_path {workspace} --dense 0 && splat train {workspace}{more} -o out"
    )
}

fn ends_in(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    endings.contains(&ending.as_str())
}

fn has_pictures(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| ends_in(&entry.path(), &PICTURES))
}

fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .any(|folder| folder.join(program).is_file() || folder.join(format!("{program}.exe")).is_file())
}

/// `path` as one word of a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+:\\".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
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
        assert!(what.contains("no camera poses") && set.contains("automatic_reconstructor"), "{set}");
        assert!(set.contains(&format!("--workspace_path {}", at("set").display())), "{set}");
        let (_, flat) = hint(&at("my photos")).unwrap();
        assert!(flat.contains("my photos-poses' --images '"), "{flat}");
        let (what, video) = hint(&at("walk.MP4")).unwrap();
        assert!(
            what.contains("video") && video.contains("ffmpeg -n -i") && video.contains("walk/images"),
            "{video}"
        );
        assert_eq!((hint(dir.path()), hint(&at("text.txt")), hint(&at("none"))), (None, None, None));
        assert_eq!(quoted("it's".as_ref()), r"'it'\''s'");
    }
}
