//! `splat view` as a person meets it: the program, its server, and the page in headless Chromium.
#![expect(clippy::print_stdout, reason = "a test says on stdout that it was skipped, and what it measured")]

mod browser;
mod small;
mod watch;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use browser::{Browser, Tab};
use image::RgbaImage;
use splat_scene::{Gaussians, SH_C0, ply};
use splat_testdata::shared;

const WIDTH: u32 = 480;
const HEIGHT: u32 = 360;

/// A running `splat view`; ends when dropped.
struct View {
    child: Child,
    url: String,
}

impl Drop for View {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn splat(args: &[&str]) -> Command {
    let mut command = Command::new(splat_testdata::program(env!("CARGO_BIN_EXE_splat")));
    command.arg("view").args(args).arg("--no-open").stdin(Stdio::null());
    command
}

/// Starts it; None, and a `skipped:` line, in a build without the libraries.
fn view(scene: &Path, args: &[&str]) -> Option<View> {
    let mut command = splat(&[scene.to_str().unwrap()]);
    let mut child = command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut url = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
    if url.is_empty() {
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(!child.wait().unwrap().success());
        assert!(said.contains("without the viewer's libraries"), "{said}");
        assert!(said.contains("hint: build it with `cargo xtask build`"), "{said}");
        println!("skipped: built without the viewer's libraries (cargo xtask build brings them)");
        return None;
    }
    Some(View { child, url: url.trim().to_owned() })
}

/// `GET path` with this Host: status line with headers, and body.
fn get(view: &View, path: &str, host: Option<&str>) -> (String, Vec<u8>) {
    asked(view, &format!("GET {path} HTTP/1.1\r\n"), host)
}

fn asked(view: &View, request: &str, host: Option<&str>) -> (String, Vec<u8>) {
    let address = view.url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).unwrap();
    let host = host.unwrap_or(address);
    write!(stream, "{request}Host: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let split = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    (String::from_utf8(answer[..split].to_vec()).unwrap().to_lowercase(), answer[split + 4..].to_vec())
}

/// `POST path` as a page of `origin` would send it: status line with headers, and body.
fn post(view: &View, path: &str, origin: &str) -> (String, Vec<u8>) {
    asked(view, &format!("POST {path} HTTP/1.1\r\nOrigin: {origin}\r\nContent-Length: 0\r\n"), None)
}

/// Blobs of known colour around the origin: red above (y down: -y), green below, blue on the right, and a
/// ball of many colours in the middle.
fn signpost(path: &Path) -> Gaussians {
    let mut g = Gaussians { coeffs: 1, ..Gaussians::default() };
    let mut blob = |at: [f32; 3], rgb: [f32; 3], sigma: f32| {
        g.means.extend(at);
        g.sh.extend(rgb.map(|c| (c - 0.5) / SH_C0));
        g.opacity_logits.push(5.0);
        g.log_scales.extend([sigma.ln(); 3]);
        g.rotations.extend([1.0, 0.0, 0.0, 0.0]);
    };
    for i in 0..400_u32 {
        // A spiral on a sphere; its colour follows its place.
        let t = (i as f32 + 0.5) / 400.0 * 2.0 - 1.0;
        let (r, a) = ((1.0 - t * t).max(0.0).sqrt(), 2.4 * i as f32);
        let at = [0.4 * r * a.cos(), 0.4 * t, 0.4 * r * a.sin()];
        blob(at, at.map(|x| 0.5 + x), 0.04);
    }
    for k in 0..40 {
        let jitter = [0.002 * k as f32, 0.0, 0.0];
        for (at, rgb) in [
            ([0.0, -1.0, 0.0], [1.0, 0.0, 0.0]),
            ([0.0, 1.0, 0.0], [0.0, 1.0, 0.0]),
            ([1.0, 0.0, 0.0], [0.0, 0.0, 1.0]),
        ] {
            blob(std::array::from_fn(|i| at[i] + jitter[i]), rgb, 0.12);
        }
    }
    ply::write_gaussians(path, &g).unwrap();
    g
}

/// The number of colours among these pixels, and the share that is not black.
fn colours(picture: &RgbaImage, x: std::ops::Range<u32>, y: std::ops::Range<u32>) -> (usize, f64) {
    let mut seen = std::collections::BTreeSet::new();
    let (mut lit, mut all) = (0, 0);
    for py in y {
        for px in x.clone() {
            let p = picture.get_pixel(px, py).0;
            seen.insert([p[0], p[1], p[2]]);
            all += 1;
            lit += usize::from(p[..3].iter().any(|c| *c > 8));
        }
    }
    (seen.len(), f64::from(lit as u32) / f64::from(all))
}

/// The share of pixels that differ clearly.
fn difference(a: &RgbaImage, b: &RgbaImage) -> f64 {
    let differ = a.pixels().zip(b.pixels()).filter(|(a, b)| (0..3).any(|k| a.0[k].abs_diff(b.0[k]) > 24));
    differ.count() as f64 / f64::from(a.width() * a.height())
}

/// The mean place of the pixels where one channel stands out; 0 to 1 across the picture.
fn place(picture: &RgbaImage, channel: usize) -> Option<[f64; 2]> {
    let (mut sum, mut n) = ([0.0; 2], 0.0);
    for (x, y, p) in picture.enumerate_pixels() {
        let others = (0..3).filter(|k| *k != channel).map(|k| p.0[k]).max().unwrap();
        if p.0[channel] > 120 && others < 60 {
            sum[0] += f64::from(x) / f64::from(picture.width());
            sum[1] += f64::from(y) / f64::from(picture.height());
            n += 1.0;
        }
    }
    (n > 50.0).then(|| sum.map(|s| s / n))
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

/// A tab that shows the page, with a picture on it.
fn shown(browser: &mut Browser, view: &View) -> Tab {
    let mut tab = browser.open(&view.url, WIDTH, HEIGHT);
    ready(&mut tab);
    tab
}

/// Waits for the picture and hides what stands over it; returns the words below.
fn ready(tab: &mut Tab) -> String {
    tab.wait_until("['ready', 'failed'].includes(document.documentElement?.dataset.state)");
    let state = tab.evaluate("document.documentElement.dataset.state");
    let status = tab.evaluate("document.getElementById('status').textContent").as_str().unwrap().to_owned();
    assert_eq!(state, "ready", "{status}");
    tab.evaluate("for (const id of ['status', 'tools']) document.getElementById(id).hidden = true");
    status
}

#[test]
fn the_server_serves_this_machine_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("signpost.ply");
    let g = signpost(&path);
    let Some(view) = view(&path, &[]) else { return };
    let (head, body) = get(&view, "/", None);
    assert!(head.starts_with("http/1.1 200") && head.contains("content-type: text/html"), "{head}");
    assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
    assert!(String::from_utf8(body).unwrap().contains("viewer.js"));
    let (head, body) = get(&view, "/view.json", None);
    assert!(head.contains("application/json"), "{head}");
    let told: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(told["gaussians"], g.len());
    assert_eq!(told["name"], "signpost.ply");
    let (head, body) = get(&view, "/scene.ply", None);
    assert_eq!(body, fs_err::read(&path).unwrap(), "the scene is served as it is");
    assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
    for name in ["three.module.js", "spark.module.js", "OrbitControls.js"] {
        assert!(get(&view, &format!("/{name}"), None).0.contains("text/javascript"), "{name}");
    }
    for licence in ["LICENSE-three", "LICENSE-spark", "LICENSE-fflate"] {
        let text = String::from_utf8(get(&view, &format!("/{licence}"), None).1).unwrap();
        assert!(text.to_lowercase().contains("permission is hereby granted"), "{licence}: {text}");
    }
    // A name of another site that points here.
    let (head, body) = get(&view, "/scene.ply", Some("evil.example"));
    assert!(head.starts_with("http/1.1 403") && body.len() < 100, "{head}");
    // The port is taken now.
    let port = view.url.trim_end_matches('/').rsplit(':').next().unwrap();
    let second = splat(&[path.to_str().unwrap(), "--port", port]).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && said.contains(port) && said.contains("hint:"), "{said}");
}

