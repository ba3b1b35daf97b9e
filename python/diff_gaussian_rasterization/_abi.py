"""The structs of splat_engine.h (ABI 2) for ctypes: the one mirror of that header in this package.

Members and their order are the header's, which also documents them. Nothing is called here, and neither torch nor a
library is loaded.
"""

import ctypes as c

ABI = 3

OK, INVALID_ARGUMENT, UNSUPPORTED, OUT_OF_MEMORY, NO_DEVICE, DEVICE_ERROR, INTERNAL = range(7)
CPU, CUDA = 0, 1
MEM_SCRATCH, MEM_SAVED = 0, 1
MAX_BUFFERS = 6
MAX_ADAM_GROUPS = 8

# splat_capabilities.outputs
OUT_COLOR, OUT_RADII, OUT_INV_DEPTH, OUT_DEPTH, OUT_ALPHA = 1, 2, 4, 8, 16
# splat_capabilities.features
STRIDED_INPUTS, CAN_SPLIT_SH, CAN_EXTRA_GRADIENTS = 1 << 0, 1 << 7, 1 << 8
CAN_WORKSPACE, CAN_OPTIMIZE = 1 << 9, 1 << 10
# splat_settings.flags
ANTIALIASING, DEBUG, FORWARD_ONLY = 1 << 0, 1 << 1, 1 << 5

Alloc = c.CFUNCTYPE(c.c_void_p, c.c_void_p, c.c_uint32, c.c_uint64)


class In(c.Structure):
    _fields_ = [("data", c.c_void_p), ("stride", c.c_int64 * 3)]


class Camera(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("width", c.c_int32), ("height", c.c_int32), ("tan_fovx", c.c_float),
                ("tan_fovy", c.c_float), ("model", c.c_int32), ("view", c.c_void_p), ("proj", c.c_void_p),
                ("campos", c.c_void_p)]


class Gaussians(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("count", c.c_int64), ("sh_coeffs", c.c_int64),
                ("feature_count", c.c_int64), ("means3d", In), ("opacities", In), ("sh", In), ("sh_rest", In),
                ("colors", In), ("scales", In), ("rotations", In), ("cov3d", In), ("features", In)]


class Settings(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("flags", c.c_uint32), ("background", c.c_void_p),
                ("scale_modifier", c.c_float), ("sh_degree", c.c_int32)]


class Context(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("device", c.c_int32), ("stream", c.c_void_p),
                ("workspace", c.c_void_p), ("alloc", Alloc), ("user", c.c_void_p)]


class Saved(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("buffer_count", c.c_uint32), ("rendered", c.c_int64),
                ("rejected", c.c_int64), ("ticket", c.c_int64), ("buffer", c.c_void_p * MAX_BUFFERS),
                ("bytes", c.c_uint64 * MAX_BUFFERS)]


# What forward and backward begin with.
_CALL = [("struct_size", c.c_uint32), ("context", Context), ("camera_count", c.c_uint32),
         ("cameras", c.POINTER(Camera)), ("gaussians", Gaussians), ("settings", Settings)]


class ForwardArgs(c.Structure):
    _fields_ = _CALL + [("color", c.c_void_p), ("radii", c.c_void_p), ("inv_depth", c.c_void_p),
                        ("depth", c.c_void_p), ("alpha", c.c_void_p), ("features", c.c_void_p), ("saved", Saved)]


class BackwardArgs(c.Structure):
    _fields_ = _CALL + [("saved", Saved), ("radii", c.c_void_p), ("grad_color", c.c_void_p),
                        ("grad_inv_depth", c.c_void_p), ("grad_depth", c.c_void_p), ("grad_alpha", c.c_void_p),
                        ("grad_features", c.c_void_p), ("means3d", c.c_void_p), ("means2d", c.c_void_p),
                        ("means2d_abs", c.c_void_p), ("opacities", c.c_void_p), ("sh", c.c_void_p),
                        ("sh_rest", c.c_void_p), ("colors", c.c_void_p), ("scales", c.c_void_p),
                        ("rotations", c.c_void_p), ("cov3d", c.c_void_p), ("features", c.c_void_p),
                        ("background", c.c_void_p), ("view", c.c_void_p)]


class MarkVisibleArgs(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("context", Context), ("count", c.c_int64), ("means3d", In),
                ("view", c.c_void_p), ("proj", c.c_void_p), ("visible", c.c_void_p)]


class Capabilities(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("abi", c.c_uint32), ("device_kind", c.c_int32), ("outputs", c.c_uint32),
                ("features", c.c_uint32), ("max_sh_degree", c.c_int32), ("name", c.c_char_p),
                ("version", c.c_char_p), ("fingerprint", c.c_char_p)]


class Progress(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("done", c.c_uint32), ("overflow", c.c_uint32),
                ("reserved", c.c_uint32), ("rendered", c.c_int64), ("rejected", c.c_int64), ("capacity", c.c_int64)]


class AdamGroup(c.Structure):
    _fields_ = [("param", c.c_void_p), ("grad", c.c_void_p), ("exp_avg", c.c_void_p), ("exp_avg_sq", c.c_void_p),
                ("width", c.c_int64), ("step", c.c_int64), ("lr", c.c_float), ("beta1", c.c_float),
                ("beta2", c.c_float), ("eps", c.c_float)]


class AdamArgs(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("context", Context), ("rows", c.c_int64), ("visible", c.c_void_p),
                ("group_count", c.c_uint32), ("groups", c.POINTER(AdamGroup))]


class SsimArgs(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("context", Context), ("planes", c.c_int64), ("width", c.c_int32),
                ("height", c.c_int32), ("valid", c.c_uint32), ("lambda_dssim", c.c_float), ("image", c.c_void_p),
                ("target", c.c_void_p), ("map", c.c_void_p), ("mean", c.c_void_p), ("partials", c.c_void_p),
                ("grad_mean", c.c_void_p), ("grad_map", c.c_void_p), ("grad_image", c.c_void_p)]


# The functions that this package calls, with their arguments; all but those in RESULTS return a status. Structs are
# given by address: as ctypes structs, or as the bytes that _layout writes.
FUNCTIONS = {
    "abi_version": [],
    "last_error": [],
    "capabilities": [c.c_void_p],
    "device_ready": [c.c_int32],
    "forward": [c.c_void_p],
    "backward": [c.c_void_p],
    "mark_visible": [c.c_void_p],
    "workspace_new": [c.c_int32, c.c_void_p],
    "workspace_free": [c.c_void_p],
    "poll": [c.c_void_p, c.c_void_p, c.c_uint32, c.c_void_p],
    "adam": [c.c_void_p],
    "ssim_forward": [c.c_void_p],
    "ssim_backward": [c.c_void_p],
}
RESULTS = {"abi_version": c.c_uint32, "last_error": c.c_char_p, "workspace_free": None}
