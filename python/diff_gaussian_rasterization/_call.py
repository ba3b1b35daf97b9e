"""Calls of an engine on torch tensors: pointers, strides, stream and memory. No autograd, no checks of shapes.

Tensors are f32 on one device; memory comes from torch's allocator, through one callback. What forward leaves for
backward are ordinary tensors, so that whoever holds them (the autograd graph) frees them.
"""

import contextlib
import ctypes as c
import itertools

import torch

from . import _abi
from ._engine import engine as find_engine

ALIGN = 256
# Names of splat_gaussians that this package fills, with the dimensions of their tensors.
INPUTS = {"means3d": 2, "opacities": 1, "sh": 3, "sh_rest": 3, "colors": 2, "scales": 2, "rotations": 2, "cov3d": 2}
# Outputs by the names of this package, with the member of splat_forward_args.
IMAGES = {"color": "color", "invdepth": "inv_depth", "depth": "depth", "alpha": "alpha"}


class View:
    """A camera and its settings. view, proj [16], campos and background [3] are f32, contiguous, on the device."""

    __slots__ = ("width", "height", "tan_fovx", "tan_fovy", "view", "proj", "campos", "background", "scale_modifier",
                 "sh_degree", "flags")

    def __init__(self, **values):
        for name, value in values.items():
            setattr(self, name, value)

    def tensors(self):
        return self.view, self.proj, self.campos, self.background

    def with_tensors(self, view, proj, campos, background):
        """The same with these tensors, which a graph kept."""
        rest = {n: getattr(self, n) for n in self.__slots__}
        rest.update(view=view, proj=proj, campos=campos, background=background)
        return View(**rest)


class _Arena:
    """Memory of one call."""

    def __init__(self, device):
        self.device, self.error = device, None
        self.blocks = ([], [])

    def take(self, kind, size):
        block = torch.empty(max(size, 1) + ALIGN, dtype=torch.uint8, device=self.device)
        skip = -block.data_ptr() % ALIGN
        self.blocks[kind].append(block[skip:skip + max(size, 1)])
        return block.data_ptr() + skip


_arenas = {}
_numbers = itertools.count(1)


@_abi.Alloc
def _alloc(user, kind, size):
    arena = _arenas[user]
    try:
        return arena.take(kind, size)
    except BaseException as e:  # an exception cannot pass through C: it is raised after the call
        arena.error = e
        return None


@contextlib.contextmanager
def _calling(engine, device):
    """A context for one call on the device's current stream, and the arena that gives it memory."""
    index = device.index if device.type == "cuda" else -1
    engine.require_device(index)
    arena, number = _Arena(device), next(_numbers)
    context = _abi.Context(struct_size=c.sizeof(_abi.Context), device=index, alloc=_alloc, user=number)
    _arenas[number] = arena
    try:
        if device.type == "cuda":
            with torch.cuda.device(device):
                context.stream = torch.cuda.current_stream(device).cuda_stream
                yield context, arena
        else:
            yield context, arena
    finally:
        del _arenas[number]


def _check(engine, arena, status):
    if status and arena.error is not None:
        raise arena.error
    engine.check(status)


def without_empty(scene):
    """The scene as engines take it: no tensors without elements but the centres."""
    return {n: t for n, t in scene.items() if n == "means3d" or t.numel() > 0}


def engine_for(tensor):
    """The engine whose memory the tensor is in."""
    return find_engine(tensor.device.type)


def _input(slot, tensor, dimensions):
    slot.data = tensor.data_ptr()
    slot.stride = (tuple(tensor.stride()[:dimensions]) + (0, 0, 0))[:3]


def _fill(args, context, scene, view):
    """The members that forward and backward share; returns what must stay alive during the call."""
    camera = _abi.Camera(c.sizeof(_abi.Camera), view.width, view.height, view.tan_fovx, view.tan_fovy, 0,
                         view.view.data_ptr(), view.proj.data_ptr(), view.campos.data_ptr())
    args.struct_size = c.sizeof(args)
    args.context = context
    args.camera_count = 1
    args.cameras = c.pointer(camera)
    g = args.gaussians
    g.struct_size = c.sizeof(_abi.Gaussians)
    g.count = scene["means3d"].shape[0]
    for name, dimensions in INPUTS.items():
        tensor = scene.get(name)
        if tensor is not None:
            _input(getattr(g, name), tensor, dimensions)
            if name in ("sh", "sh_rest"):
                g.sh_coeffs += tensor.shape[1]
    s = args.settings
    s.struct_size = c.sizeof(_abi.Settings)
    s.flags, s.scale_modifier, s.sh_degree = view.flags, view.scale_modifier, view.sh_degree
    s.background = view.background.data_ptr()
    return camera


