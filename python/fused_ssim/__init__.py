"""Structural similarity in one call, under the name that Gaussian Splatting trainers import, on CPU and CUDA tensors.

    loss = 1.0 - fused_ssim(rendered[None], photograph[None])

Window 11x11, Gaussian of sigma 1.5, C1 = 0.01^2, C2 = 0.03^2, zero padding. Computed by the engines inside
diff_gaussian_rasterization.
"""

try:
    import torch
except ImportError as e:
    raise ImportError("fused_ssim needs torch, which cannot be imported: {}\n"
                      "hint: install torch 2.0 or newer into this Python".format(e)) from e
try:
    from diff_gaussian_rasterization import _C, _autograd, _optimize
except ImportError as e:
    if "hint: " in str(e):
        raise
    raise ImportError("fused_ssim needs Splatwright's diff_gaussian_rasterization, but this one is another: {}\n"
                      "hint: install the two wheels of the same release".format(e)) from e

__version__ = "0.1.0"
__all__ = ["FusedSSIMMap", "allowed_padding", "fused_ssim", "fused_ssim3d"]

allowed_padding = ["same", "valid"]

# Pixels nearer to a border than this see padding.
_REACH = 5


class _Mean(torch.autograd.Function):
    """apply(image, target, valid) -> mean; [planes,H,W] f32 contiguous. Gradients go to the image alone."""

    @staticmethod
    def forward(ctx, image, target, valid):
        mean, partials = _optimize.ssim_forward(image, target, valid, True)
        ctx.valid = valid
        ctx.save_for_backward(image, target, partials)
        return mean

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        image, target, partials = ctx.saved_tensors
        grad = grad.to(torch.float32).contiguous()
        return _optimize.ssim_backward(image, target, ctx.valid, partials, grad), None, None


class FusedSSIMMap(torch.autograd.Function):
    """apply(C1, C2, img1, img2, padding, train) -> the similarity of every pixel: of the images' shape, or with padding
    "valid" of the pixels whose window lies inside. C1 and C2 are 0.01^2 and 0.03^2."""

    @staticmethod
    def forward(ctx, C1, C2, img1, img2, padding="same", train=True):
        ctx.constants, ctx.inside = (C1, C2), slice(_REACH, -_REACH) if padding == "valid" else slice(None)
        ctx.save_for_backward(img1, img2)
        return _C.fusedssim(C1, C2, img1, img2)[..., ctx.inside, ctx.inside].contiguous()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        img1, img2 = ctx.saved_tensors
        whole = torch.zeros_like(img1, dtype=torch.float32)
        whole[..., ctx.inside, ctx.inside] = grad
        return None, None, _C.fusedssim_backward(*ctx.constants, img1, img2, whole), None, None, None


def fused_ssim3d(*_args, **_named):
    """Not served: raises NotImplementedError."""
    raise NotImplementedError("this fused_ssim has no similarity of volumes\n"
                              "hint: build fused-ssim itself with `splatwright ext build SOURCE`")


@_autograd.eager
def fused_ssim(img1, img2, padding="same", train=True):
    """The mean structural similarity of two batches of images [N,C,H,W], a tensor without dimensions.

    img1: the rendered images; the only input that receives a gradient (first derivatives only).
    img2: what they are compared with, of the same shape and on the same device.
    padding: "same" averages over every pixel, "valid" over those whose window lies inside the image.
    train: if False, nothing is kept for a backward pass.

    Other floating types are computed in f32. Images [C,H,W] are accepted too.
    """
    if padding not in ("same", "valid"):
        raise ValueError("`padding` is {!r}, but it is \"same\" or \"valid\"\nhint: leave it out".format(padding))
    for name, image in (("img1", img1), ("img2", img2)):
        if not isinstance(image, torch.Tensor) or image.dim() not in (3, 4):
            raise ValueError("`{}` is {}, but images are [N, C, H, W]\nhint: add the dimensions with [None]".format(
                name, list(image.shape) if isinstance(image, torch.Tensor) else type(image).__name__))
    if img1.shape != img2.shape or img1.device != img2.device:
        raise ValueError("`img1` is {} on {}, but `img2` is {} on {}\nhint: compare images of one size on one device"
                         .format(list(img1.shape), img1.device, list(img2.shape), img2.device))
    height, width = img1.shape[-2:]
    if img1.numel() == 0 or (padding == "valid" and min(height, width) <= 2 * _REACH):
        raise ValueError("the images are {}, which leaves no pixel to average over with padding \"{}\"\nhint: use images "
                         "of more than 10 pixels per side".format(list(img1.shape), padding))
    # Cast outside the node, so that the gradient comes back in the caller's type.
    image, target = (t.to(torch.float32).reshape(-1, height, width).contiguous() for t in (img1, img2.detach()))
    valid = padding == "valid"
    if train and torch.is_grad_enabled() and image.requires_grad:
        return _Mean.apply(image, target, valid)
    return _optimize.ssim_forward(image.detach(), target, valid, False)[0]
