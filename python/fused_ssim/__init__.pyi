# Types of the public names; shapes are in the docstrings of __init__.py.
from typing import Any, List, NoReturn

import torch
from torch import Tensor

__version__: str
allowed_padding: List[str]

class FusedSSIMMap(torch.autograd.Function): ...

def fused_ssim(img1: Tensor, img2: Tensor, padding: str = ..., train: bool = ...) -> Tensor: ...
def fused_ssim3d(*_args: Any, **_named: Any) -> NoReturn: ...
