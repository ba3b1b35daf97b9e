//! `splat convert`: Gaussians from one format to another, several scenes into one.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use splat_scene::{GaussianFormat, Gaussians, spz};

/// Arguments of `splat convert`.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "splat convert [OPTIONS] <IN>... <OUT>",
    after_help = "Formats: PLY (.ply), PlayCanvas' compressed PLY (.compressed.ply), .splat, SPZ (.spz), \
    SOG (.sog, or a folder with a meta.json).\nInputs are recognised by their content, the output by its name.\n\n\
    Examples:\n  splat convert scene.ply scene.spz\n  splat convert chunks/0 chunks/1 whole.sog\n  \
    splat convert scene.ply folder/meta.json --sh-degree 1"
)]
pub(crate) struct Args {
    /// One or more scenes, which are merged in this order, and the file to write
    #[arg(required = true, num_args = 2.., value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Drop the spherical harmonics above this degree
    #[arg(long, value_name = "0-3", value_parser = clap::value_parser!(u32).range(0..=3))]
    sh_degree: Option<u32>,
    /// Version of a .spz to write; few programs read version 4 yet
    #[arg(long, value_name = "3|4", default_value_t = 3, value_parser = clap::value_parser!(u32).range(3..=4))]
    spz_version: u32,
    /// Replace the output if it exists
    #[arg(long)]
    overwrite: bool,
    /// Say nothing but warnings and errors
    #[arg(short, long)]
    quiet: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let (out, inputs) = args.paths.split_last().expect("clap asks for two paths");
    let mut format = GaussianFormat::from_name(out)?;
    if args.spz_version == 4 {
        match &mut format {
            GaussianFormat::Spz(version) => *version = spz::Version::V4,
            other => {
                let message =
                    format!("--spz-version 4 does not fit {}, which is written as {other}", out.display());
                return Err(super::Hinted::error(message, "choose a name that ends in .spz"));
            }
        }
    }
    // Before the work rather than after it.
    if !args.overwrite {
        refuse_existing(out, format)?;
    }
    let start = Instant::now();
    let (mut g, before, formats) = read_all(inputs)?;
    let repair = g.repair()?;
    if repair.dropped > 0 {
        let (n, of) = (repair.dropped, repair.dropped + g.len());
        warn(&format!("{n} of {of} Gaussians contain NaN or infinity and are left out"));
    }
    if repair.clamped > 0 {
        warn(&format!(
            "infinite opacities or scales of 0 were made finite in {} of the Gaussians",
            repair.clamped
        ));
    }
    if g.is_empty() {
        warn("there are no Gaussians to write");
    }
    let degree = g.sh_degree();
    g.reduce_sh_degree(args.sh_degree.unwrap_or(3));
    if format == GaussianFormat::Splat && g.sh_degree() > 0 {
        warn(&format!(
            ".splat holds no spherical harmonics: those of degree 1 to {} are left out",
            g.sh_degree()
        ));
        g.reduce_sh_degree(0);
    }

    let bar = if args.quiet { ProgressBar::hidden() } else { ProgressBar::no_length() };
    let style = ProgressStyle::with_template("clustering harmonics {bar:30} {pos}/{len}  {eta} left");
    bar.set_style(style.expect("the template is valid"));
    g.write_as(out, format, &mut |done, of| {
        bar.set_length(of);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    if !args.quiet {
        let lowered = if g.sh_degree() < degree { format!("{degree} -> ") } else { String::new() };
        anstream::eprintln!(
            "{}: {} Gaussians, SH degree {lowered}{}; {formats} {} -> {format} {}; {:.1} s",
            out.display(),
            g.len(),
            g.sh_degree(),
            size(before),
            size(size_of(out, format)),
            start.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

/// All of `inputs` merged, their size in bytes, and the names of their formats.
fn read_all(inputs: &[PathBuf]) -> Result<(Gaussians, u64, String)> {
    let mut all: Option<Gaussians> = None;
    let mut before = 0;
    let mut formats: Vec<String> = Vec::new();
    for path in inputs {
        let format = GaussianFormat::detect(path)?;
        let g = Gaussians::read(path)?;
        before += size_of(path, format);
        if !formats.contains(&format.to_string()) {
            formats.push(format.to_string());
        }
        match &mut all {
            None => all = Some(g),
            Some(all) => all.append(&g)?,
        }
    }
    Ok((all.expect("clap asks for an input"), before, formats.join(" + ")))
}

fn refuse_existing(out: &Path, format: GaussianFormat) -> Result<()> {
    let target = match format {
        GaussianFormat::SogFolder if out.file_name().is_none_or(|n| n != "meta.json") => {
            out.join("meta.json")
        }
        _ => out.to_path_buf(),
    };
    if target.exists() {
        let message = format!("{} exists already", target.display());
        return Err(super::Hinted::error(message, "--overwrite replaces it"));
    }
    Ok(())
}

/// Size of a scene in bytes; for a SOG folder, that of its pictures and its description.
fn size_of(path: &Path, format: GaussianFormat) -> u64 {
    let len = |p: &Path| fs_err::metadata(p).map_or(0, |m| m.len());
    if format != GaussianFormat::SogFolder {
        return len(path);
    }
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let Ok(entries) = fs_err::read_dir(folder) else { return 0 };
    let of_scene = |p: &Path| p.extension().is_some_and(|e| e == "webp") || p.ends_with("meta.json");
    entries.flatten().map(|e| e.path()).filter(|p| of_scene(p)).map(|p| len(&p)).sum()
}

fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

fn warn(text: &str) {
    anstream::eprintln!("warning: {text}");
}
