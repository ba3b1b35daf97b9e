//! torch's own tables: compiler bounds by CUDA version, and the names and numbers of architectures.

use std::ops::RangeInclusive;

use crate::version::Version;

/// Major and minor versions of CUDA, the oldest compiler that is taken, and the first that is too new.
type Line = (u32, RangeInclusive<u32>, &'static [u32], &'static [u32]);

const GCC_TO_11_7: &[Line] = &[
    (11, 0..=0, &[5, 0, 0], &[10, 0]),
    (11, 1..=3, &[5, 0, 0], &[11, 0]),
    (11, 4..=7, &[6, 0, 0], &[12, 0]),
];
const GCC_FROM_12_0: &[Line] = &[
    (12, 0..=2, &[6, 0, 0], &[13, 0]),
    (12, 3..=9, &[6, 0, 0], &[14, 0]),
    (13, 0..=0, &[6, 0, 0], &[16, 0]),
];
/// 2.13 raised the two lines that lagged behind.
const GCC_FROM_TORCH_2_13: &[Line] = &[(12, 8..=9, &[6, 0, 0], &[15, 0])];
const CLANG_TO_11_7: &[Line] = &[
    (11, 1..=1, &[3, 3, 0], &[11, 0]),
    (11, 2..=3, &[3, 3, 0], &[12, 0]),
    (11, 4..=5, &[3, 3, 0], &[13, 0]),
    (11, 6..=7, &[3, 3, 0], &[14, 0]),
];
const CLANG_FROM_12_0: &[Line] = &[
    (12, 0..=1, &[7, 0], &[15, 0]),
    (12, 2..=3, &[7, 0], &[16, 0]),
    (12, 4..=4, &[7, 0], &[17, 0]),
    (12, 5..=6, &[7, 0], &[18, 0]),
    (12, 7..=9, &[7, 0], &[19, 0]),
    (13, 0..=0, &[7, 0], &[21, 0]),
];

/// Lowest and first refused version for a toolkit, as this torch's table has it.
pub(super) fn bounds(torch: &Version, cuda: &Version, clang: bool) -> Option<(Version, Version)> {
    let since = |minor: u32| *torch >= Version::new(&[2, minor]);
    let tables: [&[Line]; 3] = match (clang, since(8)) {
        (false, true) => [if since(13) { GCC_FROM_TORCH_2_13 } else { &[] }, GCC_FROM_12_0, GCC_TO_11_7],
        (false, false) => [&[], &[], GCC_TO_11_7],
        (true, true) => [&[], CLANG_FROM_12_0, CLANG_TO_11_7],
        (true, false) => [&[], &[], CLANG_TO_11_7],
    };
    let of_cuda = |line: &&Line| line.0 == cuda.major() && line.1.contains(&cuda.minor());
    let (_, _, least, below) = tables.into_iter().flatten().find(of_cuda)?;
    Some((Version::new(least), Version::new(below)))
}

/// Names that torch replaces by numbers, in the order in which it does.
pub(super) fn names(torch: &Version) -> Vec<(&'static str, &'static str)> {
    let mut names = vec![
        ("Kepler+Tesla", "3.7"),
        ("Kepler", "3.5+PTX"),
        ("Maxwell+Tegra", "5.3"),
        ("Maxwell", "5.0;5.2+PTX"),
        ("Pascal", "6.0;6.1+PTX"),
        ("Volta+Tegra", "7.2"),
        ("Volta", "7.0+PTX"),
        ("Turing", "7.5+PTX"),
        ("Ampere+Tegra", "8.7"),
        ("Ampere", "8.0;8.6+PTX"),
        ("Ada", "8.9+PTX"),
        ("Hopper", "9.0+PTX"),
    ];
    if *torch >= Version::new(&[2, 9]) {
        names.extend([("Blackwell+Tegra", "11.0"), ("Blackwell", "10.0;10.3;12.0;12.1+PTX")]);
    } else if *torch >= Version::new(&[2, 6]) {
        names.extend([("Blackwell+Tegra", "10.1"), ("Blackwell", "10.0;12.0+PTX")]);
    }
    if *torch >= Version::new(&[2, 15]) {
        names.push(("Rubin", "10.7+PTX"));
    }
    names
}

const NUMBERS: &[&str] = &[
    "3.5", "3.7", "5.0", "5.2", "5.3", "6.0", "6.1", "6.2", "7.0", "7.2", "7.5", "8.0", "8.6", "8.7", "8.9",
    "9.0", "9.0a",
];

pub(super) fn numbers(torch: &Version) -> Vec<&'static str> {
    let mut numbers = NUMBERS.to_vec();
    if *torch >= Version::new(&[2, 9]) {
        numbers.extend(["10.0", "10.0a", "11.0", "11.0a", "10.3", "10.3a", "12.0", "12.0a", "12.1", "12.1a"]);
    } else if *torch >= Version::new(&[2, 6]) {
        numbers.extend(["10.0", "10.0a", "10.1", "10.1a", "12.0", "12.0a"]);
    }
    if *torch >= Version::new(&[2, 15]) {
        numbers.push("10.7");
    }
    numbers
}
