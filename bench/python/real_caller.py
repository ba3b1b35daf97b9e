"""A trainer of somebody else on our wheels: the package gaussian-splatting 2.11.0, its compiled rasterizer and simple_knn
replaced by diff_gaussian_rasterization and simple_knn as this Python imports them. Nothing of the package is kept here.

    python3 bench/python/real_caller.py ARCHIVE DATA [--device cuda] [--steps 3000] [--longest 800] [--out FILE.json]

ARCHIVE is the package's source archive (`cargo xtask build --engines inria` leaves it in $SPLATWRIGHT_HOME/v1/downloads)
or its unpacked folder; DATA a COLMAP folder with photographs in `images` or `images_N`. Its Python files go to a
temporary folder. Needs numpy, pillow, plyfile and tqdm; OpenCV and tifffile are imported by the package for depth maps,
which are not used here, and may be absent. Every 8th photograph is held out.
"""
import argparse
import datetime
import importlib.util
import json
import pathlib
import struct
import sys
import tarfile
import tempfile
import time
import types

import torch
from PIL import Image

PARAMETERS = {0: 3, 1: 4, 2: 4}  # COLMAP's SIMPLE_PINHOLE, PINHOLE, SIMPLE_RADIAL


def sources(archive, folder):
    """The folder that has the package `gaussian_splatting`: Python files alone, no extension."""
    if archive.is_dir():
        return archive
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            parts = pathlib.PurePosixPath(member.name).parts
            if member.isfile() and len(parts) > 2 and parts[1] == "gaussian_splatting" and member.name.endswith(".py"):
                target = folder.joinpath(*parts[1:])
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(tar.extractfile(member).read())
    return folder


def smaller(data, folder, longest):
    """The dataset with photographs and intrinsics of at most `longest` pixels a side."""
    (folder / "sparse/0").mkdir(parents=True)
    (folder / "images").mkdir()
    for name in ("images.bin", "points3D.bin"):
        (folder / "sparse/0" / name).symlink_to((data / "sparse/0" / name).resolve())
    photographs = min(p for p in data.glob("images*") if p.is_dir())
    size = None
    for path in sorted(photographs.iterdir()):
        photo = Image.open(path).convert("RGB")
        factor = min(1.0, longest / max(photo.size))
        size = tuple(max(1, round(side * factor)) for side in photo.size)
        photo.resize(size, Image.BOX if factor < 1 else Image.NEAREST).save(folder / "images" / path.name, quality=97)
    raw = (data / "sparse/0/cameras.bin").read_bytes()
    out, at = [raw[:8]], 8
    for _ in range(struct.unpack_from("<Q", raw)[0]):
        identity, model, width, height = struct.unpack_from("<IiQQ", raw, at)
        count = PARAMETERS[model]
        values = list(struct.unpack_from(f"<{count}d", raw, at + 24))
        x, y = size[0] / width, size[1] / height
        scales = [x, y, x, y] if model == 1 else [x, x, y, 1.0]
        out.append(struct.pack(f"<IiQQ{count}d", identity, model, *size, *(v * s for v, s in zip(values, scales))))
        at += 24 + 8 * count
    (folder / "sparse/0/cameras.bin").write_bytes(b"".join(out))
    return size


def replace_extensions():
    """Puts our modules where the package imports its own."""
    import diff_gaussian_rasterization
    import simple_knn
    package = "gaussian_splatting."
    sys.modules[package + "diff_gaussian_rasterization"] = diff_gaussian_rasterization
    sys.modules[package + "diff_gaussian_rasterization._C"] = diff_gaussian_rasterization._C
    sys.modules[package + "simple_knn"] = simple_knn
    sys.modules[package + "simple_knn._C"] = simple_knn._C
    for name in ("cv2", "tifffile"):
        if importlib.util.find_spec(name) is None:
            sys.modules[name] = types.ModuleType(name)
    return diff_gaussian_rasterization


def psnr(image, photo):
    return -10 * torch.log10((image - photo).square().mean()).item()


def held_out(gaussians, dataset, indices):
    with torch.no_grad():
        values = [psnr(gaussians(dataset[i])["render"].clamp(0, 1), dataset[i].ground_truth_image) for i in indices]
    return sum(values) / len(values)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("archive", type=pathlib.Path)
    p.add_argument("data", type=pathlib.Path)
    p.add_argument("--device", default="cuda")
    p.add_argument("--steps", type=int, default=3000)
    p.add_argument("--longest", type=int, default=800)
    p.add_argument("--mode", default="densify", help="of the package: base, densify")
    p.add_argument("--least", type=float, default=0.0, help="decibels that the held-out PSNR must rise by")
    p.add_argument("--out", type=pathlib.Path)
    args = p.parse_args()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as temporary:
        temporary = pathlib.Path(temporary)
        sys.path.insert(0, str(sources(args.archive, temporary / "package")))
        module = replace_extensions()
        from gaussian_splatting.prepare import prepare_dataset, prepare_gaussians, prepare_trainer
        # Cameras are first built on a GPU, even where they then move to the CPU: the package's default is the wish here.
        from gaussian_splatting.camera import build_camera
        build_camera.__defaults__ = tuple(args.device if v == "cuda" else v for v in build_camera.__defaults__)
        size = smaller(args.data, temporary / "data", args.longest)
        source = str(temporary / "data")
        dataset = prepare_dataset(source=source, device=args.device, load_mask=False, load_depth=False)
        gaussians = prepare_gaussians(sh_degree=3, source=source, device=args.device)
        trainer = prepare_trainer(gaussians=gaussians, dataset=dataset, mode=args.mode)
        test = list(range(0, len(dataset), 8))
        train = [i for i in range(len(dataset)) if i % 8]
        curve = [(0, round(held_out(gaussians, dataset, test), 3), gaussians._xyz.shape[0])]
        print(f"{len(train)} views of {size[0]}x{size[1]}, {curve[0][2]} Gaussians, held-out PSNR {curve[0][1]}", flush=True)
        queue, started = [], time.perf_counter()
        for step in range(1, args.steps + 1):
            if not queue:
                queue = [train[i] for i in torch.randperm(len(train)).tolist()]
            loss, _ = trainer.step(dataset[queue.pop()])
            if step % max(1, args.steps // 10) == 0:
                curve.append((step, round(held_out(gaussians, dataset, test), 3), gaussians._xyz.shape[0]))
                print(f"step {step}: loss {loss.item():.4f}, held-out PSNR {curve[-1][1]}, {curve[-1][2]} Gaussians",
                      flush=True)
        seconds = round(time.perf_counter() - started, 1)
    report = dict(
        what="trainer of gaussian-splatting 2.11.0 on diff_gaussian_rasterization " + module.__version__,
        module=str(pathlib.Path(module.__file__).parent.name), data=args.data.name, size=size, mode=args.mode,
        torch=torch.__version__, device=torch.cuda.get_device_name() if args.device == "cuda" else args.device,
        date=str(datetime.date.today()), seconds=seconds, curve=curve)
    print(json.dumps(report))
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n")
    if curve[-1][1] - curve[0][1] < args.least:
        sys.exit(f"held-out PSNR rose from {curve[0][1]} to {curve[-1][1]}, by less than {args.least} dB")


main()
