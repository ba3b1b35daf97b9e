//! Writing a `.glb`: one attribute after the other, straight from the Gaussians.

use std::path::Path;

use serde_json::{Value, json};

use super::{BIN, EXTENSION, JSON, MAGIC};
use crate::gaussians::axes::Axes;
use crate::gaussians::quantize::{byte, byte_of_logit, scale, unit};
use crate::gaussians::rows::{Rows, each_part};
use crate::{Error, Gaussians, Result, SH_C0, write_atomically};

const FLOAT: u32 = 5126;
const UNSIGNED_BYTE: u32 = 5121;
const ARRAY_BUFFER: u32 = 34962;

/// The most bytes of attributes that are gathered in one pass over the Gaussians.
const GATHERED: usize = 1 << 29;

/// Appends the bytes of a Gaussian of a part.
type Row = Box<dyn Fn(&Gaussians, usize, &mut Vec<u8>)>;

struct Attribute {
    name: String,
    kind: &'static str,
    component: u32,
    /// Bytes per Gaussian, a multiple of four.
    size: usize,
    row: Row,
}

/// Writes a `.glb`, and the sidecar of an origin that is not zero. After a failure there is no partial file.
///
/// # Errors
/// Arrays that disagree in length or contain NaN or infinity; [`Error::Unwritable`] for no Gaussians, which glTF cannot
/// express, and for more than 4 GiB; [`Error::Write`].
pub fn write(path: impl AsRef<Path>, g: &dyn Rows) -> Result<()> {
    let path = path.as_ref();
    g.check()?;
    let refused = |message| Error::Unwritable { path: path.into(), format: "glTF", message };
    if g.is_empty() {
        return Err(refused("there are no Gaussians, and an attribute has at least one value".into()));
    }
    let attributes = attributes(g.coeffs());
    let bytes = g.len() * attributes.iter().map(|a| a.size).sum::<usize>();
    let mut text = serde_json::to_vec(&description(g, &attributes, bytes)?).expect("numbers and text");
    text.resize(text.len().next_multiple_of(4), b' ');
    let total = 28 + text.len() + bytes;
    let length = |n: usize| u32::try_from(n).map(u32::to_le_bytes);
    let (Ok(total), Ok(binary), Ok(json)) = (length(total), length(bytes), length(text.len())) else {
        return Err(refused(format!("it would have {total} bytes, but its sizes end at 4 GiB")));
    };
    write_atomically(path, |out| {
        out.write_all(MAGIC)?;
        for word in [2u32.to_le_bytes(), total, json, JSON.to_le_bytes()] {
            out.write_all(&word)?;
        }
        out.write_all(&text)?;
        out.write_all(&binary)?;
        out.write_all(&BIN.to_le_bytes())?;
        let mut left = &attributes[..];
        while !left.is_empty() {
            let (now, later) = left.split_at(fit(left, g.len()));
            let mut columns: Vec<Vec<u8>> =
                now.iter().map(|a| Vec::with_capacity(a.size * g.len())).collect();
            each_part(g, |part| {
                for (attribute, column) in now.iter().zip(&mut columns) {
                    (0..part.len()).for_each(|i| (attribute.row)(part, i, column));
                }
                Ok::<_, Error>(())
            })?;
            columns.iter().try_for_each(|column| out.write_all(column))?;
            left = later;
        }
        Ok(())
    })?;
    g.origin().write_sidecar(path)
}

/// How many of the first attributes of `count` Gaussians are gathered at once: at least one.
fn fit(attributes: &[Attribute], count: usize) -> usize {
    let mut sum = 0;
    let fitting = attributes.iter().take_while(|a| {
        sum += a.size * count;
        sum <= GATHERED
    });
    fitting.count().max(1)
}

/// An attribute of `width` floats.
fn float(name: String, width: usize, row: Row) -> Attribute {
    let kind = ["SCALAR", "VEC2", "VEC3", "VEC4"][width - 1];
    Attribute { name, kind, component: FLOAT, size: 4 * width, row }
}

