//! Compiles the engine with feature `compile`; without it does nothing and needs nothing.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "compile")]
    splat_engine_build::Engine::new("cuda").build();
}
