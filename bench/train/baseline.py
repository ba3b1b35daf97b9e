"""A plain training loop on gsplat's own `rasterization` and `DefaultStrategy`: what `splat train` is compared with.

    python3 bench/train/baseline.py DATA --out FILE.json [--steps 30000] [--seed 0]

The published 30,000 step schedule with the opacity rate of gsplat's own trainer (.05): one photograph per step in
random order, each once per epoch; 0.8 L1 + 0.2 D-SSIM; fused Adam, one optimizer per parameter as the strategy wants it; SH
degree up by one every 1000 steps; densification by the strategy. Photographs stay on the GPU in 8 bits. Nothing here
waits for the device that gsplat does not wait for itself, except around evaluations, which the clock leaves out.

SSIM is plain torch: separable depth-wise convolutions, the statistics of image and photograph joined, which is the
fastest of the plain ways we know. gsplat's own trainer takes a fused kernel from another package instead: with
`--fused-ssim` the loop takes our engine's, of the same formula.
"""

import argparse
import json
import os
import pathlib
import sys
import time

import torch
import torch.nn.functional as F

import datasets

SH_C0 = 0.28209479177387814
SH_DEGREE = 3
RATES = dict(means=1.6e-4, scales=5e-3, quats=1e-3, opacities=5e-2, sh0=2.5e-3, shN=2.5e-3 / 20)
SCHEDULE = 30_000
NEAR = 0.2
RESET_EVERY, RESET_UNTIL, RESET_TO = 3000, 15_000, 0.01


def import_gsplat(library):
    """gsplat, on its compiled part `library` if given: its Python looks for `gsplat.csrc` before it compiles any."""
    if library:
        from importlib import machinery, util

        loader = machinery.ExtensionFileLoader("gsplat_cuda", str(library))
        module = util.module_from_spec(util.spec_from_file_location("gsplat_cuda", str(library), loader=loader))
        loader.exec_module(module)
        sys.modules["gsplat.csrc"] = module
    import gsplat

    return gsplat


class Ssim:
    """Structural similarity of images [1,3,H,W]: Gaussian window 11x11 of sigma 1.5, zeros beyond the border, mean over
    pixels and channels. Differentiable in the first image."""

    def __init__(self, device):
        weights = torch.exp(-(torch.arange(-5, 6, dtype=torch.float64) ** 2) / (2 * 1.5**2))
        window = (weights / weights.sum()).float().to(device)
        self.across, self.down = window.repeat(9, 1, 1, 1).contiguous(), window.view(1, 1, 11, 1).repeat(9, 1, 1, 1)

    def blur(self, *images):
        joined = torch.cat(images, 1)
        n = joined.shape[1]
        joined = F.conv2d(joined, self.across[:n], padding=(0, 5), groups=n)
        return F.conv2d(joined, self.down[:n], padding=(5, 0), groups=n).split(3, 1)

    def __call__(self, image, target):
        a, aa, ab = self.blur(image, image * image, image * target)
        with torch.no_grad():
            b, bb = self.blur(target, target * target)
        product, squares = a * b, a * a + b * b
        above = (2 * product + 1e-4) * (2 * (ab - product) + 9e-4)
        below = (squares + 1e-4) * (aa + bb - squares + 9e-4)
        return (above / below).mean()


class FusedSsim:
    """`Ssim` computed by the kernels of our engine library."""

    def __init__(self, library, device):
        sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))
        import engine as E

        engine, device = E.Engine(library), torch.device(device)

        class Operation(torch.autograd.Function):
            @staticmethod
            def forward(ctx, image, target):
                mean = torch.empty(1, device=device)
                partials = torch.empty(3, *image.shape[1:], device=device)
                ctx.args = engine.ssim_args(image, target, mean=mean, partials=partials)
                engine.ssim(ctx.args)
                ctx.kept = (image, target, partials)
                return mean[0]

            @staticmethod
            def backward(ctx, upstream):
                upstream, gradient = upstream.reshape(1).contiguous(), torch.empty_like(ctx.kept[0])
                ctx.args.context = engine.context(device)
                ctx.args.grad_mean, ctx.args.grad_image = E.ptr(upstream), E.ptr(gradient)
                engine.ssim_backward(ctx.args)
                return gradient, None

        self.compare = Operation.apply

    def __call__(self, image, target):
        return self.compare(image, target)


