"""The differentiable operation: one autograd node over _call's forward and backward. First derivatives only.

The node keeps its inputs, the camera and the engine's buffers as saved tensors: dropping the graph frees them, an input
changed in place is reported by torch, and hooks on saved tensors (offloading, checkpointing) see all of it.
"""

import functools
import sys

import torch
from torch.autograd.function import once_differentiable

from . import _abi, _call, _inputs

# Order of the node's tensor inputs: that of the original's operation, then the split SH.
ORDER = ("means3d", "means2d", "sh", "colors", "opacities", "scales", "rotations", "cov3d", "sh_rest")
DIFFERENTIABLE = ("color", "invdepth", "depth", "alpha")


class Rasterize(torch.autograd.Function):
    """apply(engine, view, names, *tensors of ORDER or None) -> (radii, color, the images of `names`)."""

    @staticmethod
    def forward(ctx, engine, view, names, *tensors):
        ctx.set_materialize_grads(False)
        scene = {n: t for n, t in zip(ORDER, tensors) if t is not None and n != "means2d"}
        out, ctx.state, buffers = _call.forward(engine, _call.without_empty(scene), view, names)
        ctx.engine, ctx.view, ctx.scene, ctx.names = engine, view, tuple(scene), names
        ctx.save_for_backward(out["radii"], *view.tensors(), *scene.values(), *buffers)
        ctx.mark_non_differentiable(out["radii"])
        return (out["radii"],) + tuple(out[n] for n in names)

    @staticmethod
    @once_differentiable
    def backward(ctx, _radii, *upstream):
        radii, view, proj, campos, background, *rest = ctx.saved_tensors
        scene = dict(zip(ctx.scene, rest))
        needed = {n: need for n, need in zip(ORDER, ctx.needs_input_grad[3:])}
        given = {n: g.to(torch.float32).contiguous() for n, g in zip(ctx.names, upstream) if g is not None}
        if radii.numel() == 0 or not given:
            likes = dict(scene, means2d=scene["means3d"])
            grads = {n: torch.zeros_like(likes[n]) for n in ORDER if needed[n]}
        else:
            grads = _call.backward(ctx.engine, scene, ctx.view.with_tensors(view, proj, campos, background), ctx.state,
                                   rest[len(scene):], radii, given, [n for n in ORDER if needed[n]])
        return (None, None, None) + tuple(grads.get(n) for n in ORDER)


def eager(function):
    """Keeps torch.compile out: the graph breaks around the call, which then runs as it is."""
    disabled = []

    @functools.wraps(function)
    def call(*args, **kwargs):
        dynamo = sys.modules.get("torch._dynamo")
        if dynamo is None:  # nothing can be compiling; not imported, for that takes seconds
            return function(*args, **kwargs)
        if not disabled:
            disabled.append(dynamo.disable(function))
        return disabled[0](*args, **kwargs)

    call._torchdynamo_disable = True
    return call


@eager
def rasterize(means3D, means2D, sh, colors, opacities, scales, rotations, cov3d, settings, dc, names):
    """The outputs of `names` (see _settings), in that order, linked into the graph where gradients are wanted."""
    engine = _call.engine_for(_inputs.centres(means3D))
    scene = _inputs.scene(engine, means3D, opacities, sh, colors, scales, rotations, cov3d, dc)
    view = _inputs.view(engine, settings, means3D.device)
    images = tuple(n for n in DIFFERENTIABLE if n == "color" or n in names)
    tensors = dict(scene, means2d=_inputs.means2d(means2D, means3D))
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors.values()):
        radii, *linked = Rasterize.apply(engine, view, images, *[tensors.get(n) for n in ORDER])
        out = dict(zip(images, linked), radii=radii)
    else:
        view.flags |= _abi.FORWARD_ONLY
        with torch.no_grad():
            out = _call.forward(engine, _call.without_empty(scene), view, images)[0]
    return tuple(out[n] for n in names)


@eager
def visible(positions, settings):
    """bool [P]: which centres [P,3] are in front of the camera."""
    with torch.no_grad():
        means = _inputs.centres(positions)
        engine = _call.engine_for(means)
        return _call.mark_visible(engine, means,
                                  _inputs.numbers("viewmatrix", settings.viewmatrix, 16, means.device),
                                  _inputs.numbers("projmatrix", settings.projmatrix, 16, means.device))
