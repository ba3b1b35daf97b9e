//! Finding engine libraries: real ones in temporary folders, beside files that are none.
#![expect(clippy::print_stdout, reason = "one test is its own child, which prints what it found")]

mod support;

use std::path::PathBuf;
use std::sync::Arc;

use splat_engine::registry::{FindError, Origin, Registry};
use splat_engine::{DeviceKind, LoadError};

use support::{c_library, file_name, library};

/// A folder with a copy of the CPU engine under that engine's name.
fn folder(engine: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join(file_name(engine));
    std::fs::copy(library(), &file).expect("the library is copied");
    (folder, file)
}

#[test]
fn a_library_in_a_folder_is_found_by_its_name_and_loaded_once() {
    let (folder, file) = folder("cpu");
    std::fs::write(folder.path().join("notes.txt"), "no library").expect("written");
    let registry = Registry::with_places(vec![folder.path().to_owned()]);
    let listed = registry.engines();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!((listed[0].name.as_str(), &listed[0].origin), ("cpu", &Origin::Found(file.clone())));
    let named = registry.find("cpu").expect("by name");
    let by_path = registry.find(file.to_str().expect("UTF-8")).expect("by path");
    let on_device = registry.for_device(DeviceKind::Cpu).expect("by device");
    let elsewhere = Registry::with_places(vec![file]).find("cpu").expect("as a file, by another registry");
    for other in [by_path, on_device, elsewhere] {
        assert!(Arc::ptr_eq(&named, &other), "one engine per library and process");
    }
}

#[test]
fn the_engine_s_own_name_counts_and_not_the_file_s() {
    let (folder, _) = folder("mine");
    let registry = Registry::with_places(vec![folder.path().to_owned()]);
    assert_eq!(registry.engines()[0].name, "cpu");
    assert!(registry.find("cpu").is_ok() && registry.find("mine").is_err());
}

#[test]
fn a_linked_engine_comes_before_a_library_and_keeps_its_name() {
    let (folder, _) = folder("cpu");
    let registry = Registry::with_places(vec![folder.path().to_owned()]);
    let linked = splat_cpu::engine();
    assert!(registry.register(linked.clone()) && !registry.register(splat_cpu::engine()));
    assert!(Arc::ptr_eq(&linked, &registry.find("cpu").expect("by name")));
    assert!(Arc::ptr_eq(&linked, &registry.for_device(DeviceKind::Cpu).expect("by device")));
    let origins: Vec<_> = registry.engines().into_iter().map(|l| l.origin).collect();
    assert!(matches!(origins.as_slice(), [Origin::Linked, Origin::Found(_)]), "{origins:?}");
}

#[test]
fn libraries_that_cannot_be_used_are_listed_with_the_reason() {
    let (folder, _) = folder("cpu");
    std::fs::write(folder.path().join(file_name("broken")), "no library").expect("written");
    c_library(folder.path(), "older", "int splat_engine_abi_version(void) { return 3; }");
    c_library(
        folder.path(),
        "newer",
        "static const unsigned table[2] = {8, 0}; \
         const void *splat_engine_get(unsigned id, unsigned version) { return version == 5 ? table : 0; }",
    );
    let missing = folder.path().join("missing");
    let registry = Registry::with_places(vec![folder.path().to_owned(), missing.clone()]);
    let listed = registry.engines();
    let of = |name: &str| {
        let found = listed.iter().find(|l| l.name == name);
        found.unwrap_or_else(|| panic!("{name} is listed")).engine.as_ref().map(|_| ())
    };
    assert!(of("cpu").is_ok());
    assert!(matches!(of("broken"), Err(LoadError::Open { .. })));
    assert!(matches!(of("older"), Err(LoadError::Symbol { .. })));
    assert!(matches!(of("newer"), Err(LoadError::Abi { found: Some(5), .. })));
    assert!(
        matches!(of(""), Err(LoadError::Open { library, .. }) if *library == missing.display().to_string())
    );
    assert_eq!(listed.len(), 5, "{listed:?}");
}

#[test]
fn an_unknown_engine_is_answered_with_what_there_is_and_where_was_searched() {
    let (folder, file) = folder("cpu");
    c_library(folder.path(), "other", "int answer(void) { return 42; }");
    let registry = Registry::with_places(vec![folder.path().to_owned()]);
    let error = registry.find("nope").expect_err("no such engine");
    assert!(matches!(error, FindError::Unknown { .. }));
    let text = error.to_string();
    let parts = [
        "no engine `nope`",
        &format!("`cpu` ({})", file.display()),
        "does not export `splat_engine_get`",
        &format!("searched: {};", folder.path().display()),
        "hint:",
        "SPLAT_ENGINES",
    ];
    assert!(parts.iter().all(|part| text.contains(part)), "`{text}` should have {parts:?}");
    let cuda = registry.for_device(DeviceKind::Cuda).expect_err("no CUDA engine").to_string();
    assert!(cuda.contains("no CUDA engine"), "{cuda}");
    let path = registry.find("no/such/library.so").expect_err("no such file");
    assert!(matches!(path, FindError::Load(LoadError::Open { .. })), "{path}");
}

/// The documented places, in a process of its own because they follow from its environment.
#[test]
fn the_documented_places_are_searched_in_their_order() {
    const ROLE: &str = "SPLAT_TEST_LISTS_ENGINES";
    if std::env::var_os(ROLE).is_some() {
        for listed in Registry::default().engines() {
            println!("found {}", listed.origin);
        }
        return;
    }
    let (given, first) = folder("one");
    let (home, _) = folder("unused");
    let cache = home.path().join("v1").join("engines");
    std::fs::create_dir_all(&cache).expect("created");
    let second = cache.join(file_name("two"));
    std::fs::copy(library(), &second).expect("copied");
    let run = |home: &std::path::Path| {
        let output = std::process::Command::new(std::env::current_exe().expect("this test's path"))
            .args(["--exact", "the_documented_places_are_searched_in_their_order", "--nocapture"])
            .env(ROLE, "1")
            .env("SPLAT_ENGINES", std::env::join_paths([given.path()]).expect("a path list"))
            .env("SPLATWRIGHT_HOME", home)
            .output();
        let text = String::from_utf8_lossy(&output.expect("this test runs").stdout).into_owned();
        let found = text.lines().filter_map(|line| line.strip_prefix("found ").map(PathBuf::from));
        found.collect::<Vec<_>>()
    };
    let found = run(home.path());
    assert_eq!((found.first(), found.last()), (Some(&first), Some(&second)), "{found:?}");
    // An empty cache is no broken library.
    let found = run(given.path());
    assert!(found.iter().all(|path| path.exists()) && found.first() == Some(&first), "{found:?}");
}
