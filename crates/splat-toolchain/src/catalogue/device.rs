//! E50 to E58: which GPUs the machine code is for.

use super::{Entry, architecture, fatal, late, line};

fn newer(line: &str) -> bool {
    architecture(line).is_none_or(|arch| arch >= 75)
}

fn older(line: &str) -> bool {
    architecture(line).is_some_and(|arch| arch < 75)
}

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    late("E50", "no machine code for this GPU")
        .because("the extension (or torch) was compiled for other architectures, without PTX that could be translated")
        .then("the first kernel fails")
        .mend("`cargo xtask ext build ... --arch 86` with the GPU's number (`cargo xtask doctor` shows it)")
        .own("machine code is made for every GPU present, or for a list from Turing on; verify-import reads it back")
        .logs(&[
            line(&["no kernel image is available for execution on the device"]),
        ])
        .seen(&["gsplat#1053", "tcnn#230", "tcnn#490", "uv#14742"]),
    late("E51", "the GPU is newer than torch")
        .because("torch's own machine code ends below this GPU's architecture")
        .then("torch warns and its kernels fail")
        .mend("a torch that knows the GPU (RTX 50: 2.7 or newer with CUDA 12.8): `cargo xtask torch plan --cuda 12.8`")
        .own("the same: torch's kernels are torch's")
        .ruled()
        .logs(&[
            line(&["is not compatible with the current PyTorch installation"]),
            line(&["The current PyTorch install supports CUDA capabilities"]),
        ])
        .over(&["E50"])
        .seen(&["pytorch#150733", "gs#1295", "gs#1215", "gs#1313", "gs#319"]),
    fatal("E52", "the GPU is newer than nvcc")
        .because("this nvcc does not know the architecture (120 needs 12.8, 89 needs 11.8)")
        .then("no .cu file is compiled")
        .mended("another toolkit of torch's major version is taken where one knows it; else PTX of the highest known one is made, which the driver translates")
        .own("a toolkit that knows the GPU is preferred, else PTX is made")
        .ruled()
        .logs(&[line(&["Unsupported gpu architecture"]).when(newer)])
        .seen(&["nvdiffrast#51", "Gaussian-LIC#14", "3detr#59"]),
    fatal("E53", "the GPU is older than nvcc")
        .because("CUDA 13 dropped everything before Turing (7.5)")
        .then("no .cu file is compiled for it, and torch built with CUDA 13 has no code for it")
        .mend("a 12.x toolkit and a torch built with 12.6: `cargo xtask switch cuda 12.6` and `cargo xtask torch plan --cuda 12.6`")
        .own("a 12.x toolkit is taken where one is installed")
        .ruled()
        .logs(&[line(&["Unsupported gpu architecture"]).when(older)])
        .seen(&["xmipp3#1074", "pytorch#190385"]),
    fatal("E54", "no GPU, and nobody said for which")
        .because("without TORCH_CUDA_ARCH_LIST torch asks the GPUs present, and in a container build there is none")
        .then("IndexError: list index out of range")
        .mended("an explicit list is set; by hand: `export TORCH_CUDA_ARCH_LIST=\"8.6;9.0+PTX\"`")
        .own("a list from Turing to Blackwell is used when no GPU is visible")
        .ruled()
        .logs(&[
            line(&["arch_list[-1] += '+PTX'"]),
            line(&["IndexError: list index out of range"]).in_log(&["_get_cuda_arch_flags", "cpp_extension"]),
            line(&["Unknown compute capability. Specify the target compute capabilities"]),
        ])
        .seen(&["gs#126", "gs#332", "pytorch#137261", "CenterPoint#234", "tcnn#200", "tcnn#388"]),
    fatal("E55", "TORCH_CUDA_ARCH_LIST is not written as torch reads it")
        .because("only numbers with a dot, or its own capitalised names, separated by `;` or one space; `8.6,8.9`, `sm_86`, `86` and a trailing `;` are refused")
        .then("ValueError: Unknown CUDA arch")
        .mended("the list is written anew from what it means, and what changed is said")
        .own("the variable is not read; `--arch 86,89`")
        .ruled()
        .logs(&[line(&["Unknown CUDA arch ("])])
        .seen(&["pytorch#166120"]),
    late("E56", "the word `arch` in a path")
        .because("torch makes no -gencode flag when any flag contains `arch`; sources that pass -I with an absolute path do, below a folder such as research or archive")
        .then("machine code for nvcc's default only (5.2, from 13.0 on 7.5): the first launch translates PTX, or fails with an old driver")
        .mended("it is built in a folder without that word, out of the tree")
        .own("torch's flags are not used")
        .ruled()
        .seen(&["pytorch#111211"]),
    late("E57", "-arch=native without a GPU")
        .because("nvcc asks the GPUs present and silently takes its default when there is none")
        .then("machine code for the wrong GPU")
        .mended("architectures are always numbers; by hand: replace `native` by numbers in the variable or file that says it")
        .own("architectures are always numbers")
        .ruled()
        .logs(&[line(&["Cannot find valid GPU for '-arch=native'"])])
        .seen(&[]),
    fatal("E58", "the name Blackwell means architectures that this nvcc lacks")
        .because("torch reads `Blackwell` as 10.0, 10.3, 12.0 and 12.1; nvcc 12.8 knows only the first and third of them")
        .then("E52 although the toolkit knows the GPU")
        .mended("numbers are set instead; by hand: `export TORCH_CUDA_ARCH_LIST=\"12.0+PTX\"`")
        .own("architectures are always numbers")
        .ruled()
        .seen(&[]),
];
