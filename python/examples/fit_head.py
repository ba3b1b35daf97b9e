"""Fits Gaussians to the photographs of a head through diff_gaussian_rasterization, from random ones, and shows how well.

    python3 python/examples/fit_head.py DATA --device cuda --steps 7000 --out head

DATA is a folder with `opencv_cameras.json` (frames with w h fx fy cx cy, world-to-camera `w2c` in OpenCV's axes) and RGBA
pictures. Every 8th view is held out. Writes OUT.json (PSNR over time) and OUT.png (held-out views over their pictures).
The schedule is the published one, shortened to `--steps`; the background is white.
"""
import argparse
import datetime
import json
import math
import pathlib
import time

import numpy
import torch
from PIL import Image

from diff_gaussian_rasterization import GaussianRasterizationSettings, GaussianRasterizer
from fused_ssim import fused_ssim
from simple_knn._C import distCUDA2

SH0 = 0.28209479177387814


class View:
    """A camera and its picture [3,H,W] over white."""

    def __init__(self, folder, frame, longest, device):
        path = next(p for p in (folder / frame["file_path"], folder / "images" / frame["file_path"]) if p.exists())
        picture = Image.open(path).convert("RGBA")
        factor = min(1.0, longest / max(picture.size))
        self.width, self.height = (round(s * factor) for s in picture.size)
        rgba = numpy.asarray(picture.resize((self.width, self.height), Image.BOX), dtype=numpy.float32) / 255
        rgba = torch.from_numpy(rgba).to(device).permute(2, 0, 1)
        self.picture = (rgba[:3] * rgba[3:] + 1 - rgba[3:]).contiguous()
        x, y = self.width / frame["w"], self.height / frame["h"]
        fx, fy, cx, cy = frame["fx"] * x, frame["fy"] * y, frame["cx"] * x, frame["cy"] * y
        view = torch.tensor(frame["w2c"], dtype=torch.float64)
        near, far = 0.01, 100.0
        proj = torch.zeros(4, 4, dtype=torch.float64)
        proj[0, 0], proj[0, 2] = 2 * fx / self.width, 2 * cx / self.width - 1
        proj[1, 1], proj[1, 2] = 2 * fy / self.height, 2 * cy / self.height - 1
        proj[2, 2], proj[2, 3], proj[3, 2] = far / (far - near), -far * near / (far - near), 1.0
        self.center = torch.linalg.inv(view)[:3, 3]
        self.settings = GaussianRasterizationSettings(
            image_height=self.height, image_width=self.width, tanfovx=self.width / (2 * fx),
            tanfovy=self.height / (2 * fy), bg=torch.ones(3, device=device), scale_modifier=1.0,
            viewmatrix=view.T.float().contiguous().to(device),
            projmatrix=(proj @ view).T.float().contiguous().to(device), sh_degree=0,
            campos=self.center.float().to(device), prefiltered=False)


class Gaussians:
    """The parameters as they are stored, their optimizer, and what densification needs to know."""

    NAMES = ("means", "dc", "rest", "opacity", "scale", "rotation")

    def __init__(self, count, extent, steps, device):
        g = torch.Generator().manual_seed(0)
        means = ((torch.rand(count, 3, generator=g) - 0.5) * 0.8).to(device)
        spread = distCUDA2(means).clamp_min(1e-7).sqrt().log()
        self.values = dict(
            means=means, dc=torch.zeros(count, 1, 3, device=device), rest=torch.zeros(count, 15, 3, device=device),
            opacity=torch.full((count, 1), math.log(0.1 / 0.9), device=device), scale=spread[:, None].repeat(1, 3),
            rotation=torch.tensor([1.0, 0, 0, 0], device=device).repeat(count, 1))
        self.extent, self.steps = extent, steps
        rates = dict(means=1.6e-4 * extent, dc=2.5e-3, rest=1.25e-4, opacity=0.05, scale=5e-3, rotation=1e-3)
        self.values = {n: torch.nn.Parameter(v) for n, v in self.values.items()}
        self.optimizer = torch.optim.Adam([dict(params=[self.values[n]], lr=rates[n], name=n) for n in self.NAMES],
                                          lr=0.0, eps=1e-15)
        self.clear()

    def clear(self):
        count, device = self.values["means"].shape[0], self.values["means"].device
        self.gradient, self.seen = torch.zeros(count, device=device), torch.zeros(count, device=device)

    def render(self, view, degree):
        v = self.values
        screen = torch.zeros_like(v["means"], requires_grad=True)
        image, radii = GaussianRasterizer(view.settings._replace(sh_degree=degree))(
            means3D=v["means"], means2D=screen, dc=v["dc"], shs=v["rest"], opacities=torch.sigmoid(v["opacity"]),
            scales=torch.exp(v["scale"]), rotations=torch.nn.functional.normalize(v["rotation"]))
        return image, radii, screen

    def replace(self, keep, added):
        """Keeps rows and appends others, with moments of zero."""
        for group in self.optimizer.param_groups:
            old, more = group["params"][0], added[group["name"]]
            state = self.optimizer.state.pop(old, None)
            new = torch.nn.Parameter(torch.cat([old.detach()[keep], more]))
            if state:
                for key in ("exp_avg", "exp_avg_sq"):
                    state[key] = torch.cat([state[key][keep], torch.zeros_like(more)])
                self.optimizer.state[new] = state
            group["params"][0] = self.values[group["name"]] = new
        self.clear()

    @torch.no_grad()
    def densify(self, step):
        v = {n: t.detach() for n, t in self.values.items()}
        wanted = (self.gradient / self.seen.clamp_min(1)) >= 2e-4
        large = v["scale"].amax(1).exp() > 0.01 * self.extent
        clone, split = wanted & ~large, wanted & large
        copies = {n: t[clone] for n, t in v.items()}
        halves = {n: t[split].repeat(2, *[1] * (t.dim() - 1)) for n, t in v.items()}
        w, x, y, z = torch.nn.functional.normalize(halves["rotation"]).unbind(1)
        turn = torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
                            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
                            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], 1).view(-1, 3, 3)
        offset = torch.randn_like(halves["means"]) * halves["scale"].exp()
        halves["means"] = halves["means"] + (turn @ offset[:, :, None])[:, :, 0]
        halves["scale"] = halves["scale"] - math.log(1.6)
        faint = v["opacity"][:, 0].sigmoid() < 0.005
        if step > 3000:
            faint |= v["scale"].amax(1).exp() > 0.1 * self.extent
        self.replace(~split & ~faint, {n: torch.cat([copies[n], halves[n]]) for n in self.NAMES})

    @torch.no_grad()
    def reset_opacity(self):
        value = self.values["opacity"]
        value.clamp_(max=math.log(0.01 / 0.99))
        for key in ("exp_avg", "exp_avg_sq"):
            self.optimizer.state[value][key].zero_()


