"""Turns what callers pass into what _call takes, and refuses what is wrong.

Casts to f32 happen here, outside the autograd node, so that gradients come back in the caller's type.
"""

import torch

from . import _abi, _forks
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
_WIDTH = {"opacities": 1, "colors": 3, "scales": 3, "rotations": 4, "cov3d": 6}


def refuse(sentence, hint):
    raise ValueError("{}\nhint: {}".format(sentence, hint))


def absent(tensor):
    """Whether an input is not given: None, or a tensor without elements."""
    return tensor is None or tensor.numel() == 0


def _f32(tensor):
    return tensor if tensor.dtype is torch.float32 else tensor.to(torch.float32)


def centres(means3D):
    """f32 [P,3]."""
    if not isinstance(means3D, torch.Tensor) or means3D.dim() != 2 or means3D.shape[1] != 3:
        refuse("`means3D` is {}, but centres are [P, 3]".format(_shape(means3D)), "means3D.reshape(-1, 3)")
    return _f32(means3D)


def _exactly_one(out):
    """Refuses colours, or shapes, that are given in both ways or not at all."""
    if ("sh" in out) != ("colors" in out) and "scales" in out and "rotations" in out and "cov3d" not in out:
        return  # the usual case
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
    """The Gaussians as f32 tensors by the names of _plan.INPUTS; absent inputs are left out. `means3D` is checked already
    (`centres`)."""
    out = {"means3d": _f32(means3D)}
    count, device = means3D.shape[0], means3D.device
    given = dict(opacities=opacities, sh=sh, colors=colors, scales=scales, rotations=rotations, cov3d=cov3d)
    if dc is not None and not absent(dc):
        given.update(sh=dc, sh_rest=sh)
    if count == 0:
        # Everything is empty; the inputs only keep the graph connected.
        out.update({name: _f32(t) for name, t in given.items() if t is not None})
        return out
    for name, tensor in given.items():
        if tensor is None or tensor.numel() == 0:
            continue
        shape = tensor.shape
        if name in _WIDTH:
            good = shape == (count, _WIDTH[name]) or (name == "opacities" and shape == (count,))
        else:
            good = len(shape) == 3 and shape[0] == count and shape[2] == 3
        split = name == "sh" and "sh_rest" in given
        if not good or (split and shape[1] != 1):
            public, needed = ("dc", "[P, 1, 3]") if split else _SPLATS[name]
            refuse("`{}` is {}, but with P = {} from `means3D` it is {}".format(
                public, _shape(tensor), count, needed), "print the shapes of all inputs of the call")
        if tensor.device != device:
            public = "dc" if split else _SPLATS[name][0]
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


def view(engine, settings, device, wait, wide=False):
    """The settings as a View on `device`. Cameras and background may have any type, and any shape of the right size;
    with `wide` colours the background is black here."""
    width, height = int(settings.image_width), int(settings.image_height)
    if width < 1 or height < 1:
        refuse("the image is {}x{} pixels, but both sides are at least 1".format(width, height),
               "check `image_width` and `image_height` of the settings")
    flags = (_abi.ANTIALIASING if settings.antialiasing else 0) | (_abi.DEBUG if settings.debug else 0)
    background = torch.zeros(3, device=device) if wide else numbers("bg", settings.bg, 3, device)
    return View(
        width, height, float(settings.tanfovx), float(settings.tanfovy),
        numbers("viewmatrix", settings.viewmatrix, 16, device), numbers("projmatrix", settings.projmatrix, 16, device),
        numbers("campos", settings.campos, 3, device), background,
        float(settings.scale_modifier), min(int(settings.sh_degree), engine.max_sh_degree), flags, wait)


def numbers(name, value, count, device):
    """`count` numbers as contiguous f32 on `device`, without gradient; matrices are row-major."""
    if (isinstance(value, torch.Tensor) and value.dtype is torch.float32 and value.numel() == count
            and value.device == device and not value.requires_grad and value.is_contiguous()):
        return value  # the usual case: only its address is used
    tensor = torch.as_tensor(value).detach()
    if tensor.numel() != count:
        refuse("`{}` of the settings is {}, but it has {} numbers".format(name, _shape(tensor), count),
               "a background has one number for each channel of the colours" if name == "bg" else
               "cameras are rendered one by one: index the batch first")
    return tensor.to(device=device, dtype=torch.float32).reshape(-1).contiguous()


def pose(name, tensor):
    """`theta` or `rho` if it requires a gradient, else None; its values are never read."""
    if tensor is None or not tensor.requires_grad:
        return None
    if tensor.numel() != 3:
        refuse("`{}` is {}, but it has 3 numbers".format(name, _shape(tensor)), "torch.zeros(3, requires_grad=True)")
    return tensor


