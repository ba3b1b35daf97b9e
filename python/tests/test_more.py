"""What the forks added (pose gradients with five outputs, the optimizer of visible Gaussians), and how calls are written."""

import ctypes as c
import unittest

import common
import torch
from common import GaussianRasterizer, HEIGHT, WIDTH, projection, settings, splats, weights

import diff_gaussian_rasterization as dgr
from diff_gaussian_rasterization import SparseGaussianAdam, _abi, _memory
from diff_gaussian_rasterization._layout import Layout


def motion(rho, theta):
    """[4,4] exp of the twist (rho, theta), in f64."""
    x, y, z = theta
    twist = torch.zeros(4, 4, dtype=torch.float64)
    twist[:3, :3] = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
    twist[:3, 3] = torch.tensor(rho, dtype=torch.float64)
    return torch.matrix_exp(twist)


class Pose(unittest.TestCase):
    """Called as MonoGS calls it: projmatrix_raw in the settings, theta and rho in the call, five outputs unpacked."""

    def smooth(self):
        return {n: t.detach() for n, t in common.smooth().items()}

    START = motion((0.1, -0.2, 0.3), (0.2, -0.1, 0.3))

    def call(self, inputs, moved, **more):
        view = (moved @ self.START).float()
        full = (projection().T @ view).T.contiguous()
        setting = settings(degree=3, viewmatrix=view.T.contiguous(), projmatrix=full, projmatrix_raw=projection(),
                           campos=torch.linalg.inv(view)[:3, 3])
        return GaussianRasterizer(raster_settings=setting)(**dict(inputs, **more))

    def test_gradients_of_theta_and_rho_are_the_slopes_along_the_twist(self):
        inputs = self.smooth()
        theta, rho = (torch.zeros(3, requires_grad=True) for _ in range(2))
        color, radii, depth, opacity, touched = self.call(inputs, torch.eye(4, dtype=torch.float64), theta=theta,
                                                          rho=rho)
        self.assertEqual([tuple(t.shape) for t in (color, radii, depth, opacity, touched)],
                         [(3, HEIGHT, WIDTH), (8,), (1, HEIGHT, WIDTH), (1, HEIGHT, WIDTH), (8,)])

        def loss(images):
            return sum((o.double() * weights(*o.shape, seed=i)).sum() for i, o in enumerate(images))

        loss((color, depth, opacity)).backward()
        step = 2e-3
        for kind, tensor in enumerate((rho, theta)):
            for axis in range(3):
                along = [(0.0, 0.0, 0.0), (0.0, 0.0, 0.0)]
                slopes = []
                for sign in (1, -1):
                    twist = [0.0, 0.0, 0.0]
                    twist[axis] = sign * step
                    along[kind] = tuple(twist)
                    with torch.no_grad():
                        out = self.call(inputs, motion(*along), theta=theta, rho=rho)
                        slopes.append(loss((out[0], out[2], out[3])).item())
                slope = (slopes[0] - slopes[1]) / (2 * step)
                size = tensor.grad.norm().item()
                self.assertGreater(size, 0.0)
                self.assertLess(abs(slope - tensor.grad[axis].item()) / size, 0.02, (kind, axis))

    def test_values_are_never_read_and_shapes_are_kept(self):
        inputs = self.smooth()
        grads = []
        for value in (0.0, float("nan")):
            theta, rho = (torch.full((1, 3), value, requires_grad=True) for _ in range(2))
            self.call(inputs, torch.eye(4, dtype=torch.float64), theta=theta, rho=rho)[0].sum().backward()
            self.assertEqual(theta.grad.shape, (1, 3))
            grads.append((theta.grad, rho.grad))
        for a, b in zip(*grads):
            self.assertTrue(torch.equal(a, b))
        with self.assertRaisesRegex(ValueError, "`rho`.*3 numbers\\nhint: "):
            self.call(inputs, torch.eye(4, dtype=torch.float64), rho=torch.zeros(4, requires_grad=True))

    def test_touched_counts_pixels_of_weight_and_is_zero_for_what_is_not_seen(self):
        inputs = splats()
        rasterizer = GaussianRasterizer(settings(degree=3))
        rasterizer.outputs = 5
        color, radii, _depth, alpha, touched = rasterizer(**inputs)
        self.assertEqual((touched.dtype, touched.requires_grad), (torch.int32, False))
        self.assertTrue(bool((touched[radii == 0] == 0).all()))
        # The weights of all Gaussians in a pixel add up to its alpha.
        total = alpha.sum().item()
        self.assertTrue(total <= touched.sum().item() <= total + 40)
        hidden = {n: t.detach().clone() for n, t in inputs.items()}
        hidden["means3D"][:2] = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 3.0]])
        hidden["scales"][0], hidden["scales"][1], hidden["opacities"][:1] = 2.0, 0.01, 1.0
        with torch.no_grad():
            out = rasterizer(**hidden)
            few = [rasterizer(**{n: t[:k] for n, t in hidden.items()})[4] for k in (1, 0)]
        self.assertGreater(int(out[1][1]), 0)
        self.assertLess(int(out[4][1]), 2, "what lies behind an opaque Gaussian")
        self.assertEqual([t.numel() for t in few], [1, 0])


