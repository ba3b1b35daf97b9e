//! `splat view`: a page on 127.0.0.1 that shows a scene with the libraries that the build embedded. `live` shows a training
//! on the same page (`splat train --view`).
//!
//! The page gets the scene as PLY in world coordinates and moves only its camera. Nothing is fetched from anywhere else, and
//! nothing is written.

mod live;
mod page;
mod server;
mod site;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::trajectory::Framing;
use anyhow::{Context, Result};
use serde::Serialize;
use splat_core::Camera;
use splat_scene::{Dataset, Gaussians, OpenOptions, Origin, cameras_json, ply};

pub(crate) use self::live::{Live, LiveArgs};
pub(crate) use self::page::write as write_page;
use self::server::Server;
use self::site::Site;
use super::common::direction;
use super::past::Past;
use super::scene::{Color, TrainedArgs, file_of, read};
use super::{Hinted, say};

/// The libraries of the page with their licences as fetched by `cargo xtask build`, or nothing.
const LIBRARIES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/viewer.rs"));

/// The page itself.
const PAGE: &[(&str, &[u8])] = &[
    ("index.html", include_bytes!("../../../viewer/index.html")),
    ("viewer.css", include_bytes!("../../../viewer/viewer.css")),
    ("viewer.js", include_bytes!("../../../viewer/viewer.js")),
    ("tools.js", include_bytes!("../../../viewer/tools.js")),
    ("live.js", include_bytes!("../../../viewer/live.js")),
];

/// Arguments of `splat view`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  splat view out --data data/snowmiku\n\n\
    Drag to orbit, wheel to zoom, drag with the right button to move; r goes back to the start, u turns the scene to \
    the next of the six sides that may be up, b changes the background. With fingers: one orbits, two zoom and move.\nThe page is served to this machine only and needs no network. Ctrl-C ends the program.")]
pub(crate) struct Args {
    /// The scene (PLY, compressed PLY, .splat, SPZ or SOG), or the output folder of a training
    scene: PathBuf,
    /// Start at the first camera of this dataset (or cameras.json) [default: a cameras.json beside the scene]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// The up direction [default: that of the cameras, or 0,-1,0 as in COLMAP]
    #[arg(long, value_name = "X,Y,Z", allow_hyphen_values = true, value_parser = direction)]
    up: Option<[f64; 3]>,
    #[command(flatten)]
    trained: TrainedArgs,
    /// Port of 127.0.0.1; 0 chooses a free one
    #[arg(long, value_name = "N", default_value_t = 0)]
    port: u16,
    /// Print the address without opening a browser
    #[arg(long)]
    no_open: bool,
}

/// The file that the page reads first, `view.json`.
#[derive(Debug, Serialize)]
struct View<'a> {
    name: &'a str,
    /// The scene's file, whose name says its format.
    file: &'a str,
    gaussians: usize,
    background: Color,
    antialiasing: bool,
    /// What is added to a place in the page to have it in the world.
    offset: [f64; 3],
    /// Whether the scene is still in training: `progress.json` says how far it is.
    live: bool,
    #[serde(flatten)]
    framing: Framing,
}

