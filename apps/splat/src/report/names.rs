//! Names of views as names of files.

/// Endings that a view's name may have of its photograph.
const PHOTOGRAPHS: [&str; 7] = ["jpg", "jpeg", "png", "webp", "tif", "tiff", "bmp"];

/// A file name, without ending, for each of `names`: theirs without a photograph's ending, folders joined by `_`,
/// and numbered where two would be one. None leaves its folder or is hidden.
#[must_use]
pub(crate) fn file_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut used = std::collections::HashSet::new();
    let mut unique = |name: &str| {
        let stem = match name.rsplit_once('.') {
            Some((stem, ending)) if PHOTOGRAPHS.contains(&ending.to_ascii_lowercase().as_str()) => stem,
            _ => name,
        };
        let unfit = |c: char| c.is_control() || "/\\:*?\"<>|".contains(c);
        let flat: String = stem.chars().map(|c| if unfit(c) { '_' } else { c }).collect();
        let flat = flat.trim_start_matches('.');
        let flat = if flat.is_empty() { "view" } else { flat };
        // Some file systems do not tell A from a.
        let mut candidates = std::iter::once(flat.to_owned()).chain((2..).map(|n| format!("{flat}_{n}")));
        candidates.find(|c| used.insert(c.to_lowercase())).unwrap_or_default()
    };
    names.into_iter().map(&mut unique).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_apart_and_in_their_folder() {
        let names =
            ["a/b c.JPG", "a_b c.png", "../../x", "..\\x", "", "frame.0", "A_B C", "\n.png", "..", "x/.."];
        let made = file_names(names);
        let expected =
            ["a_b c", "a_b c_2", "_.._x", "_x", "view", "frame.0", "A_B C_3", "_", "view_2", "x_.."];
        assert_eq!(made, expected);
    }
}
