//! `cargo xtask release`: everything that a release consists of, in one folder. Uploads nothing; the steps for a person are in
//! `RELEASING.md`.
//!
//! The same commit gives the same bytes wherever the clone lies: programs are compiled without paths of this machine,
//! archives are sorted, and their dates are the commit's (`$SOURCE_DATE_EPOCH` if that is set). Engine `inria` is in none of it.

mod crates;
mod notices;
mod pack;

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, ensure};
use splat_toolchain::{EngineName, config};
use splatwright::{
    hint::hinted,
    repository, ui,
    wheel::{self, Programs, library_name, portable_programs},
};

use crate::build;

/// Make everything that a release consists of: wheels, archives, licences, SBOMs, checksums
///
/// For 64-bit Linux with glibc 2.28 or newer and the torch in force: the wheel `splatwright` with both programs, the
/// drop-in wheels, an archive of programs and engines for hosts with libtorch, what is inside (CycloneDX) and under which
/// licences, and SHA256SUMS. Uploads nothing.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder to write; must not exist or be an earlier release
    #[arg(default_value = "dist/release")]
    out: PathBuf,
    /// GPU architectures of engine `cuda`, such as 80,90 (default: those of the row, as `cargo xtask build`)
    #[arg(long, value_delimiter = ',')]
    arch: Option<Vec<u32>>,
    /// Take engine `cuda` from this folder, as `cargo xtask build` fills target/ROW/engines, instead of building it
    #[arg(long, value_name = "FOLDER", conflicts_with = "arch")]
    engine_dir: Option<PathBuf>,
    /// Show the crates that would be published and what stands in the way, instead of making anything; exit code 1 if one
    /// lacks something that can be mended here
    #[arg(long)]
    crates: bool,
    /// With --crates: also pack all crates and build each from its packed files alone (slow)
    #[arg(long, requires = "crates")]
    verify: bool,
    /// Print the report as JSON on stdout
    #[arg(long)]
    json: bool,
}

/// What marks a folder as an earlier release, and what a user checks the others with.
const SUMS: &str = "SHA256SUMS";
const VERSION: &str = env!("CARGO_PKG_VERSION");
const PROGRAMS: [&str; 2] = ["splat", "splatwright"];

/// Runs the command.
///
/// # Errors
/// Something does not build, holds a path of this machine, or cannot be written; a tool that lists licences or components
/// cannot be installed.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let root = repository::required()?;
    if args.crates {
        return crates::show(&root, args.verify, args.json);
    }
    if !cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) {
        let hint = "run it on 64-bit GNU/Linux; `cargo xtask wheel` makes this system's drop-in wheels";
        return Err(hinted("releases are made for 64-bit Linux alone", hint));
    }
    make(&root, args)?;
    let files = pack::listed(&args.out)?;
    if args.json {
        ui::json(&files)?;
    } else {
        let rows = files.iter().map(|f| vec![f.name.clone(), ui::bytes(f.bytes), f.sha256[..16].to_owned()]);
        ui::data(&ui::table(&["file", "size", "SHA-256"], rows))?;
        ui::note("nothing was uploaded; the steps for a person are in RELEASING.md");
    }
    Ok(ExitCode::SUCCESS)
}

fn make(root: &Path, args: &Args) -> anyhow::Result<()> {
    let date = commit_date(root)?;
    if args.out.exists() {
        if !args.out.join(SUMS).exists() {
            let hint = format!("cargo xtask release {}-release", args.out.display());
            return Err(hinted(format!("`{}` exists and is no earlier release", args.out.display()), hint));
        }
        fs_err::remove_dir_all(&args.out)?;
    }
    fs_err::create_dir_all(&args.out)?;
    // A run that fails leaves the mark too, so that the next one may replace its folder.
    fs_err::write(args.out.join(SUMS), "")?;
    let cuda = match &args.engine_dir {
        Some(folder) => folder.clone(),
        None => build::engine_for_wheel(EngineName::Cuda, args.arch.as_deref())?,
    };
    let row = Row::in_force(root)?;
    let engines = vec![EngineName::Cpu, EngineName::Cuda];
    let drop_in = wheel::Args::of(args.out.clone(), engines, Some(cuda.clone()));
    wheel::make(root, &drop_in, build::engine_for_wheel)?;

    let mut files = vec![cuda.join(library_name("cuda"))];
    files.extend(portable_programs(root, &PROGRAMS)?);
    let notices = notices::licences(root)?;
    wheel::programs(root, &Programs { files: &files, torch: &row.torch, notices: &notices }, &args.out)?;
    fs_err::write(args.out.join("THIRD-PARTY.md"), &notices)?;
    for program in PROGRAMS {
        notices::components(root, program, date, &args.out)?;
    }
    let name = format!("splatwright-{VERSION}-linux-x86_64-torch{}", row.torch);
    let folder = root.join("target/release-parts").join(&name);
    gather(root, &row, &files, &notices, &folder)?;
    pack::archive(&folder, date, &args.out.join(format!("{name}.tar.gz")))?;
    pack::sums(&args.out)
}

