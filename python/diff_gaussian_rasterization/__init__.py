"""Differentiable 3D Gaussian Splatting, called as the original rasterizer's callers call theirs.

Pure Python over Splatwright's engine libraries: works with torch 2.0 and newer, on CPU and CUDA tensors, with nothing
to compile. `python -m diff_gaussian_rasterization` prints versions, engines and devices.

    settings = GaussianRasterizationSettings(image_height=H, image_width=W, ...)
    color, radii = GaussianRasterizer(settings)(means3D, means2D, opacities, shs=shs, scales=s, rotations=r)

Callers of many forks are served, each with its own outputs: see `GaussianRasterizer.outputs`.
"""

__version__ = "0.1.0"

try:
    import torch
except ImportError as e:
    raise ImportError("diff_gaussian_rasterization needs torch, which cannot be imported: {}\n"
                      "hint: install torch 2.0 or newer into this Python".format(e)) from e
if int(torch.__version__.split(".")[0]) < 2:
    raise ImportError("diff_gaussian_rasterization needs torch 2.0 or newer, but this is torch {}\n"
                      "hint: install a newer torch".format(torch.__version__))

from . import _C, _render
from ._engine import EngineError
from ._forks import ForkError
from ._optimize import SparseGaussianAdam
from ._settings import GaussianRasterizationSettings

__all__ = ["EngineError", "ForkError", "GaussianRasterizationSettings", "GaussianRasterizer", "SparseGaussianAdam",
           "rasterize_gaussians"]


def rasterize_gaussians(means3D, means2D, sh, colors_precomp, opacities, scales, rotations, cov3Ds_precomp,
                        raster_settings, dc=None, theta=None, rho=None, **of_forks):
    """Renders P Gaussians. Arguments and outputs are those of `GaussianRasterizer.forward`; empty tensors and None mean
    absent."""
    return _render.rasterize(means3D, means2D, sh, colors_precomp, opacities, scales, rotations, cov3Ds_precomp,
                               raster_settings, dc, theta, rho, of_forks, GaussianRasterizer.outputs,
                               GaussianRasterizer.wait)


class _RasterizeGaussians:
    """For callers that use the operation without `rasterize_gaussians`: the same arguments, the same outputs."""

    apply = staticmethod(rasterize_gaussians)


# What a new module of torch has: hooks, parameters and the like, all empty, and settled values.
_EMPTY = [(n, v) for n, v in vars(torch.nn.Module()).items() if hasattr(v, "copy")]
_SETTLED = {n: v for n, v in vars(torch.nn.Module()).items() if not hasattr(v, "copy")}


class GaussianRasterizer(torch.nn.Module):
    """Renders Gaussians with fixed settings.

    outputs: which outputs a call returns to a caller that does not unpack them at once, set on the class or on an
        instance: names out of color, radii, invdepth, depth, alpha, touched, features and marked, such as
        `"color,radii,depth"`, or a number, which means that many outputs of the caller's fork. If None,
        `$DGR_OUTPUTS` decides in the same way; without it, the fork does. A caller that unpacks another number gets
        that many of its fork's outputs, or a ForkError: python/README.md has the table.
    wait: whether a render on CUDA may wait for the counts of its call (not for its image). If False, or if None and
        `$DGR_WAIT` is 0, no call waits. A render that needs over a quarter more memory than earlier ones of its size
        then lacks its farthest Gaussians, and the next render warns about it.
    """

    outputs = None
    wait = None

    def __init__(self, raster_settings):
        # Trainers make a rasterizer for every call, and Module's own way costs as much as four renders' checks.
        self.__dict__.update(_SETTLED, raster_settings=raster_settings)
        for name, empty in _EMPTY:
            self.__dict__[name] = empty.copy()

    def markVisible(self, positions):
        """bool [P]: which centres [P,3] have a view-space depth over 0.2."""
        return _render.visible(positions, self.raster_settings)

    def visible_filter(self, means3D, scales=None, rotations=None, cov3D_precomp=None):
        """int32 [P]: the radius in pixels with which each Gaussian would be rendered, 0 where it is not visible."""
        return _render.seen(means3D, scales, rotations, cov3D_precomp, self.raster_settings)

    def forward(self, means3D, means2D, opacities, shs=None, colors_precomp=None, scales=None, rotations=None,
                cov3D_precomp=None, dc=None, theta=None, rho=None, **of_forks):
        """Renders P Gaussians into one image.

        means3D: [P,3], world coordinates.
        means2D: [P,3] or None; its values are ignored, it receives the gradient of the projected centres in NDC
            units (pixel gradient times half the image's size; z = 0). With [P,4], columns 2 and 3 receive the sums
            over the pixels of the absolute gradients for x and y.
        opacities: [P,1] or [P], after the sigmoid.
        shs: [P,M,3], or [P,M-1,3] beside dc [P,1,3]; or colors_precomp: [P,3], or [P,K] with a background of K numbers.
        scales: [P,3] after exp, with rotations: [P,4] wxyz, used as given; or cov3D_precomp: [P,6] xx xy xz yy yz zz.
        theta, rho: [3] or None; their values are ignored. They receive the gradient for a small rotation and
            translation of the world in camera coordinates: the world-to-camera matrix V is taken to be
            exp(rho, theta) V, the projection to be fixed and the camera centre to follow V.
        of_forks: semantic_feature, sh_objs or language_feature_precomp: [P,F] or [P,1,F], blended into an image of F
            channels without background; means2D_densify: [P,3], whose columns 0 and 1 receive the absolute gradients.

        Other floating types are computed in f32. Outputs: color [3,H,W]; radii int32 [P], 0 where not visible;
        invdepth, depth, alpha [1,H,W]: sums of weight / z, weight * z and weight; features [F,H,W]; touched int32 [P]:
        the Gaussian's weights summed over the pixels, rounded up; marked int32 [P]: the same over the marked pixels
        of `metric_map`. Images are f32; without Gaussians the image is the background.
        Errors are ValueError for inputs, ForkError for keywords and numbers of outputs, and EngineError otherwise.
        """
        return _render.rasterize(means3D, means2D, shs, colors_precomp, opacities, scales, rotations, cov3D_precomp,
                                   self.raster_settings, dc, theta, rho, of_forks, self.outputs, self.wait)
