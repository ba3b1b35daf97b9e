//! Compiles the engine with feature `compile`; without it does nothing and needs nothing.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "compile")]
    splat_engine_build::Engine::new("inria")
        .version_from("SPLATWRIGHT_INRIA_VERSION", "unpinned")
        .foreign_sources(
            "SPLATWRIGHT_INRIA_SOURCE",
            "SPLAT_INRIA_SOURCE",
            &["cuda_rasterizer/rasterizer_impl.cu", "third_party/glm/glm/glm.hpp"],
            "read the licence (non-commercial research and evaluation only), then `git clone --recursive \
             https://github.com/graphdeco-inria/diff-gaussian-rasterization` (branch `dr_aa`) and set \
             SPLATWRIGHT_INRIA_SOURCE to that folder",
        )
        .build();
}
