//! The real package index, in small: ninja and unearth through the repository's own pins, and where the licence
//! is accepted in the environment, the original sources through the real unearth. Skipped without an index.

use std::{env, path::Path, process::Command};

use fs_err as fs;
use splat_toolchain::managed::TOOLS;
use splatwright::provision::consent;

use crate::fixture::{Fixture, sha256, spawn};

#[test]
#[expect(clippy::print_stdout, reason = "the test runner counts it")]
fn pinned_packages_and_sources_come_from_the_index() {
    let repo = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let fixture = Fixture::new();
    let pins = fs::read_to_string(repo.join(TOOLS.requirements)).unwrap();
    // cmake is most of the download: a tiny wheel from the folder of wheels stands in for it.
    let tiny_cmake = fixture.wheels.join("tiny_cmake-1.0-py3-none-any.whl");
    let mut text = format!("tiny-cmake==1.0 --hash=sha256:{}\n", sha256(&tiny_cmake));
    let mut in_cmake = false;
    for line in pins.split_inclusive('\n').filter(|line| !line.starts_with('#')) {
        if !line.starts_with(' ') {
            in_cmake = line.starts_with("cmake==");
        }
        if !in_cmake {
            text.push_str(line);
        }
    }
    assert!(text.contains("\nninja==") && text.contains("\nunearth==") && !text.contains("\ncmake=="));
    fs::write(fixture.repo.join(TOOLS.requirements), text).unwrap();
    fs::copy(repo.join("vendor/sources.toml"), fixture.repo.join("vendor/sources.toml")).unwrap();

    let run = |order| {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "fixture::one_build", "--nocapture"]);
        // The machine's own index settings hold, and the folder of wheels besides.
        let links = env::var("PIP_FIND_LINKS").unwrap_or_default();
        command
            .env("PIP_RETRIES", "1")
            .env("PIP_FIND_LINKS", format!("{links} {}", fixture.wheels.display()));
        spawn(command, &order).end()
    };
    let ended = run(fixture.tools());
    if ended.says("index could not be reached") || ended.says("no package source that pip reached offers") {
        println!("skipped: no package index");
        return;
    }
    let ended = ended.succeeded();
    let tools = Path::new(ended.line("tools: "));
    let ninja = Command::new(tools.join("bin/ninja")).arg("--version").output().unwrap();
    assert!(ninja.status.success() && ninja.stdout.starts_with(b"1."), "{ninja:?}");

    if env::var(consent::VARIABLE).as_deref() != Ok(consent::INRIA) {
        println!("skipped: the original sources' licence is not accepted (SPLATWRIGHT_ACCEPT_LICENSE=inria)");
        return;
    }
    let ended = run(fixture.original()).succeeded();
    let path = Path::new(ended.line("path: "));
    assert!(path.join("cuda_rasterizer/rasterizer_impl.cu").exists() && path.join("LICENSE.md").exists());
    assert_eq!(ended.line("version: "), "gaussian-splatting 2.11.0 pinned=true");
}
