//! Scenes that a command reads, merges, changes and writes: `convert` and `edit`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use splat_scene::{GaussianFormat, Gaussians, Origin, Repair, Rows, WriteProgress, ply, sog, spz};

use super::Hinted;
use super::bar::Bar;
use super::events::EventArgs;
use super::say::{note, warn};
use super::scene::{TrainedArgs, file_of};
use super::view;

/// How a scene is written.
#[derive(Debug, clap::Args)]
pub(crate) struct OutputArgs {
    /// Version of a .spz to write; few programs read version 4 yet, and 2 has coarse rotations
    #[arg(long, value_name = "2-4", default_value_t = 3, value_parser = clap::value_parser!(u32).range(2..=4))]
    spz_version: u32,
    /// Levels of detail of a lod-meta.json, each with half the Gaussians of the one before [default: as many as leave about 65,000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16))]
    lod_levels: Option<u32>,
    /// Gaussians in one part of a lod-meta.json at most, in units of 1024 [default: 512]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(32..=65536))]
    lod_chunk_count: Option<u32>,
    /// Positions in a PLY that is far from the world's origin: `world` coordinates in 64 bits, or `local` ones in 32 bits,
    /// with the offset in a comment and in OUT.origin.json, as for other formats [default: as in the input]
    #[arg(long, value_name = "WHICH")]
    coordinates: Option<Coordinates>,
    /// Replace the output if it exists
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    pub(super) events: EventArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Coordinates {
    World,
    Local,
}

/// A PLY of so many bytes or more is converted without holding it in memory.
const LARGE: u64 = 64 << 20;
/// Positions from here on may need an origin of their own, which is chosen in memory.
const FAR: f32 = 1000.0;

/// All inputs merged.
pub(super) struct Inputs {
    /// Without harmonics if the rest stays in `file`.
    pub(super) g: Gaussians,
    file: Option<ply::File>,
    /// The file of the first.
    pub(super) first: PathBuf,
    /// Their size in bytes, and the names of their formats.
    pub(super) bytes: u64,
    pub(super) formats: Vec<String>,
    /// Whether the first was trained with antialiasing.
    antialiased: bool,
    /// Whether all that are far from the world's origin have world coordinates.
    world: bool,
}

impl Inputs {
    /// As [`read`](Self::read), but the harmonics of a single large PLY stay in the file: degree 3 has three quarters of its bytes.
    pub(super) fn open(paths: &[PathBuf]) -> Result<Self> {
        if let [path] = paths {
            let path = file_of(path)?;
            let bytes = fs_err::metadata(&path)?.len();
            if bytes >= LARGE
                && GaussianFormat::detect(&path)? == GaussianFormat::Ply
                && let Some(file) = ply::File::open(&path)?
            {
                let g = file.without_harmonics()?;
                if g.means.iter().all(|x| x.abs() < FAR) {
                    file.warnings()
                        .iter()
                        .for_each(|warning| warn(&format!("{}: {warning}", path.display())));
                    say_repair(file.repair(), file.len());
                    let antialiased = TrainedArgs::default().of(&path).1;
                    let formats = vec![GaussianFormat::Ply.to_string()];
                    let file = Some(file);
                    return Ok(Self { g, file, first: path, bytes, formats, antialiased, world: true });
                }
            }
        }
        Self::read(paths)
    }

    fn rows(&self) -> &dyn Rows {
        self.file.as_ref().map_or(&self.g, |file| file)
    }

    pub(super) fn len(&self) -> usize {
        self.rows().len()
    }

    pub(super) fn sh_degree(&self) -> u32 {
        self.rows().coeffs().isqrt() as u32 - 1
    }

    pub(super) fn reduce_sh_degree(&mut self, degree: u32) {
        self.g.reduce_sh_degree(degree);
        if let Some(file) = &mut self.file {
            file.reduce_sh_degree(degree);
        }
        // Then all there is is in memory.
        self.file.take_if(|file| file.coeffs() == 1);
    }

