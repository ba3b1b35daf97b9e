//! Paths of another machine: a snapshot from Windows is planned on Linux and the reverse, so joining and splitting
//! follow the path's own style and not the running system's. Text only; nothing is looked up.

use std::path::{Path, PathBuf};

/// `C:\...`, `C:/...` or `\\server\...`.
pub fn is_windows(path: &str) -> bool {
    let bytes = path.as_bytes();
    let drive = bytes.len() >= 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':';
    drive || path.starts_with("\\\\")
}

/// Whether a path is absolute in its own style.
pub fn is_absolute(path: &str) -> bool {
    path.starts_with('/') || is_windows(path)
}

/// `base` with `inner` (parts separated by `/`) below it, in the style of `base`.
pub fn join(base: &Path, inner: &str) -> PathBuf {
    let text = base.to_string_lossy();
    if is_windows(&text) {
        let joint = if text.ends_with(['\\', '/']) { "" } else { "\\" };
        return PathBuf::from(format!("{text}{joint}{}", inner.replace('/', "\\")));
    }
    // Part by part, so that the separators are the platform's own.
    inner.split('/').fold(base.to_owned(), |path, part| path.join(part))
}

/// The folder that holds `path`, in its own style.
pub fn parent(path: &Path) -> Option<PathBuf> {
    let text = path.to_string_lossy();
    if is_windows(&text) {
        let (above, _) = text.trim_end_matches(['\\', '/']).rsplit_once(['\\', '/'])?;
        return Some(PathBuf::from(above));
    }
    path.parent().map(Path::to_owned)
}

/// The last part of a path, in its own style.
pub fn file_name(path: &Path) -> String {
    let text = path.to_string_lossy();
    let separators: &[char] = if is_windows(&text) { &['\\', '/'] } else { &['/'] };
    text.trim_end_matches(separators).rsplit(separators).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_keeps_its_own_style() {
        let windows = Path::new(r"C:\Program Files\CUDA\v12.6");
        assert_eq!(join(windows, "bin/nvcc.exe"), Path::new(r"C:\Program Files\CUDA\v12.6\bin\nvcc.exe"));
        assert_eq!(parent(windows), Some(r"C:\Program Files\CUDA".into()));
        assert_eq!(file_name(windows), "v12.6");
        assert_eq!(file_name(Path::new("/usr/local/cuda-12.6/")), "cuda-12.6");
        assert!(
            is_absolute("/usr") && is_absolute("D:/x") && is_absolute(r"\\server\x") && !is_absolute("12.6")
        );
    }

    #[cfg(unix)]
    #[test]
    fn unix_paths_join_as_ever() {
        assert_eq!(join(Path::new("/usr/local"), "bin/nvcc"), Path::new("/usr/local/bin/nvcc"));
        assert_eq!(parent(Path::new("/usr/local")), Some("/usr".into()));
    }
}
