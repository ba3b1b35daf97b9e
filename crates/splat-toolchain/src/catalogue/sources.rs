//! E40 to E45: faults in the sources of well-known extensions.

use super::{Entry, fatal, late, line};

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    fatal("E40", "<cstdint> is not included")
        .because("GCC 13 no longer brings uint32_t and uintptr_t along with other headers; rasterizer_impl.h uses them")
        .then("the C++ and CUDA files that use them fail")
        .mended("<cstdint> is included into every file from outside; by hand: `export CFLAGS=\"-include cstdint\" NVCC_PREPEND_FLAGS=\"-include cstdint\"`")
        .own("<cstdint> is included into every file from outside")
        .ruled()
        .logs(&[
            line(&["identifier \"uint32_t\" is undefined"]),
            line(&["identifier \"uint64_t\" is undefined"]),
            line(&["has no member \"uintptr_t\""]),
            line(&["'uint32_t' does not name a type"]),
            line(&["‘uint32_t’ does not name a type"]),
            line(&["'uintptr_t' is not a member of 'std'"]),
            line(&["‘uintptr_t’ is not a member of ‘std’"]),
        ])
        .seen(&["gs#788", "dgr#49", "dgr#99", "ashawkey dgr#22", "LichtFeld-Studio#69"]),
    fatal("E41", "<cfloat> is not included")
        .because("simple_knn.cu uses FLT_MAX without its header, which older compilers brought along")
        .then("simple_knn.cu fails")
        .mended("<cfloat> is included into every file from outside; by hand: `export NVCC_PREPEND_FLAGS=\"-include cfloat\"`")
        .own("simple-knn is not part of it")
        .ruled()
        .logs(&[
            line(&["identifier \"FLT_MAX\" is undefined"]),
            line(&["'FLT_MAX' was not declared"]),
            line(&["‘FLT_MAX’ was not declared"]),
            line(&["C2065", "FLT_MAX"]),
        ])
        .seen(&["SuGaR#222", "street_gaussians#71", "gs#1296", "simple-knn#2"]),
    fatal("E42", "GLM is not there")
        .because("it is a submodule, and the tree was cloned without submodules or downloaded as an archive, which never holds any")
        .then("glm/glm.hpp is not found")
        .mend("`git submodule update --init --recursive`; for an archive without .git: `sudo apt install libglm-dev`, or unpack GLM into third_party/glm")
        .own("the pinned sources come with their GLM")
        .ruled()
        .logs(&[
            line(&["glm/glm.hpp", "No such file"]),
            line(&["C1083", "glm/glm.hpp"]),
        ])
        .seen(&["gs#645", "gs#874", "ManiGaussian#3", "gsplat#746", "street_gaussians#85", "Octree-AnyGS#34", "4DGaussians#2"]),
    late("E43", "another version of GLM")
        .because("other headers, other constructors and defaults of glm::mat than the sources were written for")
        .then("it may compile and draw black pictures")
        .mend("use the GLM that the repository pins (`git submodule update --init --recursive`), and look at a picture, not at the import")
        .own("GLM is pinned, and the build is proved by a picture")
        .ruled()
        .logs(&[
            line(&["glm/gtx/pca.hpp"]),
            line(&["GLM: GLM_GTX_", "experimental"]),
        ])
        .seen(&["RaDe-GS#6", "COGS#5", "mvsplat#60", "dreamgaussian#134"]),
    late("E44", "the Python side and the binary are of different ages")
        .because("a binary built from another commit than the Python files that call it")
        .then("calls are refused, or pictures are black")
        .mend("`python -m pip uninstall -y diff_gaussian_rasterization`, then build again from one tree")
        .own("the library and its callers compare an ABI number")
        .logs(&[line(&["rasterize_gaussians", "incompatible function arguments"])])
        .seen(&["gs#1163"]),
    late("E45", "another fork is installed under the same name")
        .because("many forks install a package called diff_gaussian_rasterization")
        .then("the last one installed is used by every project of that environment")
        .mend("`python -m pip uninstall -y diff_gaussian_rasterization` before building this one, or use an environment for each project")
        .own("nothing is installed into Python")
        .ruled()
        .seen(&["feature-3dgs#62", "BlockGaussian#2"]),
];
