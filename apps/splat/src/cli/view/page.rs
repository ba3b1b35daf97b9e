//! The page of the viewer in one file, which opens from disk: page, libraries with their licences, and the scene as SOG, all
//! inside. A policy in the page forbids it to fetch anything.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use base64::engine::general_purpose::STANDARD;
use base64::write::EncoderWriter;
use flate2::{Compression, write::GzEncoder};
use serde_json::Value;
use splat_scene::{Gaussians, Rows, WriteProgress, sog, write_atomically};

use super::{LIBRARIES, PAGE, View, framing, require_libraries};
use crate::cli::scene::TrainedArgs;
use crate::trajectory::Framing;

const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' blob:; worker-src blob:; \
    style-src 'unsafe-inline'; img-src data: blob:; connect-src data: blob:; base-uri 'none'; form-action 'none'";

/// Modules cannot be imported from beside a file on disk: each becomes a blob, found through an import map.
const BOOT: &str = r#"
(async () => {
  const imports = {};
  for (const element of document.querySelectorAll("script[data-names]")) {
    const bytes = Uint8Array.from(atob(element.textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const code = new Blob([await new Response(stream).arrayBuffer()], { type: "text/javascript" });
    const url = URL.createObjectURL(code);
    element.dataset.names.split(" ").forEach((name) => (imports[name] = url));
  }
  const map = document.createElement("script");
  map.type = "importmap";
  map.textContent = JSON.stringify({ imports });
  document.head.append(map);
  await import("viewer.js");
})().catch((error) => {
  document.documentElement.dataset.state = "failed";
  document.getElementById("status").textContent = error.message;
});
"#;

/// Writes the page `out` that shows `gaussians`, which were read from the file `scene`: from its cameras, with its background,
/// if a training left them beside it. `rows` has the scene if `gaussians` are without harmonics. If they were `moved` since, those cameras count no more. After a failure there is no
/// partial file.
pub(crate) fn write(
    out: &Path,
    scene: &Path,
    moved: bool,
    gaussians: &mut Gaussians,
    rows: Option<&dyn Rows>,
    progress: WriteProgress<'_>,
) -> Result<()> {
    require_libraries("`splat render` makes pictures")?;
    let framing = match moved {
        true => Framing::of_gaussians(gaussians, None),
        false => framing(None, None, scene, gaussians)?,
    };
    let name = scene.file_name().unwrap_or(scene.as_os_str()).to_string_lossy();
    let file = "scene.sog";
    let view = View::of(gaussians, &name, file, TrainedArgs::default().of(scene), framing);
    let view = serde_json::to_vec(&view)?;
    let scene = sog::to_bytes(rows.unwrap_or(gaussians), progress)?;
    write_atomically(out, |to| {
        let [head, body] = parts();
        let style = text("viewer.css");
        writeln!(to, "{head}<meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\" />")?;
        write!(to, "<style>\n{style}</style>\n</head>\n<body>{body}")?;
        for (name, bytes) in LIBRARIES.iter().filter(|(name, _)| !name.ends_with(".js")) {
            let text = String::from_utf8_lossy(bytes).replace("</", "<\\/");
            write!(to, "<script type=\"text/plain\" id=\"{name}\">\n{text}</script>\n")?;
        }
        inside(to, "id=\"view.json\"", &view)?;
        inside(to, "id=\"scene.sog\"", &scene)?;
        for (names, code) in modules() {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
            gzip.write_all(code.as_bytes())?;
            inside(to, &format!("data-names=\"{names}\""), &gzip.finish()?)?;
        }
        write!(to, "<script>{BOOT}</script>\n</body>\n</html>\n")
    })?;
    Ok(())
}

/// Bytes as an element that no browser runs.
fn inside(to: &mut dyn Write, attribute: &str, bytes: &[u8]) -> std::io::Result<()> {
    write!(to, "<script type=\"application/octet-stream\" {attribute}>")?;
    let mut encoder = EncoderWriter::new(&mut *to, &STANDARD);
    encoder.write_all(bytes)?;
    encoder.finish()?;
    drop(encoder);
    writeln!(to, "</script>")
}

fn text(name: &str) -> &'static str {
    let (_, bytes) = PAGE.iter().find(|(n, _)| *n == name).expect("a file of the page");
    std::str::from_utf8(bytes).expect("the page is text")
}

/// The page up to its style sheet, and what its body shows.
fn parts() -> [&'static str; 2] {
    let page = text("index.html");
    let (head, rest) = page.split_once("<link rel=\"stylesheet\"").expect("the page has a style sheet");
    let body = rest.split_once("<body>").and_then(|(_, rest)| rest.split_once("</body>"));
    [head, body.expect("the page has a body").0]
}

/// The code of each module and the names it is imported by: those of the page's import map, and its own.
fn modules() -> Vec<(String, String)> {
    let map = text("index.html").split_once("<script type=\"importmap\">");
    let map = map.and_then(|(_, rest)| rest.split_once("</script>")).expect("the page has an import map").0;
    let map: Value = serde_json::from_str(map).expect("an import map is JSON");
    let imports = map["imports"].as_object().expect("names of modules");
    let code = LIBRARIES.iter().chain(PAGE).filter(|(name, _)| name.ends_with(".js"));
    code.map(|(name, bytes)| {
        let beside = format!("./{name}");
        let known = imports.iter().filter(|(_, path)| **path == *beside).map(|(known, _)| known.as_str());
        let names: Vec<&str> = known.chain([*name]).collect();
        let mut code = String::from_utf8_lossy(bytes).into_owned();
        // Nothing lies beside a blob.
        for (other, _) in LIBRARIES.iter().chain(PAGE) {
            for quote in ['"', '\''] {
                code = code.replace(&format!("{quote}./{other}{quote}"), &format!("{quote}{other}{quote}"));
            }
        }
        (names.join(" "), code)
    })
    .collect()
}
