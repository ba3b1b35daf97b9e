//! X01 to X05: what is found in the wheel of another project's extension, and in its setup.py. None is read from a log.

use super::{Entry, fatal, harmless, late};

const OWN: &str = "our own build has no setup.py";

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    fatal("X01", "the wheel holds no compiled module")
        .because("setup.py left the extension out, as some do where they see no GPU or no nvcc; or the package compiles its sources at its first import")
        .then("`import` finds Python files alone")
        .mend("look in setup.py for the variable that decides, and set it: `--env NAME=VALUE`. A package that compiles itself is installed as it is")
        .own(OWN).ruled(),
    late("X02", "no module of the wheel holds GPU code")
        .because("setup.py built a CppExtension, or left the .cu files out")
        .then("the module imports and lacks its CUDA functions")
        .mend("look in setup.py for the variable that decides, and set it: `--env NAME=VALUE`")
        .own(OWN).ruled(),
    fatal("X03", "a module does not import after torch")
        .because("a symbol or a library is missing, which other findings then name; or the package needs something at import that is not installed")
        .then("the wheel is not handed over; where the module loads and only a package around it is missing, it is, with a warning")
        .mend("read the findings beside it first; then install what the message names, and try `ext verify WHEEL` again")
        .own(OWN).ruled(),
    harmless("X04", "setup.py reads variables")
        .because("it decides by them what it builds, and for which GPUs")
        .then("those that mean architectures are set; the others are as they are in your environment")
        .mend("`--env NAME=VALUE` sets another value")
        .own(OWN).ruled(),
    late("X05", "setup.py names files above its folder")
        .because("the extension shares headers or sources with the project around it")
        .then("a build in a copy of that folder alone does not find them")
        .mend("name the folder above, and the extension's own by `--subfolder`: then all of it is copied")
        .own(OWN).ruled(),
];
