//! E60 to E69: the driver, which CUDA runtime a process gets, and errors of CUDA while a program runs.

use super::{
    Entry, late,
    pattern::{shared, symbol, texts},
};

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    late("E60", "the driver is too old for this PTX")
        .because("the driver translates PTX, and one that is older than the toolkit does not know the PTX's version; machine code for the GPU itself would run")
        .then("the first kernel fails with error 222")
        .mend("build machine code for this GPU: `cargo xtask ext build ... --arch 86`; or update the driver")
        .own("machine code is made for every GPU that is present; the plan refuses PTX that the driver cannot translate")
        .ruled()
        .logs(&[texts(&[
            "PTX was compiled with an unsupported toolchain",
            "cudaErrorUnsupportedPtxVersion",
            "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
            "application ptx input*Unsupported .version",
        ])])
        .seen(&["CCPi-Regularisation#211", "diffvg#84", "PWC-Net#138", "gvdb#120"]),
    late("E61", "the driver is too old for this CUDA")
        .because("each major version of CUDA needs a minimum driver (12: 525.60, 13: 580.65)")
        .then("no program with that version of CUDA runs at all")
        .mend("update the NVIDIA driver, or use a torch and a toolkit of an older CUDA: `cargo xtask torch plan --cuda 12.6`")
        .own("toolkits that the driver cannot run are not used")
        .ruled()
        .logs(&[texts(&[
            "CUDA driver version is insufficient for CUDA runtime version",
            "cudaErrorInsufficientDriver",
            "The NVIDIA driver on your system is too old",
            "forward compatibility was attempted on non supported HW",
            "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
        ])])
        .seen(&["nunif#702"]),
    late("E62", "the driver's own library is not found")
        .because("libcuda.so.1 comes with the driver, not with a toolkit; under WSL it is in /usr/lib/wsl/lib, and a toolkit's folder stubs is for linking only")
        .then("every CUDA program ends at once")
        .mend("under WSL: `export LD_LIBRARY_PATH=/usr/lib/wsl/lib`; in a container: start it with `--gpus all`; elsewhere: install the driver")
        .own("it is opened by name when a CUDA engine is used, and never linked")
        .ruled()
        .logs(&[shared(&["libcuda.so", "nvcuda.dll"]), texts(&["Found no NVIDIA driver on your system"])])
        .seen(&["cudarc#296", "cudarc#255", "cuda-python#17", "WSL#8587"]),
    late("E63", "the CUDA runtime of another version is needed")
        .because("the extension is linked with libraries of a CUDA version that neither torch nor the system has")
        .then("it cannot be imported")
        .mend("build it again for this torch: `cargo xtask ext build`")
        .own("the CUDA runtime is linked statically")
        .logs(&[shared(&[
            "libcudart.so", "libcublas.so", "libcublasLt.so", "libcusparse.so", "libcusolver.so", "libcufft.so", "libcurand.so",
            "libnvrtc.so", "cudart64_110", "cudart64_12", "cublas64_11", "cublas64_12",
        ])])
        .over(&["E103"])
        .seen(&["dreamgaussian#126", "pytorch#131284"]),
    late("E64", "two CUDA major versions are in one process")
        .because("a library of another version (cuBLAS, cudart, nvJitLink) is loaded beside torch's, for example from a folder in LD_LIBRARY_PATH")
        .then("neither knows the handles or symbols of the other: a failing import, wrong results or a crash")
        .mend("take other toolkits' folders out of LD_LIBRARY_PATH, and build the extension with a toolkit of torch's major version: `cargo xtask switch list` shows them")
        .own("the CUDA runtime is linked statically, and no other CUDA library is used")
        .ruled()
        .logs(&[symbol(&["__nvJitLink", "cublasLt", "cusparse", "cudaGetDriverEntryPoint", "cudnn"])])
        .seen(&[]),
    late("E65", "the GPU ran out of memory")
        .because("the scene, its images and what training keeps of them need more memory than is free on the GPU; other programs may hold some of it")
        .then("the program stops in the middle of a run")
        .mend("`nvidia-smi` shows who holds memory. Train with smaller images (the original: `-r 2`; also `--data_device cpu`) or with fewer Gaussians. If torch reports much memory as reserved but unallocated: `export PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True`")
        .own("a run that runs out of memory saves what it has, and says which settings need less")
        .logs(&[texts(&[
            "CUDA out of memory",
            "CUDA error: out of memory",
            "CUDA_ERROR_OUT_OF_MEMORY",
            "cudaErrorMemoryAllocation",
            "cudaMalloc*out of memory",
            "CUDA driver error: out of memory",
            "cuda runtime error (2)",
            "CUBLAS_STATUS_ALLOC_FAILED",
            "CUDNN_STATUS_ALLOC_FAILED",
        ]),
        texts(&["out of memory"]).just_before(&["[CUDA ERROR] in"])])
        .seen(&["gs#41"]),
    late("E66", "a kernel used memory that it does not own")
        .because("a kernel got a wrong size, index or pointer, or values such as NaN from which it computed one; the line that is shown is often a later one, because kernels run asynchronously")
        .then("the process cannot use the GPU any more; other errors after this one are consequences")
        .mend("run it again with `CUDA_LAUNCH_BLOCKING=1`, which names the call that fails, and with `compute-sanitizer python train.py`, which names the kernel. Make sure first that the extension was built for this torch and GPU")
        .own("the engines check sizes and values before they launch a kernel; report it if one fails nevertheless")
        .logs(&[texts(&[
            "an illegal memory access was encountered",
            "cudaErrorIllegalAddress",
            "CUDA_ERROR_ILLEGAL_ADDRESS",
            "CUDA error: misaligned address",
            "CUDA error: unspecified launch failure",
            "CUDA_ERROR_LAUNCH_FAILED",
            "CUDA error: device-side assert triggered",
            "an illegal instruction was encountered",
            "CUBLAS_STATUS_EXECUTION_FAILED",
            "CUDNN_STATUS_EXECUTION_FAILED",
        ])])
        .seen(&["LichtFeld-Studio#96", "gs#41"]),
    late("E67", "no GPU is visible to the program")
        .because("the machine has no NVIDIA GPU, CUDA_VISIBLE_DEVICES hides it or names one that is not there, or a container was started without GPUs")
        .then("CUDA does not start")
        .mend("`nvidia-smi` must list the GPU in the same shell or container: `unset CUDA_VISIBLE_DEVICES`, and start containers with `--gpus all`")
        .own("the engine `cpu` is used")
        .logs(&[texts(&[
            "no CUDA-capable device is detected",
            "No CUDA GPUs are available",
            "CUDA_ERROR_NO_DEVICE",
            "CUDA driver initialization failed, you might not have a CUDA gpu",
            "invalid device ordinal",
            "CUDA unknown error - this may be due to an incorrectly set up environment",
            "on a CUDA device but torch.cuda.is_available() is False",
        ])])
        .seen(&[]),
    late("E68", "the loaded driver and its libraries are of different versions")
        .because("the driver was updated while the old one was loaded, or a container brings libraries of another version")
        .then("nvidia-smi and every CUDA program fail")
        .mend("restart the machine, so that the new driver is loaded")
        .own("the same")
        .logs(&[texts(&[
            "Driver/library version mismatch",
            "system has unsupported display driver / cuda driver combination",
            "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
        ])])
        .seen(&[]),
    late("E69", "CUDA refused to launch a kernel, or ended one that ran too long")
        .because("a launch has no blocks (nothing is left to draw: no Gaussians, or no points), or more threads or shared memory than the GPU has; where the GPU also draws the screen, the system ends a kernel after some seconds")
        .then("the program stops in the middle of a run")
        .mend("print how many Gaussians or points go into the call that fails: with 0 of them look at what was loaded or pruned. If it is `launch timed out`, use smaller images or a GPU without a screen")
        .own("empty scenes are drawn as the background, and sizes are checked before a kernel is launched")
        .logs(&[texts(&[
            "CUDA error: invalid configuration argument",
            "cudaErrorInvalidConfiguration",
            "too many resources requested for launch",
            "cudaErrorLaunchOutOfResources",
            "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES",
            "the launch timed out and was terminated",
            "cudaErrorLaunchTimeout",
            "CUDA_ERROR_LAUNCH_TIMEOUT",
        ])])
        .seen(&[]),
];
