//! What a setup.py asks of the environment: the variables that it reads, and the answers to those that mean GPU
//! architectures. Pure functions of text; setup.py is not run.

use std::collections::BTreeMap;

use crate::finding::{Finding, Severity};

/// A variable that a setup.py reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// From 1.
    pub line: usize,
}

/// The variables that are read, each once, in the order of the text: `os.environ.get("X")`, `os.getenv("X")`,
/// `os.environ["X"]` where it is not assigned to, and `"X" in os.environ`.
pub fn variables(setup: &str) -> Vec<Variable> {
    let mut found: Vec<Variable> = Vec::new();
    for (number, line) in setup.lines().enumerate() {
        let code = line.split('#').next().unwrap_or_default();
        for name in names(code) {
            if !found.iter().any(|known| known.name == name) {
                found.push(Variable { name: name.to_owned(), line: number + 1 });
            }
        }
    }
    found
}

fn names(code: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for call in ["environ.get(", "getenv(", "environ["] {
        for (at, _) in code.match_indices(call) {
            let Some((name, rest)) = quoted(&code[at + call.len()..]) else { continue };
            let after = rest.trim_start().strip_prefix(']').map(str::trim_start);
            let assigned = after.is_some_and(|after| after.starts_with('=') && !after.starts_with("=="));
            if !assigned {
                found.push(name);
            }
        }
    }
    if let Some((before, _)) = code.split_once(" in os.environ") {
        let before = before.trim_end().trim_end_matches(" not").trim_end();
        let inner = before.strip_suffix(['"', '\'']);
        found.extend(inner.and_then(|inner| inner.rsplit(['"', '\'']).next()));
    }
    found.retain(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    found
}

fn quoted(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    text[1..].split_once(quote)
}

/// What a variable is set to that means GPU architectures: `CUDA_ARCHITECTURES=80;86`, with the separator that
/// this setup.py splits at.
pub fn architectures(name: &str, setup: &str, archs: &[u32]) -> Option<String> {
    let of_torch = name == "TORCH_CUDA_ARCH_LIST";
    let means = name.contains("CUDA_ARCH") || name.contains("CUDAARCH") || name.contains("GPU_ARCH");
    if !means || of_torch || archs.is_empty() {
        return None;
    }
    let splits =
        |at: &str| setup.contains(&format!("split(\"{at}\"")) || setup.contains(&format!("split('{at}'"));
    let separator = if splits(",") && !splits(";") { "," } else { ";" };
    let dotted = name.ends_with("ARCH_LIST");
    let one = |arch: &u32| if dotted { format!("{}.{}", arch / 10, arch % 10) } else { arch.to_string() };
    Some(archs.iter().map(one).collect::<Vec<_>>().join(separator))
}

/// Calls by which a setup.py asks the GPU of the machine that builds, or torch, what to compile for.
const OF_THE_GPU: &[&str] = &[
    "cuda.is_available",
    "device_count",
    "get_device_capability",
    "get_device_properties",
    "get_device_name",
    "get_gencode_flags",
    "get_arch_list",
];

/// Where a setup.py asks for a GPU: the line, from 1, and the call.
pub fn asks_for_gpu(setup: &str) -> Option<(usize, &'static str)> {
    setup.lines().enumerate().find_map(|(number, line)| {
        let code = line.split('#').next().unwrap_or_default();
        let call = OF_THE_GPU.iter().find(|call| code.contains(*call))?;
        Some((number + 1, *call))
    })
}

/// The line, from 1, in which a setup.py names something above its own folder.
pub fn reaches_out(setup: &str) -> Option<usize> {
    let above = ["\"..", "'..", "os.pardir", ".parent.parent", ".parents["];
    let code = setup.lines().map(|line| line.split('#').next().unwrap_or_default());
    let is = |line: &str| above.iter().any(|text| line.contains(text)) && !line.contains("...");
    code.enumerate().find_map(|(number, line)| is(line).then_some(number + 1))
}

/// E54: a setup.py that stops, leaves its CUDA part out or compiles for other architectures where no GPU is visible.
pub(crate) fn answered(setup: &str, archs: &str) -> Option<Finding> {
    let (line, call) = asks_for_gpu(setup)?;
    let message = format!(
        "setup.py asks for a GPU (`{call}`), and none is visible; it is answered as if there were one for `{archs}`"
    );
    Some(
        Finding::new("E54", Severity::Info, message)
            .evidence(format!("setup.py:{line}"))
            .hint("others with `--arch`"),
    )
}

/// X04: which variables setup.py reads, and what the build gives them; `given` holds what is set.
pub fn told(setup: &str, given: &BTreeMap<String, String>) -> Option<Finding> {
    let read = variables(setup);
    let first = read.first()?;
    let one = |variable: &Variable| match given.get(&variable.name) {
        Some(value) => format!("{}={value}", variable.name),
        None => format!("{} (not set)", variable.name),
    };
    let list = read.iter().map(one).collect::<Vec<_>>().join(", ");
    Some(
        Finding::new("X04", Severity::Info, format!("setup.py reads these variables: {list}"))
            .evidence(format!("setup.py:{}", first.line))
            .hint("another value: `--env NAME=VALUE`"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETUP: &str = "import os
os.environ['PYTHONUNBUFFERED'] = '1'
archs = os.environ.get('CUDA_ARCHITECTURES')
if archs: archs = archs.split(';')
force = os.getenv(\"FORCE_CUDA\", \"0\") == \"1\"  # os.getenv('NOT_THIS')
home = os.environ[\"CUDA_HOME\"]
if 'NO_FAST_MATH' not in os.environ: pass
";

    #[test]
    fn what_is_read_is_found_and_what_is_written_is_not() {
        let names: Vec<_> = variables(SETUP).into_iter().map(|v| (v.name, v.line)).collect();
        let expected = [("CUDA_ARCHITECTURES", 3), ("FORCE_CUDA", 5), ("CUDA_HOME", 6), ("NO_FAST_MATH", 7)];
        assert_eq!(names, expected.map(|(name, line)| (name.to_owned(), line)));
    }

    #[test]
    fn architectures_are_written_as_setup_py_splits_them() {
        assert_eq!(architectures("CUDA_ARCHITECTURES", SETUP, &[80, 86]).as_deref(), Some("80;86"));
        assert_eq!(
            architectures("TCNN_CUDA_ARCHITECTURES", "x.split(\",\")", &[80, 86]).as_deref(),
            Some("80,86")
        );
        assert_eq!(architectures("TORCH_CUDA_ARCH_LIST", SETUP, &[86]), None);
        assert_eq!(architectures("MY_CUDA_ARCH_LIST", "", &[86]).as_deref(), Some("8.6"));
        assert_eq!(architectures("FORCE_CUDA", SETUP, &[86]), None);
    }

    #[test]
    fn a_question_for_a_gpu_is_found_and_a_comment_is_not() {
        assert_eq!(asks_for_gpu(SETUP), None);
        assert_eq!(asks_for_gpu("# torch.cuda.is_available()\nimport torch"), None);
        let told = answered("import torch\nif not torch.cuda.is_available(): raise E", "8.6+PTX").unwrap();
        assert_eq!((told.code.as_str(), told.evidence.as_str()), ("E54", "setup.py:2"));
        assert!(told.message.contains("8.6+PTX"), "{}", told.message);
        assert_eq!(asks_for_gpu("archs = cuda.get_gencode_flags()"), Some((1, "get_gencode_flags")));
    }

    #[test]
    fn what_lies_above_the_folder_is_found() {
        for text in [
            "I = os.path.join(here, '..', 'include')",
            "x = \"../common/k.cu\"",
            "ROOT = Path(__file__).parent.parent",
        ] {
            assert_eq!(reaches_out(&format!("import os\n{text}")), Some(2), "{text}");
        }
        assert_eq!(
            reaches_out("# '../x'\nprint('wait ...', \"...\")\nx = Path(__file__).parent / 'a..b'"),
            None
        );
    }

    #[test]
    fn both_the_set_and_the_unset_are_told() {
        let given = BTreeMap::from([("FORCE_CUDA".to_owned(), "1".to_owned())]);
        let finding = told(SETUP, &given).unwrap();
        assert!(
            finding.message.contains("FORCE_CUDA=1") && finding.message.contains("NO_FAST_MATH (not set)")
        );
        assert!(told("from setuptools import setup", &given).is_none());
    }
}
