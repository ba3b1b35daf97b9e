//! Random damage, the same on every platform for the same seed.

/// Pseudo-random numbers from a seed, the same on every platform (xorshift).
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// Numbers that are out of range in most places.
const HOSTILE: [&str; 16] = [
    "-1",
    "0",
    "1e999",
    "-1e300",
    "NaN",
    "nan",
    "inf",
    "1e-300",
    "18446744073709551615",
    "4294967296",
    "1e9",
    "1048577",
    "0.5",
    "null",
    "\"\"",
    "[]",
];

/// Makes one to five changes: bytes, words, cuts, deleted and repeated parts, and in text other numbers.
pub(crate) fn damage(bytes: &mut Vec<u8>, text: bool, rng: &mut Rng) {
    for _ in 0..=rng.below(4) {
        let n = bytes.len();
        if n == 0 {
            return;
        }
        let at = rng.below(n);
        match rng.below(if text { 10 } else { 7 }) {
            0 => bytes[at] ^= 1 << rng.below(8),
            1 => bytes[at] = rng.next() as u8,
            2 => bytes.truncate(at),
            3 => {
                let end = (at + rng.below(64)).min(n);
                bytes.drain(at..end);
            }
            4 => {
                let end = (at + rng.below(64)).min(n);
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            5 | 6 => {
                let word = [0u64, u64::MAX, 1 << 31, 1 << 62, f64::NAN.to_bits(), f64::MAX.to_bits(), 65535]
                    [rng.below(7)];
                let width = [1, 2, 4, 8][rng.below(4)].min(n - at);
                bytes[at..at + width].copy_from_slice(&word.to_le_bytes()[..width]);
            }
            _ => {
                // Replace the next number.
                let digit = |b: &u8| b.is_ascii_digit() || b"+-.eE".contains(b);
                let Some(start) = bytes[at..].iter().position(|b| b.is_ascii_digit()).map(|i| at + i) else {
                    continue;
                };
                let end = bytes[start..].iter().position(|b| !digit(b)).map_or(n, |i| start + i);
                bytes.splice(start..end, HOSTILE[rng.below(HOSTILE.len())].bytes());
            }
        }
    }
}
