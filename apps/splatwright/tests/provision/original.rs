//! The original sources: interruption, alteration, and the user's own checkout.

use std::path::Path;

use fs_err as fs;

use crate::fixture::{Fixture, Order, sha256};

#[test]
fn kill_9_at_any_step_of_the_extraction_is_repaired() {
    for step in ["Locked", "Prepared", "Filled", "Stamped", "Displaced", "Placed"] {
        let fixture = Fixture::new();
        fixture.keep_archive();
        let mut build = fixture.start(&Order { pause: Some((step.into(), 600_000)), ..fixture.original() });
        build.until(&format!("step: {step}"));
        build.kill();
        assert_eq!(fixture.placed().len(), usize::from(step == "Placed"), "killed at {step}");
        fixture.run(&fixture.original()).succeeded();
        assert_eq!(fixture.placed().len(), 1, "killed at {step}");
    }
}

#[test]
fn an_altered_or_truncated_archive_is_refused_with_both_hashes() {
    let fixture = Fixture::new();
    let good = fs::read(fixture.archive()).unwrap();
    let expected = sha256(&fixture.archive());
    let mut altered = good.clone();
    altered[50] ^= 1;
    for (bad, more) in
        [(&altered[..], "got "), (&good[..good.len() - 20], "it may be cut short"), (&[], "(0 bytes)")]
    {
        fs::write(fixture.archive(), bad).unwrap();
        let got = sha256(&fixture.archive());
        fixture.run(&fixture.original()).failed_saying(&["is not what is pinned", &expected, &got, more]);
        assert!(fixture.left_over().is_empty() && fixture.placed().is_empty());
        assert!(!fixture.home.join("v1/downloads").exists(), "nothing unverified is kept");
    }
    fs::write(fixture.archive(), good).unwrap();
    fixture.run(&fixture.original()).succeeded();
}

#[test]
fn from_an_index_the_archive_comes_through_unearth() {
    let fixture = Fixture::new();
    let through_unearth = || {
        fixture
            .start_with(&fixture.original(), |command| {
                let links = fixture.wheels.display();
                command.env("PIP_NO_INDEX", "1").env("PIP_FIND_LINKS", format!("file://{links}"));
            })
            .end()
    };
    let good = fs::read(fixture.archive()).unwrap();
    fs::remove_file(fixture.archive()).unwrap();
    let ended = through_unearth().failed_saying(&["no package source offers tiny-splatting==1.0"]);
    assert!(ended.line("hint: ").contains("PIP_FIND_LINKS="), "{}", ended.text());
    fs::write(fixture.archive(), &good[..100]).unwrap();
    through_unearth().failed_saying(&["is not what is pinned", "(100 bytes); it may be cut short"]);
    fs::write(fixture.archive(), good).unwrap();
    let ended = through_unearth().succeeded();
    assert!(ended.says("say: bringing tiny-splatting 1.0"), "{}", ended.text());
    assert!(fixture.left_over().is_empty());
}

#[test]
fn an_archive_in_a_folder_that_pip_searches_needs_no_tools() {
    let fixture = Fixture::new();
    fs::remove_file(fixture.wheel()).unwrap();
    let ended = fixture.run(&fixture.original()).succeeded();
    assert!(!ended.says("bringing tools"), "{}", ended.text());
}

#[test]
fn an_archive_altered_in_the_cache_is_fetched_again() {
    let fixture = Fixture::new();
    fixture.keep_archive();
    let kept = fixture.home.join("v1/downloads/tiny_splatting-1.0.tar.gz");
    fs::write(&kept, "half").unwrap();
    let ended = fixture.run(&fixture.original()).succeeded();
    assert!(ended.says("step: Placed"), "{}", ended.text());
    assert_eq!(sha256(&kept), sha256(&fixture.archive()));
}

#[test]
fn altered_extracted_files_are_seen_and_extracted_again_without_a_network() {
    let fixture = Fixture::new();
    let first = fixture.run(&fixture.original()).succeeded();
    let file = Path::new(first.line("path: ")).join("cuda_rasterizer/forward.cu");
    fs::write(&file, "// backwarD\n").unwrap();
    let again = fixture.start_with(&Order { offline: true, ..fixture.original() }, |_| {}).end().succeeded();
    assert!(again.says("`cuda_rasterizer/forward.cu` was altered"), "{}", again.text());
    assert!(again.says("vendor/diff-gaussian-rasterization"), "{}", again.text());
    assert_eq!(fs::read_to_string(&file).unwrap(), "// forward\n");
}

