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

SOURCE, DATA, GRADIENT, IMAGE = range(4)  # of a channel's numbers


class Head:
    """A Layout of the arguments of forward or of backward with what differs between the two calls, and positions in it."""

    def __init__(self, names, args, without=None, **parts):
        self.layout = Layout(without, args=args, context=_abi.Context, channels=_abi.Channel * max(len(names), 1), **parts)
        at = self.layout.at
        self.sources = [(at["channels.{}.source".format(i)], CHANNELS[n], n) for i, n in enumerate(names)]
        self.counts, self.radii, self.context = at["args.camera_count"], at["args.radii"], at["context.device"]
        self.workspace = at["context.workspace"]

    def values(self, view, radii, index, stream, number):
        """The list of a call's values with what both calls have."""
        v = self.layout.values()
        at = self.counts
        v[at], v[at + 1] = 1, len(self.sources)
        v[self.radii] = radii.data_ptr() or _memory.ALIGN
        at = self.context
        v[at:at + 5] = index, stream, 0, _memory.ALLOC, number
        for at, source, name in self.sources:
            v[at + SOURCE] = source
            if name == "marked":
                v[at + IMAGE] = view.marks.data_ptr()
        return v


class Plan:
    """How the structs of calls are written that have these inputs and channels: Layouts of what such calls set, and
    positions in them. What forward and backward both read is written once, by forward, and backward points there."""

    def __init__(self, inputs, names):
        self.names = names
        absent = tuple("gaussians.{}.".format(n) for n in INPUTS if n not in inputs)
        self.forward = Head(
            names, _abi.ForwardArgs,
            lambda path: path.startswith(absent) or (path.startswith("saved.") and path != "saved.struct_size"),
            cameras=_abi.Camera, gaussians=_abi.Gaussians, settings=_abi.Settings,
            saved=_abi.Saved)
        self.backward = Head(names, _abi.BackwardArgs, gradients=_abi.Gradients)
        at, start = self.forward.layout.at, self.forward.layout.start
        self.inputs = [(n, at["gaussians.{}.data".format(n)], INPUTS[n]) for n in INPUTS if n in inputs]
        self.camera, self.count, self.settings = at["cameras.width"], at["gaussians.count"], at["settings.flags"]
        self.saved = start["saved"]
        at = self.backward.layout.at
        self.shared = [(at["args." + n], start[n]) for n in ("cameras", "gaussians", "settings", "saved")]
        self.gradients = {n: at["gradients." + n] for n in tuple(INPUTS) + ("means2d", "means2d_abs", "view")}

    def values(self, scene, view, radii, index, stream, number):
        """The list of forward's values, without memory for its outputs."""
        v = self.forward.values(view, radii, index, stream, number)
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
        return v

    def values_back(self, view, radii, index, stream, number, structs):
        """The list of backward's values, without gradients; `structs` is the address of what forward wrote."""
        v = self.backward.values(view, radii, index, stream, number)
        for at, start in self.shared:
            v[at] = structs + start
        return v


_plans = {}


def plan_of(scene, names):
    """The Plan of calls. There are as many as ways to call: a few."""
    key = (names, *scene)
    found = _plans.get(key)
    if found is None:
        # In the order in which engines are asked.
        found = _plans[key] = Plan(tuple(scene), tuple(n for n in CHANNELS if n in names))
    return found
