//! `splat edit`: crops, cleans, thins out, moves and merges scenes, and says what went and why.

mod steps;
mod values;
mod views;

use std::path::PathBuf;

use anyhow::Result;
use serde_json::{Value, json};
use splat_scene::Region;

use self::steps::Thinned;
use self::values::{Amount, Up, amount, positive, region_box, share, sphere, up};
use self::views::Views;
use super::common::DataArgs;
use super::scene::{LookArgs, numbers};
use super::scene_file::{Inputs, Output, OutputArgs};
use super::{Hinted, say};

/// Arguments of `splat edit`.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "splat edit [OPTIONS] <IN>... <OUT>",
    after_help = "Whatever the order of the options: the inputs are merged; what --box, --sphere, --min-views and the \
    options about floaters exclude is removed; --max-gaussians thins out; then --up, --recenter, --scale, --rotate and \
    --translate move what is left, in this order. Boxes and spheres are in world coordinates of the inputs.\n\
    Formats are those of `splat convert`.\n\n\
    Examples:\n  splat edit out clean.ply --floaters --data data/garden\n  \
    splat edit scene.ply table.ply --box -1,-1,-1,1,0.5,1\n  \
    splat edit out small.spz --max-gaussians 25% --data data/garden\n  \
    splat edit scene.ply upright.ply --up cameras --data data/garden --recenter"
)]
pub(crate) struct Args {
    /// One or more scenes or folders of trainings, which are merged in this order, and the file to write
    #[arg(required = true, num_args = 2.., value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Keep what is in this box, world coordinates
    #[arg(long, value_name = "X,Y,Z,X,Y,Z", allow_hyphen_values = true, value_parser = region_box)]
    r#box: Option<Region>,
    /// Keep what is in this sphere, world coordinates
    #[arg(long, value_name = "X,Y,Z,R", allow_hyphen_values = true, value_parser = sphere)]
    sphere: Option<Region>,
    /// Keep what is outside of the box and of the sphere instead
    #[arg(long)]
    outside: bool,
    /// Remove Gaussians whose 8th neighbour is more than so many times farther away than usual, and than they are large
    /// [with the option alone: 10]
    #[arg(long, value_name = "FACTOR", num_args = 0..=1, require_equals = true, default_missing_value = "10", value_parser = positive)]
    isolated: Option<f64>,
    /// Remove Gaussians with a standard deviation of more than this share of the scene's extent; a sky or a backdrop may
    /// consist of such [with the option alone: 1]
    #[arg(long, value_name = "SHARE", num_args = 0..=1, require_equals = true, default_missing_value = "1", value_parser = positive)]
    huge: Option<f64>,
    /// Remove Gaussians whose opacity is below this
    #[arg(long, value_name = "0-1", value_parser = share)]
    min_opacity: Option<f64>,
    /// Remove Gaussians whose largest weight in any pixel of any view of --data is below this
    #[arg(long, value_name = "0-1", value_parser = share, requires = "data")]
    min_contribution: Option<f64>,
    /// --isolated --min-opacity 0.005, and with --data --min-contribution 0.02, unless they are given
    #[arg(long)]
    floaters: bool,
    /// Remove what fewer views of --data show, with a weight of at least 1/255 in a pixel
    #[arg(long, value_name = "N", requires = "data")]
    min_views: Option<u32>,
    /// Keep so many Gaussians, or so many percent: those with the largest sum of weights over all pixels of the views of
    /// --data, and say what that costs in PSNR; without --data, those with the largest opacity times volume
    #[arg(long, value_name = "N|N%", value_parser = amount)]
    max_gaussians: Option<Amount>,
    /// Turn this direction up, that is, to -y, as viewers expect it; `cameras`: the direction that the cameras of --data, or
    /// of a cameras.json beside the scene, have above them
    #[arg(long, value_name = "X,Y,Z|cameras", allow_hyphen_values = true, value_parser = up)]
    up: Option<Up>,
    /// Move the median of the centres to the origin
    #[arg(long)]
    recenter: bool,
    /// Scale about the origin
    #[arg(long, value_name = "FACTOR", value_parser = positive)]
    scale: Option<f64>,
    /// Turn about the origin by these degrees: about x, then y, then z
    #[arg(long, value_name = "X,Y,Z", allow_hyphen_values = true, value_parser = numbers)]
    rotate: Option<[f64; 3]>,
    /// Shift
    #[arg(long, value_name = "X,Y,Z", allow_hyphen_values = true, value_parser = numbers)]
    translate: Option<[f64; 3]>,
    /// Dataset whose cameras say what shows; its held-out photographs say what thinning out costs
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print what was done as JSON
    #[arg(long, conflicts_with = "json_events")]
    json: bool,
    #[command(flatten)]
    output: OutputArgs,
    /// Say nothing but warnings and errors
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    dataset: DataArgs,
    #[command(flatten)]
    look: LookArgs,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let (out, inputs) = args.paths.split_last().expect("clap asks for two paths");
    let several = inputs.len() > 1;
    if !(several || args.removes() || args.max_gaussians.is_some() || args.moves()) {
        let hint = "name one, such as --floaters or --box; `splat convert` changes the format alone";
        return Err(Hinted::error("no edit was asked for".into(), hint));
    }
    let output = Output::of(out, &args.output, args.quiet || args.json)?;
    let mut inputs = Inputs::read(inputs)?;
    let before = inputs.g.len();
    let views = match &args.data {
        Some(data) => {
            Some(Views::open(data, &args.dataset, &args.look, &inputs.first, args.quiet, args.output.events)?)
        }
        None => None,
    };
    let removed = args.remove(&mut inputs.g, views.as_ref())?;
    let thinned = args.thin_out(&mut inputs.g, views.as_ref())?;
    let transform = args.transform(&inputs)?;
    if let Some(transform) = &transform {
        inputs.g.transform(transform);
    }
    let after = inputs.g.len();
    output.write(&mut inputs, transform.is_some())?;
    if args.json || args.output.events.wanted() {
        let removed: Vec<Value> =
            removed.iter().map(|(why, n)| json!({"why": why, "gaussians": n})).collect();
        let report = json!({
            "format": 1,
            "program": { "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") },
            "inputs": args.paths[..args.paths.len() - 1],
            "output": out,
            "before": before,
            "removed": removed,
            "thinned_out": thinned.as_ref().map(Thinned::as_json),
            "transform": transform.map(|t| json!({
                "rotation_wxyz": t.rotation, "scale": t.scale, "translation": t.translation,
            })),
            "after": after,
        });
        if args.json {
            return say::print(&format!("{report:#}"));
        }
        args.output.events.done("edit", report);
    }
    if !args.quiet {
        let line =
            format!("{}: {} of {} Gaussians", out.display(), say::grouped(after), say::grouped(before));
        say::note(&format!("{line}, {output}"));
    }
    Ok(())
}
