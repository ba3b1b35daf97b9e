//! A Windows machine in a temporary folder: two Visual Studios, two toolkits, an environment with a torch. Programs
//! are copies of one stand-in that prints what the file beside it says; batch files are real ones.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use splat_toolchain::{Env, Machine, Repo, Request, env::Os, probe};
use tempfile::TempDir;

pub(crate) struct Place {
    dir: TempDir,
    name: String,
    says: PathBuf,
}

pub(crate) struct Said {
    pub(crate) ok: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

const BANNER: &str = "Microsoft (R) C/C++ Optimizing Compiler Version {} for x64";

impl Place {
    /// In a folder of that name; `None` without the stand-in program.
    pub(crate) fn new(name: &str) -> Option<Self> {
        let Ok(says) = std::env::var("SPLATWRIGHT_SAYS") else {
            assert!(std::env::var("CI").is_err(), "SPLATWRIGHT_SAYS is not set; .ci/steps/windows sets it");
            println!("skipped: SPLATWRIGHT_SAYS names no stand-in program");
            return None;
        };
        let place = Self { dir: tempfile::tempdir().unwrap(), name: name.into(), says: says.into() };
        place.visual_studio("2022", &["14.42.34433", "14.38.33130"], "12.4");
        place.visual_studio("2026", &["14.50.35717"], "13.2");
        let instance = |year: &str, version: &str| {
            let path = place.at(&format!("VS/{year}")).display().to_string().replace('\\', "\\\\");
            format!(
                r#"{{"installationPath":"{path}","installationVersion":"{version}","displayName":"Visual Studio {year}"}}"#
            )
        };
        let list =
            format!("[{},{}]", instance("2022", "17.12.35527.113"), instance("2026", "18.0.11205.157"));
        place.program("pf86/Microsoft Visual Studio/Installer/vswhere.exe", &format!("$ *\n{list}\n"));
        place.toolkit("cuda-12.6", "12.6", "12.6.77", "_MSC_VER < 1910 || _MSC_VER >= 1950");
        place.toolkit("cuda-13.1", "13.1", "13.1.80", "_MSC_VER < 1920 || _MSC_VER >= 1950");
        fs_err::create_dir_all(place.at("cuda-13.1/bin/x64")).unwrap();
        place.environment();
        fs_err::create_dir_all(place.at("repo/xtask")).unwrap();
        let pins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vendor/requirements");
        for pin in fs_err::read_dir(pins).into_iter().flatten().flatten() {
            let name = pin.file_name().to_string_lossy().into_owned();
            if name.ends_with(".txt") {
                place.file(
                    &format!("repo/vendor/requirements/{name}"),
                    &fs_err::read_to_string(pin.path()).unwrap(),
                );
            }
        }
        Some(place)
    }

    pub(crate) fn at(&self, inner: &str) -> PathBuf {
        inner.split('/').fold(self.dir.path().join(&self.name), |path, part| path.join(part))
    }

    pub(crate) fn file(&self, inner: &str, text: &str) -> PathBuf {
        let path = self.at(inner);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, text).unwrap();
        path
    }

    fn program(&self, inner: &str, says: &str) {
        self.file(&format!("{inner}.says"), says);
        fs_err::copy(&self.says, self.at(inner)).unwrap();
    }

    fn visual_studio(&self, year: &str, toolsets: &[&str], stl: &str) {
        let root = format!("VS/{year}/VC");
        self.file(&format!("{root}/Auxiliary/Build/Microsoft.VCToolsVersion.default.txt"), toolsets[0]);
        // As Microsoft's does: finds the toolset that was asked for, or says that it is not there and fails.
        let batch = "@echo off\r\n\
             set \"VSTOOLS=%~dp0..\\..\\Tools\\MSVC\\%2\"\r\n\
             if not exist \"%VSTOOLS%\" goto missing\r\n\
             echo [vcvarsall.bat] Environment initialized for: 'x64'\r\n\
             set \"INCLUDE=%VSTOOLS%\\include\"\r\n\
             set \"LIB=%VSTOOLS%\\lib\\x64\"\r\n\
             set \"PATH=%VSTOOLS%\\bin\\Hostx64\\x64;%PATH%\"\r\n\
             set VSCMD_ARG_TGT_ARCH=x64\r\n\
             set VSCMD_ARG_HOST_ARCH=x64\r\n\
             exit /b 0\r\n\
             :missing\r\n\
             echo [ERROR:vcvars.bat] Toolset directory for version '%2' was not found.\r\n\
             exit /b 1\r\n";
        self.file(&format!("{root}/Auxiliary/Build/vcvars64.bat"), batch);
        for toolset in toolsets {
            let folder = format!("{root}/Tools/MSVC/{toolset}");
            let banner = BANNER.replace("{}", &toolset.replacen("14", "19", 1));
            self.program(&format!("{folder}/bin/Hostx64/x64/cl.exe"), &format!("$ *\n{banner}\n"));
            let yvals = format!(
                "_EMIT_STL_ERROR(STL1002, \"Unexpected compiler version, expected CUDA {stl} or newer.\");\n"
            );
            self.file(&format!("{folder}/include/yvals_core.h"), &yvals);
        }
    }

