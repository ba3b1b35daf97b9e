//! The chosen toolkit for a shell: the variables that `--print-env` prints, and the small programs that
//! `--install-shell` writes so that one word in an open shell switches it. Nothing outside that shell changes.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use splat_toolchain::{Choice, Machine, config::Shell, machine::Toolkit};

use crate::doctor::Snapshot;

/// Name of the function, or of the script.
const NAME: &str = "splat-cuda";

/// Folders of a toolkit that programs are found in: `bin`, and where CUDA 13 for Windows keeps its DLLs.
pub(crate) fn program_folders(root: &Path) -> Vec<PathBuf> {
    let inner = ["bin", "bin/x64", "bin/x86_64"].map(|inner| root.join(inner));
    inner
        .into_iter()
        .enumerate()
        .filter(|(i, path)| *i == 0 || path.is_dir())
        .map(|(_, path)| native(&path))
        .collect()
}

/// With the system's own separators: `cmd` does not take others everywhere.
fn native(path: &Path) -> PathBuf {
    path.components().collect()
}

/// The plan's variables, and what a program needs besides that was not started by this repository's cargo.
pub(crate) fn variables(snapshot: &Snapshot, cuda: &Choice) -> BTreeMap<String, String> {
    let mut env = snapshot.plan.env.clone();
    // One that is still to be brought would be taken for the user's own broken choice next time.
    env.remove("LIBTORCH");
    let mut first = Vec::new();
    if let Some(torch) = snapshot.plan.torch.path().filter(|torch| torch.is_dir()) {
        env.insert("LIBTORCH".into(), torch.display().to_string());
        let lib = native(&torch.join("lib"));
        if cfg!(windows) {
            first.push(lib);
        } else if let Some(list) = joined("LD_LIBRARY_PATH", &[lib], &snapshot.machine) {
            env.insert("LD_LIBRARY_PATH".into(), list);
        }
    }
    if let Some(root) = cuda.path() {
        for name in ["CUDA_HOME", "CUDA_PATH"] {
            env.insert(name.into(), root.display().to_string());
        }
        first.splice(0..0, program_folders(root));
    }
    if let Some(list) = joined("PATH", &first, &snapshot.machine).filter(|_| !first.is_empty()) {
        env.insert("PATH".into(), list);
    }
    env
}

/// A list variable with `first` before what it holds, without the folders of toolkits: of two, the first would win.
fn joined(name: &str, first: &[PathBuf], machine: &Machine) -> Option<String> {
    let before = std::env::var_os(name).unwrap_or_default();
    let of_toolkits: Vec<PathBuf> =
        machine.toolkits.iter().flat_map(|toolkit: &Toolkit| program_folders(&toolkit.root)).collect();
    // `/usr/bin` is a toolkit's only where Debian's package lies there.
    let shared =
        |path: &Path| ["/usr/bin", "/bin", "/usr/local/bin"].iter().any(|shared| path == Path::new(shared));
    let kept = std::env::split_paths(&before)
        .filter(|path| !path.as_os_str().is_empty())
        .filter(|path| shared(path) || !(of_toolkits.contains(path) || first.contains(path)));
    let list = first.iter().cloned().chain(kept);
    Some(std::env::join_paths(list).ok()?.to_string_lossy().into_owned())
}

/// Writes the script for a shell into `folder`; its path and how it is used.
///
/// # Errors
/// The folder cannot be written.
pub(crate) fn install(shell: Shell, folder: &Path) -> anyhow::Result<(PathBuf, String)> {
    let program = std::env::current_exe().context("this program's own path is not known")?;
    let program = program.display().to_string();
    let (ending, text) = script(shell, &program);
    fs_err::create_dir_all(folder)?;
    let path = std::path::absolute(folder)?.join(format!("{NAME}.{ending}"));
    fs_err::write(&path, text)?;
    let shown = path.display();
    let usage = match shell {
        Shell::Sh => format!("source '{shown}', then: {NAME} 12.6"),
        Shell::Fish => format!("source '{shown}'; then: {NAME} 12.6"),
        Shell::Cmd => format!("call \"{shown}\" 12.6"),
        Shell::Powershell => format!("& '{shown}' 12.6"),
    };
    Ok((path, usage))
}

