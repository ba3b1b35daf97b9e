"""The differentiable operation: one autograd node over _call's forward and backward. First derivatives only.

The node keeps its inputs, the camera and the engine's buffers as saved tensors: dropping the graph frees them, an input
changed in place is reported by torch, and hooks on saved tensors (offloading, checkpointing) see all of it.
"""

import functools
import sys

import torch
from torch.autograd.function import once_differentiable

from . import _abi, _call, _inputs
from ._engine import EngineError

# Order of the node's tensor inputs: that of the original's operation, then the split SH and the pose.
ORDER = ("means3d", "means2d", "sh", "colors", "opacities", "scales", "rotations", "cov3d", "sh_rest", "theta", "rho")
# Those that receive gradients and are not read.
_GHOSTS = ("means2d", "theta", "rho")
DIFFERENTIABLE = ("color", "invdepth", "depth", "alpha")


class Rasterize(torch.autograd.Function):
    """apply(engine, view, names, touched, *tensors of ORDER or None) -> (radii, touched or None, color, the images of
    `names`)."""

    @staticmethod
    def forward(ctx, engine, view, names, touched, *tensors):
        ctx.set_materialize_grads(False)
        scene = {n: t for n, t in zip(ORDER, tensors) if t is not None and n not in _GHOSTS}
        ctx.shapes = [t.shape if t is not None and n in _GHOSTS else None for n, t in zip(ORDER, tensors)]
        full = _call.without_empty(scene)
        out, ctx.state, blocks = _call.forward(engine, full, view, names)
        radii = out["radii"]
        count = _touched(engine, full, view, ctx.state, blocks, radii, out["color"]) if touched else None
        ctx.engine, ctx.view, ctx.scene, ctx.names = engine, view, tuple(scene), names
        ctx.save_for_backward(radii, *view.tensors(), *scene.values(), *blocks)
        ctx.mark_non_differentiable(*((radii, count) if touched else (radii,)))
        return (radii, count) + tuple(out[n] for n in names)

    @staticmethod
    @once_differentiable
    def backward(ctx, _radii, _count, *upstream):
        radii, view, proj, campos, background, *rest = ctx.saved_tensors
        scene = dict(zip(ctx.scene, rest))
        needed = [n for n, need in zip(ORDER, ctx.needs_input_grad[4:]) if need]
        given = {n: g.to(torch.float32).contiguous() for n, g in zip(ctx.names, upstream) if g is not None}
        if radii.numel() == 0 or not given:
            means = scene["means3d"]
            grads = {n: means.new_zeros(scene[n].shape if n in scene else ctx.shapes[ORDER.index(n)]) for n in needed}
        else:
            wanted = [n for n in needed if n != "theta" and n != "rho"]
            if len(wanted) < len(needed):
                wanted.append("view")
            view = ctx.view.with_tensors(view, proj, campos, background)
            grads = _call.backward(ctx.engine, scene, view, ctx.state, rest[len(scene):], radii, given, wanted)
            if "view" in grads:
                twist = _twist(view.view, grads.pop("view"))
                grads.update({n: twist[n].reshape(ctx.shapes[ORDER.index(n)]) for n in needed if n in twist})
        return (None, None, None, None) + tuple(grads.get(n) for n in ORDER)


def _twist(view, grad):
    """Gradients for the rotation `theta` and translation `rho` of a motion of the world in camera coordinates.

    The world-to-camera matrix V becomes exp(rho, theta) V, so at zero dV = [theta]x V + [0 | rho]. `view` and `grad`
    hold V and dL/dV column after column: with columns v_j and g_j the gradient for theta is the sum of v_j x g_j over
    the four columns, that for rho is g_3.
    """
    columns, grads = view.reshape(4, 4)[:, :3], grad.reshape(4, 4)[:, :3]
    return {"theta": torch.cross(columns, grads, dim=1).sum(0), "rho": grads[3]}


def _touched(engine, scene, view, state, blocks, radii, color):
    """int32 [P]: each splat's weights summed over the pixels, rounded up; 0 for one that adds nothing to the image.

    The sum is the derivative of the red image for the splat's red.
    """
    if radii.numel() == 0:
        return torch.zeros_like(radii)
    ones = torch.zeros_like(color)
    ones[0] = 1.0
    grads = _call.backward(engine, scene, view, state, blocks, radii, {"color": ones}, ["colors"])
    return grads["colors"][:, 0].ceil().to(torch.int32)


def _asker():
    """The function that gives what torch.compile traces frames with, None while nothing is compiled; None for a torch
    before 2.3, which cannot be asked."""
    return getattr(torch._C._dynamo.eval_frame, "get_eval_frame_callback", None)


def eager(function):
    """Keeps torch.compile out: the graph breaks around the call, which then runs as it is."""
    known = []

    @functools.wraps(function)
    def call(*args, **kwargs):
        dynamo = sys.modules.get("torch._dynamo")
        if dynamo is None:  # nothing can be compiling; not imported, for that takes seconds
            return function(*args, **kwargs)
        if not known:
            known.append((dynamo.disable(function), dynamo.disable(_asker)()))
        untraced, tracer = known[0]
        return (function if tracer is not None and tracer() is None else untraced)(*args, **kwargs)

    call._torchdynamo_disable = True
    return call


@eager
def rasterize(means3D, means2D, sh, colors, opacities, scales, rotations, cov3d, settings, dc, names, wait=True,
              theta=None, rho=None):
    """The outputs of `names` (see _settings), in that order, linked into the graph where gradients are wanted."""
    engine = _call.engine_for(_inputs.centres(means3D))
    scene = _inputs.scene(engine, means3D, opacities, sh, colors, scales, rotations, cov3d, dc)
    view = _inputs.view(engine, settings, means3D.device, wait)
    images = tuple(n for n in DIFFERENTIABLE if n == "color" or n in names)
    touched = "touched" in names
    if torch.is_grad_enabled():
        ghosts = dict(means2d=_inputs.means2d(means2D, means3D), theta=_inputs.pose("theta", theta),
                      rho=_inputs.pose("rho", rho))
        if (ghosts["theta"] is not None or ghosts["rho"] is not None) and not engine.has(_abi.CAN_EXTRA_GRADIENTS):
            raise EngineError("engine {} has no gradients for poses".format(engine.name),
                              "leave out `theta` and `rho`, or reinstall the wheel")
        tensors = dict(scene, **ghosts)
        if any(t is not None and t.requires_grad for t in tensors.values()):
            radii, count, *linked = Rasterize.apply(engine, view, images, touched, *[tensors.get(n) for n in ORDER])
            out = dict(zip(images, linked), radii=radii, touched=count)
            return tuple(out[n] for n in names)
    if not touched:
        view.flags |= _abi.FORWARD_ONLY
    with torch.no_grad():
        scene = _call.without_empty(scene)
        out, state, blocks = _call.forward(engine, scene, view, images)
        if touched:
            out["touched"] = _touched(engine, scene, view, state, blocks, out["radii"], out["color"])
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
