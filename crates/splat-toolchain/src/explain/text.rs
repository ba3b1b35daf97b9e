//! What a log says as text: in whatever encoding a terminal, PowerShell or Python wrote it, without colours. Lines stay
//! where they are, so that their numbers hold.

use std::borrow::Cow;

use encoding_rs::{GBK, UTF_16BE, UTF_16LE};

/// The log as text. UTF-8 without colours is not copied.
pub(super) fn readable(log: &[u8]) -> Cow<'_, str> {
    let text = match utf16(log) {
        Some(encoding) => encoding.decode(log).0,
        None => std::str::from_utf8(log).map_or_else(|_| Cow::Owned(by_line(log)), Cow::Borrowed),
    };
    if memchr::memchr(b'\x1b', text.as_bytes()).is_some() { Cow::Owned(plain(&text)) } else { text }
}

/// PowerShell's `>` writes UTF-16: by its mark, or by every second byte being zero.
fn utf16(log: &[u8]) -> Option<&'static encoding_rs::Encoding> {
    let sample = &log[..log.len().min(2048)];
    let half = sample.len() / 2;
    let zeros = |offset: usize| sample.iter().skip(offset).step_by(2).filter(|byte| **byte == 0).count();
    let is = |mark: &[u8], offset| log.starts_with(mark) || (half > 8 && zeros(offset) * 2 > half);
    if is(b"\xff\xfe", 1) {
        Some(UTF_16LE)
    } else if is(b"\xfe\xff", 0) {
        Some(UTF_16BE)
    } else {
        None
    }
}

/// Line by line, because one log can hold the output of tools that write different code pages.
fn by_line(log: &[u8]) -> String {
    let mut text = String::with_capacity(log.len() + log.len() / 8);
    for line in log.split_inclusive(|byte| *byte == b'\n') {
        match std::str::from_utf8(line) {
            Ok(line) => text += line,
            Err(_) if is_chinese(line) => text += &GBK.decode_without_bom_handling(line).0,
            Err(_) => text += &String::from_utf8_lossy(line),
        }
    }
    text
}

/// Whether the bytes beyond ASCII come in the pairs of code page 936's usual characters. Single ones are a European code
/// page's, of which the texts that are looked for need only the ASCII part.
fn is_chinese(line: &[u8]) -> bool {
    line.split(u8::is_ascii).all(|run| run.len() % 2 == 0 && run.iter().all(|byte| *byte >= 0xa1))
}

/// The text without the terminal's escape sequences.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut pieces = text.split('\x1b');
    plain += pieces.next().unwrap_or_default();
    for piece in pieces {
        let end = piece.find(|c: char| c.is_ascii_alphabetic() || c == '\n');
        plain += end.map_or("", |end| &piece[end + usize::from(!piece[end..].starts_with('\n'))..]);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_pages_and_colours_are_read() {
        assert!(matches!(readable("geöffnet 中文\n".as_bytes()), Cow::Borrowed(_)));
        let utf16: Vec<u8> =
            [0xff, 0xfe].into_iter().chain("中文\n".encode_utf16().flat_map(u16::to_le_bytes)).collect();
        assert_eq!(readable(&utf16), "中文\n");
        assert_eq!(readable(b"\xd5\xd2\xb2\xbb\xb5\xbd\n\xe6\x89\xbe\n"), "找不到\n找\n");
        assert_eq!(readable(b"ge\xf6ffnet werden\n"), "ge\u{fffd}ffnet werden\n");
        assert_eq!(readable(b"\x1b[01;31merror:\x1b[m\x1b[K no\n\x1b\n"), "error: no\n\n");
    }
}
