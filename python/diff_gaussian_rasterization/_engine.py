"""Engine libraries: where they are, whether they fit this package, and how their errors become exceptions.

A library is looked for in `_lib/` of this package, then in `$SPLAT_ENGINES` (a path list of folders and of libraries, as
for Splatwright's programs), and opened when the first tensor of its kind of device arrives: on a machine without a GPU
the CUDA library is never touched. No torch here.
"""

import ctypes as c
import os
import shutil
import struct
import sys
import tempfile
import threading

from . import _abi

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_lib")
VARIABLE = "SPLAT_ENGINES"
KINDS = {"cpu": _abi.CPU, "cuda": _abi.CUDA}


class EngineError(RuntimeError):
    """An engine cannot be used, or refused a call: one sentence and a line that begins with `hint:`."""

    def __init__(self, sentence, hint, status=None):
        super().__init__("{}\nhint: {}".format(sentence, hint))
        self.status = status


_HINTS = {
    _abi.INVALID_ARGUMENT: "compare the arguments with help(diff_gaussian_rasterization.GaussianRasterizer)",
    _abi.UNSUPPORTED: "`python -m diff_gaussian_rasterization` lists the engines and what they can do",
    _abi.OUT_OF_MEMORY: "render fewer Gaussians or a smaller image, or free tensors first",
    _abi.NO_DEVICE: "`nvidia-smi` shows driver and GPUs; tensors on the CPU need neither",
    _abi.DEVICE_ERROR: "set `debug=True` in the settings to learn which kernel fails first",
}


def library_name(kind):
    """`libsplat_cpu.so`, `splat_cpu.dll` or `libsplat_cpu.dylib` for kind `cpu`; likewise `cuda`."""
    if sys.platform == "win32":
        return "splat_{}.dll".format(kind)
    return "libsplat_{}.{}".format(kind, "dylib" if sys.platform == "darwin" else "so")


def find(kind):
    """The path of the library for `cpu` or `cuda`; EngineError names every place looked at."""
    name = library_name(kind)
    places = [FOLDER] + [p for p in os.environ.get(VARIABLE, "").split(os.pathsep) if p]
    paths = [p if os.path.basename(p) == name else os.path.join(p, name) for p in places]
    for path in paths:
        if os.path.isfile(path):
            return path
    raise EngineError(
        "no engine for {} tensors: there is no file {}".format(kind.upper(), " or ".join(paths)),
        "reinstall the wheel, or point ${} at a folder that `cargo xtask build` filled".format(VARIABLE))


def _check_whole(path):
    """A truncated ELF file can crash the loader; its table of sections stands at its end."""
    with open(path, "rb") as f:
        head = f.read(64)
        size = os.fstat(f.fileno()).st_size
    if len(head) < 64 or (head[:4] == b"\x7fELF" and head[4] == 2 and head[5] == 1):
        offset, entry, count = (0, 64, 1) if len(head) < 64 else (
            struct.unpack_from("<Q", head, 40) + struct.unpack_from("<HH", head, 58))
        if offset + entry * count > size:
            raise EngineError("{} is damaged: it has {} bytes, but its header speaks of {}".format(
                path, size, offset + entry * count), "reinstall the wheel")


def _open_private(path):
    """Opens a copy of the library that nobody else has, with state of its own."""
    folder = None
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create(os.path.basename(path))
        name = "/proc/self/fd/{}".format(handle)
    else:
        folder = tempfile.TemporaryDirectory()
        name = os.path.join(folder.name, os.path.basename(path))
        handle = os.open(name, os.O_CREAT | os.O_WRONLY, 0o700)
    try:
        with open(path, "rb") as source, open(handle, "wb", closefd=False) as copy:
            shutil.copyfileobj(source, copy)
        return c.CDLL(name)
    finally:
        os.close(handle)
        if folder:
            folder.cleanup()