#[test]
fn a_file_that_is_no_scene_is_named() {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in [("broken.ply", &b"ply\nformat"[..]), ("short.splat", &[0; 20][..])] {
        let path = dir.path().join(name);
        fs_err::write(&path, bytes).unwrap();
        let output = splat(&[path.to_str().unwrap()]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{name}");
        assert!(said.contains(name) || said.contains("without the viewer's libraries"), "{said}");
    }
}

#[test]
fn the_page_shows_the_scene_upright_and_dragging_orbits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("signpost.ply");
    signpost(&path);
    let Some(view) = view(&path, &[]) else { return };
    let Some(mut browser) = Browser::start() else { return };
    let mut tab = shown(&mut browser, &view);

    let first = tab.picture_when(|p| (0..3).all(|channel| place(p, channel).is_some()));
    let [red, green, blue] = [0, 1, 2].map(|channel| place(&first, channel).unwrap());
    println!("red {red:.2?}, green {green:.2?}, blue {blue:.2?}");
    assert!(red[1] < 0.4 && (red[0] - 0.5).abs() < 0.1, "-y is up");
    assert!(green[1] > 0.6 && (green[0] - 0.5).abs() < 0.1, "+y is down");
    assert!(blue[0] > 0.6 && (blue[1] - 0.5).abs() < 0.15, "+x is right");
    let (w, h) = (WIDTH, HEIGHT);
    let (distinct, lit) = colours(&first, w * 3 / 8..w * 5 / 8, h * 3 / 8..h * 5 / 8);
    assert!(distinct > 200 && lit > 0.5, "{distinct} colours, {lit:.2} lit in the middle");
    for (x, y) in [(0, 0), (w - 40, 0), (0, h - 40), (w - 40, h - 40)] {
        let (_, lit) = colours(&first, x..x + 40, y..y + 40);
        assert!(lit < 0.01, "background at {x},{y}: {lit:.2} lit");
    }

    let told: serde_json::Value = serde_json::from_slice(&get(&view, "/view.json", None).1).unwrap();
    let target: Vec<f64> = serde_json::from_value(told["target"].clone()).unwrap();
    let far = |eye: &[f64]| distance(eye, &target);
    let eye = tab.eye();
    tab.drag([w / 2, h / 2], [w / 2 + 100, h / 2]);
    let second = tab.picture_when(|p| difference(&first, p) > 0.02);
    let moved = tab.eye();
    assert!((far(&eye) - far(&moved)).abs() < 1e-3 * far(&eye), "an orbit: {eye:?} {moved:?}");
    let blue_then = place(&second, 2);
    assert!(blue_then.is_none_or(|b| (b[0] - blue[0]).abs() > 0.05), "{blue:?} {blue_then:?}");
    // The orbit's axis is that of the whole content, near the red one.
    let red_then = place(&second, 0).expect("the red one is still in view");
    assert!((red_then[0] - red[0]).abs() < 0.2 && red_then[1] < 0.4, "{red_then:?}");

    tab.wheel([w / 2, h / 2], -400);
    tab.picture_when(|p| difference(&second, p) > 0.02);
    assert!(far(&tab.eye()) < 0.9 * far(&moved), "the wheel comes nearer");

    tab.key("r");
    tab.picture_when(|p| difference(&first, p) < 0.01);
    tab.key("b");
    tab.picture_when(|p| p.get_pixel(4, 4).0[..3] == [255; 3]);

    // Tools: harmonics off and on, a measured frame, the list of controls, and a camera that is kept where it stands.
    tab.key("f");
    tab.wait_until("document.getElementById('status').textContent.includes('ms per frame')");
    tab.key("s");
    tab.wait_until("document.getElementById('harmonics').textContent === 'SH off'");
    tab.picture_when(|p| place(p, 0).is_some());
    tab.key("s");
    tab.key("h");
    tab.wait_until("document.getElementById('controls').open");
    tab.evaluate("document.getElementById('controls').close()");
    tab.key("k");
    tab.evaluate(
        "URL.createObjectURL = (blob) => { blob.text().then((text) => { window.path = text; }); return '#'; };\
         document.getElementById('path').click()",
    );
    tab.wait_until("typeof window.path === 'string'");
    let kept = dir.path().join("path.json");
    fs_err::write(&kept, tab.evaluate("window.path").as_str().unwrap()).unwrap();
    let kept = splat_scene::cameras_json::read(&kept).unwrap();
    let centre = kept[0].camera.campos.map(f64::from);
    assert!(distance(&centre, &tab.eye()) < 1e-3, "{centre:?}");
    // The camera looks at the target of the orbit.
    let camera = &kept[0].camera;
    let along =
        |k: usize| (0..3).map(|c| f64::from(camera.view[4 * c + k]) * (target[c] - centre[c])).sum::<f64>();
    assert!(along(2) > 0.0 && along(0).hypot(along(1)) < 1e-3 * along(2), "x right, y down, z forward");

    // Another side is up: what is below comes to the top, and back again after all sides.
    tab.key("b");
    tab.key("b");
    tab.key("u");
    tab.picture_when(|p| place(p, 1).is_some_and(|green| green[1] < 0.45));
    for _ in 0..5 {
        tab.key("u");
    }
    tab.picture_when(|p| difference(&first, p) < 0.01);

    // Not one request went anywhere else.
    let foreign: Vec<_> = tab
        .requests()
        .iter()
        .filter(|u| !u.starts_with(&view.url) && !u.starts_with("data:") && !u.starts_with("blob:"))
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    assert!(tab.requests().iter().any(|u| u.ends_with("/scene.ply")));
}

