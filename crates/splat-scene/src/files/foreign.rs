//! What a file is, by its first bytes, where it is none of those that are read: pictures of other kinds, and what stands in
//! place of a file that was never fetched.

/// A kind of file that is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// A picture; its format.
    Picture(&'static str),
    LfsPointer,
    WebPage,
    Empty,
}

/// The kind of a file that begins with `head`, at least its first 64 bytes.
pub(crate) fn kind(head: &[u8]) -> Option<Foreign> {
    let pictures: [(usize, &[u8], &str); 8] = [
        (4, b"ftypavif", "AVIF"),
        (4, b"ftypjxl", "JPEG XL"),
        (4, b"ftyp", "HEIC"),
        (4, b"jP  ", "JPEG 2000"),
        (4, b"JXL ", "JPEG XL"),
        (0, b"\xff\x0a", "JPEG XL"),
        (0, b"GIF8", "GIF"),
        (0, b"v/1\x01", "EXR"),
    ];
    let text = head.trim_ascii_start();
    let begins = |word: &[u8]| text.get(..word.len()).is_some_and(|t| t.eq_ignore_ascii_case(word));
    if head.is_empty() {
        Some(Foreign::Empty)
    } else if head.starts_with(b"version https://git-lfs") {
        Some(Foreign::LfsPointer)
    } else if begins(b"<!doctype html") || begins(b"<html") {
        Some(Foreign::WebPage)
    } else {
        let has =
            |(at, magic, _): &&(usize, &[u8], &str)| head.get(*at..).is_some_and(|h| h.starts_with(magic));
        pictures.iter().find(has).map(|(.., name)| Foreign::Picture(name))
    }
}

impl Foreign {
    /// `it is ...`, for messages.
    pub(crate) fn what(self) -> String {
        match self {
            Self::Picture(name @ ("AVIF" | "EXR")) => format!("an {name} file, which is not read"),
            Self::Picture(name) => format!("a {name} file, which is not read"),
            Self::LfsPointer => "a pointer of Git LFS, not the file itself".into(),
            Self::WebPage => "a web page: the server sent it in place of the file".into(),
            Self::Empty => "an empty file".into(),
        }
    }

    /// What helps, apart from conversion.
    pub(crate) fn hint(self) -> &'static str {
        match self {
            Self::Picture(_) => {
                "copy the photographs as PNG or JPEG files into a new folder, and use that one"
            }
            Self::LfsPointer => "fetch the files themselves, in their repository: git lfs pull",
            Self::WebPage => "download it again, with the link of the file itself",
            Self::Empty => "copy it again",
        }
    }
}
