//! What `cargo xtask switch cuda` tells: the toolkit that is in force now, line by line, or, where it is not there,
//! those that are and the one command that would bring it. Reads only.

use std::path::Path;

use serde::Serialize;
use splat_toolchain::{Choice, Env, Finding, Machine, Version, machine::Toolkit, managed::CUDA};

use super::shell::program_folders;

/// A toolkit as it is told.
#[derive(Debug, Serialize)]
pub(crate) struct Told {
    pub(crate) root: String,
    /// `bin`, and `bin\x64` where it exists.
    pub(crate) programs: Vec<String>,
    /// cuDNN's version and where it lies.
    pub(crate) cudnn: Option<(String, String)>,
    /// nvcc's own line: `Cuda compilation tools, release 12.6, V12.6.77`.
    pub(crate) nvcc: Option<String>,
}

/// What is known of the chosen toolkit; `None` where it is still to be brought.
pub(crate) fn told(machine: &Machine, cuda: &Choice) -> Option<Told> {
    let root = cuda.path()?;
    let toolkit = machine.toolkits.iter().find(|toolkit| toolkit.root == root)?;
    let nvcc = toolkit.nvcc.as_deref().and_then(|nvcc| Env::real().run(nvcc, &["--version"]));
    Some(Told {
        root: root.display().to_string(),
        programs: program_folders(root).iter().map(|path| path.display().to_string()).collect(),
        cudnn: cudnn(machine, root),
        nvcc: nvcc.and_then(|text| {
            text.lines().find(|line| line.contains("release ")).map(|line| line.trim().to_owned())
        }),
    })
}

/// The toolkit's own cuDNN, else the first that was found.
fn cudnn(machine: &Machine, root: &Path) -> Option<(String, String)> {
    let own = machine.cudnn.iter().find(|cudnn| cudnn.header.starts_with(root));
    let found = own.or_else(|| machine.cudnn.first())?;
    let folder = found.header.parent().unwrap_or(&found.header);
    Some((found.version.to_string(), folder.display().to_string()))
}

/// The lines for people.
pub(crate) fn lines(told: &Told) -> Vec<String> {
    let mut lines = vec![format!("CUDA root: {}", told.root)];
    lines.extend(told.programs.iter().map(|folder| format!("programs and DLLs: {folder}")));
    lines.push(match &told.cudnn {
        Some((version, folder)) => format!("cuDNN: {version} at {folder}"),
        None => "cuDNN: none found".into(),
    });
    lines.push(format!("nvcc: {}", told.nvcc.as_deref().unwrap_or("does not answer")));
    lines
}

/// Message and hint for a toolkit that was asked for and is not here.
pub(crate) fn absent(machine: &Machine, asked: &str, finding: &Finding) -> (String, String) {
    let have: Vec<String> = machine.toolkits.iter().map(describe).collect();
    let have = if have.is_empty() { "  none".to_owned() } else { have.join("\n") };
    (format!("{}; present:\n{have}", finding.message), bring(asked, &machine.os))
}

fn describe(toolkit: &Toolkit) -> String {
    let version =
        toolkit.version.as_ref().map_or_else(|| "?".to_owned(), |version| version.value.to_string());
    format!("  CUDA {version} at {}", toolkit.root.display())
}

/// The one command that brings a toolkit of that version.
fn bring(asked: &str, os: &str) -> String {
    let Ok(version) = asked.parse::<Version>() else {
        return "cargo xtask switch list".into();
    };
    let ours = CUDA.version.parse::<Version>().unwrap_or_default();
    let series = version.series();
    match (version.major() == ours.major(), os) {
        (true, _) => {
            format!("`cargo xtask switch cuda managed` brings CUDA {} with the next build", CUDA.version)
        }
        (false, "windows") => format!("winget install --id Nvidia.CUDA --version {series}"),
        (false, _) => format!("conda install -c nvidia/label/cuda-{series}.0 cuda-nvcc cuda-cudart-dev"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_has_one_command() {
        assert!(bring("13.2", "linux").contains("switch cuda managed"));
        assert_eq!(
            bring("12.6", "linux"),
            "conda install -c nvidia/label/cuda-12.6.0 cuda-nvcc cuda-cudart-dev"
        );
        assert_eq!(bring("12.6", "windows"), "winget install --id Nvidia.CUDA --version 12.6");
        assert_eq!(bring("/opt/nowhere", "linux"), "cargo xtask switch list");
    }
}
