//! `cargo xtask switch cuda` with toolkits in a temporary folder: what it tells, what it prints for shells, and that
//! an open shell really changes while nothing else does.
#![cfg(unix)]

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    /// A repository, a machine with a compiler, and toolkits 12.6 (with cuDNN) and 13.1; 13.1 comes first on PATH.
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        place.program("bin/c++", "echo 'g++ (Debian 12.2.0-14) 12.2.0'; echo 'Free Software Foundation'");
        place.toolkit("cuda-12.6", "12.6", "V12.6.77");
        place.toolkit("cuda 13.1", "13.1", "V13.1.80");
        let cudnn = "#define CUDNN_MAJOR 9\n#define CUDNN_MINOR 19\n#define CUDNN_PATCHLEVEL 0\n";
        place.file("cuda-12.6/include/cudnn_version.h", cudnn);
        fs_err::create_dir_all(place.at("cuda 13.1/bin/x64")).unwrap();
        fs_err::create_dir_all(place.at("repo/xtask")).unwrap();
        // The pins: what could be brought is no gap.
        let pins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vendor/requirements");
        for pin in fs_err::read_dir(pins).unwrap().flatten() {
            let name = pin.file_name().to_string_lossy().into_owned();
            if name.ends_with(".txt") {
                place.file(
                    &format!("repo/vendor/requirements/{name}"),
                    &fs_err::read_to_string(pin.path()).unwrap(),
                );
            }
        }
        place
    }

    fn at(&self, inner: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(inner)
    }

    fn file(&self, inner: &str, text: &str) {
        let path = self.at(inner);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    fn program(&self, inner: &str, script: &str) {
        self.file(inner, &format!("#!/bin/sh\n{script}\n"));
        fs_err::set_permissions(self.at(inner), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn toolkit(&self, folder: &str, series: &str, full: &str) {
        let codes = "sm_75\\nsm_80\\nsm_86\\nsm_90\\n";
        self.program(
            &format!("{folder}/bin/nvcc"),
            &format!(
                "case \"$1\" in --version) echo 'nvcc: NVIDIA (R) Cuda compiler driver'; echo 'Cuda compilation tools, release {series}, {full}';; *) printf '{codes}';; esac"
            ),
        );
        self.file(&format!("{folder}/include/cuda_runtime.h"), "");
        self.file(&format!("{folder}/include/crt/host_config.h"), "#if __GNUC__ > 13\n#endif\n");
        self.file(&format!("{folder}/lib64/libcudart_static.a"), "");
    }

    fn path(&self) -> String {
        format!("{}:{}:/usr/bin:/bin", self.at("cuda 13.1/bin").display(), self.at("bin").display())
    }

    fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.env_clear().env("PATH", self.path()).env("HOME", self.at("home"));
        command.env("CUDA_PATH_V12_6", self.at("cuda-12.6"));
        command.current_dir(self.at("repo"));
        command
    }

    fn switch(&self, arguments: &[&str]) -> Output {
        self.command(env!("CARGO_BIN_EXE_splatwright"))
            .args(["switch", "--lang", "en"])
            .args(arguments)
            .output()
            .unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn it_tells_root_programs_cudnn_and_nvcc() {
    let place = Place::new();
    let said = place.switch(&["cuda", "12.6"]);
    let out = text(&said.stdout);
    assert!(said.status.success(), "{out}{}", text(&said.stderr));
    for line in [
        format!("CUDA root: {}", place.at("cuda-12.6").display()),
        format!("programs and DLLs: {}", place.at("cuda-12.6/bin").display()),
        format!("cuDNN: 9.19.0 at {}", place.at("cuda-12.6/include").display()),
        "nvcc: Cuda compilation tools, release 12.6, V12.6.77".to_owned(),
    ] {
        assert!(out.contains(&line), "`{line}` is not in:\n{out}");
    }
    let out = text(&place.switch(&["cuda", "13.1"]).stdout);
    assert!(
        out.contains(&format!("programs and DLLs: {}", place.at("cuda 13.1/bin/x64").display())),
        "{out}"
    );
}

#[test]
fn what_is_absent_is_told_with_what_is_there_and_one_command() {
    let place = Place::new();
    let said = place.switch(&["cuda", "12.4"]);
    let err = text(&said.stderr);
    assert!(!said.status.success());
    for part in ["12.4", "CUDA 12.6.77 at", "CUDA 13.1.80 at", "cuda-12.4.0 cuda-nvcc"] {
        assert!(err.contains(part), "`{part}` is not in:\n{err}");
    }
    assert!(!place.at("repo/.cargo/toolchain.toml").exists(), "a refusal writes nothing");
    let err = text(&place.switch(&["cuda", "13.2"]).stderr);
    assert!(err.contains("switch cuda managed"), "{err}");
}

#[test]
fn an_open_shell_changes_and_nothing_else() {
    let place = Place::new();
    let said = place.switch(&["--install-shell", "sh", "--into", &place.at("shell").display().to_string()]);
    assert!(said.status.success(), "{}", text(&said.stderr));
    let script = place.at("shell/splat-cuda.sh");
    let order = format!(
        ". '{}'; nvcc --version | grep release; splat_cuda 12.6 && echo \"$CUDA_HOME\" && nvcc --version | grep release; \
         echo \"$PATH\"; splat_cuda '{}' && nvcc --version | grep release; splat_cuda 9.9 || echo refused; echo \"$CUDA_HOME\"",
        script.display(),
        place.at("cuda 13.1").display()
    );
    for shell in ["/bin/sh", "/bin/bash"] {
        let output = place.command(shell).args(["-c", &order]).output().unwrap();
        let out = text(&output.stdout);
        let lines: Vec<&str> = out.lines().collect();
        assert!(lines[0].contains("13.1"), "{out}{}", text(&output.stderr));
        assert_eq!(lines[2], place.at("cuda-12.6").display().to_string(), "{out}");
        assert!(lines[3].contains("release 12.6"), "{out}");
        assert!(
            !lines[4].contains("cuda 13.1/bin:"),
            "the other toolkit's folder is gone from PATH: {}",
            lines[4]
        );
        assert!(lines[6].contains("release 13.1"), "a path with a space: {out}{}", text(&output.stderr));
        assert_eq!(lines[7], "refused");
        assert_eq!(lines[8], place.at("cuda 13.1").display().to_string(), "a refusal changes nothing");
    }
    assert!(!place.at("repo/.cargo/toolchain.toml").exists(), "printing changes no file");
}

#[test]
fn each_shell_gets_its_own_lines() {
    let place = Place::new();
    let root = place.at("cuda-12.6").display().to_string();
    for (shell, line) in [
        ("sh", format!("export CUDA_HOME='{root}'")),
        ("fish", format!("set -gx CUDA_HOME '{root}'")),
        ("cmd", format!("set \"CUDA_HOME={root}\"")),
        ("powershell", format!("$env:CUDA_HOME = '{root}'")),
    ] {
        let out = text(&place.switch(&["cuda", "12.6", "--print-env", shell]).stdout);
        assert!(out.lines().any(|have| have == line), "`{line}` is not in:\n{out}");
    }
}
