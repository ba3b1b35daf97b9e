//! E80 to E89: pip, setuptools and what runs around a build.

use super::{
    Entry, fatal, late,
    pattern::{command, module, texts},
};

/// What shows in a log that something was built.
const BUILDING: &[&str] = &[
    "Getting requirements to build",
    "pip-build-env",
    "setup.py",
    "build_meta",
    "egg_info",
    "get_requires_for_build",
    "metadata-generation-failed",
];

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    fatal("E80", "setup.py imports torch in an empty environment")
        .because("pip builds in an isolated environment, and the project does not list torch among what it needs for building")
        .then("No module named 'torch', although torch is installed")
        .mended("the build is not isolated; by hand: `pip install --no-build-isolation .`")
        .own("setuptools is not used")
        .ruled()
        .logs(&[module(&["torch"]).in_log(BUILDING)])
        .over(&["E82"])
        .seen(&["dgr#92", "LGM#64", "dreamgaussian#73", "gaussian-splatting-lightning#149", "GS-IR#38", "SuGaR#107"]),
    late("E81", "the isolated environment brings another torch")
        .because("pyproject.toml lists torch among what it needs for building, and pip fetches the newest one for that, often without CUDA")
        .then("the extension is built against a torch that you do not run (E70), or the build fails because that torch has no CUDA or another one")
        .mended("the build is not isolated; by hand: `pip install --no-build-isolation .`")
        .own("setuptools is not used")
        .ruled()
        .logs(&[
            texts(&["pip-build-env-*site-packages/torch/", "pip-build-env-*site-packages\\torch\\", "builds-v0*site-packages/torch/", "builds-v0*site-packages\\torch\\"]),
            texts(&["Torch not compiled with CUDA enabled"]).in_log(&["Installing build dependencies", "pip-build-env-"]),
        ])
        .over(&["E01", "E02", "E03", "E04"])
        .seen(&["fused-ssim#40"]),
    late("E82", "the active environment is not the Python that runs")
        .because("VIRTUAL_ENV or CONDA_PREFIX names one environment, and python or pip on PATH belongs to another one")
        .then("packages are installed where the program does not look for them, so torch or another package seems to be missing")
        .mend("call pip as `python -m pip`, so that both are the same Python, and activate the environment again; `cargo xtask ext build --python <environment>` names one")
        .own("the active environment comes first, and `cargo xtask doctor` shows each path")
        .ruled()
        .logs(&[module(&["torch"])])
        .seen(&[]),
    fatal("E83", "setuptools does not fit torch")
        .because("setuptools 82 removed pkg_resources, and 70 moved packaging out of it; older versions of torch import them")
        .then("setup.py stops at its first import")
        .mended("setuptools 81 is brought for the build alone; by hand: `python -m pip install \"setuptools<82\" wheel packaging`")
        .own("setuptools is not used")
        .ruled()
        .logs(&[
            module(&["pkg_resources", "distutils", "setuptools", "wheel"]),
            texts(&["cannot import name 'packaging' from 'pkg_resources'", "error: invalid command 'bdist_wheel'"]),
        ])
        .seen(&["pytorch3d#1834", "flashinfer#319", "gsplat#899"]),
    late("E84", "ninja is missing")
        .because("torch needs ninja to compile several files at once, and for its just-in-time builds")
        .then("builds are slow, one file after the other; just-in-time builds fail")
        .mended("our ninja is put on the build's PATH; by hand: `python -m pip install ninja`")
        .own("`cargo xtask build` brings ninja")
        .ruled()
        .logs(&[
            texts(&["Ninja is required to load C++ extensions", "Attempted to use ninja as the BuildExtension backend but"]),
            command(&["ninja"]),
        ])
        .seen(&["gs#385", "nvdiffrast#35"]),
    fatal("E85", "the compilers ran out of memory")
        .because("one job of nvcc takes 2 to 4 GB, and ninja starts one for every core")
        .then("the system kills a compiler (signal 9), or the compiler says that it has no memory left")
        .mended("the number of jobs is limited by the free memory; by hand: `export MAX_JOBS=2`")
        .own("the number of jobs is limited by the free memory")
        .ruled()
        .logs(&[texts(&[
            "died due to signal 9",
            "Killed signal terminated program",
            "internal compiler error: Killed",
            "unable to execute command: Killed",
            "terminated with signal 9 [Killed]",
            "virtual memory exhausted",
            "cc1plus: out of memory allocating",
            "final link failed: memory exhausted",
            "ninja: fatal*Cannot allocate memory",
            "fatal error C1060",
            "fatal error C1002",
        ])])
        .seen(&["flash#2493", "flash#832", "flash#347", "flash#391", "flashinfer#3636"]),
    late("E86", "a lock of a just-in-time build was left behind")
        .because("a build that is killed leaves its lock, and torch waits for it without end")
        .then("a program hangs at its first use of the extension and prints nothing")
        .mend("when no build runs any more, move the lock file that is named out of its folder")
        .own("there are no just-in-time builds")
        .ruled()
        .seen(&["gsplat#297", "stylegan2-ada-pytorch#11"]),
    fatal("E87", "writing into torch's own folder is refused")
        .because("the build writes beside torch's headers or packages (precompiled headers, an installation), and they belong to another user")
        .then("Permission denied")
        .mend("use a virtual environment of your own: `python3 -m venv .venv`, or `cargo xtask ext build --wheel-dir DIR`, which installs nothing")
        .own("nothing is written outside of target/ and the cache")
        .logs(&[texts(&[
            "Permission denied*site-packages/torch",
            "Permission denied*dist-packages",
            "WinError 5]*site-packages",
        ])])
        .seen(&[]),
    fatal("E88", "no prebuilt wheel fits")
        .because("projects that publish wheels do so for a few versions of torch, CUDA and Python only")
        .then("pip finds no matching distribution")
        .mend("build it from its sources: `cargo xtask ext build <folder> --python <environment>`")
        .own("nothing prebuilt is used")
        .logs(&[texts(&[
            "No matching distribution found for gsplat",
            "No matching distribution found for fused",
            "No matching distribution found for diff",
            "No matching distribution found for simple",
            "No matching distribution found for pytorch3d",
        ])])
        .seen(&["fused-ssim#42", "fused-ssim#36", "fused-ssim#30", "fused-ssim#3", "dgr#85"]),
    late("E89", "the extension is not installed in this Python")
        .because("its build failed earlier, it was installed into another environment, or Python found the folder of its sources first, which has no binary")
        .then("a program stops at the import")
        .mend("look for the first error of the build above; else build it for this Python, `cargo xtask ext build <folder> --python <environment>`, and start the program from another folder than the extension's")
        .own("nothing is installed into Python")
        .logs(&[
            module(&["diff_gaussian_rasterization", "diff_surfel_rasterization", "simple_knn", "fused_ssim", "gsplat.csrc", "tinycudann", "nvdiffrast"]),
            texts(&["No module named 'diff_gaussian_rasterization_", "cannot import name '_C' from"]),
        ])
        .seen(&["gs#99"]),
];
