//! Sizes of wheels, and downloads that go on where they ended. The transfer itself is a small Python program on the
//! environment's interpreter, with pip's settings of proxy, certificates and trusted hosts.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use fs_err as fs;
use serde_json::{Value, json};
use splat_toolchain::{Env, Request, wheels::Pinned};

use super::{SAVED, TorchPlan, resolve::Pip};
use crate::{
    ext::Target,
    hint::hinted,
    provision::{Cache, index::Index, stamp::sha256},
    repository, ui,
};

const PROGRAM: &str = include_str!("fetch.py");

/// Adds the size of each wheel, where its server says it.
pub(super) fn sizes(pip: &Pip, plan: &mut TorchPlan) -> Result<()> {
    let mut order = settings(pip)?;
    order["sizes"] = plan.wheels.iter().map(|wheel| wheel.url.clone()).collect();
    let mut sizes = Vec::new();
    run(pip.python(), &order, |line| sizes.push(line["size"].as_u64()))?;
    for (wheel, size) in plan.wheels.iter_mut().zip(sizes) {
        wheel.size = size;
    }
    Ok(())
}

/// Downloads every wheel of a plan into the cache; the folder.
pub(super) fn download(pip: &Pip, plan: &TorchPlan, target: &Target) -> Result<PathBuf> {
    let repo = repository::facts();
    let machine = splat_toolchain::probe(&Env::real(), &repo, &Request::default());
    let root = machine.cache_root.context("there is no place for the cache")?;
    let folder = Cache::open(&root.value)?.downloads().join(format!("torch-{}", target.tag()));
    fs::create_dir_all(&folder)?;
    let settings = settings(pip)?;
    for wheel in &plan.wheels {
        one(pip.python(), &settings, wheel, &folder)?;
    }
    fs::write(folder.join(SAVED), serde_json::to_string_pretty(plan)?)?;
    Ok(folder)
}

/// One wheel; a part that is there already is gone on with.
fn one(python: &Path, settings: &Value, wheel: &Pinned, folder: &Path) -> Result<()> {
    let path = folder.join(&wheel.file);
    if path.is_file() && wheel.sha256.as_deref().is_none_or(|hash| sha256(&path).is_ok_and(|h| h == hash)) {
        return Ok(());
    }
    ui::note(&format!("downloading {}", wheel.file));
    let mut order = settings.clone();
    order["url"] = json!(wheel.url);
    order["path"] = json!(path);
    order["sha256"] = json!(wheel.sha256);
    let (mut last, mut shown) = (Value::Null, 0);
    let done = run(python, &order, |line| {
        if let Some(from) = line["resumed"].as_u64() {
            ui::note(&format!("  going on at {}", ui::bytes(from)));
        }
        if let Some(at) = line["at"].as_u64().filter(|at| at / 100_000_000 > shown) {
            shown = at / 100_000_000;
            ui::note(&format!(
                "  {} of {}",
                ui::bytes(at),
                line["total"].as_u64().map_or("?".into(), ui::bytes)
            ));
        }
        last = line;
    })?;
    if done {
        return Ok(());
    }
    let text = |key: &str| last[key].as_str().unwrap_or("?").to_owned();
    Err(match text("error").as_str() {
        "hash" => hinted(
            format!(
                "{} is not what the index says: expected sha256 {}, got {}",
                wheel.file,
                text("expected"),
                text("got")
            ),
            "run again; if it stays so, the mirror serves another file",
        ),
        why => hinted(
            format!(
                "{} was not downloaded: {why} ({} are kept)",
                wheel.file,
                ui::bytes(last["at"].as_u64().unwrap_or(0))
            ),
            "run the same command again: it goes on where it ended",
        ),
    })
}

fn settings(pip: &Pip) -> Result<Value> {
    let index = Index::of_pip(pip.python())?;
    let mut order = json!({ "cert": index.cert, "proxy": index.proxy, "trusted": index.trusted_hosts });
    if let Ok(pause) = std::env::var("SPLATWRIGHT_RETRY_PAUSE") {
        order["pause"] = json!(pause.parse::<f64>().unwrap_or(1.0));
    }
    Ok(order)
}

/// Runs the program; each line it says goes to `hear`. Whether it succeeded.
fn run(python: &Path, order: &Value, mut hear: impl FnMut(Value)) -> Result<bool> {
    let mut child = Command::new(python)
        .args(["-I", "-c", PROGRAM])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", python.display()))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(order.to_string().as_bytes())?;
    }
    let stdout = child.stdout.take().context("the child's output is piped")?;
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        if let Ok(value) = serde_json::from_str(&line) {
            hear(value);
        }
    }
    Ok(child.wait()?.success())
}
