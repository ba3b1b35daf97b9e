"""Run by `cargo xtask verify-import --python` in an environment that has the wheel: every case of the golden scene on
every device, forward and backward, against the answers in the files. Standard library and torch alone.

    python verify.py FOLDER_OF_GOLDEN_FILES

Prints one line of JSON: versions, and a device's largest differences.
"""

import ast
import json
import pathlib
import struct
import sys
import zipfile

import torch

import diff_gaussian_rasterization as dgr
from diff_gaussian_rasterization import _engine

INPUTS = ("means3D", "opacities", "shs", "colors_precomp", "scales", "rotations", "cov3D_precomp")
# Single-precision sums in another order than the original's; a wrong formula is off by far more.
BOUNDS = dict(color=2e-3, invdepth=2e-3, radii=0.01, gradient=2e-3)
KINDS = {"<f4": torch.float32, "<f8": torch.float64, "<i4": torch.int32, "<i8": torch.int64, "|b1": torch.bool,
         "|u1": torch.uint8}


def arrays(path):
    """The arrays of a .npz file as tensors, by name; those of other types are left out."""
    out = {}
    with zipfile.ZipFile(str(path)) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            size = struct.unpack_from("<H", data, 8)[0] if data[6] == 1 else struct.unpack_from("<I", data, 8)[0]
            start = 10 if data[6] == 1 else 12
            header = ast.literal_eval(data[start:start + size].decode("latin1"))
            kind = KINDS.get(header["descr"])
            if kind is None:
                continue
            body = bytearray(data[start + size:])
            values = torch.frombuffer(body, dtype=kind) if body else torch.empty(0, dtype=kind)
            shape = header["shape"]
            out[name[:-4]] = (values.reshape(shape[::-1]).permute(*range(len(shape))[::-1]).contiguous()
                              if header["fortran_order"] else values.reshape(shape))
    return out


def compare(data, device):
    """The largest difference of each kind between the module and one file."""
    t = {name: value.to(device) for name, value in data.items()}
    inputs = {n: t[n].clone().requires_grad_() for n in INPUTS if n in t and t[n].numel()}
    inputs["means2D"] = torch.zeros_like(inputs["means3D"], requires_grad=True)
    settings = dgr.GaussianRasterizationSettings(
        int(data["height"]), int(data["width"]), float(data["tanfovx"]), float(data["tanfovy"]), t["bg"],
        float(data["scale_modifier"]), t["viewmatrix"], t["projmatrix"], int(data["sh_degree"]), t["campos"], False,
        False, bool(data["antialiasing"]))
    color, radii, invdepth = dgr.GaussianRasterizer(settings)(**inputs)
    loss = (color * t["grad_color"]).sum() + (invdepth * t["grad_invdepth"]).sum()
    names = list(inputs)
    worst = 0.0
    for name, got in zip(names, torch.autograd.grad(loss, [inputs[n] for n in names])):
        expected = t["d_" + name].reshape(got.shape)
        worst = max(worst, ((got - expected).norm() / expected.norm()).item())
    return dict(color=(color - t["color"]).abs().max().item(), invdepth=(invdepth - t["invdepth"]).abs().max().item(),
                radii=(radii != t["radii"]).float().mean().item(), gradient=worst)


def main():
    # a_hard has splats at the camera's plane, with bounds of their own: the engines' tests hold them.
    files = [p for p in sorted(pathlib.Path(sys.argv[1]).glob("a_*.npz")) if p.stem != "a_hard"]
    report = dict(module=dgr.__file__, version=dgr.__version__, torch=torch.__version__,
                  python="{}.{}.{}".format(*sys.version_info[:3]), devices=[])
    for device in ["cpu"] + ["cuda:{}".format(i) for i in range(torch.cuda.device_count())]:
        entry = dict(device=device, cases=0, run="ok")
        report["devices"].append(entry)
        try:
            found = _engine.engine(device.split(":")[0])
            entry.update(engine=found.name, engine_version=found.version)
            for path in files:
                for kind, value in compare(arrays(path), torch.device(device)).items():
                    entry[kind] = max(entry.get(kind, 0.0), value)
                    if not value <= BOUNDS[kind]:
                        entry["run"] = "failed: {} of {} differs by {:.1e}, over {:.0e}".format(
                            kind, path.name, value, BOUNDS[kind])
                entry["cases"] += 1
        except Exception as e:  # the report names it; another device may work
            entry["run"] = "failed: {}".format(e)
    print(json.dumps(report))


main()
