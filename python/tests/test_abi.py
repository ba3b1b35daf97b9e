"""The ctypes mirror against a C compiler, and the CPU engine called through it with the standard library alone.

One Gaussian in front of an identity camera: its image and its gradients are known in closed form. The library is
`$SPLAT_ENGINES/libsplat_cpu.so`; `cargo xtask test` sets the variable. No torch, no numpy.
"""

import ctypes as c
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

PACKAGES = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = PACKAGES.parent / "crates" / "splat-engine" / "include"


def _load():
    """_abi of the installed package, or else of this checkout, without the package itself, which needs torch."""
    installed = importlib.util.find_spec("diff_gaussian_rasterization")
    folder = pathlib.Path(installed.origin).parent if installed else PACKAGES / "diff_gaussian_rasterization"
    spec = importlib.util.spec_from_file_location("splat_abi", str(folder / "_abi.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


abi = _load()


def floats(*values):
    return (c.c_float * len(values))(*values)


def dense(values, *strides):
    return abi.In(c.addressof(values), (c.c_int64 * 3)(*strides))


def allocator(blocks):
    """A splat_context.alloc whose memory lives as long as the list."""
    def alloc(_user, _kind, size):
        block = c.create_string_buffer(size + 256)
        blocks.append(block)
        return (c.addressof(block) + 255) & ~255
    return abi.Alloc(alloc)


def channels(**given):
    """An array of splat_channel; each value is (source, data or None, gradient or None) of ctypes arrays."""
    address = lambda values: values if values is None else c.addressof(values)
    rows = [abi.Channel(source=s, data=address(d), gradient=address(g)) for s, d, g in given.values()]
    return (abi.Channel * len(rows))(*rows)


class Library:
    """libsplat_cpu.so in $SPLAT_ENGINES, and its tables for the engine itself and for rendering."""

    def __init__(self):
        self.library = c.CDLL(str(pathlib.Path(os.environ["SPLAT_ENGINES"].split(os.pathsep)[0]) / "libsplat_cpu.so"))
        self.get = abi.Entry((abi.ENTRY, self.library))
        self.engine = abi.EngineTable.from_address(self.get(abi.ENGINE, abi.ENGINE_ABI))
        self.raster = abi.RasterTable.from_address(self.get(abi.RASTER, abi.ENGINE_ABI))


class Mirror(unittest.TestCase):
    """Sizes, offsets and constants of the generated file, as a C compiler sees the header."""

    def expressions(self):
        """(C expression, the mirror's value); names as in the header."""
        for name, value in vars(abi).items():
            if name.isupper() and isinstance(value, int):
                yield "SPLAT_" + name, value
            elif isinstance(value, type) and issubclass(value, c.Structure) and hasattr(value, "_fields_"):
                struct = "splat_" + re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
                yield "sizeof({})".format(struct), c.sizeof(value)
                for member, _ in value._fields_:
                    field = getattr(value, member)
                    yield "offsetof({}, {})".format(struct, member), field.offset
                    yield "sizeof((({} *)0)->{})".format(struct, member), field.size

    def test_a_c_compiler_agrees(self):
        compiler = os.environ.get("CC") or shutil.which("cc")
        if not compiler or not INCLUDE.is_dir():
            self.skipTest("no C compiler, or no header beside the tests")
        expressions = list(self.expressions())
        self.assertGreater(len(expressions), 400)
        header = (INCLUDE / "splat_engine.h").read_text()
        for name in re.findall(r"^typedef struct \w+ \{.*?^\} (\w+);", header, re.M | re.S):
            self.assertIn("sizeof({})".format(name), dict(expressions))
        for name in re.findall(r"(?:^|[{,] *|^#define )(SPLAT_\w+) *(?:=|\d)", header, re.M):
            self.assertIn(name, dict(expressions))
        source = "#include <stddef.h>\n#include \"splat_engine.h\"\n" + "".join(
            "_Static_assert((long long)({0}) == {1}, \"{0} is {1} in Python\");\n".format(*e) for e in expressions)
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "layout.c"
            file.write_text(source)
            done = subprocess.run([compiler, "-std=c11", "-fsyntax-only", "-I", str(INCLUDE), str(file)],
                                  stderr=subprocess.PIPE, universal_newlines=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_struct_that_may_grow_knows_its_size(self):
        self.assertEqual(abi.Camera(width=3).struct_size, c.sizeof(abi.Camera))
        self.assertEqual(abi.Camera(width=3).width, 3)


class Engine(unittest.TestCase):
    SIDE = 17  # odd: the Gaussian's centre falls on the middle pixel

    def setUp(self):
        if not os.environ.get("SPLAT_ENGINES"):
            self.skipTest("SPLAT_ENGINES is not set")
        self.lib = Library()
        self.blocks = []

    def error(self):
        return self.lib.engine.last_error()

    def call(self, color=(0.2, 0.5, 0.9), opacity=0.8, mean=(0.0, 0.0, 2.0)):
        side, tan = self.SIDE, 0.5
        identity = floats(*[float(i % 5 == 0) for i in range(16)])
        # Perspective with the field of view above; clip w = z. Column-major.
        proj = floats(1 / tan, 0, 0, 0, 0, 1 / tan, 0, 0, 0, 0, 1, 1, 0, 0, -0.01, 0)
        self.keep = dict(identity=identity, proj=proj, campos=floats(0, 0, 0), background=floats(0, 0, 0),
                         means=floats(*mean), opacity=floats(opacity), color=floats(*color),
                         scales=floats(0.1, 0.1, 0.1), rotations=floats(1, 0, 0, 0))
        k = self.keep
        self.image = floats(*([float("nan")] * (3 * side * side)))
        self.radii = (c.c_int32 * 1)(-1)
        shared = dict(
            camera_count=1, channel_count=1, radii=c.addressof(self.radii), saved=c.pointer(abi.Saved()),
            context=c.pointer(abi.Context(device=-1, alloc=allocator(self.blocks))),
            cameras=c.pointer(abi.Camera(width=side, height=side, tan_fovx=tan, tan_fovy=tan,
                                         view=c.addressof(identity), proj=c.addressof(proj),
                                         campos=c.addressof(k["campos"]))),
            gaussians=c.pointer(abi.Gaussians(
                count=1, means3d=dense(k["means"], 3, 1, 0), opacities=dense(k["opacity"], 1, 0, 0),
                colors=dense(k["color"], 3, 1, 0), scales=dense(k["scales"], 3, 1, 0),
                rotations=dense(k["rotations"], 4, 1, 0))),
            settings=c.pointer(abi.Settings(background=c.addressof(k["background"]), scale_modifier=1.0)))
        args = abi.ForwardArgs(channels=channels(color=(abi.COLOR, self.image, None)), **shared)
        return args, shared

    def forward(self, args):
        self.assertEqual(self.lib.raster.forward(c.byref(args)), abi.OK, self.error())

    def test_the_engine_says_which_abi_it_has_and_offers_no_other(self):
        out = abi.Capabilities()
        self.assertEqual(self.lib.engine.capabilities(c.byref(out)), abi.OK)
        self.assertEqual((out.abi, out.device_kind, out.name), (abi.ENGINE_ABI, abi.CPU, b"cpu"))
        self.assertIsNone(self.lib.get(abi.RASTER, abi.ENGINE_ABI + 1))
        self.assertIsNone(self.lib.get(99, abi.ENGINE_ABI))

    def test_middle_pixel_is_opacity_times_color(self):
        args, _ = self.call()
        self.forward(args)
        middle = (self.SIDE // 2) * self.SIDE + self.SIDE // 2
        for channel, value in enumerate((0.2, 0.5, 0.9)):
            self.assertAlmostEqual(self.image[channel * self.SIDE ** 2 + middle], 0.8 * value, places=5)
        self.assertGreater(self.radii[0], 0)

    def test_gradient_of_the_color_is_the_sum_of_weights(self):
        args, shared = self.call()
        self.forward(args)
        ones = floats(*([1.0] * len(self.image)))
        colors, opacities = floats(0, 0, 0), floats(0)
        gradients = abi.Gradients(colors=c.addressof(colors), opacities=c.addressof(opacities))
        back = abi.BackwardArgs(channels=channels(color=(abi.COLOR, None, ones)), gradients=c.pointer(gradients),
                                **shared)
        self.assertEqual(self.lib.raster.backward(c.byref(back)), abi.OK, self.error())
        # One Gaussian on black: image = weight * color, so the gradient of a color is the sum of weights.
        total = sum(self.image[:self.SIDE ** 2]) / 0.2
        for channel in range(3):
            self.assertAlmostEqual(colors[channel] / total, 1.0, places=4)
        self.assertAlmostEqual(opacities[0] / (total / 0.8 * 1.6), 1.0, places=4)

    def test_the_channel_of_weights_is_that_sum(self):
        args, _ = self.call()
        weight = floats(float("nan"))
        args.channels = channels(color=(abi.COLOR, self.image, None), weight=(abi.WEIGHT_SUM, weight, None))
        args.channel_count = 2
        self.forward(args)
        self.assertAlmostEqual(weight[0] / (sum(self.image[:self.SIDE ** 2]) / 0.2), 1.0, places=4)

    def test_a_gaussian_that_is_not_finite_is_rejected_and_counted(self):
        args, _ = self.call(mean=(float("nan"), 0.0, 2.0))
        self.forward(args)
        self.assertEqual((args.saved.contents.rejected, self.radii[0], max(self.image)), (1, 0, 0.0))

    def test_a_camera_that_is_not_finite_is_refused_by_name(self):
        args, _ = self.call()
        self.keep["identity"][5] = float("nan")
        self.assertEqual(self.lib.raster.forward(c.byref(args)), abi.INVALID_ARGUMENT)
        self.assertIn(b"viewmatrix", self.error())

    def test_null_and_other_headers_are_refused(self):
        self.assertEqual(self.lib.raster.forward(None), abi.INVALID_ARGUMENT)
        args, _ = self.call()
        args.struct_size = 2
        self.assertEqual(self.lib.raster.forward(c.byref(args)), abi.INVALID_ARGUMENT)
        self.assertIn(b"struct_size", self.error())

    def test_members_that_the_engine_does_not_know_must_be_zero(self):
        class Newer(c.Structure):
            _fields_ = [("args", abi.ForwardArgs), ("wish", c.c_uint64)]

        for wish, status in ((0, abi.OK), (1, abi.UNSUPPORTED)):
            args, _ = self.call()
            args.struct_size = c.sizeof(Newer)
            newer = Newer(args, wish)
            self.assertEqual(self.lib.raster.forward(c.byref(newer)), status, self.error())


if __name__ == "__main__":
    unittest.main()
