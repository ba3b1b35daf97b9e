"""What a call of diff_gaussian_rasterization costs its host, without GPU: the engine's functions are replaced by ones that
do nothing, so that what remains is Python, torch's bookkeeping and the writing of the structs.

    PYTHONPATH=python SPLAT_ENGINES=FOLDER python3 bench/python/host.py [--splats 10000] [--rounds 1000]

Microseconds per call, the fastest of the rounds of bursts, of forward without gradients, of forward, and of forward and
backward together, divided by two: a call of the engine each. The rasterizer is made anew for every call, as trainers do.
`node` is a bare torch.autograd.Function that keeps and returns the same tensors: what no Python node can be without.
"""
import argparse
import platform
import time

import torch

import diff_gaussian_rasterization as dgr
from diff_gaussian_rasterization import _engine


def settings(width, height):
    return dgr.GaussianRasterizationSettings(
        image_height=height, image_width=width, tanfovx=0.5, tanfovy=0.5, bg=torch.zeros(3), scale_modifier=1.0,
        viewmatrix=torch.eye(4), projmatrix=torch.eye(4), sh_degree=3, campos=torch.zeros(3), prefiltered=False,
        debug=False)


class Node(torch.autograd.Function):
    @staticmethod
    def forward(ctx, *tensors):
        means = tensors[0]
        radii = means.new_empty((means.shape[0],), dtype=torch.int32)
        ctx.save_for_backward(radii, *tensors)
        ctx.mark_non_differentiable(radii)
        return radii, means.new_empty((3, 64, 64))

    @staticmethod
    def backward(ctx, _radii, _grad):
        return tuple(torch.empty_like(t) for t in ctx.saved_tensors[1:])


def measure(work, rounds, calls=5):
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        for _ in range(calls):
            work()
        times.append((time.perf_counter() - started) / calls * 1e6)
    return min(times)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--splats", type=int, default=10_000)
    p.add_argument("--rounds", type=int, default=1000)
    args = p.parse_args()
    torch.set_num_threads(1)
    n = args.splats
    shapes = dict(means3D=(n, 3), means2D=(n, 3), opacities=(n, 1), shs=(n, 16, 3), scales=(n, 3), rotations=(n, 4))
    inputs = {name: torch.zeros(shape, requires_grad=True) for name, shape in shapes.items()}
    leaves, setting = list(inputs.values()), settings(64, 64)
    engine = _engine.engine("cpu")
    engine.forward = engine.backward = lambda args: 0

    def forward():
        color, radii = dgr.GaussianRasterizer(setting)(**inputs)
        return color

    def infer():
        with torch.no_grad():
            forward()

    upstream = torch.zeros(3, 64, 64)

    def both():
        torch.autograd.grad(forward(), leaves, upstream)

    def node():
        torch.autograd.grad(Node.apply(*leaves)[1], leaves, upstream)

    for work in (infer, forward, both, node):
        measure(work, 40)
    print("python {}, torch {}, {} splats".format(platform.python_version(), torch.__version__, n))
    for name, work, per in (("no_grad", infer, 1), ("forward", forward, 1), ("a call", both, 2), ("node", node, 2)):
        print("  {:8s} {:7.1f} us".format(name, measure(work, args.rounds) / per))


main()
