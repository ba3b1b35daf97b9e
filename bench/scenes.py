"""The benchmark's scenes and views: synthetic ones by their seed, trained ones from a folder of PLY files."""
import math
import pathlib

import numpy
import torch

from engine import Scene, View


def with_harmonics(scene, generator, device):
    """Fills SH up to degree 3 with N(0, .02) noise above DC where the scene has DC alone."""
    if scene["sh"].shape[1] < 16:
        rest = 0.02 * torch.randn(scene["sh"].shape[0], 15, 3, generator=generator)
        scene["sh"] = torch.cat([scene["sh"][:, :1].cpu(), rest], 1)
    return Scene(**{k: v.float().contiguous().to(device) for k, v in scene.items()})


def synthetic(count, sigma, device, seed=0):
    """Centres N(0,1)*(2,1.2,2)+(0,0,6), scales exp(N(ln sigma,.7)), random quaternions, opacity sigmoid(N(0,2))."""
    g = torch.Generator().manual_seed(seed)
    n = lambda *s: torch.randn(*s, generator=g)
    means = n(count, 3) * torch.tensor([2.0, 1.2, 2.0]) + torch.tensor([0.0, 0.0, 6.0])
    q = n(count, 4)
    return Scene(**{k: v.contiguous().to(device) for k, v in dict(
        means3d=means, opacities=torch.sigmoid(2 * n(count)), sh=0.2 * n(count, 16, 3),
        scales=torch.exp(math.log(sigma) + 0.7 * n(count, 3)), rotations=q / q.norm(dim=1, keepdim=True)).items()})


def front(width, height, device):
    return View.look_at(width, height, 60, (0, 0, 0), (0, 0, 1), (0, -1, 0), device)


TRAINED = {
    "street": dict(eye=(-10, -1.2, -2), target=(10, -1, -2), up=(0, -1, 0), fov=60),
    "playbot": dict(eye=(0, -1.2, -2.6), target=(0, -0.4, 0), up=(0, -1, 0), fov=50),
    "blocks": dict(eye=(0, 0.2, -3), target=(0, 0.2, 0), up=(0, -1, 0), fov=60),
}


def read_ply(path):
    """A 3DGS PLY (binary, float properties): tensors after their activations."""
    with open(path, "rb") as f:
        names, count = [], 0
        for line in iter(lambda: f.readline().decode().split(), ["end_header"]):
            if line[0] == "element":
                count = int(line[2])
            elif line[0] == "property":
                assert line[1] == "float", line
                names.append(line[2])
        rows = numpy.fromfile(f, "<f4", count * len(names)).reshape(count, len(names))
    column = {n: i for i, n in enumerate(names)}
    take = lambda *n: torch.from_numpy(rows[:, [column[k] for k in n]].copy())
    rest = sum(n.startswith("f_rest_") for n in names)
    sh = take("f_dc_0", "f_dc_1", "f_dc_2")[:, None]
    if rest:  # channel after channel in the file
        more = take(*[f"f_rest_{k}" for k in range(rest)]).reshape(count, 3, rest // 3).transpose(1, 2)
        sh = torch.cat([sh, more], 1)
    return dict(means3d=take("x", "y", "z"), opacities=torch.sigmoid(take("opacity"))[:, 0], sh=sh,
                scales=torch.exp(take("scale_0", "scale_1", "scale_2")),
                rotations=torch.nn.functional.normalize(take("rot_0", "rot_1", "rot_2", "rot_3"), dim=1))


def trained(name, folder, device):
    return with_harmonics(read_ply(pathlib.Path(folder) / f"{name}.ply"), torch.Generator().manual_seed(1), device)


def trained_view(name, width, height, device):
    v = TRAINED[name]
    return View.look_at(width, height, v["fov"], v["eye"], v["target"], v["up"], device)


def seven(folder, device):
    """The seven cases of the comparison: (name, scene, view)."""
    yield "synthetic 100k, 800x800", synthetic(100_000, 0.02, device), front(800, 800, device)
    yield "synthetic 1M, 1920x1080", synthetic(1_000_000, 0.01, device), front(1920, 1080, device)
    yield "synthetic 3M, 1920x1080", synthetic(3_000_000, 0.006, device), front(1920, 1080, device)
    if folder is None:
        return
    street = trained("street", folder, device)
    yield "street-765k, 1920x1080", street, trained_view("street", 1920, 1080, device)
    yield "street-765k, 3840x2160", street, trained_view("street", 3840, 2160, device)
    yield "playbot-500k, 1920x1080", trained("playbot", folder, device), trained_view("playbot", 1920, 1080, device)
    yield "blocks-186k-sh3, 1024x1024", trained("blocks", folder, device), trained_view("blocks", 1024, 1024, device)


def sweep(device):
    """Sizes from 10k to 10M, images from 512x512 to 4K, and scenes that peers find hard."""
    for count, sigma in ((10_000, 0.04), (300_000, 0.015), (10_000_000, 0.004)):
        yield f"synthetic {count // 1000}k, 1920x1080", synthetic(count, sigma, device), front(1920, 1080, device)
    million = synthetic(1_000_000, 0.01, device)
    for width, height in ((512, 512), (1297, 840), (3840, 2160)):
        yield f"synthetic 1M, {width}x{height}", million, front(width, height, device)
    small = synthetic(100_000, 0.02, device)
    yield "synthetic 100k, 512x512", small, front(512, 512, device)
    g = torch.Generator().manual_seed(3)
    n = lambda *s: torch.randn(*s, generator=g)

    def scene(count, means, scales, opacity):
        q = n(count, 4)
        return Scene(**{k: v.float().contiguous().to(device) for k, v in dict(
            means3d=means, opacities=torch.full((count,), opacity), sh=0.2 * n(count, 16, 3),
            scales=scales.expand(count, 3), rotations=q / q.norm(dim=1, keepdim=True)).items()})

    spread = lambda count: torch.cat([n(count, 2) * torch.tensor([2.0, 1.2]), 6 + n(count, 1)], 1)
    one = torch.cat([0.01 * n(100_000, 2), 6 + n(100_000, 1)], 1)
    yield "100k in one tile, 800x800", scene(100_000, one, torch.tensor([0.005]), 0.05), front(800, 800, device)
    yield "opaque wall of 300k, 1920x1080", scene(300_000, spread(300_000), torch.tensor([0.05]), 1.0), front(1920, 1080, device)
    yield "20k full-screen, 800x800", scene(20_000, spread(20_000), torch.tensor([4.0]), 0.02), front(800, 800, device)
    yield "300k of alpha .01, 1920x1080", scene(300_000, spread(300_000), torch.tensor([0.03]), 0.01), front(1920, 1080, device)
