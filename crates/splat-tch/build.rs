//! Compiles the autograd node (`cpp/`) against the headers of the libtorch that tch uses, and links this
//! package's tests and examples with it. No network, no CUDA.

fn main() {
    print!("{}", splat_toolchain::link::torch_directives());
    println!("cargo::rerun-if-changed=src/ffi/bridge.rs");
    println!("cargo::rerun-if-changed=cpp");
    // torch_directives() has said why, and cargo ends the build with it.
    let Ok(torch) = splat_toolchain::link::torch() else { return };

    let mut build = cxx_build::bridge("src/ffi/bridge.rs");
    build.file("cpp/render.cpp").std("c++17");
    let msvc = build.get_compiler().is_like_msvc();
    for folder in &torch.includes {
        if msvc {
            build.include(folder);
        } else {
            // As system headers: their warnings are not ours.
            build.flag("-isystem").flag(folder.as_os_str());
        }
    }
    if !msvc {
        build.define("_GLIBCXX_USE_CXX11_ABI", if torch.cxx11_abi { "1" } else { "0" });
    }
    build.compile("splat_tch");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        // dlsym; part of libc itself since glibc 2.34.
        println!("cargo::rustc-link-lib=dl");
    }
}
