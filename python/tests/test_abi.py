"""The CPU engine's C border, called from ctypes with nothing but the standard library.

One splat in front of an identity camera: its image and its gradients are known in closed form. The library is
`$SPLATWRIGHT_ENGINE_DIR/libsplat_cpu.so`; `cargo xtask test` sets the variable. No torch, no numpy.
"""

import ctypes as c
import os
import pathlib
import unittest

F = c.POINTER(c.c_float)
ALLOC = c.CFUNCTYPE(c.c_void_p, c.c_void_p, c.c_uint32, c.c_uint64)


class In(c.Structure):
    _fields_ = [("data", F), ("stride", c.c_int64 * 3)]


class Camera(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("width", c.c_int32), ("height", c.c_int32),
                ("tan_fovx", c.c_float), ("tan_fovy", c.c_float), ("model", c.c_int32), ("view", F), ("proj", F),
                ("campos", F)]


class Gaussians(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("count", c.c_int64), ("sh_coeffs", c.c_int64),
                ("feature_count", c.c_int64), ("means3d", In), ("opacities", In), ("sh", In), ("sh_rest", In),
                ("colors", In), ("scales", In), ("rotations", In), ("cov3d", In), ("features", In)]


class Settings(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("flags", c.c_uint32), ("background", F),
                ("scale_modifier", c.c_float), ("sh_degree", c.c_int32)]


class Context(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("device", c.c_int32), ("stream", c.c_void_p),
                ("workspace", c.c_void_p), ("alloc", ALLOC), ("user", c.c_void_p)]


class Saved(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("buffer_count", c.c_uint32), ("rendered", c.c_int64),
                ("rejected", c.c_int64), ("ticket", c.c_int64), ("buffer", c.c_void_p * 6), ("bytes", c.c_uint64 * 6)]


class ForwardArgs(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("context", Context), ("camera_count", c.c_uint32),
                ("cameras", c.POINTER(Camera)), ("gaussians", Gaussians), ("settings", Settings), ("color", F),
                ("radii", c.POINTER(c.c_int32)), ("inv_depth", F), ("depth", F), ("alpha", F), ("features", F),
                ("saved", Saved)]


class BackwardArgs(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("context", Context), ("camera_count", c.c_uint32),
                ("cameras", c.POINTER(Camera)), ("gaussians", Gaussians), ("settings", Settings), ("saved", Saved),
                ("radii", c.POINTER(c.c_int32)), ("grad_color", F), ("grad_inv_depth", F), ("grad_depth", F),
                ("grad_alpha", F), ("grad_features", F), ("means3d", F), ("means2d", F), ("means2d_abs", F),
                ("opacities", F), ("sh", F), ("sh_rest", F), ("colors", F), ("scales", F), ("rotations", F),
                ("cov3d", F), ("features", F), ("background", F), ("view", F)]


def sized(struct, **members):
    return struct(struct_size=c.sizeof(struct), **members)


def floats(*values):
    return (c.c_float * len(values))(*values)


def dense(values, *strides):
    return In(c.cast(values, F), (c.c_int64 * 3)(*strides))


