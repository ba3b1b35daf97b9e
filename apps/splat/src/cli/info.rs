//! `splat info`: what the program understands of a dataset, as a table or JSON, and a picture from above; or what is in a scene
//! (`scene_info`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};
use splat_scene::{Dataset, View, save_png};

use super::common::DataArgs;
use super::say::{self, print};
use super::{Hinted, scene_info};
use crate::report;

/// Arguments of `splat info`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  splat info data/fox -o top.png\n  splat info scene.ply")]
pub(crate) struct Args {
    /// Folder with posed photographs: COLMAP, transforms.json, NeRF-synthetic, opencv_cameras.json or Polycam; or a scene: a
    /// file of Gaussians, or the output folder of a training
    data: PathBuf,
    /// Write a picture of the dataset from above: points, cameras and where they look, with a legend and a scale
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
    if let Some(scene) = scene_info::file_of(&args.data) {
        if args.output.is_some() {
            let message =
                format!("{}: pictures from above are drawn of datasets, not of scenes", args.data.display());
            return Err(Hinted::error(message, "leave out -o, or use `splat render`"));
        }
        return scene_info::print(&scene, args.json);
    }
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
        let top = report::from_above(&dataset, 1024);
        save_png(path, top.width, top.height, &top.pixels)?;
        say::note(&format!("wrote {}", path.display()));
    }
    for finding in dataset.plausibility().findings {
        say::warn(&format!("{finding}; {}", finding.remedy()));
    }
    broken.iter().for_each(|error| say::note(&format!("error: {error}")));
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
    fact("format", say::shown(&d.source).into_owned());
    fact("views", format!("{n}: {} to train on, {} held out", d.train.len(), d.test.len()));
    fact("points", d.points.len().to_string());
    fact("masks", format!("{} of {n}", count(&d.views, |v| v.mask.is_some())));
    fact("depth maps", format!("{} of {n}", count(&d.views, |v| v.depth.is_some())));
    fact(
        "scene extent",
        format!("{:.4} (1.1 x the largest distance of a camera from their middle)", d.scene_extent),
    );
    let plausibility = d.plausibility();
    let share =
        |share: Option<f64>| share.map_or("no points".into(), |share| format!("{:.1} %", 100.0 * share));
    fact("points in view", format!("{} of any camera", share(plausibility.points_seen)));
    fact("cameras with points", share(plausibility.cameras_seeing));
    let depth = plausibility.depth.map_or(String::new(), |depth| format!(", at {depth:.4} from the points"));
    fact("baseline", format!("{:.4}{depth}", plausibility.baseline));
    if !d.origin.is_zero() {
        let [x, y, z] = d.origin.offset;
        fact("origin", format!("{x} {y} {z}, to be added for world coordinates"));
    }
    fact("up", vector(d.up()));
    fact("fingerprint", d.fingerprint());
    let mut cameras = Table::new();
    cameras.load_style(presets::UTF8_BORDERS_ONLY);
    cameras.set_header(["views", "lens", "file", "trained at", "field of view"]);
    for ((lens, file, camera, fov), count) in kinds.iter().take(20) {
        let fov = degrees(f64::from(*fov) / 10.0);
        cameras.add_row([count.to_string(), (*lens).into(), size(*file), size(*camera), fov]);
    }
    if let Some(column) = cameras.column_mut(0) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let rest = kinds.len().saturating_sub(20);
    let more = if rest > 0 { format!("\n... and {rest} more kinds of view") } else { String::new() };
    format!("{facts}\n{cameras}{more}")
}

/// A field of view; whether it is one that a lens can have is among the findings.
fn degrees(fov: f64) -> String {
    if fov < 0.1 { "under 0.1 deg".into() } else { format!("{fov:.1} deg") }
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
        "origin": d.origin.offset,
        "points_seen": d.plausibility().points_seen,
        "cameras_seeing": d.plausibility().cameras_seeing,
        "findings": d.plausibility().findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "warnings": d.warnings,
        "broken": broken,
    })
}
