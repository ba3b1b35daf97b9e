"""Calls of an engine on torch tensors: pointers, strides, stream and memory. No autograd, no checks of shapes.

Tensors are f32 on one device. On CUDA only `forward` waits for the device, and only for the counts of its call (never
for the image), because without them nobody knows whether something is missing; `View.wait` turns that off.
"""

import ctypes as c

import torch

from . import _abi, _memory
from ._engine import engine as find_engine
from ._layout import Layout

# Members of splat_gaussians that this package fills, with the dimensions of their tensors.
INPUTS = {"means3d": 2, "opacities": 1, "sh": 3, "sh_rest": 3, "colors": 2, "scales": 2, "rotations": 2, "cov3d": 2,
          "features": 2}
# Channels by the names of this package, in the order in which engines are asked for them; those of _SUMS are per
# Gaussian.
CHANNELS = {"color": _abi.COLOR, "invdepth": _abi.INV_DEPTH, "depth": _abi.DEPTH, "alpha": _abi.ALPHA,
            "features": _abi.FEATURES, "weight": _abi.WEIGHT_SUM, "marked": _abi.WEIGHT_IMAGE}
_SUMS = ("weight", "marked")

_SHARED = dict(context=_abi.Context, cameras=_abi.Camera, gaussians=_abi.Gaussians, settings=_abi.Settings,
               channels=_abi.Channel * len(CHANNELS), saved=_abi.Saved)
_FORWARD = Layout(args=_abi.ForwardArgs, **_SHARED)
_BACKWARD = Layout(args=_abi.BackwardArgs, gradients=_abi.Gradients, **_SHARED)
_SAVED = c.sizeof(_abi.Saved)


class View:
    """A camera and its settings. view, proj [16], campos and background [3] are f32, contiguous, on the device.

    wait: whether forward may wait for its counts. marks: f32 [H,W] for channel `marked`, or None.
    """

    __slots__ = ("width", "height", "tan_fovx", "tan_fovy", "view", "proj", "campos", "background", "scale_modifier",
                 "sh_degree", "flags", "wait", "marks")

    def __init__(self, width, height, tan_fovx, tan_fovy, view, proj, campos, background, scale_modifier, sh_degree,
                 flags, wait=True, marks=None):
        self.width, self.height, self.tan_fovx, self.tan_fovy = width, height, tan_fovx, tan_fovy
        self.view, self.proj, self.campos, self.background = view, proj, campos, background
        self.scale_modifier, self.sh_degree, self.flags, self.wait = scale_modifier, sh_degree, flags, wait
        self.marks = marks

    def tensors(self):
        return self.view, self.proj, self.campos, self.background

    def with_tensors(self, view, proj, campos, background):
        """A copy with these tensors, which the graph kept."""
        return View(self.width, self.height, self.tan_fovx, self.tan_fovy, view, proj, campos, background,
                    self.scale_modifier, self.sh_degree, self.flags, self.wait, self.marks)

    def forward_only(self):
        """A copy for a render that no backward pass will follow."""
        copy = self.with_tensors(*self.tensors())
        copy.flags |= _abi.FORWARD_ONLY
        return copy


class State:
    """What forward left: the bytes of its splat_saved, the addresses of the blocks that it points into, how many
    Gaussian-tile intersections there were (-1 if unknown), and the names of the channels."""

    __slots__ = ("saved", "bases", "rendered", "names")

    def __init__(self, saved, bases, rendered, names):
        self.saved, self.bases, self.rendered, self.names = saved, bases, rendered, names


def engine_for(tensor):
    """The engine whose memory the tensor is in."""
    return find_engine(tensor.device.type)


def without_empty(scene):
    """The scene as engines take it: of tensors without elements only the centres stay."""
    return {n: t for n, t in scene.items() if n == "means3d" or t.numel() > 0}


try:
    _raw_stream = torch._C._cuda_getCurrentRawStream  # as current_stream does, without making an object
except AttributeError:
    def _raw_stream(index):
        return torch.cuda.current_stream(index).cuda_stream


def _device(engine, device):
    """(ordinal or -1, stream) of a device that can be used."""
    index = device.index if device.type == "cuda" else -1
    if index not in engine.ready:
        engine.require_device(index)
    return index, (_raw_stream(index) if index >= 0 else 0)