fn attributes(coeffs: usize) -> Vec<Attribute> {
    const AXES: Axes = Axes::RUB;
    fn put(out: &mut Vec<u8>, values: impl IntoIterator<Item = f32>) {
        values.into_iter().for_each(|x| out.extend(x.to_le_bytes()));
    }
    fn sh(g: &Gaussians, i: usize, m: usize) -> &[f32] {
        &g.sh[3 * (g.coeffs * i + m)..3 * (g.coeffs * i + m) + 3]
    }
    let own = |name: &str| format!("{EXTENSION}:{name}");
    let position = |g: &Gaussians, i: usize| [0, 1, 2].map(|k| AXES.position[k] * g.means[3 * i + k]);
    let mut all = vec![
        float("POSITION".into(), 3, Box::new(move |g, i, out| put(out, position(g, i)))),
        Attribute {
            name: "COLOR_0".into(),
            kind: "VEC4",
            component: UNSIGNED_BYTE,
            size: 4,
            row: Box::new(move |g, i, out| {
                out.extend(sh(g, i, 0).iter().map(|c| byte(255.0 * linear(0.5 + SH_C0 * c))));
                out.push(byte_of_logit(g.opacity_logits[i]));
            }),
        },
    ];
    let rotation = |g: &Gaussians, i: usize, out: &mut Vec<u8>| {
        let [w, x, y, z] = unit([0, 1, 2, 3].map(|k| g.rotations[4 * i + k]));
        let [a, b, c] = AXES.quaternion;
        put(out, [a * x, b * y, c * z, w]);
    };
    all.push(float(own("ROTATION"), 4, Box::new(rotation)));
    let scales = |g: &Gaussians, i: usize, out: &mut Vec<u8>| {
        put(out, [0, 1, 2].map(|k| scale(g.log_scales[3 * i + k])));
    };
    all.push(float(own("SCALE"), 3, Box::new(scales)));
    let opacity = |g: &Gaussians, i: usize, out: &mut Vec<u8>| {
        put(out, [1.0 / (1.0 + (-g.opacity_logits[i]).exp())]);
    };
    all.push(float(own("OPACITY"), 1, Box::new(opacity)));
    for m in 0..coeffs {
        let (degree, n) = (m.isqrt(), m - m.isqrt().pow(2));
        let sign = if m == 0 { 1.0 } else { AXES.harmonics[m - 1] };
        let row =
            move |g: &Gaussians, i: usize, out: &mut Vec<u8>| put(out, sh(g, i, m).iter().map(|c| sign * c));
        all.push(float(own(&format!("SH_DEGREE_{degree}_COEF_{n}")), 3, Box::new(row)));
    }
    all
}

/// A component of `COLOR_0`, which is linear, from one of sRGB (IEC 61966-2-1).
fn linear(x: f32) -> f32 {
    let x = x.clamp(0.0, 1.0);
    if x <= 0.040_45 { x / 12.92 } else { ((x + 0.055) / 1.055).powf(2.4) }
}

fn description(g: &dyn Rows, attributes: &[Attribute], bytes: usize) -> Result<Value> {
    let (mut views, mut accessors, mut at) = (Vec::new(), Vec::new(), 0);
    for a in attributes {
        let size = a.size * g.len();
        views.push(json!({"buffer": 0, "byteOffset": at, "byteLength": size, "target": ARRAY_BUFFER}));
        at += size;
        let mut accessor = json!({
            "bufferView": accessors.len(), "componentType": a.component, "count": g.len(), "type": a.kind,
        });
        if a.name == "POSITION" {
            let (min, max) = bounds(g)?;
            (accessor["min"], accessor["max"]) = (json!(min), json!(max));
        }
        if a.component == UNSIGNED_BYTE {
            accessor["normalized"] = true.into();
        }
        accessors.push(accessor);
    }
    let names: serde_json::Map<_, _> =
        attributes.iter().zip(0..).map(|(a, i): (&Attribute, usize)| (a.name.clone(), i.into())).collect();
    let splats = json!({
        "kernel": "ellipse", "colorSpace": "srgb_rec709_display",
        "projection": "perspective", "sortingMethod": "cameraDistance",
    });
    Ok(json!({
        "asset": {"version": "2.0", "generator": concat!("Splatwright ", env!("CARGO_PKG_VERSION"))},
        "extensionsUsed": [EXTENSION],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"mode": 0, "attributes": names, "extensions": {EXTENSION: splats}}]}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": bytes}],
    }))
}

/// The smallest and largest positions in the axes of glTF.
fn bounds(g: &dyn Rows) -> Result<([f32; 3], [f32; 3])> {
    let signs = Axes::RUB.position;
    let (mut min, mut max) = ([f32::INFINITY; 3], [f32::NEG_INFINITY; 3]);
    each_part(g, |part| {
        for (i, x) in part.means.iter().enumerate() {
            let k = i % 3;
            (min[k], max[k]) = (min[k].min(signs[k] * x), max[k].max(signs[k] * x));
        }
        Ok::<_, Error>(())
    })?;
    Ok((min, max))
}
