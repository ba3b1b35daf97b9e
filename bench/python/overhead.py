"""What diff_gaussian_rasterization adds to its engine: device time and host time of forward and backward, on one GPU.

    python3 bench/python/overhead.py [--out FILE.json] [--reps 40]

The engine is the one inside the installed module, called directly with prepared arguments and memory (bench/raster.py's
`Ours`, mode compat, a workspace) against the module as its users call it. Device: milliseconds between CUDA events, the
device kept busy first, so that what the host does does not count unless a call waits. Host: microseconds per call until it
returns, over bursts of ten that the device's queue holds, without waiting. The two contenders alternate.
"""
import argparse
import datetime
import json
import pathlib
import statistics
import sys
import time

import torch

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import raster as R  # noqa: E402
import scenes as S  # noqa: E402

import diff_gaussian_rasterization as dgr  # noqa: E402

NAMES = dict(means3d="means3D", opacities="opacities", sh="shs", scales="scales", rotations="rotations")
GRADS = dict(means3d="means3D", means2d="means2D", opacities="opacities", sh="shs", scales="scales",
             rotations="rotations")


class Module:
    """The module with the tensors of a scene; gradients by torch.autograd.grad, so that none are summed."""

    def __init__(self, scene, view, background, grad, wait):
        self.inputs = {NAMES[n]: t.detach().clone().requires_grad_() for n, t in scene.tensors.items()}
        self.inputs["means2D"] = torch.zeros_like(self.inputs["means3D"], requires_grad=True)
        self.leaves = [self.inputs[n] for n in GRADS.values()]
        self.settings = dgr.GaussianRasterizationSettings(
            view.height, view.width, view.tan_fovx, view.tan_fovy, background, 1.0, view.view, view.proj, 3,
            view.campos, False)
        self.grad, self.wait = grad[0], wait

    def render(self):
        rasterizer = dgr.GaussianRasterizer(self.settings)  # made anew for every picture, as trainers do
        rasterizer.wait = self.wait
        return rasterizer(**self.inputs)

    def forward(self):
        return self.render()

    def infer(self):
        with torch.no_grad():
            return self.render()

    def both(self):
        return torch.autograd.grad(self.render()[0], self.leaves, self.grad)


def burst(work, calls=10):
    """Microseconds a call of the host."""
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - started) / calls * 1e6


def median(values):
    return round(statistics.median(values), 4)


def measure(count, sigma, width, height, reps):
    scene, view = S.synthetic(count, sigma, "cuda"), S.front(width, height, "cuda")
    background = torch.zeros(3, device="cuda")
    g = torch.Generator().manual_seed(7)
    grad = (torch.randn(1, 3, height, width, generator=g) / (width * height)).cuda()
    library = pathlib.Path(dgr.__file__).parent / "_lib" / "libsplat_cuda.so"
    engine = R.Ours("cuda", library, (), True)
    engine.prepare(scene, view, background, grad)
    modules = {"module": Module(scene, view, background, grad, True),
               "module, not waiting": Module(scene, view, background, grad, False)}
    for m in modules.values():
        for _ in range(5):
            color, radii = m.render()
            m.both()
    torch.cuda.synchronize()
    engine.both()
    torch.cuda.synchronize()
    same = dict(color=(color - engine.out["color"][0]).abs().max().item(),
                radii=int((radii != engine.out["radii"][0]).sum()))
    for (ours, _), got in zip(GRADS.items(), modules["module"].both()):
        expected = engine.grads[ours].reshape(got.shape)
        same[ours] = ((got - expected).norm() / expected.norm()).item()
    contenders = dict(engine=engine, **modules)
    device = {n: dict(forward=[], both=[]) for n in contenders}
    host = {n: dict(forward=[], both=[]) for n in contenders}
    for rep in range(5 + reps):
        for name, x in contenders.items():
            times = dict(forward=R.timed(x.forward), both=R.timed(x.both))
            hosts = dict(forward=burst(x.forward), both=burst(x.both))
            if rep >= 5:
                for what in times:
                    device[name][what].append(times[what])
                    host[name][what].append(hosts[what])
    table = {n: dict(device_ms={w: median(v) for w, v in device[n].items()},
                     host_us={w: median(v) for w, v in host[n].items()}) for n in contenders}
    base = table["engine"]
    for name in modules:
        t = table[name]
        t["device_over_engine"] = {w: round(t["device_ms"][w] / base["device_ms"][w], 4) for w in t["device_ms"]}
        added = {w: t["host_us"][w] - base["host_us"][w] for w in t["host_us"]}
        t["host_added_us"] = dict(forward=round(added["forward"], 1),
                                  backward=round(added["both"] - added["forward"], 1),
                                  a_call=round(added["both"] / 2, 1))
    return dict(splats=count, width=width, height=height, differences_from_engine=same, times=table)


def neighbours(count):
    """Seconds of simple_knn's distCUDA2 for points N(0,1), the second run, and its peak of memory."""
    from simple_knn._C import distCUDA2
    points = torch.randn(count, 3, generator=torch.Generator().manual_seed(0)).cuda()
    for _ in range(2):
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        started = time.perf_counter()
        distCUDA2(points)
        torch.cuda.synchronize()
        seconds = time.perf_counter() - started
    return dict(points=count, seconds=round(seconds, 3), peak_mib=torch.cuda.max_memory_allocated() >> 20)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--out", type=pathlib.Path, default=pathlib.Path("overhead.json"))
    p.add_argument("--reps", type=int, default=40)
    args = p.parse_args()
    cases = [measure(*case, args.reps) for case in ((10_000, 0.04, 512, 512), (100_000, 0.02, 800, 800),
                                                    (1_000_000, 0.01, 1920, 1080))]
    report = dict(gpu=torch.cuda.get_device_name(), torch=torch.__version__, module=dgr.__version__,
                  python="{}.{}.{}".format(*sys.version_info[:3]), date=str(datetime.date.today()),
                  command=" ".join(sys.argv), cases=cases,
                  neighbours=[neighbours(n) for n in (100_000, 1_000_000)])
    args.out.write_text(json.dumps(report, indent=1) + "\n")
    print("distCUDA2:", report["neighbours"])
    for case in cases:
        print(f"\n{case['splats']} splats, {case['width']}x{case['height']}; against the engine: "
              + ", ".join(f"{k} {v:.1e}" for k, v in case["differences_from_engine"].items()))
        for name, t in case["times"].items():
            line = f"  {name:20s} device {t['device_ms']['forward']:.4f} / {t['device_ms']['both']:.4f} ms"
            line += f", host {t['host_us']['forward']:.1f} / {t['host_us']['both']:.1f} us"
            if "host_added_us" in t:
                line += f"; device x{t['device_over_engine']['both']}, host +{t['host_added_us']['a_call']} us a call"
            print(line)


main()