/// File ending and text.
fn script(shell: Shell, program: &str) -> (&'static str, String) {
    match shell {
        Shell::Sh => {
            let program = program.replace('\'', r"'\''");
            let text = format!(
                "# Switches this shell alone to an installed CUDA toolkit: {NAME} 12.6\n\
                 {NAME}() {{\n    \
                     splat_cuda_env=$('{program}' switch cuda \"$1\" --print-env sh) || return\n    \
                     eval \"$splat_cuda_env\"\n    \
                     unset splat_cuda_env\n    \
                     nvcc --version | grep release\n}}\n"
            );
            ("sh", text.replace(&format!("{NAME}()"), "splat_cuda()") + &format!("alias {NAME}=splat_cuda\n"))
        }
        Shell::Fish => {
            let program = program.replace('\\', r"\\").replace('\'', r"\'");
            let text = format!(
                "# Switches this shell alone to an installed CUDA toolkit: {NAME} 12.6\n\
                 function {NAME}\n    \
                     set -l lines ('{program}' switch cuda $argv[1] --print-env fish | string collect); or return\n    \
                     eval $lines\n    \
                     nvcc --version | string match '*release*'\nend\n"
            );
            ("fish", text)
        }
        // The lines go through a file, so that `%%` in them means what it means in every batch file; the code page
        // is UTF-8 meanwhile, as the lines are.
        Shell::Cmd => {
            let text = format!(
                "@echo off\r\n\
                 rem Switches this prompt alone to an installed CUDA toolkit: call {NAME}.bat 12.6\r\n\
                 for /f \"tokens=2 delims=:\" %%p in ('chcp') do set SPLAT_CP=%%p\r\n\
                 chcp 65001 >nul\r\n\
                 \"{}\" switch cuda %1 --print-env cmd >\"%TEMP%\\{NAME}-env.bat\"\r\n\
                 if errorlevel 1 goto :failed\r\n\
                 call \"%TEMP%\\{NAME}-env.bat\"\r\n\
                 del \"%TEMP%\\{NAME}-env.bat\"\r\n\
                 if defined SPLAT_CP chcp %SPLAT_CP% >nul\r\n\
                 set SPLAT_CP=\r\n\
                 nvcc --version\r\n\
                 exit /b 0\r\n\
                 :failed\r\n\
                 if defined SPLAT_CP chcp %SPLAT_CP% >nul\r\n\
                 set SPLAT_CP=\r\n\
                 exit /b 1\r\n",
                program.replace('%', "%%")
            );
            ("bat", text)
        }
        Shell::Powershell => {
            let program = program.replace('\'', "''");
            let text = format!(
                "# Switches this shell alone to an installed CUDA toolkit: {NAME}.ps1 12.6\r\n\
                 param([Parameter(Mandatory)][string]$Toolkit)\r\n\
                 [Console]::OutputEncoding = [Text.Encoding]::UTF8\r\n\
                 $lines = & '{program}' switch cuda $Toolkit --print-env powershell\r\n\
                 if ($LASTEXITCODE -ne 0) {{ exit $LASTEXITCODE }}\r\n\
                 $lines | Out-String | Invoke-Expression\r\n\
                 nvcc --version | Select-String release\r\n"
            );
            // A byte order mark: Windows' own PowerShell reads scripts without one in the machine's code page.
            ("ps1", format!("\u{feff}{text}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_asks_for_its_own_shell_and_quotes_the_program() {
        for (shell, name, quoted) in [
            (Shell::Sh, "--print-env sh", r"'/it'\''s/xtask'"),
            (Shell::Fish, "--print-env fish", r"'/it\'s/xtask'"),
            (Shell::Cmd, "--print-env cmd", "\"/it's/xtask\""),
            (Shell::Powershell, "--print-env powershell", "'/it''s/xtask'"),
        ] {
            let (_, text) = script(shell, "/it's/xtask");
            assert!(text.contains(name) && text.contains(quoted), "{text}");
        }
    }

    #[test]
    fn batch_files_have_their_own_line_ends_and_restore_the_code_page() {
        let (_, text) = script(Shell::Cmd, r"C:\a b\xtask.exe");
        assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
        assert!(text.contains("chcp 65001") && text.contains("chcp %SPLAT_CP%"));
    }

    #[test]
    fn the_folders_of_dlls_go_along_where_they_are() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(program_folders(dir.path()), [native(&dir.path().join("bin"))]);
        fs_err::create_dir_all(dir.path().join("bin/x64")).unwrap();
        assert_eq!(program_folders(dir.path()).len(), 2);
    }
}