impl<'a> View<'a> {
    /// The page of a finished scene in `file`, with this background and whether it is antialiased.
    fn of(scene: &Gaussians, name: &'a str, file: &'a str, look: (Color, bool), framing: Framing) -> Self {
        let (background, antialiasing) = look;
        let (gaussians, offset) = (scene.len(), scene.origin.offset);
        Self { name, file, gaussians, background, antialiasing, offset, live: false, framing }
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    require_libraries("`splat render` makes pictures")?;
    let path = file_of(&args.scene)?;
    let mut gaussians = read(&path)?;
    let dropped = gaussians.repair()?.dropped;
    if dropped > 0 {
        say::warn(&format!(
            "{}: {dropped} Gaussians have invalid values (NaN or infinity); skipped",
            path.display()
        ));
    }
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let framing = framing(args.data.as_deref(), args.up, &path, &mut gaussians)?;
    let view = View::of(&gaussians, &name, "scene.ply", args.trained.of(&path), framing);

    let site = Site::default();
    with_page(&site);
    site.put("view.json", serde_json::to_vec(&view)?);
    site.put(view.file, ply::to_bytes(&gaussians)?);
    say::note(&format!(
        "{}: {} Gaussians, SH degree {}",
        path.display(),
        say::grouped(gaussians.len()),
        gaussians.sh_degree()
    ));
    drop(gaussians);

    let server = Server::open(args.port)?;
    say::print(&server.url())?;
    open_browser(&server, args.no_open, "Ctrl-C ends the program");
    server.serve(Arc::new(site))
}

/// Whether the page can be served: its libraries are in this program.
pub(crate) fn is_built_in() -> bool {
    !LIBRARIES.is_empty()
}

/// Refuses, in a build without the page's libraries; `instead` is what works there.
pub(crate) fn require_libraries(instead: &str) -> Result<()> {
    if is_built_in() {
        return Ok(());
    }
    let message = "this `splat` was built without the viewer's libraries".into();
    Err(Hinted::error(
        message,
        format!("build it with `cargo xtask build`, which brings them; until then, {instead}"),
    ))
}

/// Opens the page in a browser, or says where it is; `then` is the rest of the sentence.
fn open_browser(server: &Server, no_open: bool, then: &str) {
    let url = server.url();
    if no_open || !has_desktop() {
        say::note(&format!("open {url} in a browser on this machine; {then}"));
    } else if let Err(error) = open::that_detached(&url) {
        say::warn(&format!("no browser could be opened ({error}); open {url} yourself; {then}"));
    } else {
        say::note(&format!("{url} is open in a browser; {then}"));
    }
}

/// Adds the page and its libraries.
fn with_page(site: &Site) {
    for (name, bytes) in PAGE.iter().chain(LIBRARIES) {
        site.put(name, *bytes);
    }
}

/// Where the page starts: at the first camera that sees some of the scene, or outside with all of it in view. The scene is
/// moved to the origin of the cameras' coordinates.
fn framing(
    data: Option<&Path>,
    up: Option<[f64; 3]>,
    scene: &Path,
    gaussians: &mut Gaussians,
) -> Result<Framing> {
    let (cameras, origin) = match data {
        Some(data) => cameras(data)?,
        // It was not asked for, so the scene is shown even if it cannot be read.
        None => Past::beside(scene).cameras().and_then(|beside| cameras(&beside).ok()).unwrap_or_default(),
    };
    if let Some(origin) = origin {
        gaussians.set_origin(origin);
    }
    let given: Vec<&Camera> = cameras.iter().collect();
    if let Some(framing) = Framing::of_cameras(&given, gaussians, up) {
        return Ok(framing);
    }
    if data.is_some() {
        say::warn(&format!("none of the {} cameras sees much of the scene", cameras.len()));
    }
    Ok(Framing::of_gaussians(gaussians, up))
}

/// The cameras of a dataset's folder, or of a `cameras.json`, and where their coordinates lie in the world.
pub(crate) fn cameras(data: &Path) -> Result<(Vec<Camera>, Option<Origin>)> {
    if data.is_file() && data.file_name().is_some_and(|name| name == "cameras.json") {
        let entries = cameras_json::read(data)?;
        let origin = entries.first().map(|entry| entry.origin);
        return Ok((entries.into_iter().map(|e| e.camera).collect(), origin));
    }
    let dataset = Dataset::open(data, &OpenOptions::default())
        .with_context(|| format!("cannot take cameras from {}", data.display()))?;
    Ok((dataset.views.into_iter().map(|v| v.camera).collect(), Some(dataset.origin)))
}

/// Whether there is a desktop; without one, a browser in the terminal might open.
fn has_desktop() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !cfg!(target_os = "linux") || ["DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"].into_iter().any(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_only_what_is_served() {
        let text = |name: &str| {
            let (_, bytes) = PAGE.iter().find(|(n, _)| *n == name).unwrap();
            std::str::from_utf8(bytes).unwrap()
        };
        let (page, script) = (text("index.html"), text("viewer.js"));
        for source in [page, script, text("viewer.css"), text("tools.js"), text("live.js")] {
            assert!(!source.contains("://"), "the page must not name another host");
        }
        // Every bare name that a module imports stands in the import map.
        for import in script.lines().filter_map(|l| l.strip_prefix("import")?.split('"').nth(1)) {
            let own = import.strip_prefix("./").is_some_and(|name| PAGE.iter().any(|(n, _)| *n == name));
            assert!(own || page.contains(&format!("\"{import}\":")), "{import}");
        }
        if LIBRARIES.is_empty() {
            return; // The plain build; that it says so is tested in tests/view.rs.
        }
        for name in page.split("\"./").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(LIBRARIES.iter().any(|(n, _)| *n == name), "{name}");
        }
    }
}
