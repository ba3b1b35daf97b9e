"""An engine library called on torch tensors: ctypes mirror of splat_engine.h (ABI 2), for the benchmarks.

Nothing is compiled; tensors are CUDA (or CPU, for a CPU engine), f32 and contiguous. Memory comes from torch's
allocator, as it does in splat-tch.
"""
import ctypes as c
import math

import torch

ABI = 3
FLAGS = {"antialiasing": 1, "debug": 2, "exact": 4, "raw": 8, "reproducible": 16, "forward_only": 32}


def struct(name, fields, sized=True):
    fields = ([("struct_size", c.c_uint32)] if sized else []) + fields
    return type(name, (c.Structure,), {"_fields_": fields})


P = c.c_void_p
In = struct("In", [("data", P), ("stride", c.c_int64 * 3)], sized=False)
Camera = struct("Camera", [("width", c.c_int32), ("height", c.c_int32), ("tan_fovx", c.c_float), ("tan_fovy", c.c_float),
                           ("model", c.c_int32), ("view", P), ("proj", P), ("campos", P)])
Gaussians = struct("Gaussians", [("count", c.c_int64), ("sh_coeffs", c.c_int64), ("feature_count", c.c_int64)] + [
    (n, In) for n in "means3d opacities sh sh_rest colors scales rotations cov3d features".split()])
Settings = struct("Settings", [("flags", c.c_uint32), ("background", P), ("scale_modifier", c.c_float),
                               ("sh_degree", c.c_int32)])
Alloc = c.CFUNCTYPE(P, P, c.c_uint32, c.c_uint64)
Context = struct("Context", [("device", c.c_int32), ("stream", P), ("workspace", P), ("alloc", Alloc), ("user", P)])
Saved = struct("Saved", [("buffer_count", c.c_uint32), ("rendered", c.c_int64), ("rejected", c.c_int64),
                         ("ticket", c.c_int64), ("buffer", P * 6), ("bytes", c.c_uint64 * 6)])
Call = [("context", Context), ("camera_count", c.c_uint32), ("cameras", c.POINTER(Camera)), ("gaussians", Gaussians),
        ("settings", Settings)]
OUTPUTS = "color radii inv_depth depth alpha features".split()
GRADS = ("means3d means2d means2d_abs opacities sh sh_rest colors scales rotations cov3d features background "
         "view").split()
ForwardArgs = struct("ForwardArgs", Call + [(n, P) for n in OUTPUTS] + [("saved", Saved)])
BackwardArgs = struct("BackwardArgs", Call + [("saved", Saved), ("radii", P)] + [
    ("grad_" + n, P) for n in "color inv_depth depth alpha features".split()] + [(n, P) for n in GRADS])
Progress = struct("Progress", [("done", c.c_uint32), ("overflow", c.c_uint32), ("reserved", c.c_uint32),
                               ("rendered", c.c_int64), ("rejected", c.c_int64), ("capacity", c.c_int64)])
AdamGroup = struct("AdamGroup", [("param", P), ("grad", P), ("exp_avg", P), ("exp_avg_sq", P), ("width", c.c_int64),
                                 ("step", c.c_int64), ("lr", c.c_float), ("beta1", c.c_float), ("beta2", c.c_float),
                                 ("eps", c.c_float)], sized=False)
AdamArgs = struct("AdamArgs", [("context", Context), ("rows", c.c_int64), ("visible", P), ("group_count", c.c_uint32),
                               ("groups", c.POINTER(AdamGroup))])
SsimArgs = struct("SsimArgs", [("context", Context), ("planes", c.c_int64), ("width", c.c_int32), ("height", c.c_int32),
                               ("valid", c.c_uint32), ("lambda_dssim", c.c_float)] + [
    (n, P) for n in "image target map mean partials grad_mean grad_map grad_image".split()])


def ptr(t):
    return None if t is None else t.data_ptr()


def sized(cls, **values):
    return cls(struct_size=c.sizeof(cls), **values)


