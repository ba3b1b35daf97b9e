//! glTF beyond what is written: nodes, integer attributes, buffers beside a `.gltf`; and how scenes turn.

mod common;

use common::{Tolerance, assert_near, scene};
use serde_json::{Value, json};
use splat_core::{Color, sh_basis};
use splat_scene::{Gaussians, Similarity, gltf};

/// The description and the buffer of a scene.
fn parts(g: &Gaussians) -> (Value, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.glb");
    g.write(&path).unwrap();
    let glb = std::fs::read(path).unwrap();
    let size = u32::from_le_bytes(glb[12..16].try_into().unwrap()) as usize;
    (serde_json::from_slice(&glb[20..20 + size]).unwrap(), glb[28 + size..].to_vec())
}

/// Writes a `.gltf` with its buffer beside it, and reads it.
fn read(mut document: Value, buffer: &[u8]) -> splat_scene::Result<Gaussians> {
    let dir = tempfile::tempdir().unwrap();
    document["buffers"] = json!([{"uri": "a.bin", "byteLength": buffer.len()}]);
    std::fs::write(dir.path().join("a.bin"), buffer).unwrap();
    std::fs::write(dir.path().join("a.gltf"), document.to_string()).unwrap();
    Gaussians::read(dir.path().join("a.gltf"))
}

#[test]
fn a_gltf_with_its_buffer_beside_it_is_read() {
    let g = scene(50, 9);
    let (document, buffer) = parts(&g);
    assert_near("gltf", &g, &read(document.clone(), &buffer).unwrap(), Tolerance::EXACT);
    let e = read(document, &buffer[..buffer.len() - 8]).unwrap_err().to_string();
    assert!(e.contains("leave their buffer"), "{e}");
}

/// What is stored: the axes, activations and order of components that the extension asks for.
#[test]
fn the_file_has_the_units_of_the_extension() {
    let g = Gaussians {
        means: vec![1.0, 2.0, 3.0],
        sh: (0..12).map(|k| 0.1 * k as f32).collect(),
        coeffs: 4,
        opacity_logits: vec![0.0],
        log_scales: vec![0.0, 2.0f32.ln(), -1.0],
        rotations: vec![0.5, -0.5, 0.5, 0.5],
        ..Gaussians::default()
    };
    let (document, buffer) = parts(&g);
    let primitive = &document["meshes"][0]["primitives"][0];
    let floats = |name: &str| -> Vec<f32> {
        let accessor = &document["accessors"][primitive["attributes"][name].as_u64().unwrap() as usize];
        let view = &document["bufferViews"][accessor["bufferView"].as_u64().unwrap() as usize];
        let [at, size] = ["byteOffset", "byteLength"].map(|k| view[k].as_u64().unwrap() as usize);
        let words = buffer[at..at + size].chunks_exact(4);
        words.map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    };
    let own = |name: &str| floats(&format!("KHR_gaussian_splatting:{name}"));
    assert_eq!(floats("POSITION"), [1.0, -2.0, -3.0], "y is up, z is back");
    assert_eq!(own("ROTATION"), [-0.5, -0.5, -0.5, 0.5], "x, y, z, w");
    assert_eq!(own("OPACITY"), [0.5]);
    assert_eq!(own("SCALE"), [1.0, 2.0, (-1.0f32).exp()]);
    assert_eq!(own("SH_DEGREE_0_COEF_0"), g.sh[..3]);
    // -y, z, -x: the first two change sign with their axes.
    assert_eq!(own("SH_DEGREE_1_COEF_0"), [3, 4, 5].map(|k| -g.sh[k]));
    assert_eq!(own("SH_DEGREE_1_COEF_1"), [6, 7, 8].map(|k| -g.sh[k]));
    assert_eq!(own("SH_DEGREE_1_COEF_2"), g.sh[9..]);
    let accessor = &document["accessors"][0];
    assert_eq!((&accessor["min"], &accessor["max"]), (&json!([1.0, -2.0, -3.0]), &json!([1.0, -2.0, -3.0])));
    let splats = &primitive["extensions"]["KHR_gaussian_splatting"];
    assert_eq!(
        (&splats["kernel"], &splats["colorSpace"]),
        (&json!("ellipse"), &json!("srgb_rec709_display"))
    );
    assert_eq!(
        (&primitive["mode"], &document["extensionsUsed"]),
        (&json!(0), &json!(["KHR_gaussian_splatting"]))
    );
}

