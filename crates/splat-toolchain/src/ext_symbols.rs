//! What an extension module's undefined symbols say: which of them nobody in the target environment defines, and
//! why. Pure functions of names; reading the files is the caller's.

use std::collections::BTreeSet;

use crate::finding::{Finding, Severity};

/// What the interpreter itself defines when it loads the module.
pub fn is_python(symbol: &str) -> bool {
    symbol.starts_with("Py") || symbol.starts_with("_Py")
}

/// What the loader or compiler's own start-up files define, or may go without.
pub fn is_system(symbol: &str) -> bool {
    matches!(
        symbol,
        "__cxa_finalize"
            | "__gmon_start__"
            | "_ITM_deregisterTMCloneTable"
            | "_ITM_registerTMCloneTable"
            | "__tls_get_addr"
    )
}

/// The findings for symbols that nothing defines; `file` names the module.
pub fn undefined(
    file: &str,
    symbols: &BTreeSet<String>,
    torch: &str,
    torch_abi: Option<bool>,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let of_torch: Vec<&str> = symbols.iter().map(String::as_str).filter(|symbol| is_torch(symbol)).collect();
    let other: Vec<&str> = symbols.iter().map(String::as_str).filter(|symbol| !is_torch(symbol)).collect();
    if let Some(example) =
        of_torch.iter().find(|symbol| abi_of(symbol).is_some_and(|abi| Some(abi) != torch_abi))
    {
        let (theirs, ours) = if abi_of(example) == Some(true) { (1, 0) } else { (0, 1) };
        found.push(
            Finding::new(
                "E72",
                Severity::Broken,
                format!(
                    "{file} was compiled with _GLIBCXX_USE_CXX11_ABI={theirs}, torch {torch} with {ours}"
                ),
            )
            .evidence(format!("undefined symbol: {example}"))
            .hint("build it again for this environment: `cargo xtask ext build SOURCE --python PYTHON`"),
        );
    } else if let Some(example) = of_torch.first() {
        found.push(
            Finding::new(
                "E70",
                Severity::Broken,
                format!("{file} needs {} symbols that torch {torch} does not export: it was compiled against another torch", of_torch.len()),
            )
            .evidence(format!("undefined symbol: {example}"))
            .hint("build it again for this environment: `cargo xtask ext build SOURCE --python PYTHON`"),
        );
    }
    if let Some(example) = other.first() {
        let code = if example.starts_with("cuda") || example.starts_with("__cuda") { "E63" } else { "E70" };
        found.push(
            Finding::new(
                code,
                Severity::Broken,
                format!("{file} needs {} symbols that none of its libraries defines", other.len()),
            )
            .evidence(format!("undefined symbol: {example}"))
            .hint("its setup.py may lack a source file or a library in `libraries=`"),
        );
    }
    found
}

/// Names of torch's own namespaces, mangled by GCC and clang or by MSVC.
pub fn is_torch(symbol: &str) -> bool {
    let itanium = ["3c10", "2at", "5torch", "5caffe", "THP"];
    let msvc = ["@c10@@", "@at@@", "@torch@@"];
    if symbol.starts_with('?') {
        return msvc.iter().any(|part| symbol.contains(part));
    }
    (symbol.starts_with("_Z") && itanium.iter().any(|part| symbol.contains(part)))
        || symbol.starts_with("aoti_torch")
}

/// The libstdc++ ABI that a mangled name shows: `__cxx11` strings, or `Ss` ones; `None` where it holds none.
pub fn abi_of(symbol: &str) -> Option<bool> {
    if symbol.contains("__cxx11") {
        return Some(true);
    }
    // `Ss` is std::string of the old ABI, where it stands alone: after a name's end or a qualifier.
    let old = symbol.starts_with("_Z")
        && (symbol.ends_with("ESs") || symbol.contains("RKSs") || symbol.ends_with("Ss"));
    old.then_some(false)
}

/// Of the libraries that a module needs, those of another CUDA major version than torch's (E64).
pub fn foreign_cuda(needed: &[String], torch_major: u32) -> Vec<&str> {
    let number = |name: &str| -> Option<u32> {
        let (stem, after) = name.split_once(".so.")?;
        let known =
            ["libcudart", "libcublas", "libcublasLt", "libcusparse", "libcusolver", "libcufft", "libnvrtc"];
        // cuSPARSE, cuSOLVER and cuFFT count by themselves; only those that count with CUDA are told.
        (known[..3].contains(&stem) || stem == "libnvrtc").then(|| after.split('.').next()?.parse().ok())?
    };
    needed
        .iter()
        .map(String::as_str)
        .filter(|name| number(name).is_some_and(|major| major != torch_major))
        .collect()
}