def ghosts(settings, means2D, densify, theta, rho, means3D):
    """The inputs that receive gradients and are not read, by the names of _autograd.GHOSTS, without those that want none.

    The absolute gradients of the centres (sums over the pixels, for x and y) go to columns 2 and 3 of a `means2D`
    [P,4], as in AbsGS and FastGS, to columns 0 and 1 of `means2D_densify`, as in Deformable-3DGS, and their sum to
    column 2 of the `means2D` of mip-splatting's callers.
    """
    out = {"theta": pose("theta", theta), "rho": pose("rho", rho)}
    absolute = []
    if means2D is not None and means2D.requires_grad:
        shape, count = tuple(means2D.shape), means3D.shape[0]
        if shape not in ((count, 3), (count, 4)) or means2D.device != means3D.device:
            refuse("`means2D` is {} on {}, but its gradient is {} or {} on {} as `means3D`".format(
                _shape(means2D), means2D.device, [count, 3], [count, 4], means3D.device),
                "torch.zeros_like(means3D, requires_grad=True)")
        out["means2d"] = means2D
        if shape[1] == 4:
            out["means2d"] = means2D[:, :3]
            absolute.append(means2D[:, 2:4])
        elif settings.kernel_size is not None:
            absolute.append(means2D[:, 2:3].expand(-1, 2))
    if densify is not None and densify.requires_grad:
        if densify.dim() != 2 or densify.shape[0] != means3D.shape[0] or densify.shape[1] < 2:
            refuse("`means2D_densify` is {}, but with P = {} from `means3D` it is [P, 3]".format(
                _shape(densify), means3D.shape[0]), "torch.zeros_like(means3D, requires_grad=True)")
        absolute.append(densify[:, :2])
    if absolute:
        out["means2d_abs"] = sum(absolute[1:], absolute[0])
    return {n: t for n, t in out.items() if t is not None}


# The keyword of each fork for its features, with the shapes that it may have.
_FEATURES = ("semantic_feature", "sh_objs", "language_feature_precomp")
_KEYWORDS = frozenset(_FEATURES + ("means2D_densify",))


def features(fork, extra, means3D):
    """f32 [P,F] from the keywords of a feature fork, or None. Refuses keywords that no fork here has."""
    if not extra:
        return None
    if not _KEYWORDS.issuperset(extra):
        _forks.refuse_keywords("the call of GaussianRasterizer", set(extra) - _KEYWORDS)
    given = [(n, extra[n]) for n in _FEATURES if n in extra]
    if len(given) > 1:
        refuse("`{}` and `{}` are given, but features come in one of them".format(given[0][0], given[1][0]),
               "concatenate them")
    count = means3D.shape[0]
    # Callers of LangSplat that render no features pass one number.
    if not given or given[0][1] is None or given[0][1].dim() < 2:
        if given and not fork.channels and count > 0:
            refuse("`{}` is {}, but it has features for {} Gaussians".format(
                given[0][0], _shape(given[0][1]), count), "pass [P, 1, F] or [P, F]")
        return None
    name, tensor = given[0]
    if tensor.dim() == 3 and tensor.shape[1] == 1:
        tensor = tensor[:, 0]
    if tensor.dim() != 2 or tensor.shape[0] != count or tensor.device != means3D.device:
        refuse("`{}` is {} on {}, but with P = {} from `means3D` it is [P, F] or [P, 1, F] on {}".format(
            name, _shape(extra[name]), tensor.device, count, means3D.device), "print the shapes of all inputs of the call")
    return _f32(tensor)


def wide_colours(colors, means3D, settings):
    """(colours for the engine, None), or for `colors_precomp` [P,K] with K other than 3 black ones, and the given
    colours with their background [K]."""
    if absent(colors) or colors.dim() != 2 or colors.shape[1] == 3 or colors.shape[0] != means3D.shape[0]:
        return colors, None
    return (means3D.new_zeros((colors.shape[0], 3), dtype=torch.float32),
            (_f32(colors), numbers("bg", settings.bg, colors.shape[1], colors.device)))


_OWN_MIP = "build mip-splatting's own rasterizer in an environment of its own: `splatwright ext build SOURCE`"


def mip_filter(settings, view, device):
    """(kernel_size, subpixel_offset [2] or None) of mip-splatting's settings, or None if they are not given."""
    if settings.kernel_size is None and settings.subpixel_offset is None:
        return None
    kernel = 0.3 if settings.kernel_size is None else float(settings.kernel_size)
    if not 0 <= kernel <= 0.3:
        raise _forks.ForkError(
            "`kernel_size` is {}, but only 0 to 0.3 is exact here: which Gaussians reach the image is decided with the "
            "engine's dilation of 0.3 square pixels".format(kernel), "pass 0.1 as mip-splatting's programs do, or " + _OWN_MIP)
    offset = settings.subpixel_offset
    if absent(offset):
        return kernel, None
    offset = torch.as_tensor(offset, device=device, dtype=torch.float32).detach()
    if tuple(offset.shape) not in ((2,), (view.height, view.width, 2)):
        refuse("`subpixel_offset` is {}, but it is [2] or [{}, {}, 2]".format(
            _shape(offset), view.height, view.width), "pass zeros, or None")
    first = offset.reshape(-1, 2)[0]
    spread = (offset - first).abs().max().item()
    if not spread == 0:
        raise _forks.ForkError(
            "`subpixel_offset` differs by up to {:.3g} between pixels, but here one offset holds for all".format(spread),
            "train without ray jitter, pass one offset [2] per image, or " + _OWN_MIP)
    return kernel, (first if bool(first.any()) else None)


def marks(settings, view, device):
    """f32 [H*W], the `metric_map` of FastGS's settings, or None if `get_flag` does not ask for counts."""
    if not settings.get_flag or settings.metric_map is None:
        return None
    if settings.metric_map.numel() != view.height * view.width:
        refuse("`metric_map` is {}, but the image is {}x{} pixels".format(
            _shape(settings.metric_map), view.width, view.height), "pass one number for each pixel")
    return settings.metric_map.detach().to(device=device, dtype=torch.float32).contiguous()


def _shape(value):
    return list(value.shape) if isinstance(value, torch.Tensor) else "of type {}".format(type(value).__name__)
