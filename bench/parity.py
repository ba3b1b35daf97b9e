"""Engine against engine: the same call to `cuda` on a GPU and to `cpu`, the specification, on the host.

    python3 bench/parity.py --engines DIR [--out parity.json]      DIR holds libsplat_cuda.so, libsplat_cpu.so (, inria)

Every output and every gradient, in both modes and for everything that engine `cuda` can do; exits with 1 if a bound is
broken. Memory and outputs are filled with NaN beforehand. `flips` counts numbers of an output that differ by more than
1e-5: there rounding put a Gaussian on the other side of a threshold (alpha 1/255, T 1e-4) in one of the two engines.
"""
import argparse
import json
import math
import pathlib
import sys

import numpy
import torch

import engine as E
import scenes as S

CPU, GPU = torch.device("cpu"), torch.device("cuda")
ALL = ("means3d", "means2d", "means2d_abs", "opacities", "sh", "sh_rest", "colors", "scales", "rotations", "cov3d",
       "features", "background", "view")


def moved(scene, device):
    return E.Scene(**{k: None if v is None else v.to(device) for k, v in scene.tensors.items()})


def randoms(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def small(count, sigma, seed, **changes):
    s = S.synthetic(count, sigma, CPU, seed)
    s.tensors.update(changes)
    return s


def raw(scene):
    """The same scene in stored parameters, with quaternions of other lengths."""
    t = dict(scene.tensors)
    t["scales"] = torch.log(t["scales"])
    t["opacities"] = torch.logit(t["opacities"].clamp(1e-4, 1 - 1e-4))
    t["rotations"] = t["rotations"] * (0.5 + torch.rand(len(t["rotations"]), 1, generator=torch.Generator().manual_seed(5)))
    return E.Scene(**t)


def split(scene):
    t = dict(scene.tensors)
    t["sh"], t["sh_rest"] = t["sh"][:, :1].contiguous(), t["sh"][:, 1:].contiguous()
    return E.Scene(**t)


def front(width, height, **more):
    return lambda device: S.View.look_at(width, height, 60, (0, 0, 0), (0.05, -0.02, 1), (0, -1, 0), device, **more)


def around(width, height, count):
    return [lambda device, k=k: S.View.look_at(width, height, 60, (1.2 * math.sin(k), 0.3 * k, 0.4 * k), (0, 0, 6),
                                               (0, -1, 0), device) for k in range(count)]


def orthographic(width, height):
    rotation = torch.linalg.qr(torch.eye(3, dtype=torch.float64) + 0.05 * randoms(3, 3, seed=2).double())[0]
    rotation = rotation * torch.sign(torch.diagonal(rotation))[None]
    return lambda device: S.View(width, height, rotation, torch.tensor([0.1, -0.1, 0.3], dtype=torch.float64), 40.0,
                                 42.0, device, cx=width / 2 + 3, cy=height / 2 - 5, orthographic=True)


def cases():
    """(name, scene, views, arguments of forward)."""
    usual = ("color", "radii")
    everything = ("color", "radii", "inv_depth", "depth", "alpha")
    view = front(333, 251)
    for mode in ((), ("exact",)):
        tag = "exact" if mode else "compat"
        yield f"{tag}: 10k", small(10000, 0.03, 3), [view], dict(flags=mode)
        yield f"{tag}: antialiased", small(10000, 0.004, 4), [view], dict(flags=mode + ("antialiasing",))
        yield f"{tag}: large splats", small(1500, 0.8, 5), [view], dict(flags=mode)
        yield f"{tag}: depths and alpha", small(6000, 0.04, 6), [view], dict(flags=mode, outputs=everything)
        yield f"{tag}: depth", small(6000, 0.04, 6), [view], dict(flags=mode, outputs=usual + ("depth",))
        yield f"{tag}: weights", small(6000, 0.04, 6), [view], dict(
            flags=mode, outputs=usual + E.PER_GAUSSIAN, image=torch.rand(1, 251, 333, generator=torch.Generator().manual_seed(9)))
        yield f"{tag}: raw", raw(small(6000, 0.04, 7)), [view], dict(flags=mode + ("raw",), scale_modifier=0.7)
        yield f"{tag}: split SH", split(small(6000, 0.04, 8)), [view], dict(flags=mode)
        yield f"{tag}: degree 1, modifier", small(6000, 0.04, 8), [view], dict(flags=mode, degree=1, scale_modifier=0.6)
        colors = small(4000, 0.05, 9, sh=None, colors=0.5 + 0.3 * randoms(4000, 3, seed=1))
        yield f"{tag}: colours given", colors, [view], dict(flags=mode)
        lower = 0.06 * randoms(3000, 3, 3, seed=2).tril()
        m = lower @ lower.transpose(1, 2)
        cov = torch.stack([m[:, 0, 0], m[:, 0, 1], m[:, 0, 2], m[:, 1, 1], m[:, 1, 2], m[:, 2, 2]], 1).contiguous()
        yield f"{tag}: covariances given", small(3000, 0.05, 10, scales=None, rotations=None, cov3d=cov), [view], dict(flags=mode)
        for f in (1, 4, 7, 64):
            scene = small(3000, 0.05, 11, features=randoms(3000, f, seed=f))
            yield f"{tag}: {f} features", scene, [front(120, 90)], dict(flags=mode, outputs=usual + ("features", "inv_depth"))
        yield f"{tag}: 3 cameras", small(5000, 0.04, 12), around(200, 150, 3), dict(flags=mode, outputs=everything)
        yield f"{tag}: off centre", small(6000, 0.04, 13), [front(333, 251, cx=60.0, cy=210.0)], dict(flags=mode)
        yield f"{tag}: orthographic", small(4000, 0.05, 14), [orthographic(200, 150)], dict(flags=mode, outputs=everything)
        needles = small(600, 0.05, 15)
        needles.tensors["scales"] = torch.tensor([1.5, 0.01, 0.01]).expand(600, 3).contiguous()
        yield f"{tag}: needles", needles, [front(120, 75)], dict(flags=mode)
        faint = small(3000, 0.15, 16, opacities=torch.full((3000,), 0.01))
        yield f"{tag}: all alpha .01", faint, [front(80, 80)], dict(flags=mode)
        edge = small(300, 0.05, 17)
        edge.tensors["opacities"] = torch.tensor([0.0, 1 / 255, 1.0]).repeat(100)
        yield f"{tag}: opacities 0, 1/255, 1", edge, [front(50, 50)], dict(flags=mode)
        flat = small(500, 0.05, 18)
        flat.tensors["means3d"][:, 2] = 3.0
        yield f"{tag}: equal depths", flat, [front(64, 64)], dict(flags=mode)
        yield f"{tag}: one pixel", small(50, 0.3, 19), [front(1, 1)], dict(flags=mode)
        yield f"{tag}: 16384 wide", small(3000, 0.05, 20), [front(16384, 3)], dict(flags=mode)
        yield f"{tag}: 256 tiles", small(3000, 0.05, 21), [front(256, 256)], dict(flags=mode)
        behind = small(800, 0.05, 22)
        behind.tensors["means3d"] = 0.6 * randoms(800, 3, seed=23)
        yield f"{tag}: behind and at the camera", behind, [front(75, 50)], dict(flags=mode)
        unseen = small(100, 0.05, 24)
        unseen.tensors["means3d"][:, 2] = -5.0
        yield f"{tag}: nothing visible", unseen, [front(40, 30)], dict(flags=mode)
        yield f"{tag}: no splats", small(0, 0.05, 25), [front(40, 30)], dict(flags=mode, outputs=everything)
        sick = small(500, 0.05, 26)
        for k, name in enumerate(("means3d", "opacities", "scales", "rotations", "sh")):
            sick.tensors[name].view(500, -1)[10 * k + 1, 0] = float("nan")
            sick.tensors[name].view(500, -1)[10 * k + 2, -1] = float("inf")
        yield f"{tag}: NaN and infinity", sick, [front(100, 80)], dict(flags=mode)


def call(engine, scene, views, device, arguments, names, seed=3):
    scene, views = moved(scene, device), [v(device) for v in views]
    background = torch.tensor([0.2, 0.5, 0.9]).to(device)
    if "image" in arguments:
        arguments = dict(arguments, image=arguments["image"].to(device))
    out, kept = engine.forward(scene, views, background, **arguments)
    grads = {k: randoms(*v.shape, seed=seed + i).to(device) for i, (k, v) in enumerate(sorted(out.items()))
             if k != "radii" and k not in E.PER_GAUSSIAN}
    back = engine.backward(kept, grads, names)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return out, back, kept


def names_of(scene, arguments, views):
    has = lambda k: scene.tensors.get(k) is not None
    names = [n for n in ALL if n not in ("sh", "sh_rest", "scales", "rotations", "features") or has(n)]
    images = [n for n in arguments.get("outputs", ()) if n not in E.PER_GAUSSIAN]
    groups = sum((len(images) > 4, has("features")))
    return [n for n in names if n != "means2d_abs" or groups == 0]


def relative(a, b):
    a, b = a.double().flatten(), b.double().flatten()
    norm = b.norm().item()
    if norm == 0:
        return float(a.norm()), 1.0
    return ((a - b).norm() / norm).item(), (a @ b / (a.norm() * b.norm()).clamp_min(1e-300)).item()


def coverage(engine, mode):
    """Every (tile, splat) pair of forward's lists against every pixel: none lost, none without a pixel."""
    w, h, count = 117, 83, 900
    scene = small(count, 0.05, 31)
    t = scene.tensors
    t["means3d"][:, 2] = 6.0
    f = w / (2 * math.tan(math.radians(60) / 2))
    place = torch.randint(0, 60, (300, 2), generator=torch.Generator().manual_seed(1)).float()
    place[100:200] = place[100:200] * 16 / 8  # tile edges
    place[200:300] += 0.5
    t["means3d"][:300, 0] = (place[:, 0] - (w - 1) / 2) * 6 / f
    t["means3d"][:300, 1] = (place[:, 1] - (h - 1) / 2) * 6 / f
    t["scales"][300:600] = torch.tensor([2.0, 0.003, 0.003])
    t["opacities"][600:700] = 1 / 255
    t["opacities"][700:800] = 1.0
    view = S.View.look_at(w, h, 60, (0, 0, 0), (0, 0, 1), (0, -1, 0), GPU)
    out, kept = engine.forward(moved(scene, GPU), view, torch.zeros(3, device=GPU), flags=mode)
    torch.cuda.synchronize()
    rows, pairs = engine.memory[1]
    shape = rows[256:256 + 32 * count].view(torch.float32).view(count, 8).cpu().numpy()
    tiles_x, tiles_y = -(-w // 16), -(-h // 16)
    n = tiles_x * tiles_y
    ranges = pairs[:8 * n].view(torch.int32).view(n, 2).cpu().numpy().astype(numpy.int64)
    first = -(-8 * n // 256) * 256
    lists = pairs[first:first + 4 * kept["saved"].rendered].view(torch.int32).cpu().numpy()
    x, y, a, b, c, level = (shape[:, k, None, None].astype(numpy.float64) for k in range(6))
    dx, dy = x - numpy.arange(w)[None, None], y - numpy.arange(h)[None, :, None]
    exponent = a * dx * dx + b * dx * dy + c * dy * dy + level
    visible = (out["radii"][0] > 0).cpu().numpy()
    threshold = math.log2(1 / 255)
    lost = empty = 0
    for tile in range(n):
        tx, ty = tile % tiles_x * 16, tile // tiles_x * 16
        inside = exponent[:, ty:ty + 16, tx:tx + 16].max((1, 2))
        begin, end = (~ranges[tile, 0] & 0xffffffff, ranges[tile, 1]) if ranges[tile, 1] else (0, 0)
        listed = numpy.zeros(count, bool)
        listed[lists[begin:end]] = True
        reached = visible & (inside >= threshold + 1e-5)
        if not mode:  # the original's square of the 3-sigma radius
            r = out["radii"][0].cpu().numpy()
            low = lambda v: numpy.trunc((v - r) / 16)
            high = lambda v: numpy.trunc((v + r + 15) / 16)
            sx, sy = shape[:, 0], shape[:, 1]
            reached &= (low(sx) <= tx // 16) & (tx // 16 < high(sx)) & (low(sy) <= ty // 16) & (ty // 16 < high(sy))
        lost += int((reached & ~listed).sum())
        empty += int((listed & (inside < threshold - 0.01)).sum())
    return lost, empty, int(kept["saved"].rendered)


def robustness(cuda):
    """Reproducible gradients across runs and streams, a workspace that overflows, an allocator that fails."""
    scene, view = moved(small(20000, 0.03, 40), GPU), front(400, 300)(GPU)
    background = torch.zeros(3, device=GPU)
    grad = dict(color=randoms(1, 3, 300, 400, seed=1).to(GPU))
    findings = {}

    def run(flags, stream):
        with torch.cuda.stream(stream):
            out, kept = cuda.forward(scene, view, background, flags=flags)
            back = cuda.backward(kept, grad)
        stream.synchronize()
        return out, back

    streams = [torch.cuda.Stream(), torch.cuda.Stream()]
    torch.cuda.synchronize()
    runs = [run(("exact", "reproducible"), s) for s in streams for _ in range(3)]
    findings["reproducible gradients are equal"] = all(torch.equal(r[1][k], runs[0][1][k]) for r in runs for k in r[1])
    plain = [run(("exact",), s) for s in streams]
    findings["forward is deterministic"] = all(torch.equal(r[0]["color"], runs[0][0]["color"]) for r in runs + plain)

    # Two calls under way at once, on two streams.
    results = []
    for s in streams:
        with torch.cuda.stream(s):
            out, kept = cuda.forward(scene, view, background, flags=("exact",))
            results.append((out, kept, cuda.memory[1]))
    torch.cuda.synchronize()
    findings["two streams at once"] = all(torch.equal(r[0]["color"], runs[0][0]["color"]) for r in results)

    cuda.use_workspace()
    tiny, _ = moved(small(200, 0.02, 41), GPU), None
    cuda.forward(tiny, view, background, flags=("exact",))  # learns a small capacity
    out, kept = cuda.forward(scene, view, background, flags=("exact",))
    first = cuda.poll(kept)
    out, kept = cuda.forward(scene, view, background, flags=("exact",))
    second = cuda.poll(kept)
    findings["an overflow is told"] = bool(first.overflow) and first.rendered > first.capacity
    findings["the next call has room"] = not second.overflow and torch.equal(out["color"], runs[0][0]["color"])
    cuda.free_workspace()

    for which in range(4):
        calls = [0]

        def failing(_, kind, size):
            calls[0] += 1
            if calls[0] == which + 1:
                return None
            block = torch.empty(max(size, 1), dtype=torch.uint8, device=GPU)
            cuda.memory[kind].append(block)
            return block.data_ptr()

        keep, cuda.alloc = cuda.alloc, E.abi.Alloc(failing)
        try:
            cuda.forward(scene, view, background, flags=("exact",))
            told = False
        except RuntimeError as error:
            told = str(error).startswith(f"status {E.abi.OUT_OF_MEMORY}:") and "allocator" in str(error)
        cuda.alloc = keep
        findings[f"allocation {which + 1} fails and is told"] = told
    out, _ = run(("exact",), streams[0])
    findings["the process goes on"] = torch.equal(out["color"], runs[0][0]["color"])
    try:
        cuda.forward(scene, front(2_000_000, 2000)(GPU), background)
        findings["too many tiles are refused"] = False
    except (RuntimeError, torch.OutOfMemoryError) as error:
        findings["too many tiles are refused"] = "tiles" in str(error)
    return findings


def optimizers(cuda, cpu):
    """Adam and SSIM of `cuda` against those of `cpu`."""
    figures = {}
    p, widths = 5000, (3, 3, 45, 1, 3, 4)
    visible = (torch.rand(p, generator=torch.Generator().manual_seed(1)) < 0.4).int()
    for masked in (False, True):
        results = []
        for engine, device in ((cuda, GPU), (cpu, CPU)):
            tensors = [[randoms(p, w, seed=w + k).to(device) for k in range(2)] + [torch.zeros(p, w, device=device) for _ in range(2)]
                       for w in widths]
            seen = visible.to(device)
            for step in (1, 2, 3):
                groups = [[*t, w, step, 0.01 * w, 0.9, 0.999, 1e-15] for t, w in zip(tensors, widths)]
                engine.adam(device, p, groups, seen if masked else None)
            results.append([t[0].cpu() for t in tensors])
        figures["Adam, visible rows" if masked else "Adam"] = max(relative(a, b)[0] for a, b in zip(*results))
    for valid in (0, 1):
        results = []
        for engine, device in ((cuda, GPU), (cpu, CPU)):
            shape = (2, 3, 71, 94)
            image, target = torch.rand(shape, generator=torch.Generator().manual_seed(1)).to(device), \
                torch.rand(shape, generator=torch.Generator().manual_seed(2)).to(device)
            image = 0.5 * image + 0.5 * target
            outs = dict(map=torch.empty(shape, device=device), mean=torch.empty(1, device=device),
                        partials=torch.empty(3, *shape, device=device), grad_image=torch.empty(shape, device=device))
            one = torch.ones(1, device=device)
            args = engine.ssim_args(image, target, valid, grad_mean=one, **outs)
            engine.ssim(args)
            engine.ssim_backward(args)
            results.append([outs[k].cpu() for k in ("map", "mean", "grad_image")])
        figures["SSIM, valid" if valid else "SSIM"] = max(relative(a, b)[0] for a, b in zip(*results))
    return figures


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--engines", required=True)
    p.add_argument("--out")
    p.add_argument("--only", default="")
    p.add_argument("--gpu-only", action="store_true", help="run the cases without comparing, for compute-sanitizer")
    args = p.parse_args()
    folder = pathlib.Path(args.engines).resolve()
    cuda = E.Engine(folder / "libsplat_cuda.so")
    cuda.poison = True
    cpu = None if args.gpu_only else E.Engine(folder / "libsplat_cpu.so")
    report, bad = dict(cases=[]), []
    for name, scene, views, arguments in cases():
        if args.only not in name:
            continue
        if args.gpu_only and scene.count > 4000:
            continue
        names = names_of(scene, arguments, views)
        out, back, kept = call(cuda, scene, views, GPU, arguments, names)
        if args.gpu_only:
            call(cuda, scene, views, GPU, {**arguments, "flags": arguments["flags"] + ("reproducible",)}, names)
            print(name, kept["saved"].rendered, flush=True)
            continue
        reference, expected, kept_cpu = call(cpu, scene, views, CPU, arguments, names)
        entry = dict(case=name, pairs=kept["saved"].rendered, rejected=kept["saved"].rejected, outputs={}, gradients={})
        entry["radii_that_differ"] = int((out["radii"].cpu() != reference["radii"]).sum())
        flips = 0
        for k, v in out.items():
            if k == "radii":
                continue
            off = (v.cpu() - reference[k]).abs()
            scale = max(1.0, reference[k].abs().max().item() if reference[k].numel() else 1.0)
            flips = max(flips, int((off > 1e-5 * scale).sum()))
            entry["outputs"][k] = off.max().item() / scale if off.numel() else 0.0
            if not torch.isfinite(v).all():
                bad.append(f"{name}: output {k} has a number that is not finite")
        entry["flipped_pixels"] = flips
        for k, v in back.items():
            entry["gradients"][k] = relative(v.cpu(), expected[k])
            if not torch.isfinite(v).all():
                bad.append(f"{name}: gradient {k} has a number that is not finite")
        # A flipped threshold moves gradients by its pixel's share; needles lose digits in both engines.
        bound = 2e-2 if "needles" in name else 1e-3 if flips else 1e-4
        worst = max([g[0] for g in entry["gradients"].values()] + [0.0])
        if worst > bound or flips > 20 or entry["radii_that_differ"] > 2 or \
                (not flips and max(entry["outputs"].values(), default=0) > 1e-5):
            bad.append(f"{name}: {entry}")
        if not 0 <= entry["rejected"] <= kept_cpu["saved"].rejected:  # out of view, `cuda` does not look
            bad.append(f"{name}: {entry['rejected']} splats rejected, {kept_cpu['saved'].rejected} by cpu")
        report["cases"].append(entry)
        print(f"{name:34s} pairs {entry['pairs']:8d} max {max(entry['outputs'].values(), default=0):.1e} flips {flips} radii "
              f"{entry['radii_that_differ']} worst gradient {worst:.1e} "
              f"({max(entry['gradients'], key=lambda k: entry['gradients'][k][0], default='-')})", flush=True)
    if not args.only:
        report["coverage"] = {}
        for mode in ((), ("exact",)):
            lost, empty, pairs = coverage(cuda, mode)
            report["coverage"]["exact" if mode else "compat"] = dict(lost=lost, empty=empty, pairs=pairs)
            if lost or empty:
                bad.append(f"coverage {mode}: {lost} pairs lost, {empty} without a pixel")
        report["robustness"] = robustness(cuda)
        bad += [k for k, v in report["robustness"].items() if not v]
        if cpu:
            report["optimizers"] = optimizers(cuda, cpu)
            bad += [f"{k}: {v}" for k, v in report["optimizers"].items() if not v < 1e-5]
        print(json.dumps({k: v for k, v in report.items() if k != "cases"}, indent=1))
    report["about"] = dict(gpu=torch.cuda.get_device_name(), torch=torch.__version__)
    if args.out:
        pathlib.Path(args.out).write_text(json.dumps(report, indent=1))
    for b in bad:
        print("BROKEN", b[:600])
    print(f"{len(report['cases'])} cases, {len(bad)} bounds broken")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
