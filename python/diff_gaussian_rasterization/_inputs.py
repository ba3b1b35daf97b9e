"""Turns what callers pass into what _call takes, and refuses what is wrong.

Casts to f32 happen here, outside the autograd node, so that gradients come back in the caller's type.
"""

import torch

from . import _abi
from ._call import View

# The caller's name of each input, and its shape for P Gaussians.
_SPLATS = {
    "opacities": ("opacities", "[P, 1] or [P]"),
    "sh": ("shs", "[P, M, 3]"),
    "sh_rest": ("shs", "[P, M - 1, 3] beside `dc`"),
    "colors": ("colors_precomp", "[P, 3]"),
    "scales": ("scales", "[P, 3]"),
    "rotations": ("rotations", "[P, 4]"),
    "cov3d": ("cov3D_precomp", "[P, 6]"),
}
_WIDTH = {"colors": 3, "scales": 3, "rotations": 4, "cov3d": 6}


def refuse(sentence, hint):
    raise ValueError("{}\nhint: {}".format(sentence, hint))


def absent(tensor):
    """Whether an input is not given: None, or a tensor without elements."""
    return tensor is None or tensor.numel() == 0


def _f32(tensor):
    return tensor if tensor.dtype == torch.float32 else tensor.to(torch.float32)


def centres(means3D):
    """f32 [P,3]."""
    if not isinstance(means3D, torch.Tensor) or means3D.dim() != 2 or means3D.shape[1] != 3:
        refuse("`means3D` is {}, but centres are [P, 3]".format(_shape(means3D)), "means3D.reshape(-1, 3)")
    return _f32(means3D)


def _exactly_one(out):
    """Refuses colours, or shapes, that are given in both ways or not at all."""
    if ("sh" in out) == ("colors" in out):
        refuse("exactly one of `shs` and `colors_precomp` is needed, but {}".format(
            "both are given" if "sh" in out else "none is given"), "leave out the one you do not mean, or pass None")
    missing = [n for n in ("scales", "rotations") if n not in out]
    if "cov3d" in out and len(missing) < 2:
        refuse("exactly one of the pair `scales`, `rotations` and `cov3D_precomp` is needed, but both are given",
               "leave out the one you do not mean, or pass None")
    if "cov3d" not in out and missing:
        refuse("exactly one of the pair `scales`, `rotations` and `cov3D_precomp` is needed, but {} {} missing".format(
            " and ".join("`{}`".format(n) for n in missing), "is" if len(missing) == 1 else "are"),
            "pass both of the pair, or `cov3D_precomp` alone")


def scene(engine, means3D, opacities, sh, colors, scales, rotations, cov3d, dc=None):
    """The Gaussians as f32 tensors by the names of _call.INPUTS; absent inputs are left out."""
    out = {"means3d": centres(means3D)}
    count, device = means3D.shape[0], means3D.device
    given = dict(opacities=opacities, sh=sh, colors=colors, scales=scales, rotations=rotations, cov3d=cov3d)
    if dc is not None and not absent(dc):
        given.update(sh=dc, sh_rest=sh)
    if count == 0:
        # Everything is empty; the inputs only keep the graph connected.
        out.update({name: _f32(t) for name, t in given.items() if t is not None})
        return out
    for name, tensor in given.items():
        if absent(tensor):
            continue
        public, needed = _SPLATS[name]
        shape = tuple(tensor.shape)
        if name == "opacities":
            good = shape in ((count, 1), (count,))
        elif name in _WIDTH:
            good = shape == (count, _WIDTH[name])
        else:
            good = len(shape) == 3 and shape[0] == count and shape[2] == 3
        if name == "sh" and "sh_rest" in given:
            public, needed, good = "dc", "[P, 1, 3]", good and shape[1] == 1
        if not good:
            refuse("`{}` is {}, but with P = {} from `means3D` it is {}".format(
                public, _shape(tensor), count, needed), "print the shapes of all inputs of the call")
        if tensor.device != device:
            refuse("`{}` is on {}, but `means3D` is on {}".format(public, tensor.device, device),
                   "move it with .to(means3D.device)")
        out[name] = _f32(tensor)
    if "opacities" not in out:
        refuse("`opacities` is {}, but with P = {} from `means3D` it is [P, 1] or [P]".format(
            _shape(opacities), count), "pass one opacity per Gaussian")
    _exactly_one(out)
    if "sh_rest" in out and not engine.has(_abi.CAN_SPLIT_SH):
        out["sh"] = torch.cat([out["sh"], out.pop("sh_rest")], dim=1)
    if not engine.has(_abi.STRIDED_INPUTS):
        out = {name: t.contiguous() for name, t in out.items()}
    return out


def view(engine, settings, device, wait):
    """The settings as a View on `device`. Cameras and background may have any type, and any shape of the right size."""
    width, height = int(settings.image_width), int(settings.image_height)
    if width < 1 or height < 1:
        refuse("the image is {}x{} pixels, but both sides are at least 1".format(width, height),
               "check `image_width` and `image_height` of the settings")
    flags = (_abi.ANTIALIASING if settings.antialiasing else 0) | (_abi.DEBUG if settings.debug else 0)
    return View(
        width, height, float(settings.tanfovx), float(settings.tanfovy),
        numbers("viewmatrix", settings.viewmatrix, 16, device), numbers("projmatrix", settings.projmatrix, 16, device),
        numbers("campos", settings.campos, 3, device), numbers("bg", settings.bg, 3, device),
        float(settings.scale_modifier), min(int(settings.sh_degree), engine.max_sh_degree), flags, wait)


def numbers(name, value, count, device):
    """`count` numbers as contiguous f32 on `device`, without gradient; matrices are row-major."""
    if (isinstance(value, torch.Tensor) and value.dtype == torch.float32 and value.numel() == count
            and value.device == device and not value.requires_grad and value.is_contiguous()):
        return value  # the usual case: only its address is used
    tensor = torch.as_tensor(value).detach()
    if tensor.numel() != count:
        refuse("`{}` of the settings is {}, but it has {} numbers".format(name, _shape(tensor), count),
               "cameras are rendered one by one: index the batch first")
    return tensor.to(device=device, dtype=torch.float32).reshape(-1).contiguous()


def pose(name, tensor):
    """`theta` or `rho` if it requires a gradient, else None; its values are never read."""
    if tensor is None or not tensor.requires_grad:
        return None
    if tensor.numel() != 3:
        refuse("`{}` is {}, but it has 3 numbers".format(name, _shape(tensor)), "torch.zeros(3, requires_grad=True)")
    return tensor


def means2d(tensor, means3D):
    """`means2D` if it requires a gradient, else None; its values are never read."""
    if tensor is None or not tensor.requires_grad:
        return None
    if tensor.shape != means3D.shape or tensor.device != means3D.device:
        refuse("`means2D` is {} on {}, but its gradient is {} on {} as `means3D`".format(
            _shape(tensor), tensor.device, _shape(means3D), means3D.device),
            "torch.zeros_like(means3D, requires_grad=True)")
    return tensor


def _shape(value):
    return list(value.shape) if isinstance(value, torch.Tensor) else "of type {}".format(type(value).__name__)
