//! E60 to E64: the driver, and which CUDA runtime a process gets.

use super::{Entry, late, line};

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    late("E60", "the driver is too old for this PTX")
        .because("PTX is translated by the driver, and a driver older than the toolkit does not know its version; machine code for the GPU itself would run")
        .then("the first kernel fails with error 222")
        .mend("build machine code for this GPU: `cargo xtask ext build ... --arch 86`; or update the driver")
        .own("machine code is made for every GPU present; the plan refuses PTX that the driver cannot translate")
        .ruled()
        .logs(&[line(&["PTX was compiled with an unsupported toolchain"])])
        .seen(&["CCPi-Regularisation#211", "diffvg#84", "PWC-Net#138", "gvdb#120"]),
    late("E61", "the driver is too old for this CUDA")
        .because("each CUDA major version has an oldest driver (12: 525.60, 13: 580.65)")
        .then("no CUDA program of that version runs at all")
        .mend("update the NVIDIA driver, or take a torch and toolkit of an older CUDA: `cargo xtask torch plan --cuda 12.6`")
        .own("toolkits that the driver cannot run are passed over")
        .ruled()
        .logs(&[
            line(&["CUDA driver version is insufficient for CUDA runtime version"]),
            line(&["The NVIDIA driver on your system is too old"]),
        ])
        .seen(&["nunif#702"]),
    late("E62", "the driver's own library is not found")
        .because("libcuda.so.1 comes with the driver, not with a toolkit; under WSL it lies in /usr/lib/wsl/lib; a toolkit's stubs folder is for linking only")
        .then("every CUDA program ends at once")
        .mend("under WSL: `export LD_LIBRARY_PATH=/usr/lib/wsl/lib`; in a container: run it with `--gpus all`; elsewhere install the driver")
        .own("it is opened by name when a CUDA engine is used, and never linked")
        .ruled()
        .logs(&[line(&["libcuda.so.1", "cannot open shared object file"])])
        .seen(&["cudarc#296", "cudarc#255", "cuda-python#17", "WSL#8587"]),
    late("E63", "the CUDA runtime of another version is wanted")
        .because("the extension is linked with libcudart.so of a version that neither torch nor the system brings")
        .then("it cannot be imported")
        .mend("build it again for this torch: `cargo xtask ext build`")
        .own("the CUDA runtime is linked statically")
        .logs(&[line(&["libcudart.so", "cannot open shared object file"])])
        .over(&["E103"])
        .seen(&["dreamgaussian#126", "pytorch#131284"]),
    late("E64", "two CUDA major versions in one process")
        .because("a library of another major version (cuBLAS, cudart) is loaded beside torch's")
        .then("handles of one are unknown to the other: wrong results or a crash")
        .mend("build the extension with a toolkit of torch's major version: `cargo xtask switch list` shows which there are")
        .own("the CUDA runtime is linked statically and no other CUDA library is used")
        .ruled()
        .seen(&[]),
];
