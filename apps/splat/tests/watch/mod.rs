//! `splat train --view` in headless Chromium: the scene appears while it trains, the buttons pause and stop, and everything
//! is saved.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use super::browser::{Browser, Tab};
use super::small::{at, dataset, json};
use super::{View, colours, get};

const RUN: [&str; 11] = [
    "--engine",
    "cpu",
    "--preset",
    "published",
    "--init",
    "random",
    "--init-count",
    "300",
    "--iterations",
    "1000000",
    "--view",
];

/// A training that goes on until it is stopped, and its address; None, and a `skipped:` line, without the page's libraries.
fn training(data: &str, out: &str) -> Option<(View, BufReader<std::process::ChildStderr>)> {
    let child: Child = Command::new(splat_testdata::program(env!("CARGO_BIN_EXE_splat")))
        .args(["train", data, "-o", out, "--test-every", "5", "--no-open"])
        .args(RUN)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut view = View { child, url: String::new() };
    let mut said = BufReader::new(view.child.stderr.take().unwrap());
    let mut line = String::new();
    while said.read_line(&mut line).unwrap() > 0 {
        if let Some(url) = line.split_whitespace().find(|word| word.starts_with("http://127.0.0.1:")) {
            view.url = url.to_owned();
            return Some((view, said));
        }
        if line.contains("without the viewer's libraries") {
            assert!(!view.child.wait().unwrap().success());
            println!("skipped: built without the viewer's libraries (cargo xtask build brings them)");
            return None;
        }
        line.clear();
    }
    panic!("the training ended without an address");
}

fn number(tab: &mut Tab, expression: &str) -> f64 {
    tab.evaluate(expression).as_f64().unwrap()
}

/// The step that the program itself states.
fn step(view: &View) -> u64 {
    let (_, body) = get(view, "/progress.json", None);
    serde_json::from_slice::<serde_json::Value>(&body).unwrap()["step"].as_u64().unwrap()
}

#[test]
fn a_training_is_watched_paused_and_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let out = at(dir.path(), "out");
    let Some((mut view, mut said)) = training(data.to_str().unwrap(), &out) else { return };
    let Some(mut browser) = Browser::start() else { return };
    let mut tab = browser.open(&view.url, super::WIDTH, super::HEIGHT);
    let shown = "Number(document.documentElement?.dataset.revision ?? 0)";
    tab.wait_until(&format!("{shown} >= 1"));
    let first = number(&mut tab, shown);
    tab.wait_until(&format!("{shown} > {first}")); // a newer scene comes by itself
    tab.wait_until("document.getElementById('held-out').naturalWidth > 0");
    // Photograph, render and error beside each other.
    assert_eq!(
        number(&mut tab, "document.getElementById('held-out').naturalWidth"),
        f64::from(3 * super::small::SIZE.0)
    );
    let words = tab.evaluate("document.getElementById('progress').textContent");
    let words = words.as_str().unwrap();
    assert!(words.starts_with("training: step") && words.contains("held out: PSNR"), "{words}");

    // Orders of another site's page change nothing.
    let (head, _) = super::post(&view, "/order/stop", "http://evil.example");
    assert!(head.starts_with("http/1.1 403"), "{head}");

    tab.evaluate("document.getElementById('pause').click()");
    tab.wait_until("document.documentElement.dataset.training === 'paused'");
    let paused = step(&view);
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert_eq!(step(&view), paused, "no step while it is paused");
    tab.evaluate(
        "document.getElementById('training').hidden = document.getElementById('tools').hidden = true",
    );
    tab.evaluate("document.getElementById('status').hidden = true");
    let (w, h) = (super::WIDTH, super::HEIGHT);
    tab.picture_when(|p| colours(p, w / 4..w * 3 / 4, h / 4..h * 3 / 4).0 > 50);
    tab.evaluate("document.getElementById('pause').click()");
    tab.wait_until("document.documentElement.dataset.training === 'training'");
    tab.wait_until(&format!("{shown} > {first} + 1"));
    assert!(step(&view) > paused, "it continues");

    tab.evaluate("document.getElementById('stop').click()");
    tab.wait_until("document.documentElement.dataset.training === 'finished'");
    let status = view.child.wait().unwrap();
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(status.code(), Some(3), "stopped with everything saved: {rest}");
    assert!(dir.path().join("out/point_cloud.ply").exists() && rest.contains("--resume"), "{rest}");
    let stats = json(dir.path().join("out/stats.json"));
    assert!(stats["steps"].as_u64().unwrap() > paused && stats["stopped_early"] == true);
    // The page has the harmonics too now, and says what became of the program.
    assert!(tab.requests().iter().any(|url| url.ends_with("/scene.ply")));
    tab.wait_until("document.getElementById('progress').textContent.includes('saved it and ended')");
}
