//! The launcher of the wheel `splatwright`, with stand-ins for torch and for the programs: which torch it takes, what the
//! program is started with, and that it says in one sentence why it was not.
#![cfg(unix)]
#![expect(clippy::print_stdout, reason = "a test says on stdout that it was skipped")]

use std::{
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

use super::root;

/// An environment with the package, programs that show how they were started, and this torch.
fn environment(torch: Option<&str>) -> tempfile::TempDir {
    let site = tempfile::tempdir().unwrap();
    let package = site.path().join("splatwright");
    fs_err::create_dir_all(package.join("_lib")).unwrap();
    fs_err::copy(root().join("python/splatwright/__init__.py"), package.join("__init__.py")).unwrap();
    fs_err::write(package.join("_row.py"), "TORCH = \"2.11\"\n").unwrap();
    for name in ["splat", "splatwright"] {
        let program = package.join("_lib").join(name);
        fs_err::write(&program, "#!/bin/sh\necho \"$0|$*|$LD_LIBRARY_PATH\"\nexit 7\n").unwrap();
        fs_err::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    if let Some(version) = torch {
        let info = site.path().join(format!("torch-{version}.dist-info"));
        fs_err::create_dir_all(&info).unwrap();
        fs_err::write(
            info.join("METADATA"),
            format!("Metadata-Version: 2.1\nName: torch\nVersion: {version}\n"),
        )
        .unwrap();
        fs_err::create_dir_all(site.path().join("torch/lib")).unwrap();
        let body = "raise RuntimeError('torch was imported')\n";
        fs_err::write(site.path().join("torch/__init__.py"), body).unwrap();
    }
    site
}

/// Calls a function of the package as the command of that name does; None without Python.
fn started(site: &Path, name: &str) -> Option<Output> {
    let code = format!(
        "import sys; sys.argv = ['{name}', 'train', 'a b']; import splatwright; splatwright.{name}()"
    );
    // Without the machine's own packages, among which may be a torch.
    let mut command = Command::new("python3");
    command.args(["-S", "-c", &code]).env("PYTHONPATH", site).env("LD_LIBRARY_PATH", "/before");
    command.env("PYTHONDONTWRITEBYTECODE", "1").output().ok()
}

#[test]
fn programs_start_with_the_torch_that_fits_and_refuse_another_in_one_sentence() {
    for (torch, name, refused) in [
        (Some("2.11.0+cu130"), "splat", None),
        (Some("2.11"), "splat", None),
        (Some("2.1.1"), "splat", Some("was built for torch 2.11, but the torch in ")),
        (Some("2.110.0"), "splat", Some("is 2.110.0\n")),
        (None, "splat", Some("needs torch 2.11, but ")),
        (Some("2.1.1"), "splatwright", None),
        (None, "splatwright", None),
    ] {
        let site = environment(torch);
        let Some(output) = started(site.path(), name) else {
            println!("skipped: no python3");
            return;
        };
        let (out, error) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        let Some(words) = refused else {
            let program = site.path().join("splatwright/_lib").join(name);
            let lib = site.path().join("torch/lib");
            let path =
                if name == "splat" { format!("{}:/before", lib.display()) } else { "/before".to_owned() };
            assert_eq!(out, format!("{}|train a b|{path}\n", program.display()), "{torch:?} {error}");
            assert_eq!(output.status.code(), Some(7), "the program's own exit code");
            continue;
        };
        assert!(error.starts_with("error: splat ") && error.contains(words), "{error}");
        assert_eq!((error.lines().count(), output.status.code(), &*out), (2, Some(1), ""), "{error}");
        assert!(error.lines().last().unwrap().starts_with("hint: "), "{error}");
    }
}
