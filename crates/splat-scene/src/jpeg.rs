//! What a JPEG file says of itself before its pixels: size, EXIF orientation, and whether its end is there.
//!
//! The decoder forgives a file that stops half way and leaves the rest grey, which would be trained on;
//! and it reads a whole file to tell its size. The pixels are its business, not ours.

use std::io::{Read, Seek, SeekFrom};

use image::metadata::Orientation;

const START: u8 = 0xD8;
const END: u8 = 0xD9;
const SCAN: u8 = 0xDA;
const APP1: u8 = 0xE1;

/// Whether `bytes` begin as JPEG files do.
pub(crate) fn is(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xFF, START, 0xFF])
}

/// Frame headers, less the tables that share their range.
fn is_frame(marker: u8) -> bool {
    (0xC0..=0xCF).contains(&marker) && ![0xC4, 0xC8, 0xCC].contains(&marker)
}

/// Width, height and orientation; None if the file is no JPEG or ends before it tells.
pub(crate) fn header(file: &mut (impl Read + Seek)) -> Option<((u32, u32), Orientation)> {
    let mut two = [0u8; 2];
    file.read_exact(&mut two).ok()?;
    if two != [0xFF, START] {
        return None;
    }
    let mut orientation = Orientation::NoTransforms;
    loop {
        let marker = marker(file)?;
        if marker == END || marker == SCAN {
            return None;
        }
        if marker == 0x01 || (0xD0..=0xD7).contains(&marker) {
            continue;
        }
        file.read_exact(&mut two).ok()?;
        let length = u16::from_be_bytes(two).checked_sub(2)?;
        if is_frame(marker) {
            let mut b = [0u8; 5];
            file.read_exact(&mut b).ok()?;
            let side = |i: usize| u32::from(u16::from_be_bytes([b[i], b[i + 1]]));
            return Some(((side(3), side(1)), orientation));
        }
        if marker == APP1 {
            let mut segment = vec![0u8; usize::from(length)];
            file.read_exact(&mut segment).ok()?;
            if let Some(tiff) = segment.strip_prefix(b"Exif\0\0") {
                orientation = Orientation::from_exif_chunk(tiff).unwrap_or(orientation);
            }
        } else {
            file.seek(SeekFrom::Current(i64::from(length))).ok()?;
        }
    }
}

fn marker(file: &mut impl Read) -> Option<u8> {
    let mut byte = [0u8];
    file.read_exact(&mut byte).ok()?;
    if byte[0] != 0xFF {
        return None;
    }
    // Markers may be padded with further 0xFF.
    while byte[0] == 0xFF {
        file.read_exact(&mut byte).ok()?;
    }
    Some(byte[0])
}

/// Whether the end-of-image marker of the outermost image is there. Files that are malformed in other ways
/// are left to the decoder.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    let mut at = 2;
    while at + 1 < bytes.len() {
        if bytes[at] != 0xFF {
            // In a scan: on to the next marker.
            match bytes[at..].iter().position(|&b| b == 0xFF) {
                Some(n) => at += n,
                None => return false,
            }
            continue;
        }
        match bytes[at + 1] {
            END => return true,
            0xFF => at += 1,
            // A stuffed zero, restarts and the start stand alone.
            0x00 | 0x01 | 0xD0..=START => at += 2,
            _ => {
                let Some(length) = bytes.get(at + 2..at + 4) else { return false };
                at += 2 + usize::from(u16::from_be_bytes([length[0], length[1]]));
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut out = Vec::new();
        let rgb: Vec<u8> = (0..64 * 48 * 3).map(|i| (i * 31 % 253) as u8).collect();
        image::codecs::jpeg::JpegEncoder::new(&mut out)
            .encode(&rgb, 64, 48, image::ExtendedColorType::Rgb8)
            .unwrap();
        out
    }

    /// Cut anywhere it is not whole; with a trailer, as cameras write, it is.
    #[test]
    fn every_cut_is_seen() {
        let whole = sample();
        assert!(is(&whole) && is_whole(&whole));
        for n in 0..whole.len() {
            assert!(!is_whole(&whole[..n]), "{n} of {}", whole.len());
        }
        assert!(is_whole(&[whole, b"trailer".to_vec()].concat()));
    }

    #[test]
    fn size_and_orientation_are_read_from_the_front() {
        let plain = sample();
        assert_eq!(header(&mut std::io::Cursor::new(&plain)), Some(((64, 48), Orientation::NoTransforms)));
        // TIFF, little-endian: one entry, orientation (0x112), short, 6: rotated by 90 degrees.
        let tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let exif = [b"Exif\0\0".as_slice(), tiff].concat();
        let length = (exif.len() as u16 + 2).to_be_bytes();
        let turned = [&plain[..2], &[0xFF, APP1], &length, &exif, &plain[2..]].concat();
        assert_eq!(header(&mut std::io::Cursor::new(&turned)), Some(((64, 48), Orientation::Rotate90)));
        for n in 0..plain.len().min(600) {
            let _ = header(&mut std::io::Cursor::new(&plain[..n]));
        }
    }
}