/// Nodes in nodes, as turn, size and shift or as a matrix; one mesh twice.
#[test]
fn nodes_move_what_they_hold() {
    let g = scene(30, 16);
    let (mut document, buffer) = parts(&g);
    let half = std::f64::consts::FRAC_1_SQRT_2;
    document["scenes"] = json!([{"nodes": [0, 3]}]);
    document["nodes"] = json!([
        {"children": [1], "translation": [1, 2, 3], "rotation": [half, 0, 0, half], "scale": [2, 2, 2]},
        {"children": [2], "matrix": [0, 1, 0, 0, -1, 0, 0, 0, 0, 0, 1, 0, 5, 0, 0, 1]},
        {"mesh": 0},
        // What holds no Gaussians may be stretched.
        {"scale": [1, 2, 3]},
    ]);
    let moved = read(document.clone(), &buffer).unwrap();
    // In the axes of glTF: a quarter about z and 5 along x, then a quarter about x, twice as large, and shifted. Turned to
    // the axes of a PLY: the turn about z changes its sense, as y and z change theirs.
    let inner = Similarity { rotation: [half, 0.0, 0.0, -half], scale: 1.0, translation: [5.0, 0.0, 0.0] };
    let outer = Similarity { rotation: [half, half, 0.0, 0.0], scale: 2.0, translation: [1.0, -2.0, -3.0] };
    let mut expected = g.clone();
    expected.transform(&inner);
    expected.transform(&outer);
    let loose = Tolerance { mean: (1e-4, 1e-5), sh: [1e-5; 3], ..Tolerance::EXACT };
    assert_near("nodes", &expected, &moved, loose);
    let mut at_once = g.clone();
    at_once.transform(&inner.then(&outer));
    assert_near("one transform", &expected, &at_once, loose);

    // Far from the world's origin, as tiles of maps are: nothing is rounded away.
    document["nodes"] = json!([{"mesh": 0, "translation": [448_271.25, 185.0, -4_582_033.5]}]);
    document["scenes"] = json!([{"nodes": [0]}]);
    let far = read(document.clone(), &buffer).unwrap();
    assert!(!far.origin.is_zero());
    for (m, x) in g.means.chunks_exact(3).zip(far.world_means()) {
        let expected = [f64::from(m[0]) + 448_271.25, f64::from(m[1]) - 185.0, f64::from(m[2]) + 4_582_033.5];
        assert!((0..3).all(|k| (x[k] - expected[k]).abs() < 1e-3), "{x:?} {expected:?}");
    }

    document["nodes"] = json!([{"mesh": 0}, {"mesh": 0, "translation": [1, 0, 0]}]);
    document["scenes"] = json!([{"nodes": [0, 1]}]);
    let both = read(document, &buffer).unwrap();
    assert_eq!(both.len(), 60);
}

/// Bytes and shorts, normalised and spread out, as quantizing exporters write them.
#[test]
fn integers_are_read() {
    let g = scene(2, 1);
    let (mut document, mut buffer) = parts(&g);
    let mut add =
        |name: &str, component: u32, kind: &str, normalized: bool, stride: Option<u32>, bytes: &[u8]| {
            buffer.resize(buffer.len().next_multiple_of(4), 0);
            let mut view = json!({"buffer": 0, "byteOffset": buffer.len(), "byteLength": bytes.len()});
            stride.into_iter().for_each(|s| view["byteStride"] = s.into());
            buffer.extend(bytes);
            let views = document["bufferViews"].as_array_mut().unwrap();
            views.push(view);
            let accessor = json!({
                "bufferView": views.len() - 1, "componentType": component, "count": 2, "type": kind,
                "normalized": normalized,
            });
            let accessors = document["accessors"].as_array_mut().unwrap();
            accessors.push(accessor);
            let index = accessors.len() - 1;
            document["meshes"][0]["primitives"][0]["attributes"][format!("KHR_gaussian_splatting:{name}")] =
                index.into();
        };
    add("OPACITY", 5121, "SCALAR", true, Some(4), &[0, 9, 9, 9, 51]);
    add("ROTATION", 5120, "VEC4", true, None, &[0, 0, 0, 127, 0x81, 0, 0, 0]);
    add("SCALE", 5122, "VEC3", false, Some(8), &[1, 0, 2, 0, 3, 0, 9, 9, 4, 0, 5, 0, 0, 1]);
    let back = read(document, &buffer).unwrap();
    let opacity = back.opacity_logits.iter().map(|&x| common::sigmoid(x)).collect::<Vec<_>>();
    assert!(opacity[0] < 1e-6 && (opacity[1] - 0.2).abs() < 1e-6, "{opacity:?}");
    assert_eq!(back.rotations[..4], [1.0, 0.0, -0.0, -0.0]);
    assert_eq!(back.rotations[5], -1.0, "-128 and -127 are both -1");
    let scales: Vec<f32> = back.log_scales.iter().map(|x| x.exp().round()).collect();
    assert_eq!(scales, [1.0, 2.0, 3.0, 4.0, 5.0, 256.0]);
}