/// The torch that programs are linked with.
struct Row {
    /// Its series, such as `2.11`.
    torch: String,
    /// The folder of its libraries.
    lib: PathBuf,
}

impl Row {
    fn in_force(root: &Path) -> anyhow::Result<Self> {
        let (_, mut set) = config::parse(&fs_err::read_to_string(root.join(config::PATH))?)?;
        let mut value =
            |name: &str| set.remove(name).with_context(|| format!("`{}` does not set {name}", config::PATH));
        Ok(Self { torch: value("SPLATWRIGHT_ROW")?, lib: PathBuf::from(value("LIBTORCH")?).join("lib") })
    }
}

/// What the archive holds: programs with engines beside them, completions, man pages, licences.
fn gather(root: &Path, row: &Row, files: &[PathBuf], notices: &str, folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs_err::remove_dir_all(folder)?;
    }
    for part in ["bin", "share/completions", "share/man/man1"] {
        fs_err::create_dir_all(folder.join(part))?;
    }
    for file in files {
        fs_err::copy(file, folder.join("bin").join(file.file_name().context("a file has a name")?))?;
    }
    for program in PROGRAMS {
        let run = |arguments: &[&str]| -> anyhow::Result<Vec<u8>> {
            let mut command = Command::new(folder.join("bin").join(program));
            let output = command.args(arguments).env("LD_LIBRARY_PATH", &row.lib).output()?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "`{program} {}` failed: {said}", arguments.join(" "));
            Ok(output.stdout)
        };
        for (shell, file) in [
            ("bash", format!("{program}.bash")),
            ("zsh", format!("_{program}")),
            ("fish", format!("{program}.fish")),
        ] {
            fs_err::write(folder.join("share/completions").join(file), run(&["completions", shell])?)?;
        }
        run(&["man", &folder.join("share/man/man1").display().to_string()])?;
    }
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        fs_err::copy(root.join(licence), folder.join(licence))?;
    }
    fs_err::write(folder.join("THIRD-PARTY.md"), notices)?;
    let torch = &row.torch;
    let read_me = format!(
        "# Splatwright {VERSION} for Linux on x86-64\n\n`bin/splat` needs the libraries of torch {torch}, from libtorch's archive \
         or a Python package:\n\n    export LD_LIBRARY_PATH=/path/to/torch/lib\n    bin/splat doctor\n\n`bin/splatwright` needs \
         nothing but glibc 2.28 or newer. Engines are found beside the programs.\n"
    );
    Ok(fs_err::write(folder.join("README.md"), read_me)?)
}

/// Seconds since 1970 of `$SOURCE_DATE_EPOCH`, else of the commit.
fn commit_date(root: &Path) -> anyhow::Result<u64> {
    if let Ok(given) = std::env::var("SOURCE_DATE_EPOCH") {
        return given
            .parse()
            .with_context(|| format!("SOURCE_DATE_EPOCH is `{given}`, not seconds since 1970"));
    }
    let git = |arguments: &[&str]| -> anyhow::Result<String> {
        let output =
            Command::new("git").args(arguments).current_dir(root).output().context("cannot start git")?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    if !git(&["status", "--porcelain"])?.is_empty() {
        ui::note(
            "warning: the working tree has changes that are in no commit; nobody can make this release again",
        );
    }
    let date = git(&["log", "-1", "--format=%ct"])?;
    date.parse().map_err(|_| {
        hinted("this is no git repository, so a release has no date", "export SOURCE_DATE_EPOCH=0")
    })
}
