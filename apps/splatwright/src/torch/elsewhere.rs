//! Another machine's interpreter, for which this machine's pip resolves: `--platform win_amd64 --python-version 3.12`.
//!
//! pip takes the platform for the choice of files, but evaluates markers such as `platform_system == "Linux"` with the
//! interpreter that runs it. They are given the other machine's values. Nothing is installed this way.

use std::{path::Path, process::Command};

use serde_json::{Value, json};
use splat_toolchain::{Version, wheels::Interpreter};

/// Runs pip with other markers: the first argument holds them.
const PROGRAM: &str = "\
import sys, json
sys.path[:] = [p for p in sys.path if p]
theirs = json.loads(sys.argv.pop(1))
from pip._vendor.packaging import markers
ours = markers.default_environment
markers.default_environment = lambda: dict(ours(), **theirs)
import runpy
sys.argv[0] = 'pip'
runpy.run_module('pip', run_name='__main__', alter_sys=True)
";

/// Systems that can be planned for, as wheels name them.
pub(super) const PLATFORMS: [&str; 3] = ["win_amd64", "linux_x86_64", "linux_aarch64"];

/// glibc of a Linux machine that is not at hand: that of the oldest systems that current wheels are made for.
const GLIBC: u32 = 28;

/// A machine that is not here.
#[derive(Clone, Debug)]
pub(super) struct Elsewhere {
    pub(super) interpreter: Interpreter,
    /// pip's own options.
    options: Vec<String>,
    markers: Value,
}

impl Elsewhere {
    pub(super) fn new(platform: &str, python: &Version) -> Self {
        let windows = platform.starts_with("win");
        let processor = platform.split_once('_').map_or("", |(_, processor)| processor);
        let platforms = if windows {
            vec![platform.to_owned()]
        } else {
            let old = ["manylinux1", "manylinux2010", "manylinux2014", "linux"].map(str::to_owned);
            let new = (17..=GLIBC).map(|minor| format!("manylinux_2_{minor}"));
            old.into_iter().chain(new).map(|name| format!("{name}_{processor}")).collect()
        };
        let series = python.series().to_string();
        let mut options =
            vec!["--python-version".to_owned(), series.clone(), "--implementation".into(), "cp".into()];
        options.extend(platforms.into_iter().flat_map(|name| ["--platform".to_owned(), name]));
        let markers = json!({
            "os_name": if windows { "nt" } else { "posix" },
            "sys_platform": if windows { "win32" } else { "linux" },
            "platform_system": if windows { "Windows" } else { "Linux" },
            "platform_machine": if windows { "AMD64" } else { processor },
            "platform_release": "", "platform_version": "",
            "platform_python_implementation": "CPython", "implementation_name": "cpython",
            "python_version": series,
            "python_full_version": python.to_string(),
            "implementation_version": python.to_string(),
        });
        let interpreter = Interpreter {
            version: python.clone(),
            platform: platform.replacen('_', "-", 1),
            glibc: (!windows).then(|| Version::new(&[2, GLIBC])),
            free_threaded: false,
        };
        Self { interpreter, options, markers }
    }

    /// `pip <arguments>` for it; the first one or two arguments are pip's command.
    pub(super) fn pip(&self, python: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(python);
        command.args(["-c", PROGRAM, &self.markers.to_string()]).args(arguments).args(&self.options);
        if arguments.first() == Some(&"install") {
            // pip wants a target for another platform, although it only reports.
            command.arg("--target").arg(std::env::temp_dir().join("splatwright-nowhere"));
        }
        command
    }
}
