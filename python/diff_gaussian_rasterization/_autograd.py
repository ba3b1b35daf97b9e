"""The differentiable operation: one autograd node over _call's forward and backward. First derivatives only.

The node keeps its inputs, the camera and the engine's buffers as saved tensors. Dropping the graph frees them, torch
reports inputs that were changed in place, and saved-tensor hooks (offloading, checkpointing) see all of them.
"""

import functools
import sys

import torch
from torch.autograd.function import once_differentiable

from . import _abi, _call, _inputs
from ._engine import EngineError

# Order of the node's tensor inputs: as in the original's operation, then the split SH and the pose.
ORDER = ("means3d", "means2d", "sh", "colors", "opacities", "scales", "rotations", "cov3d", "sh_rest", "theta", "rho")
# Those that receive gradients and are not read.
_GHOSTS = ("means2d", "theta", "rho")
DIFFERENTIABLE = ("color", "invdepth", "depth", "alpha")


class Rasterize(torch.autograd.Function):
    """apply(engine, view, names, *tensors of ORDER or None) -> (radii, touched or None, color, the images of `names`);
    `names` may hold `touched`."""

    @staticmethod
    def forward(ctx, engine, view, names, *tensors):
        ctx.set_materialize_grads(False)
        scene = {n: t for n, t in zip(ORDER, tensors) if t is not None and n not in _GHOSTS}
        ctx.shapes = [t.shape if t is not None and n in _GHOSTS else None for n, t in zip(ORDER, tensors)]
        out, ctx.state, blocks = _render(engine, scene, view, names)
        kept = tuple(out[n] for n in ("radii", "touched") if n in out)
        ctx.engine, ctx.view, ctx.scene = engine, view, tuple(scene)
        ctx.names = tuple(n for n in DIFFERENTIABLE if n in out)
        ctx.save_for_backward(out["radii"], *view.tensors(), *scene.values(), *blocks)
        ctx.mark_non_differentiable(*kept)
        return (out["radii"], out.get("touched")) + tuple(out[n] for n in ctx.names)

    @staticmethod
    @once_differentiable
    def backward(ctx, _radii, _count, *upstream):
        radii, view, proj, campos, background, *rest = ctx.saved_tensors
        scene = dict(zip(ctx.scene, rest))
        needed = [n for n, need in zip(ORDER, ctx.needs_input_grad[3:]) if need]
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
        return (None, None, None) + tuple(grads.get(n) for n in ORDER)


def _twist(view, grad):
    """Gradients for the rotation `theta` and translation `rho` of a motion of the world in camera coordinates.

    The world-to-camera matrix V becomes exp(rho, theta) V, so at zero dV = [theta]x V + [0 | rho]. `view` and `grad`
    hold V and dL/dV column after column: with columns v_j and g_j the gradient for theta is the sum of v_j x g_j over
    the four columns, that for rho is g_3.
    """
    columns, grads = view.reshape(4, 4)[:, :3], grad.reshape(4, 4)[:, :3]
    return {"theta": torch.cross(columns, grads, dim=1).sum(0), "rho": grads[3]}


def _render(engine, scene, view, names):
    """_call.forward for the caller's output names: `touched` int32 [P] is each Gaussian's weights summed over the
    pixels, rounded up; 0 for one that adds nothing to the image."""
    sources = ["weight" if n == "touched" else n for n in names]
    out, state, blocks = _call.forward(engine, _call.without_empty(scene), view, sources)
    if "weight" in out:
        out["touched"] = out.pop("weight").ceil().to(torch.int32)
    return out, state, blocks


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


@eager
def rasterize(means3D, means2D, sh, colors, opacities, scales, rotations, cov3d, settings, dc, names, wait=True,
              theta=None, rho=None):
    """The outputs of `names` (see _settings), in that order, linked into the graph where gradients are wanted."""
    engine = _call.engine_for(_inputs.centres(means3D))
    scene = _inputs.scene(engine, means3D, opacities, sh, colors, scales, rotations, cov3d, dc)
    view = _inputs.view(engine, settings, means3D.device, wait)
    if torch.is_grad_enabled():
        ghosts = dict(means2d=_inputs.means2d(means2D, means3D), theta=_inputs.pose("theta", theta),
                      rho=_inputs.pose("rho", rho))
        if (ghosts["theta"] is not None or ghosts["rho"] is not None) and not engine.has(_abi.CAN_EXTRA_GRADIENTS):
            raise EngineError("engine {} has no gradients for poses".format(engine.name),
                              "leave out `theta` and `rho`, or reinstall the wheel")
        tensors = dict(scene, **ghosts)
        if any(t is not None and t.requires_grad for t in tensors.values()):
            radii, touched, *linked = Rasterize.apply(engine, view, names, *[tensors.get(n) for n in ORDER])
            images = [n for n in DIFFERENTIABLE if n == "color" or n in names]
            out = dict(zip(images, linked), radii=radii, touched=touched)
            return tuple(out[n] for n in names)
    view.flags |= _abi.FORWARD_ONLY
    with torch.no_grad():
        out = _render(engine, scene, view, names)[0]
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
