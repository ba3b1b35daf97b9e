//! PLY files put together by hand, for tests: any elements, properties, encodings and comments.
#![allow(dead_code, reason = "each test file takes what it needs")]

use splat_scene::Gaussians;

#[derive(Clone)]
pub(crate) enum Values {
    /// Numbers of one type.
    Numbers(&'static str, Vec<f64>),
    /// The types of count and items, and the lists.
    Lists(&'static str, &'static str, Vec<Vec<f64>>),
}

#[derive(Clone)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) rows: usize,
    pub(crate) columns: Vec<(String, Values)>,
}

#[derive(Clone)]
pub(crate) struct PlyFile {
    /// `ascii`, `binary_little_endian` or `binary_big_endian`.
    pub(crate) format: &'static str,
    pub(crate) line_end: &'static str,
    /// Lines of the header after the format.
    pub(crate) comments: Vec<Vec<u8>>,
    pub(crate) elements: Vec<Element>,
}

impl PlyFile {
    /// `g` in the 3DGS layout, with local positions.
    pub(crate) fn of(g: &Gaussians) -> Self {
        let per_channel = g.coeffs - 1;
        let rows = g.len();
        let mut columns: Vec<(String, Values)> = Vec::new();
        let mut column = |name: String, value: &dyn Fn(usize) -> f32| {
            let values = (0..rows).map(|i| f64::from(value(i))).collect();
            columns.push((name, Values::Numbers("float", values)));
        };
        for (k, name) in ["x", "y", "z"].into_iter().enumerate() {
            column(name.into(), &|i| g.means[3 * i + k]);
        }
        (0..3).for_each(|c| column(format!("f_dc_{c}"), &|i| g.sh[3 * g.coeffs * i + c]));
        for c in 0..3 {
            for m in 0..per_channel {
                let name = format!("f_rest_{}", c * per_channel + m);
                column(name, &|i| g.sh[3 * (g.coeffs * i + m + 1) + c]);
            }
        }
        column("opacity".into(), &|i| g.opacity_logits[i]);
        (0..3).for_each(|k| column(format!("scale_{k}"), &|i| g.log_scales[3 * i + k]));
        (0..4).for_each(|k| column(format!("rot_{k}"), &|i| g.rotations[4 * i + k]));
        Self {
            format: "binary_little_endian",
            line_end: "\n",
            comments: Vec::new(),
            elements: vec![Element { name: "vertex".into(), rows, columns }],
        }
    }

    pub(crate) fn vertex(&mut self) -> &mut Element {
        self.elements.iter_mut().find(|e| e.name == "vertex").unwrap()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let end = self.line_end;
        let mut out = format!("ply{end}format {} 1.0{end}", self.format).into_bytes();
        for comment in &self.comments {
            out.extend(comment);
            out.extend(end.bytes());
        }
        for element in &self.elements {
            out.extend(format!("element {} {}{end}", element.name, element.rows).bytes());
            for (name, values) in &element.columns {
                let kind = match values {
                    Values::Numbers(kind, _) => (*kind).to_owned(),
                    Values::Lists(count, item, _) => format!("list {count} {item}"),
                };
                out.extend(format!("property {kind} {name}{end}").bytes());
            }
        }
        out.extend(format!("end_header{end}").bytes());
        for element in &self.elements {
            for row in 0..element.rows {
                for (_, values) in &element.columns {
                    match values {
                        Values::Numbers(kind, values) => self.put(&mut out, kind, values[row]),
                        Values::Lists(count, item, lists) => {
                            self.put(&mut out, count, lists[row].len() as f64);
                            lists[row].iter().for_each(|&x| self.put(&mut out, item, x));
                        }
                    }
                }
                if self.format == "ascii" {
                    out.extend(end.bytes());
                }
            }
        }
        out
    }

    fn put(&self, out: &mut Vec<u8>, kind: &str, x: f64) {
        if self.format == "ascii" {
            let text = if kind == "float" { (x as f32).to_string() } else { x.to_string() };
            out.extend(format!("{text} ").bytes());
            return;
        }
        let mut bytes = match kind {
            "char" | "int8" => (x as i8).to_le_bytes().to_vec(),
            "uchar" | "uint8" => (x as u8).to_le_bytes().to_vec(),
            "short" | "int16" => (x as i16).to_le_bytes().to_vec(),
            "ushort" | "uint16" => (x as u16).to_le_bytes().to_vec(),
            "int" | "int32" => (x as i32).to_le_bytes().to_vec(),
            "uint" | "uint32" => (x as u32).to_le_bytes().to_vec(),
            "float" | "float32" => (x as f32).to_le_bytes().to_vec(),
            _ => x.to_le_bytes().to_vec(),
        };
        if self.format == "binary_big_endian" {
            bytes.reverse();
        }
        out.extend(bytes);
    }
}
