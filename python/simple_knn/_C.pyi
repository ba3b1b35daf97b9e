# Types of the one function; its shapes are in the docstring of _C.py.
from torch import Tensor

def distCUDA2(points: Tensor) -> Tensor: ...
