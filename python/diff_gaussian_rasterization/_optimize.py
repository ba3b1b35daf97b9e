"""What engines have besides rendering, on torch tensors: Adam steps of visible splats, and structural similarity.

No autograd here (fused_ssim has its own node). Images are f32, contiguous, [planes,H,W]: images times channels.
"""

import ctypes as c

import torch

from . import _abi, _call
from ._engine import EngineError


def able(tensor):
    """The engine of the tensor's device, which can do what stands here; EngineError otherwise."""
    engine = _call.engine_for(tensor)
    if not engine.has(_abi.CAN_OPTIMIZE):
        raise EngineError("engine {} has no Adam and no SSIM".format(engine.name), "reinstall the wheel")
    return engine


def _ssim(planes, size, valid, **pointers):
    args = _abi.SsimArgs(struct_size=c.sizeof(_abi.SsimArgs), planes=planes, width=size[1], height=size[0],
                         valid=int(valid))
    for name, tensor in pointers.items():
        if tensor is not None:
            setattr(args, name, tensor.data_ptr())
    return args


def ssim_forward(image, target, valid, saved):
    """(mean [], partials [3,planes,H,W] or None): the mean over all pixels, or with `valid` over those at least 5 from
    every border; `saved` is whether backward will follow."""
    engine = able(image)
    mean = torch.empty((), dtype=torch.float32, device=image.device)
    partials = torch.empty((3,) + tuple(image.shape), dtype=torch.float32, device=image.device) if saved else None
    args = _ssim(image.shape[0], image.shape[1:], valid, image=image, target=target, mean=mean, partials=partials)
    _call.run(engine, engine.ssim_forward, args, image.device)
    return mean, partials


def ssim_backward(image, target, valid, partials, grad):
    """The gradient [planes,H,W] of the mean for `image`; `grad` is the upstream one."""
    engine = able(image)
    out = torch.empty_like(image)
    args = _ssim(image.shape[0], image.shape[1:], valid, image=image, target=target, partials=partials,
                 grad_mean=grad, grad_image=out)
    _call.run(engine, engine.ssim_backward, args, image.device)
    return out


# So that a graph from before the step says that its input has changed; torch before 2.1 has no name for it.
_changed = getattr(torch.autograd.graph, "increment_version", lambda tensor: None)
# At the last step that engines know bias correction's factors are 1: the original's optimizer has none.
_LATE = (1 << 31) - 1


class SparseGaussianAdam(torch.optim.Adam):
    """Adam that leaves splats alone which the last render did not show: rows and their moments stay as they are.

    One tensor a group, [P, ...]. As in the original, moments are not corrected for their start at zero; betas are
    those of the group. State has the names of torch.optim.Adam, so that code that cuts and extends it works.
    """

    def __init__(self, params, lr=0.001, eps=1e-15):
        super().__init__(params=params, lr=lr, eps=eps)

    @torch.no_grad()
    def step(self, visibility, N):
        """visibility: [P], bool or number, which rows are updated (over 0); N: P."""
        work = []
        for group in self.param_groups:
            if len(group["params"]) != 1:
                raise ValueError("a group has {} tensors, but SparseGaussianAdam takes one\nhint: make a group of "
                                 "each".format(len(group["params"])))
            param = group["params"][0]
            if param.grad is None or param.numel() == 0:
                continue
            if param.dtype != torch.float32 or param.shape[0] != N or visibility.shape[0] != N:
                raise ValueError("a parameter is {} of {} and `visibility` {}, but N is {} and parameters are f32\n"
                                 "hint: pass radii > 0 and its length".format(
                                     list(param.shape), param.dtype, list(visibility.shape), N))
            state = self.state[param]
            if "exp_avg" not in state:
                state["step"] = torch.tensor(0.0)
                state["exp_avg"] = torch.zeros_like(param, memory_format=torch.contiguous_format)
                state["exp_avg_sq"] = torch.zeros_like(param, memory_format=torch.contiguous_format)
            state["step"] += 1
            work.append((group, param, state))
        if work:
            visible = visibility.to(device=work[0][1].device, dtype=torch.int32).contiguous()
            for start in range(0, len(work), _abi.MAX_ADAM_GROUPS):
                _adam(work[start:start + _abi.MAX_ADAM_GROUPS], visible, N)


def _adam(work, visible, rows):
    engine = able(visible)
    groups = (_abi.AdamGroup * len(work))()
    copies, alive = [], []
    for slot, (group, param, state) in zip(groups, work):
        tensors = [param.detach(), param.grad.to(torch.float32), state["exp_avg"], state["exp_avg_sq"]]
        dense = [t.contiguous() for t in tensors]
        copies += [(t, d) for t, d in zip(tensors, dense) if d is not t]
        alive.append(dense)
        slot.param, slot.grad, slot.exp_avg, slot.exp_avg_sq = (d.data_ptr() for d in dense)
        slot.width, slot.step = param.numel() // rows, _LATE
        slot.lr, slot.eps = float(group["lr"]), float(group["eps"])
        slot.beta1, slot.beta2 = group["betas"]
    args = _abi.AdamArgs(struct_size=c.sizeof(_abi.AdamArgs), rows=rows, visible=visible.data_ptr(),
                         group_count=len(work), groups=groups)
    _call.run(engine, engine.adam, args, visible.device)
    for tensor, dense in copies:  # only where a tensor's rows do not follow one another
        tensor.copy_(dense)
    for _, param, _ in work:
        _changed(param)