/// Colour spaces and kernels of other extensions are said.
#[test]
fn other_kinds_are_said() {
    let (mut document, buffer) = parts(&scene(3, 1));
    let splats = &mut document["meshes"][0]["primitives"][0]["extensions"]["KHR_gaussian_splatting"];
    splats["colorSpace"] = "lin_rec709_display".into();
    splats["kernel"] = "disc".into();
    let dir = tempfile::tempdir().unwrap();
    document["buffers"][0]["uri"] = "a.bin".into();
    std::fs::write(dir.path().join("a.bin"), buffer).unwrap();
    std::fs::write(dir.path().join("a.gltf"), document.to_string()).unwrap();
    let said = Gaussians::load(dir.path().join("a.gltf")).unwrap().warnings;
    assert!(said[0].contains("\"disc\"") && said[1].contains("lin_rec709_display"), "{said:?}");
    assert!(gltf::parse(&dir.path().join("a.gltf"), b"{").is_err());
    let e = scene(0, 1).write(dir.path().join("b.glb")).unwrap_err().to_string();
    assert!(e.contains("at least one value"), "{e}");
}

/// Colours turn with the scene: what a camera sees in a direction, it sees in the turned direction of the turned scene.
#[test]
fn harmonics_turn_with_the_scene() {
    let g = scene(20, 16);
    let turn = Similarity { rotation: [0.3, -0.5, 0.7, 0.2], scale: 3.0, translation: [1.0, 2.0, 3.0] };
    let mut turned = g.clone();
    turned.transform(&turn);
    let matrix = turn.matrix();
    let activated = (g.activated(), turned.activated());
    assert!(matches!(activated.1.scene().color, Color::Sh { coeffs: 16, .. }));
    let mut rng = common::Rng(3);
    for i in 0..g.len() {
        let v: [f64; 3] = std::array::from_fn(|_| f64::from(rng.next()) - 0.5);
        let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        let before = v.map(|x| x / norm);
        let after = matrix.map(|row| (0..3).map(|k| row[k] * before[k]).sum());
        for c in 0..3 {
            let color = |g: &Gaussians, d: [f64; 3]| -> f64 {
                sh_basis(3, d).iter().enumerate().map(|(m, y)| y * f64::from(g.sh[48 * i + 3 * m + c])).sum()
            };
            let (a, b) = (color(&g, before), color(&turned, after));
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
        // The ellipsoid's axes turn too: row k of the scale's frame.
        let axis = |g: &Gaussians, k: usize| {
            let q: [f64; 4] = std::array::from_fn(|n| f64::from(g.rotations[4 * i + n]));
            let m = Similarity { rotation: q, ..Similarity::default() }.matrix();
            [m[0][k], m[1][k], m[2][k]]
        };
        for k in 0..3 {
            let expected = matrix.map(|row| (0..3).map(|n| row[n] * axis(&g, k)[n]).sum::<f64>());
            let found = axis(&turned, k);
            assert!((0..3).all(|n| (expected[n] - found[n]).abs() < 1e-5), "{expected:?} {found:?}");
            let grown = turned.log_scales[3 * i + k] - g.log_scales[3 * i + k];
            assert!((grown - 3.0f32.ln()).abs() < 1e-5);
        }
        let moved = turn.apply([0, 1, 2].map(|k| f64::from(g.means[3 * i + k])));
        assert!((0..3).all(|k| (moved[k] - f64::from(turned.means[3 * i + k])).abs() < 1e-3));
    }
    // There and back; and the shortest turns.
    let [w, x, y, z] = turn.rotation;
    let back = Similarity { rotation: [w, -x, -y, -z], ..Similarity::default() };
    let mut again = turned;
    again.transform(&Similarity { translation: [-1.0, -2.0, -3.0], ..Similarity::default() });
    again.transform(&back);
    again.transform(&Similarity { scale: 1.0 / 3.0, ..Similarity::default() });
    assert_near("back", &g, &again, Tolerance { mean: (1e-4, 1e-5), sh: [1e-5; 3], ..Tolerance::EXACT });
    for to in [[0.0, 1.0, 0.0], [0.0, -2.0, 0.0], [1.0, 0.0, 0.0], [0.3, 0.4, -0.1]] {
        let at = Similarity::turning([0.0, -3.0, 0.0], to).apply([0.0, -1.0, 0.0]);
        let norm = to.iter().map(|x| x * x).sum::<f64>().sqrt();
        assert!((0..3).all(|k| (at[k] - to[k] / norm).abs() < 1e-9), "{at:?} {to:?}");
    }
}
