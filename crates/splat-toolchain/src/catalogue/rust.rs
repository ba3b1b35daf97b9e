//! E100 to E105: tch and torch-sys.

use super::{
    Entry, fatal, late,
    linking::ABI_NAMES,
    pattern::{reference, texts},
};

/// What shows in a log that torch-sys was compiled or linked.
const TORCH_SYS: &[&str] = &["torch-sys", "torch_sys", "libtch", "torch_api"];

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    late("E100", "the linker left out libtorch_cuda")
        .because("nothing in a Rust program names a symbol of libtorch_cuda, so the linker drops it")
        .then("Cuda::is_available() is false, and tensors cannot be made on the GPU")
        .mend("link it by name: `cargo:rustc-link-arg=-Wl,--no-as-needed -ltorch_cuda` in the program's build script, or depend on splat-tch, which does so")
        .own("splat-tch's build script links it, and verify-import checks the program")
        .logs(&[texts(&["Could not run 'aten::*with arguments from the 'CUDA' backend"])])
        .seen(&["tch#980", "tch#907", "tch#329", "tch#177", "tch#291", "tch#489", "pytorch#72396"]),
    fatal("E101", "tch and torch are of different releases")
        .because("each release of tch is generated for exactly one libtorch")
        .then("torch-sys refuses to build; if its check is bypassed or sees no version, its C++ fails after minutes (a function `is not a member of 'torch'`, or the linker lacks one), or the program crashes")
        .mend("in your own crate name the tch that fits: 0.24 for torch 2.11, 0.20 for 2.7, 0.17 for 2.4 (`cargo add tch` takes the newest, and so does `cargo install` without --locked); in a clone `cargo xtask switch torch 2.7` chooses a pair, and `cargo xtask switch list` shows all of them")
        .own("rows of torch and tch are kept together, and Cargo.lock is checked")
        .ruled()
        .logs(&[
            texts(&["this tch version expects PyTorch", "needs libtorch*but the libtorch in"]),
            texts(&["is not a member of*torch", "in namespace 'torch", "in namespace 'at'"]).in_log(TORCH_SYS),
            reference(&["c10::", "at::", "torch::"]).without(&["__cxx11", "std::string"]).in_log(TORCH_SYS),
        ])
        .over(&["E70"])
        .seen(&["tch#742", "tch#949", "tch#918", "mahout#872"]),
    late("E102", "LIBTORCH_CXX11_ABI contradicts torch")
        .because("torch-sys compiles its C++ with the ABI that the variable names, or 1 if it is not set; the torch of pip up to 2.6 has 0")
        .then("the linker lacks symbols with __cxx11")
        .mend("`unset LIBTORCH_CXX11_ABI`, then `cargo xtask build`, which sets what torch itself says; in a crate of your own: `export LIBTORCH_CXX11_ABI=0` for a torch of pip up to 2.6, or use libtorch's \"cxx11 ABI\" download")
        .own("torch's own ABI is read and set")
        .ruled()
        .logs(&[reference(ABI_NAMES).in_log(TORCH_SYS)])
        .over(&["E70", "E72"])
        .seen(&["tch#95", "tch#798", "tch#880"]),
    late("E103", "the program does not find libtorch when it starts")
        .because("libtorch is in no folder that the loader searches")
        .then("the program ends before main")
        .mend("`cargo xtask switch torch 2.11 --print-env sh` prints the search path; programs that `cargo run` and `cargo xtask` start have it")
        .own("the folder is recorded in the programs (RPATH), and xtask sets PATH on Windows")
        .logs(&[texts(&[
            "error while loading shared libraries: libtorch",
            "error while loading shared libraries: libc10",
            "Error loading shared library libtorch",
            "Library not loaded: *libtorch",
            "Library not loaded: *libc10",
            "torch_cpu.dll was not found",
            "torch_cpu.dll wurde nicht gefunden",
            "找不到 torch_cpu.dll",
            "0xc0000135",
            "STATUS_DLL_NOT_FOUND",
            "STATUS_ENTRYPOINT_NOT_FOUND",
        ])])
        .seen(&["tch#820", "tch#128", "tch#915", "diffusers-rs#75", "burn#3862"]),
    fatal("E104", "torch-sys finds no libtorch")
        .because("LIBTORCH is not set or names a folder without lib, or TORCH_CUDA_VERSION asks for one that torch-sys cannot fetch (it knows cpu and cu118 to cu128)")
        .then("torch-sys does not build")
        .mend("`cargo xtask build`, which finds or brings torch and tells cargo about it; before that `unset TORCH_CUDA_VERSION`")
        .own("LIBTORCH is set for cargo by `.cargo/toolchain.toml`")
        .ruled()
        .logs(&[texts(&["Cannot find a libtorch install, you can either", "TORCH_CUDA_VERSION may be set incorrectly"])])
        .seen(&[]),
    fatal("E105", "torch-sys compiles with C++17, and torch demands C++20")
        .because("the build script of torch-sys passes -std=c++17, and torch's headers need C++20 from 2.15 on")
        .then("torch-sys does not build")
        .mend("`cargo xtask switch torch 2.11` chooses a row whose headers take C++17")
        .own("the rows end before that torch; a libtorch of your own is checked")
        .ruled()
        .logs(&[texts(&["C++20 or later compatible compiler is required"]).in_log(TORCH_SYS)])
        .over(&["E33"])
        .seen(&[]),
];