def neighbour_distance(points):
    """Root of the mean squared distance to the 3 nearest others, [P]; the square is at least 1e-7. In parts of 16 MiB,
    so that the peak of memory is training's."""
    out = []
    for chunk in points.split(max(1, (1 << 22) // len(points))):
        distance = torch.cdist(chunk, points, compute_mode="donot_use_mm_for_euclid_dist")
        out.append(distance.topk(4, dim=1, largest=False).values[:, 1:].square().mean(1))
    return torch.cat(out).clamp_min(1e-7).sqrt()


class Loop:
    def __init__(self, args, device="cuda"):
        self.args, self.device = args, device
        self.gsplat = import_gsplat(args.gsplat_library)
        from gsplat.strategy import ops

        self.reset_opa = ops.reset_opa
        torch.manual_seed(args.seed)
        self.random = torch.Generator().manual_seed(args.seed)
        data = self.data = datasets.open_dataset(args.data, args.name)
        self.photos = [torch.from_numpy(p).permute(2, 0, 1)[None].contiguous().to(device) for p in data.load()]
        self.ssim = self.metric = Ssim(device)
        if args.fused_ssim:
            self.ssim = FusedSsim(args.fused_ssim, device)
            self.check_ssim()
        self.background = torch.tensor([data.background], device=device)
        self.viewmats, self.Ks = [], []
        for view in data.views:
            pose = torch.eye(4, dtype=torch.float64)
            pose[:3, :3], pose[:3, 3] = torch.from_numpy(view.rotation), torch.from_numpy(view.translation)
            fx, fy, cx, cy = view.intrinsics.tolist()
            self.viewmats.append(pose.float()[None].to(device))
            self.Ks.append(torch.tensor([[[fx, 0, cx], [0, fy, cy], [0, 0, 1]]], device=device))
        points, colors = (torch.from_numpy(x).to(device) for x in data.initial(args.seed))
        count = len(points)
        quats = torch.zeros(count, 4, device=device)
        quats[:, 0] = 1
        params = dict(
            means=points,
            scales=neighbour_distance(points).log()[:, None].repeat(1, 3),
            quats=quats,
            opacities=torch.full((count,), 0.1, device=device).logit(),
            sh0=((colors - 0.5) / SH_C0)[:, None],
            shN=torch.zeros(count, (SH_DEGREE + 1) ** 2 - 1, 3, device=device),
        )
        self.params = {k: torch.nn.Parameter(v.contiguous()) for k, v in params.items()}
        rates = dict(RATES, means=RATES["means"] * data.extent, opacities=args.opacity_lr)
        adam = dict(eps=1e-15, betas=(0.9, 0.999), fused=True)
        self.optimizers = {k: torch.optim.Adam([v], lr=rates[k], **adam) for k, v in self.params.items()}
        self.mean_rate = rates["means"]
        self.strategy = self.gsplat.DefaultStrategy()
        self.strategy.check_sanity(self.params, self.optimizers)
        self.state = self.strategy.initialize_state(scene_scale=data.extent)
        self.order, self.steps, self.seconds = [], 0, 0.0
        self.trace, self.evaluations = [], []

    def render(self, view, degree):
        p = self.params
        height, width = self.photos[view].shape[2:]
        image, _, info = self.gsplat.rasterization(
            p["means"],
            p["quats"],
            p["scales"].exp(),
            p["opacities"].sigmoid(),
            torch.cat([p["sh0"], p["shN"]], 1),
            self.viewmats[view],
            self.Ks[view],
            width,
            height,
            near_plane=NEAR,
            sh_degree=degree,
            packed=self.args.packed,
            backgrounds=self.background,
        )
        return image.permute(0, 3, 1, 2).contiguous(), info

    def target(self, view):
        """[1,3,H,W], 0 to 1."""
        return self.photos[view].float().div_(255)

    def check_ssim(self):
        """Both give one value and one gradient, or the comparison would be of two losses."""
        a = self.target(0)
        b, values = a.flip(3).contiguous(), []
        for ssim in (self.metric, self.ssim):
            leaf = a.clone().requires_grad_()
            value = ssim(leaf, b)
            value.backward()
            values.append((value.item(), leaf.grad))
        apart = (values[0][1] - values[1][1]).abs().max() / values[0][1].abs().max()
        if abs(values[0][0] - values[1][0]) > 1e-4 or apart > 1e-3:
            raise SystemExit(
                f"error: the fused SSIM is {values[1][0]}, the plain one {values[0][0]}; their gradients "
                f"differ by {apart.item()} of the largest"
            )

    @property
    def degree(self):
        return min(self.steps // 1000, SH_DEGREE)

    def step(self):
        step = self.steps
        if not self.order:
            train = self.data.train
            self.order = [train[i] for i in torch.randperm(len(train), generator=self.random)]
        view = self.order.pop()
        image, info = self.render(view, self.degree)
        self.strategy.step_pre_backward(self.params, self.optimizers, self.state, step, info)
        target = self.target(view)
        loss = 0.8 * F.l1_loss(image, target) + 0.2 * (1 - self.ssim(image, target))
        loss.backward()
        self.optimizers["means"].param_groups[0]["lr"] = self.mean_rate * 0.01 ** (step / SCHEDULE)
        for optimizer in self.optimizers.values():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.strategy.step_post_backward(self.params, self.optimizers, self.state, step, info, packed=self.args.packed)
        if self.args.reset and 0 < step < RESET_UNTIL and step % RESET_EVERY == 0:
            self.reset_opa(self.params, self.optimizers, self.state, RESET_TO)
        self.steps += 1

    def train(self, until):
        self.synchronize()
        begin = time.perf_counter() - self.seconds
        while self.steps < until:
            self.step()
            if self.steps % 100 == 0:
                self.trace.append((self.steps, len(self.params["means"]), round(time.perf_counter() - begin, 4)))
        self.synchronize()
        self.seconds = time.perf_counter() - begin

    def synchronize(self):
        if self.device == "cuda":
            torch.cuda.synchronize()

    @torch.no_grad()
    def evaluate(self):
        views = []
        for view in self.data.test:
            image = self.render(view, self.degree)[0].clamp(0, 1)
            target = self.target(view)
            psnr = -10 * torch.log10(F.mse_loss(image, target))
            views.append((self.data.views[view].name, psnr.item(), self.metric(image, target).item()))
        mean = lambda k: sum(v[k] for v in views) / len(views)
        self.evaluations.append(
            dict(
                step=self.steps,
                psnr=mean(1),
                ssim=mean(2),
                gaussians=len(self.params["means"]),
                train_seconds=self.seconds,
                views=views,
            )
        )
        e = self.evaluations[-1]
        print(
            f"step {e['step']}: PSNR {e['psnr']:.2f} dB, SSIM {e['ssim']:.4f}, {e['gaussians']} Gaussians, "
            f"{e['train_seconds']:.1f} s of training",
            flush=True,
        )

    def profile(self, steps=100):
        """Milliseconds a step at the present number of Gaussians: of the clock, and of the GPU's kernels by kind."""
        from torch.profiler import ProfilerActivity, profile

        self.train(self.steps + 10)
        before = self.seconds
        self.train(self.steps + steps)
        wall = 1e3 * (self.seconds - before) / steps
        with profile(activities=[ProfilerActivity.CUDA]) as p:
            self.train(self.steps + steps)
        kinds = dict(
            rasterizer=("gsplat", "Radix"),
            optimizer=("Adam",),
            convolutions=("conv_depthwise",),
            fused_ssim=("splat::own",),
        )
        shares = dict.fromkeys([*kinds, "rest"], 0.0)
        for event in p.key_averages():
            kind = next((k for k, words in kinds.items() if any(w in event.key for w in words)), "rest")
            shares[kind] += event.device_time_total / 1e3 / steps
        return dict(gaussians=len(self.params["means"]), wall_ms=wall, gpu_ms=sum(shares.values()), kinds_ms=shares)

    def report(self, done):
        cuda = self.device == "cuda"
        mib = lambda what: round(getattr(torch.cuda, what)() / 2**20, 1) if cuda else None
        return dict(
            format=1,
            tool="gsplat",
            version=getattr(self.gsplat, "__version__", None),
            torch=torch.__version__,
            gpu=torch.cuda.get_device_name() if cuda else None,
            command=" ".join(sys.argv),
            done=done,
            set=self.data.name,
            seed=self.args.seed,
            packed=self.args.packed,
            reset=self.args.reset,
            fused_ssim=self.args.fused_ssim is not None,
            views=len(self.data.views),
            train_views=len(self.data.train),
            test_views=len(self.data.test),
            size=list(self.data.views[0].size),
            scene_extent=self.data.extent,
            steps=self.steps,
            train_seconds=self.seconds,
            gaussians=len(self.params["means"]),
            evaluations=self.evaluations,
            peak_torch_mib=dict(allocated=mib("max_memory_allocated"), reserved=mib("max_memory_reserved")),
            trace=self.trace,
        )


def write(path, value):
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(value))
    os.replace(temporary, path)


def arguments(argv=None):
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("data", help="folder of the data set")
    p.add_argument("--name", help="of the data set; by default the folder's")
    p.add_argument("--out", type=pathlib.Path, required=True, help="figures, JSON")
    p.add_argument("--steps", type=int, default=SCHEDULE)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--evaluate", default="1000,7000,15000,30000", help="steps at which the held-out views are rendered")
    p.add_argument("--opacity-lr", type=float, default=RATES["opacities"], help="learning rate of opacities")
    p.add_argument("--packed", action="store_true", help="gsplat's packed mode: less memory")
    p.add_argument(
        "--reset",
        action="store_true",
        help="reset opacities every 3000 steps, as published; "
        "DefaultStrategy of gsplat 1.5.3 means to, but its condition never holds",
    )
    p.add_argument(
        "--fused-ssim", type=pathlib.Path, metavar="LIBRARY", help="SSIM by this engine library (libsplat_cuda.so)"
    )
    p.add_argument("--only-time", type=int, metavar="N", help="N steps, no evaluation")
    p.add_argument("--profile", action="store_true", help="at the end, 210 more steps for a profile")
    p.add_argument("--gsplat-library", type=pathlib.Path, help="gsplat's compiled part, where it is not installed")
    args = p.parse_args(argv)
    if args.only_time:
        args.steps, args.evaluate = args.only_time, ""
    return args


def main(argv=None, device="cuda"):
    args = arguments(argv)
    # Convolutions in full precision: TF32 is too coarse for variances of nearly equal colours.
    torch.backends.cudnn.allow_tf32 = False
    begin = time.perf_counter()
    loop = Loop(args, device)
    loop.synchronize()
    loading = time.perf_counter() - begin
    stops = {int(s) for s in args.evaluate.split(",") if s and int(s) <= args.steps}
    for stop in sorted(stops | {args.steps}):
        loop.train(stop)
        if args.evaluate:
            loop.evaluate()
        write(args.out, dict(loop.report(done=stop == args.steps), loading_seconds=loading))
    if args.profile:
        report = dict(loop.report(done=True), loading_seconds=loading, ended_at=time.time())
        write(args.out, dict(report, profile=loop.profile()))


if __name__ == "__main__":
    main()
