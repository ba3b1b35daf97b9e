"""Calls shaped as published callers shape theirs, written from their arguments and what they unpack."""

import unittest

import common
import torch
from common import HEIGHT, TAN, WIDTH, projection, settings, splats

from diff_gaussian_rasterization import GaussianRasterizationSettings, GaussianRasterizer, rasterize_gaussians


class Callers(unittest.TestCase):
    def setUp(self):
        self.reference = common.render(splats(), settings(degree=3))

    def test_facelift_renders_without_grad_and_again_inside_another_backward(self):
        inputs = {n: t.detach() for n, t in splats().items()}

        def render(values):
            # 12 settings by keyword, means2D never initialised, two outputs.
            screen = torch.empty_like(values["means3D"], requires_grad=True)
            rasterizer = GaussianRasterizer(raster_settings=settings(degree=3))
            image, _radii = rasterizer(means3D=values["means3D"], means2D=screen, shs=values["shs"],
                                       colors_precomp=None, opacities=values["opacities"], scales=values["scales"],
                                       rotations=values["rotations"], cov3D_precomp=None)
            return image

        class Deferred(torch.autograd.Function):
            @staticmethod
            def forward(ctx, *tensors):
                ctx.save_for_backward(*tensors)
                with torch.no_grad():
                    return render(dict(zip(names, tensors)))

            @staticmethod
            def backward(ctx, grad):
                leaves = [t.detach().requires_grad_() for t in ctx.saved_tensors]
                with torch.enable_grad():
                    render(dict(zip(names, leaves))).backward(grad)
                return tuple(leaf.grad for leaf in leaves)

        names = ("means3D", "shs", "opacities", "scales", "rotations")
        leaves = [inputs[n].clone().requires_grad_() for n in names]
        image = Deferred.apply(*leaves)
        self.assertTrue(torch.equal(image, self.reference[0]))
        (image * common.weights(*image.shape, seed=0)).sum().backward()
        direct = splats()
        expected = common.gradients(direct, common.render(direct))
        for name, leaf in zip(names, leaves):
            self.assertTrue(torch.equal(leaf.grad, expected[name]), name)

    def test_facelift_under_autocast_computes_in_f32(self):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            image, _ = common.render(splats())
        self.assertEqual(image.dtype, torch.float32)
        self.assertTrue(torch.equal(image, self.reference[0]))

    def test_lgm_gets_color_radii_depth_alpha(self):
        i = splats()
        colors = torch.rand(40, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()
        rasterizer = GaussianRasterizer(raster_settings=settings(degree=0, bg=(1.0, 1.0, 1.0)))
        rasterizer.outputs = 4
        image, radii, depth, alpha = rasterizer(
            means3D=i["means3D"], means2D=torch.zeros_like(i["means3D"]), shs=None, colors_precomp=colors,
            opacities=i["opacities"], scales=i["scales"], rotations=i["rotations"], cov3D_precomp=None)
        self.assertEqual([tuple(t.shape) for t in (image, radii, depth, alpha)],
                         [(3, HEIGHT, WIDTH), (40,), (1, HEIGHT, WIDTH), (1, HEIGHT, WIDTH)])
        self.assertTrue(bool((alpha > 0.5).any()) and bool((alpha <= 1.0).all()))
        black = GaussianRasterizer(settings(degree=0, bg=(0.0, 0.0, 0.0)))(
            means3D=i["means3D"], means2D=None, colors_precomp=colors, opacities=i["opacities"], scales=i["scales"],
            rotations=i["rotations"])[0]
        # White shows through where alpha is under 1.
        self.assertLess((image - black - (1 - alpha)).abs().max(), 1e-5)
        (image.sum() + depth.sum() + alpha.sum()).backward()
        for t in (i["means3D"], colors, i["opacities"]):
            self.assertGreater(t.grad.abs().max(), 0.0)

    def test_pixelsplat_passes_covariances_positional_settings_and_transposed_tensors(self):
        i = splats(coeffs=25)
        half = torch.nn.functional.normalize(i["rotations"].detach(), dim=-1)
        w, x, y, z = half.unbind(-1)
        rotation = torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
                                2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
                                2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1).view(-1, 3, 3)
        spread = rotation * i["scales"].detach()[:, None, :]
        covariances = (spread @ spread.transpose(1, 2)).requires_grad_()
        row, column = torch.triu_indices(3, 3)
        fov = torch.tensor([TAN, TAN * HEIGHT / WIDTH])
        view = torch.eye(4)[None].transpose(-1, -2)
        setting = GaussianRasterizationSettings(
            HEIGHT, WIDTH, fov[0], fov[1], torch.tensor([0.1, 0.2, 0.3]), 1.0, view[0], projection(), 4,
            torch.eye(4)[:3, 3], False, False)
        # Stored [P,3,M], passed [P,M,3]: not contiguous.
        stored = i["shs"].detach().transpose(1, 2).contiguous().requires_grad_()
        means2d = torch.zeros_like(i["means3D"], requires_grad=True)
        image, radii = GaussianRasterizer(setting)(
            means3D=i["means3D"], means2D=means2d, shs=stored.transpose(1, 2), colors_precomp=None,
            opacities=i["opacities"][..., None].squeeze(-1), cov3D_precomp=covariances[:, row, column])
        same = dict(i, shs=i["shs"].detach(), rotations=half)
        by_scales = common.render(same, settings(degree=3))
        self.assertLess((image - by_scales[0]).abs().max(), 1e-4)
        self.assertLessEqual(int((radii - by_scales[1]).abs().max()), 1)
        image.sum().backward()
        self.assertEqual(stored.grad.shape, (40, 3, 25))
        self.assertGreater(covariances.grad.abs().max(), 0.0)
        self.assertEqual(stored.grad[:, :, 16:].abs().max(), 0.0, "degree 4 counts as 3")

    def test_splatam_passes_batched_matrices_and_no_debug(self):
        i = splats()
        proj = projection()[None].clone()
        proj[0, 2, 0] += 0.1  # the principal point is off the centre
        setting = GaussianRasterizationSettings(
            image_height=HEIGHT, image_width=WIDTH, tanfovx=TAN, tanfovy=TAN * HEIGHT / WIDTH, bg=torch.zeros(3),
            scale_modifier=1.0, viewmatrix=torch.eye(4)[None], projmatrix=proj, sh_degree=0, campos=torch.zeros(3),
            prefiltered=False)
        rasterizer = GaussianRasterizer(raster_settings=setting)
        rasterizer.outputs = "color,radii,depth"
        image, _radii, depth = rasterizer(
            means3D=i["means3D"], means2D=i["means2D"], colors_precomp=torch.ones(40, 3), opacities=i["opacities"],
            scales=i["scales"][:, :1].tile((1, 3)), rotations=i["rotations"])
        i["means2D"].retain_grad()
        image.sum().backward()
        self.assertEqual(i["means2D"].grad.shape, (40, 3))
        self.assertEqual(i["means2D"].grad[:, 2].abs().max(), 0.0)
        self.assertGreater(i["means2D"].grad.abs().max(), 0.0)
        self.assertGreater(depth.max(), 1.0)
        centred = GaussianRasterizer(setting._replace(projmatrix=projection()))
        other = centred(means3D=i["means3D"], means2D=None, colors_precomp=torch.ones(40, 3),
                        opacities=i["opacities"], scales=i["scales"][:, :1].tile((1, 3)), rotations=i["rotations"])
        self.assertEqual(len(other), 2)
        self.assertGreater((image - other[0]).abs().max(), 1e-2, "the principal point moves the image")

    def test_the_3dgs_trainer_gets_inverse_depth_and_may_split_the_sh(self):
        i = splats()
        setting = settings(degree=3, antialiasing=False)
        screen = torch.zeros_like(i["means3D"], requires_grad=True) + 0
        screen.retain_grad()
        image, radii, inverse = GaussianRasterizer(raster_settings=setting)(
            means3D=i["means3D"], means2D=screen, shs=i["shs"], colors_precomp=None, opacities=i["opacities"],
            scales=i["scales"], rotations=i["rotations"], cov3D_precomp=None)
        self.assertTrue(torch.equal(image, self.reference[0]))
        (image.sum() + inverse.sum()).backward()
        visible = radii > 0
        self.assertGreater(screen.grad[visible, :2].norm(dim=-1).min(), 0.0)
        dc, rest = i["shs"][:, :1], i["shs"][:, 1:]
        split = GaussianRasterizer(raster_settings=setting)(
            means3D=i["means3D"], means2D=screen, dc=dc, shs=rest, opacities=i["opacities"], scales=i["scales"],
            rotations=i["rotations"])
        self.assertTrue(torch.equal(split[0], image))
        whole = i["shs"].grad.clone()
        i["shs"].grad = None
        (split[0].sum() + split[2].sum()).backward()
        self.assertTrue(torch.equal(i["shs"].grad, whole))
        seen = GaussianRasterizer(raster_settings=setting).markVisible(i["means3D"])
        self.assertEqual(seen.dtype, torch.bool)
        self.assertTrue(torch.equal(seen, i["means3D"][:, 2] > 0.2))

    def test_the_function_takes_the_original_s_order_with_empty_tensors(self):
        i, e = splats(), torch.Tensor([])
        out = rasterize_gaussians(i["means3D"], i["means2D"], i["shs"], e, i["opacities"], i["scales"], i["rotations"],
                                  e, settings(degree=3))
        self.assertEqual(len(out), 2)
        self.assertTrue(torch.equal(out[0], self.reference[0]))


if __name__ == "__main__":
    unittest.main()
