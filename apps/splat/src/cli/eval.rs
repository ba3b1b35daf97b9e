//! `splat eval`: how close a scene is to photographs, whether it was trained on them or not.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};
use splat_scene::{View, write_atomically};
use splat_tch::Camera;
use splat_train::metrics::{Evaluator, Lpips, Mean, Scores, Truth, ViewScore};

use super::bar::Bar;
use super::common::{self, DataArgs};
use super::events::EventArgs;
use super::past::Past;
use super::scene::{Scene, file_of};
use super::scored::{self, ScoredArgs};
use super::{Hinted, say};
use crate::machine::Machine;
use crate::report;

/// Arguments of `splat eval`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  splat eval out\n  splat eval scene.ply --data data/snowmiku -o eval\n  \
    splat eval out --downscale 2 --lpips lpips.pt --json\n\n\
    The output folder of a training knows its dataset and how it was opened (--downscale, --test-every and so on).\n\n\
    LPIPS: --lpips takes a TorchScript module of two images [1,3,H,W] in -1 to 1 that returns their distance. \
    With the Python package `lpips`:\n  \
    import torch, lpips\n  \
    net, x = lpips.LPIPS(net=\"alex\").eval(), torch.zeros(1, 3, 64, 64)\n  \
    torch.jit.trace(net, (x, x), check_trace=False).save(\"lpips.pt\")\n\n\
    Scores are of the render before it is rounded to 8 bits; masked pixels do not count; transparent photographs \
    lie over the background. stats.json and views.csv also hold cc_psnr: PSNR after the affine map of each render\'s \
    colours that fits its photograph best."
)]
pub(crate) struct Args {
    /// Scene file (.ply, .splat, .spz, .sog, ...), or the output folder of a training
    scene: PathBuf,
    /// Folder of the dataset [default: that of the training beside the scene]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Folder for stats.json, views.csv and views/*.png (photograph, render, error); created if it does not exist
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Network for LPIPS, see below
    #[arg(long, value_name = "FILE")]
    lpips: Option<PathBuf>,
    /// Print what stats.json holds instead of a table
    #[arg(long, conflicts_with = "json_events")]
    json: bool,
    #[command(flatten)]
    events: EventArgs,
    #[command(flatten)]
    scored: ScoredArgs,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    evaluate(args)
        .map_err(|e| common::with_levers(e, "smaller images, such as --downscale 2, or fewer Gaussians"))
}

/// The folder of the dataset, and how it is opened: as the training did it where nothing else is asked for.
fn dataset_of(args: &Args, past: &Past) -> Result<(PathBuf, DataArgs)> {
    let trained = past.data();
    let of_training = args.data.is_none() || args.data.as_deref().map(common::absolute) == trained;
    let earlier = past.views().filter(|_| of_training).unwrap_or_default();
    let data = match (&args.data, trained) {
        (Some(data), _) => data.clone(),
        (None, Some(data)) if data.exists() => data,
        (None, Some(data)) => {
            let message = format!("the dataset of this training, {}, is not there any more", data.display());
            return Err(Hinted::error(message, "say where it is: --data FOLDER"));
        }
        (None, None) => {
            let message =
                format!("{}: no stats.json beside it says which dataset it is from", args.scene.display());
            return Err(Hinted::error(message, "name the dataset: --data FOLDER"));
        }
    };
    Ok((data, args.scored.dataset.over(&earlier)))
}

