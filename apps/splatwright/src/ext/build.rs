//! Runs the project's own build backend in the planned environment, without pip and without isolation, and keeps the
//! log. Nothing is installed: the wheel lies in the scratch folder until it is proved.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use fs_err as fs;
use splat_toolchain::{ext, ext_setup};

use super::{Setting, around, source::Source, tagged};
use crate::{hint::hinted, language::said, program, provision::pip, ui, windows};

/// Calls PEP 517's `build_wheel`. Standard error joins standard output, so that the log keeps its order.
const DRIVER: &str = r#"
import sys, os, re, json, importlib, importlib.metadata as metadata
os.dup2(1, 2)
order = json.loads(sys.argv[1])
sys.argv = ['setup.py']
sys.path[:] = order['path'] + [p for p in sys.path if p]
def there(requirement):
    name = re.match(r'[A-Za-z0-9._-]+', requirement.strip())
    if not name or ';' in requirement or name.group().lower() in ('ninja', 'wheel'):
        return True
    try:
        metadata.version(name.group())
        return True
    except metadata.PackageNotFoundError:
        return False
missing = [r for r in order['requires'] if not there(r)]
if missing:
    print('SPLATWRIGHT-MISSING ' + ', '.join(missing), flush=True)
    sys.exit(3)
if order['cudart']:
    # Another CUDA major version than torch's, which was asked for: its check is passed, its runtime is not shared.
    import torch.utils.cpp_extension as extension
    extension._check_cuda_version = lambda *a, **k: None
    made = extension.CUDAExtension
    def apart(*a, **k):
        one = made(*a, **k)
        one.libraries = [name for name in one.libraries if name != 'cudart']
        one.extra_link_args = list(one.extra_link_args or []) + [order['cudart'], '-ldl', '-lrt', '-lpthread']
        return one
    extension.CUDAExtension = apart
if order['archs']:
    # What setup.py asks of a GPU is answered as the plan says; where one is visible, only what torch itself was built for.
    import types, torch
    last = order['archs'][-1]
    torch.cuda.get_arch_list = lambda: ['sm_%d' % arch for arch in order['archs']]
    if not torch.cuda.is_available():
        one = types.SimpleNamespace(name='planned', major=last // 10, minor=last % 10, total_memory=0, multi_processor_count=1)
        torch.cuda.is_available = lambda: True
        torch.cuda.device_count = lambda: 1
        torch.cuda.current_device = lambda: 0
        torch.cuda.get_device_name = lambda *a: one.name
        torch.cuda.get_device_capability = lambda *a: (one.major, one.minor)
        torch.cuda.get_device_properties = lambda *a: one
module, _, attribute = order['backend'].partition(':')
backend = importlib.import_module(module)
for part in filter(None, attribute.split('.')):
    backend = getattr(backend, part)
print('SPLATWRIGHT-WHEEL ' + backend.build_wheel(order['out'], {}, None), flush=True)
"#;

/// What a build needs to know besides plan and sources.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) forced_headers: bool,
    /// Variables of the user for this build.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) wheel_dir: PathBuf,
    pub(crate) offline: bool,
}

/// A wheel, not proved yet.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) wheel: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) seconds: u64,
    wheel_dir: PathBuf,
}

impl Made {
    /// The folder for the wheel.
    pub(crate) fn place(&self) -> PathBuf {
        self.wheel_dir.join(self.wheel.file_name().unwrap_or_default())
    }

    /// Writes the verdict below the build's own words.
    pub(crate) fn conclude(&self, verdict: &str) -> Result<()> {
        let mut file = fs::OpenOptions::new().append(true).open(&self.log)?;
        Ok(writeln!(file, "\n{}", anstream::adapter::strip_str(&program::spoken(verdict)))?)
    }

    /// Puts a wheel that did not pass apart from those that did.
    pub(crate) fn set_aside(&self) -> Result<PathBuf> {
        let folder = self.wheel_dir.join("refused");
        fs::create_dir_all(&folder)?;
        let place = folder.join(self.wheel.file_name().unwrap_or_default());
        fs::copy(&self.wheel, &place)?;
        Ok(place)
    }

