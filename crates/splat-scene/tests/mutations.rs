//! Datasets changed in ways that do not change what they mean, and in one way that does: case, encoding, order, fields that
//! may be missing, fields nobody knows, one broken frame. The result is the same, or a warning names the difference.

mod ring;

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use ring::*;
use serde_json::{Map, Value, json};

/// How the texts of a dataset differ from what its format says.
#[derive(Debug, Clone)]
struct Mutation {
    /// Of the file names.
    capitals: bool,
    encoding: Encoding,
    /// Rotates the order of frames, lines and keys.
    turn: usize,
    /// Leaves out what may be missing.
    sparse: bool,
    /// Adds fields that no program knows.
    extra: bool,
    broken: Option<(usize, &'static str)>,
    comments: bool,
    /// How matrices stand in JSON: in rows, in columns, or as one list.
    layout: Layout,
    /// Commas after the last value, in JSON.
    commas: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Layout {
    Rows,
    Columns,
    List,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Encoding {
    Plain,
    Mark,
    Utf16,
    Latin,
    Windows,
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let encoding = prop::sample::select(vec![
        Encoding::Plain,
        Encoding::Mark,
        Encoding::Utf16,
        Encoding::Latin,
        Encoding::Windows,
    ]);
    let broken =
        prop::option::of((0..CAMERAS, prop::sample::select(vec!["NaN", "-Infinity", "Infinity", "1e200"])));
    let layout = prop::sample::select(vec![Layout::Rows, Layout::Columns, Layout::List]);
    let texts = (any::<bool>(), layout, any::<bool>());
    (any::<bool>(), encoding, 0..CAMERAS, any::<bool>(), any::<bool>(), broken, texts).prop_map(
        |(capitals, encoding, turn, sparse, extra, broken, (comments, layout, commas))| Mutation {
            capitals,
            encoding,
            turn,
            sparse,
            extra,
            broken,
            comments,
            layout,
            commas,
        },
    )
}

impl Mutation {
    fn encode(&self, text: &str) -> Vec<u8> {
        match self.encoding {
            Encoding::Plain => text.into(),
            Encoding::Mark => format!("\u{feff}{text}").into(),
            Encoding::Utf16 => {
                [0xFEFF].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
            }
            // Comments hold the only character beyond ASCII.
            Encoding::Latin => text.chars().map(|c| c as u8).collect(),
            Encoding::Windows => text.replace('\n', "\r\n").into(),
        }
    }

    /// Writes the file, under a name in another case if that is the mutation.
    fn put(&self, folder: &Path, name: &str, text: &str) {
        let name = if self.capitals { name.to_uppercase() } else { name.into() };
        put(folder.join(name), self.encode(text));
    }

    fn transforms(&self, root: &Path) {
        let mut value = transforms();
        if self.sparse {
            // The size is that of the picture, and the principal point its middle.
            ["w", "h", "cx", "cy", "fl_y"].iter().for_each(|key| drop(object(&mut value).remove(*key)));
        }
        if self.extra {
            value["zoom_level"] = json!({"deep": [1, 2, {"er": null}]});
            value["frames"][1]["mood"] = json!("calm");
        }
        if let Some((i, number)) = self.broken {
            value["frames"][i]["transform_matrix"][0][1] = json!(format!("@{number}"));
        }
        for frame in value["frames"].as_array_mut().unwrap() {
            let m: Vec<Vec<Value>> = serde_json::from_value(frame["transform_matrix"].take()).unwrap();
            let columns =
                || (0..4).map(|c| m.iter().map(|row| row[c].clone()).collect()).collect::<Vec<Vec<Value>>>();
            frame["transform_matrix"] = match self.layout {
                Layout::Rows => json!(m),
                Layout::Columns => json!(columns()),
                Layout::List => json!(m.concat()),
            };
        }
        value["frames"].as_array_mut().unwrap().rotate_left(self.turn);
        // Keys in another order.
        let mut entries: Vec<(String, Value)> = object(&mut value).clone().into_iter().collect();
        let n = entries.len();
        entries.rotate_left(self.turn % n);
        let value: Map<String, Value> = entries.into_iter().collect();
        let mut text = serde_json::to_string_pretty(&value).unwrap();
        for number in ["NaN", "-Infinity", "Infinity", "1e200"] {
            text = text.replace(&format!("\"@{number}\""), number);
        }
        if self.commas {
            text = text.replace("\n    }\n", ",\n    },\n").replace("\n      ]\n", ",\n      ],\n");
        }
        if self.comments {
            text = text.replacen('{', "{ // caf\u{e9}\n/* \"frames\": [] */", 1);
        }
        self.put(root, "transforms.json", &text);
        put(root.join("sparse_pc.ply"), ply([0.0; 3]));
        self.photos(root);
    }

    fn photos(&self, root: &Path) {
        photos(&root.join(if self.capitals { "IMAGES" } else { "images" }));
    }

    fn colmap(&self, root: &Path) {
        let [mut cameras, images, mut points] = colmap_text([0.0; 3]);
        let lines: Vec<&str> = images.lines().collect();
        let mut pairs: Vec<String> = lines
            .chunks_exact(2)
            .enumerate()
            .map(|(i, pair)| {
                let mut words: Vec<&str> = pair[0].split(' ').collect();
                if let Some((broken, number)) = self.broken
                    && broken == i
                {
                    words[5] = number;
                }
                let second = if self.sparse && i % 3 == 1 { "" } else { pair[1] };
                let second = if self.sparse && i % 3 == 2 { String::new() } else { format!("{second}\n") };
                format!("{}\n{second}", words.join(" "))
            })
            .collect();
        pairs.rotate_left(self.turn);
        let mut images: String = pairs.concat();
        if self.comments {
            images = format!("# caf\u{e9}\n#\n{images}# the end\n");
            cameras = format!("# Gr\u{f6}\u{df}e\n{cameras}");
            points = format!("# 3D\n{points}");
        }
        if self.extra {
            put(root.join("sparse/0/rigs.txt"), "what\u{fc}ver");
            put(root.join("sparse/0/frames.bin"), b"\xff\xff");
        }
        for (name, text) in TEXT.iter().zip([cameras, images, points]) {
            self.put(&root.join("sparse/0"), name, &text);
        }
        self.photos(root);
    }

    fn check(&self, root: &Path, kind: &str) {
        let d = open(root).unwrap_or_else(|e| panic!("{kind}: {e}"));
        let without: Vec<usize> = self.broken.iter().map(|(i, _)| *i).collect();
        assert_same(&d, &without, [0.0; 3]);
        let mut expected = 0;
        if let Some((i, _)) = self.broken {
            assert_warns(&d, &["1 of 10 frames", &name(i)]);
            expected += 1;
        }
        if self.layout == Layout::Columns && kind == "transforms" {
            assert_warns(&d, &["column by column"]);
            expected += 1;
        }
        if self.capitals {
            assert_warns(&d, &["capitals"]);
            expected += 1;
        }
        if self.extra && kind == "transforms" {
            assert_warns(&d, &["`mood`, `zoom_level`"]);
            expected += 1;
        }
        assert_eq!(d.warnings.len(), expected, "{:?}", d.warnings);
        assert_eq!(strict(root).is_err(), self.broken.is_some());
    }
}

proptest! {
    // A failing case prints its input; no regression files are written beside the tests.
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_result_is_the_same_or_a_warning_names_the_difference(mutation in mutation()) {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("transforms"), dir.path().join("colmap"));
        fs::create_dir_all(&a).unwrap();
        fs::create_dir_all(&b).unwrap();
        mutation.transforms(&a);
        mutation.check(&a, "transforms");
        mutation.colmap(&b);
        mutation.check(&b, "colmap");
    }
}