def run(engine, function, args, device):
    """Calls `function` with a struct of _abi whose context is filled in here; returns the blocks that it saved."""
    index, stream = _device(engine, device)
    arena, number = _memory.Arena(device), next(_memory.numbers)
    args.context = c.pointer(_abi.Context(device=index, stream=stream, alloc=_memory.alloc, user=number))
    _memory.arenas[number] = arena
    try:
        _check(engine, arena, function(c.byref(args)))
    finally:
        del _memory.arenas[number]
    return arena.blocks[_abi.MEM_SAVED]


def _check(engine, arena, status):
    if status and arena.error is not None:
        raise arena.error
    engine.check(status)


def _positions(layout):
    """Where `_fill` writes: inputs with the places of data and strides; then the first number of each struct."""
    at = layout.at
    inputs = [(name, at["gaussians.{}.data".format(name)], dims) for name, dims in INPUTS.items()]
    channels = [at["channels.{}.source".format(i)] for i in range(len(CHANNELS))]
    return (inputs, channels, at["args.camera_count"], at["args.radii"], at["context.device"], at["cameras.width"],
            at["gaussians.count"], at["settings.flags"])


_PLACES = {layout: _positions(layout) for layout in (_FORWARD, _BACKWARD)}
_SOURCE, _DATA, _GRADIENT, _IMAGE = range(4)  # of a channel's numbers


def _fill(layout, scene, view, names, radii, index, stream, number):
    """The list of a call's values with what forward and backward share, and the places of its channels."""
    v = layout.values()
    inputs, channels, counts, radius, context, camera, count, settings = _PLACES[layout]
    v[counts:counts + 2] = 1, len(names)
    v[radius] = radii.data_ptr() or _memory.ALIGN
    v[context:context + 5] = index, stream, 0, _memory.ALLOC, number
    v[camera:camera + 8] = (view.width, view.height, view.tan_fovx, view.tan_fovy, _abi.PINHOLE, view.view.data_ptr(),
                            view.proj.data_ptr(), view.campos.data_ptr())
    v[count] = scene["means3d"].shape[0]
    coeffs = 0
    for name, place, dims in inputs:
        tensor = scene.get(name)
        if tensor is not None:
            v[place] = tensor.data_ptr()
            v[place + 1:place + 1 + dims] = tensor.stride()[:dims]
            if dims == 3:
                coeffs += tensor.shape[1]
    v[count + 1] = coeffs
    if "features" in scene:
        v[count + 2] = scene["features"].shape[1]
    v[settings:settings + 4] = view.flags, view.background.data_ptr(), view.scale_modifier, view.sh_degree
    for place, name in zip(channels, names):
        v[place + _SOURCE] = CHANNELS[name]
        if name == "marked":
            v[place + _IMAGE] = view.marks.data_ptr()
    return v, dict(zip(names, channels))


_WORKSPACE = _FORWARD.at["context.workspace"]
_SAVED_AT = _FORWARD.offset["saved.struct_size"]


def shape(name, scene, view):
    """Of an output: `color` [3,H,W], `features` [F,H,W], other images [1,H,W], `weight` and `marked` [P]."""
    if name in _SUMS:
        return (scene["means3d"].shape[0],)
    planes = 3 if name == "color" else scene["features"].shape[1] if name == "features" else 1
    return (planes, view.height, view.width)


def forward(engine, scene, view, names):
    """Renders; `scene` maps names of INPUTS to tensors (absent ones left out), `names` are of CHANNELS.

    Returns the outputs by name (`radii` int32 [P] and those of `names`), the State, and the blocks of memory that it
    points into (uint8 tensors; none with FORWARD_ONLY).
    """
    means = scene["means3d"]
    device, count = means.device, means.shape[0]
    index, stream = _device(engine, device)
    number = next(_memory.numbers)
    radii = means.new_empty((count,), dtype=torch.int32)
    names = tuple(n for n in CHANNELS if n in names)
    values, channels = _fill(_FORWARD, scene, view, names, radii, index, stream, number)
    out = {"radii": radii}
    for name, place in channels.items():
        out[name] = means.new_empty(shape(name, scene, view))
        values[place + _DATA] = out[name].data_ptr() or _memory.ALIGN
    kind = _memory.kind_of(engine, (index, view.width, view.height, count.bit_length(), names, view.flags))
    workspace = None
    if index >= 0 and count and engine.has(_abi.CAN_WORKSPACE):
        workspace = kind.workspace(engine, index)
        values[_WORKSPACE] = workspace.raw.value
        workspace.look_back()
    try:
        while True:
            buffer = _FORWARD.write(values)
            arena = _memory.arenas[number] = _memory.Arena(device, kind.guess)
            try:
                _check(engine, arena, engine.forward(buffer))
            finally:
                del _memory.arenas[number]
            kind.guess = tuple(arena.used)
            saved = buffer[_SAVED_AT:_SAVED_AT + _SAVED]
            rendered = _abi.Saved.from_buffer_copy(saved).rendered if workspace is None else -1
            if workspace is None:
                break
            if not view.wait or torch.cuda.is_current_stream_capturing():
                workspace.last = saved
                break
            progress = workspace.poll(saved, 1)
            rendered = progress.rendered
            if not progress.overflow:
                break
            # The estimate was too small: the workspace knows better now, and the image is rendered again.
    finally:
        if workspace is not None:
            kind.spare.append(workspace)
    blocks = arena.blocks[_abi.MEM_SAVED]
    return out, State(saved, [b.data_ptr() for b in blocks], rendered, names), blocks


