"""The differentiable operation: one autograd node over _call's forward and backward. First derivatives only.

The node keeps its inputs, the camera and the engine's buffers as saved tensors. Dropping the graph frees them, torch
reports inputs that were changed in place, and saved-tensor hooks (offloading, checkpointing) see all of them.
"""

import functools
import sys

import torch
from torch.autograd.function import once_differentiable

from . import _call, _outputs

# Order of the node's tensor inputs: as in the original's operation, then what its forks added.
ORDER = ("means3d", "means2d", "sh", "colors", "opacities", "scales", "rotations", "cov3d", "sh_rest", "features",
         "means2d_abs", "theta", "rho")
# Those that receive gradients and are not read.
GHOSTS = ("means2d", "means2d_abs", "theta", "rho")
SUMS = ("weight", "marked")


class Rasterize(torch.autograd.Function):
    """apply(engine, view, names, *tensors of ORDER or None) -> (radii, *channels of `names`)."""

    @staticmethod
    def forward(ctx, engine, view, names, *tensors):
        ctx.set_materialize_grads(False)
        scene = {n: t for n, t in zip(ORDER, tensors) if t is not None and n not in GHOSTS}
        ctx.shapes = [t.shape if t is not None and n in GHOSTS else None for n, t in zip(ORDER, tensors)]
        out, ctx.state, blocks = _call.forward(engine, _call.without_empty(scene), view, names)
        ctx.engine, ctx.view, ctx.scene, ctx.names = engine, view, tuple(scene), names
        ctx.save_for_backward(out["radii"], *view.tensors(), *scene.values(), *blocks)
        ctx.mark_non_differentiable(out["radii"], *[out[n] for n in names if n in SUMS])
        return (out["radii"],) + tuple(out[n] for n in names)

    @staticmethod
    @once_differentiable
    def backward(ctx, _radii, *upstream):
        radii, view, proj, campos, background, *rest = ctx.saved_tensors
        scene = dict(zip(ctx.scene, rest))
        needed = [n for n, need in zip(ORDER, ctx.needs_input_grad[3:]) if need]
        given = given_gradients(ctx.names, upstream)
        if radii.numel() == 0 or not given:
            grads = zero_gradients(scene, needed, ctx.shapes)
        else:
            view = ctx.view.with_tensors(view, proj, campos, background)
            grads = _call.backward(ctx.engine, scene, view, ctx.state, rest[len(scene):], radii, given,
                                   without_twist(needed))
            add_twist(grads, view.view, needed, ctx.shapes)
        return (None, None, None) + tuple(grads.get(n) for n in ORDER)


def given_gradients(names, upstream):
    """The gradients of images that are not None, as engines take them."""
    return {n: g.to(torch.float32).contiguous() for n, g in zip(names, upstream) if g is not None and n not in SUMS}


def zero_gradients(scene, needed, shapes):
    means = scene["means3d"]
    return {n: means.new_zeros(scene[n].shape if n in scene else shapes[ORDER.index(n)]) for n in needed}


def without_twist(needed):
    """What the engine is asked for: the gradient of the pose comes from that of the view matrix."""
    wanted = [n for n in needed if n != "theta" and n != "rho"]
    return wanted + ["view"] if len(wanted) < len(needed) else wanted


def add_twist(grads, view, needed, shapes):
    """Replaces the gradient `view` by those for the rotation `theta` and translation `rho` of a motion of the world in
    camera coordinates.

    The world-to-camera matrix V becomes exp(rho, theta) V, so at zero dV = [theta]x V + [0 | rho]. `view` and its
    gradient hold V and dL/dV column after column: with columns v_j and g_j the gradient for theta is the sum of
    v_j x g_j over the four columns, that for rho is g_3.
    """
    if "view" not in grads:
        return
    columns, slopes = view.reshape(4, 4)[:, :3], grads.pop("view").reshape(4, 4)[:, :3]
    twist = {"theta": torch.cross(columns, slopes, dim=1).sum(0), "rho": slopes[3]}
    grads.update({n: twist[n].reshape(shapes[ORDER.index(n)]) for n in needed if n in twist})


def linked(scene, ghosts):
    """The node's tensor inputs in ORDER if one of them wants a gradient, else None."""
    if torch.is_grad_enabled():
        tensors = dict(scene, **ghosts)
        if any(t is not None and t.requires_grad for t in tensors.values()):
            return [tensors.get(n) for n in ORDER]
    return None


def channels(engine, scene, view, ghosts, names):
    """`radii` and the channels of `names` by name, in the graph if a gradient is wanted."""
    tensors = linked(scene, ghosts)
    if tensors is None:
        with torch.no_grad():
            return _call.forward(engine, _call.without_empty(scene), view.forward_only(), names)[0]
    names = tuple(names)
    return dict(zip(("radii",) + names, Rasterize.apply(engine, view, names, *tensors)))


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
        if tracer is not None and tracer() is None:
            return function(*args, **kwargs)
        out = untraced(*args, **kwargs)
        # Compiled code unpacks plain tuples, of which it knows the length.
        return tuple(out) if tracer is not None and isinstance(out, _outputs.Outputs) else out

    call._torchdynamo_disable = True
    return call
