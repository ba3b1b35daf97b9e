"""Odd but legal inputs: counts of outputs, no Gaussians, strides, types, no gradients, hooks, threads."""

import copy
import os
import pickle
import threading
import unittest
from unittest import mock

import common
import torch
from common import GaussianRasterizer, gradients, render, settings, splats

from diff_gaussian_rasterization import _call


class Outputs(unittest.TestCase):
    def count(self, setting=None, **more):
        return len(render(splats(), setting, **more))

    def test_default_is_three_if_antialiasing_was_passed(self):
        with mock.patch.dict(os.environ):
            os.environ.pop("DGR_OUTPUTS", None)
            self.assertEqual(self.count(settings()), 2)
            self.assertEqual(self.count(settings(antialiasing=False)), 3)
            self.assertEqual(self.count(settings(antialiasing=True)), 3)

    def test_not_passing_survives_replace_copy_and_pickle(self):
        s = settings()
        self.assertEqual((len(s), s.antialiasing, s.debug), (20, False, False))
        for other in (s._replace(bg=torch.ones(3)), copy.deepcopy(s), pickle.loads(pickle.dumps(s))):
            self.assertEqual(self.count(other), 2)
        self.assertEqual(self.count(s._replace(antialiasing=False)), 3)

    def test_the_environment_and_the_attribute_choose(self):
        with mock.patch.dict(os.environ, DGR_OUTPUTS="4"):
            self.assertEqual(self.count(), 4)
            rasterizer = GaussianRasterizer(settings())
            rasterizer.outputs = 2
            self.assertEqual(len(rasterizer(**splats())), 2)
        with mock.patch.dict(os.environ, DGR_OUTPUTS="color, depth, alpha, radii"):
            color, depth, _alpha, radii = render(splats())
            self.assertEqual((color.shape[0], depth.shape[0], radii.dtype), (3, 1, torch.int32))
        for wrong in ("6", "color,flow", ","):
            with mock.patch.dict(os.environ, DGR_OUTPUTS=wrong), self.assertRaisesRegex(ValueError, "DGR_OUTPUTS"):
                render(splats())


class Inputs(unittest.TestCase):
    def setUp(self):
        self.inputs = splats()
        self.out = render(self.inputs)
        self.grads = gradients(self.inputs, self.out)

    def same(self, out, tensors=None):
        for a, b in zip(out, self.out):
            self.assertTrue(torch.equal(a, b))
        if tensors:
            for name, got in gradients(tensors, out).items():
                self.assertTrue(torch.equal(got, self.grads[name]), name)

    def test_strides_of_any_kind(self):
        odd = {}
        for name, t in self.inputs.items():
            wide = torch.full((t.shape[0], *t.shape[1:-1], 2 * t.shape[-1]), float("nan"))
            wide[..., ::2] = t.detach()
            odd[name] = wide[..., ::2].requires_grad_()
            self.assertFalse(odd[name].is_contiguous())
        self.same(render(odd), odd)

    def test_expanded_opacities(self):
        one = torch.tensor([[0.5]]).requires_grad_()
        image = render(self.inputs, opacities=one.expand(40, 1))[0]
        self.assertTrue(torch.equal(image, render(self.inputs, opacities=torch.full((40,), 0.5))[0]))
        image.sum().backward()
        self.assertEqual(one.grad.shape, (1, 1))

    def test_cameras_in_other_types_shapes_and_strides(self):
        s = settings(degree=3)
        odd = s._replace(viewmatrix=s.viewmatrix.double()[None], projmatrix=s.projmatrix.contiguous().T.contiguous().T,
                         campos=torch.zeros(1, 3, requires_grad=True), bg=torch.stack([s.bg] * 2, 1)[:, 0],
                         tanfovx=torch.tensor(s.tanfovx), image_width=torch.tensor(s.image_width))
        self.same(render(self.inputs, odd), self.inputs)

    def test_other_floating_types_get_gradients_of_their_type(self):
        double = {n: t.detach().double().requires_grad_() for n, t in self.inputs.items()}
        out = render(double)
        self.assertEqual(out[0].dtype, torch.float32)
        for name, got in gradients(double, out).items():
            self.assertEqual(got.dtype, torch.float64)
            self.assertTrue(torch.equal(got.float(), self.grads[name]), name)

    def test_values_of_means2d_are_never_read(self):
        self.same(render(self.inputs, means2D=torch.full((40, 3), float("nan"), requires_grad=True)))
        self.same(render(self.inputs, means2D=None))
        self.same(render(self.inputs, means2D=torch.zeros(7)))

    def test_no_gradients_wanted(self):
        with torch.no_grad():
            self.same(render(self.inputs))
            self.assertIsNone(render(self.inputs)[0].grad_fn)
        with torch.inference_mode():
            self.same(render(self.inputs))

    def test_no_splats_give_the_background_and_empty_gradients(self):
        none = splats(count=0)
        image, radii = render(none)
        self.assertTrue(torch.equal(image, torch.tensor([0.1, 0.2, 0.3])[:, None, None].expand_as(image)))
        self.assertEqual(tuple(radii.shape), (0,))
        for name, got in gradients(none, [image]).items():
            self.assertEqual(got.shape, none[name].shape)
        self.assertEqual(tuple(GaussianRasterizer(settings()).markVisible(torch.empty(0, 3)).shape), (0,))

    def test_nothing_visible_gives_zero_gradients(self):
        behind = dict(self.inputs, means3D=(self.inputs["means3D"].detach() * torch.tensor([1.0, 1.0, -1.0])
                                            ).requires_grad_())
        out = render(behind)
        self.assertEqual(int(out[1].max()), 0)
        self.assertEqual(max(float(g.abs().max()) for g in gradients(behind, out).values()), 0.0)

    def test_a_splat_that_is_not_finite_harms_no_other(self):
        inputs = splats()
        keep = torch.arange(40) != 7
        with torch.no_grad():
            inputs["scales"][7] = float("nan")
        out = render(inputs)
        without = render({n: t.detach()[keep] for n, t in inputs.items()})
        self.assertTrue(torch.equal(out[0], without[0]))
        for name, got in gradients(inputs, out).items():
            self.assertEqual(float(got[7].abs().max()), 0.0, name)

    def test_frozen_inputs_get_no_gradient_and_change_none(self):
        frozen = dict(self.inputs, shs=self.inputs["shs"].detach(), scales=self.inputs["scales"].detach())
        self.same(render(frozen), {n: t for n, t in frozen.items() if t.requires_grad})


