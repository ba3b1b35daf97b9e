"""A call from its arguments to its outputs by name: what is checked and cast goes to the node of _autograd or to the
stages of _stages; feature images and colours of any width are put together, sums per Gaussian made whole numbers.
"""

import warnings

import torch

from . import _abi, _autograd, _call, _inputs, _outputs, _settings, _stages
from ._engine import EngineError

_CHANNEL = {"touched": "weight"}  # outputs that are made from a channel of another name
_COUNTED = ("touched", "marked")


class Render:
    """One call: renders the outputs that it is asked for, by name, as often as it is asked.

    features: f32 [P,F] or None. wide: None, or (f32 [P,K], f32 [K]): colours and background of K channels, in whose
    place the scene has black ones of 3.
    """

    def __init__(self, engine, scene, view, ghosts, settings, fork, features, wide):
        self.engine, self.scene, self.view, self.ghosts = engine, scene, view, ghosts
        self.fork, self.features, self.wide = fork, features, wide
        self.filter = _inputs.mip_filter(settings, view, scene["means3d"].device)
        if self.filter is not None:
            view.flags &= ~_abi.ANTIALIASING  # the filter compensates itself
        view.marks = _inputs.marks(settings, view, scene["means3d"].device)

    def __call__(self, names):
        """The outputs by name; `radii` is always among them."""
        if self.features is None and self.wide is None and "features" not in names and "marked" not in names:
            wanted = tuple([_CHANNEL.get(n, n) for n in names if n != "radii"])
            out = self._channels(self.scene, wanted or ("color",), self.ghosts)
        else:
            out = self._blended(names)
        if "weight" in out:
            out["touched"] = out.pop("weight")
        for name in _COUNTED:
            if name in out:
                out[name] = out[name].detach().ceil().to(torch.int32)
        return out

    def _channels(self, scene, names, ghosts):
        if self.filter is not None and scene["means3d"].shape[0] > 0:
            return _stages.channels(self.engine, scene, self.view, ghosts, names, *self.filter)
        return _autograd.channels(self.engine, scene, self.view, ghosts, names)

    def _blended(self, names):
        """Outputs some of which need features: at most MAX_FEATURES of them are blended at once."""
        parts = []
        if self.wide is not None and "color" in names:
            parts.append(self.wide[0])
        if self.features is not None and "features" in names:
            parts.append(self.features)
        wanted = {_CHANNEL.get(n, n) for n in names if n not in ("radii", "features")}
        if self.view.marks is None:
            wanted.discard("marked")
        if self.wide is not None and "color" in wanted:
            wanted = (wanted - {"color"}) | {"alpha"}
        joined, count = (torch.cat(parts, dim=1) if len(parts) > 1 else parts[0] if parts else None), len(self)
        first = self.scene
        # With absolute gradients an engine may blend no features: those of the colours are meant.
        if joined is not None and count > 0 and (self.wide is not None or "means2d_abs" not in self.ghosts):
            first = dict(first, features=self._part(joined, 0))
            wanted.add("features")
        out = self._channels(first, tuple(sorted(wanted)) or ("color",), self.ghosts)
        if joined is not None:
            image = self._whole(joined, out.pop("features", None), count)
            width = 0
            if self.wide is not None and "color" in names:
                width = self.wide[0].shape[1]
                out["color"] = image[:width] + (1 - out["alpha"]) * self.wide[1][:, None, None]
            if width < image.shape[0]:
                out["features"] = image[width:]
        means = self.scene["means3d"]
        if "features" in names and "features" not in out:
            out["features"] = means.new_zeros((self.fork.channels, self.view.height, self.view.width))
        if "marked" in names:
            if self.view.marks is None:
                out["marked"] = means.new_zeros((count,))
            else:
                warnings.warn("FastGS's counts of marked pixels are here sums of the Gaussian's weights over them, "
                              "rounded up: thresholds that were tuned for counts act later", RuntimeWarning, stacklevel=2)
        return out

    def __len__(self):
        return self.scene["means3d"].shape[0]

    def _part(self, joined, start):
        """MAX_FEATURES columns, as the engine reads them."""
        part = joined[:, start:start + _abi.MAX_FEATURES] if joined.shape[1] > _abi.MAX_FEATURES else joined
        return part if self.engine.has(_abi.STRIDED_INPUTS) else part.contiguous()

    def _whole(self, joined, image, count):
        """[F,H,W] for `count` Gaussians, from the image of the first MAX_FEATURES features if there is one."""
        if count == 0:  # the sum keeps the graph
            return joined.sum() + joined.new_zeros((joined.shape[1], self.view.height, self.view.width))
        images, most = [] if image is None else [image], _abi.MAX_FEATURES
        ghosts = {n: t for n, t in self.ghosts.items() if n != "means2d_abs"}
        for start in range(most * len(images), joined.shape[1], most):
            scene = dict(self.scene, features=self._part(joined, start))
            images.append(self._channels(scene, ("features",), ghosts)["features"])
        return torch.cat(images) if len(images) > 1 else images[0]