class Written(unittest.TestCase):
    """_layout and _memory: structs written in one go, memory handed out in parts."""

    PARTS = dict(args=_abi.BackwardArgs, context=_abi.Context, cameras=_abi.Camera, gaussians=_abi.Gaussians,
                 channels=_abi.Channel * 3, saved=_abi.Saved)

    def test_structs_written_at_once_are_the_structs_set_member_by_member(self):
        layout = Layout(**self.PARTS)
        values, expected = layout.values(), {name: kind() for name, kind in self.PARTS.items()}
        expected["channels"] = self.PARTS["channels"](*[_abi.Channel() for _ in range(3)])
        for number, (path, place) in enumerate(layout.at.items()):
            part, *inner, target = path.split(".")
            owner = expected[part]
            for name in inner:
                owner = owner[int(name)] if name.isdigit() else getattr(owner, name)
            if target == "struct_size":
                continue
            values[place] = value = number + 1
            if target.isdigit():
                owner[int(target)] = value
            elif target == "alloc":
                owner.alloc = _abi.Alloc(value)
            else:
                field = getattr(type(owner), target)
                pointer = issubclass(dict(owner._fields_)[target], c._Pointer)
                if pointer:
                    c.memmove(c.addressof(owner) + field.offset, c.byref(c.c_uint64(value)), 8)
                else:
                    setattr(owner, target, value)
        buffer = layout.write(values)
        for name in self.PARTS:
            start = layout.start[name]
            found, wanted = bytes(buffer)[start:start + c.sizeof(expected[name])], bytearray(bytes(expected[name]))
            if name == "args":  # points at the other parts
                args = _abi.BackwardArgs.from_buffer(buffer)
                self.assertEqual(c.addressof(args.channels.contents), c.addressof(buffer) + layout.start["channels"])
                for other in self.PARTS:
                    if other != "args":
                        at = getattr(_abi.BackwardArgs, other).offset
                        wanted[at:at + 8] = found[at:at + 8]
                self.assertEqual(args.camera_count, layout.at["args.camera_count"] + 1)
            self.assertEqual(found, bytes(wanted), name)

    def test_memory_is_aligned_apart_and_one_block_where_the_guess_was_right(self):
        for guess, blocks in (((4096, 2048), 1), ((0, 0), 3)):
            arena = _memory.Arena(torch.device("cpu"), guess)
            ranges = [(arena.take(1, size), size) for size in (100, 0, 700)]
            self.assertEqual(len(arena.blocks[1]), blocks)
            for at, size in ranges:
                self.assertEqual(at % _memory.ALIGN, 0)
                self.assertTrue(any(b.data_ptr() <= at and at + max(size, 1) <= b.data_ptr() + b.numel()
                                    for b in arena.blocks[1]))
            ends = sorted((at, at + max(size, 1)) for at, size in ranges)
            self.assertTrue(all(a[1] <= b[0] for a, b in zip(ends, ends[1:])))
            self.assertEqual(arena.used, [0, 256 + 256 + 768])

    def test_only_so_many_kinds_of_scenes_are_remembered(self):
        class Engine:
            kinds = {}

        for key in range(100):
            _memory.kind_of(Engine, key)
        self.assertEqual(list(Engine.kinds), list(range(100 - _memory._KINDS, 100)))
        self.assertIs(_memory.kind_of(Engine, 99), _memory.kind_of(Engine, 99))


