"""What the module computes: against the engine called directly (bit for bit), finite differences, and the original."""

import ctypes as c
import unittest

import common
import torch
from common import render, settings, splats, weights

import test_abi as direct
from diff_gaussian_rasterization import _C

GOLDEN = common.PACKAGES.parent / "crates" / "splat-verify" / "data" / "golden"


def array(tensor):
    flat = tensor.detach().contiguous().reshape(-1).tolist()
    return direct.floats(*flat)


def back(values, shape):
    return torch.tensor(list(values), dtype=torch.float32).reshape(shape)


SOURCES = {"color": direct.abi.COLOR, "inv_depth": direct.abi.INV_DEPTH, "depth": direct.abi.DEPTH,
           "alpha": direct.abi.ALPHA}


class Direct:
    """The scene handed to the engine without the module, with memory that is not torch's."""

    def __init__(self, inputs, setting):
        self.lib = direct.Library()
        self.blocks = []
        p, m = inputs["means3D"].shape[0], inputs["shs"].shape[1]
        self.keep = {n: array(t) for n, t in inputs.items()}
        k = self.keep
        for name in ("viewmatrix", "projmatrix", "campos", "bg"):
            k[name] = array(getattr(setting, name))
        abi, address = direct.abi, c.addressof
        camera = abi.Camera(width=setting.image_width, height=setting.image_height, tan_fovx=setting.tanfovx,
                            tan_fovy=setting.tanfovy, view=address(k["viewmatrix"]), proj=address(k["projmatrix"]),
                            campos=address(k["campos"]))
        gaussians = abi.Gaussians(count=p, sh_coeffs=m, means3d=direct.dense(k["means3D"], 3, 1, 0),
                                  opacities=direct.dense(k["opacities"], 1, 0, 0),
                                  sh=direct.dense(k["shs"], 3 * m, 3, 1), scales=direct.dense(k["scales"], 3, 1, 0),
                                  rotations=direct.dense(k["rotations"], 4, 1, 0))
        flags = abi.ANTIALIASING if setting.antialiasing else 0
        pixels = setting.image_width * setting.image_height
        self.out = {n: (c.c_float * ((3 if n == "color" else 1) * pixels))() for n in SOURCES}
        self.radii = (c.c_int32 * p)()
        self.shared = dict(
            camera_count=1, channel_count=len(SOURCES), cameras=c.pointer(camera), gaussians=c.pointer(gaussians),
            context=c.pointer(abi.Context(device=-1, alloc=direct.allocator(self.blocks))),
            settings=c.pointer(abi.Settings(flags=flags, background=address(k["bg"]), sh_degree=setting.sh_degree,
                                            scale_modifier=setting.scale_modifier)),
            radii=address(self.radii), saved=c.pointer(abi.Saved()))
        args = abi.ForwardArgs(channels=direct.channels(**{n: (s, self.out[n], None) for n, s in SOURCES.items()}),
                               **self.shared)
        assert self.lib.raster.forward(c.byref(args)) == abi.OK, self.lib.engine.last_error()

    def gradients(self, upstream, lengths):
        abi = direct.abi
        out = {n: (c.c_float * size)() for n, size in lengths.items()}
        ups = {n: array(t) for n, t in upstream.items()}
        gradients = abi.Gradients(**{n: c.addressof(v) for n, v in out.items()})
        rows = direct.channels(**{n: (s, None, ups.get(n)) for n, s in SOURCES.items()})
        args = abi.BackwardArgs(channels=rows, gradients=c.pointer(gradients), **self.shared)
        assert self.lib.raster.backward(c.byref(args)) == abi.OK, self.lib.engine.last_error()
        return out


