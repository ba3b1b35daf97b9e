//! Known faults in the sources of other people's extensions, found by reading them: names whose header is not
//! included (older compilers brought it along by chance), names that CCCL 3 removed, and submodules that a download left
//! empty. Pure functions of paths and text. Sources are never edited: what is missing is forced in by the compiler's own
//! flag.

use crate::finding::{Finding, Severity};

/// A header, its C spelling, and names that come from it alone.
struct Header {
    code: &'static str,
    header: &'static str,
    c: &'static str,
    names: &'static [&'static str],
}

const HEADERS: &[Header] = &[
    Header {
        code: "E40",
        header: "cstdint",
        c: "stdint.h",
        names: &[
            "uint8_t",
            "uint16_t",
            "uint32_t",
            "uint64_t",
            "int8_t",
            "int16_t",
            "int32_t",
            "int64_t",
            "uintptr_t",
            "intptr_t",
            "UINT32_MAX",
            "INT32_MAX",
        ],
    },
    Header {
        code: "E41",
        header: "cfloat",
        c: "float.h",
        names: &["FLT_MAX", "FLT_MIN", "FLT_EPSILON", "DBL_MAX", "DBL_MIN", "DBL_EPSILON"],
    },
    Header {
        code: "E41",
        header: "climits",
        c: "limits.h",
        names: &["INT_MAX", "INT_MIN", "UINT_MAX", "CHAR_BIT"],
    },
    Header { code: "E40", header: "cstring", c: "string.h", names: &["memcpy", "memset", "memmove"] },
];

/// What CCCL 3 removed and [`forced_header`] brings back.
const REMOVED: &[&str] = &[
    "cub::Max",
    "cub::Min",
    "cub::Sum",
    "cub::Equality",
    "cub::Inequality",
    "cub::Difference",
    "cub::Division",
    "cub::CountingInputIterator",
    "cub::ConstantInputIterator",
    "cub::TransformInputIterator",
    "cub::DiscardOutputIterator",
    "cub::Int2Type",
    "cub::If",
    "cub::Equals",
    "cub::Swap",
    "cub::LaneId",
    "cub::WarpId",
    "cub::CTA_SYNC",
    "cub::WARP_SYNC",
    "cub::RemoveQualifiers",
    "cub::FpLimits",
    "thrust::not1",
    "thrust::not2",
    "thrust::unary_negate",
    "thrust::binary_negate",
    "thrust::unary_function",
    "thrust::binary_function",
    "CUB_MAX",
    "CUB_MIN",
    "CUB_QUOTIENT_CEILING",
    "CUB_ROUND_UP_NEAREST",
];

/// Definitions of [`REMOVED`], active only where they are gone.
const BROUGHT_BACK: &str = include_str!("cccl3.h");

/// Endings of files that compilers read.
const ENDINGS: &[&str] = &["cu", "cuh", "cpp", "cc", "cxx", "c", "h", "hpp", "hh", "inl"];

/// Whether a file is C, C++ or CUDA by its name.
pub fn is_source(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, ending)| ENDINGS.contains(&ending))
}

/// Faults of one file: a name used and its header not included there. One finding a header.
pub fn faults(path: &str, text: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    for header in HEADERS {
        let included = text.lines().filter_map(include).any(|name| name == header.header || name == header.c);
        if included {
            continue;
        }
        let used = code_lines(text).find_map(|(number, line)| {
            header.names.iter().find(|name| has_word(line, name)).map(|name| (number, *name))
        });
        if let Some((line, name)) = used {
            found.push(
                Finding::new(
                    header.code,
                    Severity::Info,
                    format!("{path} uses `{name}` and does not include <{}>; it is forced in", header.header),
                )
                .evidence(format!("{path}:{line}")),
            );
        }
    }
    found
}

/// E14: a name of CUB or Thrust that CCCL 3 (CUDA 13) no longer has.
pub fn removed(path: &str, text: &str) -> Option<Finding> {
    let (line, name) = code_lines(text)
        .find_map(|(number, line)| Some((number, *REMOVED.iter().find(|name| has_word(line, name))?)))?;
    let message =
        format!("{path} uses {name}, which CUB 3 and Thrust 3 (CUDA 13) removed; it is brought back");
    Some(Finding::new("E14", Severity::Info, message).evidence(format!("{path}:{line}")))
}

/// A header that includes all of them, in C and in C++; `-include` puts it before every file. With `removed`, also what
/// CCCL 3 removed.
pub fn forced_header(removed: bool) -> String {
    let list = |pick: fn(&Header) -> &'static str| {
        HEADERS.iter().map(|header| format!("#include <{}>\n", pick(header))).collect::<String>()
    };
    let back = if removed { BROUGHT_BACK } else { "" };
    format!("#pragma once\n#ifdef __cplusplus\n{}#else\n{}#endif\n{back}", list(|h| h.header), list(|h| h.c))
}

