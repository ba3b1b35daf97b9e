//! JPEG files without their pixels: size, EXIF orientation, and whether the file is complete.
//!
//! The decoder accepts a file that stops half way and leaves the rest of the image grey, which would be trained on. It
//! also reads a whole file to tell its size. Pixels are left to the decoder.

use std::io::{Read, Seek, SeekFrom};

use image::metadata::Orientation;

const START: u8 = 0xD8;
const END: u8 = 0xD9;
const SCAN: u8 = 0xDA;
const APP1: u8 = 0xE1;

/// Whether `bytes` begin like a JPEG file.
pub(crate) fn is(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xFF, START, 0xFF])
}

/// Whether the marker begins a frame header, not one of the tables in the same range.
fn is_frame(marker: u8) -> bool {
    (0xC0..=0xCF).contains(&marker) && ![0xC4, 0xC8, 0xCC].contains(&marker)
}

/// Width, height and orientation; `None` if the file is not a JPEG or ends before these are stated.
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

/// Whether the outermost image has its end-of-image marker. Other damage is left to the decoder.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    let mut at = 2;
    while at + 1 < bytes.len() {
        if bytes[at] != 0xFF {
            // Inside a scan: go on to the next marker.
            match bytes[at..].iter().position(|&b| b == 0xFF) {
                Some(n) => at += n,
                None => return false,
            }
            continue;
        }
        match bytes[at + 1] {
            END => return true,
            0xFF => at += 1,
            // A stuffed zero byte, restart markers and the start have no length.
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

    /// A file cut off anywhere is incomplete; one with a trailer, as cameras write it, is complete.
    #[test]
    fn every_cut_is_detected() {
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
