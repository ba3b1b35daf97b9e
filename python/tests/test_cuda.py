"""The module on CUDA tensors against the CPU engine, and what only a GPU has: streams, devices, waiting, graphs."""

import os
import unittest
import warnings
from unittest import mock

import common
import torch
from common import GaussianRasterizer, gradients, render, settings, splats

from diff_gaussian_rasterization import EngineError, SparseGaussianAdam, _engine, _forks, _memory
from fused_ssim import fused_ssim
from simple_knn._C import distCUDA2


def usable():
    """Whether there is a GPU with an engine; says why not."""
    if not torch.cuda.is_available():
        return False, "no CUDA device"
    try:
        _engine.engine("cuda").require_device(0)
        return True, ""
    except EngineError as e:
        return False, str(e)


GPU, REASON = usable()


def there(values, device="cuda"):
    return {n: t.detach().to(device).requires_grad_(t.requires_grad) for n, t in values.items()}


def close(a, b):
    return ((a.cpu() - b).norm() / b.norm().clamp_min(1e-12)).item()


def leaf(device, *shape, seed=None):
    """Zeros, or random numbers, that want a gradient."""
    values = torch.zeros(shape) if seed is None else common.weights(*shape, seed=seed)
    return values.to(device).requires_grad_()


def contracts(device):
    """For each fork that is served, the settings and the keywords by which its callers are known, for 300 Gaussians."""
    marks = (torch.arange(1200, device=device) % 40 < 20).int()
    return {
        "feature-3dgs": ({}, dict(semantic_feature=leaf(device, 300, 1, 70, seed=3))),
        "gaussian-grouping": ({}, dict(sh_objs=leaf(device, 300, 1, 16, seed=3))),
        "LangSplat": (dict(include_feature=True), dict(language_feature_precomp=leaf(device, 300, 3, seed=3))),
        "FastGS": (dict(mult=0.5, get_flag=True, metric_map=marks), {}),
        "Deformable-3DGS": ({}, dict(means2D_densify=leaf(device, 300, 3))),
        "MonoGS, w-pose": (dict(projmatrix_raw=torch.eye(4)), dict(theta=leaf(device, 3), rho=leaf(device, 3))),
        "mip-splatting": (dict(kernel_size=0.1, subpixel_offset=torch.zeros(30, 40, 2)), {}),
        "graphdeco dr_aa": (dict(antialiasing=True), {}),
        "graphdeco 2023, SplaTAM, ashawkey": ({}, {}),
    }


def variants(device):
    """What callers of several forks do: colours of five channels, and the absolute gradients of AbsGS and mip-splatting."""
    wide = dict(colors_precomp=leaf(device, 300, 5, seed=3), shs=None)
    return {
        "wide": (dict(bg=(0.3,) * 5), wide),
        "AbsGS": ({}, dict(means2D=leaf(device, 300, 4))),
        "mip-splatting's third column": (dict(kernel_size=0.1), dict(means2D=leaf(device, 300, 3))),
    }


