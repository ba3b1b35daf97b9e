"""The settings of an image, and which outputs a caller gets back. No torch, no engine.

The names, their order and the defaults are those that the original's callers use.
"""

import os
from typing import Any, NamedTuple

VARIABLE = "DGR_OUTPUTS"
WAIT = "DGR_WAIT"
NAMES = ("color", "radii", "invdepth", "depth", "alpha", "touched")
# By number: the original; the original since October 2024; ashawkey's fork; the fork with pose gradients.
COUNTS = {2: ("color", "radii"), 3: ("color", "radii", "invdepth"), 4: ("color", "radii", "depth", "alpha"),
          5: ("color", "radii", "depth", "alpha", "touched")}


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


class GaussianRasterizationSettings(_Fields):
    """One camera and how to render it; 12 fields, or 13 with `antialiasing`.

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
    antialiasing: opacity compensation for the 0.3 pixel dilation. Passing it at all, True or False, makes the
        rasterizer return three outputs by default.

    projmatrix_raw, by keyword, is accepted and without effect: pose gradients follow from viewmatrix and projmatrix.
    Cameras get no gradients; a pose does, through `theta` and `rho` of the call.
    """

    __slots__ = ()

    def __new__(cls, *fields, projmatrix_raw=None, **named):
        if len(fields) < len(cls._fields):
            # Not a default of the field: torch.compile in torch 2.0 fails on defaults of this type.
            named.setdefault("antialiasing", NOT_PASSED)
        return super().__new__(cls, *fields, **named)


def outputs(settings, chosen=None, pose=False):
    """Names of the outputs in the caller's order.

    `chosen` (`GaussianRasterizer.outputs`) decides, else $DGR_OUTPUTS, else 5 if the caller passed a `pose`, 3 if
    `antialiasing`, and 2 otherwise. Both are 2 to 5, or names separated by commas, such as `color,radii,depth`.
    """
    source = "GaussianRasterizer.outputs"
    if chosen is None:
        chosen = os.environ.get(VARIABLE) or None
        source = "$" + VARIABLE
    if chosen is None:
        return COUNTS[5 if pose else 2 if settings.antialiasing is NOT_PASSED else 3]
    if isinstance(chosen, str):
        chosen = int(chosen) if chosen.strip().isdigit() else [n.strip() for n in chosen.split(",")]
    if isinstance(chosen, int):
        names = COUNTS.get(chosen, ())
    else:
        names = tuple(chosen)
    if not names or any(n not in NAMES for n in names):
        raise ValueError("{} is {!r}, which names no outputs\nhint: use 2, 3, 4, 5 or names of {} with commas".format(
            source, chosen, ", ".join(NAMES)))
    return names


def waits(chosen=None):
    """Whether forward on CUDA may wait for its counts: `GaussianRasterizer.wait`, or else $DGR_WAIT, or else yes."""
    return os.environ.get(WAIT, "1") != "0" if chosen is None else bool(chosen)
