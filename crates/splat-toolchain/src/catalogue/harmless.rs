//! Messages that frighten and mean nothing, beside E02, E07 and E93. They bear codes of their own.

use super::{Entry, harmless, line};

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    harmless("H01", "TORCH_CUDA_ARCH_LIST is not set")
        .because("torch asks the GPUs present instead and says so")
        .then("nothing: it compiles for the GPUs of this machine")
        .mended("nothing to do; the list is always set explicitly by `cargo xtask ext build`")
        .own("the variable is not read")
        .logs(&[line(&["TORCH_CUDA_ARCH_LIST is not set"])])
        .seen(&[]),
    harmless("H02", "#177-D: a variable was declared but never referenced")
        .because("a variable of the original rasterizer's kernels (p_proj) is not used in every configuration")
        .then("nothing")
        .mended("nothing to do")
        .own("the warning is not shown")
        .logs(&[
            line(&["#177-D", "was declared but never referenced"]),
            line(&["warning #177-D"]),
        ])
        .seen(&[]),
    harmless("H03", "setup.py install is deprecated")
        .because("setuptools would rather be called through pip")
        .then("nothing: it installs")
        .mended("nothing to do; `pip install --no-build-isolation .` says it no more")
        .own("setuptools is not used")
        .logs(&[
            line(&["setup.py install is deprecated"]),
            line(&["SetuptoolsDeprecationWarning", "install"]),
            line(&["easy_install command is deprecated"]),
        ])
        .seen(&[]),
    harmless("H04", "Py_DEBUG")
        .because("Python's headers mention their debug build when the configuration file of the compiler differs from Python's own")
        .then("nothing, as long as python3XX_d.lib is not asked for (E77)")
        .mended("nothing to do")
        .own("Python is not compiled against")
        .logs(&[
            line(&["Py_DEBUG"]).without(&["LNK1104"]),
        ])
        .seen(&[]),
    harmless("H05", "torch has no compiler bounds for this CUDA version")
        .because("torch's table of compilers ends before this toolkit")
        .then("nothing: nvcc's own bounds hold")
        .mended("nothing to do")
        .own("torch's table is not asked")
        .logs(&[line(&["There are no", "version bounds defined for CUDA version"])])
        .seen(&[]),
];