    /// Puts the wheel into its folder, whole or not at all.
    pub(crate) fn hand_over(&self) -> Result<()> {
        let place = self.place();
        let temporary = place.with_extension("tmp");
        fs::copy(&self.wheel, &temporary)?;
        Ok(fs::rename(&temporary, &place)?)
    }
}

/// Builds the wheel.
pub(crate) fn run(source: &Source, setting: &Setting, options: &Options) -> Result<Made> {
    let scratch = source.scratch.path();
    let out = scratch.join("wheel");
    fs::create_dir_all(&out)?;
    fs::create_dir_all(&options.wheel_dir)?;
    let mut path = Vec::new();
    if !setting.target.makes_wheels() {
        path.push(build_tools(setting, scratch, options.offline)?);
    }
    let mut env = windows::build_environment(setting.plan.compiler.as_ref())?;
    let around = around::surroundings(setting, source, options.forced_headers, &env)?;
    env.extend(ext::environment(&setting.plan, &around));
    env.extend(options.env.iter().cloned());
    if let Some(told) = ext_setup::told(source.tree.setup(), &env) {
        ui::note(&ui::finding(&told));
    }
    path.extend(source.backend.path.iter().map(|inner| source.dir.join(inner)));
    if source.backend.name.ends_with("__legacy__") {
        path.push(source.dir.clone());
    }
    let order = serde_json::json!({
        "path": path,
        "requires": source.backend.requires,
        "backend": source.backend.name,
        "out": out,
        "cudart": static_runtime(setting)?,
        "archs": if ext_setup::asks_for_gpu(source.tree.setup()).is_some() { &*setting.plan.archs } else { &[] },
    });
    let mut inputs: Vec<String> = options.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    inputs.push(format!("forced headers: {}", options.forced_headers));
    let local = source.local_version(setting, &inputs)?;
    let log = options.wheel_dir.join(format!("{}-{local}.log", source.name));
    let started = std::time::Instant::now();
    let mut command = Command::new(&setting.target.executable);
    command.args(["-c", DRIVER, &order.to_string()]).current_dir(&source.dir);
    let (ok, text) = logged(command, &env, setting, &log)?;
    let last = |word: &str| text.lines().rev().find_map(|line| line.strip_prefix(word)).map(str::trim);
    if let Some(missing) = last("SPLATWRIGHT-MISSING") {
        return Err(hinted(
            format!("this project is built with {missing}, which the environment does not have (E80)"),
            format!("{} -m pip install {}", setting.target.executable.display(), missing.replace(", ", " ")),
        ));
    }
    match last("SPLATWRIGHT-WHEEL").filter(|_| ok) {
        Some(name) => Ok(Made {
            wheel: tagged::tag(&out.join(name), &local)?,
            log,
            seconds: started.elapsed().as_secs(),
            wheel_dir: options.wheel_dir.clone(),
        }),
        None => Err(failure(&source.name, &text, &log)),
    }
}

/// The archive of the CUDA runtime, where the toolkit's major version is not torch's.
fn static_runtime(setting: &Setting) -> Result<Option<PathBuf>> {
    if !setting.plan.mismatched() {
        return Ok(None);
    }
    let root = setting.plan.cuda.path().unwrap_or_else(|| "/".as_ref());
    let places = ["lib64", "lib", "targets/x86_64-linux/lib", "lib/x86_64-linux-gnu"];
    let found =
        places.iter().map(|inner| root.join(inner).join("libcudart_static.a")).find(|path| path.is_file());
    found.map(Some).with_context(|| {
        format!(
            "`{}` has no libcudart_static.a, without which two CUDA majors cannot share a process",
            root.display()
        )
    })
}

