//! Messages that look alarming and mean nothing, beside E02, E07 and E93. They have codes of their own.

use super::{Entry, harmless, pattern::texts};

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    harmless("H01", "TORCH_CUDA_ARCH_LIST is not set")
        .because("torch asks the GPUs that are present instead, and says so")
        .then("nothing: it compiles for the GPUs of this machine")
        .mended("nothing to do; `cargo xtask ext build` always sets the list")
        .own("the variable is not read")
        .logs(&[texts(&["TORCH_CUDA_ARCH_LIST is not set"])])
        .seen(&[]),
    harmless("H02", "#177-D: a variable was declared but never referenced")
        .because("a variable of the original rasterizer's kernels (p_proj) is not used in every configuration")
        .then("nothing")
        .mended("nothing to do")
        .own("the warning is not shown")
        .logs(&[texts(&["#177-D*was declared but never referenced", "warning #177-D"])])
        .seen(&[]),
    harmless("H03", "setup.py install is deprecated")
        .because("setuptools prefers to be called through pip")
        .then("nothing: it installs")
        .mended("nothing to do; `pip install --no-build-isolation .` does not print it")
        .own("setuptools is not used")
        .logs(&[texts(&["setup.py install is deprecated", "SetuptoolsDeprecationWarning*install", "easy_install command is deprecated"])])
        .seen(&[]),
    harmless("H04", "Py_DEBUG")
        .because("Python's headers mention their debug build if the compiler's configuration differs from Python's own")
        .then("nothing, as long as python3XX_d.lib is not asked for (E77)")
        .mended("nothing to do")
        .own("nothing is compiled against Python")
        .logs(&[texts(&["Py_DEBUG"]).without(&["LNK1104"])])
        .seen(&[]),
    harmless("H05", "torch has no compiler limits for this CUDA version")
        .because("torch's table of compilers ends before this toolkit")
        .then("nothing: nvcc's own limits hold")
        .mended("nothing to do")
        .own("torch's table is not used")
        .logs(&[texts(&["There are no*version bounds defined for CUDA version"])])
        .seen(&[]),
    harmless("H06", "torch could not read what cl.exe printed")
        .because("cl.exe writes in the system's code page, and torch decodes it as another one when it asks for the version")
        .then("nothing: torch only skips its check of the version")
        .mended("nothing to do; `set VSLANG=1033` makes cl.exe speak English")
        .own("the output of compilers is read as bytes")
        .logs(&[texts(&["Error checking compiler version for cl: '*' codec can't decode byte"])])
        .seen(&["pytorch#63584"]),
    harmless("H07", "no CUDA runtime is found, although CUDA_HOME is set")
        .because("torch sees no GPU or no driver, for example in a container that is being built")
        .then("nothing: a build needs the toolkit alone, and the list of architectures (E54)")
        .mended("nothing to do")
        .own("builds need no GPU")
        .logs(&[texts(&["No CUDA runtime is found, using CUDA_HOME="])])
        .seen(&[]),
    harmless("H08", "C4819: a source file has characters beyond the code page")
        .because("cl.exe reads sources in the system's code page, and comments in torch's headers are UTF-8")
        .then("nothing: the characters are in comments")
        .mended("nothing to do; `/utf-8` would silence it")
        .own("does not occur")
        .logs(&[texts(&["warning C4819"])])
        .seen(&[]),
    harmless("H09", "nvcc will drop an old architecture")
        .because("one of the architectures is older than the next CUDA release supports")
        .then("nothing: this release still makes code for it")
        .mended("nothing to do")
        .own("architectures start at Turing")
        .logs(&[texts(&["Support for offline compilation for architectures prior to", "architectures are deprecated, and may be removed in a future release"])])
        .seen(&[]),
];