class BitForBit(unittest.TestCase):
    MEMBERS = dict(means3D="means3d", means2D="means2d", opacities="opacities", shs="sh", scales="scales",
                   rotations="rotations")

    def check(self, setting, names, members):
        inputs = splats()
        common.GaussianRasterizer.outputs = names
        try:
            out = render(inputs, setting)
        finally:
            common.GaussianRasterizer.outputs = None
        other = Direct(inputs, setting)
        self.assertTrue(torch.equal(out[1], torch.tensor(list(other.radii), dtype=torch.int32)))
        images = [o for i, o in enumerate(out) if i != 1]
        for image, member in zip(images, members):
            self.assertTrue(torch.equal(image, back(other.out[member], image.shape)), member)
        upstream = {m: weights(*i.shape, seed=n) for n, (i, m) in enumerate(zip(images, members))}
        ours = common.gradients(inputs, out)
        lengths = {self.MEMBERS[n]: t.numel() for n, t in inputs.items()}
        for name, value in other.gradients(upstream, lengths).items():
            public = [n for n, m in self.MEMBERS.items() if m == name][0]
            self.assertTrue(torch.equal(ours[public], back(value, ours[public].shape)), public)
            self.assertGreater(ours[public].abs().max(), 0.0, public)

    def test_two_outputs_are_the_engine_s_bit_for_bit(self):
        self.check(settings(degree=3), 2, ["color"])

    def test_three_outputs_with_antialiasing_are_the_engine_s_bit_for_bit(self):
        self.check(settings(degree=2, antialiasing=True, scale_modifier=0.7), 3, ["color", "inv_depth"])

    def test_four_outputs_are_the_engine_s_bit_for_bit(self):
        self.check(settings(degree=1), 4, ["color", "depth", "alpha"])

    def test_the_extension_s_functions_give_the_operation_s_answers(self):
        inputs, setting = splats(), settings(degree=3, antialiasing=True)
        out = render(inputs, setting)
        ours = common.gradients(inputs, out)
        s, i, e = setting, {n: t.detach() for n, t in inputs.items()}, torch.empty(0)
        _, color, radii, geom, binning, image, invdepth = _C.rasterize_gaussians(
            s.bg, i["means3D"], e, i["opacities"], i["scales"], i["rotations"], 1.0, e, s.viewmatrix, s.projmatrix,
            s.tanfovx, s.tanfovy, s.image_height, s.image_width, i["shs"], 3, s.campos, False, True, False)
        for a, b in zip((color, radii, invdepth), out):
            self.assertTrue(torch.equal(a, b))
        got = _C.rasterize_gaussians_backward(
            s.bg, i["means3D"], radii, e, i["opacities"], i["scales"], i["rotations"], 1.0, e, s.viewmatrix,
            s.projmatrix, s.tanfovx, s.tanfovy, weights(*color.shape, seed=0), weights(*invdepth.shape, seed=1),
            i["shs"], 3, s.campos, geom, 0, binning, image, True, False)
        order = ("means2D", None, "opacities", "means3D", None, "shs", "scales", "rotations")
        for name, value in zip(order, got):
            if name:
                self.assertTrue(torch.equal(value, ours[name]), name)
        self.assertGreater(got[1].abs().max(), 0.0, "gradient of the colours that SH gave")
        # Without antialiasing the functions take fewer arguments, and opacities come from the buffers.
        two = _C.rasterize_gaussians(
            s.bg, i["means3D"], e, i["opacities"], i["scales"], i["rotations"], 1.0, e, s.viewmatrix, s.projmatrix,
            s.tanfovx, s.tanfovy, s.image_height, s.image_width, i["shs"], 3, s.campos, False, False)
        self.assertEqual(len(two), 6)
        plain = common.gradients(inputs, render(inputs, settings(degree=3)))
        got = _C.rasterize_gaussians_backward(
            s.bg, i["means3D"], two[2], e, i["scales"], i["rotations"], 1.0, e, s.viewmatrix, s.projmatrix, s.tanfovx,
            s.tanfovy, weights(*color.shape, seed=0), i["shs"], 3, s.campos, two[3], two[0], two[4], two[5], False)
        self.assertTrue(torch.equal(got[3], plain["means3D"]))
        self.assertTrue(torch.equal(got[2], plain["opacities"]))


class FiniteDifferences(unittest.TestCase):
    """Directional derivatives, by central differences in f32."""

    STEPS = dict(means3D=1e-3, opacities=1e-2, shs=1e-2, scales=2e-3, rotations=1e-2)

    def test_backward_is_the_slope_of_forward(self):
        inputs = common.smooth()
        common.GaussianRasterizer.outputs = "color,radii,invdepth,depth,alpha"
        try:
            ours = common.gradients(inputs, render(inputs))
            for name, step in self.STEPS.items():
                direction = weights(*inputs[name].shape, seed=9)
                direction /= direction.norm() / direction.numel() ** 0.5
                losses = []
                for sign in (1.0, -1.0):
                    with torch.no_grad():
                        moved = dict(inputs, **{name: inputs[name] + sign * step * direction})
                        images = [o for o in render(moved) if o.is_floating_point()]
                        losses.append(sum((o.double() * weights(*o.shape, seed=i)).sum().item()
                                          for i, o in enumerate(images)))
                slope = (losses[0] - losses[1]) / (2 * step)
                said = (ours[name].double() * direction).sum().item()
                scale = (ours[name].double() * direction).norm().item()
                self.assertGreater(scale, 0.0, name)
                self.assertLess(abs(slope - said) / scale, 0.01, "{}: {} but {}".format(name, slope, said))
        finally:
            common.GaussianRasterizer.outputs = None


class Golden(unittest.TestCase):
    """Image, radii and gradients of the original, recorded in crates/splat-verify/data/golden."""

    INPUTS = ("means3D", "opacities", "shs", "colors_precomp", "scales", "rotations", "cov3D_precomp")

    def test_the_original_s_answers(self):
        try:
            import numpy
        except ImportError:
            self.skipTest("numpy is not installed")
        if not GOLDEN.is_dir():
            self.skipTest("crates/splat-verify/data/golden is not there")
        files = sorted(GOLDEN.glob("a_*.npz"))
        self.assertGreaterEqual(len(files), 7)
        for path in files:
            if path.stem == "a_hard":
                continue  # its Gaussians at the camera's plane have their own bounds, in the engine's tests
            with self.subTest(path.stem), numpy.load(path) as data:
                t = {k: torch.from_numpy(data[k]) for k in data if data[k].dtype.kind in "fib" and data[k].shape}
                inputs = {n: t[n].clone().requires_grad_() for n in self.INPUTS if n in t}
                inputs["means2D"] = torch.zeros_like(inputs["means3D"], requires_grad=True)
                setting = common.GaussianRasterizationSettings(
                    int(data["height"]), int(data["width"]), float(data["tanfovx"]), float(data["tanfovy"]), t["bg"],
                    float(data["scale_modifier"]), t["viewmatrix"], t["projmatrix"], int(data["sh_degree"]),
                    t["campos"], False, False, bool(data["antialiasing"]))
                color, radii, invdepth = render(inputs, setting)
                self.assertLess((color - t["color"]).abs().max(), 2e-3)
                self.assertLess((invdepth - t["invdepth"]).abs().max(), 2e-3)
                self.assertLessEqual((radii != t["radii"]).float().mean(), 0.01)
                loss = (color * t["grad_color"]).sum() + (invdepth * t["grad_invdepth"]).sum()
                names = list(inputs)
                for name, got in zip(names, torch.autograd.grad(loss, [inputs[n] for n in names])):
                    expected = t["d_" + name].reshape(got.shape)
                    self.assertLess(((got - expected).norm() / expected.norm()).item(), 2e-3, name)


if __name__ == "__main__":
    unittest.main()
