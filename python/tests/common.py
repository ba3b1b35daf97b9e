"""What the tests of the modules share: finding module, engine and torch, a small scene, and its camera.

Importing this raises SkipTest where torch or the CPU engine is missing; it holds no tests.
"""

import importlib.util
import os
import pathlib
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
PACKAGES = HERE.parent
# The folder with the CPU engine among those of the variable.
ENGINES = next((f for f in os.environ.get("SPLAT_ENGINES", "").split(os.pathsep)
                if f and os.path.isfile(os.path.join(f, "libsplat_cpu.so"))), None)

if ENGINES is None:
    raise unittest.SkipTest("SPLAT_ENGINES names no folder with libsplat_cpu.so")
if importlib.util.find_spec("torch") is None:
    raise unittest.SkipTest("torch is not installed")
if importlib.util.find_spec("diff_gaussian_rasterization") is None:
    sys.path.insert(0, str(PACKAGES))

import torch  # noqa: E402

from diff_gaussian_rasterization import GaussianRasterizationSettings, GaussianRasterizer  # noqa: E402

WIDTH, HEIGHT, TAN = 40, 30, 0.5


def projection(tanx=TAN, tany=TAN * HEIGHT / WIDTH):
    """[4,4] transposed, as callers pass it; clip w is the depth."""
    return torch.tensor([[1 / tanx, 0, 0, 0], [0, 1 / tany, 0, 0], [0, 0, 1, -0.01], [0, 0, 1, 0]]).T


def settings(width=WIDTH, height=HEIGHT, degree=0, bg=(0.1, 0.2, 0.3), **more):
    """12 fields by keyword, or 13 with `antialiasing`; the camera is at the origin and looks along +z."""
    tany = TAN * height / width
    fields = dict(image_height=height, image_width=width, tanfovx=TAN, tanfovy=tany, bg=torch.tensor(bg),
                  scale_modifier=1.0, viewmatrix=torch.eye(4), projmatrix=projection(TAN, tany), sh_degree=degree,
                  campos=torch.zeros(3), prefiltered=False, debug=False)
    fields.update(more)
    return GaussianRasterizationSettings(**fields)


def splats(count=40, seed=0, coeffs=16):
    """Leaves that require gradients, by the names of GaussianRasterizer's arguments; with SH and scales."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=g)

    means = normal(count, 3) * torch.tensor([0.6, 0.4, 0.5]) + torch.tensor([0.0, 0.0, 3.0])
    values = dict(means3D=means, means2D=torch.zeros(count, 3), opacities=torch.sigmoid(normal(count, 1)),
                  shs=normal(count, coeffs, 3) * 0.3, scales=torch.exp(normal(count, 3) * 0.4 - 2.0),
                  rotations=normal(count, 4))
    return {name: value.requires_grad_() for name, value in values.items()}


def smooth():
    """Eight Gaussians that neither appear nor vanish when a number changes a little: each is over the threshold of
    alpha = 1/255 in the whole image, none hides another, and no two depths are close."""
    inputs = splats(count=8, seed=3)
    with torch.no_grad():
        inputs["means3D"][:, 2] = torch.linspace(2.5, 4.0, 8)
        inputs["scales"].copy_(1.5 * torch.exp(0.3 * weights(8, 3)))
        inputs["opacities"].copy_(torch.linspace(0.2, 0.5, 8)[:, None])
    return inputs


def weights(*shape, seed=5):
    """Fixed upstream gradients."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def gradients(inputs, outputs, options=None):
    """Gradients of a weighted sum of the floating outputs for all inputs that require one, by name."""
    names = [n for n, t in inputs.items() if t is not None and t.requires_grad]
    images = [o for o in outputs if o.is_floating_point()]
    loss = sum((o * weights(*o.shape, seed=i)).sum() for i, o in enumerate(images))
    return dict(zip(names, torch.autograd.grad(loss, [inputs[n] for n in names], **(options or {}))))


def render(inputs, setting=None, **more):
    return GaussianRasterizer(setting or settings(degree=3))(**dict(inputs, **more))


def python(code, **environment):
    """Runs code in a fresh interpreter that finds the packages; returns the finished process with its texts."""
    env = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")
    env["PYTHONPATH"] = os.pathsep.join([str(PACKAGES)] + [p for p in sys.path if p])
    env.update({k: v for k, v in environment.items() if v is not None})
    for k in [k for k, v in environment.items() if v is None]:
        env.pop(k, None)
    return subprocess.run([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True, timeout=300)
