//! E100 to E105: tch and torch-sys.

use super::{Entry, fatal, late, line};

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    late("E100", "libtorch_cuda was left out by the linker")
        .because("nothing in a Rust program names a symbol of libtorch_cuda, so the linker drops it")
        .then("Cuda::is_available() is false, and tensors cannot be made on the GPU")
        .mend("link it by name: `cargo:rustc-link-arg=-Wl,--no-as-needed -ltorch_cuda` in the program's build script, or depend on splat-tch, which does")
        .own("splat-tch's build script links it, and verify-import checks the program")
        .logs(&[line(&["Could not run 'aten::", "with arguments from the 'CUDA' backend"])])
        .seen(&["tch#980", "tch#907", "tch#329", "tch#177", "tch#291", "tch#489", "pytorch#72396"]),
    fatal("E101", "tch and torch are of different releases")
        .because("each tch release is generated for exactly one libtorch")
        .then("torch-sys refuses; where its check is bypassed or sees no version, its C++ does not compile after minutes (a function `is not a member of 'torch'`), or the program crashes")
        .mend("in your own crate write the tch that fits: 0.24 for torch 2.11, 0.20 for 2.7, 0.17 for 2.4 (`cargo add tch` takes the newest, and so does `cargo install` without --locked); in a clone `cargo xtask switch torch 2.7` puts a pair in force, and `cargo xtask switch list` shows all")
        .own("rows of torch and tch are kept together; the lock is checked")
        .ruled()
        .logs(&[
            line(&["this tch version expects PyTorch"]),
            line(&["is not a member of", "torch"]).in_log(&["torch-sys", "libtch", "torch_api"]),
            line(&["needs libtorch", "but the libtorch in"]),
        ])
        .seen(&["tch#742", "tch#949", "tch#918", "mahout#872"]),
    late("E102", "LIBTORCH_CXX11_ABI contradicts torch")
        .because("torch-sys compiles its glue with the ABI that the variable says, 1 where it says nothing; pip's torch up to 2.6 has 0")
        .then("undefined symbols with __cxx11 when linking")
        .mend("`unset LIBTORCH_CXX11_ABI`: `cargo xtask build` sets what torch itself says")
        .own("torch's own ABI is read and set")
        .ruled()
        .seen(&["tch#95", "tch#798"]),
    late("E103", "the program does not find libtorch when it starts")
        .because("libtorch lies in no folder that the loader knows")
        .then("the program ends before main")
        .mend("`cargo xtask switch torch 2.11 --print-env sh` prints the search path; programs run by `cargo run` and `cargo xtask` have it")
        .own("the folder is recorded in the programs (RPATH), and xtask sets PATH on Windows")
        .logs(&[
            line(&["error while loading shared libraries: libtorch"]),
            line(&["error while loading shared libraries: libc10"]),
            line(&["0xc0000135"]),
            line(&["STATUS_DLL_NOT_FOUND"]),
            line(&["STATUS_ENTRYPOINT_NOT_FOUND"]),
        ])
        .seen(&["tch#820", "tch#128", "tch#915", "diffusers-rs#75", "burn#3862"]),
    fatal("E104", "torch-sys finds no libtorch")
        .because("LIBTORCH is not set or names a folder without lib, or TORCH_CUDA_VERSION asks for one that torch-sys cannot fetch (it knows cpu, cu118 to cu128)")
        .then("torch-sys does not build")
        .mend("`cargo xtask build`, which finds or brings torch and tells cargo; `unset TORCH_CUDA_VERSION`")
        .own("LIBTORCH is set for cargo by `.cargo/toolchain.toml`")
        .ruled()
        .logs(&[
            line(&["Cannot find a libtorch install, you can either"]),
            line(&["TORCH_CUDA_VERSION may be set incorrectly"]),
        ])
        .seen(&[]),
    fatal("E105", "torch-sys compiles with C++17, and torch demands C++20")
        .because("the build script of torch-sys names -std=c++17, and torch's headers need C++20 from 2.15 on")
        .then("torch-sys does not build")
        .mend("`cargo xtask switch torch 2.11`: a row whose headers take C++17")
        .own("rows end before that torch; a libtorch of one's own is checked")
        .ruled()
        .logs(&[line(&["C++20 or later compatible compiler is required"]).in_log(&["torch-sys", "libtch"])])
        .over(&["E33"])
        .seen(&[]),
];
