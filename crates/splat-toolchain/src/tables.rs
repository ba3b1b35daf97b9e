//! Tables that no file on the machine can replace: what a toolkit that is not here yet will take, and which
//! driver runs which CUDA. Where a toolkit is present, its own answers are used instead.
//! Sources: the toolkits' own headers and `--list-gpu-code`; NVIDIA's minor-version-compatibility page and the
//! driver each toolkit is bundled with.

use crate::{env::Os, machine::HostCeiling, version::Version};

/// Machine code that a build without a GPU is made for, as far as the toolkit knows them: Turing to Blackwell.
pub const DEFAULT_ARCHS: [u32; 7] = [75, 80, 86, 89, 90, 100, 120];

/// The first toolkit that our builds are made for (C++20 in device code, `-arch` lists).
pub const MIN_CUDA: [u32; 2] = [12, 0];

const CODES_12_0: &[u32] = &[50, 52, 53, 60, 61, 62, 70, 72, 75, 80, 86, 87, 89, 90];
const CODES_12_8: &[u32] = &[50, 52, 53, 60, 61, 62, 70, 72, 75, 80, 86, 87, 89, 90, 100, 101, 120];
const CODES_12_9: &[u32] = &[50, 52, 53, 60, 61, 62, 70, 72, 75, 80, 86, 87, 89, 90, 100, 101, 103, 120, 121];
const CODES_13_0: &[u32] = &[75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121];

/// Architectures with machine code in a toolkit; empty for one older than 12.0.
pub fn gpu_codes(cuda: &Version) -> &'static [u32] {
    match (cuda.major(), cuda.minor()) {
        (13.., _) => CODES_13_0,
        (12, 9..) => CODES_12_9,
        (12, 8) => CODES_12_8,
        (12, _) => CODES_12_0,
        _ => &[],
    }
}

/// What the managed toolkit (13.0) takes, for planning before it is there.
pub fn managed_ceiling() -> HostCeiling {
    HostCeiling {
        gcc_max: Some(15),
        clang_below: Some(21),
        msvc: Some((1920, 1950)),
        evidence: Some("crt/host_config.h of CUDA 13.0".into()),
        cuda: Some(Version::new(&[13, 0])),
    }
}

/// The oldest driver that runs machine code from this toolkit.
pub fn driver_minimum(cuda: &Version, os: Os) -> Option<Version> {
    let text = match (cuda.major(), os) {
        (13, Os::Windows) => "580",
        (13, _) => "580.65.06",
        (12, Os::Windows) => "528.33",
        (12, _) => "525.60.13",
        (11, Os::Windows) => "452.39",
        (11, _) => "450.80.02",
        _ => return None,
    };
    text.parse().ok()
}

/// Toolkit and the driver bundled with it on Linux, whose branch surely compiles that toolkit's PTX.
const BUNDLED: &[(u32, u32, &str)] = &[
    (12, 0, "525.60.13"),
    (12, 1, "530.30.02"),
    (12, 2, "535.54.03"),
    (12, 3, "545.23.06"),
    (12, 4, "550.54.14"),
    (12, 5, "555.42.02"),
    (12, 6, "560.28.03"),
    (12, 8, "570.26"),
    (12, 9, "575.51.03"),
    (13, 0, "580.65.06"),
    (13, 1, "590.44.01"),
    (13, 2, "595.45.04"),
];

/// The oldest driver that surely compiles PTX of this toolkit. Windows drivers of a branch carry the same first number.
pub fn driver_for_ptx(cuda: &Version, os: Os) -> Option<Version> {
    let (_, _, text) =
        BUNDLED.iter().find(|(major, minor, _)| (cuda.major(), cuda.minor()) == (*major, *minor))?;
    let version: Version = text.parse().ok()?;
    Some(if os == Os::Windows { Version::new(&[version.major()]) } else { version })
}

/// The newest CUDA a driver runs, by its branch: what `nvidia-smi` calls "CUDA Version".
pub fn cuda_of_driver(driver: &Version) -> Option<Version> {
    BUNDLED
        .iter()
        .rev()
        .find(|(_, _, text)| Version::find_in(text).is_some_and(|least| driver.major() >= least.major()))
        .map(|(major, minor, _)| Version::new(&[*major, *minor]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(s: &str) -> Version {
        s.parse().unwrap()
    }

    #[test]
    fn drivers_and_the_cuda_they_run() {
        assert_eq!(cuda_of_driver(&v("580.95.05")), Some(v("13.0")));
        assert_eq!(cuda_of_driver(&v("550.54.15")), Some(v("12.4")));
        assert_eq!(cuda_of_driver(&v("470.82.01")), None);
        assert_eq!(driver_for_ptx(&v("12.8.93"), Os::Windows), Some(v("570")));
    }

    #[test]
    fn thirteen_dropped_pascal() {
        assert!(gpu_codes(&v("12.6")).contains(&61));
        assert!(!gpu_codes(&v("13.0")).contains(&61));
        assert!(gpu_codes(&v("11.8")).is_empty());
    }

    #[test]
    fn the_default_architectures_are_known_to_the_managed_toolkit() {
        assert!(DEFAULT_ARCHS.iter().all(|arch| gpu_codes(&v("13.0")).contains(arch)));
    }
}
