//! `cargo xtask fix`: builds other projects' extensions for a Python environment with one command. It looks, says what is wrong, does
//! what is safe (chooses toolkit and compiler, lends GLM, builds in a clean copy, proves, installs all or nothing, imports),
//! and shows what it did. Sources are never edited; an environment that would not import afterwards is as before.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::Result;
use splat_toolchain::{Finding, Severity};

use crate::{
    ext::{self, Target},
    hint::hinted,
    language::{label, said},
    torch, ui,
};

/// Look at an environment and its extensions, say what is wrong, and mend what is safe to mend
///
/// Without SOURCE the extensions below the current folder are taken: every setup.py that builds a CUDAExtension, such as
/// submodules/simple-knn. Each is built in a clean copy as `ext build` does, proved, and put into the environment; if any
/// module does not import there afterwards, all of them are taken out again and the old ones stand. The log of every build
/// and of the whole lies in the wheel folder.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Source folders, or packages with their versions (default: what lies below the current folder)
    #[arg(value_name = "SOURCE")]
    sources: Vec<String>,
    #[command(flatten)]
    target: ext::For,
    /// The folder for wheels and logs
    #[arg(long, value_name = "DIR", default_value = "wheels")]
    wheel_dir: PathBuf,
    /// Fetch nothing
    #[arg(long)]
    offline: bool,
    /// Say what is wrong and what would be done, and stop
    #[arg(long)]
    dry_run: bool,
}

/// What was done, line by line: shown as it happens, and kept.
#[derive(Debug)]
struct Log {
    started: Instant,
    lines: Vec<String>,
}

impl Log {
    fn add(&mut self, line: impl AsRef<str>) {
        let line = format!("[{:>4} s] {}", self.started.elapsed().as_secs(), said(line.as_ref()));
        ui::note(&line);
        self.lines.push(line);
    }
}

/// Runs the command.
///
/// # Errors
/// No torch in the environment, no extension, a plan that cannot work, a build that fails; the environment is as before.
pub fn run(args: &Args) -> Result<ExitCode> {
    let mut log = Log { started: Instant::now(), lines: Vec::new() };
    let sources =
        if args.sources.is_empty() { below(&std::env::current_dir()?) } else { once(&args.sources) };
    if sources.is_empty() {
        return Err(hinted(
            "there is no extension below this folder: no setup.py that builds a CUDAExtension",
            "name it: `cargo xtask fix --python VENV path/to/extension`, or NAME==VERSION",
        ));
    }
    if let Some((one, other, module)) = same_module(&sources) {
        return Err(hinted(
            format!("`{one}` and `{other}` both build the module `{module}`, and an environment holds one"),
            format!("name the one that your program needs: `cargo xtask fix --python VENV {one}`"),
        ));
    }
    let orders: Vec<ext::BuildArgs> = sources
        .iter()
        .map(|source| {
            ext::BuildArgs::of(source.clone(), args.target.clone(), args.wheel_dir.clone(), args.offline)
        })
        .collect();
    let looked = orders.iter().map(ext::look).collect::<Result<Vec<_>>>()?;
    let Some(first) = looked.first() else { return Ok(ExitCode::SUCCESS) };
    let told = diagnosis(looked.iter().flat_map(|setting| &setting.plan.findings));
    ui::data(&told.join("\n"))?;
    let blockers: Vec<&Finding> = looked.iter().flat_map(|setting| setting.plan.blockers()).collect();
    let toolkit =
        first.plan.cuda.version().map_or_else(|| "no toolkit".into(), |version| format!("CUDA {version}"));
    let compiler =
        first.plan.compiler.as_ref().map_or_else(|| "no compiler".into(), |c| c.path.display().to_string());
    let plan = format!(
        "for torch {} in {}: build {} with {toolkit} and {compiler} for {}, prove, install, import",
        first.plan.torch.full_version,
        first.target.prefix.display(),
        sources.join(", "),
        first.plan.arch_list(),
    );
    if let Some(blocker) = blockers.first() {
        return Err(hinted(
            format!("this cannot be mended from here: {} {}", blocker.code, blocker.message),
            blocker.hint.clone(),
        ));
    }
    torch::check_environment(&first.target)?;
    if args.dry_run {
        ui::data(&format!("would do, {plan}"))?;
        return Ok(ExitCode::SUCCESS);
    }
    log.add(plan);
    let done = mend(&orders, &first.target, &mut log);
    if let Err(error) = &done {
        log.add(format!("stopped: {error}"));
    }
    fs_err::create_dir_all(&args.wheel_dir)?;
    let file = args.wheel_dir.join("fix.log");
    fs_err::write(&file, told.iter().chain(&log.lines).map(|line| format!("{line}\n")).collect::<String>())?;
    let modules = done?;
    ui::data(&format!(
        "done: {} import in {}; what was done: {}",
        modules.join(", "),
        first.target.prefix.display(),
        file.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Builds every extension, and installs them once all are proved.
fn mend(orders: &[ext::BuildArgs], target: &Target, log: &mut Log) -> Result<Vec<String>> {
    let (mut wheels, mut modules) = (Vec::new(), Vec::new());
    for order in orders {
        log.add(format!("building {}", order.source()));
        let report = ext::build(order)?;
        if !report.ok {
            let said: Vec<String> =
                report.findings.iter().map(|f| format!("{} {}", f.code, f.message)).collect();
            return Err(hinted(
                format!("`{}` was built and did not pass: {}", order.source(), said.join("; ")),
                "run `cargo xtask ext build` on it with `--keep` to look at it",
            ));
        }
        log.add(format!("proved {}", report.wheel.display()));
        modules.extend(report.modules.into_iter().map(|module| module.name));
        wheels.push(report.wheel);
    }
    torch::put_in(target, &wheels, &modules)?;
    log.add(format!("installed into {}, and all of it imports", target.prefix.display()));
    Ok(modules)
}

/// The three findings that matter most, one line each; one line if there is nothing.
fn diagnosis<'a>(findings: impl Iterator<Item = &'a Finding>) -> Vec<String> {
    let mut all: Vec<&Finding> = Vec::new();
    for finding in findings {
        if !all.iter().any(|known| known.code == finding.code) {
            all.push(finding);
        }
    }
    // Of what is mended by itself, the sources' and the toolkit's own faults come before remarks on the machine.
    let remark =
        |finding: &&Finding| matches!(finding.code.as_str(), "E07" | "E54" | "E80" | "E84" | "E02" | "X04");
    all.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), remark(finding)));
    let word = |severity| match severity {
        Severity::Error | Severity::Broken => "wrong:",
        Severity::Warning => "risky:",
        Severity::Info => "mended here:",
    };
    let lines: Vec<String> = all
        .iter()
        .take(3)
        .map(|f| format!("{} {}{}", f.code, label(word(f.severity)), said(&f.message)))
        .collect();
    if lines.is_empty() { vec!["nothing is wrong".into()] } else { lines }
}

