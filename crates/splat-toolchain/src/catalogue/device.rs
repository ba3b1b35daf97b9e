//! E50 to E58: which GPUs the machine code is for.

use super::{Entry, architecture, fatal, late, pattern::texts};

/// CUDA 13 knows this compute capability and newer ones.
const TURING: u32 = 75;

fn newer(line: &str) -> bool {
    architecture(line).is_none_or(|arch| arch >= TURING)
}

fn older(line: &str) -> bool {
    architecture(line).is_some_and(|arch| arch < TURING)
}

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    late("E50", "there is no machine code for this GPU")
        .because("the extension (or torch) was compiled for other architectures, without PTX that the driver could translate")
        .then("the first kernel fails")
        .mend("`cargo xtask ext build ... --arch 86`, with the number of your GPU, which `cargo xtask doctor` shows")
        .own("machine code is made for every GPU that is present, or for a list from Turing on; verify-import reads it back")
        .logs(&[texts(&[
            "no kernel image is available for execution on the device",
            "cudaErrorNoKernelImageForDevice",
            "CUDA_ERROR_NO_BINARY_FOR_GPU",
            "device kernel image is invalid",
            "invalid device function",
            "cudaErrorInvalidDeviceFunction",
        ])])
        .seen(&["gsplat#1053", "tcnn#230", "tcnn#490", "uv#14742"]),
    late("E51", "the GPU is newer than torch")
        .because("torch contains no machine code for an architecture as new as this GPU's")
        .then("torch warns, and its kernels fail")
        .mend("use a torch that knows the GPU (RTX 50: torch 2.7 or newer, with CUDA 12.8): `cargo xtask torch plan --cuda 12.8`")
        .own("the same, because torch's kernels are torch's own")
        .ruled()
        .logs(&[texts(&["is not compatible with the current PyTorch installation", "which is of cuda capability"]).when(newer)])
        .over(&["E50"])
        .seen(&["pytorch#150733", "gs#1295", "gs#1215", "gs#1313", "gs#319"]),
    fatal("E52", "the GPU is newer than nvcc")
        .because("this nvcc does not know the architecture (120 needs CUDA 12.8, 89 needs 11.8)")
        .then("no .cu file is compiled")
        .mended("another toolkit of torch's major version is used if one knows the GPU; otherwise PTX for the highest known architecture is made, which the driver translates")
        .own("a toolkit that knows the GPU is preferred; otherwise PTX is made")
        .ruled()
        .logs(&[texts(&["Unsupported gpu architecture", "is not defined for option 'gpu-architecture'"]).when(newer)])
        .seen(&["nvdiffrast#51", "Gaussian-LIC#14", "3detr#59"]),
    fatal("E53", "the GPU is older than nvcc or torch supports")
        .because("CUDA 13, and torch with CUDA 12.8 or newer, dropped GPUs before Turing (7.5) step by step")
        .then("no .cu file is compiled for the GPU, or torch has no machine code for it")
        .mend("use a toolkit of CUDA 12.x and a torch built with 12.6: `cargo xtask switch cuda 12.6` and `cargo xtask torch plan --cuda 12.6`")
        .own("a toolkit of CUDA 12.x is used if one is installed")
        .ruled()
        .logs(&[texts(&[
            "Unsupported gpu architecture",
            "is not defined for option 'gpu-architecture'",
            "is not compatible with the current PyTorch installation",
            "which is of cuda capability",
        ])
        .when(older)])
        .over(&["E50"])
        .seen(&["xmipp3#1074", "pytorch#190385"]),
    fatal("E54", "no GPU is visible, and no architecture was named")
        .because("without TORCH_CUDA_ARCH_LIST torch asks the GPUs that are present, and while a container image is built there is none")
        .then("IndexError: list index out of range")
        .mended("an explicit list is set; by hand: `export TORCH_CUDA_ARCH_LIST=\"8.6;9.0+PTX\"`")
        .own("a list from Turing to Blackwell is used if no GPU is visible")
        .ruled()
        .logs(&[
            texts(&["arch_list[-1] += '+PTX'", "Unknown compute capability. Specify the target compute capabilities"]),
            texts(&["IndexError: list index out of range"]).just_before(&["_get_cuda_arch_flags", "arch_list"]),
        ])
        .seen(&["gs#126", "gs#332", "pytorch#137261", "CenterPoint#234", "tcnn#200", "tcnn#388"]),
    fatal("E55", "torch cannot read TORCH_CUDA_ARCH_LIST")
        .because("torch takes numbers with a dot or its own capitalised names, separated by `;` or one space; it refuses `8.6,8.9`, `sm_86`, `86` and a `;` at the end")
        .then("ValueError: Unknown CUDA arch")
        .mended("the list is rewritten in torch's form, and the output says what changed")
        .own("the variable is not read; architectures are given as `--arch 86,89`")
        .ruled()
        .logs(&[texts(&["Unknown CUDA arch ("])])
        .seen(&["pytorch#166120"]),
    late("E56", "a path contains the word `arch`")
        .because("torch adds no -gencode flag if any other flag contains `arch`; that happens where sources pass -I with an absolute path, below a folder such as research or archive")
        .then("machine code for nvcc's default architecture alone (5.2, from 13.0 on 7.5): the first launch translates PTX, or fails with an old driver")
        .mended("the extension is built in a folder without that word, outside of its sources")
        .own("torch's flags are not used")
        .ruled()
        .seen(&["pytorch#111211"]),
    late("E57", "-arch=native without a GPU")
        .because("nvcc asks the GPUs that are present, and uses its default without an error if there is none")
        .then("machine code for the wrong GPU")
        .mended("architectures are always given as numbers; by hand: replace `native` by numbers in the variable or file that says it")
        .own("architectures are always given as numbers")
        .ruled()
        .logs(&[texts(&["Cannot find valid GPU for '-arch=native'", "CUDA_ARCHITECTURES is set to \"native\", but no"])])
        .seen(&[]),
    fatal("E58", "the name Blackwell means architectures that this nvcc lacks")
        .because("torch reads `Blackwell` as 10.0, 10.3, 12.0 and 12.1, of which nvcc 12.8 knows only 10.0 and 12.0")
        .then("E52, although the toolkit knows the GPU")
        .mended("numbers are set instead; by hand: `export TORCH_CUDA_ARCH_LIST=\"12.0+PTX\"`")
        .own("architectures are always given as numbers")
        .ruled()
        .seen(&[]),
];