/// One file, opened from disk: the same picture as from the server, and nothing is asked of anybody.
#[test]
fn a_page_in_one_file_opens_from_disk() {
    let dir = tempfile::tempdir().unwrap();
    // A name that must not end the page's own script.
    let path = dir.path().join("sign<script>post.ply");
    signpost(&path);
    let page = dir.path().join("page.html");
    let convert = |options: &[&str]| {
        let mut command = Command::new(splat_testdata::program(env!("CARGO_BIN_EXE_splat")));
        command.arg("convert").args([&path, &page]).args(options).output().unwrap()
    };
    let output = convert(&[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let Some(view) = view(&path, &[]) else {
        assert!(!output.status.success() && said.contains("without the viewer's libraries"), "{said}");
        assert!(!page.exists());
        return;
    };
    assert!(output.status.success() && said.contains("page.html: 520 Gaussians"), "{said}");
    assert!(!convert(&[]).status.success(), "nothing is overwritten unasked");
    let text = fs_err::read_to_string(&page).unwrap();
    assert_eq!(text.matches("Permission is hereby granted").count(), 3, "with the licences of its libraries");
    assert!(!text.contains("<script>post"), "the name of the scene is data");
    println!("the page: {} bytes", text.len());

    let Some(mut browser) = Browser::start() else { return };
    let mut tab = shown(&mut browser, &view);
    let served = tab.picture_when(|p| (0..3).all(|channel| place(p, channel).is_some()));
    let url = format!("file://{}", page.display()).replace('<', "%3C").replace('>', "%3E");
    let mut tab = browser.open(&url, WIDTH, HEIGHT);
    ready(&mut tab);
    let picture = tab.picture_when(|p| (0..3).all(|channel| place(p, channel).is_some()));
    let apart = difference(&served, &picture);
    println!("{:.2} % of the pixels differ from those of the served page", 100.0 * apart);
    assert!(apart < 0.01, "{apart}");
    assert_eq!(tab.evaluate("document.title"), "sign<script>post.ply - splat view");
    tab.drag([WIDTH / 2, HEIGHT / 2], [WIDTH / 2 + 100, HEIGHT / 2]);
    tab.picture_when(|p| difference(&picture, p) > 0.02);
    let local = |u: &&String| !["file:", "data:", "blob:"].iter().any(|kind| u.starts_with(kind));
    let foreign: Vec<_> = tab.requests().iter().filter(local).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    assert_eq!(tab.requests().iter().filter(|u| u.starts_with("file:")).count(), 1, "{:?}", tab.requests());
}

/// A narrow window cuts nothing off at the sides, and a phone is told about fingers.
#[test]
fn a_phone_shows_all_of_the_scene() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("signpost.ply");
    signpost(&path);
    let Some(view) = view(&path, &[]) else { return };
    let Some(mut browser) = Browser::start() else { return };
    let mut tab = shown(&mut browser, &view);
    tab.become_phone(240, 480);
    let words = loop {
        std::thread::sleep(std::time::Duration::from_millis(300));
        if tab.evaluate("document.documentElement?.dataset.state === 'ready' && innerWidth === 240") == true {
            break ready(&mut tab);
        }
    };
    assert!(words.contains("two fingers") && !words.contains("wheel"), "{words}");
    let picture = tab.picture_when(|p| (0..3).all(|channel| place(p, channel).is_some()));
    assert_eq!((picture.width(), picture.height()), (240, 480));
    let (_, left) = colours(&picture, 0..4, 0..480);
    let (_, right) = colours(&picture, 236..240, 0..480);
    assert!(left < 0.01 && right < 0.01, "nothing reaches the sides: {left} {right}");
}

#[test]
fn a_browser_without_webgl_is_told_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("signpost.ply");
    signpost(&path);
    let Some(view) = view(&path, &[]) else { return };
    let Some(mut browser) = Browser::start_without_webgl() else { return };
    let mut tab = browser.open(&view.url, WIDTH, HEIGHT);
    tab.wait_until("document.documentElement?.dataset.state === 'failed'");
    let words = tab.evaluate("document.getElementById('status').textContent");
    assert!(words.as_str().unwrap().starts_with("This browser has no WebGL 2. Turn on hardware"), "{words}");
}

