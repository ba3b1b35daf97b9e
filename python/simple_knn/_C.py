"""`distCUDA2`: exact, on any device, in chunks of bounded memory. Work grows with the square of the number of points."""

import torch

# Distances at a time: 256 MiB of f32.
_CHUNK = 1 << 26


def distCUDA2(points):
    """[P]: mean of the squared distances from each of the points [P,3] to its three nearest others.

    Another point in the same place counts, with distance 0. With fewer than four points the mean is over the others
    there are, and 0 for a point alone. Computed in f32, without gradients.
    """
    if points.dim() != 2 or points.shape[1] != 3:
        raise ValueError("`points` is {}, but points are [P, 3]\nhint: points.reshape(-1, 3)".format(
            list(points.shape)))
    with torch.no_grad():
        points = points.to(torch.float32)
        count = points.shape[0]
        neighbours = min(3, count - 1)
        out = points.new_zeros(count)
        if neighbours < 1:
            return out
        rows = max(1, _CHUNK // count)
        for start in range(0, count, rows):
            part = points[start:start + rows]
            distances = torch.cdist(part, points, compute_mode="donot_use_mm_for_euclid_dist")
            own = torch.arange(part.shape[0], device=points.device)
            distances[own, own + start] = float("inf")
            nearest = distances.topk(neighbours, dim=1, largest=False).values
            out[start:start + rows] = nearest.square().mean(dim=1)
        return out