def psnr(gaussians, views, degree):
    with torch.no_grad():
        return sum(-10 * (gaussians.render(v, degree)[0].clamp(0, 1) - v.picture).square().mean().log10().item()
                   for v in views) / len(views)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("data", type=pathlib.Path)
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--steps", type=int, default=7000)
    p.add_argument("--count", type=int, default=50_000)
    p.add_argument("--longest", type=int, default=512)
    p.add_argument("--out", type=pathlib.Path, default=pathlib.Path("head"))
    args = p.parse_args()
    torch.manual_seed(0)
    frames = json.loads((args.data / "opencv_cameras.json").read_text())["frames"]
    views = [View(args.data, f, args.longest, args.device) for f in frames]
    test, train = views[::8], [v for i, v in enumerate(views) if i % 8]
    centers = torch.stack([v.center for v in train])
    extent = 1.1 * (centers - centers.mean(0)).norm(dim=1).max().item()
    gaussians = Gaussians(args.count, extent, args.steps, args.device)
    curve, queue, started = [], [], time.perf_counter()
    for step in range(1, args.steps + 1):
        degree = min(3, step // 1000)
        t = step / args.steps
        gaussians.optimizer.param_groups[0]["lr"] = 1.6e-4 * extent * 0.01**t
        if not queue:
            queue = [train[i] for i in torch.randperm(len(train)).tolist()]
        view = queue.pop()
        image, radii, screen = gaussians.render(view, degree)
        loss = 0.8 * (image - view.picture).abs().mean() + 0.2 * (1 - fused_ssim(image[None], view.picture[None]))
        loss.backward()
        with torch.no_grad():
            seen = radii > 0
            gaussians.gradient[seen] += screen.grad[seen, :2].norm(dim=1)
            gaussians.seen[seen] += 1
        gaussians.optimizer.step()
        gaussians.optimizer.zero_grad(set_to_none=True)
        if step <= args.steps // 2:
            if step > 500 and step % 100 == 0:
                gaussians.densify(step)
            if step % 3000 == 0:
                gaussians.reset_opacity()
        if step % max(1, args.steps // 10) == 0 or step == 1:
            curve.append((step, round(psnr(gaussians, test, degree), 3), gaussians.values["means"].shape[0]))
            print(f"step {step}: loss {loss.item():.4f}, held-out PSNR {curve[-1][1]}, {curve[-1][2]} Gaussians",
                  flush=True)
    seconds = round(time.perf_counter() - started, 1)
    report = dict(data=args.data.name, size=[views[0].width, views[0].height], views=[len(train), len(test)],
                  torch=torch.__version__, date=str(datetime.date.today()), seconds=seconds, curve=curve,
                  device=torch.cuda.get_device_name() if "cuda" in args.device else args.device)
    args.out.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    with torch.no_grad():
        rows = [torch.cat([f(v) for v in test], 2) for f in (lambda v: gaussians.render(v, degree)[0].clamp(0, 1),
                                                            lambda v: v.picture)]
    image = (torch.cat(rows, 1).permute(1, 2, 0) * 255).round().byte().cpu().numpy()
    Image.fromarray(image).save(args.out.with_suffix(".png"))
    print(json.dumps(report))


main()
