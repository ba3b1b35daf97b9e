"""A picture by the call that programs with diff_gaussian_rasterization make, on a GPU where there is one, else on the CPU.

    python3 python/examples/picture.py picture.png

A knotted ring of 4,000 Gaussians, coloured by direction. Needs torch alone, and says whose module is imported; a fork's own
needs a GPU. Ends with an error if what should be seen is not.
"""
import math
import struct
import sys
import zlib

import torch

import diff_gaussian_rasterization
from diff_gaussian_rasterization import GaussianRasterizationSettings, GaussianRasterizer

WIDTH, HEIGHT, TANGENT = 480, 360, 0.5


def camera(device):
    """Five units in front of the origin, as callers of the original write it: matrices for row vectors."""
    view = torch.eye(4, device=device)
    view[3, 2] = 5.0
    near, far = 0.01, 100.0
    across = TANGENT * WIDTH / HEIGHT
    projection = torch.zeros(4, 4, device=device)
    projection[0, 0], projection[1, 1] = 1 / across, 1 / TANGENT
    projection[2, 2], projection[3, 2], projection[2, 3] = far / (far - near), -far * near / (far - near), 1.0
    return GaussianRasterizationSettings(
        image_height=HEIGHT, image_width=WIDTH, tanfovx=across, tanfovy=TANGENT,
        bg=torch.zeros(3, device=device), scale_modifier=1.0, viewmatrix=view, projmatrix=view @ projection,
        sh_degree=0, campos=torch.tensor([0.0, 0.0, -5.0], device=device), prefiltered=False, debug=False)


def knot(count, device):
    """Points on a torus knot (2, 3)."""
    t = torch.arange(count, dtype=torch.float32, device=device) * (2 * math.pi / count)
    ring = 2.0 + 0.7 * torch.cos(3 * t)
    points = torch.stack([ring * torch.cos(2 * t), ring * torch.sin(2 * t), 0.7 * torch.sin(3 * t)], 1) * 0.75
    return points + 0.08 * torch.randn(count, 3, generator=torch.Generator().manual_seed(0)).to(device)


def png(path, image):
    """[3,H,W] from 0 to 1."""
    rows = (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu()
    above = torch.cat([torch.zeros_like(rows[:1]), rows[:-1]])
    # Filter 2: each row as its difference from the one above, modulo 256.
    raw = b"".join(b"\2" + bytes(row.flatten().tolist()) for row in rows - above)

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], 8, 2, 0, 0, 0)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))


def main(path):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    means = knot(4000, device).requires_grad_()
    image, radii, *_ = GaussianRasterizer(camera(device))(
        means3D=means, means2D=torch.zeros_like(means, requires_grad=True), shs=None,
        colors_precomp=(means.detach() / means.detach().norm(dim=1, keepdim=True) + 1) / 2,
        opacities=torch.full((len(means), 1), 0.9, device=device), scales=torch.full_like(means.detach(), 0.03),
        rotations=torch.tensor([1.0, 0, 0, 0], device=device).repeat(len(means), 1), cov3D_precomp=None)
    image.mean().backward()
    seen, lit = int((radii > 0).sum()), float((image.detach().amax(0) > 0.1).float().mean())
    png(path, image.detach())
    print(f"module: {list(diff_gaussian_rasterization.__path__)[0]}")
    print(f"{path}: {WIDTH} x {HEIGHT} on {device}, {seen} of {len(means)} Gaussians seen, {lit:.0%} of the pixels lit")
    if seen < len(means) or not 0.02 < lit < 0.6 or not means.grad.abs().sum() > 0:
        sys.exit("this is not the picture of the knot: most of it is missing, or it has no gradient")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "picture.png")
