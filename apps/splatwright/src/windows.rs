//! Entering Visual Studio's build environment by ourselves: one run of the toolset's own batch file, whose result is
//! given to child processes. Our own process and the user's shell stay as they are. Nothing happens on other systems.

use std::{collections::BTreeMap, process::Command};

use anyhow::Result;
use splat_toolchain::{
    machine::HostCompiler,
    windows_env::{self, Prompt},
};

use crate::hint::{WithHint, hinted};

/// The variables that a child needs to build with this compiler: those that the prompt sets, and English words from
/// the compiler, so that logs can be explained. Empty where there is nothing to enter.
///
/// # Errors
/// The batch file is gone or fails.
pub fn build_environment(compiler: Option<&HostCompiler>) -> Result<BTreeMap<String, String>> {
    let Some(msvc) = compiler.filter(|compiler| compiler.msvc.is_some()) else { return Ok(BTreeMap::new()) };
    let Some(prompt) = Prompt::of(msvc) else {
        return Err(hinted(
            format!("E30: the installation of `{}` has no vcvars64.bat", msvc.path.display()),
            "repair it with the Visual Studio Installer",
        ));
    };
    let mut command = Command::new("cmd");
    raw(&mut command, &prompt.command_line());
    // A prompt inside a prompt grows PATH until cmd can hold no more (E30).
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_uppercase();
        if text.starts_with("VSCMD_")
            || ["VSINSTALLDIR", "VCINSTALLDIR", "DEVENVDIR", "__VSCMD_PREINIT_PATH"].contains(&text.as_str())
        {
            command.env_remove(name);
        }
    }
    command.env("VSCMD_SKIP_SENDTELEMETRY", "1");
    let output = command.output().with_hint("cannot start cmd", "set ComSpec to cmd.exe's path")?;
    let Some(after) = windows_env::captured(&output.stdout) else {
        let said = format!("{}\n{}", windows_env::said(&output.stdout), windows_env::said(&output.stderr));
        let last: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).take(4).collect();
        return Err(hinted(
            format!(
                "E27: `{}` did not set up toolset {}: {}",
                prompt.batch.display(),
                prompt.toolset,
                last.join(" | ")
            ),
            "install the toolset with the Visual Studio Installer, or repair it",
        ));
    };
    let before: Vec<(String, String)> = std::env::vars().collect();
    let mut changed = windows_env::changed(&after, before.iter().map(|(n, v)| (n.as_str(), v.as_str())));
    changed.insert("VSLANG".into(), "1033".into());
    Ok(changed)
}

#[cfg(windows)]
fn raw(command: &mut Command, line: &str) {
    use std::os::windows::process::CommandExt as _;
    command.raw_arg(line);
}

/// Only Windows has toolsets; what a snapshot of another machine says is not entered here.
#[cfg(not(windows))]
fn raw(command: &mut Command, line: &str) {
    command.arg(line);
}