#[test]
fn only_what_is_needed_is_extracted_and_nothing_is_executed() {
    let fixture = Fixture::new();
    let ended = fixture.run(&fixture.original()).succeeded();
    let path = Path::new(ended.line("path: "));
    assert!(path.join("LICENSE.md").exists());
    assert!(!path.join("third_party/glm/doc").exists() && !path.join("setup.py").exists());
    assert!(ended.says("note: non-commercial licence of the original rasterizer accepted by a test"));
}

fn checkout(fixture: &Fixture, with_glm: bool) -> std::path::PathBuf {
    let dir = fixture.repo.join("vendor/diff-gaussian-rasterization");
    fs::create_dir_all(dir.join("cuda_rasterizer")).unwrap();
    fs::create_dir_all(dir.join("third_party/glm")).unwrap();
    fs::write(dir.join("cuda_rasterizer/rasterizer.h"), "bool antialiasing").unwrap();
    if with_glm {
        fs::create_dir_all(dir.join("third_party/glm/glm")).unwrap();
        fs::write(dir.join("third_party/glm/glm/glm.hpp"), "// own").unwrap();
    }
    dir
}

#[test]
fn a_users_checkout_goes_before_the_pins_and_is_reported_as_unpinned() {
    let fixture = Fixture::new();
    let dir = checkout(&fixture, true);
    for stale in ["build", "dist", "diff_gaussian_rasterization.egg-info"] {
        fs::create_dir_all(dir.join(stale)).unwrap();
    }
    fs::create_dir_all(dir.join(".git/refs/heads")).unwrap();
    fs::write(dir.join(".git/HEAD"), "ref: refs/heads/dr_aa\n").unwrap();
    fs::write(dir.join(".git/refs/heads/dr_aa"), "9c5c2028f6fbee2be239bc4c9421ff894fe4fbe0\n").unwrap();
    let ended = fixture.run(&fixture.original()).succeeded();
    assert_eq!(Path::new(ended.line("path: ")), dir);
    assert_eq!(ended.line("version: "), "unpinned checkout, git 9c5c2028f6fb pinned=false");
    assert!(ended.says("`build`, `diff_gaussian_rasterization.egg-info`, `dist`"), "{}", ended.text());
    assert!(!ended.says("say:"), "nothing is fetched: {}", ended.text());
    assert!(dir.join("build").exists(), "what is the user's is left alone");
}

#[test]
fn a_checkout_without_glm_gets_the_pinned_one() {
    let fixture = Fixture::new();
    let dir = checkout(&fixture, false);
    let ended = fixture.run(&fixture.original()).succeeded();
    // Both lie in one folder, as the engine's build looks for them.
    let path = Path::new(ended.line("path: "));
    assert!(
        path.join("third_party/glm/glm/glm.hpp").exists()
            && path.join("cuda_rasterizer/rasterizer.h").exists()
    );
    assert_eq!(Path::new(ended.line("glm: ")), path.join("third_party/glm"));
    assert!(ended.says("note: it lacks GLM"), "{}", ended.text());
    assert!(!dir.join("third_party/glm/glm").exists(), "nothing is written into the checkout");

    let offline = Order { offline: true, home: fixture.dir.path().join("empty"), ..fixture.original() };
    let ended = fixture.start_with(&offline, |_| {}).end().failed_saying(&["lacks GLM"]);
    assert!(ended.line("hint: ").contains("submodule update --init"), "{}", ended.text());
}

#[test]
fn a_checkout_of_the_first_generation_is_named_before_anything_is_compiled() {
    let fixture = Fixture::new();
    let dir = checkout(&fixture, true);
    fs::write(dir.join("cuda_rasterizer/rasterizer.h"), "static int forward(bool prefiltered)").unwrap();
    let ended = fixture.run(&fixture.original()).failed_saying(&["first generation", "no antialiasing"]);
    assert!(ended.line("hint: ").contains("checkout dr_aa"), "{}", ended.text());
}

#[test]
fn a_folder_that_is_no_rasterizer_is_refused() {
    let fixture = Fixture::new();
    fs::create_dir_all(fixture.repo.join("vendor/diff-gaussian-rasterization")).unwrap();
    let ended = fixture.run(&fixture.original()).failed_saying(&["has no `cuda_rasterizer/rasterizer.h`"]);
    assert!(ended.line("hint: ").contains("submodule update"), "{}", ended.text());
}
