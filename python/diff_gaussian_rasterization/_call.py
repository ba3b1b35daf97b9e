"""Calls of an engine on torch tensors: pointers, strides, stream and memory. No autograd, no checks of shapes.

Tensors are f32 on one device. On CUDA only `forward` waits for the device, and only for the counts of its call (never
for the image), because without them nobody knows whether something is missing; `View.wait` turns that off.
"""

import ctypes as c

import torch

from . import _abi, _memory
from ._engine import engine as find_engine
from ._plan import DATA, GRADIENT, SUMS, plan_of


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
    Gaussian-tile intersections there were (-1: not known; None: `saved` has it), the names of the channels, and the structs
    that it read with the addresses of the tensors that they point to (None where they are not kept)."""

    __slots__ = ("saved", "bases", "_rendered", "names", "structs", "tensors")

    def __init__(self, saved, bases, rendered, names, structs=None, tensors=None):
        self.saved, self.bases, self._rendered, self.names = saved, bases, rendered, names
        self.structs, self.tensors = structs, tensors

    @property
    def rendered(self):
        return _abi.Saved.from_buffer_copy(self.saved).rendered if self._rendered is None else self._rendered


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


_SAVED = c.sizeof(_abi.Saved)


def shape(name, scene, view):
    """Of an output: `color` [3,H,W], `features` [F,H,W], other images [1,H,W], `weight` and `marked` [P]."""
    if name == "color":
        return (3, view.height, view.width)
    if name in SUMS:
        return (scene["means3d"].shape[0],)
    return (scene["features"].shape[1] if name == "features" else 1, view.height, view.width)


def forward(engine, scene, view, names):
    """Renders; `scene` maps names of INPUTS to tensors (absent ones left out), `names` is a tuple of CHANNELS.

    Returns the outputs by name (`radii` int32 [P] and those of `names`), the State, and the blocks of memory that it
    points into (uint8 tensors; none with FORWARD_ONLY).
    """
    means = scene["means3d"]
    device, count = means.device, means.shape[0]
    if not count:
        scene = without_empty(scene)
    index, stream = _device(engine, device)
    number = next(_memory.numbers)
    plan = plan_of(scene, names)
    radii = means.new_empty((count,), dtype=torch.int32)
    values = plan.values(scene, view, radii, index, stream, number)
    out = {"radii": radii}
    for at, _, name in plan.forward.sources:
        tensor = out[name] = means.new_empty(shape(name, scene, view))
        values[at + DATA] = tensor.data_ptr() or _memory.ALIGN
    kind = _memory.kind_of(engine, (index, view.width, view.height, count.bit_length(), plan.names, view.flags))
    workspace = None
    if index >= 0 and count and engine.has(_abi.CAN_WORKSPACE):
        workspace = kind.workspace(engine, index)
        values[plan.forward.workspace] = workspace.raw.value
        workspace.look_back()
    try:
        while True:
            buffer = plan.forward.layout.write(values)
            arena = _memory.arenas[number] = _memory.Arena(device, kind.guess)
            try:
                _check(engine, arena, engine.forward(buffer))
            finally:
                del _memory.arenas[number]
            kind.guess = tuple(arena.used)
            saved = buffer[plan.saved:plan.saved + _SAVED]
            if workspace is None:
                rendered = None
                break
            rendered = -1
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
    return out, State(saved, [b.data_ptr() for b in blocks], rendered, plan.names, buffer, _places(scene, view)), blocks


def _places(scene, view):
    """The addresses of the tensors that the structs of a call point to."""
    return [view.view.data_ptr(), view.proj.data_ptr(), view.campos.data_ptr(), view.background.data_ptr(),
            *[t.data_ptr() for t in scene.values()]]


def backward(engine, scene, view, state, blocks, radii, upstream, wanted):
    """Gradients by the names of `wanted` (of INPUTS, or of those that `empty_gradient` knows), each of its input's
    shape.

    `upstream` maps names of CHANNELS to contiguous f32 tensors; the rest is as forward took and left it.
    """
    means = scene["means3d"]
    device = means.device
    index, stream = _device(engine, device)
    number = next(_memory.numbers)
    plan = plan_of(scene, state.names)
    saved, blocks = saved_bytes(state, blocks)
    structs = state.structs
    if structs is None or saved is not state.saved or state.tensors != _places(scene, view):
        # Hooks moved what was saved, or the caller of _C kept it in buffers.
        structs = plan.forward.layout.write(plan.values(scene, view, radii, index, stream, number))
        c.memmove(c.addressof(structs) + plan.saved, saved, _SAVED)
    values = plan.values_back(view, radii, index, stream, number, c.addressof(structs))
    out, places = {}, plan.gradients
    for name in wanted:
        tensor = out[name] = empty_gradient(name, scene)
        values[places[name]] = tensor.data_ptr() or _memory.ALIGN
    for at, _, name in plan.backward.sources:
        if name in upstream:
            values[at + GRADIENT] = upstream[name].data_ptr()
    kind = _memory.kind_of(engine, (index, "backward", view.width, view.height, means.shape[0].bit_length()))
    buffer = plan.backward.layout.write(values)
    arena = _memory.arenas[number] = _memory.Arena(device, kind.guess)
    try:
        _check(engine, arena, engine.backward(buffer))
    finally:
        del _memory.arenas[number]
        del blocks, structs  # alive until here
    kind.guess = tuple(arena.used)
    return out


def empty_gradient(name, scene):
    """Memory for a gradient: of its input's shape, `means2d_abs` [P,2], `view` [16]; `means2d`, and colours that SH
    gave, [P,3]."""
    means = scene["means3d"]
    if name == "view" or name == "means2d_abs":
        return means.new_empty((16,) if name == "view" else (means.shape[0], 2))
    return torch.empty_like(scene.get(name, means), memory_format=torch.contiguous_format)


def saved_bytes(state, blocks):
    """The bytes of splat_saved for blocks that saved-tensor hooks may have moved, and what must stay alive."""
    if [b.data_ptr() for b in blocks] == state.bases:
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