/// Each source once, however its folder is written.
fn once(sources: &[String]) -> Vec<String> {
    let place = |source: &String| Path::new(source).canonicalize().unwrap_or_else(|_| source.into());
    let mut seen = Vec::new();
    let is_new = |source: &&String| {
        let place = place(source);
        let new = !seen.contains(&place);
        seen.push(place);
        new
    };
    sources.iter().filter(is_new).cloned().collect()
}

/// Two sources whose setup.py name the same extension module, and that module.
fn same_module(sources: &[String]) -> Option<(String, String, String)> {
    let mut known: Vec<(String, &String)> = Vec::new();
    for source in sources {
        let setup = fs_err::read_to_string(Path::new(source).join("setup.py")).unwrap_or_default();
        for call in setup.split("CUDAExtension(").skip(1) {
            let mut parts = call.split(['"', '\'']);
            let before = parts.next().unwrap_or_default().replace([' ', '\n', '\r', '\t'], "");
            let Some(module) = parts.next().filter(|_| ["", "name="].contains(&before.as_str())) else {
                continue;
            };
            match known.iter().find(|(name, other)| name == module && *other != source) {
                Some((_, other)) => return Some(((*other).clone(), source.clone(), module.to_owned())),
                None => known.push((module.to_owned(), source)),
            }
        }
    }
    None
}

/// Folders at most three levels down whose setup.py builds a CUDA extension.
fn below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![(folder.to_owned(), 0)];
    while let Some((at, depth)) = open.pop() {
        let setup = fs_err::read_to_string(at.join("setup.py")).unwrap_or_default();
        if setup.contains("CUDAExtension") {
            found.push(at.display().to_string());
            continue;
        }
        for entry in fs_err::read_dir(&at).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let skipped = name.starts_with('.')
                || ["build", "dist", "node_modules", "site-packages"].contains(&name.as_str());
            if depth < 3 && !skipped && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push((entry.path(), depth + 1));
            }
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_lines_say_the_worst_first() {
        let finding = |code: &str, severity| Finding::new(code, severity, format!("{code} happened"));
        let all = [
            finding("E07", Severity::Info),
            finding("E42", Severity::Info),
            finding("E42", Severity::Info),
            finding("E70", Severity::Info),
            finding("E43", Severity::Warning),
            finding("E01", Severity::Error),
        ];
        let lines = diagnosis(all.iter());
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("E01 wrong") && lines[1].starts_with("E43 risky"), "{lines:?}");
        assert!(lines[2].starts_with("E42 mended here"), "{lines:?}");
        assert_eq!(diagnosis([].iter()), ["nothing is wrong"]);
    }

    #[test]
    fn a_source_counts_once_and_two_of_one_module_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let source = |name: &str, setup: &str| {
            let folder = dir.path().join(name);
            fs_err::create_dir_all(&folder).unwrap();
            fs_err::write(folder.join("setup.py"), setup).unwrap();
            folder.display().to_string()
        };
        let a = source("a", "CUDAExtension(\n    name='rasterizer._C', sources=['x.cu'])");
        let b = source("b", "CUDAExtension(\"rasterizer._C\", [\"x.cu\"])");
        let c = source("c", "CUDAExtension(name=NAME, sources=['x.cu'])");
        let d = source("d", "CUDAExtension(name=NAME, sources=['x.cu'])");
        assert_eq!(
            once(&[a.clone(), format!("{a}/"), "knn==1.0".into(), "knn==1.0".into()]),
            [&a, "knn==1.0"]
        );
        assert_eq!(same_module(&[a.clone(), b.clone()]), Some((a.clone(), b, "rasterizer._C".into())));
        assert_eq!(same_module(&[a, c, d]), None);
    }

    #[test]
    fn extensions_are_found_where_projects_keep_them() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        };
        write("setup.py", "from setuptools import setup");
        write("submodules/simple-knn/setup.py", "CUDAExtension(");
        write("submodules/simple-knn/build/lib/setup.py", "CUDAExtension(");
        write(".venv/lib/x/setup.py", "CUDAExtension(");
        let found = below(dir.path());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].ends_with("simple-knn"));
    }
}
