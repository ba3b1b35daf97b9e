"""How the structs of a call are written: which members a call with certain inputs and channels sets, and where. Tensors
are only asked for their address, strides and sizes.
"""

from . import _abi, _memory
from ._layout import Layout

# Members of splat_gaussians that this package fills, with the dimensions of their tensors.
INPUTS = {"means3d": 2, "opacities": 1, "sh": 3, "sh_rest": 3, "colors": 2, "scales": 2, "rotations": 2, "cov3d": 2,
          "features": 2}
# Channels by the names of this package, in the order in which engines are asked for them; those of SUMS are per
# Gaussian.
CHANNELS = {"color": _abi.COLOR, "invdepth": _abi.INV_DEPTH, "depth": _abi.DEPTH, "alpha": _abi.ALPHA,
            "features": _abi.FEATURES, "weight": _abi.WEIGHT_SUM, "marked": _abi.WEIGHT_IMAGE}
SUMS = frozenset(("weight", "marked"))

FORWARD, BACKWARD = range(2)
SOURCE, DATA, GRADIENT, IMAGE = range(4)  # of a channel's numbers


class Plan:
    """How the structs of a call are written that has these inputs and channels: a Layout of what such a call sets, and
    positions in it."""

    def __init__(self, args, inputs, names, **more):
        absent = tuple("gaussians.{}.".format(n) for n in INPUTS if n not in inputs)
        self.layout = Layout(
            lambda path: path.startswith(absent) or (path.startswith("saved.") and path != "saved.struct_size"),
            args=args, context=_abi.Context, cameras=_abi.Camera, gaussians=_abi.Gaussians, settings=_abi.Settings,
            channels=_abi.Channel * max(len(names), 1), saved=_abi.Saved, **more)
        at = self.layout.at
        self.names = names
        self.inputs = [(n, at["gaussians.{}.data".format(n)], INPUTS[n]) for n in INPUTS if n in inputs]
        self.channels = [at["channels.{}.source".format(i)] for i in range(len(names))]
        self.counts, self.radii, self.context = at["args.camera_count"], at["args.radii"], at["context.device"]
        self.workspace, self.camera, self.count = at["context.workspace"], at["cameras.width"], at["gaussians.count"]
        self.settings, self.saved = at["settings.flags"], self.layout.offset["saved.struct_size"]
        self.gradients = {n: at["gradients." + n] for n in tuple(INPUTS) + ("means2d", "means2d_abs", "view")
                          } if more else None

    def values(self, scene, view, radii, index, stream, number):
        """The list of a call's values with what forward and backward share."""
        v = self.layout.values()
        at = self.counts
        v[at], v[at + 1] = 1, len(self.names)
        v[self.radii] = radii.data_ptr() or _memory.ALIGN
        at = self.context
        v[at:at + 5] = index, stream, 0, _memory.ALLOC, number
        at = self.camera
        v[at:at + 8] = (view.width, view.height, view.tan_fovx, view.tan_fovy, _abi.PINHOLE, view.view.data_ptr(),
                        view.proj.data_ptr(), view.campos.data_ptr())
        coeffs = 0
        for name, at, dims in self.inputs:
            tensor = scene[name]
            v[at] = tensor.data_ptr()
            stride = tensor.stride()
            v[at + 1] = stride[0]
            if dims > 1:
                v[at + 2] = stride[1]
                if dims > 2:
                    v[at + 3] = stride[2]
                    coeffs += tensor.shape[1]
        at = self.count
        v[at], v[at + 1] = scene["means3d"].shape[0], coeffs
        if "features" in scene:
            v[at + 2] = scene["features"].shape[1]
        at = self.settings
        v[at:at + 4] = view.flags, view.background.data_ptr(), view.scale_modifier, view.sh_degree
        for at, name in zip(self.channels, self.names):
            v[at + SOURCE] = CHANNELS[name]
            if name == "marked":
                v[at + IMAGE] = view.marks.data_ptr()
        return v


_plans = {}


def plan_of(kind, scene, names):
    """The Plan of a call of FORWARD or BACKWARD. There are as many as ways to call: a few."""
    key = (kind, names, *scene)
    found = _plans.get(key)
    if found is None:
        # In the order in which engines are asked.
        ordered = tuple(n for n in CHANNELS if n in names)
        found = _plans[key] = (Plan(_abi.ForwardArgs, tuple(scene), ordered) if kind == FORWARD else
                               Plan(_abi.BackwardArgs, tuple(scene), ordered, gradients=_abi.Gradients))
    return found
