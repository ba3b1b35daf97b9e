//! E01 to E14: which CUDA toolkit is taken, and whether it is whole.

use super::{
    Entry, fatal, harmless, late,
    pattern::{cccl, command, header, name, shared, texts},
};

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    fatal("E01", "the toolkit's CUDA major version is not torch's")
        .because("torch's build helper compares the release that nvcc prints with torch.version.cuda, and stops if the major numbers differ")
        .then("no extension is compiled; torch 2.11 and newer print the message as an unformatted tuple of the text and the versions")
        .mend("build with a toolkit of torch's major version: `cargo xtask switch cuda 12.6` if it is installed, `cargo xtask ext build --cuda managed` for 13.x. Or use a torch for the toolkit's CUDA: `cargo xtask torch plan --cuda 13.0`. There is no need to patch torch's check")
        .own("does not matter: our kernels do not use torch's headers, and they link the CUDA runtime statically")
        .ruled()
        .logs(&[texts(&[
            "The detected CUDA version*mismatches the version that was used to compile",
            "The detected CUDA version (%s) mismatches",
        ])])
        .seen(&["gs#722", "gs#605", "mip-splatting#65", "GAGAvatar#21", "dgr#54", "gaussian-head#13"]),
    harmless("E02", "the toolkit's CUDA minor version is not torch's")
        .because("torch compares the whole release, although CUDA is compatible within one major version")
        .then("torch prints a warning; the build is good")
        .mended("nothing to do")
        .own("does not matter")
        .ruled()
        .logs(&[texts(&["has a minor version mismatch with the version that was used to compile"])])
        .seen(&["gs#237", "gs#385", "gs#126"]),
    fatal("E03", "no CUDA toolkit was found")
        .because("neither CUDA_HOME nor CUDA_PATH is set, nvcc is not on PATH, and the usual folder does not exist")
        .then("torch refuses to build anything with CUDA")
        .mended("if a toolkit is installed anywhere, CUDA_HOME is set to it for this build; otherwise `cargo xtask ext build --cuda managed` brings the compiler of CUDA 13.0")
        .own("`cargo xtask build` looks in more places than torch, and brings a compiler when there is none")
        .ruled()
        .logs(&[
            texts(&[
                "CUDA_HOME environment variable is not set",
                "CUDA_HOME does not exist, unable to compile CUDA op",
                "No CMAKE_CUDA_COMPILER could be found",
                "Could NOT find CUDAToolkit",
                "Could NOT find CUDA (missing",
                "Could not find CUDA (missing",
            ]),
            command(&["nvcc"]),
        ])
        .seen(&["ManiGaussian#4", "gs#520", "4DGaussians#107", "CityGaussian#49", "fused-ssim#10", "dreamgaussian#127"]),
    fatal("E04", "torch is a CPU build")
        .because("the installed wheel has no CUDA part (its version ends in `+cpu`, or torch/version.py says cuda = None); such a torch reports that CUDA_HOME is not set, whatever it is set to")
        .then("no extension with CUDA can be built or used with it")
        .mend("`cargo xtask torch plan --cuda 13.0` names the wheels with CUDA for this interpreter")
        .own("kernels are built and checked, but tch cannot give them tensors on the GPU")
        .ruled()
        .logs(&[
            texts(&["CUDA_HOME environment variable is not set"]).in_log(&["+cpu", "cuda = None", "CUDA used to build PyTorch: None"]),
            texts(&["Torch not compiled with CUDA enabled"]),
        ])
        .over(&["E03"])
        .seen(&["InstantSplat#41", "2d-gaussian-splatting surfel#11", "tcnn#426", "video_to_world#4"]),
    fatal("E05", "CUDA_HOME names the wrong folder, a list, or nvcc itself")
        .because("CUDA_HOME must be the folder that holds bin/nvcc; often it is a list as in PATH, the folder bin, or the folder that holds all versions")
        .then("nvcc is looked for at a path that does not exist")
        .mended("the part that is a toolkit is used, and the output says so; for other tools: `export CUDA_HOME=<the folder above bin/nvcc>`")
        .own("the part that is a toolkit is used; a value that leads nowhere is an error that names toolkits which exist")
        .ruled()
        .logs(&[texts(&[
            "No such file or directory: ':/",
            "No such file or directory: '*bin/nvcc'",
            "bin/nvcc: No such file or directory",
            "bin/nvcc: not found",
            "nvcc not found at '*Ensure CUDA path",
        ])])
        .seen(&["gs#659", "gs#831", "warp-ctc#153"]),
    late("E06", "torch would take another toolkit than the one that fits")
        .because("torch takes CUDA_HOME, then the first nvcc on PATH, then (on Windows) the lowest version number, and looks no further")
        .then("E01 or E20, although a toolkit that fits is installed")
        .mended("the build is given the toolkit that fits; `cargo xtask switch cuda VERSION --print-env sh` prints the settings for your own shell")
        .own("every toolkit is considered, and the one that fits best is used")
        .ruled()
        .seen(&["pytorch#78708", "NMRF#7", "GaussianShader#27"]),
    harmless("E07", "nvidia-smi's CUDA version is not the toolkit's")
        .because("the table of nvidia-smi is headed by the newest CUDA that the driver can run; the toolkit (nvcc) and torch have versions of their own")
        .then("nothing is wrong, but the numbers look as if they contradicted each other")
        .mended("nothing to do: `cargo xtask doctor` shows the three versions in three rows")
        .own("the three versions are shown in three rows")
        .ruled()
        .seen(&["backpacks-flash-attn#2", "apex#550", "onnx#3491"]),
    fatal("E08", "the toolkit's folders are not where torch expects them")
        .because("conda keeps headers in targets/x86_64-linux/include and libraries in lib, Debian spreads the toolkit over /usr, and the pip packages have a folder lib without libcudart.so")
        .then("cuda_runtime.h or -lcudart is not found")
        .mended("the real folders are passed in CPATH and LIBRARY_PATH, and a missing link is made in the build's own folder")
        .own("the folders of headers and libraries are recognised by what they contain")
        .ruled()
        .logs(&[header(&["cuda_runtime.h", "cuda_runtime_api.h", "cuda.h", "cuda_fp16.h", "cublas_v2.h", "cusparse.h", "cusolver", "curand"])])
        .seen(&["nerfstudio#2748", "torch-linear-assignment#2", "pytorch-cpu-feedstock#487", "marimo#10929", "NoPoSplat#80"]),
    fatal("E09", "conda's cudatoolkit has no compiler")
        .because("the conda package `cudatoolkit` holds only libraries for running programs")
        .then("there is no nvcc, although conda lists CUDA")
        .mend("`conda install -c nvidia/label/cuda-12.4.0 cuda-nvcc cuda-cudart-dev`, with the CUDA version of your torch")
        .own("`cargo xtask build` brings a compiler when there is none")
        .ruled()
        .seen(&["gs#237", "ManiGaussian#4"]),
    fatal("E10", "the toolkit is too old")
        .because("the first nvcc that is found is older than 11 (torch's flags need that) or than 12.0 (this project needs that)")
        .then("nvcc does not know the options that it is given")
        .mended("another toolkit is used if one fits; `cargo xtask switch list` shows them")
        .own("toolkits older than 12.0 are not used")
        .ruled()
        .logs(&[texts(&[
            "nvcc fatal*Unknown option '--generate-dependencies-with-compile",
            "nvcc fatal*Unknown option '-static-global-template-stub",
            "nvcc fatal*Value 'c++17' is not defined for option 'std'",
            "nvcc fatal*Value 'c++20' is not defined for option 'std'",
        ])])
        .seen(&["OOTDiffusion#65"]),
    fatal("E11", "CUB and Thrust moved in CUDA 13")
        .because("from CUDA 13.0 on they are in include/cccl, which nvcc searches by itself and the C++ compiler does not")
        .then("a .cpp file that includes them does not compile")
        .mended("include/cccl is passed as a search folder; by hand: `export CPATH=$CUDA_HOME/include/cccl`")
        .own("only nvcc compiles files that include them")
        .ruled()
        .logs(&[header(&["thrust/", "cub/", "cuda/std/", "nv/target"])])
        .seen(&["pytorch#170303", "abacus#7155", "autovfx#3"]),
    fatal("E12", "the DLLs of CUDA 13 are in bin\\x64")
        .because("the Windows toolkit moved its DLLs into a folder below bin, and older tools search bin alone")
        .then("cudart64_13.dll is not found when the extension is imported")
        .mended("bin\\x64 and bin\\x86_64 are added to the search path where they exist")
        .own("the CUDA runtime is linked statically; `cargo xtask switch` adds the folder for other libraries")
        .ruled()
        .logs(&[shared(&["cudart64_13.dll", "cublas64_13.dll", "nvrtc64_130"])])
        .over(&["E73", "E103"])
        .seen(&["pytorch#162383", "tinygrad#16112", "cudarc#451", "Scoop Main#7787"]),
    late("E13", "the toolkit's files name different versions")
        .because("two toolkits were unpacked into one folder, or version.json was left over from another one")
        .then("tools that read different files disagree, and headers or ptxas may not belong to the compiler")
        .mend("`cargo xtask switch list` shows the other toolkits; install this one again, into a folder of its own")
        .own("the version that nvcc prints counts")
        .ruled()
        .logs(&[texts(&["ptxas*Unsupported .version"]).without(&["application ptx input"])])
        .seen(&[]),
    fatal("E14", "CUB 3 and Thrust 3 removed names that the sources use")
        .because("CUDA 13 brings CCCL 3, in which cub::Max, cub::Min, cub::Sum and others that had long been deprecated are gone")
        .then("the .cu files that use them do not compile: namespace \"cub\" has no member \"Max\"")
        .mended("a header that brings the names back is included into every CUDA file from outside; by hand: build with a toolkit of CUDA 12.x, or write cuda::maximum, cuda::minimum and cuda::std::plus in the sources instead")
        .own("our kernels do not use CUB")
        .ruled()
        .logs(&[name(&["CUB_MAX", "CUB_MIN", "CUB_QUOTIENT_CEILING", "CUB_ROUND_UP_NEAREST"]), cccl(&[
            "Max", "Min", "Sum", "Equality", "Inequality", "InequalityWrapper", "Difference", "Division", "ArgMax", "ArgMin",
            "Swap", "BinaryFlip", "LaneId", "WarpId", "LaneMaskLt", "LaneMaskLe", "LaneMaskGt", "LaneMaskGe", "If", "Equals",
            "TransformInputIterator", "ConstantInputIterator", "CountingInputIterator", "DiscardOutputIterator",
            "FpLimits", "GridBarrier", "GridBarrierLifetime", "Mutex", "AliasTemporaries", "BAR", "CTA_SYNC", "SHR_ADD",
            "DeviceSpmv", "Int2Type", "unary_function", "binary_function", "not1", "not2", "unary_negate",
            "binary_negate", "WARP_SYNC", "RemoveQualifiers",
        ])])
        .seen(&["faster-gaussian-splatting#12", "onnxruntime#24774", "onnxruntime-genai#1802", "Grid#487", "LichtFeld-Studio#499"]),
];
