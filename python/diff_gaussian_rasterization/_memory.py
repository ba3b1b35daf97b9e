"""Memory of one engine call from torch's allocator, estimates from past calls, and workspaces.

A call takes a few large blocks and hands out parts of them, because an allocation by torch costs more than the engine's
request for memory. What forward leaves for backward are ordinary tensors, so whoever holds them (the autograd graph)
frees them.
"""

import ctypes as c
import itertools
import sys
import warnings

import torch

from . import _abi

ALIGN = 256
# How many kinds of scenes (device, image size, Gaussians rounded to a power of two) are remembered.
_KINDS = 32


class Arena:
    """Memory of one call on `device`; `guess` is the estimate of the bytes that SCRATCH and SAVED will need."""

    __slots__ = ("device", "error", "guess", "blocks", "at", "end", "used", "spare")

    def __init__(self, device, guess=(0, 0)):
        self.device, self.guess, self.error = device, guess, None
        self.blocks, self.at, self.end, self.used = ([], []), [0, 0], [0, 0], [0, 0]
        self.spare = 0 if device.type == "cuda" else ALIGN  # torch aligns CPU memory to less than that

    def take(self, kind, size):
        """The address of `size` bytes (at least one), aligned to ALIGN."""
        size += -size % ALIGN or (0 if size else ALIGN)
        self.used[kind] += size
        at = self.at[kind]
        if at + size > self.end[kind]:
            whole = max(size, 0 if self.blocks[kind] else self.guess[kind])
            block = torch.empty(whole + self.spare, dtype=torch.uint8, device=self.device)
            at = block.data_ptr()
            if self.spare:
                skip = -at % ALIGN
                block, at = block[skip:skip + whole], at + skip
            self.blocks[kind].append(block)
            self.end[kind] = at + whole
        self.at[kind] = at + size
        return at


arenas = {}
numbers = itertools.count(1)


@_abi.Alloc
def alloc(user, kind, size):
    arena = arenas[user]
    try:
        return arena.take(kind, size)
    except BaseException as e:  # an exception cannot pass through C: it is raised after the call
        arena.error = e
        return None


ALLOC = c.cast(alloc, c.c_void_p).value


class Workspace:
    """An engine's splat_workspace; freed with the object. One call at a time."""

    __slots__ = ("engine", "raw", "last")

    def __init__(self, engine, device):
        self.engine, self.raw, self.last = engine, c.c_void_p(), None
        engine.check(engine.workspace_new(device, c.byref(self.raw)))

    def poll(self, saved, wait):
        """The splat_progress of the call that left `saved` (bytes of a splat_saved)."""
        out = _abi.Progress()
        self.engine.check(self.engine.poll(self.raw, saved, wait, c.byref(out)))
        return out

    def look_back(self):
        """Warns if the last call, which nobody waited for, left Gaussians out."""
        saved, self.last = self.last, None
        if saved is not None and self.poll(saved, 0).overflow:
            warnings.warn("a render lacked its farthest Gaussians because it was not allowed to wait for the device; "
                          "later ones of this size have enough memory (DGR_WAIT=1 waits)", RuntimeWarning, stacklevel=2)

    def __del__(self):
        if self.raw and not sys.is_finalizing():
            self.engine.workspace_free(self.raw)


class Kind:
    """What past calls taught about scenes of one kind."""

    __slots__ = ("guess", "spare")

    def __init__(self):
        self.guess, self.spare = (0, 0), []

    def workspace(self, engine, device):
        """A workspace that no other thread uses; return it with `spare.append`."""
        try:
            return self.spare.pop()
        except IndexError:
            return Workspace(engine, device)


def kind_of(engine, key):
    """The Kind for a key; if there are too many, the oldest is forgotten."""
    kind = engine.kinds.get(key)
    if kind is None:
        while len(engine.kinds) >= _KINDS:
            try:
                engine.kinds.pop(next(iter(engine.kinds)))
            except (StopIteration, KeyError, RuntimeError):  # another thread was faster
                break
        kind = engine.kinds[key] = Kind()
    return kind
