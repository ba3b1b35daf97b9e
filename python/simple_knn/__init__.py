"""Mean squared distances to nearest neighbours, under the name that Gaussian Splatting trainers import.

In plain torch operations; `simple_knn._C.distCUDA2` is all there is.
"""

from . import _C

__all__ = ["_C"]
