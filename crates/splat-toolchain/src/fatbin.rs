//! Which GPU architectures a library carries, from the bytes of its `.nv_fatbin` section.
//!
//! nvcc writes one container for each compiled file: a header, then an entry for each architecture, machine code
//! (SASS) or PTX. Nothing is decompressed, run or loaded; finding the section in the file is the caller's.

/// First bytes of a container, little-endian.
const MAGIC: u32 = 0xBA55_ED50;
const CONTAINER_HEADER: usize = 16;
/// Kinds of entries.
const PTX: u16 = 1;
const SASS: u16 = 2;
/// Offset of the architecture number in an entry, and the least an entry's header has.
const ARCHITECTURE: usize = 28;
const ENTRY_HEADER: usize = 32;

/// Numbers as in `sm_90` and `compute_90`, ascending, each once; of all files that were compiled into the library.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Architectures {
    /// Machine code: runs on GPUs of this architecture, and of later minor revisions of the same major one.
    pub sass: Vec<u32>,
    /// Intermediate code: compiled by the driver for any GPU of this or a later architecture.
    pub ptx: Vec<u32>,
}

/// The code that a GPU takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Machine code of that architecture.
    Sass(u32),
    /// Intermediate code, which the driver compiles at first use.
    Ptx(u32),
}

impl Architectures {
    /// What a GPU of this architecture runs, the nearest first.
    #[must_use]
    pub fn code_for(&self, arch: u32) -> Option<Code> {
        let sass = self.sass.iter().rev().find(|&&code| code / 10 == arch / 10 && code <= arch);
        let ptx = || self.ptx.iter().rev().find(|&&code| code <= arch);
        sass.map(|&code| Code::Sass(code)).or_else(|| ptx().map(|&code| Code::Ptx(code)))
    }
}

/// The architectures in a `.nv_fatbin` section. Bytes that are no container are skipped, an entry that runs over
/// its container ends it: a damaged section has fewer architectures, and none if there is nothing to be read.
#[must_use]
pub fn architectures(section: &[u8]) -> Architectures {
    let mut found = Architectures::default();
    let mut rest = section;
    while rest.len() >= CONTAINER_HEADER {
        match container(rest) {
            Some((entries, length)) => {
                read_entries(entries, &mut found);
                rest = &rest[length..];
            }
            // Containers are aligned to eight bytes.
            None => rest = rest.get(8..).unwrap_or_default(),
        }
    }
    for list in [&mut found.sass, &mut found.ptx] {
        list.sort_unstable();
        list.dedup();
    }
    found
}

/// The entries of the container that `bytes` begins with, and its whole length.
fn container(bytes: &[u8]) -> Option<(&[u8], usize)> {
    if u32_at(bytes, 0)? != MAGIC {
        return None;
    }
    let header = usize::from(u16_at(bytes, 6)?);
    let size = usize::try_from(u64_at(bytes, 8)?).ok()?;
    let length = header.checked_add(size).filter(|_| header >= CONTAINER_HEADER)?;
    Some((bytes.get(header..length)?, length))
}

fn read_entries(mut bytes: &[u8], found: &mut Architectures) {
    while let Some((kind, architecture, length)) = entry(bytes) {
        match kind {
            PTX => found.ptx.push(architecture),
            SASS => found.sass.push(architecture),
            _ => {}
        }
        bytes = &bytes[length..];
    }
}

/// Kind, architecture and whole length of the entry that `bytes` begins with.
fn entry(bytes: &[u8]) -> Option<(u16, u32, usize)> {
    let header = usize::try_from(u32_at(bytes, 4)?).ok()?;
    let size = usize::try_from(u64_at(bytes, 8)?).ok()?;
    let length = header.checked_add(size).filter(|n| header >= ENTRY_HEADER && *n <= bytes.len())?;
    Some((u16_at(bytes, 0)?, u32_at(bytes, ARCHITECTURE)?, length))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_runs_code_of_its_own_major_version_else_what_the_driver_compiles() {
        let inside = Architectures { sass: vec![75, 80, 89], ptx: vec![80] };
        assert_eq!(inside.code_for(86), Some(Code::Sass(80)));
        assert_eq!(inside.code_for(89), Some(Code::Sass(89)));
        assert_eq!(inside.code_for(90), Some(Code::Ptx(80)));
        assert_eq!(inside.code_for(70), None);
    }

    /// An entry with `payload` bytes, as nvcc 13.0 writes it: machine code has 64 bytes of header, PTX 80.
    fn entry(kind: u16, architecture: u32, payload: usize) -> Vec<u8> {
        let header: u32 = if kind == PTX { 80 } else { 64 };
        let mut bytes = Vec::new();
        bytes.extend(kind.to_le_bytes());
        bytes.extend(257u16.to_le_bytes());
        bytes.extend(header.to_le_bytes());
        bytes.extend((payload as u64).to_le_bytes());
        bytes.extend([0; 12]);
        bytes.extend(architecture.to_le_bytes());
        // Payloads may hold anything, also the magic number.
        bytes.resize(header as usize, 0);
        bytes.extend(MAGIC.to_le_bytes().repeat(payload / 4));
        bytes
    }

    fn container(entries: &[Vec<u8>]) -> Vec<u8> {
        let body = entries.concat();
        let mut bytes = MAGIC.to_le_bytes().to_vec();
        bytes.extend(1u16.to_le_bytes());
        bytes.extend((CONTAINER_HEADER as u16).to_le_bytes());
        bytes.extend((body.len() as u64).to_le_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn every_container_counts_once_for_each_architecture() {
        let first = container(&[entry(SASS, 90, 64), entry(SASS, 80, 128), entry(PTX, 90, 8)]);
        let second = container(&[entry(SASS, 80, 16), entry(SASS, 120, 16), entry(PTX, 90, 24)]);
        let section = [first, vec![0; 24], second].concat();
        let expected = Architectures { sass: vec![80, 90, 120], ptx: vec![90] };
        assert_eq!(architectures(&section), expected);
    }

    #[test]
    fn other_kinds_are_no_architectures() {
        assert_eq!(architectures(&container(&[entry(8, 90, 64)])), Architectures::default());
    }

    #[test]
    fn damaged_sections_end_early_and_never_panic() {
        let whole = container(&[entry(SASS, 80, 64), entry(PTX, 90, 64)]);
        for length in 0..whole.len() {
            assert_eq!(architectures(&whole[..length]), Architectures::default(), "cut to {length} bytes");
        }
        // A length that overflows, in the container and in an entry.
        for at in [8, CONTAINER_HEADER + 8] {
            let mut bytes = whole.clone();
            bytes[at..at + 8].fill(0xff);
            assert_eq!(architectures(&bytes), Architectures::default(), "length at {at} is 2^64 - 1");
        }
        // A header of no length would never end.
        let mut bytes = whole.clone();
        bytes[CONTAINER_HEADER + 4..CONTAINER_HEADER + 8].fill(0);
        assert_eq!(architectures(&bytes), Architectures::default());
    }
}
