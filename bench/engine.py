"""An engine library called on torch tensors, for the benchmarks: any engine, every member of the interface.

Nothing is compiled; tensors are CUDA (or CPU, for a CPU engine), f32 and contiguous. Memory comes from torch's
allocator, as it does in splat-tch. The structs are those of the Python module's generated _abi.py.
"""
import ctypes as c
import importlib.util
import math
import pathlib

import torch

HERE = pathlib.Path(__file__).resolve().parent


def _load_abi():
    """_abi.py beside this file (where pack.sh puts it), of the installed module, or of this repository."""
    installed = importlib.util.find_spec("diff_gaussian_rasterization")
    folders = [HERE, HERE.parent / "python" / "diff_gaussian_rasterization"]
    if installed and installed.origin:
        folders.insert(1, pathlib.Path(installed.origin).parent)
    path = next(folder / "_abi.py" for folder in folders if (folder / "_abi.py").is_file())
    spec = importlib.util.spec_from_file_location("splat_abi", str(path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


abi = _load_abi()
FLAGS = dict(antialiasing=abi.ANTIALIASING, debug=abi.DEBUG, exact=abi.EXACT, raw=abi.RAW,
             reproducible=abi.REPRODUCIBLE, forward_only=abi.FORWARD_ONLY)
CHANNELS = dict(color=abi.COLOR, inv_depth=abi.INV_DEPTH, depth=abi.DEPTH, alpha=abi.ALPHA, features=abi.FEATURES,
                weight_sum=abi.WEIGHT_SUM, weight_max=abi.WEIGHT_MAX, weight_image=abi.WEIGHT_IMAGE)
PER_GAUSSIAN = ("weight_sum", "weight_max", "weight_image")


def ptr(t):
    return None if t is None else t.data_ptr()


def tensor_in(t):
    if t is None:
        return abi.In()
    assert t.is_contiguous() and t.dtype == torch.float32, (t.shape, t.stride(), t.dtype)
    return abi.In(t.data_ptr(), (c.c_int64 * 3)(*(list(t.stride()) + [0, 0, 0])[:3]))


def channels(names, data=(), gradients=(), image=None):
    """splat_channel for each name, with the tensors of `data` and `gradients` by name."""
    rows = [abi.Channel(source=CHANNELS[n], data=ptr(dict(data).get(n)), gradient=ptr(dict(gradients).get(n)),
                        image=ptr(image) if n == "weight_image" else None) for n in names]
    return (abi.Channel * len(rows))(*rows)


class Scene:
    """Tensors of a scene: means3d [P,3], opacities [P], sh [P,M,3] (and sh_rest), scales, rotations, ..."""

    def __init__(self, **tensors):
        self.tensors = tensors
        self.count = tensors["means3d"].shape[0]

    def gaussians(self):
        t = self.tensors
        coeffs = 0
        if t.get("sh") is not None:
            coeffs = t["sh"].shape[1] + (t["sh_rest"].shape[1] if t.get("sh_rest") is not None else 0)
        names = [n for n, kind in abi.Gaussians._fields_ if kind is abi.In]
        features = t.get("features")
        return abi.Gaussians(count=self.count, sh_coeffs=coeffs,
                             feature_count=0 if features is None else features.shape[1],
                             **{n: tensor_in(t.get(n)) for n in names})


class View:
    """A pinhole camera, world to camera (OpenCV axes)."""

    def __init__(self, width, height, rotation, translation, fx, fy, device, cx=None, cy=None, orthographic=False):
        cx, cy = width / 2 if cx is None else cx, height / 2 if cy is None else cy
        view = torch.eye(4, dtype=torch.float64)
        view[:3, :3], view[:3, 3] = rotation, translation
        near, far = 0.01, 100.0
        proj = torch.zeros(4, 4, dtype=torch.float64)
        proj[0, 0], proj[1, 1] = 2 * fx / width, 2 * fy / height
        if orthographic:
            proj[0, 3], proj[1, 3] = 2 * cx / width - 1, 2 * cy / height - 1
            proj[2, 2], proj[3, 3] = 1 / far, 1
        else:
            proj[0, 2], proj[1, 2] = 2 * cx / width - 1, 2 * cy / height - 1
            proj[2, 2], proj[2, 3], proj[3, 2] = far / (far - near), -far * near / (far - near), 1
        self.width, self.height = width, height
        self.tan_fovx, self.tan_fovy = width / (2 * fx), height / (2 * fy)
        self.model = abi.ORTHOGRAPHIC if orthographic else abi.PINHOLE
        self.rotation, self.translation, self.fx, self.fy, self.cx, self.cy = rotation, translation, fx, fy, cx, cy
        f32 = lambda m: m.float().contiguous().to(device)
        self.view, self.proj = f32(view.T), f32((proj @ view).T)
        self.campos = f32(-rotation.T @ translation)

    @staticmethod
    def look_at(width, height, fov_x_degrees, eye, target, up, device, **more):
        v = lambda x: torch.tensor(x, dtype=torch.float64)
        unit = lambda x: x / x.norm()
        forward = unit(v(target) - v(eye))
        right = unit(torch.linalg.cross(forward, v(up)))
        rotation = torch.stack([right, torch.linalg.cross(forward, right), forward])
        f = width / (2 * math.tan(math.radians(fov_x_degrees) / 2))
        return View(width, height, rotation, -rotation @ v(eye), f, f, device, **more)

    def struct(self):
        return abi.Camera(width=self.width, height=self.height, tan_fovx=self.tan_fovx, tan_fovy=self.tan_fovy,
                          model=self.model, view=ptr(self.view), proj=ptr(self.proj), campos=ptr(self.campos))


class Engine:
    """One opened library. `engine`, `raster`, `optimize` and `image` are its tables, None where it has none."""

    def __init__(self, path):
        self.library = c.CDLL(str(path))
        entry = abi.Entry((abi.ENTRY, self.library))
        found = {}
        for interface, kind in abi.TABLES.items():
            address = entry(interface, abi.ENGINE_ABI)
            found[interface] = kind() if address else None
            if address:
                size = min(c.c_uint32.from_address(address).value, c.sizeof(kind))
                c.memmove(c.byref(found[interface]), address, size)
        assert found[abi.RASTER], f"{path} does not offer engine ABI {abi.ENGINE_ABI}"
        self.engine, self.raster = found[abi.ENGINE], found[abi.RASTER]
        self.optimize, self.image = found[abi.OPTIMIZE], found[abi.IMAGE]
        self.workspace = None
        self.memory = [[], []]
        self.poison = False

        def alloc(_, kind, size):
            block = torch.empty(max(size, 1), dtype=torch.uint8, device=self.device)
            if self.poison:
                block.fill_(0xFF)
            self.memory[kind].append(block)
            return block.data_ptr()

        self.alloc = abi.Alloc(alloc)

    def free_workspace(self):
        if self.workspace:
            self.raster.workspace_free(self.workspace)
        self.workspace = None

    def use_workspace(self, device=0):
        self.free_workspace()
        out = c.c_void_p()
        self.check(self.raster.workspace_new(device, c.byref(out)))
        self.workspace = out.value

    def check(self, status):
        if status:
            raise RuntimeError(f"status {status}: {self.engine.last_error().decode()}")

    def context(self, device):
        """A pointer to the context of a call, for the stream that is current."""
        self.device = device
        self.memory[abi.MEM_SCRATCH] = []
        if device.type == "cpu":
            return c.pointer(abi.Context(device=-1, alloc=self.alloc))
        return c.pointer(abi.Context(device=device.index or 0, stream=torch.cuda.current_stream().cuda_stream,
                                     workspace=self.workspace, alloc=self.alloc))

    def call(self, scene, views, background, flags, scale_modifier, degree):
        """What forward and backward have in common, without channels, radii and saved."""
        cameras = (abi.Camera * len(views))(*[v.struct() for v in views])
        settings = abi.Settings(flags=sum(FLAGS[f] for f in flags), background=ptr(background),
                                scale_modifier=scale_modifier, sh_degree=degree)
        return dict(context=self.context(background.device), camera_count=len(views), cameras=cameras,
                    gaussians=c.pointer(scene.gaussians()), settings=c.pointer(settings))

    def forward(self, scene, views, background, flags=(), outputs=("color", "radii"), scale_modifier=1.0, degree=3,
                image=None):
        """Returns the outputs, and what `backward` needs. `image` [C,H,W] is for `weight_image`."""
        views = views if isinstance(views, list) else [views]
        self.memory[abi.MEM_SAVED] = []
        h, w, n, device = views[0].height, views[0].width, len(views), background.device
        features = scene.tensors.get("features")
        widths = dict(color=3, features=0 if features is None else features.shape[1])
        names = [k for k in outputs if k != "radii"]
        shape = lambda k: (n, scene.count) if k in PER_GAUSSIAN else (n, widths.get(k, 1), h, w)
        out = {k: torch.empty(shape(k), device=device) for k in names}
        out["radii"] = torch.empty((n, scene.count), dtype=torch.int32, device=device)
        if self.poison:
            for t in out.values():
                t.fill_(float("nan") if t.is_floating_point() else -77)
        call = self.call(scene, views, background, flags, scale_modifier, degree)
        saved = abi.Saved()
        args = abi.ForwardArgs(saved=c.pointer(saved), channels=channels(names, out, image=image),
                               channel_count=len(names), radii=ptr(out["radii"]), **call)
        self.check(self.raster.forward(c.byref(args)))
        kept = dict(call=call, saved=saved, memory=self.memory[abi.MEM_SAVED], radii=out["radii"], views=views,
                    scene=scene, background=background, flags=flags, scale_modifier=scale_modifier, degree=degree,
                    names=names, image=image)
        return out, kept

    def buffers(self, scene, views, names):
        """Uninitialised gradients of those names."""
        t, n = scene.tensors, len(views)
        device = t["means3d"].device
        shapes = {k: t[k].shape for k in t if t[k] is not None}
        shapes.update(means2d=(n, scene.count, 3), means2d_abs=(n, scene.count, 2), background=(3,), view=(n, 4, 4),
                      colors=(scene.count, 3), cov3d=(scene.count, 6))
        out = {k: torch.empty(shapes[k], device=device) for k in names if k in shapes}
        if self.poison:
            for v in out.values():
                v.fill_(float("nan"))
        return out

    def backward(self, kept, grads, names=("means3d", "means2d", "opacities", "sh", "sh_rest", "scales", "rotations"),
                 out=None):
        scene, views = kept["scene"], kept["views"]
        out = self.buffers(scene, views, names) if out is None else out
        call = self.call(scene, views, kept["background"], kept["flags"], kept["scale_modifier"], kept["degree"])
        gradients = abi.Gradients(**{k: ptr(v) for k, v in out.items()})
        args = abi.BackwardArgs(saved=c.pointer(kept["saved"]), radii=ptr(kept["radii"]),
                                channels=channels(kept["names"], gradients=grads, image=kept["image"]),
                                channel_count=len(kept["names"]), gradients=c.pointer(gradients), **call)
        self.check(self.raster.backward(c.byref(args)))
        return out

    def poll(self, kept, wait=True):
        out = abi.Progress()
        self.check(self.raster.poll(self.workspace, c.byref(kept["saved"]), int(wait), c.byref(out)))
        return out

    def adam(self, device, rows, groups, visible=None):
        """One step of tensors (parameter, gradient, first and second moment), each with width, step, rate, betas, eps:
        `groups` are lists of those ten in the order of splat_adam_group."""
        names = [n for n, _ in abi.AdamGroup._fields_ if n not in ("struct_size", "reserved")]
        values = [abi.AdamGroup(**dict(zip(names, [ptr(x) if isinstance(x, torch.Tensor) else x for x in g])))
                  for g in groups]
        args = abi.AdamArgs(context=self.context(device), rows=rows, visible=ptr(visible), group_count=len(values),
                            groups=(abi.AdamGroup * len(values))(*values))
        self.check(self.optimize.adam(c.byref(args)))

    def ssim_args(self, image, target, valid=0, **tensors):
        """splat_ssim_args for images [..., H, W]; further tensors by the names of its members."""
        height, width = image.shape[-2:]
        return abi.SsimArgs(context=self.context(image.device), planes=image.numel() // (height * width), width=width,
                            height=height, valid=valid, image=ptr(image), target=ptr(target),
                            **{k: ptr(v) for k, v in tensors.items()})

    def ssim(self, args):
        self.check(self.image.ssim(c.byref(args)))

    def ssim_backward(self, args):
        self.check(self.image.ssim_backward(c.byref(args)))
