"""The programs `splat` and `splatwright`, started with the torch of this environment.

pip makes two commands of the functions below. They replace the running Python by the program. Torch is not imported, which
would take seconds: its folder and its version are looked up, and the program finds its libraries through LD_LIBRARY_PATH.
"""

import importlib.metadata
import importlib.util
import os
import sys

__version__ = "0.1.0"


def splat():
    """Starts `splat`, which needs the torch that it was built for."""
    from ._row import TORCH

    spec = importlib.util.find_spec("torch")
    folder = next(iter(spec.submodule_search_locations or []), None) if spec else None
    if folder is None:
        _refuse("needs torch {}, but {} has none".format(TORCH, sys.executable), TORCH)
    found = next(iter(importlib.metadata.distributions(name="torch", path=[os.path.dirname(folder)])), None)
    version = found.version if found else "of an unknown version"
    if not (version + ".").startswith(TORCH + "."):
        _refuse("was built for torch {}, but the torch in {} is {}".format(TORCH, folder, version), TORCH)
    paths = [os.path.join(folder, "lib"), os.environ.get("LD_LIBRARY_PATH")]
    os.environ["LD_LIBRARY_PATH"] = os.pathsep.join(path for path in paths if path)
    _become("splat")


def splatwright():
    """Starts `splatwright`, which works with any torch and without one."""
    _become("splatwright")


def _refuse(why, torch):
    sys.exit("error: splat {}\nhint: install splatwright into an environment of its own, where pip or uv brings torch {}: "
             "uv tool install, pipx install, or python -m venv".format(why, torch))


def _become(name):
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_lib", name)
    os.execv(program, [name] + sys.argv[1:])