def forward(engine, scene, view, names):
    """Renders; `scene` maps names of INPUTS to tensors (absent ones left out).

    Returns the outputs by name (`color` [3,H,W], `radii` int32 [P], those of `names` [1,H,W]), the splat_saved, and its
    buffers (uint8 tensors; none with FORWARD_ONLY).
    """
    means = scene["means3d"]
    out = {"radii": torch.empty(means.shape[0], dtype=torch.int32, device=means.device)}
    args = _abi.ForwardArgs()
    for name, member in IMAGES.items():
        if name == "color" or name in names:
            out[name] = torch.empty((3 if name == "color" else 1, view.height, view.width), dtype=torch.float32,
                                    device=means.device)
            setattr(args, member, out[name].data_ptr())
    args.radii = _pointer(out["radii"])
    args.saved.struct_size = c.sizeof(_abi.Saved)
    with _calling(engine, means.device) as (context, arena):
        alive = _fill(args, context, scene, view)
        _check(engine, arena, engine.forward(c.byref(args)))
        del alive
    by_address = {b.data_ptr(): b for b in arena.blocks[_abi.MEM_SAVED]}
    saved = _abi.Saved.from_buffer_copy(args.saved)
    buffers = [by_address[saved.buffer[i]] if saved.buffer[i] else means.new_empty(0, dtype=torch.uint8)
               for i in range(saved.buffer_count)]
    return out, saved, buffers


def backward(engine, scene, view, saved, buffers, radii, upstream, wanted):
    """Gradients by the names of `wanted` (of INPUTS, or `means2d`), each of its input's shape, `means2d` [P,3].

    `upstream` maps names of IMAGES to contiguous f32 tensors; the rest is as forward took and left it.
    """
    means = scene["means3d"]
    args = _abi.BackwardArgs()
    out = {}
    for name in wanted:
        like = scene.get(name, means)  # means2d, and colors that SH gave, are [P,3] too
        out[name] = torch.empty(like.shape, dtype=torch.float32, device=means.device)
        setattr(args, name, _pointer(out[name]))
    for name, tensor in upstream.items():
        setattr(args, "grad_" + IMAGES[name], tensor.data_ptr())
    args.radii = _pointer(radii)
    args.saved = saved
    buffers = [_aligned(b) for b in buffers]  # hooks on saved tensors may have moved them
    for i, tensor in enumerate(buffers):
        args.saved.buffer[i] = _pointer(tensor)
    with _calling(engine, means.device) as (context, arena):
        alive = _fill(args, context, scene, view)
        _check(engine, arena, engine.backward(c.byref(args)))
        del alive
    return out


def mark_visible(engine, means, view, proj):
    """bool [P]: which centres are over 0.2 in front of the camera; `means` f32 [P,3], matrices f32 [16]."""
    visible = torch.empty(means.shape[0], dtype=torch.bool, device=means.device)
    args = _abi.MarkVisibleArgs(struct_size=c.sizeof(_abi.MarkVisibleArgs), count=means.shape[0],
                                view=view.data_ptr(), proj=proj.data_ptr(), visible=_pointer(visible))
    _input(args.means3d, means, 2)
    with _calling(engine, means.device) as (context, arena):
        args.context = context
        _check(engine, arena, engine.mark_visible(c.byref(args)))
    return visible


def _aligned(block):
    if block.data_ptr() % ALIGN == 0:
        return block
    arena = _Arena(block.device)
    arena.take(_abi.MEM_SCRATCH, block.numel())
    return arena.blocks[_abi.MEM_SCRATCH][0][:block.numel()].copy_(block)


def _pointer(tensor):
    """The address; of a tensor without elements, where torch says 0, one that is not NULL and is never read."""
    return tensor.data_ptr() or ALIGN