class Adam(unittest.TestCase):
    """As the original trainer uses it: one tensor per group, rates that change, `step(radii > 0, P)`."""

    def test_steps_are_adam_s_without_correction_and_only_of_what_was_seen(self):
        p = 50
        names = ("xyz", "f_dc", "f_rest", "opacity", "scaling", "rotation")
        shapes = ((p, 3), (p, 1, 3), (p, 15, 3), (p, 1), (p, 3), (p, 4))
        params = [torch.nn.Parameter(weights(*s, seed=i)) for i, s in enumerate(shapes)]
        rates = [0.1 / (i + 1) for i in range(6)]
        optimizer = SparseGaussianAdam([{"params": [t], "lr": r, "name": n} for t, r, n in zip(params, rates, names)],
                                       lr=0.0, eps=1e-15)
        expected = [t.detach().double().clone() for t in params]
        m, v = ([torch.zeros_like(t) for t in expected] for _ in range(2))
        for step in range(4):
            visible = weights(p, seed=50 + step) > 0
            for i, t in enumerate(params):
                t.grad = weights(*t.shape, seed=100 * step + i)
                g = t.grad.double()[visible]
                m[i][visible] = 0.9 * m[i][visible] + 0.1 * g
                v[i][visible] = 0.999 * v[i][visible] + 0.001 * g * g
                expected[i][visible] -= rates[i] * m[i][visible] / (v[i][visible].sqrt() + 1e-15)
            optimizer.step(visible, p)
            optimizer.zero_grad(set_to_none=True)
        for t, e, name in zip(params, expected, names):
            self.assertLess((t.detach() - e).abs().max().item(), 1e-4 * e.abs().max().item(), name)
        state = optimizer.state[params[0]]
        self.assertEqual(sorted(state), ["exp_avg", "exp_avg_sq", "step"])

    def test_a_parameter_whose_rows_are_apart_and_one_without_gradient(self):
        wide = torch.nn.Parameter(weights(10, 6)[:, ::2])
        dense = torch.nn.Parameter(wide.detach().contiguous())
        idle = torch.nn.Parameter(torch.ones(10, 1))
        for t in (wide, dense):
            t.grad = weights(10, 3, seed=1)
            SparseGaussianAdam([{"params": [t], "lr": 0.1}, {"params": [idle], "lr": 0.1}]).step(torch.ones(10), 10)
        self.assertTrue(torch.equal(wide.detach(), dense.detach()))
        self.assertFalse(torch.equal(wide.detach(), weights(10, 6)[:, ::2]))
        self.assertTrue(torch.equal(idle.detach(), torch.ones(10, 1)))

    def test_a_wrong_count_is_refused_and_an_old_graph_says_that_its_input_changed(self):
        t = torch.nn.Parameter(torch.ones(5, 2))
        optimizer = SparseGaussianAdam([{"params": [t], "lr": 0.1}])
        loss = t.square().sum()
        loss.backward(retain_graph=True)
        with self.assertRaisesRegex(ValueError, "N is 4.*\\nhint: "):
            optimizer.step(torch.ones(4), 4)
        optimizer.step(torch.ones(5), 5)
        if hasattr(torch.autograd.graph, "increment_version"):
            with self.assertRaisesRegex(RuntimeError, "inplace"):
                loss.backward()

    def test_its_presence_means_that_split_sh_work(self):
        self.assertIn("SparseGaussianAdam", dgr.__all__)
        inputs = {n: t.detach() for n, t in splats().items()}
        rasterizer = GaussianRasterizer(settings(degree=3))
        sh = inputs.pop("shs")
        split = rasterizer(dc=sh[:, :1], shs=sh[:, 1:], **inputs)[0]
        self.assertTrue(torch.equal(split, rasterizer(shs=sh, **inputs)[0]))


if __name__ == "__main__":
    unittest.main()
