//! First points of real photographs: near the structure-from-motion points that were kept from the search,
//! and within the silhouettes of views that were held out.
#![expect(clippy::print_stdout, reason = "a test says on stdout what it measured")]

use std::num::NonZero;

use kiddo::{ImmutableKdTree, SquaredEuclidean};
use splat_init::{Init, Method, PointSource, first_points};
use splat_scene::{Dataset, OpenOptions, Photo, View};

/// A dataset reduced to 1/`downscale`, whose held-out photographs cannot be read, and those; None where it
/// is absent.
fn open(name: &str, downscale: u32) -> Option<(Dataset, Vec<(View, Photo)>)> {
    let folder = splat_testdata::shared(name)?;
    let options = OpenOptions { downscale: Some(downscale), ..OpenOptions::default() };
    let mut dataset = Dataset::open(&folder, &options).expect("a dataset");
    let load = |&i: &usize| (dataset.views[i].clone(), dataset.views[i].load().expect("a photograph").photo);
    let held_out = dataset.test.iter().map(load).collect();
    for &i in &dataset.test {
        dataset.views[i].path = "held out".into();
    }
    Some((dataset, held_out))
}

/// Distance of the nearest of `to` from each of `from`, sorted.
fn nearest(from: &[[f32; 3]], to: &[[f32; 3]]) -> Vec<f32> {
    let tree: ImmutableKdTree<f32, 3> = ImmutableKdTree::new_from_slice(to).expect("finite points");
    let one = NonZero::new(1).expect("1");
    let distance = |p: &[f32; 3]| tree.query(p).nearest_n::<SquaredEuclidean<f32>>(one).execute()[0].distance;
    let mut all: Vec<f32> = from.iter().map(distance).map(f32::sqrt).collect();
    all.sort_by(f32::total_cmp);
    all
}

#[test]
fn photographs_alone_give_the_points_that_colmap_found() {
    let Some((mut dataset, _)) = open("fox-colmap", 8) else { return };
    let truth: Vec<[f32; 3]> = dataset.points.drain(..).map(|p| p.position).collect();
    let start = first_points(&dataset, &Init { count: 20_000, ..Init::default() }).expect("points");
    assert_eq!((start.method, &start.warnings), (Method::Sweep, &Vec::new()));
    let found: Vec<[f32; 3]> = start.points.iter().map(|p| p.position).collect();
    let sure = &found[..found.len() - start.guessed];
    let extent = dataset.scene_extent as f32;
    let (there, back) = (nearest(&truth, &found), nearest(sure, &truth));
    let share = |d: &[f32], q: f32| d[(q * d.len() as f32) as usize] / extent;
    println!("{} points, {} of them guesses, {:?}", found.len(), start.guessed, start.took);
    println!(
        "from COLMAP's: {:.4} {:.4}; to COLMAP's: {:.4} {:.4}",
        share(&there, 0.5),
        share(&there, 0.9),
        share(&back, 0.5),
        share(&back, 0.9)
    );
    assert!(share(&there, 0.5) < 0.02 && share(&there, 0.9) < 0.06);
    assert!(share(&back, 0.5) < 0.03 && share(&back, 0.9) < 0.12);
}

#[test]
fn renders_with_alpha_give_points_within_held_out_silhouettes() {
    let Some((dataset, held_out)) = open("facelift-head", 4) else { return };
    assert!(dataset.points.is_empty());
    for source in [PointSource::Auto, PointSource::Hull] {
        let start = first_points(&dataset, &Init { source, count: 10_000, seed: 1 }).expect("points");
        let method = if source == PointSource::Hull { Method::Hull } else { Method::SweepInHull };
        assert_eq!((start.method, &start.warnings), (method, &Vec::new()));
        let (mut inside, mut seen) = (0, 0);
        for (view, photo) in &held_out {
            let p = &view.camera.proj;
            let [w, h] = [photo.width, photo.height].map(|x| x as f32);
            for point in &start.points {
                let [x, y, z] = point.position;
                let row = |r: usize| p[r] * x + p[4 + r] * y + p[8 + r] * z + p[12 + r];
                let at = [(row(0) / row(3) + 1.0) * 0.5 * w, (row(1) / row(3) + 1.0) * 0.5 * h];
                if row(3) > 0.0 && at[0] >= 1.0 && at[1] >= 1.0 && at[0] < w - 1.0 && at[1] < h - 1.0 {
                    seen += 1;
                    // Pixels are as wide as some of the object's parts: one beside counts.
                    let beside = |k: usize| {
                        let (x, y) = (at[0] as usize + k % 3 - 1, at[1] as usize + k / 3 - 1);
                        photo.pixels[4 * (y * w as usize + x) + 3] >= 128
                    };
                    inside += usize::from((0..9).any(beside));
                }
            }
        }
        println!("{source:?}: {} points, {inside} of {seen} inside, {:?}", start.points.len(), start.took);
        assert!(start.points.len() > 2000 && inside * 100 > seen * 95, "{source:?}: {inside} of {seen}");
    }
}