class Engine(unittest.TestCase):
    SIDE = 17  # odd: the splat's centre falls on the middle pixel

    def setUp(self):
        folder = os.environ.get("SPLATWRIGHT_ENGINE_DIR")
        if not folder:
            self.skipTest("SPLATWRIGHT_ENGINE_DIR is not set")
        self.lib = c.CDLL(str(pathlib.Path(folder) / "libsplat_cpu.so"))
        self.lib.splat_engine_last_error.restype = c.c_char_p
        self.blocks = []

    def allocator(self):
        def alloc(_user, _kind, size):
            block = c.create_string_buffer(size + 256)
            self.blocks.append(block)
            return (c.addressof(block) + 255) & ~255
        return ALLOC(alloc)

    def call(self, color=(0.2, 0.5, 0.9), opacity=0.8, mean=(0.0, 0.0, 2.0)):
        side, tan = self.SIDE, 0.5
        identity = floats(*[float(i % 5 == 0) for i in range(16)])
        # Perspective with the field of view above; clip w = z. Column-major.
        proj = floats(1 / tan, 0, 0, 0, 0, 1 / tan, 0, 0, 0, 0, 1, 1, 0, 0, -0.01, 0)
        self.keep = dict(identity=identity, proj=proj, campos=floats(0, 0, 0), background=floats(0, 0, 0),
                         means=floats(*mean), opacity=floats(opacity), color=floats(*color),
                         scales=floats(0.1, 0.1, 0.1), rotations=floats(1, 0, 0, 0))
        k = self.keep
        shared = dict(
            context=sized(Context, device=-1, alloc=self.allocator()),
            camera_count=1,
            cameras=c.pointer(sized(Camera, width=side, height=side, tan_fovx=tan, tan_fovy=tan,
                                    view=c.cast(identity, F), proj=c.cast(proj, F), campos=c.cast(k["campos"], F))),
            gaussians=sized(Gaussians, count=1, means3d=dense(k["means"], 3, 1, 0),
                            opacities=dense(k["opacity"], 1, 0, 0), colors=dense(k["color"], 3, 1, 0),
                            scales=dense(k["scales"], 3, 1, 0), rotations=dense(k["rotations"], 4, 1, 0)),
            settings=sized(Settings, background=c.cast(k["background"], F), scale_modifier=1.0))
        self.image = floats(*([float("nan")] * (3 * side * side)))
        self.radii = (c.c_int32 * 1)(-1)
        args = sized(ForwardArgs, color=c.cast(self.image, F), radii=self.radii, saved=sized(Saved), **shared)
        return args, shared

    def test_abi_version_is_the_header_s(self):
        self.assertEqual(self.lib.splat_engine_abi_version(), 3)

    def test_middle_pixel_is_opacity_times_color(self):
        args, _ = self.call()
        self.assertEqual(self.lib.splat_engine_forward(c.byref(args)), 0, self.lib.splat_engine_last_error())
        middle = (self.SIDE // 2) * self.SIDE + self.SIDE // 2
        for channel, value in enumerate((0.2, 0.5, 0.9)):
            self.assertAlmostEqual(self.image[channel * self.SIDE ** 2 + middle], 0.8 * value, places=5)
        self.assertGreater(self.radii[0], 0)

    def test_gradient_of_the_color_is_the_sum_of_weights(self):
        args, shared = self.call()
        self.assertEqual(self.lib.splat_engine_forward(c.byref(args)), 0, self.lib.splat_engine_last_error())
        ones = floats(*([1.0] * len(self.image)))
        colors, opacities = floats(0, 0, 0), floats(0)
        back = sized(BackwardArgs, saved=args.saved, radii=self.radii,
                     grad_color=c.cast(ones, F),
                     colors=c.cast(colors, F), opacities=c.cast(opacities, F), **shared)
        self.assertEqual(self.lib.splat_engine_backward(c.byref(back)), 0, self.lib.splat_engine_last_error())
        # One splat on black: image = weight * color, so the gradient of a color is the sum of weights.
        total = sum(self.image[:self.SIDE ** 2]) / 0.2
        for channel in range(3):
            self.assertAlmostEqual(colors[channel] / total, 1.0, places=4)
        self.assertAlmostEqual(opacities[0] / (total / 0.8 * 1.6), 1.0, places=4)

    def test_a_splat_that_is_not_finite_is_rejected_and_counted(self):
        args, _ = self.call(mean=(float("nan"), 0.0, 2.0))
        self.assertEqual(self.lib.splat_engine_forward(c.byref(args)), 0, self.lib.splat_engine_last_error())
        self.assertEqual((args.saved.rejected, self.radii[0], max(self.image)), (1, 0, 0.0))

    def test_a_camera_that_is_not_finite_is_refused_by_name(self):
        args, _ = self.call()
        self.keep["identity"][5] = float("nan")
        self.assertEqual(self.lib.splat_engine_forward(c.byref(args)), 1)
        self.assertIn(b"viewmatrix", self.lib.splat_engine_last_error())

    def test_null_and_other_headers_are_refused(self):
        self.assertEqual(self.lib.splat_engine_forward(None), 1)
        args, _ = self.call()
        args.struct_size = 8
        self.assertEqual(self.lib.splat_engine_forward(c.byref(args)), 1)
        self.assertIn(b"struct_size", self.lib.splat_engine_last_error())


if __name__ == "__main__":
    unittest.main()
