//! S01 to S18: what this project's own commands find about provisioning, the repository and the machine. Rules find all
//! of them; none is a failure of torch or CUDA.

use super::{Entry, fatal, harmless, late};

const EXT: &str = "does not concern extensions of other projects";

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    fatal("S01", "no Python can install packages")
        .because("PATH has no Python 3 with pip, or none for which the row has wheels")
        .then("what is missing cannot be installed")
        .mend("`sudo apt install python3 python3-pip python3-venv`, or choose another row: `cargo xtask switch list`")
        .own(EXT).ruled(),
    fatal("S02", "there is no C++ compiler")
        .because("PATH has neither c++ nor g++ nor clang++")
        .then("nothing is compiled")
        .mend("`sudo apt install g++`")
        .own("the same").ruled(),
    fatal("S03", "the disk has too little space")
        .because("packages and their unpacked files are on the disk at the same time for a while")
        .then("bringing them would fill the disk")
        .mend("`cargo xtask clean --cache --dry-run` lists what can be removed; or set SPLATWRIGHT_HOME to a folder on a larger disk")
        .own(EXT).ruled(),
    harmless("S04", "the engine `inria` is left out")
        .because("its sources are licensed for non-commercial research only, and that licence has not been accepted")
        .then("the other engines are built")
        .mend("read the licence, then `cargo xtask build --accept-license inria`")
        .own(EXT).ruled(),
    harmless("S05", "packages will be installed")
        .because("the plan uses packages that are not in our cache yet")
        .then("the next build fetches them once")
        .mended("nothing to do")
        .own(EXT).ruled(),
    fatal("S06", "the row has no pinned packages")
        .because("this repository pins no packages for the row, and its torch is not installed")
        .then("there is no torch to build against")
        .mend("`cargo xtask switch list` shows the rows whose packages are pinned")
        .own(EXT).ruled(),
    fatal("S08", "something is missing, and nothing may be fetched")
        .because("`--offline` was given")
        .then("the build stops before it starts")
        .mend("run `cargo xtask build` once with a network connection, or copy the cache folder from another machine")
        .own(EXT).ruled(),
    harmless("S09", "your own copy of the original's sources is used")
        .because("vendor/diff-gaussian-rasterization is there, and it is used as it is")
        .then("nothing pins its contents")
        .mend("move the folder elsewhere to build the pinned sources")
        .own(EXT).ruled(),
    fatal("S10", "Rust is too old")
        .because("the workspace needs a newer version")
        .then("the workspace does not compile")
        .mend("`rustup update stable`")
        .own(EXT).ruled(),
    fatal("S11", "a variable points torch-sys to another torch")
        .because("LIBTORCH_USE_PYTORCH, LIBTORCH_INCLUDE or LIBTORCH_LIB is set")
        .then("torch-sys ignores the torch of the plan")
        .mend("unset the variable; to name a torch, set LIBTORCH")
        .own(EXT).ruled(),
    fatal("S12", "there is no such row")
        .because("the table has no row with the version that was asked for")
        .then("nothing is planned")
        .mend("`cargo xtask switch list` shows the rows")
        .own(EXT).ruled(),
    fatal("S13", "the sources of our kernels are missing")
        .because("the engine `cuda` was asked for, and this tree does not contain its sources")
        .then("it cannot be built")
        .mend("`cargo xtask build --engines cpu,inria`")
        .own(EXT).ruled(),
    late("S14", "the recorded choices cannot be used")
        .because("`.cargo/toolchain.toml` is damaged, or names a torch that is gone")
        .then("cargo and editors fail, or use nothing of it")
        .mend("`cargo xtask build` chooses again; a damaged file may be moved away first")
        .own(EXT).ruled(),
    late("S15", "an installation in the cache is incomplete")
        .because("its installation was interrupted, or files were removed")
        .then("it is not used")
        .mended("`cargo xtask build` installs it again")
        .own(EXT).ruled(),
    harmless("S16", "an earlier plan is still in use")
        .because("something on the machine changed since the last build")
        .then("cargo and editors use the old plan")
        .mended("`cargo xtask build` puts the new plan into use")
        .own(EXT).ruled(),
    late("S17", "a program does not answer")
        .because("it was stopped after five seconds; nvidia-smi hangs when the driver does")
        .then("the plan is made without its answer")
        .mend("run the program by hand; a GPU can be stated: SPLATWRIGHT_DRIVER=580.65.06 SPLATWRIGHT_GPUS=86")
        .own("the plan is made without its answer").ruled(),
    fatal("S18", "no active Python has torch")
        .because("torch is installed in no environment that is active")
        .then("there is no torch to build an extension for")
        .mend("activate the environment, or name its interpreter: `cargo xtask ext build ... --python PYTHON`")
        .own("torch is brought").ruled(),
];
