//! E20 to E35: the C++ compiler that nvcc and torch accept.

use super::{
    Entry, fatal,
    pattern::{command, texts},
};

/// What shows in a log that the 32-bit tools of Visual Studio ran.
const X86: &[&str] = &[
    "HostX86\\x86",
    "Hostx86\\x86",
    "HostX86/x86",
    "Hostx86/x86",
    "temp.win32",
    "/machine:X86",
    "/MACHINE:X86",
];

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    fatal("E20", "nvcc does not accept this version of GCC or clang")
        .because("the toolkit's crt/host_config.h refuses compilers that are newer than those it was tested with")
        .then("no .cu file is compiled")
        .mended("an accepted compiler that is installed (g++-N, clang++-N, conda's) is used for CC, CXX and nvcc alike; if there is none: `sudo apt install g++-13`, with the number that the message names")
        .own("an accepted compiler is chosen, or CUDAHOSTCXX is respected")
        .ruled()
        .logs(&[texts(&[
            "unsupported GNU version",
            "unsupported clang version",
            "The version ('*of the host compiler ('*is not supported",
        ])])
        .seen(&["GStex#6", "ngp#1562", "stable-dreamfusion#116", "tcnn#109", "cccl#7"]),
    fatal("E21", "torch refuses a compiler that nvcc accepts")
        .because("torch has a table of compilers of its own, which lags behind the toolkits (torch 2.11: CUDA 12.8 and GCC 14)")
        .then("the build stops before anything is compiled")
        .mended("TORCH_DONT_CHECK_COMPILER_ABI=1 is set if the toolkit's own header accepts the compiler")
        .own("torch's table is not used")
        .ruled()
        .logs(&[texts(&[
            "The current installed version of*is greater than the maximum required version by CUDA",
            "The current installed version of*is less than the minimum required version by CUDA",
        ])])
        .seen(&[]),
    fatal("E22", "CXX is set and CC is not")
        .because("torch checks CXX, but gives nvcc CC, or else the first gcc on PATH: two different compilers")
        .then("E20, although CXX names a compiler that nvcc accepts")
        .mended("both are set to the same compiler; by hand: `export CC=gcc-13 CXX=g++-13`")
        .own("nvcc and the C++ files get the same compiler")
        .ruled()
        .seen(&["pytorch#47377", "pytorch#43931", "gs#1295"]),
    fatal("E23", "nvcc before 11.7 cannot read std_function.h of GCC 11")
        .because("the toolkit of Ubuntu 22.04 (11.5) accepts GCC 11, but cannot read its headers from GCC 11.3 on")
        .then("an error in <functional>, far away from your sources")
        .mend("`export CC=gcc-10 CXX=g++-10` (after `sudo apt install g++-10`), or a newer toolkit: `cargo xtask ext build --cuda managed`")
        .own("toolkits older than 12.0 are not used")
        .ruled()
        .logs(&[texts(&["parameter packs not expanded with"])])
        .seen(&["gsplat#61", "ngp#1240", "tcnn#427", "exllama#65"]),
    fatal("E24", "glibc declares functions that the toolkit declares too")
        .because("glibc 2.41 brought cospi and sinpi, and 2.42 rsqrt; toolkits before 13.0 (before 13.2 for rsqrt) declare them with another exception specification")
        .then("every .cu file fails in math_functions.h")
        .mend("install CUDA 13.2 or newer and choose it (`cargo xtask switch cuda 13.2`), or build in a container with an older glibc")
        .own("the same; the plan warns about it")
        .ruled()
        .logs(&[texts(&[
            "exception specification is incompatible with that of previous function \"cospi",
            "exception specification is incompatible with that of previous function \"sinpi",
            "exception specification is incompatible with that of previous function \"rsqrt",
            "cospi*has a different exception specifier",
            "sinpi*has a different exception specifier",
            "rsqrt*has a different exception specifier",
        ])])
        .seen(&["cuda-samples#378", "opencv#27111", "koboldcpp#1521", "nccl#1700", "colibri#630"]),
    fatal("E25", "nvcc does not accept this Visual Studio")
        .because("host_config.h limits _MSC_VER: Visual Studio 17.10 and newer need CUDA 12.4, Visual Studio 2026 needs 13.2")
        .then("no .cu file is compiled")
        .mended("an accepted toolset that is installed is used through -vcvars_ver; if there is none, add one in the Visual Studio Installer (MSVC v143, version 14.38)")
        .own("an accepted toolset is chosen")
        .ruled()
        .logs(&[texts(&[
            "unsupported Microsoft Visual Studio version",
            "nvcc cannot find a supported version of Microsoft Visual Studio",
            "'cudafe++' died with status 0xC0000005",
        ])])
        .seen(&["BrushEdit#17", "nerfstudio#3171", "vision#8492", "gs#237", "Hunyuan3DWrapper#139"]),
    fatal("E26", "Microsoft's standard library demands a newer CUDA")
        .because("yvals_core.h of the toolset names the CUDA that it expects, whatever nvcc is told to allow")
        .then("error STL1002 in every .cu file, even with -allow-unsupported-compiler")
        .mended("an older toolset is used through -vcvars_ver; if none is installed, a newer CUDA toolkit is needed")
        .own("the toolset is chosen by both limits")
        .ruled()
        .logs(&[texts(&["STL1002"])])
        .seen(&["ZLUDA#108", "SparseInst#129", "llama-cpp-python#2204"]),
    fatal("E27", "cl.exe is not found")
        .because("Microsoft's compiler is on PATH only inside its own command prompt")
        .then("neither setuptools nor nvcc finds a compiler")
        .mended("the environment of vcvars64.bat is used without opening a prompt; if there is no Visual Studio, install its Build Tools with \"Desktop development with C++\"")
        .own("the toolset is found through vswhere, and no prompt is needed")
        .ruled()
        .logs(&[
            texts(&[
                "Error checking compiler version for cl: [WinError 2]",
                "Cannot find compiler 'cl.exe' in PATH",
                "Microsoft Visual C++ 14.0 or greater is required",
                "Microsoft Visual C++ 14.0 is required",
                "Could not locate a supported Microsoft Visual C++ installation",
                "Unable to find vcvarsall.bat",
                "Command '['where', 'cl']' returned non-zero exit status",
            ]),
            command(&["cl", "cl.exe"]),
        ])
        .seen(&["gs#1188", "gs#237", "gs#332", "dreamgaussian#58", "svraster#6", "nvdiffrec#35"]),
    fatal("E28", "DISTUTILS_USE_SDK is not set in a Visual Studio prompt")
        .because("torch raises this warning as an error if VSCMD_ARG_TGT_ARCH is set and DISTUTILS_USE_SDK is not")
        .then("the build stops at once")
        .mended("DISTUTILS_USE_SDK=1 is set for the build; by hand: `set DISTUTILS_USE_SDK=1`")
        .own("setuptools is not used")
        .ruled()
        .logs(&[texts(&["the VC environment is activated but DISTUTILS_USE_SDK is not set"])])
        .seen(&["cvpods#108", "setuptools#4798"]),
    fatal("E29", "the prompt is the 32-bit one")
        .because("\"Developer Command Prompt\" builds for x86; another one builds for x64")
        .then("objects are written to build\\temp.win32 and cannot be linked, or the 32-bit compiler runs out of memory")
        .mended("the environment of vcvars64.bat is used; by hand: open \"x64 Native Tools Command Prompt\"")
        .own("the environment of vcvars64.bat is used")
        .ruled()
        .logs(&[
            texts(&["LNK1181*.obj", "C1060", "C1002"]).in_log(X86),
            texts(&["identifier \"_addcarry_u64\" is undefined", "LNK1112*x64*x86", "LNK4272*x64*x86"]),
        ])
        .over(&["E85"])
        .seen(&["diffoctreerast#2", "gs#960", "svraster#6", "mxnet#17867", "TNN#1193"]),
    fatal("E30", "nvcc cannot set up the Visual Studio environment")
        .because("vcvars64.bat beside the compiler is missing or fails, often because PATH grew beyond 8191 characters in nested prompts")
        .then("no .cu file is compiled")
        .mended("the environment is read once, and nvcc is told its compiler (-ccbin); by hand: open a fresh prompt")
        .own("the same")
        .ruled()
        .logs(&[texts(&[
            "Could not set up the environment for Microsoft Visual Studio",
            "The input line is too long",
            "Die Eingabezeile ist zu lang",
            "输入行太长",
        ])])
        .seen(&["ngp#709", "ngp#1457", "TRELLIS-install-windows#2"]),
    fatal("E31", "nvcc with MSVC misreads torch's headers in a .cu file")
        .because("compiled_autograd.h of torch 2.9 and newer makes `std` ambiguous for nvcc on Windows")
        .then("error C2872 in every .cu file that includes torch/extension.h")
        .mended("USE_CUDA is defined for the build, which leaves out the faulty part of the header")
        .own("our kernels never include torch's headers")
        .ruled()
        .logs(&[texts(&["C2872: 'std'", "C2872: \"std\"", "C2872: “std”", "error: \"std\" is ambiguous"])])
        .seen(&["pytorch#188952", "pytorch#166123", "cubvh#31", "k2#1342"]),
    fatal("E32", "an old nvcc or MSVC misreads pybind11's cast.h")
        .because("pybind11, which torch's headers contain, uses templates that nvcc 11 and old toolsets misread")
        .then("errors in pybind11/cast.h")
        .mend("build with a newer toolkit of torch's major version: `cargo xtask switch list` shows them")
        .own("our kernels never include torch's headers")
        .logs(&[texts(&["pybind11*cast.h*error"])])
        .seen(&["splatam#36"]),
    fatal("E33", "the C++ standard is lower than torch's headers demand")
        .because("setup.py passes -std=c++14 (or 17), while torch's headers need C++17 from 2.1 on and C++20 from 2.15 on")
        .then("an #error in torch's headers as soon as such a torch is installed")
        .mend("take the -std flag out of setup.py, because torch adds its own, or raise it to the standard that the message names")
        .own("our C++ files are compiled with the standard that the row's torch demands")
        .ruled()
        .logs(&[texts(&["You need C++*to compile PyTorch", "C++14 or later compatible compiler is required", "C++17 or later compatible compiler is required", "C++20 or later compatible compiler is required"])])
        .seen(&["pytorch#102082", "pytorch#176659", "tcnn#316", "mamba#1000", "flash#2879", "monarch#4464"]),
    fatal("E34", "the C++ compiler is too old for torch's headers")
        .because("torch's headers need C++17 or C++20, which this version of GCC or clang does not know")
        .then("the compiler refuses -std=c++17 or -std=c++20, or torch's headers refuse the compiler")
        .mend("install a newer compiler and name it: `export CC=gcc-11 CXX=g++-11` (after `sudo apt install g++-11`), within the limits of the toolkit (E20)")
        .own("compilers that do not know the standard are not used")
        .logs(&[texts(&[
            "unrecognized command line option*-std=c++17",
            "unrecognized command line option*-std=c++20",
            "unrecognized command-line option*-std=c++20",
            "invalid value 'c++17' in '-std=",
            "invalid value 'c++20' in '-std=",
            "You're trying to build PyTorch with a too old version of",
        ])])
        .seen(&[]),
    fatal("E35", "the Windows SDK is missing")
        .because("the headers and libraries of C and of Windows come with the Windows SDK, which the Visual Studio Installer offers apart from the compiler; they are also not found when cl.exe runs outside its prompt")
        .then("the compiler does not find stddef.h or errno.h, or the linker does not find kernel32.lib")
        .mend("add \"Windows 11 SDK\" under \"Desktop development with C++\" in the Visual Studio Installer, and build in the \"x64 Native Tools Command Prompt\"")
        .own("the SDK's folders come with the environment of vcvars64.bat")
        .logs(&[
            texts(&[
                "C1083*stddef.h",
                "C1083*errno.h",
                "C1083*corecrt.h",
                "C1083*windows.h",
                "C1083*Windows.h",
                "LNK1104*kernel32.lib",
                "LNK1181*kernel32.lib",
                "LNK1104*ucrt.lib",
                "LNK1158*rc.exe",
                "LNK1158*mt.exe",
            ]),
        ])
        .seen(&["gs#1270", "tcnn#195"]),
];
