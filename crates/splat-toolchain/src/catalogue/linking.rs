//! E70 to E77: linking and importing.

use super::{
    Entry, fatal, late,
    pattern::{decorated, header, library, reference, symbol, texts},
};

/// Decorations of std::string with either ABI: then the ABI is the cause (E72), and not old objects.
const STRINGS: &[&str] = &["__cxx11", "SourceLocationESs", "std::string"];

/// Names of torch that take a std::string of one ABI or the other.
pub(super) const ABI_NAMES: &[&str] = &[
    "c10::*std::__cxx11::basic_string",
    "c10::*std::string",
    "at::*std::__cxx11::basic_string",
    "at::*std::string",
    "torch::*std::__cxx11::basic_string",
    "torch::*std::string",
];

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    late("E70", "objects of another build were reused")
        .because("build/, dist/ or *.egg-info of a copied or older tree hold objects that were compiled for another torch, CUDA or compiler")
        .then("an undefined symbol of torch (c10::..., _ZN3c10..., _ZN2at...) at linking or at the import")
        .mended("the extension is built in a fresh folder whose name says what it is built with; by hand: move the old objects away (`mv build build.old`) and build again")
        .own("the name of the target folder says the row, and kernels are recognised by a fingerprint")
        .ruled()
        .logs(&[
            symbol(&["_ZN3c10", "_ZNK3c10", "_ZN2at", "_ZNK2at", "_ZN5torch", "THP"]).without(&["GLIBC", "__cxx11", "SourceLocationESs"]),
            reference(&["c10::", "at::", "torch::"]).without(STRINGS),
            decorated(&["@c10@@", "@at@@", "@torch@@"]).without(&["data_ptr@J@"]),
        ])
        .seen(&["dgr#54", "SceneGen#8", "LGM#7", "GaussianAvatar#22", "dreamgaussian#132", "Grendel-GS#11", "gsplat#625"]),
    late("E71", "pip installed a wheel that it had built earlier")
        .because("pip keeps the wheels that it builds, and their names say nothing about torch and CUDA")
        .then("nothing is compiled, and an extension for the old torch is installed")
        .mended("the version of the wheel says torch and CUDA; by hand: `pip install --no-cache-dir --force-reinstall --no-deps --no-build-isolation .`")
        .own("no wheel is made")
        .logs(&[texts(&[
            "Using cached *-linux_x86_64.whl",
            "Using cached diff_*-win_amd64.whl",
            "Using cached simple_knn*-win_amd64.whl",
            "Using cached fused_ssim*-win_amd64.whl",
        ])])
        .seen(&["pytorch_sparse#99"]),
    late("E72", "the old and the new C++ ABI meet")
        .because("torch's Linux wheels up to 2.6 use the old ABI of std::string, and the extension was compiled with the other one")
        .then("an undefined symbol with __cxx11 (or ending in ESs) at linking or at the import")
        .mended("torch's own ABI is passed; by hand: `-D_GLIBCXX_USE_CXX11_ABI=0` or 1, as torch.compiled_with_cxx11_abi() says")
        .own("torch's own ABI is read and passed")
        .logs(&[
            symbol(&["_ZN3c10*SourceLocationESs", "_Z*__cxx1112basic_string"]),
            reference(ABI_NAMES),
        ])
        .over(&["E70"])
        .seen(&["flash#1644", "LoRAEdit#8", "open-r1#684", "pytorch#152790", "pytorch#142064"]),
    late("E73", "Windows cannot load the extension's DLLs")
        .because("a DLL that the .pyd needs is not in torch\\lib, the toolkit's folders or System32, and Windows does not say which one")
        .then("it cannot be imported")
        .mended("`cargo xtask ext build` names the DLL that is missing; by hand: put `import torch` before the import, and install the Visual C++ runtime, which is missing most often")
        .own("verify-import names what is missing")
        .logs(&[texts(&[
            "DLL load failed",
            "[WinError 126]",
            "[WinError 127]",
            "The specified module could not be found",
            "The specified procedure could not be found",
            "Das angegebene Modul wurde nicht gefunden",
            "Die angegebene Prozedur wurde nicht gefunden",
            "找不到指定的模块",
            "找不到指定的程序",
        ])])
        .seen(&["gs#701", "gs#803", "gs#306", "gs#639", "dreamgaussian#100", "PGSR#25"]),
    late("E74", "the extension is imported before torch")
        .because("the libraries that it needs are torch's, and only torch knows where they are")
        .then("libc10.so is not found")
        .mended("`import torch` first, in the extension's own __init__.py")
        .own("xtask runs programs with torch's folder in the search path")
        .logs(&[texts(&[
            "Error: libc10*cannot open shared object file",
            "Error: libtorch*cannot open shared object file",
            "ImportError: dlopen(*Library not loaded: *libc10",
            "ImportError: dlopen(*Library not loaded: *libtorch",
        ])])
        .over(&["E103"])
        .seen(&["flash#1644", "Hunyuan3D-2#162", "extension-cpp#127"]),
    late("E75", "the C or C++ library is older than the wheel needs")
        .because("the wheel was compiled on a newer system, or Python brings an older libstdc++ of its own (conda)")
        .then("it cannot be imported")
        .mend("build it here: `cargo xtask ext build`; with conda also `conda install -c conda-forge libstdcxx-ng`")
        .own("everything is built on the machine that runs it")
        .logs(&[texts(&[
            "version `GLIBCXX_*not found",
            "version `GLIBC_*not found",
            "version `CXXABI_*not found",
            "version 'GLIBCXX_*not found",
            "version 'GLIBC_*not found",
        ])])
        .seen(&["slang-torch#7", "Wiki-GRx-Gym#6", "flash#1762"]),
    fatal("E76", "the linker does not find cudart")
        .because("the toolkit keeps its libraries in another folder than lib64, or has libcudart.so.NN without the name that linkers look for; or the link line does not name it")
        .then("the extension is compiled, but not linked")
        .mended("the real folder is passed in LIBRARY_PATH, and a missing link is made in the build's own folder")
        .own("the static runtime is named by its path")
        .ruled()
        .logs(&[
            library(&["cuda", "cublas", "cusparse", "cusolver", "cufft", "curand", "nvrtc"]),
            reference(&["cudaLaunchKernel", "cudaMalloc", "cudaGetLastError", "__cudaRegister", "__cudaPushCallConfiguration", "__cudaPopCallConfiguration"]),
            decorated(&["__cudaRegister", "cudaLaunchKernel", "cudaGetLastError", "__cudaPushCallConfiguration"]),
        ])
        .over(&["E29"])
        .seen(&["nerfstudio#2748"]),
    fatal("E77", "Python's headers or library are missing")
        .because("distributions pack them apart from Python, and embedded Pythons leave them out")
        .then("Python.h or python3XX.lib is not found")
        .mend("`sudo apt install python3-dev` (or python3.11-dev, as the interpreter is); on Windows use a Python from python.org instead of an embedded one")
        .own("nothing is compiled against Python")
        .ruled()
        .logs(&[header(&["Python.h", "pyconfig.h"]), library(&["python3"])])
        .seen(&["Hunyuan3DWrapper#139"]),
];
