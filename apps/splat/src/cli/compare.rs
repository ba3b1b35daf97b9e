//! `splat compare`: two scenes against the same photographs, view by view, in figures and pictures.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;
use splat_scene::View;
use splat_tch::render;
use splat_train::metrics::{Evaluator, Scores, Truth, ViewScore};
use tch::{Kind, Tensor};

use super::bar::Bar;
use super::events::EventArgs;
use super::scene::Scene;
use super::scored::{self, ScoredArgs};
use super::{common, say};
use crate::report;

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
    /// Folder for a picture of each view; created if it does not exist
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    #[command(flatten)]
    events: EventArgs,
    #[command(flatten)]
    scored: ScoredArgs,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let dataset = args.scored.dataset.open(&args.data)?;
    let chosen = args.scored.split.of(&dataset, &args.data)?;
    let views: Vec<View> = chosen.iter().map(|&i| dataset.views[i].clone()).collect();
    let open = |path| Scene::open(path, &args.scored.look, Some(dataset.origin));
    let scenes = [open(&args.a)?, open(&args.b)?];
    let _lock = args.scored.output(args.output.as_ref())?;
    let first = &scenes[0];
    let pictures = scored::photographs(&views);
    let cameras = scored::cameras(&views, first.backend.device())?;
    let files = report::file_names(views.iter().map(|view| view.name.as_str()));
    let pngs = report::PngPool::new(common::png_threads())?;
    let mut bar = Bar::new(views.len() as u64, args.scored.quiet).telling(args.events, "compare");
    let evaluator = Evaluator::default();
    let mut scores = [Scores::default(), Scores::default()];
    let _guard = tch::no_grad_guard();
    for (i, ((view, camera), file)) in views.iter().zip(&cameras).zip(files).enumerate() {
        let truth = Truth::new(&*pictures.get(i)?, first.background, &first.backend)?;
        let mut images = Vec::with_capacity(2);
        for (scene, scores) in scenes.iter().zip(&mut scores) {
            let image = render(&scene.frozen.scene(), camera, &scene.settings)?.color;
            match evaluator.compare(&view.name, &image, &truth)? {
                Some(score) => scores.views.push(score),
                None => scores.skipped.push(view.name.clone()),
            }
            images.push(image.f_clamp(0.0, 1.0)?);
        }
        bar.show(i as u64 + 1, &[&view.name]);
        if let Some(folder) = &args.output {
            pngs.push_image(folder.join(format!("{file}.png")), &picture(&truth.photo, &images)?)?;
        }
    }
    bar.clear();
    pngs.finish()?;
    // Both leave out the same views.
    scored::warn_of_skipped(&scores[0]);
    let [a, b] = [scored::mean(&scores[0], &args.data)?, scored::mean(&scores[1], &args.data)?];
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