/// What an extension of another CUDA major version must not share with torch: torch's functions that hand out structs
/// or handles whose layout or library belongs to one major version, and the libraries behind such handles. The first
/// symbol or library that does.
pub fn crosses_majors<'a>(symbols: &'a BTreeSet<String>, needed: &'a [String]) -> Option<&'a str> {
    let handed_out = [
        "getCurrentDeviceProperties",
        "getDeviceProperties",
        "getCurrentCUDABlasHandle",
        "getCurrentCUDABlasLtHandle",
        "getCurrentCUDASparseHandle",
        "getCurrentCUDASolverDnHandle",
        "getCudnnHandle",
        "CUDAGraph",
    ];
    let libraries = ["cublas", "cusparse", "cusolver", "cufft", "curand", "cudnn", "nccl"];
    let symbol = symbols.iter().map(String::as_str).find(|symbol| {
        (is_torch(symbol) && handed_out.iter().any(|name| symbol.contains(name)))
            || libraries.iter().any(|library| symbol.starts_with(library))
    });
    let library = || {
        let foreign = |name: &&str| {
            let stem = name.strip_prefix("lib").unwrap_or(name);
            stem.starts_with("cudart") || libraries.iter().any(|library| stem.starts_with(library))
        };
        needed.iter().map(String::as_str).find(foreign)
    };
    symbol.or_else(library)
}

/// Words of a source that lead to them, for those who look before compiling.
pub const MAJOR_WORDS: &[&str] = &[
    "getCurrentDeviceProperties",
    "getDeviceProperties",
    "getCurrentCUDABlasHandle",
    "getCurrentCUDASparseHandle",
    "getCurrentCUDASolverDnHandle",
    "cublasHandle_t",
    "cusparseHandle_t",
    "cublas_v2.h",
    "cusparse.h",
    "cusolverDn.h",
    "cudnn.h",
];

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str =
        "_ZN3c105ErrorC2ENS_14SourceLocationENSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE";
    const OLD: &str = "_ZN3c105ErrorC2ENS_14SourceLocationESs";
    const GONE: &str = "_ZN3c106SymInt19promote_to_negativeEv";

    fn codes(symbols: &[&str], abi: bool) -> Vec<String> {
        let set = symbols.iter().map(|s| (*s).to_owned()).collect();
        undefined("_C.so", &set, "2.4.0", Some(abi)).into_iter().map(|f| f.code).collect()
    }

    #[test]
    fn the_two_abis_are_told_from_a_symbol_that_is_gone() {
        assert_eq!(codes(&[NEW], false), ["E72"]);
        assert_eq!(codes(&[OLD], true), ["E72"]);
        assert_eq!(codes(&[GONE], true), ["E70"]);
        // The ABI agrees, so that the symbol is simply not there.
        assert_eq!(codes(&[NEW], true), ["E70"]);
    }

    #[test]
    fn symbols_of_nobody_are_named_apart() {
        assert_eq!(codes(&["cudaMalloc"], true), ["E63"]);
        assert_eq!(codes(&["my_kernel_launch", GONE], true), ["E70", "E70"]);
        assert!(codes(&[], true).is_empty());
    }

    #[test]
    fn torch_is_known_in_both_manglings() {
        assert!(is_torch(GONE) && is_torch("?sym@Tensor@at@@QEBAXXZ") && !is_torch("_ZSt4cout"));
    }

    #[test]
    fn what_differs_between_majors_must_not_be_shared() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let plain = set(&["_ZN3c104cuda20getCurrentCUDAStreamEa", "cudaMalloc", GONE]);
        assert_eq!(crosses_majors(&plain, &["libc10.so".into(), "libtorch_cuda.so".into()]), None);
        let properties = set(&["_ZN2at4cuda26getCurrentDevicePropertiesEv"]);
        assert!(crosses_majors(&properties, &[]).unwrap().contains("DeviceProperties"));
        assert_eq!(crosses_majors(&set(&["cublasSgemm_v2"]), &[]), Some("cublasSgemm_v2"));
        assert_eq!(crosses_majors(&plain, &["libcudart.so.13".into()]), Some("libcudart.so.13"));
    }

    #[test]
    fn libraries_that_count_with_cuda_must_be_torchs() {
        let needed =
            ["libcudart.so.12", "libcublas.so.13", "libcusparse.so.12", "libc10.so"].map(str::to_owned);
        assert_eq!(foreign_cuda(&needed, 13), ["libcudart.so.12"]);
    }
}
