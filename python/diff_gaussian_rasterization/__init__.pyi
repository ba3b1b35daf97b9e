# Types of the public names; shapes are in the docstrings of __init__.py and _settings.py.
from typing import Any, NamedTuple, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor

from . import _C as _C

__version__: str

class EngineError(RuntimeError):
    status: Optional[int]

class ForkError(TypeError, ValueError): ...

class GaussianRasterizationSettings(NamedTuple):
    image_height: int
    image_width: int
    tanfovx: Union[float, Tensor]
    tanfovy: Union[float, Tensor]
    bg: Tensor
    scale_modifier: float
    viewmatrix: Tensor
    projmatrix: Tensor
    sh_degree: int
    campos: Tensor
    prefiltered: bool
    debug: bool = ...
    antialiasing: bool = ...
    projmatrix_raw: Optional[Tensor] = ...
    kernel_size: Optional[float] = ...
    subpixel_offset: Optional[Tensor] = ...
    include_feature: Optional[bool] = ...
    mult: Optional[float] = ...
    get_flag: Optional[bool] = ...
    metric_map: Optional[Tensor] = ...

class SparseGaussianAdam(torch.optim.Adam):
    def __init__(self, params: Any, lr: float = ..., eps: float = ...) -> None: ...
    def step(self, visibility: Tensor, N: int) -> None: ...  # type: ignore[override]

def rasterize_gaussians(
    means3D: Tensor,
    means2D: Optional[Tensor],
    sh: Optional[Tensor],
    colors_precomp: Optional[Tensor],
    opacities: Tensor,
    scales: Optional[Tensor],
    rotations: Optional[Tensor],
    cov3Ds_precomp: Optional[Tensor],
    raster_settings: GaussianRasterizationSettings,
    dc: Optional[Tensor] = ...,
    theta: Optional[Tensor] = ...,
    rho: Optional[Tensor] = ...,
    *,
    semantic_feature: Optional[Tensor] = ...,
    sh_objs: Optional[Tensor] = ...,
    language_feature_precomp: Optional[Tensor] = ...,
    means2D_densify: Optional[Tensor] = ...,
) -> Tuple[Tensor, ...]: ...

class GaussianRasterizer(torch.nn.Module):
    outputs: Union[None, int, str, Sequence[str]]
    wait: Optional[bool]
    raster_settings: GaussianRasterizationSettings
    def __init__(self, raster_settings: GaussianRasterizationSettings) -> None: ...
    def markVisible(self, positions: Tensor) -> Tensor: ...
    def visible_filter(
        self,
        means3D: Tensor,
        scales: Optional[Tensor] = ...,
        rotations: Optional[Tensor] = ...,
        cov3D_precomp: Optional[Tensor] = ...,
    ) -> Tensor: ...
    def forward(
        self,
        means3D: Tensor,
        means2D: Optional[Tensor],
        opacities: Tensor,
        shs: Optional[Tensor] = ...,
        colors_precomp: Optional[Tensor] = ...,
        scales: Optional[Tensor] = ...,
        rotations: Optional[Tensor] = ...,
        cov3D_precomp: Optional[Tensor] = ...,
        dc: Optional[Tensor] = ...,
        theta: Optional[Tensor] = ...,
        rho: Optional[Tensor] = ...,
        *,
        semantic_feature: Optional[Tensor] = ...,
        sh_objs: Optional[Tensor] = ...,
        language_feature_precomp: Optional[Tensor] = ...,
        means2D_densify: Optional[Tensor] = ...,
    ) -> Tuple[Tensor, ...]: ...
    __call__ = forward  # calls are checked as forward is