#[test]
fn a_trained_scene_is_shown() {
    let Some(scene) = shared("scenes/blocks-186k-sh3") else { return };
    let Some(view) = view(&scene, &[]) else { return };
    let Some(mut browser) = Browser::start() else { return };
    let mut tab = shown(&mut browser, &view);
    let (w, h) = (WIDTH, HEIGHT);
    let middle = |p: &RgbaImage| colours(p, w / 4..w * 3 / 4, h / 4..h * 3 / 4);
    let first = tab.picture_when(|p| middle(p).0 > 1000);
    let (distinct, lit) = middle(&first);
    println!("{distinct} colours, {:.0} % lit in the middle", 100.0 * lit);
    // A rock on a lawn, seen from a little above: nothing is over it, and below the middle is grass.
    let (_, above) = colours(&first, 0..w, 0..h / 6);
    assert!(above < 0.02, "{above:.2} lit above the scene: is it upside down?");
    assert!(lit > 0.5, "{lit:.2} lit in the middle");
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("view.png");
    first.save(&kept).unwrap();
    println!("the picture: {}", kept.display());
    tab.drag([w / 2, h / 2], [w / 2 + 80, h / 2 + 20]);
    let second = tab.picture_when(|p| difference(&first, p) > 0.05);
    assert!(middle(&second).0 > 500, "still there after the drag");
}