@unittest.skipUnless(GPU, REASON)
class Cuda(unittest.TestCase):
    def setUp(self):
        self.inputs = splats(count=300)
        self.gpu = there(self.inputs)

    def gradients(self, inputs, out):
        images = [o for o in out if o.is_floating_point()]
        loss = sum((o * common.weights(*o.shape, seed=i).to(o.device)).sum() for i, o in enumerate(images))
        return dict(zip(inputs, torch.autograd.grad(loss, list(inputs.values()))))

    def test_images_and_gradients_are_those_of_the_cpu_engine(self):
        for count in (2, 3, 4):
            rasterizer = GaussianRasterizer(settings(degree=3, antialiasing=count == 3))
            rasterizer.outputs = count
            ours, theirs = rasterizer(**self.gpu), rasterizer(**self.inputs)
            for a, b in zip(ours, theirs):
                self.assertEqual(a.device.type, "cuda")
                self.assertLess(close(a.float(), b.float()), 1e-4)
            expected = gradients(self.inputs, theirs)
            for name, got in self.gradients(self.gpu, ours).items():
                self.assertLess(close(got, expected[name]), 1e-3, name)

    def test_pose_gradients_touched_and_split_harmonics(self):
        out = []
        for inputs in (self.inputs, self.gpu):
            device = inputs["means3D"].device
            theta, rho = (torch.zeros(3, device=device, requires_grad=True) for _ in range(2))
            rest = {n: t for n, t in inputs.items() if n != "shs"}
            color, _, _, _, touched = GaussianRasterizer(settings(degree=3))(
                dc=inputs["shs"][:, :1], shs=inputs["shs"][:, 1:], theta=theta, rho=rho, **rest)
            color.sum().backward()
            out.append((theta.grad, rho.grad, touched.float()))
        for a, b in zip(out[1], out[0]):
            self.assertLess(close(a, b), 1e-2)

    def test_every_fork_s_outputs_and_gradients_are_those_of_the_cpu_engine(self):
        self.assertEqual(set(contracts("cpu")), {fork.name for fork in _forks.SERVED})
        for fork in _forks.SERVED:
            for count, names in fork.outputs.items():
                with self.subTest(fork=fork.name, outputs=names):
                    self.compare(contracts, fork.name, count)

    def test_wide_colours_and_absolute_gradients_are_those_of_the_cpu_engine(self):
        for name in variants("cpu"):
            with self.subTest(name):
                self.compare(variants, name, 2)

    def compare(self, table, name, count):
        """Fails unless both engines give the `count` outputs of a caller and the same gradients of them."""
        results = []
        for device in ("cpu", "cuda"):
            fields, more = table(device)[name]
            values = dict(there(self.inputs, device), **more)
            leaves = {n: t for n, t in values.items() if t is not None and t.requires_grad}
            rasterizer = GaussianRasterizer(settings(degree=3, **fields))
            rasterizer.outputs = count
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                out = tuple(rasterizer(**values))
            self.assertEqual((len(out), out[0].device.type), (count, device))
            loss = sum((o * common.weights(*o.shape, seed=i).to(device)).sum()
                       for i, o in enumerate(out) if o.is_floating_point())
            slopes = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
            results.append((out, dict(zip(leaves, slopes))))
        (expected, slopes), (got, found) = results
        for a, b in zip(got, expected):
            # Radii and counts are whole numbers: one of a few may be rounded the other way.
            self.assertLess(close(a.float(), b.detach().float()), 1e-4 if a.is_floating_point() else 2e-2)
        self.assertTrue(any(slope is not None and slope.any() for slope in slopes.values()))
        for leaf, slope in slopes.items():
            self.assertEqual(slope is None, found[leaf] is None, leaf)
            if slope is not None:
                # The few numbers of a pose are sums over all Gaussians.
                self.assertLess(close(found[leaf], slope), 1e-2 if leaf in ("theta", "rho") else 2e-3, leaf)

    def test_visible_filter_is_that_of_the_cpu_engine(self):
        filtered = [GaussianRasterizer(settings(degree=3)).visible_filter(
            v["means3D"], v["scales"], v["rotations"]) for v in (self.gpu, self.inputs)]
        self.assertTrue(torch.equal(filtered[0].cpu(), filtered[1]))

    def test_a_render_that_needs_more_than_any_before_is_whole_when_it_may_wait(self):
        many = splats(count=5000)
        small = there(many)
        with torch.no_grad(), mock.patch.dict(_engine.engine("cuda").kinds, clear=True):
            small["scales"] *= 0.01
            for _ in range(3):
                render(small)  # the workspace learns that scenes of this size need little
            self.assertLess(close(render(there(many))[0], render(many)[0].detach()), 1e-4)

    def test_a_render_that_may_not_wait_says_what_it_lacked_and_the_next_one_is_whole(self):
        with mock.patch.dict(os.environ, DGR_WAIT="0"), mock.patch.dict(_engine.engine("cuda").kinds, clear=True):
            many = there(splats(count=5000))
            small = {n: t.detach().clone() for n, t in many.items()}
            small["scales"] *= 0.01
            with torch.no_grad(), warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                for _ in range(3):
                    render(small)
                    torch.cuda.synchronize()
                render(many)
                torch.cuda.synchronize()
                whole = render(many)[0]
                self.assertEqual([w.category for w in caught], [RuntimeWarning])
            expected = render({n: t.cpu() for n, t in many.items()})[0].detach()
            self.assertLess(close(whole, expected), 1e-4)

    def test_streams_render_at_the_same_time(self):
        scenes = [there(splats(count=200 + 100 * n, seed=n)) for n in range(4)]
        expected = [self.gradients(s, render(s)) for s in scenes]
        streams = [torch.cuda.Stream() for _ in scenes]
        for stream in streams:
            stream.wait_stream(torch.cuda.current_stream())
        for _ in range(5):
            got = []
            for scene, stream in zip(scenes, streams):
                with torch.cuda.stream(stream):
                    got.append(self.gradients(scene, render(scene)))
        torch.cuda.synchronize()
        for a, b in zip(got, expected):
            for name in a:
                self.assertLess(close(a[name], b[name].cpu()), 1e-3, name)

    def test_every_device_renders_where_its_tensors_are(self):
        if torch.cuda.device_count() < 2:
            self.skipTest("one CUDA device")
        here = render(self.gpu)[0]
        other = there(self.inputs, "cuda:1")
        image = render(other)[0]
        self.assertEqual((image.device.index, torch.cuda.current_device()), (1, 0))
        self.assertLess(close(image.cpu(), here.detach().cpu()), 1e-6)
        for name, got in self.gradients(other, [image]).items():
            self.assertEqual(got.device.index, 1, name)

    def test_cameras_and_background_of_the_cpu_are_brought_along(self):
        s = settings(degree=3)
        moved = s._replace(viewmatrix=s.viewmatrix.cuda(), projmatrix=s.projmatrix.cuda(), campos=s.campos.cuda(),
                           bg=s.bg.cuda())
        self.assertTrue(torch.equal(render(self.gpu, s)[0], render(self.gpu, moved)[0]))

    def test_a_graph_captures_a_render_that_may_not_wait(self):
        with mock.patch.dict(os.environ, DGR_WAIT="0"), torch.no_grad():
            s = settings(degree=3)
            s = s._replace(viewmatrix=s.viewmatrix.cuda(), projmatrix=s.projmatrix.cuda(), campos=s.campos.cuda(),
                           bg=s.bg.cuda())
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(3):
                    expected = render(self.gpu, s)[0].clone()
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=stream):
                image = render(self.gpu, s)[0]
            image.fill_(float("nan"))
            graph.replay()
            torch.cuda.synchronize()
            self.assertTrue(torch.equal(image, expected))

    def test_half_precision_and_autocast_are_computed_in_f32(self):
        with torch.autocast("cuda", dtype=torch.float16):
            image = render(self.gpu)[0]
        self.assertEqual(image.dtype, torch.float32)
        self.assertTrue(torch.equal(image, render(self.gpu)[0]))

    def test_no_splats_and_marks(self):
        none = there(splats(count=0))
        image, radii = render(none)
        self.assertEqual((tuple(radii.shape), image.device.type), ((0,), "cuda"))
        self.assertEqual(self.gradients(none, [image])["shs"].shape, none["shs"].shape)
        rasterizer = GaussianRasterizer(settings())
        self.assertTrue(torch.equal(rasterizer.markVisible(self.gpu["means3D"]).cpu(),
                                    rasterizer.markVisible(self.inputs["means3D"])))

    def test_the_graph_gives_its_memory_back(self):
        def held():
            torch.cuda.synchronize()
            return torch.cuda.memory_allocated()

        for _ in range(2):
            render(self.gpu)
        before = held()
        out = render(self.gpu)
        self.assertGreater(held(), before)
        del out
        self.assertEqual(held(), before)
        self.assertEqual(_memory.arenas, {})

    def test_the_extension_s_functions(self):
        from diff_gaussian_rasterization import _C
        s, e = settings(degree=3), torch.empty(0, device="cuda")
        i = {n: t.detach() for n, t in self.gpu.items()}
        rendered, color, radii, geom, binning, image = _C.rasterize_gaussians(
            s.bg, i["means3D"], e, i["opacities"], i["scales"], i["rotations"], 1.0, e, s.viewmatrix, s.projmatrix,
            s.tanfovx, s.tanfovy, s.image_height, s.image_width, i["shs"], 3, s.campos, False, False)
        self.assertGreater(rendered, 0)
        upstream = common.weights(*color.shape, seed=0).cuda()
        got = _C.rasterize_gaussians_backward(
            s.bg, i["means3D"], radii, e, i["scales"], i["rotations"], 1.0, e, s.viewmatrix, s.projmatrix, s.tanfovx,
            s.tanfovy, upstream, i["shs"], 3, s.campos, geom, rendered, binning, image, False)
        expected = self.gradients(self.gpu, render(self.gpu)[:1])
        self.assertLess(close(got[3], expected["means3D"].cpu()), 1e-3)
        self.assertLess(close(got[5], expected["shs"].cpu()), 1e-3)