class Graph(unittest.TestCase):
    def test_backward_may_run_twice_with_retain_graph_and_frees_otherwise(self):
        inputs = splats()
        out = render(inputs)
        first = gradients(inputs, out, dict(retain_graph=True))
        second = gradients(inputs, out)
        for name in first:
            self.assertTrue(torch.equal(first[name], second[name]), name)
        with self.assertRaisesRegex(RuntimeError, "second time"):
            gradients(inputs, out)

    def test_second_derivatives_are_refused(self):
        inputs = splats()
        got = torch.autograd.grad(render(inputs)[0].square().sum(), inputs["means3D"], create_graph=True)
        with self.assertRaisesRegex(RuntimeError, "once_differentiable"):
            got[0].sum().backward()

    def test_an_input_changed_in_place_is_reported(self):
        inputs = splats()
        out = render(inputs)
        with torch.no_grad():
            inputs["scales"].mul_(2.0)
        with self.assertRaisesRegex(RuntimeError, "inplace"):
            gradients(inputs, out)

    def test_hooks_may_move_what_is_saved(self):
        inputs = splats()
        expected = gradients(inputs, render(inputs))

        def move(t):
            # Somewhere else, and not where engines want their memory.
            room = torch.empty(t.numel() * t.element_size() + 8, dtype=torch.uint8)[4:-4]
            return t.dtype, t.shape, room.copy_(t.detach().contiguous().view(-1).view(torch.uint8))

        with torch.autograd.graph.saved_tensors_hooks(move, lambda m: m[2].view(torch.uint8).clone().view(m[0]).view(
                m[1]) if m[0] != torch.uint8 else m[2].view(m[1])):
            out = render(inputs)
        for name, got in gradients(inputs, out).items():
            self.assertTrue(torch.equal(got, expected[name]), name)

    def test_backward_reads_the_inputs_that_hooks_kept_while_the_blocks_stay(self):
        inputs = splats()
        expected = gradients(inputs, render(inputs))
        with torch.autograd.graph.saved_tensors_hooks(lambda t: t if t.dtype == torch.uint8 else t.detach().clone(),
                                                      lambda t: t):
            out = render(inputs)
        with torch.no_grad():
            for tensor in inputs.values():
                tensor.zero_()  # the copies are what forward saw
        for name, got in gradients(inputs, out).items():
            self.assertTrue(torch.equal(got, expected[name]), name)

    def test_moved_memory_is_aligned_again_for_the_engine(self):
        block = torch.arange(600, dtype=torch.int16).view(torch.uint8)[6:1006]
        again = _call._aligned(block)
        self.assertEqual(again.data_ptr() % 256, 0)
        self.assertTrue(torch.equal(again, block))
        self.assertIs(_call._aligned(again), again)

    def test_checkpointing(self):
        from torch.utils.checkpoint import checkpoint
        inputs = splats()
        expected = gradients(inputs, render(inputs))
        names = list(inputs)
        out = checkpoint(lambda *t: render(dict(zip(names, t))), *inputs.values(), use_reentrant=False)
        for name, got in gradients(inputs, out).items():
            self.assertTrue(torch.equal(got, expected[name]), name)

    def test_threads_do_not_mix_their_memory(self):
        scenes = [splats(count=30 + 10 * n, seed=n) for n in range(4)]
        expected = [gradients(s, render(s)) for s in scenes]
        wrong = []

        def work(n):
            for _ in range(5):
                got = gradients(scenes[n], render(scenes[n]))
                wrong.extend(name for name in got if not torch.equal(got[name], expected[n][name]))

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    unittest.main()
