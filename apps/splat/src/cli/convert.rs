//! `splat convert`: Gaussians from one format to another, several scenes into one. Georeferenced scenes keep their place in
//! the world, and what the target format rounds is said.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use serde_json::json;

use super::say::{note, warn};
use super::scene_file::{Inputs, Output, OutputArgs, size};

/// Arguments of `splat convert`.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "splat convert [OPTIONS] <IN>... <OUT>",
    after_help = "Formats: PLY (.ply), PlayCanvas' compressed PLY (.compressed.ply), .splat, SPZ (.spz), \
    SOG (.sog, or a folder with a meta.json), streamed SOG with levels of detail (a folder with a lod-meta.json), glTF (.glb; .gltf is read), USD (.usda, .usdz; written only). A name that ends in .html means the viewer with \
    the scene in it, one file that opens from disk.\nInputs are recognised by their content, the output by its name. A \
    training's folder stands for its scene.\n\n\
    Examples:\n  splat convert scene.ply scene.spz\n  splat convert chunks/0 chunks/1 whole.sog\n  \
    splat convert scene.ply folder/meta.json --sh-degree 1\n  splat convert scene.ply folder/lod-meta.json\n  splat convert out page.html"
)]
pub(crate) struct Args {
    /// One or more scenes or folders of trainings, which are merged in this order, and the file to write
    #[arg(required = true, num_args = 2.., value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Drop the spherical harmonics above this degree
    #[arg(long, value_name = "0-3", value_parser = clap::value_parser!(u32).range(0..=3))]
    sh_degree: Option<u32>,
    #[command(flatten)]
    output: OutputArgs,
    /// Say nothing but warnings and errors
    #[arg(short, long)]
    quiet: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let (out, inputs) = args.paths.split_last().expect("clap asks for two paths");
    // What stands there is refused before the work rather than after it.
    let output = Output::of(out, &args.output, args.quiet)?;
    let start = Instant::now();
    let mut inputs = Inputs::open(inputs)?;
    if inputs.len() == 0 {
        warn("there are no Gaussians to write");
    }
    let degree = inputs.sh_degree();
    inputs.reduce_sh_degree(args.sh_degree.unwrap_or(3));
    output.write(&mut inputs, false)?;
    args.output.events.done("convert", json!({"output": out, "gaussians": inputs.g.len()}));
    if !args.quiet {
        let Inputs { bytes, formats, .. } = &inputs;
        let lowered = if inputs.sh_degree() < degree { format!("{degree} -> ") } else { String::new() };
        note(&format!(
            "{}: {} Gaussians, SH degree {lowered}{}; {} {} -> {output}; {:.1} s",
            out.display(),
            inputs.len(),
            inputs.sh_degree(),
            formats.join(" + "),
            size(*bytes),
            start.elapsed().as_secs_f64()
        ));
    }
    Ok(())
}
