//! Tells the build scripts of dependents where `splat_engine.h` is: `DEP_SPLAT_ENGINE_INCLUDE`.

fn main() {
    let root = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    println!("cargo::rerun-if-changed=include/splat_engine.h");
    println!("cargo::metadata=include={root}/include");
}