/// Runs the child with these variables; its output goes to our stderr and to the log.
fn logged(
    mut command: Command,
    env: &BTreeMap<String, String>,
    setting: &Setting,
    log: &Path,
) -> Result<(bool, String)> {
    // What cargo was told for our own build must not reach another project's.
    for name in setting.repo_variables() {
        command.env_remove(name);
    }
    command.env_remove("PYTHONHOME").env("PYTHONUNBUFFERED", "1").env("PYTHONDONTWRITEBYTECODE", "1");
    command.envs(env).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot start the environment's Python")?;
    let mut file = fs::File::create(log)?;
    let stdout = child.stdout.take().context("the child's output is piped")?;
    let stderr = child.stderr.take().context("the child's output is piped")?;
    let mut text = String::new();
    // Only what Python says before the driver joins the two comes here.
    let early = std::thread::spawn(move || std::io::read_to_string(stderr).unwrap_or_default());
    for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
        // Compilers write in the console's code page: what is not UTF-8 is shown as such, and never an error (E90).
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches('\r');
        let _ = writeln!(std::io::stderr(), "{line}");
        writeln!(file, "{line}")?;
        text.push_str(line);
        text.push('\n');
    }
    let status = child.wait()?;
    let early = early.join().unwrap_or_default();
    if !early.is_empty() {
        writeln!(file, "{early}")?;
        text.push_str(&early);
    }
    Ok((status.success(), text))
}

/// setuptools and wheel for this build alone, where the environment's cannot make wheels (E83).
fn build_tools(setting: &Setting, scratch: &Path, offline: bool) -> Result<PathBuf> {
    let have = setting.target.setuptools.as_deref().unwrap_or("none");
    if offline {
        return Err(hinted(
            format!(
                "E83: the environment's setuptools ({have}) cannot make wheels, and nothing may be fetched"
            ),
            format!("{} -m pip install 'setuptools>=70.1,<82'", setting.target.executable.display()),
        ));
    }
    let python = setting.machine.pythons.iter().find(|python| python.has_pip == Some(true));
    let python = python.context("there is no Python with pip that could bring setuptools")?;
    let folder = scratch.join("tools");
    ui::note(&format!("bringing setuptools for this build alone (the environment has {have})"));
    let mut command = pip::module(&python.path, "pip");
    command.args(["install", "--quiet", "--no-deps", "--only-binary", ":all:", "--target"]).arg(&folder);
    command.args(["setuptools==81.0.0", "wheel==0.45.1"]);
    let finished = pip::run(command, false)?;
    if finished.status.success() {
        return Ok(folder);
    }
    Err(hinted(
        format!("setuptools could not be brought:\n{}", pip::last_lines(&finished.stderr, 6)),
        format!("{} -m pip install 'setuptools>=70.1,<82'", setting.target.executable.display()),
    ))
}

/// The error of a build that failed, with what the log says: the tools' own errors, what is known of them, and the last
/// lines where there are none.
fn failure(name: &str, text: &str, log: &Path) -> anyhow::Error {
    let report = splat_toolchain::explain::scan(text.as_bytes());
    let known = report.hits.iter().filter(|hit| hit.weight > splat_toolchain::catalogue::Weight::Harmless);
    let told = known.filter_map(|hit| {
        let entry = hit.entry()?;
        let line = format!("{}: {}", said(&format!("line {}", hit.line)), hit.text);
        Some(format!("{}: {}\n    {line}\n    {}", hit.code, said(entry.title), said(entry.action)))
    });
    let why: Vec<String> = report.errors.iter().cloned().chain(told).collect();
    let why = if why.is_empty() { pip::last_lines(text, 15) } else { why.join("\n  ") };
    hinted(format!("`{name}` was not built:\n  {why}"), format!("the whole log: {}", log.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compilers_own_errors_come_first() {
        let text = "[1/2] nvcc\n/src/forward.cu(12): error: namespace \"cub\" has no member \"Max\"\n1 error detected\n\
                    Traceback (most recent call last):\nRuntimeError: Error compiling objects for extension\n";
        let said = failure("fork", text, Path::new("/w/fork.log")).to_string();
        let first = said.lines().nth(1).unwrap();
        assert!(first.contains("has no member"), "{said}");
        assert!(!said.contains("Traceback"), "{said}");
    }
}
