//! E80 to E88: pip, setuptools and what runs around a build.

use super::{Entry, fatal, late, line};

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    fatal("E80", "setup.py imports torch in an empty environment")
        .because("pip builds in an isolated environment, and the project does not list torch as needed for building")
        .then("No module named 'torch' although it is installed")
        .mended("nothing is isolated; by hand: `pip install --no-build-isolation .`")
        .own("setuptools is not used")
        .ruled()
        .logs(&[line(&["No module named 'torch'"])])
        .seen(&["dgr#92", "LGM#64", "dreamgaussian#73", "gaussian-splatting-lightning#149", "GS-IR#38", "SuGaR#107"]),
    late("E81", "the isolated environment brings another torch")
        .because("pyproject.toml lists torch as needed for building, and pip fetches the newest one, often without CUDA")
        .then("it builds against a torch that you do not run (E70), or fails for want of CUDA")
        .mended("nothing is isolated; by hand: `pip install --no-build-isolation .`")
        .own("setuptools is not used")
        .ruled()
        .logs(&[line(&["Torch not compiled with CUDA enabled"])])
        .seen(&["fused-ssim#40"]),
    late("E82", "the active environment is not the Python that runs")
        .because("VIRTUAL_ENV or CONDA_PREFIX names one environment, and python or pip on PATH is another's")
        .then("packages land where nobody looks")
        .mend("call pip as `python -m pip`, and activate the environment again; `cargo xtask ext build --python <environment>` names one")
        .own("the active environment comes first, each path is shown by `cargo xtask doctor`")
        .ruled()
        .seen(&[]),
    fatal("E83", "setuptools does not fit torch")
        .because("setuptools 82 removed pkg_resources, and 70 moved packaging out of it; older torch imports them")
        .then("setup.py ends at its first import")
        .mend("`python -m pip install \"setuptools<82\" wheel packaging`")
        .own("setuptools is not used")
        .ruled()
        .logs(&[
            line(&["No module named 'pkg_resources'"]),
            line(&["cannot import name 'packaging' from 'pkg_resources'"]),
            line(&["No module named 'distutils"]),
            line(&["No module named 'setuptools'"]),
            line(&["error: invalid command 'bdist_wheel'"]),
            line(&["No module named 'wheel'"]),
        ])
        .seen(&["pytorch3d#1834", "flashinfer#319", "gsplat#899"]),
    late("E84", "ninja is missing")
        .because("torch compiles several files at once only with ninja, and its just-in-time builds need it")
        .then("slow builds, one file after the other; just-in-time builds fail")
        .mended("our ninja is put on the build's PATH; by hand: `python -m pip install ninja`")
        .own("`cargo xtask build` brings ninja")
        .ruled()
        .logs(&[
            line(&["Ninja is required to load C++ extensions"]),
            line(&["Attempted to use ninja as the BuildExtension backend but"]),
        ])
        .seen(&["gs#385", "nvdiffrast#35"]),
    fatal("E85", "the compilers ran out of memory")
        .because("a job of nvcc takes 2 to 4 GB, and ninja starts one for every core")
        .then("the kernel ends a compiler: signal 9")
        .mended("jobs are limited by the free memory; by hand: `export MAX_JOBS=2`")
        .own("jobs are limited by the free memory")
        .ruled()
        .logs(&[
            line(&["died due to signal 9"]),
            line(&["Killed signal terminated program"]),
        ])
        .seen(&["flash#2493", "flash#832", "flash#347", "flash#391", "flashinfer#3636"]),
    late("E86", "a lock of a just-in-time build was left behind")
        .because("a build that was ended leaves its lock, and torch waits for it without end")
        .then("a program hangs at its first use, saying nothing")
        .mend("delete the lock that is named, after no build runs any more")
        .own("no just-in-time builds")
        .ruled()
        .seen(&["gsplat#297", "stylegan2-ada-pytorch#11"]),
    fatal("E87", "writing into torch's own folder is refused")
        .because("the build writes beside torch's headers or packages (precompiled headers, an install), and they belong to root")
        .then("Permission denied")
        .mend("use a virtual environment of your own: `python3 -m venv .venv`, or `cargo xtask ext build --wheel-dir DIR`, which installs nothing")
        .own("nothing is written outside target/ and the cache")
        .logs(&[
            line(&["Permission denied", "site-packages/torch"]),
            line(&["Permission denied", "dist-packages/torch"]),
            line(&["Permission denied", "dist-packages"]),
        ])
        .seen(&[]),
    fatal("E88", "no prebuilt wheel fits")
        .because("the projects that publish wheels do so for a few torch, CUDA and Python versions only")
        .then("pip finds no matching distribution")
        .mend("build it from source: `cargo xtask ext build <folder> --python <environment>`")
        .own("nothing prebuilt is used")
        .logs(&[
            line(&["No matching distribution found for gsplat"]),
            line(&["No matching distribution found for fused"]),
            line(&["No matching distribution found for diff"]),
            line(&["No matching distribution found for simple"]),
            line(&["No matching distribution found for pytorch3d"]),
        ])
        .seen(&["fused-ssim#42", "fused-ssim#36", "fused-ssim#30", "fused-ssim#3", "dgr#85"]),
];