    fn toolkit(&self, folder: &str, series: &str, full: &str, bound: &str) {
        let codes = "sm_75\nsm_80\nsm_86\nsm_89\nsm_90\n";
        let says = format!("$ --version\nCuda compilation tools, release {series}, V{full}\n$ *\n{codes}");
        self.program(&format!("{folder}/bin/nvcc.exe"), &says);
        self.file(&format!("{folder}/include/cuda_runtime.h"), "");
        self.file(&format!("{folder}/include/crt/host_config.h"), &format!("#if {bound}\n#endif\n"));
        self.file(&format!("{folder}/lib/x64/cudart_static.lib"), "");
        self.file(&format!("{folder}/lib/x64/cudart.lib"), "");
    }

    /// A virtual environment with torch 2.4.0+cu124, of a Python with headers and library.
    fn environment(&self) {
        self.file("python/Include/Python.h", "");
        self.file("python/libs/python311.lib", "");
        let torch = "venv/Lib/site-packages/torch";
        self.file(&format!("{torch}/version.py"), "__version__ = '2.4.0+cu124'\ncuda = '12.4'\n");
        self.file(&format!("{torch}/lib/torch.lib"), "");
        self.file(&format!("{torch}/include/ATen/ATen.h"), "");
        let json = |path: PathBuf| serde_json::to_string(&path.display().to_string()).unwrap();
        let answer = format!(
            r#"{{"version":"3.11.7","executable":{},"prefix":{},"torch":{},"suffix":".cp311-win_amd64.pyd","platform":"win-amd64","include":{},"base":{},"library":"","setuptools":"70.1","wheel":null,"paths":[{}],"pip":false,"venv":true}}"#,
            json(self.at("venv/Scripts/python.exe")),
            json(self.at("venv")),
            json(self.at(&format!("{torch}/__init__.py"))),
            json(self.at("python/Include")),
            json(self.at("python")),
            json(self.at("venv/Lib/site-packages")),
        );
        self.program("venv/Scripts/python.exe", &format!("$ *\n{answer}\n"));
    }

    /// Windows' own variables, and this machine's.
    pub(crate) fn vars(&self) -> Vec<(String, String)> {
        let own = ["SystemRoot", "ComSpec", "TEMP", "TMP", "PATHEXT", "USERPROFILE", "SystemDrive", "windir"];
        let mut vars: Vec<(String, String)> =
            own.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect();
        let system = std::env::var("SystemRoot").unwrap_or_else(|_| r"C:\windows".into());
        let path = format!("{};{system}\\system32;{system}", self.at("cuda-13.1/bin").display());
        for (name, value) in [
            ("PATH", path),
            ("ProgramFiles(x86)", self.at("pf86").display().to_string()),
            ("ProgramFiles", self.at("pf").display().to_string()),
            ("CUDA_PATH", self.at("cuda-13.1").display().to_string()),
            ("CUDA_PATH_V12_6", self.at("cuda-12.6").display().to_string()),
            ("VIRTUAL_ENV", self.at("venv").display().to_string()),
            ("LOCALAPPDATA", self.at("local").display().to_string()),
        ] {
            vars.push((name.into(), value));
        }
        vars
    }

    pub(crate) fn machine(&self) -> Machine {
        let mut vars = self.vars();
        vars.push(("LIBTORCH".into(), self.at("venv/Lib/site-packages/torch").display().to_string()));
        probe(&Env::new(vars, "/", Os::Windows), &Repo::default(), &Request::default())
    }

    pub(crate) fn run(&self, command: &mut Command) -> Said {
        let output = command.envs(self.vars()).current_dir(self.at("repo")).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said { ok: output.status.success(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    pub(crate) fn splatwright(&self, arguments: &[&str]) -> Said {
        self.run(Command::new(env!("CARGO_BIN_EXE_splatwright")).args(arguments).args(["--lang", "en"]))
    }
}
