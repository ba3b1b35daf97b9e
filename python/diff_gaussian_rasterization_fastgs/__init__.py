"""`diff_gaussian_rasterization` under the name that FastGS imports; its callers are recognised by `mult`, `get_flag` and
`metric_map` in their settings.
"""

from diff_gaussian_rasterization import (  # noqa: F401
    GaussianRasterizationSettings, GaussianRasterizer, SparseGaussianAdam, __version__, rasterize_gaussians)
__all__ = ["GaussianRasterizationSettings", "GaussianRasterizer", "SparseGaussianAdam", "rasterize_gaussians"]
