# Types of the public names; shapes are in the docstrings of __init__.py.
from torch import Tensor

__version__: str

def fused_ssim(img1: Tensor, img2: Tensor, padding: str = ..., train: bool = ...) -> Tensor: ...
