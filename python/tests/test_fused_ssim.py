"""fused_ssim against the formula in torch's convolutions (f64), its gradient against autograd through that, and odd calls."""

import unittest

import common  # noqa: F401  (finds the packages and torch, or skips)
import torch

from fused_ssim import fused_ssim


def formula(a, b, padding):
    """Mean SSIM of [N,C,H,W] in the inputs' precision."""
    offsets = torch.arange(11, dtype=a.dtype) - 5
    line = torch.exp(-offsets.square() / (2 * 1.5**2))
    line = line / line.sum()
    channels = a.shape[1]
    window = (line[:, None] * line[None]).expand(channels, 1, 11, 11)

    def mean(x):
        return torch.nn.functional.conv2d(x, window, padding=5 if padding == "same" else 0, groups=channels)

    ma, mb = mean(a), mean(b)
    va, vb, ab = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    c1, c2 = 0.01**2, 0.03**2
    return (((2 * ma * mb + c1) * (2 * ab + c2)) / ((ma * ma + mb * mb + c1) * (va + vb + c2))).mean()


def images(*shape, seed=0):
    g = torch.Generator().manual_seed(seed)
    a = torch.rand(*shape, generator=g)
    return a, (a + 0.2 * torch.randn(*shape, generator=g)).clamp(0, 1)


class FusedSsim(unittest.TestCase):
    def test_values_and_gradients_are_the_formula_s(self):
        for padding in ("same", "valid"):
            a, b = images(2, 3, 23, 31)
            a.requires_grad_()
            exact = a.detach().double().requires_grad_()
            expected = formula(exact, b.double(), padding)
            got = fused_ssim(a, b, padding)
            self.assertEqual((got.dim(), got.dtype), (0, torch.float32))
            self.assertLess(abs(got.item() - expected.item()), 1e-5)
            (3.0 * (1.0 - got)).backward()
            (3.0 * (1.0 - expected)).backward()
            self.assertLess(((a.grad - exact.grad).norm() / exact.grad.norm()).item(), 1e-4)

    def test_equal_images_have_one_and_only_the_first_gets_a_gradient(self):
        a, b = images(1, 3, 16, 16)
        b.requires_grad_()
        self.assertAlmostEqual(fused_ssim(a, a).item(), 1.0, places=5)
        self.assertFalse(fused_ssim(a, b).requires_grad)

    def test_train_false_and_no_grad_keep_no_graph(self):
        a, b = images(1, 3, 16, 16)
        a.requires_grad_()
        value = fused_ssim(a, b)
        self.assertIsNotNone(value.grad_fn)
        for other in (fused_ssim(a, b, train=False), torch.no_grad()(fused_ssim)(a, b)):
            self.assertIsNone(other.grad_fn)
            self.assertEqual(other.item(), value.item())

    def test_odd_inputs(self):
        a, b = images(2, 3, 20, 24)
        plain = fused_ssim(a, b)
        wide = a.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2).double().requires_grad_()
        got = fused_ssim(wide, b)
        self.assertEqual(got.item(), plain.item())
        got.backward()
        self.assertEqual((wide.grad.dtype, wide.grad.shape), (torch.float64, a.shape))
        one = fused_ssim(a[0], b[0])
        self.assertEqual(one.item(), fused_ssim(a[:1], b[:1]).item())

    def test_the_map_of_newer_callers_and_of_graphdeco_s_trainer(self):
        from diff_gaussian_rasterization import _C
        from fused_ssim import FusedSSIMMap, allowed_padding, fused_ssim3d
        c1, c2 = 0.01**2, 0.03**2
        for padding in allowed_padding:
            a, b = images(2, 3, 23, 31)
            leaf, other = a.clone().requires_grad_(), a.clone().requires_grad_()
            image = FusedSSIMMap.apply(c1, c2, leaf, b, padding)
            self.assertEqual(tuple(image.shape), (2, 3, 23, 31) if padding == "same" else (2, 3, 13, 21))
            mean = fused_ssim(other, b, padding)
            self.assertAlmostEqual(image.mean().item(), mean.item(), places=6)
            image.mean().backward()
            mean.backward()
            self.assertLess((leaf.grad - other.grad).abs().max().item(), 1e-7)

        class Trainer(torch.autograd.Function):  # as graphdeco's loss writes it
            @staticmethod
            def forward(ctx, img1, img2):
                ctx.save_for_backward(img1.detach(), img2)
                return _C.fusedssim(c1, c2, img1, img2)

            @staticmethod
            def backward(ctx, grad):
                return _C.fusedssim_backward(c1, c2, *ctx.saved_tensors, grad), None

        a, b = images(3, 20, 24)
        leaf, other = a.clone().requires_grad_(), a.clone().requires_grad_()
        Trainer.apply(leaf, b).mean().backward()
        fused_ssim(other, b).backward()
        self.assertLess((leaf.grad - other.grad).abs().max().item(), 1e-7)
        with self.assertRaisesRegex(ValueError, "C1 and C2 are 0.1 .*\nhint: "):
            _C.fusedssim(0.1, c2, a, b)
        with self.assertRaisesRegex(NotImplementedError, "volumes\nhint: "):
            fused_ssim3d(a, b)

    def test_errors_name_the_input(self):
        a, b = images(1, 3, 20, 24)
        for words, call in (("`img2` is", lambda: fused_ssim(a, b[..., :5])), ("`img1` is [20, 24]", lambda: fused_ssim(
                a[0, 0], b)), ("`padding`", lambda: fused_ssim(a, b, "full")), ("no pixel", lambda: fused_ssim(
                    a[..., :10], b[..., :10], "valid"))):
            with self.assertRaises(ValueError) as caught:
                call()
            self.assertIn(words, str(caught.exception))
            self.assertIn("\nhint: ", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