/// Submodules that `.gitmodules` names and that are empty in this tree: `files` are all paths below the root.
pub fn empty_submodules(gitmodules: &str, files: &[String], has_git: bool) -> Vec<Finding> {
    let paths = gitmodules.lines().filter_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "path").then(|| value.trim().to_owned())
    });
    paths
        .filter(|path| !files.iter().any(|file| file.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('/'))))
        .map(|path| {
            if path.ends_with("glm") {
                return lent_glm(format!("the submodule `{path}` is empty")).evidence(".gitmodules");
            }
            let hint = if has_git {
                "git submodule update --init --recursive"
            } else {
                "this is a download without git: clone it with `git clone --recursive`, or fill the folder by hand"
            };
            Finding::new("E42", Severity::Error, format!("the submodule `{path}` is empty"))
                .evidence(".gitmodules")
                .hint(hint)
        })
        .collect()
}

/// E42: GLM is not in the tree, which stops nobody here.
pub(crate) fn lent_glm(what: String) -> Finding {
    Finding::new("E42", Severity::Info, format!("{what}; the pinned GLM 0.9.9.9 is lent to the build"))
        .hint("by hand: `git submodule update --init --recursive`, or `sudo apt install libglm-dev`")
}

/// The name in `#include <name>` or `#include "name"`.
fn include(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix('#')?.trim_start().strip_prefix("include")?.trim_start();
    rest.strip_prefix(['<', '"'])?.split(['>', '"']).next()
}

/// Lines without what `//` hides; other comments count as code, which costs a header too many at worst.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(i, line)| (i + 1, line.split("//").next().unwrap_or_default()))
}

fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str) -> Vec<String> {
        faults("k.cu", text).into_iter().map(|f| format!("{} {}", f.code, f.evidence)).collect()
    }

    #[test]
    fn a_name_without_its_header_is_a_fault_with_its_line() {
        assert_eq!(codes("#include <vector>\nfloat best = FLT_MAX;\n"), ["E41 k.cu:2"]);
        assert_eq!(codes("std::uintptr_t p;\nuint32_t n;\n"), ["E40 k.cu:1"]);
        assert!(codes("#include <cfloat>\nfloat best = FLT_MAX;\n").is_empty());
        assert!(codes("# include \"float.h\"\nfloat best = FLT_MAX;\n").is_empty());
    }

    #[test]
    fn comments_and_longer_names_are_no_use_of_a_name() {
        assert!(codes("// FLT_MAX\nint MY_FLT_MAX2; my_memcpy(a);\n").is_empty());
    }

    #[test]
    fn the_forced_header_serves_both_languages() {
        let text = forced_header(false);
        let (cxx, c) = text.split_once("#else").unwrap();
        assert!(cxx.contains("<cfloat>") && cxx.contains("<cstdint>") && c.contains("<float.h>"));
        assert!(!text.contains("cub"));
    }

    #[test]
    fn what_cccl_3_removed_is_seen_and_every_name_is_brought_back() {
        let found = removed("k.cu", "#include <cub/cub.cuh>\nr.Reduce(x, cub::Max());\n").unwrap();
        assert_eq!((found.code.as_str(), found.evidence.as_str()), ("E14", "k.cu:2"));
        assert!(removed("k.cu", "// cub::Max\ncub::MaxPolicy p; cub::DeviceScan::Sum(x);").is_none());
        let text = forced_header(true);
        for name in REMOVED {
            let bare = name.rsplit(':').next().unwrap();
            assert!(has_word(&text, bare), "{name}");
        }
    }

    #[test]
    fn an_empty_submodule_is_named_and_a_full_one_is_not() {
        let gitmodules =
            "[submodule \"eigen\"]\n\tpath = third_party/eigen\n\turl = x\n[submodule \"a\"]\n\tpath = a\n";
        let files = ["a/x.h".to_owned(), "third_party/eigenx/y.h".to_owned()];
        let found = empty_submodules(gitmodules, &files, true);
        assert_eq!(found.len(), 1);
        assert!(found[0].message.contains("third_party/eigen") && found[0].hint.contains("submodule update"));
        assert!(empty_submodules(gitmodules, &files, false)[0].hint.contains("without git"));
        let glm = &empty_submodules("[submodule \"g\"]\n\tpath = third_party/glm\n", &files, true)[0];
        assert!(glm.severity == Severity::Info && glm.message.contains("lent"), "{glm:?}");
    }
}
