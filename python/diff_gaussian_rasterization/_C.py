"""The functions of the original's extension module, for callers that bypass its autograd operation.

Positional arguments only, in both generations: before `antialiasing` and with it. Missing inputs are empty tensors. The
three buffers are opaque uint8 tensors; they share nothing with the original's but their number.
"""

import ctypes as c

import torch

from . import _abi, _call, _inputs, _optimize, _plan
from ._settings import GaussianRasterizationSettings


def rasterize_gaussians(*args):
    """(background, means3D, colors, opacity, scales, rotations, scale_modifier, cov3D_precomp, viewmatrix, projmatrix,
    tan_fovx, tan_fovy, image_height, image_width, sh, degree, campos, prefiltered[, antialiasing], debug)
    -> (num_rendered, color [3,H,W], radii int32 [P], geomBuffer, binningBuffer, imgBuffer[, invdepths [1,H,W]])

    `invdepths` comes with the 20 arguments that include `antialiasing`.
    """
    if len(args) not in (19, 20):
        raise TypeError("rasterize_gaussians takes 19 arguments, or 20 with antialiasing, but {} were given".format(
            len(args)))
    (bg, means, colors, opacity, scales, rotations, modifier, cov3d, viewmatrix, projmatrix, tanx, tany, height, width,
     sh, degree, campos, prefiltered) = args[:18]
    with torch.no_grad():
        settings = GaussianRasterizationSettings(
            height, width, tanx, tany, bg, modifier, viewmatrix, projmatrix, degree, campos, prefiltered, args[-1],
            len(args) == 20 and args[18])
        engine, scene, view = _read(means, opacity, sh, colors, scales, rotations, cov3d, settings)
        names = ("color", "invdepth") if len(args) == 20 else ("color",)
        out, state, blocks = _call.forward(engine, scene, view, names)
        opacities = scene["opacities"].contiguous() if "opacities" in scene else means.new_empty(0)
        packed = (opacities.reshape(-1).view(torch.uint8), _pack(blocks, means.device), _header(state, blocks))
    return (state.rendered, out["color"], out["radii"]) + packed + tuple(out[n] for n in names[1:])


def rasterize_gaussians_backward(*args):
    """(background, means3D, radii, colors, scales, rotations, scale_modifier, cov3D_precomp, viewmatrix, projmatrix,
    tan_fovx, tan_fovy, dL_dout_color, sh, degree, campos, geomBuffer, R, binningBuffer, imgBuffer, debug), 21; or 24:
    with `opacities` after colors, `dL_dout_invdepth` after dL_dout_color, `antialiasing` before debug
    -> gradients (means2D [P,3], colors_precomp [P,3], opacities [P,1], means3D [P,3], cov3D_precomp [P,6],
    sh [P,M,3], scales [P,3], rotations [P,4]), zeros for absent inputs
    """
    if len(args) not in (21, 24):
        raise TypeError("rasterize_gaussians_backward takes 21 arguments, or 24 with antialiasing, but {} were "
                        "given".format(len(args)))
    args = list(args)
    debug = args.pop()
    antialiasing = len(args) == 23 and args.pop()
    invdepth = args.pop(14) if len(args) == 22 else None
    if len(args) == 21:
        args.pop(4)  # geomBuffer has them
    (bg, means, radii, colors, scales, rotations, modifier, cov3d, viewmatrix, projmatrix, tanx, tany, grad, sh, degree,
     campos, geometry, _rendered, binning, image) = args
    with torch.no_grad():
        count = means.shape[0]
        widths = dict(means2d=(3,), colors=(3,), opacities=(1,), means3d=(3,), cov3d=(6,),
                      sh=(sh.shape[1] if sh.dim() == 3 else 0, 3), scales=(3,), rotations=(4,))
        out = {n: means.new_zeros((count,) + w, dtype=torch.float32) for n, w in widths.items()}
        if count > 0:
            settings = GaussianRasterizationSettings(
                grad.shape[-2], grad.shape[-1], tanx, tany, bg, modifier, viewmatrix, projmatrix, degree, campos, False,
                debug, antialiasing)
            opacities = geometry.clone().view(torch.float32).reshape(-1, 1)
            engine, scene, view = _read(means, opacities, sh, colors, scales, rotations, cov3d, settings)
            upstream = {"color": grad.float().contiguous()}
            if invdepth is not None and not _inputs.absent(invdepth):
                upstream["invdepth"] = invdepth.float().contiguous()
            header = _Header.from_buffer_copy(bytes(image.cpu().tolist()))
            names = tuple(n for n, source in _plan.CHANNELS.items() if header.channels >> source & 1)
            state = _call.State(bytes(header.saved), header.bases[:header.count], -1, names)
            blocks = _unpack(header.sizes[:header.count], binning)
            out.update(_call.backward(engine, scene, view, state, blocks, radii, upstream,
                                      [n for n in widths if n in scene or n in ("means2d", "colors")]))
    return tuple(out[n] for n in widths)