def tensor_in(t):
    if t is None:
        return In()
    assert t.is_contiguous() and t.dtype == torch.float32, (t.shape, t.stride(), t.dtype)
    return In(t.data_ptr(), (c.c_int64 * 3)(*(list(t.stride()) + [0, 0, 0])[:3]))


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
        names = [n for n, _ in Gaussians._fields_[4:]]
        features = t.get("features")
        return sized(Gaussians, count=self.count, sh_coeffs=coeffs,
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
        self.model = int(orthographic)
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
        return sized(Camera, width=self.width, height=self.height, tan_fovx=self.tan_fovx, tan_fovy=self.tan_fovy,
                     model=self.model, view=ptr(self.view), proj=ptr(self.proj), campos=ptr(self.campos))


class Engine:
    def __init__(self, path):
        self.lib = c.CDLL(str(path))
        self.lib.splat_engine_last_error.restype = c.c_char_p
        for name, args in [("forward", ForwardArgs), ("backward", BackwardArgs), ("adam", AdamArgs),
                           ("ssim_forward", SsimArgs), ("ssim_backward", SsimArgs)]:
            getattr(self.lib, "splat_engine_" + name).argtypes = [c.POINTER(args)]
        assert self.lib.splat_engine_abi_version() == ABI, self.lib.splat_engine_abi_version()
        self.workspace = None
        self.memory = [[], []]
        self.poison = False

        def alloc(_, kind, size):
            block = torch.empty(max(size, 1), dtype=torch.uint8, device=self.device)
            if self.poison:
                block.fill_(0xFF)
            self.memory[kind].append(block)
            return block.data_ptr()

        self.alloc = Alloc(alloc)

    def use_workspace(self, device=0):
        if self.workspace:
            self.lib.splat_engine_workspace_free(P(self.workspace))
        out = P()
        self.check(self.lib.splat_engine_workspace_new(device, c.byref(out)))
        self.workspace = out.value

    def check(self, status):
        if status:
            raise RuntimeError(f"status {status}: {self.lib.splat_engine_last_error().decode()}")

    def context(self, device):
        self.device = device
        self.memory[0] = []
        if device.type == "cpu":
            return sized(Context, device=-1, alloc=self.alloc)
        return sized(Context, device=device.index or 0, stream=torch.cuda.current_stream().cuda_stream,
                     workspace=self.workspace, alloc=self.alloc)

    def call(self, scene, views, background, flags, scale_modifier, degree):
        cameras = (Camera * len(views))(*[v.struct() for v in views])
        bits = sum(FLAGS[f] for f in flags)
        settings = sized(Settings, flags=bits, background=ptr(background), scale_modifier=scale_modifier,
                         sh_degree=degree)
        return dict(context=self.context(background.device), camera_count=len(views), cameras=cameras,
                    gaussians=scene.gaussians(), settings=settings)

    def forward(self, scene, views, background, flags=(), outputs=("color", "radii"), scale_modifier=1.0, degree=3):
        """Returns the outputs, and what `backward` needs."""
        views = views if isinstance(views, list) else [views]
        self.memory[1] = []
        h, w, n, device = views[0].height, views[0].width, len(views), background.device
        features = scene.tensors.get("features")
        shapes = dict(color=(n, 3, h, w), inv_depth=(n, 1, h, w), depth=(n, 1, h, w), alpha=(n, 1, h, w),
                      features=(n, 0 if features is None else features.shape[1], h, w))
        out = {k: torch.empty(shapes[k], device=device) for k in outputs if k != "radii"}
        out["radii"] = torch.empty((n, scene.count), dtype=torch.int32, device=device)
        if self.poison:
            for t in out.values():
                t.fill_(float("nan") if t.is_floating_point() else -77)
        call = self.call(scene, views, background, flags, scale_modifier, degree)
        args = sized(ForwardArgs, saved=sized(Saved), **call, **{k: ptr(v) for k, v in out.items()})
        self.check(self.lib.splat_engine_forward(c.byref(args)))
        kept = dict(call=call, saved=args.saved, memory=self.memory[1], radii=out["radii"], views=views, scene=scene,
                    background=background, flags=flags, scale_modifier=scale_modifier, degree=degree)
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
        args = sized(BackwardArgs, saved=kept["saved"], radii=ptr(kept["radii"]), **call,
                     **{"grad_" + k: ptr(v) for k, v in grads.items()}, **{k: ptr(v) for k, v in out.items()})
        self.check(self.lib.splat_engine_backward(c.byref(args)))
        return out

    def poll(self, kept, wait=True):
        out = sized(Progress)
        self.check(self.lib.splat_engine_poll(P(self.workspace), c.byref(kept["saved"]), int(wait), c.byref(out)))
        return out
