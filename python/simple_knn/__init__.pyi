from . import _C as _C

__version__: str
