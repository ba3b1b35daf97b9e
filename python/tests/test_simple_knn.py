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