@_autograd.eager
def rasterize(means3D, means2D, sh, colors, opacities, scales, rotations, cov3d, settings, dc=None, theta=None, rho=None,
              extra=None, chosen=None, wait=None):
    """The outputs of a call (see _outputs), linked into the graph where gradients are wanted. `extra` are the keywords
    of forks; `chosen` is GaussianRasterizer.outputs."""
    given = tuple(extra) if extra else ()
    if theta is not None or rho is not None:
        given += ("theta",)
    fork = _settings.fork(settings, given)
    names = _settings.outputs(fork, chosen)
    engine = _call.engine_for(_inputs.centres(means3D))
    colors, wide = _inputs.wide_colours(colors, means3D, settings)
    features = _inputs.features(fork, extra or {}, means3D)
    scene = _inputs.scene(engine, means3D, opacities, sh, colors, scales, rotations, cov3d, dc)
    view = _inputs.view(engine, settings, means3D.device, _settings.waits(wait), wide is not None)
    ghosts = {}
    if torch.is_grad_enabled():
        ghosts = _inputs.ghosts(settings, means2D, (extra or {}).get("means2D_densify"), theta, rho, means3D)
        for name in ghosts:
            if name != "means2d" and not engine.has(_abi.CAN_EXTRA_GRADIENTS):
                raise EngineError("engine {} has no gradient for {}".format(
                    engine.name, "absolute positions" if name == "means2d_abs" else "poses"),
                    "leave out what wants it, or reinstall the wheel")
    render = Render(engine, scene, view, ghosts, settings, fork, features, wide)
    return _outputs.deliver(render, fork, names)


@_autograd.eager
def seen(means3D, scales, rotations, cov3d, settings):
    """int32 [P]: the radius with which each Gaussian would be rendered, 0 where it is not visible."""
    with torch.no_grad():
        means = _inputs.centres(means3D)
        engine, ones = _call.engine_for(means), means.new_ones(means.shape[0], 3)
        scene = _inputs.scene(engine, means, ones[:, :1], None, ones, scales, rotations, cov3d)
        view = _inputs.view(engine, settings, means.device, True, True)
        if means.shape[0] == 0:
            return means.new_zeros((0,), dtype=torch.int32)
        records = _stages.project(engine, scene, view)
        mip = _inputs.mip_filter(settings, view, means.device)
        return _stages.radii(records if mip is None else _stages.filtered(records, view, *mip))


@_autograd.eager
def visible(positions, settings):
    """bool [P]: which centres [P,3] are in front of the camera."""
    with torch.no_grad():
        means = _inputs.centres(positions)
        engine = _call.engine_for(means)
        return _call.mark_visible(engine, means,
                                  _inputs.numbers("viewmatrix", settings.viewmatrix, 16, means.device),
                                  _inputs.numbers("projmatrix", settings.projmatrix, 16, means.device))
