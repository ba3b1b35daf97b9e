"""Adam and SSIM of engine `cuda` against the same formulas as plain torch operations, what a tch loop would write.

    python3 bench/optimize.py --engines DIR [--out FILE.json]

Milliseconds between CUDA events, medians, alternating in one run; the floor is bytes over the 3.0 TB/s that a
device-to-device copy reaches on an H100.
"""
import argparse
import datetime
import json
import pathlib
import statistics
import sys

import torch

import engine as E
from raster import timed

BANDWIDTH = 3.0e12
WIDTHS = dict(means=3, sh0=3, sh_rest=45, opacities=1, scales=3, rotations=4)


def adam_case(cuda, rows, share):
    device = torch.device("cuda")
    g = torch.Generator(device).manual_seed(1)
    tensors = {n: [torch.randn(rows, w, device=device, generator=g) for _ in range(2)] +
               [torch.zeros(rows, w, device=device) for _ in range(2)] for n, w in WIDTHS.items()}
    visible = (torch.rand(rows, device=device, generator=g) < share).int() if share < 1 else None
    step = [0]

    def ours():
        step[0] += 1
        groups = [[*tensors[n], w, step[0], 1e-4, 0.9, 0.999, 1e-15] for n, w in WIDTHS.items()]
        cuda.adam(device, rows, groups, visible)

    def plain():
        step[0] += 1
        a, b = 1 - 0.9 ** step[0], 1 - 0.999 ** step[0]
        for p, grad, m, v in tensors.values():
            if visible is None:
                m.mul_(0.9).add_(grad, alpha=0.1)
                v.mul_(0.999).addcmul_(grad, grad, value=0.001)
                p.addcdiv_(m, (v / b).sqrt_().add_(1e-15), value=-1e-4 / a)
            else:
                mask = (visible > 0)[:, None]
                m.copy_(torch.where(mask, m * 0.9 + grad * 0.1, m))
                v.copy_(torch.where(mask, v * 0.999 + grad * grad * 0.001, v))
                p.sub_(torch.where(mask, 1e-4 / a * m / ((v / b).sqrt() + 1e-15), 0.0))

    floor = rows * share * sum(WIDTHS.values()) * 28 / BANDWIDTH * 1e3
    return ours, plain, floor


def ssim_case(cuda, width, height):
    device = torch.device("cuda")
    g = torch.Generator(device).manual_seed(1)
    image, target = torch.rand(1, 3, height, width, device=device, generator=g), torch.rand(1, 3, height, width, device=device, generator=g)
    outs = dict(mean=torch.empty(1, device=device), partials=torch.empty(3, 3, height, width, device=device),
                grad_image=torch.empty_like(image))
    one = torch.ones(1, device=device)
    args = cuda.ssim_args(image, target, grad_mean=one, **outs)

    def ours():
        args.context = cuda.context(device)
        cuda.ssim(args)
        cuda.ssim_backward(args)

    x = torch.arange(11, device=device) - 5.0
    w = torch.exp(-x * x / 4.5)
    w = (w / w.sum())[:, None]
    window = (w @ w.T).expand(3, 1, 11, 11).contiguous()
    leaf = image.clone().requires_grad_()
    blur = lambda t: torch.nn.functional.conv2d(t, window, padding=5, groups=3)

    def plain():
        leaf.grad = None
        a, b = blur(leaf), blur(target)
        aa, bb, ab = blur(leaf * leaf) - a * a, blur(target * target) - b * b, blur(leaf * target) - a * b
        s = (2 * a * b + 1e-4) * (2 * ab + 9e-4) / ((a * a + b * b + 1e-4) * (aa + bb + 9e-4))
        s.mean().backward()

    floor = 3 * width * height * (8 + 12 + 20 + 4) / BANDWIDTH * 1e3
    return ours, plain, floor


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--engines", required=True)
    p.add_argument("--out", default="optimize.json")
    args = p.parse_args()
    cuda = E.Engine(pathlib.Path(args.engines).resolve() / "libsplat_cuda.so")
    cases = {"Adam, 1M rows": adam_case(cuda, 1_000_000, 1.0), "Adam, 1M rows, 30 % visible": adam_case(cuda, 1_000_000, 0.3),
             "SSIM forward and backward, 1920x1080": ssim_case(cuda, 1920, 1080),
             "SSIM forward and backward, 800x800": ssim_case(cuda, 800, 800)}
    results = []
    for name, (ours, plain, floor) in cases.items():
        times = {"cuda": [], "plain": []}
        for rep in range(35):
            for which, work in (("cuda", ours), ("plain", plain)):
                t = timed(work)
                if rep >= 5:
                    times[which].append(t)
        entry = dict(case=name, floor_ms=round(floor, 4), **{k: round(statistics.median(v), 4) for k, v in times.items()})
        entry["ratio"] = round(entry["plain"] / entry["cuda"], 2)
        results.append(entry)
        print(f"| {name} | {entry['cuda']:.3f} | {entry['plain']:.3f} | {entry['ratio']:.1f} | {entry['floor_ms']:.3f} |")
    about = dict(gpu=torch.cuda.get_device_name(), torch=torch.__version__, date=str(datetime.date.today()),
                 command=" ".join(sys.argv))
    pathlib.Path(args.out).write_text(json.dumps(dict(about=about, cases=results), indent=1))


if __name__ == "__main__":
    main()
