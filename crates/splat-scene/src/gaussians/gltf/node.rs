//! Where the nodes of a scene place primitives.

use super::super::transform::quaternion;
use super::document::{Document, Node, Primitive};
use super::{File, malformed};
use crate::{Result, Similarity};

/// How far the columns of a matrix may differ in length and from right angles, relative to their length.
const STRAIGHT: f64 = 1e-4;

/// The primitives of Gaussians, with their transforms unless these change nothing; of the main scene, or of all meshes if
/// there is none.
pub(super) fn placed<'a>(file: &'a File<'_>) -> Result<Vec<(&'a Primitive, Option<Similarity>)>> {
    let Document { scenes, nodes, meshes, .. } = &file.document;
    let of = |mesh: usize| {
        let primitives = meshes.get(mesh).map(|m| m.primitives.as_slice()).unwrap_or_default();
        primitives.iter().filter(|p| p.extensions.splats.is_some())
    };
    let Some(scene) = scenes.get(file.document.scene.unwrap_or(0)) else {
        return Ok((0..meshes.len()).flat_map(of).map(|p| (p, None)).collect());
    };
    let mut found = Vec::new();
    let mut open: Vec<(usize, Similarity)> =
        scene.nodes.iter().map(|&n| (n, Similarity::default())).collect();
    let mut visited = 0;
    while let Some((index, parent)) = open.pop() {
        // Nodes are trees; more visits than nodes are a circle.
        visited += 1;
        let node = nodes.get(index).filter(|_| visited <= nodes.len());
        let node = node.ok_or_else(|| {
            malformed(file.path, format!("node {index} does not exist, or nodes contain each other"))
        })?;
        // Only what is above Gaussians must be a similarity.
        let whole = match own(node) {
            Ok(own) => own.then(&parent),
            Err(_) if node.children.is_empty() && node.mesh.is_none_or(|m| of(m).next().is_none()) => {
                continue;
            }
            Err(why) => return Err(malformed(file.path, format!("node {index} {why}"))),
        };
        let changes = (whole != Similarity::default()).then_some(whole);
        found.extend(node.mesh.into_iter().flat_map(of).map(|p| (p, changes)));
        open.extend(node.children.iter().map(|&child| (child, whole)));
    }
    Ok(found)
}

/// The transform of a node within its parent, or what it does that no similarity does.
fn own(node: &Node) -> Result<Similarity, String> {
    let Some(m) = node.matrix else {
        let [x, y, z] = node.scale.unwrap_or([1.0; 3]);
        if x <= 0.0 || (y - x).abs() > STRAIGHT * x || (z - x).abs() > STRAIGHT * x {
            return Err(format!("scales by {x}, {y}, {z}: mirrored or stretched Gaussians are not read"));
        }
        let [i, j, k, w] = node.rotation.unwrap_or([0.0, 0.0, 0.0, 1.0]);
        if !(w * w + i * i + j * j + k * k).is_normal() {
            return Err("has a rotation without length".into());
        }
        let translation = node.translation.unwrap_or_default();
        return Ok(Similarity { rotation: [w, i, j, k], scale: x, translation });
    };
    let column = |k: usize| [m[4 * k], m[4 * k + 1], m[4 * k + 2]];
    let dot = |a: [f64; 3], b: [f64; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    let (a, b, c) = (column(0), column(1), column(2));
    let scale = dot(a, a).sqrt();
    let volume = dot([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]], c);
    // Among columns of at most this length, only right angles reach this volume.
    let longest = dot(b, b).max(dot(c, c)).sqrt();
    if !scale.is_normal() || longest > scale * (1.0 + STRAIGHT) || volume < scale.powi(3) * (1.0 - STRAIGHT) {
        return Err("has a matrix that mirrors, stretches or shears, which is not read".into());
    }
    let rotation =
        quaternion(&std::array::from_fn(|row| std::array::from_fn(|col| m[4 * col + row] / scale)));
    Ok(Similarity { rotation, scale, translation: [m[12], m[13], m[14]] })
}
