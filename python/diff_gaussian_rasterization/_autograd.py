"""The differentiable operation: one autograd node over _call's forward and backward. First derivatives only.

The node keeps its inputs, the camera and the engine's buffers as saved tensors. Dropping the graph frees them, torch
reports inputs that were changed in place, and saved-tensor hooks (offloading, checkpointing) see all of them.
"""

import functools
import itertools
import sys

import torch
from torch.autograd.function import once_differentiable

from . import _call
from ._plan import SUMS

# Inputs that receive gradients and are not read.
GHOSTS = frozenset(("means2d", "means2d_abs", "theta", "rho"))


class Rasterize(torch.autograd.Function):
    """apply(engine, view, names, inputs, *tensors) -> (radii, *channels of `names`); `inputs` names the tensors: those of
    _plan.INPUTS, then those of GHOSTS."""

    @staticmethod
    def forward(ctx, engine, view, names, inputs, *tensors):
        ctx.set_materialize_grads(False)
        scene, ctx.ghosts = split(inputs, tensors)
        out, ctx.state, blocks = _call.forward(engine, scene, view, names)
        ctx.call, ctx.names, ctx.read = (engine, view, inputs), names, len(scene)
        radii = out["radii"]
        ctx.save_for_backward(radii, view.view, view.proj, view.campos, view.background, *scene.values(), *blocks)
        if SUMS.isdisjoint(names):
            ctx.mark_non_differentiable(radii)
        else:
            ctx.mark_non_differentiable(radii, *[out[n] for n in names if n in SUMS])
        return (radii, *[out[n] for n in names])

    @staticmethod
    def backward(ctx, *upstream):
        # The wrapper, which is not free, makes an error of a second derivative; only then are gradients on here.
        return (_once if torch.is_grad_enabled() else _gradients)(ctx, *upstream)


def _gradients(ctx, _radii, *upstream):
    radii, matrix, proj, campos, background, *rest = ctx.saved_tensors
    engine, view, inputs = ctx.call
    scene = dict(zip(inputs, rest[:ctx.read]))
    needed = list(itertools.compress(inputs, ctx.needs_input_grad[4:]))
    given = given_gradients(ctx.names, upstream)
    if radii.shape[0] == 0 or not given:
        means = scene["means3d"]
        grads = {n: means.new_zeros(scene[n].shape if n in scene else ctx.ghosts[n]) for n in needed}
    else:
        view = view.with_tensors(matrix, proj, campos, background)
        grads = _call.backward(engine, scene, view, ctx.state, rest[ctx.read:], radii, given, without_twist(needed))
        if "view" in grads:
            add_twist(grads, matrix, ctx.ghosts)
    return (None, None, None, None, *map(grads.get, inputs))


_once = once_differentiable(_gradients)

def _apply(*args):
    """Rasterize.apply without the search for wrappers that functorch left behind, unless it or the compiler, which traces
    this call, may be at work: the search takes a tenth of the time of a small call."""
    active = getattr(torch._C, "_are_functorch_transforms_active", None)
    if active is None or "torch._dynamo" in sys.modules or active():
        return Rasterize.apply(*args)
    return super(torch.autograd.Function, Rasterize).apply(*args)


def split(inputs, tensors):
    """The tensors that are read, by name, and the shapes of the others."""
    scene = dict(zip(inputs, tensors))
    return scene, {n: scene.pop(n).shape for n in inputs if n in GHOSTS}


def given_gradients(names, upstream):
    """The gradients of images that are not None, as engines take them."""
    return {n: g if g.dtype == torch.float32 and g.is_contiguous() else g.to(torch.float32).contiguous()
            for n, g in zip(names, upstream) if g is not None and n not in SUMS}


def without_twist(needed):
    """What the engine is asked for: the gradient of the pose comes from that of the view matrix."""
    if "theta" in needed or "rho" in needed:
        return [n for n in needed if n != "theta" and n != "rho"] + ["view"]
    return needed


def add_twist(grads, view, shapes):
    """Replaces the gradient `view` by those for the rotation `theta` and translation `rho` of a motion of the world in
    camera coordinates; `shapes` has those of the two.

    The world-to-camera matrix V becomes exp(rho, theta) V, so at zero dV = [theta]x V + [0 | rho]. `view` and its
    gradient hold V and dL/dV column after column: with columns v_j and g_j the gradient for theta is the sum of
    v_j x g_j over the four columns, that for rho is g_3.
    """
    columns, slopes = view.reshape(4, 4)[:, :3], grads.pop("view").reshape(4, 4)[:, :3]
    twist = {"theta": torch.cross(columns, slopes, dim=1).sum(0), "rho": slopes[3]}
    grads.update({n: g.reshape(shapes[n]) for n, g in twist.items() if n in shapes})


def linked(tensors):
    """Whether gradients are on and one of the tensors wants one."""
    if torch.is_grad_enabled():
        for tensor in tensors:
            if tensor.requires_grad:
                return True
    return False


def channels(engine, scene, view, ghosts, names):
    """`radii` and the channels of `names`, a tuple, by name; in the graph if a gradient is wanted."""
    tensors = (*scene.values(), *ghosts.values())
    if not linked(tensors):
        with torch.no_grad():
            return _call.forward(engine, scene, view.forward_only(), names)[0]
    return dict(zip(("radii", *names), _apply(engine, view, names, (*scene, *ghosts), *tensors)))


def _asker():
    """A function that returns None unless torch.compile is tracing; None itself for torch before 2.3, which cannot be
    asked."""
    return getattr(torch._C._dynamo.eval_frame, "get_eval_frame_callback", None)


def eager(function):
    """Keeps torch.compile out: the graph breaks at the call, which runs uncompiled."""
    known = []

    @functools.wraps(function)
    def call(*args, **kwargs):
        dynamo = sys.modules.get("torch._dynamo")
        if dynamo is None:  # nothing can be compiling; importing it takes seconds
            return function(*args, **kwargs)
        if not known:
            known.append((dynamo.disable(function), dynamo.disable(_asker)()))
        untraced, tracer = known[0]
        return (function if tracer is not None and tracer() is None else untraced)(*args, **kwargs)

    call._torchdynamo_disable = True
    return call
