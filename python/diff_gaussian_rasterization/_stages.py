"""Rendering in the engine's two stages, with torch's own operations on the records between them: the 2D Mip filter of
mip-splatting (Yu et al. 2024, equation 10) in place of the fixed dilation, pixel centres that are shifted, and the
radii of `visible_filter`.

A record is a row of 16 f32 numbers (splat_record of splat_engine.h). Its gradient has 12; the last two, absolute ones,
travel in the places of the box's half sides, which themselves have no gradient.
"""

import torch
from torch.autograd.function import once_differentiable

from . import _abi, _autograd, _call, _plan

_WIDTH, _GRADIENT = 16, 12
_X, _INV, _OPACITY, _HALF, _RADIUS = slice(0, 2), slice(2, 5), 5, slice(10, 12), 12
_DILATION = 0.3  # of the engine's projection, square pixels
_TILE = 16


def _structs(scene, view):
    """Members of splat_project_args, and of its backward pass."""
    gaussians = _abi.Gaussians(count=scene["means3d"].shape[0])
    for name, dims in _plan.INPUTS.items():
        tensor = scene.get(name)
        if tensor is not None and name != "features":
            member = getattr(gaussians, name)
            member.data, member.stride = tensor.data_ptr(), tuple(tensor.stride()[:dims]) + (0,) * (3 - dims)
            gaussians.sh_coeffs += tensor.shape[1] if dims == 3 else 0
    camera = _abi.Camera(width=view.width, height=view.height, tan_fovx=view.tan_fovx, tan_fovy=view.tan_fovy,
                         model=_abi.PINHOLE, view=view.view.data_ptr(), proj=view.proj.data_ptr(),
                         campos=view.campos.data_ptr())
    return dict(camera_count=1, cameras=_pointer(camera), gaussians=_pointer(gaussians), settings=_settings(view))


def _pointer(struct):
    return _abi.c.pointer(struct)


def _settings(view):
    return _pointer(_abi.Settings(flags=view.flags, background=view.background.data_ptr(),
                                  scale_modifier=view.scale_modifier, sh_degree=view.sh_degree))


def project(engine, scene, view):
    """Records [P,16]."""
    means = scene["means3d"]
    records = means.new_empty((means.shape[0], _WIDTH))
    args = _abi.ProjectArgs(records=records.data_ptr(), **_structs(scene, view))
    _call.run(engine, engine.require("project"), args, means.device)
    return records


def radii(records):
    """int32 [P]."""
    return records[:, _RADIUS].contiguous().view(torch.int32)


class Project(torch.autograd.Function):
    """apply(engine, view, inputs, *tensors) -> records; as _autograd.Rasterize."""

    @staticmethod
    def forward(ctx, engine, view, inputs, *tensors):
        scene, ctx.ghosts = _autograd.split(inputs, tensors)
        records = project(engine, scene, view)
        ctx.engine, ctx.view, ctx.inputs = engine, view, inputs
        ctx.save_for_backward(records, *view.tensors(), *scene.values())
        return records

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        records, *rest = ctx.saved_tensors
        scene = dict(zip(ctx.inputs, rest[4:]))
        view = ctx.view.with_tensors(*rest[:4])
        needed = [n for n, need in zip(ctx.inputs, ctx.needs_input_grad[3:]) if need]
        upstream = grad[:, :_GRADIENT].contiguous()
        grads = {n: _call.empty_gradient(n, scene) for n in _autograd.without_twist(needed)}
        gradients = _abi.Gradients(**{n: t.data_ptr() for n, t in grads.items()})
        args = _abi.ProjectBackwardArgs(records=records.data_ptr(), record_gradients=upstream.data_ptr(),
                                        gradients=_pointer(gradients), **_structs(scene, view))
        _call.run(ctx.engine, ctx.engine.require("project_backward"), args, records.device)
        if "view" in grads:
            _autograd.add_twist(grads, view.view, ctx.ghosts)
        return (None, None, None, *map(grads.get, ctx.inputs))


def _rasterize_args(view, records, features, saved, rows):
    args = _abi.RasterizeArgs(image_count=1, channel_count=len(rows), width=view.width, height=view.height,
                              count=records.shape[0], settings=_settings(view), records=records.data_ptr(),
                              saved=_pointer(saved))
    args.channels = _abi.c.cast(rows, _abi.c.POINTER(_abi.Channel))
    if features is not None:
        args.feature_count = features.shape[1]
        args.features.data, args.features.stride = features.data_ptr(), (0,) + tuple(features.stride())
    return args