    /// Reads the scenes and leaves out what no format but PLY holds, with a warning.
    pub(super) fn read(paths: &[PathBuf]) -> Result<Self> {
        let mut all: Option<Self> = None;
        let mut first_placed = None;
        for path in paths {
            let path = file_of(path)?;
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
            let all = match &mut all {
                Some(all) => {
                    all.g.append(&g)?;
                    all
                }
                // Moved, not copied: one scene may fill half of the memory.
                None => all.insert(Self {
                    antialiased: TrainedArgs::default().of(&path).1,
                    first: path.clone(),
                    g,
                    file: None,
                    bytes: 0,
                    formats: Vec::new(),
                    world: true,
                }),
            };
            all.bytes += size_of(&path, loaded.format);
            all.world &= loaded.world || !placed;
            let name = loaded.format.to_string();
            if !all.formats.contains(&name) {
                all.formats.push(name);
            }
        }
        let mut all = all.expect("clap asks for an input");
        say_repair(all.g.repair()?, all.g.len());
        Ok(all)
    }
}

fn say_repair(repair: Repair, left: usize) {
    if repair.dropped > 0 {
        let (n, of) = (repair.dropped, repair.dropped + left);
        warn(&format!("{n} of {of} Gaussians have invalid values (NaN or infinity); skipped"));
    }
    if repair.clamped > 0 {
        warn(&format!(
            "infinite opacities or scales of 0 were made finite in {} of the Gaussians",
            repair.clamped
        ));
    }
}

/// The file to write.
pub(super) struct Output<'a> {
    path: &'a Path,
    /// That of the scene in a page is SOG.
    format: GaussianFormat,
    page: bool,
    coordinates: Option<Coordinates>,
    division: sog::Division,
    quiet: bool,
    events: EventArgs,
}

impl<'a> Output<'a> {
    /// What the name means; an error if it exists and is not to be replaced.
    pub(super) fn of(path: &'a Path, args: &OutputArgs, quiet: bool) -> Result<Self> {
        let page = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("html"));
        if page {
            view::require_libraries("`splat render` makes pictures")?;
        }
        let mut format = if page { GaussianFormat::Sog } else { GaussianFormat::from_name(path)? };
        let other = match args.spz_version {
            2 => Some(spz::Version::V2),
            4 => Some(spz::Version::V4),
            _ => None,
        };
        match (&mut format, other) {
            (_, None) => {}
            (GaussianFormat::Spz(version), Some(other)) => *version = other,
            (written, Some(_)) => {
                let message = format!(
                    "--spz-version {} does not fit {}, which is written as {written}",
                    args.spz_version,
                    path.display()
                );
                return Err(Hinted::error(message, "choose a name that ends in .spz"));
            }
        }
        let mut division = sog::Division { levels: args.lod_levels, ..sog::Division::default() };
        division.part = args.lod_chunk_count.map_or(division.part, |k| 1024 * k as usize);
        if division != sog::Division::default() && format != GaussianFormat::SogStreamed {
            let message =
                format!("levels of detail do not fit {}, which is written as {format}", path.display());
            return Err(Hinted::error(message, "name the output FOLDER/lod-meta.json"));
        }
        if !args.overwrite {
            refuse_existing(path, format)?;
        }
        Ok(Self { path, format, page, coordinates: args.coordinates, division, quiet, events: args.events })
    }

    /// Writes the scene. If it was `moved`, the cameras beside the first input say nothing about it any more.
    pub(super) fn write(&self, inputs: &mut Inputs, moved: bool) -> Result<()> {
        let Self { path, format, quiet, .. } = *self;
        if format == GaussianFormat::Splat && inputs.sh_degree() > 0 {
            warn(&format!(
                ".splat holds no spherical harmonics: those of degree 1 to {} are left out",
                inputs.sh_degree()
            ));
            inputs.reduce_sh_degree(0);
        }
        let g = &mut inputs.g;
        let usual = if inputs.world { Coordinates::World } else { Coordinates::Local };
        let world = self.coordinates.unwrap_or(usual) == Coordinates::World && !g.origin.is_zero();
        if world && format != GaussianFormat::Ply && self.coordinates.is_some() {
            let message = format!(
                "{format} cannot hold world coordinates of 64 bits, which --coordinates world asks for"
            );
            return Err(Hinted::error(message, "choose a name that ends in .ply, or leave the option out"));
        }
        if self.page {
            let (first, file) = (&inputs.first, inputs.file.as_ref());
            return self.with_bar(HARMONICS, |progress| {
                view::write_page(path, first, moved, g, file.map(|file| file as &dyn Rows), progress)?;
                said_precision(g, format, quiet);
                Ok(())
            });
        }
        if !(world && format == GaussianFormat::Ply) {
            place(g, format, path, quiet);
        }
        if inputs.file.is_some() {
            // What is written comes from the file.
            *g = Gaussians { coeffs: 1, ..Gaussians::default() };
        }
        let g = inputs.rows();
        if format == GaussianFormat::Ply {
            let antialiased = inputs.antialiased;
            return Ok(ply::write_as(path, g, ply::Options { world, antialiased })?);
        }
        if format == GaussianFormat::SogStreamed {
            fs_err::create_dir_all(path.parent().unwrap_or(Path::new("")))?;
            return self.with_bar("merging neighbours", |progress| {
                Ok(sog::write_streamed(path, g, self.division, progress)?)
            });
        }
        self.with_bar(HARMONICS, |progress| Ok(g.write_as(path, format, progress)?))
    }

    /// Runs `write` with a progress bar about `what`.
    fn with_bar(
        &self,
        what: &'static str,
        write: impl FnOnce(WriteProgress<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut bar = Bar::new(0, self.quiet).telling(self.events, what);
        write(&mut |done, of| {
            bar.of(of);
            bar.show(done, &[what]);
        })?;
        bar.clear();
        Ok(())
    }
}

