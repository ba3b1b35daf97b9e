"""simple_knn against known lattices, a brute force in f64, and itself in other chunks."""

import unittest
from unittest import mock

import common  # noqa: F401  (finds the packages and torch, or skips)
import torch

from simple_knn import _C


class DistCuda2(unittest.TestCase):
    def test_a_lattice(self):
        n = torch.arange(4.0)
        points = torch.stack(torch.meshgrid(n, n, n, indexing="ij"), -1).reshape(-1, 3) * 2.0
        self.assertTrue(torch.equal(_C.distCUDA2(points), torch.full((64,), 4.0)))

    def test_brute_force_in_any_chunks(self):
        points = torch.randn(101, 3, generator=torch.Generator().manual_seed(0)) + 100.0
        p = points.double()
        squares = (p[:, None] - p[None]).square().sum(-1) + torch.diag(torch.full((101,), float("inf")).double())
        expected = squares.sort(dim=1).values[:, :3].mean(dim=1)
        for chunk in (1, 1000, 1 << 26):
            with mock.patch.object(_C, "_CHUNK", chunk):
                got = _C.distCUDA2(points)
            self.assertLess(((got - expected).abs() / expected).max(), 1e-5)

    def brute(self, points):
        p = points.double()
        squares = (p[:, None] - p[None]).square().sum(-1)
        squares.fill_diagonal_(float("inf"))
        return squares.topk(3, dim=1, largest=False).values.mean(dim=1)

    def test_the_tree_is_exact_for_clouds_of_any_shape(self):
        g = torch.Generator().manual_seed(1)
        cloud = torch.randn(1501, 3, generator=g)
        for name, points in dict(
                cloud=cloud, plane=cloud * torch.tensor([1.0, 1.0, 0.0]),
                clusters=torch.cat([cloud[:700] * 1e-3, cloud[700:] * 1e3]), copies=cloud[:150].repeat(9, 1),
                place=torch.ones(500, 3), line=torch.arange(777.0)[:, None] * torch.tensor([0.5, 0.0, 0.0])).items():
            for chunk in (5000, 1 << 24):
                with self.subTest(name, chunk=chunk), mock.patch.object(_C, "_CHUNK", chunk):
                    got, expected = _C.distCUDA2(points), self.brute(points)
                    self.assertLess(((got - expected).abs() / (expected + 1e-12)).max(), 1e-5)

    def test_points_that_are_not_finite_harm_no_other(self):
        points = torch.randn(200, 3, generator=torch.Generator().manual_seed(2))
        odd = torch.cat([points[:90], torch.tensor([[float("nan"), 0, 0], [0, float("inf"), 0]]), points[90:]])
        got = _C.distCUDA2(odd)
        self.assertTrue(torch.isinf(got[90:92]).all())
        self.assertTrue(torch.equal(torch.cat([got[:90], got[92:]]), _C.distCUDA2(points)))

    def test_memory_grows_with_the_points_and_not_with_their_square(self):
        points = torch.randn(20000, 3, generator=torch.Generator().manual_seed(3))
        largest = []
        real = torch.Tensor.topk

        def watched(tensor, *args, **kwargs):
            largest.append(tensor.numel())
            return real(tensor, *args, **kwargs)

        with mock.patch.object(torch.Tensor, "topk", watched), mock.patch.object(_C, "_CHUNK", 1 << 18):
            _C.distCUDA2(points)
        self.assertLess(max(largest), 1 << 19)

    def test_the_same_place_counts_and_oneself_does_not(self):
        points = torch.tensor([[0.0, 0, 0], [0, 0, 0], [3, 0, 0], [0, 4, 0]])
        self.assertAlmostEqual(_C.distCUDA2(points)[0].item(), (0 + 9 + 16) / 3, places=5)

    def test_few_points(self):
        self.assertEqual(_C.distCUDA2(torch.zeros(0, 3)).tolist(), [])
        self.assertEqual(_C.distCUDA2(torch.ones(1, 3)).tolist(), [0.0])
        self.assertEqual(_C.distCUDA2(torch.tensor([[0.0, 0, 0], [2, 0, 0]])).tolist(), [4.0, 4.0])
        with self.assertRaisesRegex(ValueError, "hint: "):
            _C.distCUDA2(torch.zeros(5, 2))


if __name__ == "__main__":
    unittest.main()
