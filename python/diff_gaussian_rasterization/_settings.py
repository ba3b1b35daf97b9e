"""The settings of an image, as callers of the original and of its forks write them. No torch, no engine.

The names, their order and the defaults are those that the callers use.
"""

import os
from typing import Any, NamedTuple

from . import _forks

VARIABLE = "DGR_OUTPUTS"
WAIT = "DGR_WAIT"
NAMES = ("color", "radii", "invdepth", "depth", "alpha", "touched", "features", "marked")


class _NotPassed(int):
    """False, but recognisable as the default, also after `_replace`, copying and pickling."""

    def __repr__(self):
        return "False"

    def __reduce__(self):
        return (_not_passed, ())


NOT_PASSED = _NotPassed(0)


def _not_passed():
    return NOT_PASSED


class _Fields(NamedTuple):
    image_height: int
    image_width: int
    tanfovx: float
    tanfovy: float
    bg: Any
    scale_modifier: float
    viewmatrix: Any
    projmatrix: Any
    sh_degree: int
    campos: Any
    prefiltered: bool
    debug: bool = False
    antialiasing: bool = False
    # Of forks; None: not passed.
    projmatrix_raw: Any = None
    kernel_size: Any = None
    subpixel_offset: Any = None
    include_feature: Any = None
    mult: Any = None
    get_flag: Any = None
    metric_map: Any = None


class GaussianRasterizationSettings(_Fields):
    """One camera and how to render it; 12 fields, 13 with `antialiasing`, and by keyword those of the forks.

    image_height, image_width: pixels.
    tanfovx, tanfovy: tangent of HALF the field of view; numbers or tensors of one element.
    bg: [3], background colour.
    scale_modifier: factor on `scales`.
    viewmatrix: [4,4] or [1,4,4], world to camera, transposed (row vectors times matrix).
    projmatrix: [4,4] or [1,4,4], world to clip, transposed; the principal point is in it.
    sh_degree: active degree, 0 to 3 (a larger one counts as 3).
    campos: [3], camera centre in world coordinates.
    prefiltered: accepted and without effect.
    debug: check the device after every kernel.
    antialiasing: opacity compensation for the 0.3 pixel dilation. Passing it at all, True or False, marks a caller of
        graphdeco's branch dr_aa, whose third output is the inverse depth.

    projmatrix_raw (MonoGS): accepted and without effect: pose gradients follow from viewmatrix and projmatrix. Cameras
        get no gradients; a pose does, through `theta` and `rho` of the call.
    kernel_size (mip-splatting): the dilation in square pixels instead of 0.3, at most 0.3, with the opacity
        compensation of the 2D Mip filter. subpixel_offset: [H,W,2] or [2] pixels, the same for every pixel.
    include_feature (LangSplat): whether features are rendered.
    mult, get_flag, metric_map (FastGS): `mult`, by which FastGS shrinks the box of a Gaussian, is without effect;
        metric_map [H*W] marks the pixels that `marked` counts if get_flag is true.
    """

    __slots__ = ()

    def __new__(cls, *fields, **named):
        if len(fields) > 8:
            fields = _reordered(fields, named)
        if len(fields) < 13:
            # Not a default of the field: torch.compile in torch 2.0 fails on defaults of this type.
            named.setdefault("antialiasing", NOT_PASSED)
        if not _FIELDS.issuperset(named):
            _forks.refuse_keywords("GaussianRasterizationSettings", set(named) - _FIELDS)
        return super().__new__(cls, *fields, **named)


_FIELDS = frozenset(_Fields._fields)


def _reordered(fields, named):
    """Fields by position in the original's order, if they are in mip-splatting's (kernel_size and subpixel_offset before
    bg) or in MonoGS's (projmatrix_raw before sh_degree)."""
    def matrix(value):
        return getattr(value, "ndim", 0) >= 2

    if matrix(fields[8]) and matrix(fields[9]):
        named["kernel_size"], named["subpixel_offset"] = fields[4:6]
        fields = fields[:4] + fields[6:]
    elif matrix(fields[8]):
        named["projmatrix_raw"] = fields[8]
        fields = fields[:8] + fields[9:]
    return fields


_kinds = {}


def fork(settings, given):
    """The fork whose caller passes these settings, and the keywords `given` (a tuple) to the call."""
    key = (settings.antialiasing is NOT_PASSED, settings.projmatrix_raw is None, settings.kernel_size is None
           and settings.subpixel_offset is None, settings.include_feature is None, settings.mult is None
           and settings.metric_map is None and settings.get_flag is None, given)
    found = _kinds.get(key)
    if found is None:
        names = ("antialiasing", "projmatrix_raw", "kernel_size", "include_feature", "mult")
        found = _kinds[key] = _forks.of({n for n, absent in zip(names, key) if not absent}.union(given))
    return found


def outputs(of, chosen=None):
    """Names of the outputs in the caller's order, as long as nobody unpacks another number of them.

    `chosen` (`GaussianRasterizer.outputs`) decides, else $DGR_OUTPUTS, else what is usual for the fork. Both are a
    number, which means that many outputs of the fork, or names separated by commas, such as `color,radii,depth`.
    """
    source = "GaussianRasterizer.outputs"
    if chosen is None:
        chosen = _variable(VARIABLE)
        if not chosen:
            return of.usual
        source = "$" + VARIABLE
    if isinstance(chosen, str):
        chosen = int(chosen) if chosen.strip().isdigit() else [n.strip() for n in chosen.split(",")]
    if isinstance(chosen, int):
        names = of.outputs.get(chosen) or _forks.PLAIN.outputs.get(chosen, ())
    else:
        names = tuple(chosen)
    if not names or any(n not in NAMES for n in names):
        raise _forks.ForkError("{} is {!r}, which names no outputs".format(source, chosen),
                               "use 2, 3, 4, 5 or names of {} with commas".format(", ".join(NAMES)))
    return names


def waits(chosen=None):
    """Whether forward on CUDA may wait for its counts: `GaussianRasterizer.wait`, or else $DGR_WAIT, or else yes."""
    return _variable(WAIT) != "0" if chosen is None else bool(chosen)


# What os.environ keeps and under which key: to ask itself for a variable that is not set costs a call an exception.
_kept = getattr(os.environ, "_data", os.environ)
_keys = {n: getattr(os.environ, "encodekey", str)(n) for n in (VARIABLE, WAIT)}


def _variable(name):
    """The value of one of the two variables, or None."""
    return os.environ[name] if _keys[name] in _kept else None