fn evaluate(args: &Args) -> Result<()> {
    let past = Past::beside(&file_of(&args.scene)?);
    let (data, opened) = dataset_of(args, &past)?;
    let dataset = opened.open(&data)?;
    let chosen = args.scored.split.of(&dataset, &data)?;
    past.doubt(&dataset, &chosen).iter().for_each(|doubt| say::warn(doubt));
    let scene = Scene::open(&args.scene, &args.scored.look, Some(dataset.origin))?;
    let lpips = args.lpips.as_ref().map(|path| Lpips::load(path, scene.backend.device())).transpose()?;
    let views: Vec<View> = chosen.iter().map(|&i| dataset.views[i].clone()).collect();
    let _lock = args.scored.output(args.output.as_ref())?;
    if let Some(folder) = &args.output {
        fs_err::create_dir_all(folder.join("views"))?;
    }

    let pictures = scored::photographs(&views);
    let cameras = scored::cameras(&views, scene.backend.device())?;
    let named: Vec<(&str, &Camera)> = views.iter().map(|v| v.name.as_str()).zip(&cameras).collect();
    let files = report::file_names(views.iter().map(|v| v.name.as_str()));
    // Names may repeat, so the current view is taken from the request for its photograph.
    let current = Cell::new(0);

    let mut bar = Bar::new(views.len() as u64, args.scored.quiet).telling(args.events, "evaluate");
    let mut done = 0;
    let pngs = report::PngPool::new(common::png_threads())?;
    let scores = Evaluator::new(lpips).run(
        &scene.frozen.scene(),
        &scene.settings,
        &named,
        &mut |i| {
            current.set(i);
            Truth::new(&*pictures.get(i)?, scene.background, &scene.backend)
        },
        &mut |score, image, truth| {
            done += 1;
            bar.show(done, &[&format!("{} {:.2} dB", score.name, score.psnr)]);
            let Some(folder) = &args.output else { return Ok(()) };
            let both = report::compared(&truth.photo, image, truth.mask.as_ref())?;
            pngs.push_image(folder.join("views").join(format!("{}.png", files[current.get()])), &both)
        },
    )?;
    bar.clear();
    pngs.finish()?;
    scored::warn_of_skipped(&scores);
    let mean = scored::mean(&scores, &data)?;
    let stats = stats(args, &data, &scene, &dataset, &views, &scores);
    if let Some(folder) = &args.output {
        report::per_view_csv(&folder.join("views.csv"), &scores.views)?;
        write_atomically(folder.join("stats.json"), |out| Ok(serde_json::to_writer_pretty(out, &stats)?))?;
    }
    if args.json {
        say::print(&format!("{stats:#}"))?;
    } else if args.events.wanted() {
        args.events.done("eval", stats);
    } else {
        say::print(&table(&scores.views, &mean))?;
    }
    if let (Some(folder), false) = (&args.output, args.scored.quiet) {
        say::note(&format!("wrote {}", folder.display()));
    }
    Ok(())
}

fn stats(
    args: &Args,
    data: &Path,
    scene: &Scene,
    dataset: &splat_scene::Dataset,
    views: &[View],
    scores: &Scores,
) -> Value {
    json!({
        "format": 1,
        "program": { "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") },
        "run": {
            "command": std::env::args().collect::<Vec<_>>(),
            "scene": scene.path,
            "data": data,
            "split": args.scored.split,
            "engine": scene.backend.name(),
            "device": format!("{:?}", scene.backend.device()),
            "background": scene.background,
            "antialiasing": scene.settings.antialiasing,
            "lpips": args.lpips,
        },
        "data": {
            "source": dataset.source,
            "fingerprint": dataset.fingerprint(),
            "views": views.len(),
            "width": views[0].camera.width,
            "height": views[0].camera.height,
            "warnings": dataset.warnings,
        },
        "machine": Machine::probe(&scene.backend),
        "gaussians": scene.frozen.len(),
        "sh_degree": scene.frozen.sh_degree(),
        "mean": scores.mean(),
        "views": scores.views,
        "skipped": scores.skipped,
    })
}

/// One line per view, and the means.
fn table(views: &[ViewScore], mean: &Mean) -> String {
    let name = |v: &ViewScore| say::shown(&v.name).chars().count();
    let wide = views.iter().map(name).max().unwrap_or(0).clamp(4, 60);
    let lpips = |x: Option<f64>| x.map(|x| format!("  {x:>6.4}")).unwrap_or_default();
    let heading = if mean.lpips.is_some() { "   LPIPS" } else { "" };
    let mut text = format!("{:wide$}  PSNR dB    SSIM{heading}       ms", "view");
    let mut line = |name: &str, psnr: f64, ssim: f64, distance: Option<f64>, ms: f64| {
        text.push_str(&format!("\n{name:wide$}  {psnr:>7.2}  {ssim:>6.4}{}  {ms:>7.1}", lpips(distance)));
    };
    for v in views {
        line(&say::shown(&v.name), v.psnr, v.ssim, v.lpips, v.milliseconds);
    }
    let label = format!("mean of {}", views.len());
    line(&label, mean.psnr, mean.ssim, mean.lpips, mean.milliseconds);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align() {
        let view = |name: &str, psnr, lpips| ViewScore {
            name: name.into(),
            psnr,
            cc_psnr: psnr,
            ssim: 0.98765,
            lpips,
            milliseconds: 12.34,
        };
        let views = [view("images/long name.png", 31.25, Some(0.0625)), view("b", f64::INFINITY, Some(0.0))];
        let scores = Scores { views: views.into(), skipped: Vec::new() };
        let text = table(&scores.views, &scores.mean().unwrap());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines.iter().all(|l| l.chars().count() == lines[0].chars().count()), "{text}");
        assert_eq!(lines[1], "images/long name.png    31.25  0.9877  0.0625     12.3");
        assert_eq!(
            lines[3].split_whitespace().collect::<Vec<_>>(),
            "mean of 2 inf 0.9877 0.0312 12.3".split(' ').collect::<Vec<_>>()
        );
        let plain = [view("b", 20.0, None)];
        let plain = Scores { views: plain.into(), skipped: Vec::new() };
        assert!(!table(&plain.views, &plain.mean().unwrap()).contains("LPIPS"));
    }
}