class Blend(torch.autograd.Function):
    """apply(engine, view, names, absolute, records, features or None) -> the channels of `names`."""

    @staticmethod
    def forward(ctx, engine, view, names, absolute, records, features):
        ctx.set_materialize_grads(False)
        scene = {"means3d": records, "features": features}
        out = [records.new_empty(_call.shape(n, scene, view)) for n in names]
        rows = (_abi.Channel * len(names))(*[
            _abi.Channel(source=_plan.CHANNELS[n], data=t.data_ptr(),
                         image=view.marks.data_ptr() if n == "marked" else None) for n, t in zip(names, out)])
        saved = _abi.Saved()
        blocks = _call.run(engine, engine.require("rasterize"),
                           _rasterize_args(view, records, features, saved, rows), records.device)
        ctx.state = _call.State(bytes(saved), [b.data_ptr() for b in blocks], -1, names)
        ctx.engine, ctx.view, ctx.names, ctx.absolute = engine, view, names, absolute
        ctx.save_for_backward(records, features, *view.tensors(), *blocks)
        ctx.mark_non_differentiable(*[t for n, t in zip(names, out) if n in _plan.SUMS])
        return tuple(out)

    @staticmethod
    @once_differentiable
    def backward(ctx, *upstream):
        records, features, *rest = ctx.saved_tensors
        given = _autograd.given_gradients(ctx.names, upstream)
        out, wide = torch.zeros_like(records), None
        if not given:
            return None, None, None, None, out, None
        view = ctx.view.with_tensors(*rest[:4])
        text, alive = _call.saved_bytes(ctx.state, rest[4:])
        narrow = records.new_empty((records.shape[0], _GRADIENT))
        rows = (_abi.Channel * len(ctx.names))(*[
            _abi.Channel(source=_plan.CHANNELS[n], gradient=given[n].data_ptr() if n in given else None,
                         image=view.marks.data_ptr() if n == "marked" else None) for n in ctx.names])
        args = _rasterize_args(view, records, features, _abi.Saved.from_buffer_copy(text), rows)
        args.record_gradients, args.absolute = narrow.data_ptr(), int(ctx.absolute)
        if features is not None and ctx.needs_input_grad[5]:
            wide = torch.empty_like(features, memory_format=torch.contiguous_format)
            args.feature_gradients = wide.data_ptr()
        _call.run(ctx.engine, ctx.engine.require("rasterize_backward"), args, records.device)
        del alive
        out[:, :_GRADIENT] = narrow
        return None, None, None, None, out, wide


def channels(engine, scene, view, ghosts, names, kernel, offset):
    """As _autograd.channels, with the dilation `kernel` (square pixels, at most that of the engine) and its
    compensation, and pixel centres moved by `offset` [2] (pixels; None: not)."""
    scene = _call.without_empty(scene)
    features = scene.pop("features", None)
    tensors = (*scene.values(), *ghosts.values())
    if not _autograd.linked(tensors if features is None else (features, *tensors)):
        with torch.no_grad():
            view = view.forward_only()
            records = filtered(project(engine, scene, view), view, kernel, offset)
            out = Blend.apply(engine, view, names, False, records, features)
    else:
        records = filtered(Project.apply(engine, view, (*scene, *ghosts), *tensors), view, kernel, offset)
        out = Blend.apply(engine, view, names, "means2d_abs" in ghosts, records, features)
    return dict(zip(names, out), radii=radii(records.detach()))


def filtered(records, view, kernel, offset):
    """Records whose 2D covariance has the dilation `kernel`, and whose opacity is multiplied by the root of the ratio of
    the determinants before and after it. Those that then touch no tile have radius 0."""
    seen = radii(records.detach()) > 0
    inv = records[:, _INV].double()
    inv = torch.where(seen[:, None], inv, inv.new_tensor([1.0, 0.0, 1.0]))
    xx, xy, yy = inv.unbind(1)
    det = xx * yy - xy * xy
    # The covariance as projected, without the engine's dilation; rounding must not make it negative.
    a, b, d = ((yy / det - _DILATION).clamp_min(0), -xy / det, (xx / det - _DILATION).clamp_min(0))
    raw = (a * d - b * b).clamp_min(0)
    a, d = a + kernel, d + kernel
    det = (a * d - b * b).clamp_min(1e-12)
    factor = (raw / det).clamp_min(1e-12).sqrt() if kernel > 0 else torch.ones_like(det)
    new = torch.stack([d / det, -b / det, a / det], 1)
    with torch.no_grad():
        mid = (a + d) / 2
        radius = (3 * (mid + (mid * mid - det).clamp_min(0.1).sqrt()).sqrt()).ceil()
        centre = records[:, _X].double() - (0 if offset is None else offset)
        tiles = centre.new_tensor([(view.width + _TILE - 1) // _TILE, (view.height + _TILE - 1) // _TILE])
        low = ((centre - radius[:, None]) / _TILE).trunc().clamp_min(0)
        high = torch.minimum(((centre + radius[:, None] + _TILE - 1) / _TILE).trunc(), tiles)
        seen = seen & (low < high).all(1)
        size = torch.where(seen, radius, torch.zeros_like(radius))
        tail = torch.zeros_like(records[:, _RADIUS:])
        tail[:, 0] = size.to(torch.int32).view(torch.float32)
    place = records[:, _X] if offset is None else records[:, _X] - offset
    half = records[:, _HALF] + (size[:, None] - records[:, _HALF]).detach()
    opacity = records[:, _OPACITY] * factor.float()
    moved = torch.cat([place, new.float(), opacity[:, None], records[:, 6:10], half.float()], 1)
    return torch.cat([torch.where(seen[:, None], moved, torch.zeros_like(moved)), tail], 1)
