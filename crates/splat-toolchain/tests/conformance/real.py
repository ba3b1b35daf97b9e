"""Runs torch's own checks over a matrix and prints their verdicts, one line each, for the conformance test.

usage: real.py TORCH_FOLDER [--file-only]
`--file-only` loads torch/utils/cpp_extension.py with stand-ins for the rest of torch: for a release of which only the
Python files are at hand. The functions that are called are torch's own either way; nvcc is a program that prints.
"""
import functools
import importlib
import logging
import os
import stat
import subprocess
import sys
import tempfile
import types
import warnings
from pathlib import Path

NVCC = ["11.4.48", "11.8.89", "12.0.140", "12.1.105", "12.2.140", "12.3.107", "12.4.131", "12.5.82", "12.6.77",
        "12.8.93", "12.9.86", "13.0.88", "13.1.80", "13.2.51", "13.3.10", "13.5.10"]
TORCH_CUDA = ["11.8", "12.1", "12.4", "12.6", "12.8", "12.9", "13.0", "13.2"]
COMPILERS = {
    "g++": ["9.4.0", "10.2.1", "11.4.0", "12.2.0", "13.3.0", "14.1.0", "15.1.0", "16.1.0"],
    "clang++": [f"{major}.0.1" for major in range(7, 23)],
}
NUMBERS = ["3.5", "3.7", "5.0", "5.2", "5.3", "6.0", "6.1", "6.2", "7.0", "7.2", "7.5", "8.0", "8.6", "8.7", "8.9",
           "9.0", "9.0a", "10.0", "10.0a", "10.1", "10.1a", "10.3", "10.3a", "10.7", "11.0", "11.0a", "12.0", "12.0a",
           "12.0f", "12.1", "12.1a", "8.8", "13.0"]
NAMES = ["Kepler+Tesla", "Kepler", "Maxwell+Tegra", "Maxwell", "Pascal", "Volta+Tegra", "Volta", "Turing",
         "Ampere+Tegra", "Ampere", "Ada", "Hopper", "Blackwell+Tegra", "Blackwell", "Rubin", "ampere", "All", "Common"]
LISTS = ([n for n in NUMBERS] + [n + "+PTX" for n in NUMBERS] + NAMES + [n + "+PTX" for n in NAMES] + [
    "8.6;8.9", "8.6 8.9", "8.6,8.9", "8.6; 8.9", "8.6;", ";8.6", "8.6;;8.9", " 8.6", "sm_86", "compute_86", "86", "8",
    "8.60", "8.6+ptx", "8.6 +PTX", "8.6+PTX+PTX", "Ampere;Ada", "Ampere Ada;9.0+PTX", "AmpereAda", "8.6;8.6",
    "9.0;8.0", "Turing+Tegra", "0.0", "8.6\t8.9", "3.5;5.2;6.0;6.1;7.0+PTX", "native ", "Native"])


def stand_in(folder):
    """torch with its real version, TorchVersion and helpers, and nothing compiled."""
    def package(name, **attributes):
        module = types.ModuleType(name)
        module.__path__ = [str(folder / Path(*name.split(".")[1:]))]
        module.__dict__.update(attributes)
        sys.modules[name] = module
        return module
    torch = package("torch")
    torch.utils = package("torch.utils")
    torch.cuda = package("torch.cuda", _is_compiled=lambda: True, device_count=lambda: 0)
    torch.xpu = package("torch.xpu", _is_compiled=lambda: False, get_arch_list=list)
    torch.version = importlib.import_module("torch.version")
    torch._C = types.SimpleNamespace()
    torch._appdirs = importlib.import_module("torch._appdirs")
    return torch


def main():
    folder = Path(sys.argv[1]).resolve()
    sys.path.insert(0, str(folder.parent))
    if "--file-only" in sys.argv:
        torch = stand_in(folder)
    else:
        import torch
    module = importlib.import_module("torch.utils.cpp_extension")
    assert Path(module.__file__).is_relative_to(folder), module.__file__
    from torch.torch_version import TorchVersion
    print("torch", torch.version.__version__.split("+")[0])

    said = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    log = getattr(module, "logger", None)
    if log is not None:
        log.handlers, log.propagate, log.level = [handler], False, logging.WARNING
    # Each nvcc is asked once; its answer is repeated for the 3000 checks that follow.
    ask = functools.lru_cache(None)(lambda command: subprocess.check_output(command))
    module.subprocess = types.SimpleNamespace(check_output=lambda command, **_: ask(tuple(command)))
    os.environ.pop("TORCH_DONT_CHECK_COMPILER_ABI", None)

    with tempfile.TemporaryDirectory() as place:
        for nvcc in NVCC:
            home = Path(place, nvcc)
            (home / "bin").mkdir(parents=True)
            program = home / "bin" / "nvcc"
            release = nvcc.rsplit(".", 1)[0]
            program.write_text(f"#!/bin/sh\necho 'Cuda compilation tools, release {release}, V{nvcc}'\n")
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
            module.CUDA_HOME = str(home)
            for cuda in TORCH_CUDA:
                torch.version.cuda = cuda
                for name, versions in COMPILERS.items():
                    verdicts = "".join(verdict(module, name, TorchVersion(v), said) for v in versions)
                    print("check", cuda, nvcc, name, verdicts)

    for text in LISTS:
        os.environ["TORCH_CUDA_ARCH_LIST"] = text
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                flags = " ".join(module._get_cuda_arch_flags([]))
        except ValueError:
            flags = "refused"
        print("arch", text.replace("\t", "\\t") + "|" + flags)


def verdict(module, name, version, said):
    """One letter: M other major, < too old, > too new; accepted: = within, u no bounds; upper case with a warning
    of another minor version: W within, U no bounds."""
    said.clear()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            module._check_cuda_version(name, version)
    except RuntimeError as error:
        text = str(error)
        if "mismatches the version that was used to compile" in text:
            return "M"
        return "<" if "is less than the minimum" in " ".join(text.split()) else ">"
    told = said + [str(w.message) for w in caught]
    minor = any("minor version mismatch" in t for t in told)
    undefined = any("version bounds defined" in t for t in told)
    return {(False, False): "=", (False, True): "u", (True, False): "W", (True, True): "U"}[minor, undefined]


main()
