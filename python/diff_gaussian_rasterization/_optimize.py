"""What engines offer besides rendering, on torch tensors: Adam steps of visible Gaussians, structural similarity.

No autograd here (fused_ssim has its own node). Images are f32, contiguous, [planes,H,W]: images times channels.
"""

import torch

from . import _abi, _call


def _ssim(function, image, **members):
    """Calls an SSIM function of the engine; `members` of splat_ssim_args are tensors, numbers or None."""
    engine = _call.engine_for(image)
    args = _abi.SsimArgs(planes=image.shape[0], width=image.shape[2], height=image.shape[1], image=image.data_ptr())
    for name, value in members.items():
        setattr(args, name, value.data_ptr() if isinstance(value, torch.Tensor) else value)
    _call.run(engine, engine.require(function), args, image.device)


def ssim_forward(image, target, valid, saved):
    """(mean [], partials [3,planes,H,W] or None): the mean over all pixels, or with `valid` over those at least 5 from
    every border; `saved` is whether backward will follow."""
    mean = torch.empty((), dtype=torch.float32, device=image.device)
    partials = torch.empty((3,) + tuple(image.shape), dtype=torch.float32, device=image.device) if saved else None
    _ssim("ssim", image, target=target, valid=int(valid), mean=mean, partials=partials)
    return mean, partials


def ssim_backward(image, target, valid, partials, grad):
    """The gradient [planes,H,W] of the mean with respect to `image`; `grad` is the upstream one."""
    out = torch.empty_like(image)
    _ssim("ssim_backward", image, target=target, valid=int(valid), partials=partials, grad_mean=grad, grad_image=out)
    return out


def ssim_map(image, target, saved=False):
    """(the similarity of every pixel [planes,H,W], partials as in ssim_forward)"""
    out = torch.empty_like(image)
    partials = torch.empty((3,) + tuple(image.shape), dtype=torch.float32, device=image.device) if saved else None
    _ssim("ssim", image, target=target, map=out, partials=partials)
    return out, partials


def ssim_map_backward(image, target, partials, grad):
    """The gradient [planes,H,W] of ssim_map with respect to `image`; `grad` [planes,H,W] is the upstream one."""
    out = torch.empty_like(image)
    _ssim("ssim_backward", image, target=target, partials=partials, grad_map=grad, grad_image=out)
    return out


# A graph from before the step then reports that its input has changed; torch before 2.1 cannot be told.
_changed = getattr(torch.autograd.graph, "increment_version", lambda tensor: None)
# At a late step the factors of bias correction are 1, as in the original's optimizer, which has none.
_LATE = (1 << 31) - 1


class SparseGaussianAdam(torch.optim.Adam):
    """Adam that skips Gaussians which the last render did not show: their rows and moments stay as they are.

    One tensor [P, ...] per group. As in the original, moments are not corrected for their start at zero; betas are
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
                raise ValueError("a group has {} tensors, but SparseGaussianAdam takes one\nhint: give each a "
                                 "group of its own".format(len(group["params"])))
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
    engine = _call.engine_for(visible)
    groups = (_abi.AdamGroup * len(work))(*[_abi.AdamGroup() for _ in work])
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
    args = _abi.AdamArgs(rows=rows, visible=visible.data_ptr(), group_count=len(work), groups=groups)
    _call.run(engine, engine.require("adam"), args, visible.device)
    for tensor, dense in copies:  # only where a tensor is not contiguous
        tensor.copy_(dense)
    for _, param, _ in work:
        _changed(param)
