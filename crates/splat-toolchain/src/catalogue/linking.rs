//! E70 to E77: linking and importing.

use super::{Entry, fatal, late, line};

fn stale(line: &str) -> bool {
    !line.contains("GLIBC") && !line.contains("__cxx1112basic_string") && !line.contains("SourceLocationESs")
}

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    late("E70", "objects of another build were reused")
        .because("build/, dist/ or *.egg-info of a copied or older tree hold objects compiled for another torch, CUDA or compiler")
        .then("an undefined symbol of torch (_ZN3c10..., _ZN2at...) when it is imported")
        .mended("it is built in a fresh folder named by what it is built with; by hand: `rm -rf build dist *.egg-info`")
        .own("the target folder is named by the row, kernels by a fingerprint")
        .ruled()
        .logs(&[
            line(&["undefined symbol: _ZN3c10"]).when(stale),
            line(&["undefined symbol: _ZNK3c10"]).when(stale),
            line(&["undefined symbol: _ZN2at"]).when(stale),
            line(&["undefined symbol: _ZN5torch"]).when(stale),
            line(&["undefined symbol: THP"]),
        ])
        .seen(&["dgr#54", "SceneGen#8", "LGM#7", "GaussianAvatar#22", "dreamgaussian#132", "Grendel-GS#11", "gsplat#625"]),
    late("E71", "pip took a wheel that it built earlier")
        .because("pip keeps wheels that it built itself, and their name says nothing of torch and CUDA")
        .then("nothing is compiled, and an extension of the old torch is installed")
        .mended("the wheel's version says torch and CUDA; by hand: `pip install --no-cache-dir --force-reinstall --no-build-isolation .`")
        .own("no wheel is made")
        .logs(&[
            line(&["Using cached ", "-linux_x86_64.whl"]),
        ])
        .seen(&["pytorch_sparse#99"]),
    late("E72", "the old and the new C++ ABI meet")
        .because("torch's Linux wheels up to 2.6 use the old ABI of std::string; the extension was compiled with the other")
        .then("an undefined symbol with __cxx11 (or ending in ESs) when it is imported")
        .mended("torch's own ABI is passed; by hand: `-D_GLIBCXX_USE_CXX11_ABI=0` as torch.compiled_with_cxx11_abi() says")
        .own("torch's own ABI is read and passed")
        .logs(&[
            line(&["undefined symbol: _ZN3c10", "SourceLocation", "__cxx1112basic_string"]),
            line(&["undefined symbol: _ZN3c10", "SourceLocationESs"]),
            line(&["undefined symbol", "__cxx1112basic_string"]),
        ])
        .over(&["E70"])
        .seen(&["flash#1644", "LoRAEdit#8", "open-r1#684", "pytorch#152790", "pytorch#142064"]),
    late("E73", "Windows cannot load the extension's DLLs")
        .because("a DLL that the .pyd needs is not in torch\\lib, the toolkit's folders or System32; Windows does not say which")
        .then("it cannot be imported")
        .mend("`import torch` before it; `cargo xtask ext build` names the missing DLL; the Visual C++ runtime is the usual one besides CUDA's")
        .own("verify-import names what is missing")
        .logs(&[
            line(&["DLL load failed while importing"]),
            line(&["The specified module could not be found"]),
            line(&["The specified procedure could not be found"]),
            line(&["找不到指定的模块"]),
            line(&["找不到指定的程序"]),
        ])
        .seen(&["gs#701", "gs#803", "gs#306", "gs#639", "dreamgaussian#100", "PGSR#25"]),
    late("E74", "the extension is imported before torch")
        .because("its libraries are torch's, and only torch knows where they lie")
        .then("libc10.so is not found")
        .mend("`import torch` first, in the extension's own __init__.py")
        .own("xtask runs programs with torch's folder in the search path")
        .logs(&[
            line(&["ImportError", "libc10.so", "cannot open shared object file"]),
            line(&["ImportError", "libtorch", "cannot open shared object file"]),
        ])
        .over(&["E103"])
        .seen(&["flash#1644", "Hunyuan3D-2#162", "extension-cpp#127"]),
    late("E75", "the C++ or C library is older than the wheel's")
        .because("it was compiled on a newer system, or Python brings its own older libstdc++ (conda)")
        .then("it cannot be imported")
        .mend("build it here: `cargo xtask ext build`; with conda also `conda install -c conda-forge libstdcxx-ng`")
        .own("it is built on the machine that runs it")
        .logs(&[
            line(&["version `GLIBCXX_", "not found"]),
            line(&["version `GLIBC_", "not found"]),
            line(&["version `CXXABI_", "not found"]),
        ])
        .seen(&["slang-torch#7", "Wiki-GRx-Gym#6", "flash#1762"]),
    fatal("E76", "the linker does not find cudart")
        .because("the toolkit keeps its libraries elsewhere than lib64, or has libcudart.so.NN without the name that linkers look for")
        .then("the extension is compiled and not linked")
        .mended("the real folder is passed by LIBRARY_PATH, and a missing link is made in the build's own folder")
        .own("the static runtime is named by its path")
        .ruled()
        .logs(&[
            line(&["cannot find -lcudart"]),
            line(&["LNK1181", "cudart.lib"]),
        ])
        .over(&["E29"])
        .seen(&["nerfstudio#2748"]),
    fatal("E77", "Python's headers or library are missing")
        .because("the distribution packs them apart, and embedded Pythons leave them out")
        .then("Python.h or python3XX.lib is not found")
        .mend("`sudo apt install python3-dev` (or python3.11-dev); on Windows use a Python from python.org instead of an embedded one")
        .own("Python is not compiled against")
        .ruled()
        .logs(&[
            line(&["Python.h", "No such file"]),
            line(&["C1083", "Python.h"]),
            line(&["LNK1104", "python3"]),
        ])
        .seen(&["Hunyuan3DWrapper#139"]),
];