def mark_visible(means3D, viewmatrix, projmatrix):
    """bool [P]: which centres [P,3] have a view-space depth over 0.2."""
    with torch.no_grad():
        means = _inputs.centres(means3D)
        return _call.mark_visible(_call.engine_for(means), means,
                                  _inputs.numbers("viewmatrix", viewmatrix, 16, means.device),
                                  _inputs.numbers("projmatrix", projmatrix, 16, means.device))


def fusedssim(C1, C2, img1, img2):
    """The similarity of every pixel, of the shape of img1 [..., H, W]; graphdeco's trainer calls it if it is there."""
    with torch.no_grad():
        return _optimize.ssim_map(*_images(C1, C2, img1, img2))[0].reshape(img1.shape)


def fusedssim_backward(C1, C2, img1, img2, opt_grad):
    """The gradient of `fusedssim` for img1, from that of its map."""
    with torch.no_grad():
        image, target = _images(C1, C2, img1, img2)
        partials = _optimize.ssim_map(image, target, True)[1]
        grad = opt_grad.to(torch.float32).reshape(image.shape).contiguous()
        return _optimize.ssim_map_backward(image, target, partials, grad).reshape(img1.shape)


def _images(c1, c2, img1, img2):
    if abs(c1 - 0.01 ** 2) > 1e-9 or abs(c2 - 0.03 ** 2) > 1e-9 or img1.shape != img2.shape:
        raise ValueError("C1 and C2 are {} and {} for images of {} and {}, but they are 0.0001 and 0.0009 for images of one "
                         "shape\nhint: use the constants of Wang et al.".format(c1, c2, list(img1.shape), list(img2.shape)))
    return [t.to(torch.float32).reshape((-1,) + tuple(img1.shape[-2:])).contiguous() for t in (img1, img2)]


def _read(means, opacities, sh, colors, scales, rotations, cov3d, settings):
    engine = _call.engine_for(_inputs.centres(means))
    scene = _inputs.scene(engine, means, opacities, sh, colors, scales, rotations, cov3d)
    return engine, scene, _inputs.view(engine, settings, means.device, True)


def _pack(blocks, device):
    """The blocks in one tensor; their sizes are multiples of the alignment."""
    return torch.cat(blocks) if blocks else torch.empty(0, dtype=torch.uint8, device=device)


def _unpack(sizes, packed):
    return list(packed.split(sizes)) if sizes else []


class _Header(c.Structure):
    # As many blocks as buffers, and one more for an estimate that was too small.
    _fields_ = [("saved", _abi.Saved), ("channels", c.c_int64), ("count", c.c_int64),
                ("bases", c.c_int64 * (_abi.SAVED_BUFFERS + 1)), ("sizes", c.c_int64 * (_abi.SAVED_BUFFERS + 1))]


def _header(state, blocks):
    """The splat_saved, which channels were rendered, and the blocks' addresses and sizes, as bytes on the CPU."""
    header = _Header(_abi.Saved.from_buffer_copy(state.saved), sum(1 << _plan.CHANNELS[n] for n in state.names),
                     len(blocks), tuple(state.bases), tuple(b.numel() for b in blocks))
    return torch.tensor(list(bytes(header)), dtype=torch.uint8)
