//! E01 to E13: which CUDA toolkit is taken, and whether it is whole.

use super::{Entry, fatal, harmless, late, line};

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    fatal("E01", "the toolkit's CUDA major version is not torch's")
        .because("torch's build helper compares the release that nvcc prints with torch.version.cuda and ends on another major number")
        .then("no extension is compiled; torch from 2.11 on prints the message as an unformatted pair of text and versions")
        .mend("build with a toolkit of torch's major version: `cargo xtask switch cuda 12.6` if it is installed, `cargo xtask ext build --cuda managed` for 13.x, or a torch of the toolkit's CUDA: `cargo xtask torch plan --cuda 13.0`. Torch's check need not be patched")
        .own("does not matter: the kernels never see torch and bring their own CUDA runtime")
        .ruled()
        .logs(&[
            line(&["The detected CUDA version", "mismatches the version that was used to compile"]),
            line(&["The detected CUDA version (%s) mismatches"]),
        ])
        .seen(&["gs#722", "gs#605", "mip-splatting#65", "GAGAvatar#21", "dgr#54", "gaussian-head#13"]),
    harmless("E02", "the toolkit's CUDA minor version is not torch's")
        .because("torch compares the whole release; within one major version CUDA is compatible")
        .then("a warning; the build is good")
        .mended("nothing to do")
        .own("does not matter")
        .ruled()
        .logs(&[
            line(&["has a minor version mismatch with the version that was used to compile"]),
        ])
        .seen(&["gs#237", "gs#385", "gs#126"]),
    fatal("E03", "no CUDA toolkit was found")
        .because("neither CUDA_HOME nor CUDA_PATH is set, nvcc is not on PATH, and the usual folder does not exist")
        .then("torch refuses to build anything with CUDA")
        .mended("CUDA_HOME is set for the build alone when a toolkit lies anywhere; when none does: `cargo xtask ext build --cuda managed` brings the compiler of 13.0")
        .own("`cargo xtask build` looks in more places than torch and brings a compiler when there is none")
        .ruled()
        .logs(&[line(&["CUDA_HOME environment variable is not set"])])
        .seen(&["ManiGaussian#4", "gs#520", "4DGaussians#107", "CityGaussian#49", "fused-ssim#10", "dreamgaussian#127"]),
    fatal("E04", "torch is a CPU build")
        .because("the installed wheel has no CUDA part (version `+cpu`, or cuda = None in torch/version.py); torch then says that CUDA_HOME is not set, whatever it is set to")
        .then("no extension with CUDA can be built or used with it")
        .mend("`cargo xtask torch plan --cuda 13.0` names the wheels with CUDA for this interpreter")
        .own("kernels are built and checked, but tch cannot hand them tensors on the GPU")
        .ruled()
        .logs(&[
            line(&["CUDA_HOME environment variable is not set"]).in_log(&["+cpu", "cuda = None", "CUDA used to build PyTorch: None"]),
            line(&["Torch not compiled with CUDA enabled"]).in_log(&["+cpu", "CUDA used to build PyTorch: None"]),
        ])
        .over(&["E03", "E81"])
        .seen(&["InstantSplat#41", "2d-gaussian-splatting surfel#11", "tcnn#426", "video_to_world#4"]),
    fatal("E05", "CUDA_HOME names the wrong level, a list, or nvcc itself")
        .because("CUDA_HOME must be the folder that holds bin/nvcc; people put PATH-like lists, bin, or the folder of all versions into it")
        .then("nvcc is looked for in a path that cannot exist")
        .mended("the part that is a toolkit is taken and said; `export CUDA_HOME=<the folder above bin/nvcc>` mends it for other tools")
        .own("the part that is a toolkit is taken; one that leads nowhere is an error that names what would serve")
        .ruled()
        .logs(&[
            line(&["No such file or directory: ':/"]),
            line(&["nvcc not found at '", "Ensure CUDA path"]),
        ])
        .seen(&["gs#659", "gs#831", "warp-ctc#153"]),
    late("E06", "torch would take another toolkit than the one that fits")
        .because("torch takes CUDA_HOME, then the first nvcc on PATH, then (on Windows) the lowest version number, and never looks further")
        .then("E01 or E20 although a fitting toolkit is installed")
        .mended("the fitting toolkit is named to the build; `cargo xtask switch cuda VERSION --print-env sh` prints it for your own shell")
        .own("every toolkit is ranked by fit")
        .ruled()
        .seen(&["pytorch#78708", "NMRF#7", "GaussianShader#27"]),
    harmless("E07", "the CUDA version of nvidia-smi is taken for the toolkit's")
        .because("nvidia-smi heads its table with the newest CUDA that the driver runs; the toolkit (nvcc) and torch have versions of their own")
        .then("people change what is right")
        .mended("nothing to do: `cargo xtask doctor` shows the three as three rows")
        .own("the three are three rows")
        .ruled()
        .seen(&["backpacks-flash-attn#2", "apex#550", "onnx#3491"]),
    fatal("E08", "the toolkit is laid out as torch does not expect")
        .because("conda keeps headers in targets/x86_64-linux/include and libraries in lib; Debian spreads the toolkit over /usr; the pip packages have lib without libcudart.so")
        .then("cuda_runtime.h or -lcudart is not found")
        .mended("the real folders are passed by CPATH and LIBRARY_PATH, and a missing link is made in the build's own folder")
        .own("header and library folders are found by what lies in them")
        .ruled()
        .logs(&[
            line(&["fatal error", "cuda_runtime.h", "No such file"]),
            line(&["fatal error", "cuda_runtime_api.h", "No such file"]),
            line(&["C1083", "cuda_runtime.h"]),
        ])
        .seen(&["nerfstudio#2748", "torch-linear-assignment#2", "pytorch-cpu-feedstock#487", "marimo#10929"]),
    fatal("E09", "conda's cudatoolkit has no compiler")
        .because("the conda package `cudatoolkit` holds libraries for running programs only")
        .then("there is no nvcc although conda lists CUDA")
        .mend("`conda install -c nvidia/label/cuda-12.4.0 cuda-nvcc cuda-cudart-dev`, with the version of torch's CUDA")
        .own("`cargo xtask build` brings a compiler when there is none")
        .ruled()
        .seen(&["gs#237", "ManiGaussian#4"]),
    fatal("E10", "the toolkit is too old")
        .because("an nvcc older than 11 (torch's flags) or 12.0 (this project's) comes first")
        .then("it does not know the options it is given")
        .mended("another toolkit is taken where one fits; `cargo xtask switch list` shows them")
        .own("toolkits below 12.0 are passed over")
        .ruled()
        .logs(&[line(&["nvcc fatal", "Unknown option", "--generate-dependencies-with-compile"])])
        .seen(&["OOTDiffusion#65"]),
    fatal("E11", "CUB and Thrust moved in CUDA 13")
        .because("from 13.0 on they lie in include/cccl, which nvcc adds by itself and the host compiler does not")
        .then("a .cpp file that includes them is not compiled")
        .mended("include/cccl is passed as a search folder")
        .own("only nvcc compiles files that include them")
        .ruled()
        .logs(&[
            line(&["fatal error", "thrust/", "No such file"]),
            line(&["fatal error", "cub/", "No such file"]),
            line(&["C1083", "thrust/"]),
            line(&["C1083", "cub/"]),
        ])
        .seen(&["pytorch#170303", "abacus#7155"]),
    fatal("E12", "the DLLs of CUDA 13 lie in bin\\x64")
        .because("the Windows toolkit moved its DLLs below bin, and old tools add bin alone")
        .then("cudart64_13.dll is not found when the extension is imported")
        .mended("bin\\x64 and bin\\x86_64 are added where they exist")
        .own("the CUDA runtime is linked statically; `cargo xtask switch` adds the folder for other libraries")
        .ruled()
        .logs(&[line(&["cudart64_13.dll"])])
        .over(&["E73", "E103"])
        .seen(&["pytorch#162383", "tinygrad#16112", "cudarc#451", "Scoop Main#7787"]),
    late("E13", "the toolkit's files name different versions")
        .because("two toolkits were unpacked into one folder, or version.json is stale")
        .then("tools that read one file or the other disagree, and headers may not be the compiler's")
        .mend("`cargo xtask switch list` shows the others; install the toolkit anew into a folder of its own")
        .own("what nvcc prints counts")
        .ruled()
        .seen(&[]),
];
