"""`python -m diff_gaussian_rasterization`: whose module is imported, versions, engines, devices, and the forks whose
callers are served. Exits with 1 if no engine works.
"""

import os
import platform
import sys

import torch

from . import _C, __version__, _abi, _forks
from ._engine import KINDS, EngineError, engine

_CHANNELS = {_abi.COLOR: "color", _abi.INV_DEPTH: "invdepth", _abi.DEPTH: "depth", _abi.ALPHA: "alpha",
             _abi.WEIGHT_SUM: "touched", _abi.FEATURES: "features", _abi.WEIGHT_IMAGE: "marked"}
_HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    print("diff_gaussian_rasterization {} (Splatwright, engine ABI {})".format(__version__, _abi.ENGINE_ABI))
    print("imported from {}: this is Splatwright's module".format(_HERE))
    for line in _others():
        print("  " + line)
    print("python {}, torch {}, {}".format(platform.python_version(), torch.__version__, platform.platform()))
    usable = 0
    for kind in KINDS:
        try:
            found = engine(kind)
            print("engine {}: version {}, {}, SH degree 0 to {}, outputs radii {}".format(
                found.name, found.version, found.path, found.max_sh_degree,
                " ".join(name for source, name in _CHANNELS.items() if found.channels >> source & 1)))
            usable += _devices(kind, found)
        except EngineError as e:
            print("engine {}: {}".format(kind, _indented(e)))
    print("callers of these forks are served, and get as many outputs as they unpack:")
    for line in _forks.table():
        print("  " + line)
    print("  not served: " + _forks.SURFEL)
    return 0 if usable else 1


def _others():
    """Sentences about other modules of this name: behind this one on the path, or mixed into its folder."""
    name = os.path.basename(_HERE)
    for place in sys.path:
        folder = os.path.join(os.path.abspath(place or "."), name)
        if os.path.isfile(os.path.join(folder, "__init__.py")) and os.path.realpath(folder) != os.path.realpath(_HERE):
            yield "another module of this name is in {}: it is not used".format(folder)
    if not (getattr(_C, "__file__", None) or "").endswith((".py", ".pyc")):
        yield ("but its extension module {} is another's: `python -m pip uninstall {}`, then install the wheel "
               "again".format(_C.__file__, name))


def _devices(kind, found):
    """Prints the devices of an engine; returns how many of them can be used."""
    if kind == "cpu":
        indices = [-1]
    elif torch.cuda.is_available():
        indices = range(torch.cuda.device_count())
    else:
        print("  no device: this torch sees no GPU (built for CUDA {})".format(torch.version.cuda or "none"))
        return 0
    usable = 0
    for index in indices:
        name = "cpu" if index < 0 else "cuda:{} {}".format(index, torch.cuda.get_device_name(index))
        try:
            found.require_device(index)
            print("  {}: ready".format(name))
            usable += 1
        except EngineError as e:
            print("  {}: {}".format(name, _indented(e)))
    return usable


def _indented(error):
    return str(error).replace("\n", "\n    ")


if __name__ == "__main__":
    sys.exit(main())
