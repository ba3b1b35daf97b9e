//! E20 to E33: the host compiler that nvcc and torch will take.

use super::{Entry, fatal, line};

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    fatal("E20", "nvcc does not take this GCC or clang")
        .because("the toolkit's crt/host_config.h ends the compilation for compilers newer than the ones it was tested with")
        .then("no .cu file is compiled")
        .mended("an accepted compiler that is installed (g++-N, clang++-N, conda's) is used for CC, CXX and nvcc alike; where none is: `sudo apt install g++-13` with the number that the message names")
        .own("an accepted compiler is chosen, or CUDAHOSTCXX respected")
        .ruled()
        .logs(&[
            line(&["unsupported GNU version"]),
            line(&["unsupported clang version"]),
        ])
        .seen(&["GStex#6", "ngp#1562", "stable-dreamfusion#116", "tcnn#109"]),
    fatal("E21", "torch refuses a compiler that nvcc takes")
        .because("torch keeps a table of compilers of its own, and it lags behind the toolkits (torch 2.11: CUDA 12.8 and GCC 14)")
        .then("the build ends before anything is compiled")
        .mended("TORCH_DONT_CHECK_COMPILER_ABI=1 is set when the toolkit's own header takes the compiler")
        .own("torch's table is not asked")
        .ruled()
        .logs(&[
            line(&["The current installed version of", "is greater than the maximum required version by CUDA"]),
            line(&["The current installed version of", "is less than the minimum required version by CUDA"]),
        ])
        .seen(&[]),
    fatal("E22", "CXX is set and CC is not")
        .because("torch checks CXX and hands nvcc CC, or else the first gcc on PATH: two different compilers")
        .then("E20 although CXX names a compiler that nvcc takes")
        .mended("both are set to the same compiler; by hand: `export CC=gcc-13 CXX=g++-13`")
        .own("nvcc and C++ get the same compiler")
        .ruled()
        .seen(&["pytorch#47377", "pytorch#43931", "gs#1295"]),
    fatal("E23", "nvcc before 11.7 stumbles over GCC 11's std_function.h")
        .because("the toolkit of Ubuntu 22.04 (11.5) admits GCC 11 and cannot read its headers from 11.3 on")
        .then("an error in <functional>, far from your sources")
        .mend("`export CC=gcc-10 CXX=g++-10` (sudo apt install g++-10), or a newer toolkit: `cargo xtask ext build --cuda managed`")
        .own("toolkits below 12.0 are passed over")
        .ruled()
        .logs(&[line(&["parameter packs not expanded with"])])
        .seen(&["gsplat#61", "ngp#1240", "tcnn#427", "exllama#65"]),
    fatal("E24", "glibc declares functions that the toolkit declares too")
        .because("glibc 2.41 brought cospi and sinpi, 2.42 rsqrt; toolkits before 13.0 (13.2 for rsqrt) declare them without guards")
        .then("every .cu file fails in math_functions.h")
        .mend("install CUDA 13.2 or newer and name it (`cargo xtask switch cuda 13.2`), or build in a container with an older glibc")
        .own("the same: the plan warns")
        .ruled()
        .logs(&[
            line(&["exception specification is incompatible with that of previous function", "cospi"]),
            line(&["exception specification is incompatible with that of previous function", "sinpi"]),
            line(&["exception specification is incompatible with that of previous function", "rsqrt"]),
        ])
        .seen(&["cuda-samples#378", "opencv#27111", "koboldcpp#1521", "nccl#1700", "colibri#630"]),
    fatal("E25", "nvcc does not take this Visual Studio")
        .because("host_config.h bounds _MSC_VER: Visual Studio 17.10 and newer fail before CUDA 12.4, Visual Studio 2026 before 13.2")
        .then("no .cu file is compiled")
        .mended("an accepted toolset that is installed is entered with -vcvars_ver; where none is, add one in the Visual Studio Installer (MSVC v143, version 14.38)")
        .own("an accepted toolset is chosen")
        .ruled()
        .logs(&[line(&["unsupported Microsoft Visual Studio version"])])
        .seen(&["BrushEdit#17", "nerfstudio#3171", "vision#8492", "gs#237", "Hunyuan3DWrapper#139"]),
    fatal("E26", "Microsoft's standard library demands a newer CUDA")
        .because("yvals_core.h of the toolset names the CUDA it expects, whatever nvcc is told to allow")
        .then("error STL1002 in every .cu file, even with -allow-unsupported-compiler")
        .mended("an older toolset is entered with -vcvars_ver; where none is installed, a newer CUDA toolkit is needed")
        .own("the toolset is chosen by both bounds")
        .ruled()
        .logs(&[line(&["STL1002", "expected CUDA"])])
        .seen(&["ZLUDA#108", "SparseInst#129", "llama-cpp-python#2204"]),
    fatal("E27", "cl.exe is not found")
        .because("Microsoft's compiler is on PATH only inside its own prompt")
        .then("neither setuptools nor nvcc finds a compiler")
        .mended("vcvars64.bat is entered by itself; where no Visual Studio is: install the Build Tools with \"Desktop development with C++\"")
        .own("the toolset is found through vswhere; no prompt is needed")
        .ruled()
        .logs(&[
            line(&["Error checking compiler version for cl"]),
            line(&["Cannot find compiler 'cl.exe' in PATH"]),
            line(&["Microsoft Visual C++ 14.0 or greater is required"]),
            line(&["Could not locate a supported Microsoft Visual C++ installation"]),
        ])
        .seen(&["gs#1188", "gs#237", "gs#332", "dreamgaussian#58", "svraster#6", "nvdiffrec#35"]),
    fatal("E28", "DISTUTILS_USE_SDK is not set in a Visual Studio prompt")
        .because("torch raises this warning as an error when VSCMD_ARG_TGT_ARCH is set and DISTUTILS_USE_SDK is not")
        .then("the build ends at once")
        .mended("DISTUTILS_USE_SDK=1 is set for the build; by hand: `set DISTUTILS_USE_SDK=1`")
        .own("setuptools is not used")
        .ruled()
        .logs(&[line(&["the VC environment is activated but DISTUTILS_USE_SDK is not set"])])
        .seen(&["cvpods#108", "setuptools#4798"]),
    fatal("E29", "the prompt is the 32-bit one")
        .because("\"Developer Command Prompt\" targets x86 unless the x64 one is opened")
        .then("objects land in build\\temp.win32 and do not link, or the 32-bit compiler runs out of memory")
        .mended("vcvars64.bat is entered by itself; by hand: open \"x64 Native Tools Command Prompt\"")
        .own("vcvars64.bat is entered by itself")
        .ruled()
        .logs(&[
            line(&["LNK1181", ".obj"]).in_log(&["HostX86\\x86", "Hostx86\\x86", "temp.win32", "bin\\HostX86"]),
            line(&["identifier \"_addcarry_u64\" is undefined"]),
            line(&["C1060", "out of heap space"]),
        ])
        .seen(&["diffoctreerast#2", "gs#960", "svraster#6", "mxnet#17867", "TNN#1193"]),
    fatal("E30", "nvcc cannot enter the Visual Studio environment")
        .because("vcvars64.bat beside the compiler is missing or ends with an error, often because PATH has grown over 8191 characters in nested prompts")
        .then("no .cu file is compiled")
        .mended("the environment is captured once and nvcc is told its compiler (-ccbin); by hand: open a fresh prompt")
        .own("the same")
        .ruled()
        .logs(&[line(&["Could not set up the environment for Microsoft Visual Studio"])])
        .seen(&["ngp#709", "ngp#1457", "TRELLIS-install-windows#2"]),
    fatal("E31", "torch's headers in a .cu file confuse nvcc with MSVC")
        .because("compiled_autograd.h of torch 2.9 and newer makes `std` ambiguous for nvcc on Windows")
        .then("error C2872 in every .cu file that includes torch/extension.h")
        .mended("USE_CUDA is defined for the build, which leaves the header's faulty part out")
        .own("kernels never include torch's headers")
        .ruled()
        .logs(&[line(&["C2872", "'std'", "ambiguous symbol"])])
        .seen(&["pytorch#188952", "pytorch#166123", "cubvh#31", "k2#1342"]),
    fatal("E32", "pybind11's cast.h and an old nvcc or MSVC")
        .because("pybind11 in torch's headers uses templates that nvcc 11 and old toolsets misread")
        .then("errors in pybind11/cast.h")
        .mend("build with a newer toolkit of torch's major version: `cargo xtask switch list`")
        .own("kernels never include torch's headers")
        .logs(&[line(&["pybind11", "cast.h", "error"])])
        .seen(&["splatam#36"]),
    fatal("E33", "the C++ standard is lower than torch's headers demand")
        .because("setup.py passes -std=c++14 (or 17), and torch's headers need C++17 from 2.1 on, C++20 from 2.15 on")
        .then("an #error line in torch's headers, or none until a newer torch is installed")
        .mend("remove the -std flag from setup.py (torch adds its own), or raise it to the one that the message names")
        .own("our shim is compiled with the standard that the row's torch demands")
        .ruled()
        .logs(&[
            line(&["C++17 or later compatible compiler is required"]),
            line(&["C++20 or later compatible compiler is required"]),
            line(&["C++14 or later compatible compiler is required"]),
        ])
        .seen(&["pytorch#102082", "pytorch#176659", "tcnn#316", "mamba#1000", "flash#2879", "monarch#4464"]),
];
