//! `splat convert`: Gaussians from one format to another, several scenes into one. Georeferenced scenes keep their place in
//! the world, and what the target format rounds is said.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use splat_scene::{GaussianFormat, Gaussians, Origin, ply, spz};

/// Arguments of `splat convert`.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "splat convert [OPTIONS] <IN>... <OUT>",
    after_help = "Formats: PLY (.ply), PlayCanvas' compressed PLY (.compressed.ply), .splat, SPZ (.spz), \
    SOG (.sog, or a folder with a meta.json).\nInputs are recognised by their content, the output by its name. A \
    training's folder stands for its scene.\n\n\
    Examples:\n  splat convert scene.ply scene.spz\n  splat convert chunks/0 chunks/1 whole.sog\n  \
    splat convert scene.ply folder/meta.json --sh-degree 1"
)]
pub(crate) struct Args {
    /// One or more scenes or folders of trainings, which are merged in this order, and the file to write
    #[arg(required = true, num_args = 2.., value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Drop the spherical harmonics above this degree
    #[arg(long, value_name = "0-3", value_parser = clap::value_parser!(u32).range(0..=3))]
    sh_degree: Option<u32>,
    /// Version of a .spz to write; few programs read version 4 yet
    #[arg(long, value_name = "3|4", default_value_t = 3, value_parser = clap::value_parser!(u32).range(3..=4))]
    spz_version: u32,
    /// Positions in a PLY that is far from the world's origin: `world` coordinates in 64 bits, or `local` ones in 32 bits,
    /// with the offset in a comment and in OUT.origin.json, as for other formats [default: as in the input]
    #[arg(long, value_name = "WHICH")]
    coordinates: Option<Coordinates>,
    /// Replace the output if it exists
    #[arg(long)]
    overwrite: bool,
    /// Say nothing but warnings and errors
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Coordinates {
    World,
    Local,
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
    let Inputs { mut g, bytes: before, formats, world } = Inputs::read(inputs)?;
    let repair = g.repair()?;
    if repair.dropped > 0 {
        let (n, of) = (repair.dropped, repair.dropped + g.len());
        warn(&format!("{n} of {of} Gaussians have invalid values (NaN or infinity); skipped"));
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
    let coordinates = args.coordinates.unwrap_or(if world { Coordinates::World } else { Coordinates::Local });
    let world = coordinates == Coordinates::World && !g.origin.is_zero();
    if world && format == GaussianFormat::Ply {
        ply::write_as(out, &g, ply::Options { world: true, ..ply::Options::default() })?;
    } else if world && args.coordinates.is_some() {
        let message =
            format!("{format} cannot hold world coordinates of 64 bits, which --coordinates world asks for");
        return Err(super::Hinted::error(
            message,
            "choose a name that ends in .ply, or leave the option out",
        ));
    } else {
        place(&mut g, format, out, args.quiet);
        write(&g, format, out, args.quiet)?;
    }
    if !args.quiet {
        let lowered = if g.sh_degree() < degree { format!("{degree} -> ") } else { String::new() };
        anstream::eprintln!(
            "{}: {} Gaussians, SH degree {lowered}{}; {} {} -> {format} {}; {:.1} s",
            out.display(),
            g.len(),
            g.sh_degree(),
            formats.join(" + "),
            size(before),
            size(size_of(out, format)),
            start.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

fn write(g: &Gaussians, format: GaussianFormat, out: &Path, quiet: bool) -> Result<()> {
    let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::no_length() };
    let style = ProgressStyle::with_template("clustering harmonics {bar:30} {pos}/{len}  {eta} left");
    bar.set_style(style.expect("the template is valid"));
    g.write_as(out, format, &mut |done, of| {
        bar.set_length(of);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    Ok(())
}

/// Moves a scene to an origin of its own where the format would round it coarsely, and says what precision is left.
fn place(g: &mut Gaussians, format: GaussianFormat, out: &Path, quiet: bool) {
    let exact = matches!(format, GaussianFormat::Ply | GaussianFormat::Splat);
    if exact && g.origin.is_zero() {
        return;
    }
    let is_coarse = |g: &Gaussians| format.precision(g).is_some_and(|p| p.is_coarse());
    if g.origin.is_zero() && is_coarse(g) {
        g.set_origin(Origin::choose(g.world_means()));
    }
    if !g.origin.is_zero() && !quiet {
        let [x, y, z] = g.origin.offset;
        let sidecar = Origin::sidecar(&target(out, format));
        anstream::eprintln!("positions are relative to {x}, {y}, {z}, which {} says", sidecar.display());
    }
    let Some(precision) = format.precision(g).filter(|p| p.step > 0.0) else { return };
    if is_coarse(g) {
        warn(&format!("{format} rounds positions to {precision}: coarse enough to be seen"));
    } else if !quiet {
        anstream::eprintln!("{format} rounds positions to {precision}");
    }
}

/// All inputs merged.
struct Inputs {
    g: Gaussians,
    /// Their size in bytes, and the names of their formats.
    bytes: u64,
    formats: Vec<String>,
    /// Whether all that are far from the world's origin have world coordinates.
    world: bool,
}

impl Inputs {
    fn read(paths: &[PathBuf]) -> Result<Self> {
        let mut all: Option<Self> = None;
        let mut first_placed = None;
        for path in paths {
            let path = super::scene::file_of(path)?;
            let loaded = Gaussians::load(&path)?;
            for warning in &loaded.warnings {
                warn(&format!("{}: {warning}", path.display()));
            }
            let g = loaded.gaussians;
            let placed = !g.origin.is_zero();
            if *first_placed.get_or_insert(placed) != placed {
                warn(&format!(
                    "{} is {} from the world's origin, unlike the inputs before it: do they belong together?",
                    path.display(),
                    if placed { "far" } else { "not far" }
                ));
            }
            let all = all.get_or_insert_with(|| Self {
                g: Gaussians { coeffs: 1, origin: g.origin, ..Gaussians::default() },
                bytes: 0,
                formats: Vec::new(),
                world: true,
            });
            all.g.append(&g)?;
            all.bytes += size_of(&path, loaded.format);
            all.world &= loaded.world || !placed;
            let name = loaded.format.to_string();
            if !all.formats.contains(&name) {
                all.formats.push(name);
            }
        }
        Ok(all.expect("clap asks for an input"))
    }
}

/// The file that stands for the output.
fn target(out: &Path, format: GaussianFormat) -> PathBuf {
    match format {
        GaussianFormat::SogFolder if out.file_name().is_none_or(|n| n != "meta.json") => {
            out.join("meta.json")
        }
        _ => out.to_path_buf(),
    }
}

fn refuse_existing(out: &Path, format: GaussianFormat) -> Result<()> {
    let target = target(out, format);
    if target.exists() {
        let message = format!("{} already exists", target.display());
        return Err(super::Hinted::error(message, "use --overwrite to replace it"));
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
