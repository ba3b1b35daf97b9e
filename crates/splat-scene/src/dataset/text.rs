//! Text that other programs wrote: bytes of any encoding, and JSON as Python and instant-ngp accept it.
//!
//! JSON has neither NaN nor comments, but Python writes the first and instant-ngp reads the second, so both occur in
//! datasets. Numbers come as text, too: nerfstudio's converter of RealityCapture writes its distortion so.

use std::borrow::Cow;
use std::path::Path;

use serde_json::Value;

use crate::Result;
use crate::files::{self, json};

/// The text in `bytes`: UTF-8 or UTF-16 by its byte order mark or its zero bytes, else UTF-8. Lines that are not UTF-8 are read as one
/// character per byte (Latin-1), which keeps every ASCII character and most names from Western Windows.
pub(crate) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    let utf16 = |skip: usize, unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes[skip..].chunks_exact(2).map(|b| unit([b[0], b[1]])).collect();
        String::from_utf16_lossy(&units).into()
    };
    let line = |line: &[u8]| match std::str::from_utf8(line) {
        Ok(text) => text.to_owned(),
        Err(_) => line.iter().map(|&b| char::from(b)).collect(),
    };
    match bytes {
        [0xFF, 0xFE, ..] => utf16(2, u16::from_le_bytes),
        [0xFE, 0xFF, ..] => utf16(2, u16::from_be_bytes),
        // Texts begin with ASCII, so without the mark a zero byte tells the order.
        [1..=255, 0, 1..=255, 0, ..] => utf16(0, u16::from_le_bytes),
        [0, 1..=255, 0, 1..=255, ..] => utf16(0, u16::from_be_bytes),
        _ => {
            let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
            match std::str::from_utf8(bytes) {
                Ok(text) => text.into(),
                Err(_) => bytes.split_inclusive(|&b| b == b'\n').map(line).collect::<String>().into(),
            }
        }
    }
}

/// Reads the JSON file `path`, which should be a `what`. Comments and commas after the last value are left out, and the numbers
/// that JSON lacks become text (`"NaN"`), which [`number`] reads.
pub(crate) fn read_json(path: &Path, what: &str) -> Result<Value> {
    let bytes = files::read(path)?;
    json::parse(path, plain(&decode(&bytes)).as_bytes(), what)
}

/// The JSON text without comments and trailing commas and with NaN and infinities in quotes, line by line as before.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let end_of = |end: &str| rest.find(end).map_or(rest.len(), |n| n + end.len());
        let taken = if c == '"' {
            let mut escaped = true;
            let end = rest.find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            let n = end.map_or(rest.len(), |n| n + 1);
            out.push_str(&rest[..n]);
            n
        } else if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            let n = end_of("*/");
            out.extend(rest[..n].matches('\n'));
            n
        } else if c.is_ascii_digit() || c == '-' && rest[1..].starts_with(|c: char| c.is_ascii_digit()) {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c));
            let n = end.unwrap_or(rest.len());
            // Python reads 1e999 as infinity.
            let beyond = rest[..n].parse().is_ok_and(f64::is_infinite);
            out.extend(if beyond { ["\"", &rest[..n], "\""] } else { ["", &rest[..n], ""] });
            n
        } else if c.is_ascii_alphabetic() || c == '-' {
            let word = rest.find(|c: char| !c.is_ascii_alphabetic() && c != '-').unwrap_or(rest.len());
            match rest[..word].trim_start_matches('-').to_ascii_lowercase().as_str() {
                "nan" | "inf" | "infinity" => out.extend(["\"", &rest[..word], "\""]),
                _ => out.push_str(&rest[..word]),
            }
            word
        } else {
            // Texts end with a quote, so this comma is one between values, with no value after it.
            if matches!(c, ']' | '}') && out.trim_end().ends_with(',') {
                let comma = out.trim_end().len() - 1;
                out.remove(comma);
            }
            out.push(c);
            c.len_utf8()
        };
        rest = &rest[taken..];
    }
    out
}

/// The number that `value` is or spells; `None` for null, which some writers put for NaN.
pub(crate) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Bool(b) => Some(f64::from(u8::from(*b))),
        _ => None,
    }
}

/// The rows of the matrix that `value` is, or one row if its numbers stand in no rows; NaN, which is as unusable, for what is
/// no number.
pub(crate) fn matrix(value: &Value) -> Vec<Vec<f64>> {
    let row = |row: &Value| {
        let row = row.as_array().into_iter().flatten();
        row.map(|x| number(x).unwrap_or(f64::NAN)).collect()
    };
    match value.as_array() {
        Some(list) if list.iter().any(Value::is_array) => list.iter().map(row).collect(),
        _ => vec![row(value)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_reads() {
        let text = "# Größe 1.5\n";
        let utf16 = |mark: &[u8], unit: fn(u16) -> [u8; 2]| {
            mark.iter().copied().chain(text.encode_utf16().flat_map(unit)).collect::<Vec<u8>>()
        };
        let latin: Vec<u8> = text.chars().map(|c| c as u8).collect();
        for bytes in [
            text.as_bytes().to_vec(),
            format!("\u{feff}{text}").into_bytes(),
            utf16(&[0xFF, 0xFE], u16::to_le_bytes),
            utf16(&[0xFE, 0xFF], u16::to_be_bytes),
            utf16(&[], u16::to_le_bytes),
            utf16(&[], u16::to_be_bytes),
            latin,
        ] {
            assert_eq!(decode(&bytes), text);
        }
        assert_eq!(decode(b"\xc3\xb6\n\xf6\n"), "\u{f6}\n\u{f6}\n", "each line by itself");
        // GBK: what is not ASCII becomes something, and the rest stays.
        assert!(decode(b"# \xd6\xd0\n1 2").ends_with("\n1 2"));
    }

    #[test]
    fn what_python_and_instant_ngp_accept_is_read() {
        let text = "{\"a\": NaN, // a comment with \"quotes\"\n\"b\": [-Infinity, 1e999, -1e3, true],\n/* two\nlines */ \
                    \"c//d\": \"/* kept \\\" NaN */\", \"e\": \"0.5,\", \"f\": null, // the last\n }";
        let plain = plain(text);
        assert_eq!(plain.lines().count(), text.lines().count());
        let value: Value = serde_json::from_str(&plain).unwrap();
        assert!(number(&value["a"]).unwrap().is_nan());
        let b: Vec<f64> = value["b"].as_array().unwrap().iter().filter_map(number).collect();
        assert_eq!(b, [f64::NEG_INFINITY, f64::INFINITY, -1000.0, 1.0]);
        assert_eq!(value["c//d"], "/* kept \" NaN */");
        assert_eq!((number(&value["e"]), number(&value["f"])), (None, None));
        for broken in ["\"", "/*", "//", "{\"a\\", "-", "nan", "{\"a\": nanometre}"] {
            let _ = serde_json::from_str::<Value>(&super::plain(broken));
        }
    }
}
