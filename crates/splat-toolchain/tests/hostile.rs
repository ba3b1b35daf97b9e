//! Hostile input: every parser takes any text and any bytes without a panic, and what it accepts is sane. The texts are
//! made of pieces that the parsers look for, cut, doubled and mixed with noise, and of plain noise.
//! `PROPTEST_CASES=20000 cargo test --release -p splat-toolchain --test hostile` is the long run.

use proptest::prelude::*;
use splat_toolchain::{
    Version, explain,
    probe::{cuda, host, msvc, torch},
    rules::tree::{Against, Tree, all},
    torch_checks, version,
};

/// Pieces of what real tools print.
const PIECES: &[&str] = &[
    "release ",
    "12.4",
    ", V",
    "12.4.131",
    "99999999999999999999.1",
    ".",
    "-1",
    "\n",
    "\r\n",
    "\0",
    "\u{feff}",
    "é中🦀",
    "sm_",
    "sm_90a",
    "compute_",
    "#if __GNUC__ >",
    " 4294967296",
    " 15",
    "__clang_major__ >=",
    "_MSC_VER < ",
    "_MSC_VER >= ",
    "#define CUDA_VERSION ",
    "12040",
    "{\"cuda\":{\"version\":",
    "\"",
    "}",
    "[",
    "]",
    ":",
    "'",
    "__version__ = '",
    "cuda: Optional[str] = ",
    "None",
    "+cu130",
    "clang version ",
    "Microsoft",
    "Version ",
    "g++ (",
    ")",
    "Free Software Foundation",
    "installationPath",
    "expected CUDA ",
    " or newer",
    "REG_SZ",
    "REG_",
    "    ",
    "\t",
    "__cplusplus < ",
    "201703L",
    "20",
    "std=c++",
    "name=\"",
    "requires = [",
    "#include <",
    "glm/",
    "\u{1b}[31m",
    "\r",
    "+PTX",
    "+ptx",
    ";",
    ",",
    "8.6",
    "Ampere",
    "ß+PTX",
    "undefined symbol: _ZN3c10",
    "cannot find -lcudart",
    "#177-D",
    "error:",
];

fn text() -> impl Strategy<Value = String> {
    let pieces = prop::collection::vec(
        prop_oneof![4 => prop::sample::select(PIECES).prop_map(str::to_owned), 1 => any::<String>()],
        0..24,
    );
    prop_oneof![3 => pieces.prop_map(|pieces| pieces.concat()), 1 => any::<String>()]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let utf16 = text().prop_map(|text| {
        [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect::<Vec<u8>>()
    });
    let cut = (text(), any::<prop::sample::Index>()).prop_map(|(text, at)| {
        let bytes = text.into_bytes();
        let at = if bytes.is_empty() { 0 } else { at.index(bytes.len()) };
        bytes[at..].to_vec()
    });
    prop_oneof![3 => text().prop_map(String::into_bytes), 2 => cut, 1 => utf16, 2 => prop::collection::vec(any::<u8>(), 0..400)]
}

proptest! {
    #[test]
    fn toolkit_files(text in text()) {
        if let Some(version) = cuda::parse_nvcc_version(&text) {
            prop_assert!(version.to_string().parse::<Version>().is_ok());
        }
        let _ = cuda::parse_version_json(&text);
        let _ = cuda::parse_cuda_h(&text);
        let codes = cuda::parse_gpu_codes(&text);
        prop_assert!(codes.windows(2).all(|pair| pair[0] < pair[1]));
        let ceiling = cuda::parse_host_config(&text);
        prop_assert_eq!(ceiling.gcc_max.is_some(), ceiling.evidence.is_some());
        let _ = cuda::parse_guards(&text);
    }

    #[test]
    fn torch_files(text in text(), bytes in bytes()) {
        if let Some(facts) = torch::parse_version_py(&text) {
            prop_assert!(text.contains(&facts.version));
        }
        let _ = torch::parse_standard(&text);
        let _ = torch::parse_gpu_codes(&bytes);
    }

    #[test]
    fn compilers_and_visual_studio(text in text()) {
        let _ = host::parse_compiler(&text);
        for instance in msvc::parse_vswhere(&text) {
            prop_assert!(!instance.installation_path.as_os_str().is_empty() || text.contains("installationPath"));
        }
        let _ = msvc::parse_yvals(&text);
        let _ = msvc::parse_registry(&text, "ACP");
        if let Ok(version) = text.parse::<Version>() {
            let _ = msvc::cl_version(&version);
        }
    }

    #[test]
    fn versions_and_architectures(text in text()) {
        if let Some(version) = Version::find_in(&text) {
            prop_assert_eq!(version.to_string().parse::<Version>().ok(), Some(version));
        }
        let _ = version::parse_arch(&text);
        let torch = Version::new(&[2, 11]);
        if let Some(meant) = torch_checks::mended(&torch, &text) {
            prop_assert!(torch_checks::arch_entries(&torch, &meant).is_ok(), "{} became {}", text, meant);
        }
        if let Ok(flags) = torch_checks::arch_flags(&torch, &text) {
            prop_assert!(flags.iter().all(|flag| flag.starts_with("-gencode=arch=compute_")));
        }
    }

    #[test]
    fn logs_in_any_encoding(log in bytes()) {
        let report = explain::scan(&log);
        prop_assert!(report.hits.iter().all(|hit| hit.line >= 1 && hit.line <= report.lines.max(1) && hit.count >= 1));
        prop_assert_eq!(&explain::scan(&log), &report);
        // What follows a log changes nothing of what stands in it, conditions on the whole log apart.
        let twice = explain::scan(&[log.as_slice(), b"\nplain text\n"].concat());
        prop_assert!(twice.hits.len() >= report.hits.len() || log.len() < 2048);
    }

    #[test]
    fn sources_of_extensions(setup in text(), pyproject in text(), source in text(), modules in text(), root in text()) {
        let files = [("setup.py", setup), ("pyproject.toml", pyproject), ("k.cu", source), (".gitmodules", modules)];
        let tree = Tree {
            root,
            names: files.iter().map(|(name, _)| (*name).to_owned()).collect(),
            files: files.into_iter().map(|(name, text)| (name.to_owned(), text)).collect(),
            has_git: false,
            has_above: false,
        };
        let against = Against { windows: true, mismatched: true, torch: None, toolkit: None, python: None };
        prop_assert!(all(&tree, &against).iter().all(|finding| !finding.code.is_empty()));
    }
}
