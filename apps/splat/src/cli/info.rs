//! `splat info`: what the program understands of a dataset, as a table or JSON, and a picture from above.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};
use splat_scene::{Dataset, View, save_png};

use super::common::{DataArgs, print};

/// Arguments of `splat info`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  splat info data/fox -o top.png")]
pub(crate) struct Args {
    /// Folder with posed photographs: COLMAP, transforms.json, NeRF-synthetic, opencv_cameras.json or Polycam
    data: PathBuf,
    /// Write a picture from above with the points, training cameras (blue) and held-out cameras (red)
    #[arg(short, long, value_name = "PNG")]
    output: Option<PathBuf>,
    /// Write JSON to stdout instead of a table
    #[arg(long)]
    json: bool,
    /// Also decode every photograph, mask and depth map, to find broken ones
    #[arg(long)]
    decode: bool,
    #[command(flatten)]
    dataset: DataArgs,
}

/// What views of the same kind have in common: lens, size of the file, training size, and horizontal field of view in tenths
/// of a degree.
type Kind = (&'static str, (u32, u32), (u32, u32), u32);

pub(crate) fn run(args: &Args) -> Result<()> {
    let dataset = args.dataset.open(&args.data)?;
    let mut kinds: BTreeMap<Kind, usize> = BTreeMap::new();
    for view in &dataset.views {
        let (tan, camera) = (f64::from(view.camera.tan_fovx), &view.camera);
        let fov = (2.0 * tan.atan().to_degrees() * 10.0).round() as u32;
        *kinds.entry((view.lens(), view.file_size(), (camera.width, camera.height), fov)).or_default() += 1;
    }
    let broken = if args.decode { broken(&dataset.views) } else { Vec::new() };
    if args.json {
        print(&format!("{:#}", as_json(&dataset, &kinds, &broken)))?;
    } else {
        print(&table(args, &dataset, &kinds))?;
    }
    if let Some(path) = &args.output {
        let top = dataset.top_view(1024);
        save_png(path, top.width, top.height, &top.pixels)?;
        anstream::eprintln!("wrote {}", path.display());
    }
    broken.iter().for_each(|error| anstream::eprintln!("error: {error}"));
    anyhow::ensure!(broken.is_empty(), "{} of {} views cannot be loaded", broken.len(), dataset.views.len());
    Ok(())
}

/// The errors of the views that cannot be loaded.
fn broken(views: &[View]) -> Vec<String> {
    use rayon::prelude::*;
    views.par_iter().filter_map(|view| view.load().err().map(|e| e.to_string())).collect()
}

fn size((w, h): (u32, u32)) -> String {
    format!("{w}x{h}")
}

fn count(views: &[View], has: fn(&View) -> bool) -> usize {
    views.iter().filter(|v| has(v)).count()
}

fn table(args: &Args, d: &Dataset, kinds: &BTreeMap<Kind, usize>) -> String {
    let mut facts = Table::new();
    facts.load_style(presets::NOTHING);
    let mut fact = |name: &str, value: String| {
        facts.add_row([name, &value]);
    };
    let n = d.views.len();
    fact("data", args.data.display().to_string());
    fact("format", d.source.clone());
    fact("views", format!("{n}: {} to train on, {} held out", d.train.len(), d.test.len()));
    fact("points", d.points.len().to_string());
    fact("masks", format!("{} of {n}", count(&d.views, |v| v.mask.is_some())));
    fact("depth maps", format!("{} of {n}", count(&d.views, |v| v.depth.is_some())));
    fact(
        "scene extent",
        format!("{:.4} (1.1 x the largest distance of a camera from their middle)", d.scene_extent),
    );
    fact("up", vector(d.up()));
    fact("fingerprint", d.fingerprint());
    let mut cameras = Table::new();
    cameras.load_style(presets::UTF8_BORDERS_ONLY);
    cameras.set_header(["views", "lens", "file", "trained at", "field of view"]);
    for ((lens, file, camera, fov), count) in kinds.iter().take(20) {
        let fov = format!("{:.1} deg", f64::from(*fov) / 10.0);
        cameras.add_row([count.to_string(), (*lens).into(), size(*file), size(*camera), fov]);
    }
    if let Some(column) = cameras.column_mut(0) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let rest = kinds.len().saturating_sub(20);
    let more = if rest > 0 { format!("\n... and {rest} more kinds of view") } else { String::new() };
    format!("{facts}\n{cameras}{more}")
}

fn vector(v: [f64; 3]) -> String {
    format!("{:.3} {:.3} {:.3}", v[0], v[1], v[2])
}

fn as_json(d: &Dataset, kinds: &BTreeMap<Kind, usize>, broken: &[String]) -> Value {
    let kind = |(&(lens, file, camera, fov), count): (&Kind, &usize)| {
        json!({
            "views": count, "lens": lens, "file_size": [file.0, file.1], "size": [camera.0, camera.1],
            "fov_x_degrees": f64::from(fov) / 10.0,
        })
    };
    let names = |split: &[usize]| split.iter().map(|&i| d.views[i].name.clone()).collect::<Vec<_>>();
    json!({
        "format": 1,
        "source": d.source,
        "views": d.views.len(),
        "train": names(&d.train),
        "test": names(&d.test),
        "points": d.points.len(),
        "masks": count(&d.views, |v| v.mask.is_some()),
        "depths": count(&d.views, |v| v.depth.is_some()),
        "scene_extent": d.scene_extent,
        "up": d.up(),
        "fingerprint": d.fingerprint(),
        "cameras": kinds.iter().map(kind).collect::<Vec<_>>(),
        "warnings": d.warnings,
        "broken": broken,
    })
}