def _table(kind, address):
    """A copy of the table at `address`: what both sides know of it, NULL functions beyond."""
    table, size = kind(), c.c_uint32.from_address(address).value
    c.memmove(c.byref(table), address, min(size, c.sizeof(kind)))
    return table


class Engine:
    """One opened library: what it says of itself, and the functions of its tables (`forward`, `adam`, ...) as
    attributes, None for those that it does not offer."""

    def __init__(self, path, private=False):
        self.path = path
        try:
            _check_whole(path)
            self._library = _open_private(path) if private else c.CDLL(path)
        except OSError as e:
            raise EngineError("{} cannot be loaded: {}".format(path, e), "reinstall the wheel for this system") from e
        try:
            entry = _abi.Entry((_abi.ENTRY, self._library))
        except AttributeError:
            raise EngineError("{} does not export {}".format(path, _abi.ENTRY),
                              "reinstall the wheel: this file is not one of its engines") from None
        for interface, kind in _abi.TABLES.items():
            address = entry(interface, _abi.ENGINE_ABI)
            if address is None and interface in (_abi.ENGINE, _abi.RASTER):
                raise EngineError("{} does not offer engine ABI {}, which this package uses".format(
                    path, _abi.ENGINE_ABI), "install module and engine from the same release")
            table = kind() if address is None else _table(kind, address)
            for name, member in kind._fields_:
                if issubclass(member, c._CFuncPtr):
                    function = getattr(table, name)
                    setattr(self, name, function if function else None)
        described = _abi.Capabilities()
        self.check(self.capabilities(c.byref(described)))
        self.name = _text(described.name)
        self.version = _text(described.version)
        self.fingerprint = _text(described.fingerprint)
        self.device_kind = described.device_kind
        self.channels = described.channels
        self.features = described.features
        self.max_sh_degree = described.max_sh_degree
        self.ready = set()  # ordinals of devices that can be used
        self.kinds = {}  # of _memory

    def check(self, status):
        """Raises EngineError for a status other than SPLAT_OK, with the engine's own sentence."""
        if status:
            sentence = _text(self.last_error()) or "engine {} answered status {}".format(self.path, status)
            raise EngineError(sentence, _HINTS.get(
                status, "a defect of the engine; report it with `python -m diff_gaussian_rasterization`"), status)

    def require_device(self, index):
        """EngineError with the driver's reason unless CUDA device `index` (-1: the CPU) can be used."""
        if index not in self.ready:
            self.check(self.device_ready(index))
            self.ready.add(index)

    def has(self, feature):
        """Whether every bit of `feature` (a `CAN_...` of _abi) is set."""
        return self.features & feature == feature

    def require(self, function):
        """The function of that name; EngineError if the engine does not offer it."""
        found = getattr(self, function)
        if found is None:
            raise EngineError("engine {} has no function `{}`".format(self.name, function),
                              _HINTS[_abi.UNSUPPORTED], _abi.UNSUPPORTED)
        return found


def _text(value):
    return (value or b"").decode("utf-8", "replace")


_engines = {}
_lock = threading.Lock()
_forked = False


def _after_fork():
    """The CPU engine's threads stayed in the parent: a child that renders opens a copy with its own threads."""
    global _lock, _forked
    _lock = threading.Lock()
    _forked = _engines.pop("cpu", None) is not None or _forked


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def engine(kind):
    """The engine for `cpu` or `cuda` tensors, opened at the first call."""
    opened = _engines.get(kind)
    if opened is None:
        if kind not in KINDS:
            raise EngineError("there is no engine for tensors on `{}`".format(kind), "move them to `cpu` or `cuda`")
        with _lock:
            opened = _engines.get(kind)
            if opened is None:
                opened = Engine(find(kind), private=_forked and kind == "cpu")
                if opened.device_kind != KINDS[kind]:
                    raise EngineError("{} is an engine for {} memory, but {} was wanted".format(
                        opened.path, "CUDA" if opened.device_kind else "CPU", kind.upper()), "reinstall the wheel")
                _engines[kind] = opened
    return opened
