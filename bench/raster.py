"""Rasterizer benchmark: engines of this project and gsplat on the same scenes, alternating, in one run on one GPU.

    python3 bench/raster.py --engines DIR [--scenes FOLDER] [--out FILE.json] [--reps 30]

Times are medians in milliseconds between CUDA events around one call: an engine's call with its arguments prepared,
gsplat's rasterization() (and backward()) as its users call it. SH degree 3, RGB and radii. `cuda` is timed in mode
exact with a workspace, `cuda-compat` in mode compat, `cuda-reproducible` with bit-identical gradients.
"""
import argparse
import ctypes
import datetime
import json
import math
import pathlib
import statistics
import subprocess
import sys

import torch

import engine as E
import scenes as S

GRADS = ("means3d", "means2d", "opacities", "sh", "scales", "rotations")


class Ours:
    """One engine with everything prepared; memory comes from an arena that is rewound before each call."""

    def __init__(self, name, library, flags, workspace):
        self.name, self.engine, self.flags = name, E.Engine(library), flags
        self.workspace = workspace

    def prepare(self, scene, view, background, grad):
        e = self.engine
        if self.workspace:
            e.use_workspace()
        out, kept = e.forward(scene, view, background, flags=self.flags)
        if e.workspace:  # until its estimate has settled, as in any later call
            while e.poll(kept).overflow:
                out, kept = e.forward(scene, view, background, flags=self.flags)
            out, kept = e.forward(scene, view, background, flags=self.flags)
        sizes = [b.numel() for b in e.memory[0]]
        grads = e.backward(kept, dict(color=grad), GRADS)
        torch.cuda.synchronize()
        self.color = out["color"].clone()
        self.pairs = e.poll(kept).rendered if e.workspace else kept["saved"].rendered
        sizes += [b.numel() for kind in e.memory for b in kind]
        self.arena = torch.empty(sum(-(-s // 512) * 512 for s in sizes) + (64 << 20), dtype=torch.uint8, device="cuda")
        base, state, end = self.arena.data_ptr(), [0], self.arena.numel()

        def alloc(_, kind, size):
            at = state[0]
            state[0] = at + (size + 511) // 512 * 512
            return base + at if state[0] <= end else None

        self.rewind = lambda: state.__setitem__(0, 0)
        self.allocator = E.abi.Alloc(alloc)
        self.out, self.grads, self.scene, self.background, self.upstream = out, grads, scene, background, grad
        call = e.call(scene, [view], background, self.flags, 1.0, 3)
        call["context"].contents.alloc = self.allocator
        self.context = call["context"].contents  # of both calls, as is `saved`
        call.update(saved=ctypes.pointer(E.abi.Saved()), radii=E.ptr(out["radii"]), channel_count=1)
        self.fwd = E.abi.ForwardArgs(channels=E.channels(["color"], data=out), **call)
        self.bwd = E.abi.BackwardArgs(channels=E.channels(["color"], gradients=dict(color=grad)), gradients=ctypes.pointer(
            E.abi.Gradients(**{k: E.ptr(v) for k, v in grads.items()})), **call)
        e.memory[0], e.memory[1] = [], []

    def forward(self):
        self.rewind()
        self.context.stream = torch.cuda.current_stream().cuda_stream
        self.engine.check(self.engine.raster.forward(ctypes.byref(self.fwd)))

    def both(self):
        self.forward()
        self.engine.check(self.engine.raster.backward(ctypes.byref(self.bwd)))

    def peak(self, scene, view, background, grad):
        e = self.engine
        self.arena = self.grads = self.out = None
        torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        out, kept = e.forward(scene, view, background, flags=self.flags)
        e.memory[0] = []
        e.backward(kept, dict(color=grad), GRADS)
        torch.cuda.synchronize()
        peak = torch.cuda.max_memory_allocated() - before
        del out, kept
        e.memory[0], e.memory[1] = [], []
        return peak / 2**20


class Gsplat:
    name = "gsplat"

    def __init__(self):
        import gsplat
        self.version = gsplat.__version__
        self.rasterization = gsplat.rasterization

    def prepare(self, scene, view, background, grad):
        t = {k: v.detach().clone().requires_grad_() for k, v in scene.tensors.items() if v is not None}
        viewmat = torch.eye(4, device="cuda")
        viewmat[:3, :3], viewmat[:3, 3] = view.rotation.float(), view.translation.float()
        K = torch.tensor([[view.fx, 0, view.cx], [0, view.fy, view.cy], [0, 0, 1.0]], device="cuda")
        self.t, self.grad = t, grad[0].permute(1, 2, 0)[None].contiguous()

        def call(packed):
            image, _, self.meta = self.rasterization(
                t["means3d"], t["rotations"], t["scales"], t["opacities"], t["sh"], viewmat[None], K[None], view.width,
                view.height, sh_degree=3, near_plane=0.2, packed=packed)
            return image

        times = {}
        for packed in (False, True):  # the faster of the two, as a user would choose
            for _ in range(3):
                call(packed).backward(self.grad)
            times[packed] = statistics.median(timed(lambda: call(packed).backward(self.grad)) for _ in range(5))
        self.packed = min(times, key=times.get)
        self.call = call
        with torch.no_grad():
            self.color = call(self.packed)[0].permute(2, 0, 1)[None].clone()
        self.pairs = int(self.meta["flatten_ids"].numel())

    def forward(self):
        with torch.no_grad():
            self.call(self.packed)

    def both(self):
        for v in self.t.values():
            v.grad = None
        self.call(self.packed).backward(self.grad)

    def peak(self, *_):
        for v in self.t.values():
            v.grad = None
        self.meta = None
        torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        self.both()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / 2**20


def timed(work):
    """Milliseconds on the device. It is kept busy first, so that the host is ahead of it as in a training loop and
    what a call costs the host does not count, unless the call itself waits for the device."""
    torch.cuda._sleep(6_000_000)
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    work()
    end.record()
    end.synchronize()
    return start.elapsed_time(end)


def kernels(work, reps=5):
    """Microseconds per call of each kernel, from CUPTI."""
    from torch.profiler import ProfilerActivity, profile
    with profile(activities=[ProfilerActivity.CUDA]) as p:
        for _ in range(reps):
            work()
        torch.cuda.synchronize()
    table = {}
    for event in p.key_averages():
        name = event.key.replace("splat::own::", "").replace("(anonymous namespace)::", "").split("(")[0]
        name = name.replace("void ", "")
        table[name] = round(table.get(name, 0) + event.device_time_total / reps, 1)
    return dict(sorted(table.items(), key=lambda kv: -kv[1]))


def graph(ours, reps):
    """Forward and backward captured in one CUDA graph and replayed: the time, and the largest difference in colour."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        ours.both()
        stream.synchronize()
        g = torch.cuda.CUDAGraph()
        with torch.cuda.graph(g, stream=stream):
            ours.both()
        expected = ours.out["color"].clone()
        ours.out["color"].fill_(float("nan"))
        g.replay()
        stream.synchronize()
        difference = (ours.out["color"] - expected).abs().max().item()
        times = [timed(g.replay) for _ in range(reps)]
    torch.cuda.synchronize()
    return dict(ms=statistics.median(times), largest_difference=difference)


def run(case, scene, view, contenders, args):
    background = torch.zeros(3, device="cuda")
    generator = torch.Generator().manual_seed(7)
    grad = (torch.randn(1, 3, view.height, view.width, generator=generator) / (view.width * view.height)).cuda()
    result = dict(case=case, splats=scene.count, width=view.width, height=view.height, engines={})
    ready = []
    for x in contenders:
        try:
            x.prepare(scene, view, background, grad)
            ready.append(x)
        except Exception as error:  # a peer that cannot do the case is part of the result
            result["engines"][x.name] = dict(error=str(error)[:300])
    times = {x.name: dict(forward=[], both=[]) for x in ready}
    for rep in range(args.warm + args.reps):
        for x in ready:
            f, b = timed(x.forward), timed(x.both)
            if rep >= args.warm:
                times[x.name]["forward"].append(f)
                times[x.name]["both"].append(b)
    for x in ready:
        entry = dict(pairs=int(x.pairs))
        for what, values in times[x.name].items():
            values.sort()
            entry[what] = dict(median=round(statistics.median(values), 4), p10=round(values[len(values) // 10], 4),
                               p90=round(values[-1 - len(values) // 10], 4))
        mse = (x.color - ready[0].color).double().square().mean().item()
        entry["psnr_to_first"] = None if mse == 0 else round(-10 * math.log10(mse), 1)
        result["engines"][x.name] = entry
    ours = [x for x in ready if isinstance(x, Ours)]
    for x in ours:
        if args.kernels:
            result["engines"][x.name]["kernels_us"] = kernels(x.both)
        if x.engine.workspace and args.graph:
            result["engines"][x.name]["graph"] = graph(x, args.reps)
    for x in ready:
        result["engines"][x.name]["peak_mib"] = round(x.peak(scene, view, background, grad), 1)
    return result


def table(results):
    names = []
    for r in results:
        names += [n for n in r["engines"] if n not in names]
    print("| case |" + "".join(f" {n} fwd / both |" for n in names) + " pairs | peak MiB |")
    print("|---" * (len(names) + 3) + "|")
    for r in results:
        e = r["engines"]
        cell = lambda n: (f"{e[n]['forward']['median']:.3f} / {e[n]['both']['median']:.3f}"
                          if n in e and "both" in e[n] else "-")
        of = lambda key: " / ".join(str(e[n].get(key, "-")) for n in names if n in e)
        print(f"| {r['case']} |" + "".join(f" {cell(n)} |" for n in names) + f" {of('pairs')} | {of('peak_mib')} |")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--engines", required=True, help="folder of libsplat_*.so")
    p.add_argument("--scenes", help="folder of the trained scenes in PLY")
    p.add_argument("--out", default="raster.json")
    p.add_argument("--reps", type=int, default=30)
    p.add_argument("--warm", type=int, default=5)
    p.add_argument("--only", help="cases whose name holds this")
    p.add_argument("--contenders", default="cuda,cuda-compat,cuda-reproducible,inria,gsplat")
    p.add_argument("--sweep", action="store_true", help="sizes and adversarial scenes too")
    p.add_argument("--no-kernels", dest="kernels", action="store_false")
    p.add_argument("--no-graph", dest="graph", action="store_false")
    args = p.parse_args()
    folder = pathlib.Path(args.engines).resolve()
    library = lambda name: folder / f"libsplat_{name}.so"
    make = {
        "cuda": lambda: Ours("cuda", library("cuda"), ("exact",), True),
        "cuda-compat": lambda: Ours("cuda-compat", library("cuda"), (), True),
        "cuda-reproducible": lambda: Ours("cuda-reproducible", library("cuda"), ("exact", "reproducible"), True),
        "inria": lambda: Ours("inria", library("inria"), (), False),
        "gsplat": Gsplat,
    }
    contenders = [make[n]() for n in args.contenders.split(",")]
    results = []
    cases = S.seven(args.scenes, "cuda")
    if args.sweep:
        import itertools
        cases = itertools.chain(cases, S.sweep("cuda"))
    for case, scene, view in cases:
        if args.only and args.only not in case:
            continue
        results.append(run(case, scene, view, contenders, args))
        print(case, json.dumps(results[-1]["engines"]), file=sys.stderr, flush=True)
        del scene
        torch.cuda.empty_cache()
    driver = subprocess.run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"], capture_output=True,
                            text=True).stdout.strip()
    about = dict(gpu=torch.cuda.get_device_name(), driver=driver, torch=torch.__version__,
                 date=str(datetime.date.today()), command=" ".join(sys.argv), reps=args.reps,
                 gsplat=next((c.version for c in contenders if isinstance(c, Gsplat)), None))
    pathlib.Path(args.out).write_text(json.dumps(dict(about=about, cases=results), indent=1))
    table(results)


if __name__ == "__main__":
    main()
