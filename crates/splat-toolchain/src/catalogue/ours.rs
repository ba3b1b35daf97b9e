//! S01 to S18: what this project's own commands find about provisioning, the repository and the machine. All by rule;
//! none is a failure of torch or CUDA.

use super::{Entry, fatal, harmless, late};

const EXT: &str = "does not concern other projects' extensions";

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    fatal("S01", "no Python that can install packages")
        .because("there is no Python 3 with pip on PATH, or none that the row's wheels are for")
        .then("what is missing cannot be installed")
        .mend("`sudo apt install python3 python3-pip python3-venv`, or `cargo xtask switch list` for another row")
        .own(EXT).ruled(),
    fatal("S02", "no C++ compiler")
        .because("neither c++ nor g++ nor clang++ is on PATH")
        .then("nothing is compiled")
        .mend("`sudo apt install g++`")
        .own("the same").ruled(),
    fatal("S03", "the disk is too small")
        .because("packages lie beside their unpacked files for a while")
        .then("bringing them would fill the disk")
        .mend("`cargo xtask clean --cache --dry-run` lists ours; or set SPLATWRIGHT_HOME to a larger disk")
        .own(EXT).ruled(),
    harmless("S04", "the engine `inria` is left out")
        .because("its sources are licensed for non-commercial research, and that has not been accepted")
        .then("the other engines are built")
        .mend("`cargo xtask build --accept-license inria`, after reading the licence")
        .own(EXT).ruled(),
    harmless("S05", "packages will be installed")
        .because("the plan uses installations of ours that are not in the cache yet")
        .then("the next build fetches them once")
        .mended("nothing to do")
        .own(EXT).ruled(),
    fatal("S06", "a row without pins")
        .because("this repository pins no packages for the row, and its torch is not installed")
        .then("there is no torch to build against")
        .mend("`cargo xtask switch list` shows the rows that can be brought")
        .own(EXT).ruled(),
    fatal("S08", "nothing may be fetched, and something is missing")
        .because("`--offline` was given")
        .then("the build stops before it starts")
        .mend("`cargo xtask build` once with a network, or copy the cache's folder from another machine")
        .own(EXT).ruled(),
    harmless("S09", "sources of your own")
        .because("a checkout lies at vendor/diff-gaussian-rasterization and is used as it is")
        .then("nothing pins what it holds")
        .mend("move it away to build the pinned sources")
        .own(EXT).ruled(),
    fatal("S10", "Rust is too old")
        .because("the workspace is written for a newer one")
        .then("it does not compile")
        .mend("`rustup update stable`")
        .own(EXT).ruled(),
    fatal("S11", "a variable leads torch-sys elsewhere")
        .because("LIBTORCH_USE_PYTORCH, LIBTORCH_INCLUDE or LIBTORCH_LIB is set")
        .then("torch-sys ignores the torch of the plan")
        .mend("unset it; LIBTORCH is the way to name a torch")
        .own(EXT).ruled(),
    fatal("S12", "no such row")
        .because("the row that was asked for is not in the table")
        .then("nothing is planned")
        .mend("`cargo xtask switch list`")
        .own(EXT).ruled(),
    fatal("S13", "our kernels are not in this tree")
        .because("the engine `cuda` was asked for and its sources are not here")
        .then("it cannot be built")
        .mend("`cargo xtask build --engines cpu,inria`")
        .own(EXT).ruled(),
    late("S14", "the recorded choices cannot be used")
        .because("`.cargo/toolchain.toml` is damaged, or names a torch that is gone")
        .then("cargo and editors fail or use nothing")
        .mend("`cargo xtask build` chooses again; a damaged file may be deleted")
        .own(EXT).ruled(),
    late("S15", "an incomplete installation in the cache")
        .because("installing it was interrupted, or files were removed")
        .then("it is not used")
        .mended("`cargo xtask build` installs it again")
        .own(EXT).ruled(),
    harmless("S16", "an earlier plan is in force")
        .because("something on the machine changed since the last build")
        .then("plain cargo and editors use the old plan")
        .mended("`cargo xtask build` puts the new one in force")
        .own(EXT).ruled(),
    late("S17", "a program does not answer")
        .because("it was ended after five seconds; nvidia-smi hangs when the driver does")
        .then("what it would say is unknown to the plan")
        .mend("run it by hand; a GPU can be stated: SPLATWRIGHT_DRIVER=580.65.06 SPLATWRIGHT_GPUS=86")
        .own("the plan goes on without its answer").ruled(),
    fatal("S18", "no active Python has torch")
        .because("torch is in no environment that is active")
        .then("there is nothing to build an extension for")
        .mend("activate the environment, or name its interpreter: `cargo xtask ext build ... --python PYTHON`")
        .own("torch is brought").ruled(),
];