_GRADS = {n: _BACKWARD.at["gradients." + n] for n in tuple(INPUTS) + ("means2d", "means2d_abs", "view")}
_SAVED_IN = _BACKWARD.offset["saved.struct_size"]


def backward(engine, scene, view, state, blocks, radii, upstream, wanted):
    """Gradients by the names of `wanted` (of INPUTS, or of those that `empty_gradient` knows), each of its input's
    shape.

    `upstream` maps names of CHANNELS to contiguous f32 tensors; the rest is as forward took and left it.
    """
    means = scene["means3d"]
    device = means.device
    index, stream = _device(engine, device)
    number = next(_memory.numbers)
    values, channels = _fill(_BACKWARD, scene, view, state.names, radii, index, stream, number)
    out = {}
    for name in wanted:
        out[name] = empty_gradient(name, scene)
        values[_GRADS[name]] = out[name].data_ptr() or _memory.ALIGN
    for name, tensor in upstream.items():
        values[channels[name] + _GRADIENT] = tensor.data_ptr()
    kind = _memory.kind_of(engine, (index, "backward", view.width, view.height, means.shape[0].bit_length()))
    buffer = _BACKWARD.write(values)
    saved, alive = saved_bytes(state, blocks)
    c.memmove(c.addressof(buffer) + _SAVED_IN, saved, _SAVED)
    arena = _memory.arenas[number] = _memory.Arena(device, kind.guess)
    try:
        _check(engine, arena, engine.backward(buffer))
    finally:
        del _memory.arenas[number]
        del alive
    kind.guess = tuple(arena.used)
    return out


def empty_gradient(name, scene):
    """Memory for a gradient: of its input's shape, `means2d_abs` [P,2], `view` [16]; `means2d`, and colours that SH
    gave, [P,3]."""
    means = scene["means3d"]
    if name == "view":
        return means.new_empty((16,))
    if name == "means2d_abs":
        return means.new_empty((means.shape[0], 2))
    return means.new_empty(scene.get(name, means).shape)


def saved_bytes(state, blocks):
    """The bytes of splat_saved for blocks that saved-tensor hooks may have moved, and what must stay alive."""
    if all(b.data_ptr() == base for b, base in zip(blocks, state.bases)):
        return state.saved, blocks
    saved = _abi.Saved.from_buffer_copy(state.saved)
    blocks = [_aligned(b) for b in blocks]
    for i in range(saved.buffer_count):
        for base, block in zip(state.bases, blocks):
            if saved.buffer[i] is not None and base <= saved.buffer[i] < base + block.numel():
                saved.buffer[i] = block.data_ptr() + saved.buffer[i] - base
                break
    return bytes(saved), blocks


def mark_visible(engine, means, view, proj):
    """bool [P]: which centres have a view-space depth over 0.2; `means` f32 [P,3], matrices f32 [16]."""
    visible = torch.empty(means.shape[0], dtype=torch.bool, device=means.device)
    args = _abi.MarkVisibleArgs(count=means.shape[0], view=view.data_ptr(), proj=proj.data_ptr(),
                                visible=visible.data_ptr() or _memory.ALIGN)
    args.means3d.data, args.means3d.stride = means.data_ptr(), tuple(means.stride()) + (0,)
    run(engine, engine.mark_visible, args, means.device)
    return visible


def _aligned(block):
    if block.data_ptr() % _memory.ALIGN == 0:
        return block
    arena = _memory.Arena(block.device)
    arena.take(_abi.MEM_SCRATCH, block.numel())
    return arena.blocks[_abi.MEM_SCRATCH][0][:block.numel()].copy_(block)
