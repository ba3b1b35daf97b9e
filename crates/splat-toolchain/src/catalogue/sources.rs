//! E40 to E46: faults in the sources of well-known extensions, and one extension taken for another.

use super::{
    Entry, fatal, late,
    pattern::{decorated, header, name, texts},
};

/// Lines of a traceback that call a rasterizer of one of the forks.
const RASTERIZER: &[&str] = &[
    "rasterizer(",
    "Rasterizer(",
    "RasterizationSettings(",
    "gaussian_renderer",
    "diff_gaussian_rasterization",
    "cov3D_precomp",
    "rendered_image",
];

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    fatal("E40", "<cstdint> is not included")
        .because("the other headers of GCC 13 and newer no longer bring uint32_t and uintptr_t along, and rasterizer_impl.h uses them")
        .then("the C++ and CUDA files that use them do not compile")
        .mended("<cstdint> is included into every file from outside; by hand: `export CFLAGS=\"-include cstdint\" NVCC_PREPEND_FLAGS=\"-include cstdint\"`")
        .own("the original's files are compiled with <cstdint> included from outside")
        .ruled()
        .logs(&[name(&[
            "uint8_t", "uint16_t", "uint32_t", "uint64_t", "int8_t", "int16_t", "int32_t", "int64_t", "uintptr_t", "std::uint8_t",
            "std::uint16_t", "std::uint32_t", "std::uint64_t", "std::int32_t", "std::int64_t", "std::uintptr_t",
        ])])
        .seen(&["gs#788", "dgr#49", "dgr#99", "ashawkey dgr#22", "LichtFeld-Studio#69"]),
    fatal("E41", "<cfloat> is not included")
        .because("simple_knn.cu uses FLT_MAX without its header, which the headers of older compilers brought along")
        .then("simple_knn.cu does not compile")
        .mended("<cfloat> is included into every file from outside; by hand: `export NVCC_PREPEND_FLAGS=\"-include cfloat\"`")
        .own("simple-knn's sources are not used")
        .ruled()
        .logs(&[name(&["FLT_MAX", "FLT_MIN", "FLT_EPSILON", "DBL_MAX", "DBL_EPSILON"])])
        .seen(&["SuGaR#222", "street_gaussians#71", "gs#1296", "simple-knn#2"]),
    fatal("E42", "GLM is missing")
        .because("GLM is a submodule, and the sources were cloned without submodules or downloaded as an archive, which never contains them")
        .then("glm/glm.hpp, or another header of GLM, is not found")
        .mended("the pinned GLM is lent to the build; by hand: `git submodule update --init --recursive`, or for an archive without .git: `sudo apt install libglm-dev`, or unpack GLM into third_party/glm")
        .own("the pinned sources come with their GLM")
        .ruled()
        .logs(&[
            header(&["glm/", "glm.hpp", "third_party/glm/", "../third_party/glm/"]).without(&["glm/gtx/pca.hpp"]),
            texts(&[
                "package configuration file provided by \"glm\"",
                "third_party/glm\" which is not an existing directory",
                "third_party/glm does not contain a CMakeLists.txt",
            ]),
        ])
        .seen(&["gs#645", "gs#874", "ManiGaussian#3", "gsplat#746", "street_gaussians#85", "Octree-AnyGS#34", "4DGaussians#2"]),
    late("E43", "this is another version of GLM than the sources were written for")
        .because("GLM's headers, constructors and the defaults of glm::mat changed between versions")
        .then("the extension may compile and still draw black pictures")
        .mend("use the GLM that the repository pins (`git submodule update --init --recursive`), and look at a picture, not only at the import")
        .own("GLM is pinned, and the build is checked by a picture")
        .ruled()
        .logs(&[header(&["glm/gtx/pca.hpp"]), texts(&["GLM: GLM_GTX_*experimental", "GLM: GLM_GTC_*experimental"])])
        .seen(&["RaDe-GS#6", "COGS#5", "mvsplat#60", "dreamgaussian#134"]),
    late("E44", "the Python files and the binary of the extension do not belong together")
        .because("the binary was built from another commit than the Python files that call it")
        .then("calls are refused, or pictures are black")
        .mend("build the extension again from one set of sources, and install that over the old one: `cargo xtask ext build <folder> --python <environment>`")
        .own("the library and its callers compare the number of their interface")
        .logs(&[texts(&[
            "rasterize_gaussians*incompatible function arguments",
            "RasterizeGaussians*returned an incorrect number of gradients",
            "module 'diff_gaussian_rasterization._C' has no attribute",
        ])])
        .seen(&["gs#1163"]),
    late("E45", "another fork is installed under the same name")
        .because("many forks of the rasterizer install a package called diff_gaussian_rasterization; each has settings, arguments and outputs of its own, and this one is not the caller's")
        .then("an argument is unknown or missing, or the number of outputs does not match; or nothing is said, and the pictures are wrong")
        .mend("install the fork that this project's own README names into an environment that no other project uses: `python3 -m venv .venv`. `python -m pip show -f diff_gaussian_rasterization` shows which one is there. With Splatwright's own module, python/README.md lists the forks that it can stand in for")
        .own("nothing is installed into Python")
        .ruled()
        .logs(&[
            texts(&[
                "GaussianRasterizationSettings*unexpected keyword argument",
                "GaussianRasterizationSettings*required positional argument",
                "GaussianRasterizer*unexpected keyword argument",
                "GaussianRasterizer*required positional argument",
                "GaussianRasterizer' object has no attribute",
                "'GaussianRasterizationSettings' object has no attribute",
                "cannot import name '*from 'diff_gaussian_rasterization'",
                "ForkError: ",
                "unexpected keyword argument 'antialiasing'",
                "unexpected keyword argument 'kernel_size'",
                "unexpected keyword argument 'subpixel_offset'",
                "unexpected keyword argument 'projmatrix_raw'",
                "positional argument: 'antialiasing'",
                "positional argument: 'kernel_size'",
                "positional argument: 'projmatrix_raw'",
                "rasterize_gaussians() takes*positional arguments but",
                "module 'diff_gaussian_rasterization' has no attribute",
            ])
            .without(&["cannot import name '_C'"]),
            texts(&[
                "__new__() got an unexpected keyword argument",
                "<lambda>() got an unexpected keyword argument",
                "forward() got an unexpected keyword argument",
                "__new__() missing*required positional argument",
                "forward() missing*required positional argument",
                "ValueError: not enough values to unpack (expected",
                "ValueError: too many values to unpack (expected",
            ])
            .just_before(RASTERIZER),
        ])
        .seen(&["feature-3dgs#62", "BlockGaussian#2", "TRELLIS#82", "MonoGS#9", "LHM#46", "GPS-Gaussian#71", "SegAnyGAussians#106", "GaussianHaircut#18", "gs#473"]),
    fatal("E46", "data_ptr<long> does not exist on Windows")
        .because("`long` has 32 bits on Windows, and torch has no tensor element of that type there; the sources were written on Linux")
        .then("the linker lacks Tensor::data_ptr<long>")
        .mend("write int64_t instead of long in the extension's sources, in data_ptr<long> and in the variables that take its result")
        .own("does not occur")
        .logs(&[decorated(&["data_ptr@J@"])])
        .seen(&["StableViewSynthesis#15"]),
];
