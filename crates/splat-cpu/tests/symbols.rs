//! Which symbols there are: the C library exports one, and a Rust program that links the engine has none.

mod support;

use object::{Object, ObjectSymbol};

fn symbols(path: &std::path::Path, exported: bool) -> Vec<String> {
    let bytes = std::fs::read(path).expect("the file is there");
    let file = object::File::parse(&*bytes).expect("an object file");
    let name =
        |s: object::Symbol<'_, '_>| s.is_definition().then(|| s.name().ok().map(str::to_owned)).flatten();
    if exported {
        file.dynamic_symbols().filter_map(name).collect()
    } else {
        file.symbols().filter_map(name).collect()
    }
}

#[cfg(target_os = "linux")]
#[test]
#[expect(clippy::print_stdout, reason = "a test says on stdout that it was skipped")]
fn the_library_exports_its_entry_alone_and_no_program_has_it() {
    assert_eq!(symbols(&support::library(), true), ["splat_engine_get"]);
    // Linked here, too.
    assert_eq!(splat_cpu::engine().capabilities().name, "cpu");
    let own = symbols(&std::env::current_exe().expect("this test's path"), false);
    if own.is_empty() {
        // As `cargo xtask bundle` carries it.
        println!("skipped: this program is stripped of its symbols");
        return;
    }
    assert!(own.iter().any(|s| s.contains("splat_cpu")), "the symbols of this program are readable");
    assert!(!own.iter().any(|s| s == "splat_engine_get"), "a Rust program defines splat_engine_get");
}
