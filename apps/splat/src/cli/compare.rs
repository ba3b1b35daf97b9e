//! `splat compare`: two scenes against the same photographs, view by view, in figures and pictures.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;
use splat_scene::PictureCache;
use splat_tch::{Camera, render};
use splat_train::metrics::{Evaluator, Scores, Truth, ViewScore};
use tch::{Kind, Tensor};

use super::bar::Bar;
use super::common::{self, DataArgs, Split};
use super::events::EventArgs;
use super::folder::Folder;
use super::scene::{LookArgs, Scene};
use super::{Hinted, say};
use crate::report;

/// Bytes of photographs that are decoded ahead.
const AHEAD: u64 = 512 << 20;
/// A mean absolute error of this and more is shown in the brightest colour.
const BRIGHTEST: f64 = 0.25;

/// Arguments of `splat compare`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  splat compare out-a out-b --data data/snowmiku -o compared\n\n\
    Pictures show photograph, A and B, and below them where A and B differ, the error of A and the error of B.")]
pub(crate) struct Args {
    /// Scene file (.ply, .splat, .spz, .sog, ...), or the output folder of a training
    a: PathBuf,
    /// The other one
    b: PathBuf,
    /// Folder of the dataset
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Views to compare
    #[arg(long, value_name = "SPLIT", default_value = "test")]
    split: Split,
    /// Folder for a picture of each view; created if it does not exist
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Write into a folder that is not empty
    #[arg(long, requires = "output")]
    overwrite: bool,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    events: EventArgs,
    #[command(flatten)]
    dataset: DataArgs,
    #[command(flatten)]
    look: LookArgs,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let dataset = args.dataset.open(&args.data)?;
    let chosen = args.split.of(&dataset, &args.data)?;
    let open = |path| Scene::open(path, &args.look, Some(dataset.origin));
    let scenes = [open(&args.a)?, open(&args.b)?];
    let hint = "choose another folder, or replace files of the same names with --overwrite";
    let _lock = args.output.as_ref().map(|folder| Folder::open(folder, args.overwrite, hint)).transpose()?;
    let pictures = PictureCache::new(&dataset.views, AHEAD);
    pictures.prefetch(&chosen);
    let files = report::file_names(chosen.iter().map(|&i| dataset.views[i].name.as_str()));
    let pngs = report::PngPool::new(common::png_threads())?;
    let mut bar = Bar::new(chosen.len() as u64, args.quiet).telling(args.events, "compare");
    let evaluator = Evaluator::default();
    let mut scores = [Scores::default(), Scores::default()];
    let _guard = tch::no_grad_guard();
    for (done, (&i, file)) in chosen.iter().zip(files).enumerate() {
        let view = &dataset.views[i];
        let first = &scenes[0];
        let camera = Camera::new(view.camera.clone(), first.backend.device())?;
        let truth = Truth::new(&*pictures.get(i)?, first.background, &first.backend)?;
        let mut images = Vec::with_capacity(2);
        for (scene, scores) in scenes.iter().zip(&mut scores) {
            let image = render(&scene.frozen.scene(), &camera, &scene.settings)?.color;
            match evaluator.compare(&view.name, &image, &truth)? {
                Some(score) => scores.views.push(score),
                None => scores.skipped.push(view.name.clone()),
            }
            images.push(image.f_clamp(0.0, 1.0)?);
        }
        bar.show(done as u64 + 1, &[&view.name]);
        if let Some(folder) = &args.output {
            let report::Rgb8 { width, height, pixels } = report::rgb8(&picture(&truth.photo, &images)?)?;
            pngs.push(folder.join(format!("{file}.png")), width, height, report::Pixels::Rgb(pixels))?;
        }
    }
    bar.clear();
    pngs.finish()?;
    for name in &scores[0].skipped {
        say::warn(&format!("{name} is left out: its mask leaves no pixel"));
    }
    let [Some(a), Some(b)] = scores.each_ref().map(Scores::mean) else {
        let message = format!("{}: the masks leave no pixel of any view", args.data.display());
        return Err(Hinted::error(message, "masks are white where a photograph counts"));
    };
    if args.events.wanted() {
        let [first, second] = &scores;
        let result = json!({"mean": {"a": a, "b": b}, "views": {"a": first.views, "b": second.views}});
        args.events.done("compare", result);
        return Ok(());
    }
    let rows = scores[0].views.iter().zip(&scores[1].views).map(|(a, b)| row(a, b));
    let mean = (format!("mean of {}", scores[0].views.len()), [a.psnr, b.psnr], [a.ssim, b.ssim]);
    let counts = scenes.each_ref().map(|scene| scene.host.len());
    say::print(&table(&rows.chain([mean]).collect::<Vec<_>>(), counts))
}

/// Photograph, A and B; below them their difference and the errors of both.
fn picture(photo: &Tensor, images: &[Tensor]) -> Result<Tensor> {
    let apart = |x: &Tensor, y: &Tensor| -> Result<Tensor> {
        let error = x.f_sub(y)?.f_abs()?.f_mean_dim([0i64].as_slice(), false, Kind::Float)?;
        report::heat(&error.f_div_scalar(BRIGHTEST)?)
    };
    let (a, b) = (&images[0], &images[1]);
    let above = Tensor::f_cat(&[photo, a, b], 2)?;
    let below = Tensor::f_cat(&[apart(a, b)?, apart(a, photo)?, apart(b, photo)?], 2)?;
    Ok(Tensor::f_cat(&[above, below], 1)?)
}

/// Name, PSNR and SSIM of A and B.
type Row = (String, [f64; 2], [f64; 2]);

fn row(a: &ViewScore, b: &ViewScore) -> Row {
    (a.name.clone(), [a.psnr, b.psnr], [a.ssim, b.ssim])
}

/// One line per view, the means last, with how much better B is than A.
fn table(rows: &[Row], counts: [usize; 2]) -> String {
    let wide = rows.iter().map(|r| r.0.chars().count()).max().unwrap_or(0).clamp(4, 60);
    let mut text = format!("{:wide$}  PSNR A       B      B-A   SSIM A       B      B-A", "view");
    for (name, [pa, pb], [sa, sb]) in rows {
        let (dp, ds) = (pb - pa, sb - sa);
        text.push_str(&format!(
            "\n{name:wide$}  {pa:>6.2}  {pb:>6.2}  {dp:>+7.2}   {sa:.4}  {sb:.4}  {ds:>+.4}"
        ));
    }
    text + &format!("\nGaussians: A {}, B {}", counts[0], counts[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_those_of_b_over_a() {
        let rows =
            [("one".into(), [30.0, 31.5], [0.9, 0.85]), ("mean of 1".into(), [30.0, 31.5], [0.9, 0.85])];
        let text = table(&rows, [10, 20]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[1].contains("+1.50") && lines[1].contains("-0.0500"), "{text}");
        assert_eq!(lines[1].len(), lines[2].len());
        assert_eq!(lines[3], "Gaussians: A 10, B 20");
    }

    #[test]
    fn pictures_are_two_rows_of_three() {
        let of = |x: f64| Tensor::full([3, 4, 5], x, (Kind::Float, tch::Device::Cpu));
        assert_eq!(picture(&of(0.5), &[of(0.5), of(0.7)]).unwrap().size(), [3, 8, 15]);
    }
}
