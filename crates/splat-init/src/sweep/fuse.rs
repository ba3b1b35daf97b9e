//! Fuses depth maps into points. A depth is kept if the depth maps of other views agree with it and no view sees through it;
//! what several views agree on becomes one point.

use rayon::prelude::*;

use super::super::eye::Eye;
use super::depth::Depths;
use crate::linear::{Vec3, along};

/// A cell with a higher cost is kept only if nothing contradicts it, and it contradicts nothing.
pub(crate) const CONVINCING: f32 = 0.55;
/// A cell needs at least this texture (standard deviation of colour) to become a point.
const TEXTURE: f32 = 0.012;
/// Two views agree if the other view's surface reprojects to at most this many pixels from the cell, and depths differ by at
/// most this fraction.
const PIXELS: f64 = 1.5;
const DEPTH: f64 = 0.02;
/// A point is seen through if it is nearer than another view's surface by this fraction.
const THROUGH: f64 = 0.06;

/// The points, and which cells they explain.
#[derive(Debug)]
pub(crate) struct Fused {
    /// World positions and colours, 0 to 1.
    pub(crate) points: Vec<(Vec3, [f32; 3])>,
    /// For each view and cell, whether other views agree on its depth.
    pub(crate) agreed: Vec<Vec<bool>>,
}

/// What the other views tell about a point.
#[derive(Debug, Default)]
struct Witness {
    agree: Vec<(u32, u32)>,
    mean: Vec3,
    through: usize,
}

/// `checked` lists for each view the others to compare with, `least` is how many of them must agree.
pub(crate) fn fuse(eyes: &[Eye], maps: &[Depths], checked: &[Vec<usize>], least: usize) -> Fused {
    let heard: Vec<Vec<Option<Witness>>> = (0..eyes.len())
        .into_par_iter()
        .map(|i| {
            let judged = |cell: usize| {
                let map = &maps[i];
                if map.costs[cell] > CONVINCING || map.texture[cell] < TEXTURE {
                    return None;
                }
                let w = ask(eyes, maps, &checked[i], i, cell);
                (w.agree.len() >= least && w.through * 2 < w.agree.len()).then_some(w)
            };
            (0..maps[i].costs.len()).map(judged).collect()
        })
        .collect();
    let agreed = heard.iter().map(|cells| cells.iter().map(Option::is_some).collect()).collect();
    let mut used: Vec<Vec<bool>> = maps.iter().map(|m| vec![false; m.costs.len()]).collect();
    let mut points = Vec::new();
    for (i, cells) in heard.iter().enumerate() {
        for (cell, witness) in cells.iter().enumerate() {
            let Some(witness) = witness else { continue };
            if used[i][cell] {
                continue;
            }
            for &(j, other) in &witness.agree {
                used[j as usize][other as usize] = true;
            }
            let pixel = eyes[i].pixel(maps[i].pixel(cell).map(f64::from));
            points.push((witness.mean, eyes[i].color(pixel)));
        }
    }
    Fused { points, agreed }
}

fn ask(eyes: &[Eye], maps: &[Depths], checked: &[usize], i: usize, cell: usize) -> Witness {
    let at = maps[i].pixel(cell).map(f64::from);
    let depth = 1.0 / f64::from(maps[i].planes[cell].inverse);
    let point = eyes[i].unproject(at, depth);
    let mut witness = Witness { mean: point, ..Witness::default() };
    for &j in checked {
        let Some((there, z)) = eyes[j].project(point) else { continue };
        let other = maps[j].cell(there);
        if maps[j].costs[other] > CONVINCING {
            continue;
        }
        let inverse = maps[j].inverse(other, there);
        if inverse <= 0.0 {
            continue;
        }
        if z * inverse < 1.0 - THROUGH {
            witness.through += 1;
            continue;
        }
        let back = eyes[j].unproject(there, 1.0 / inverse);
        let Some((again, its)) = eyes[i].project(back) else { continue };
        let off = (again[0] - at[0]).hypot(again[1] - at[1]);
        if off <= PIXELS && (its / depth - 1.0).abs() <= DEPTH {
            witness.agree.push((j as u32, other as u32));
            witness.mean = along(witness.mean, back, 1.0);
        }
    }
    let n = 1.0 + witness.agree.len() as f64;
    witness.mean = witness.mean.map(|x| x / n);
    witness
}

/// How many views have their surface at a point, and how many see through it.
pub(crate) fn support(eyes: &[Eye], maps: &[Depths], agreed: &[Vec<bool>], point: Vec3) -> (usize, usize) {
    let (mut there, mut through) = (0, 0);
    for (j, eye) in eyes.iter().enumerate() {
        let Some((at, z)) = eye.project(point) else { continue };
        let cell = maps[j].cell(at);
        if !agreed[j][cell] {
            continue;
        }
        let ratio = z * maps[j].inverse(cell, at);
        if ratio < 1.0 - THROUGH {
            through += 1;
        } else if ratio < 1.0 + THROUGH {
            there += 1;
        }
    }
    (there, through)
}