/// The format, and the size of what was written.
impl std::fmt::Display for Output<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let size = size(size_of(self.path, self.format));
        if self.page { write!(f, "page {size}") } else { write!(f, "{} {size}", self.format) }
    }
}

/// What writing SOG spends its time on.
const HARMONICS: &str = "clustering harmonics";

/// Moves a scene to an origin of its own where the format would round it coarsely, and says what precision is left.
fn place(g: &mut Gaussians, format: GaussianFormat, out: &Path, quiet: bool) {
    let exact = matches!(
        format,
        GaussianFormat::Ply | GaussianFormat::Splat | GaussianFormat::Gltf | GaussianFormat::Usd(_)
    );
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
        note(&format!("positions are relative to {x}, {y}, {z}, which {} says", sidecar.display()));
    }
    said_precision(g, format, quiet);
}

fn said_precision(g: &Gaussians, format: GaussianFormat, quiet: bool) {
    let Some(precision) = format.precision(g).filter(|p| p.step > 0.0) else { return };
    if precision.is_coarse() {
        warn(&format!("{format} rounds positions to {precision}: coarse enough to be seen"));
    } else if !quiet {
        note(&format!("{format} rounds positions to {precision}"));
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
        return Err(Hinted::error(message, "use --overwrite to replace it"));
    }
    Ok(())
}

/// Size of a scene in bytes; for SOG in folders, that of its pictures and descriptions.
fn size_of(path: &Path, format: GaussianFormat) -> u64 {
    let len = |p: &Path| fs_err::metadata(p).map_or(0, |m| m.len());
    if !matches!(format, GaussianFormat::SogFolder | GaussianFormat::SogStreamed) {
        return len(path);
    }
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let Ok(entries) = fs_err::read_dir(folder) else { return 0 };
    let of = |p: &Path| match format {
        GaussianFormat::SogStreamed if p.is_dir() => size_of(p, GaussianFormat::SogFolder),
        GaussianFormat::SogStreamed if p.ends_with("lod-meta.json") => len(p),
        GaussianFormat::SogFolder if p.ends_with("meta.json") => len(p),
        GaussianFormat::SogFolder if p.extension().is_some_and(|e| e == "webp") => len(p),
        _ => 0,
    };
    entries.flatten().map(|e| of(&e.path())).sum()
}

/// A number of bytes for people.
pub(super) fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}