@unittest.skipUnless(GPU, REASON)
class Companions(unittest.TestCase):
    def test_ssim(self):
        a = torch.rand(2, 3, 40, 50, generator=torch.Generator().manual_seed(0)).requires_grad_()
        b = torch.rand(2, 3, 40, 50, generator=torch.Generator().manual_seed(1))
        for padding in ("same", "valid"):
            there_a = a.detach().cuda().requires_grad_()
            here, gpu = fused_ssim(a, b, padding), fused_ssim(there_a, b.cuda(), padding)
            self.assertLess(abs(here.item() - gpu.item()), 1e-5)
            expected, = torch.autograd.grad(here, a)
            self.assertLess(close(torch.autograd.grad(gpu, there_a)[0], expected), 1e-4)

    def test_neighbours(self):
        points = torch.randn(5000, 3, generator=torch.Generator().manual_seed(0))
        self.assertLess(close(distCUDA2(points.cuda()), distCUDA2(points)), 1e-6)

    def test_the_optimizer(self):
        values = []
        for device in ("cpu", "cuda"):
            t = torch.nn.Parameter(common.weights(50, 4).to(device))
            optimizer = SparseGaussianAdam([{"params": [t], "lr": 0.1}])
            for step in range(3):
                t.grad = common.weights(50, 4, seed=step).to(device)
                optimizer.step(common.weights(50, seed=9).to(device) > 0, 50)
            values.append(t.detach())
        self.assertLess(close(values[1], values[0]), 1e-5)


if __name__ == "__main__":
    unittest.main()
