"""Callers of the forks: each is written as its programs write the call, and gets its own outputs by their meaning, with
gradients that are the slopes of what was rendered.
"""

import os
import sys
import unittest
import warnings
from unittest import mock

import common
import torch
from common import GaussianRasterizationSettings, GaussianRasterizer, HEIGHT, TAN, WIDTH, projection, settings, weights

from diff_gaussian_rasterization import ForkError, _abi, _call, _engine, _forks, _outputs, _render

GEOMETRY = ("means3D", "shs", "opacities", "scales", "rotations")


def single(z=2.5):
    """One Gaussian in the middle of the image."""
    inputs = {n: t.detach()[:1].clone() for n, t in common.smooth().items()}
    inputs["means3D"][:] = torch.tensor([0.0, 0.0, z])
    return inputs


class Case(unittest.TestCase):
    def check_slopes(self, call, inputs, names, tolerance=0.02):
        """`call(inputs)` gives images; along a random direction of each input the gradient must be the slope."""
        def loss(values):
            return sum((o.double() * weights(*o.shape, seed=20 + i)).sum() for i, o in enumerate(call(values)))

        leaves = {n: t.detach().clone().requires_grad_(n in names) for n, t in inputs.items()}
        grads = dict(zip(names, torch.autograd.grad(loss(leaves), [leaves[n] for n in names])))
        for seed, name in enumerate(names):
            value, grad = inputs[name].detach(), grads[name].double()
            # Mostly along the gradient: elsewhere the slope may be a difference of large numbers.
            along = grad / grad.norm() + 0.5 * torch.nn.functional.normalize(
                weights(*value.shape, seed=seed).double().flatten(), dim=0).reshape(value.shape)
            self.assertGreater(grad.norm().item(), 0.0, name)
            step = 2e-3 * max(value.double().norm().item(), 1.0) / along.norm().item()
            with torch.no_grad():
                ends = [loss(dict(inputs, **{name: (value.double() + s * step * along).float()})) for s in (1, -1)]
            slope = ((ends[0] - ends[1]) / (2 * step)).item()
            expected = (grad * along).sum().item()
            self.assertLess(abs(slope - expected) / abs(expected), tolerance, name)

    def same(self, a, b, most=1e-5):
        self.assertEqual(a.shape, b.shape)
        self.assertLess((a.detach() - b.detach()).abs().max().item(), most)


def call(inputs, setting, **more):
    """As most programs write it."""
    rasterizer = GaussianRasterizer(raster_settings=setting)
    return rasterizer(means3D=inputs["means3D"], means2D=inputs["means2D"], shs=inputs["shs"], colors_precomp=None,
                      opacities=inputs["opacities"], scales=inputs["scales"], rotations=inputs["rotations"],
                      cov3D_precomp=None, **more)


class Depths(Case):
    """Forks that differ in how many outputs they have, and in what the third one is."""

    def test_graphdeco_2023_unpacks_two(self):
        def images(values):
            color, radii = call(values, settings(degree=3))
            self.assertEqual(radii.dtype, torch.int32)
            return [color]
        self.check_slopes(images, common.smooth(), GEOMETRY)

    def test_dr_aa_unpacks_inverse_depth(self):
        def images(values):
            color, _radii, inverse = call(values, settings(degree=3, antialiasing=True))
            return [color, inverse]
        self.check_slopes(images, common.smooth(), GEOMETRY)
        color, radii = call(single(), settings(degree=3, antialiasing=False))
        _color, _radii, inverse = call(single(), settings(degree=3, antialiasing=False))
        _, _, _, alpha = call(single(), settings(degree=3))
        self.same(inverse, alpha / 2.5)

    def test_ashawkey_unpacks_depth_and_alpha(self):
        def images(values):
            color, _radii, depth, alpha = call(values, settings(degree=3))
            return [color, depth, alpha]
        self.check_slopes(images, common.smooth(), GEOMETRY)
        _color, _radii, depth, alpha = call(single(), settings(degree=3))
        self.same(depth, 2.5 * alpha)
        self.assertGreater(alpha.max().item(), 0.1)

    def splatam(self, values):
        """Eleven fields: no debug, no antialiasing."""
        setting = GaussianRasterizationSettings(
            image_height=HEIGHT, image_width=WIDTH, tanfovx=TAN, tanfovy=TAN * HEIGHT / WIDTH, bg=torch.zeros(3),
            scale_modifier=1.0, viewmatrix=torch.eye(4)[None], projmatrix=projection()[None], sh_degree=0,
            campos=torch.zeros(3), prefiltered=False)
        im, radius, depth, = GaussianRasterizer(raster_settings=setting)(
            means3D=values["means3D"], colors_precomp=values["shs"][:, 0].abs(), rotations=values["rotations"],
            opacities=values["opacities"], scales=values["scales"], means2D=values["means2D"])
        self.assertEqual(tuple(radius.shape), (len(values["means3D"]),))
        return im, depth

    def test_splatam_s_third_output_is_depth_and_not_its_inverse(self):
        self.check_slopes(self.splatam, common.smooth(), GEOMETRY)
        for chosen in ("", "3", "4"):
            with mock.patch.dict(os.environ, DGR_OUTPUTS=chosen):
                near, far = (self.splatam(single(z))[1].max().item() for z in (2.5, 4.0))
                self.assertGreater(far, 1.2 * near)

    def test_deformable_3dgs_densifies_by_absolute_gradients(self):
        inputs = common.smooth()
        densify = torch.zeros_like(inputs["means3D"], requires_grad=True)
        color, radii, depth = call(inputs, settings(degree=3), means2D_densify=densify)
        (color * weights(*color.shape)).sum().backward()
        absolute = torch.zeros(8, 4, requires_grad=True)
        again = dict(inputs, means2D=absolute)
        color, _radii = call(again, settings(degree=3))
        (color * weights(*color.shape)).sum().backward()
        self.assertTrue(torch.equal(densify.grad[:, :2], absolute.grad[:, 2:]))
        self.assertEqual(densify.grad[:, 2].abs().max().item(), 0.0)
        self.same(depth, call(inputs, settings(degree=3), means2D_densify=densify)[2])

        def images(values):
            color, _radii, depth = call(values, settings(degree=3), means2D_densify=torch.zeros(8, 3))
            return [color, depth]
        self.check_slopes(images, inputs, GEOMETRY)


class Poses(Case):
    """The slopes along theta and rho are checked in test_more.py."""

    def monogs(self, **more):
        return settings(degree=3, projmatrix_raw=projection(), **more)

    def test_monogs_unpacks_five(self):
        inputs = common.smooth()
        theta, rho = (torch.zeros(3, requires_grad=True) for _ in range(2))
        image, radii, depth, opacity, touched = call(inputs, self.monogs(), theta=theta, rho=rho)
        self.assertEqual((tuple(opacity.shape), touched.dtype), ((1, HEIGHT, WIDTH), torch.int32))
        (image.sum() + depth.sum()).backward()
        self.assertGreater(theta.grad.norm().item() + rho.grad.norm().item(), 0.0)

    def test_w_pose_is_known_by_its_settings_alone_and_by_their_order(self):
        inputs = common.smooth()
        self.assertEqual(len(call(inputs, self.monogs())), 5)
        self.assertEqual(len(call(inputs, self.monogs(), theta=None, rho=None)), 5)
        image, radii, depth, opacity, touched = call(inputs, self.monogs())
        s = settings(degree=3)
        by_place = GaussianRasterizationSettings(*s[:8], projection(), *s[8:12])
        self.assertEqual((by_place.sh_degree, by_place.debug), (3, False))
        self.same(call(inputs, by_place)[0], image)
        self.assertEqual(len(call(inputs, by_place)), 5)


class Mip(Case):
    """mip-splatting: TRELLIS and sam-3d-objects pass kernel_size 0.1 and an offset of zeros."""

    def mip(self, kernel, offset=None, **more):
        offset = torch.zeros(HEIGHT, WIDTH, 2) if offset is None else offset
        return settings(degree=3, kernel_size=kernel, subpixel_offset=offset, **more)

    def small(self):
        """Gaussians of about a pixel, where the filter matters."""
        inputs = {n: t.detach().clone() for n, t in common.splats(count=60, seed=4).items()}
        inputs["scales"] *= 0.2
        return {n: t.requires_grad_() for n, t in inputs.items()}

    def test_the_engine_s_dilation_as_kernel_is_antialiasing(self):
        inputs = self.small()
        for values, width in ((inputs, WIDTH), (inputs, 37)):
            color, radii = call(values, self.mip(0.3, torch.zeros(2), width=width))
            expected = call(values, settings(degree=3, antialiasing=True, width=width))
            self.same(color, expected[0])
            self.assertTrue(torch.equal(radii, expected[1]))
        # Of the geometry the engine gives the original's formula, which for this factor is not the derivative.
        ours = common.gradients(inputs, call(inputs, self.mip(0.3))[:1])
        theirs = common.gradients(inputs, call(inputs, settings(degree=3, antialiasing=True))[:1])
        for name in ("shs", "opacities", "means2D"):
            a, b = ours[name][..., :2], theirs[name][..., :2]
            self.assertLess(((a - b).norm() / b.norm()).item(), 1e-4, name)

    def test_one_gaussian_is_the_filter_s_formula(self):
        for kernel, size in ((0.1, 0.02), (0.0, 0.1), (0.2, 0.05)):
            inputs = single(2.0)
            inputs["scales"][:] = torch.tensor([size, 2 * size, size])
            inputs["rotations"][:] = torch.tensor([1.0, 0.0, 0.0, 0.0])
            inputs["opacities"][:] = 0.8
            focal = WIDTH / 2 / TAN
            spread = torch.tensor([size, 2 * size]) ** 2 * (focal / 2.0) ** 2
            dilated = spread + kernel
            peak = 0.8 * (spread.prod() / dilated.prod()).sqrt()
            y, x = torch.meshgrid(torch.arange(HEIGHT) - (HEIGHT - 1) / 2, torch.arange(WIDTH) - (WIDTH - 1) / 2,
                                  indexing="ij")
            expected = peak * torch.exp(-0.5 * (x * x / dilated[0] + y * y / dilated[1]))
            expected[expected < 1 / 255] = 0
            _color, _radii, _depth, alpha = call(inputs, self.mip(kernel))
            near = (x.abs() < 2 * dilated[0].sqrt() + 1) & (y.abs() < 2 * dilated[1].sqrt() + 1)
            self.assertLess(((alpha[0] - expected).abs() * near).max().item(), 1e-4, kernel)

    def test_gradients_are_slopes(self):
        inputs = common.smooth()
        with torch.no_grad():
            inputs["scales"].mul_(0.5)
        def images(values):
            color, _radii = call(values, self.mip(0.1))
            return [color]
        self.check_slopes(images, inputs, GEOMETRY)
        # One of a pixel's size, where the filter takes half of the opacity; the window leaves out its rim.
        one = single(2.0)
        one["scales"][:] = torch.tensor([0.02, 0.03, 0.025])
        self.check_slopes(lambda values: [call(values, self.mip(0.1))[0][:, 13:17, 18:22]], one, GEOMETRY)

    def test_poses_half_precision_and_colours_beside_the_filter(self):
        inputs = common.smooth()
        poses = []
        for more in (dict(kernel_size=0.3), dict(antialiasing=True)):
            theta, rho = (torch.zeros(3, requires_grad=True) for _ in range(2))
            color = call(inputs, settings(degree=3, **more), theta=theta, rho=rho)[0]
            (color * weights(*color.shape)).sum().backward()
            poses.append(torch.cat([theta.grad, rho.grad]))
        self.assertLess(((poses[0] - poses[1]).norm() / poses[1].norm()).item(), 5e-3)
        half = {n: t.detach().bfloat16().requires_grad_() for n, t in inputs.items()}
        color, _radii = call(half, self.mip(0.1))
        color.sum().backward()
        self.assertEqual((color.dtype, half["scales"].grad.dtype), (torch.float32, torch.bfloat16))
        wide = {n: t.detach() for n, t in inputs.items() if n != "shs"}
        setting = self.mip(0.1, bg=(0.5,) * 5)
        image, _radii = GaussianRasterizer(setting)(colors_precomp=torch.ones(8, 5), **wide)
        _color, _radii, _depth, alpha = GaussianRasterizer(self.mip(0.1))(colors_precomp=torch.ones(8, 3), **wide)
        self.same(image, (0.5 + 0.5 * alpha).expand(5, -1, -1))
        # A caller that asks for both compensations gets one.
        self.same(call(inputs, self.mip(0.3, antialiasing=True))[0], call(inputs, self.mip(0.3))[0], 0.0 + 1e-7)

    def test_an_offset_moves_the_pixels(self):
        inputs = self.small()
        dx, dy = 0.25, -0.4
        color, radii = call(inputs, self.mip(0.3, torch.tensor([dx, dy]).expand(HEIGHT, WIDTH, 2)))
        moved = projection().clone()
        moved[2, 0] -= 2 * dx / WIDTH
        moved[2, 1] -= 2 * dy / HEIGHT
        expected = call(inputs, settings(degree=3, antialiasing=True, projmatrix=moved))
        self.same(color, expected[0], 1e-4)
        with self.assertRaisesRegex(ForkError, "`subpixel_offset` differs by up to .*\nhint: "):
            call(inputs, self.mip(0.1, torch.rand(HEIGHT, WIDTH, 2)))
        with self.assertRaisesRegex(ForkError, "`kernel_size` is 0.5.*\nhint: "):
            call(inputs, self.mip(0.5))

    def test_the_third_column_of_means2d_is_the_sum_of_absolute_gradients(self):
        inputs = common.smooth()
        color, _radii = call(inputs, self.mip(0.3))
        (color * weights(*color.shape)).sum().backward()
        wide = dict(inputs, means2D=torch.zeros(8, 4, requires_grad=True))
        color = call(wide, settings(degree=3, antialiasing=True))[0]
        (color * weights(*color.shape)).sum().backward()
        expected = wide["means2D"].grad
        self.same(inputs["means2D"].grad[:, 2], expected[:, 2:].sum(1), 2e-3 * expected.max().item())

    def test_places_of_its_fields_and_no_gaussians(self):
        s = settings(degree=3)
        by_place = GaussianRasterizationSettings(*s[:4], 0.1, torch.zeros(HEIGHT, WIDTH, 2), *s[4:12])
        self.assertEqual((by_place.kernel_size, by_place.sh_degree), (0.1, 3))
        none = {n: t.detach()[:0].requires_grad_() for n, t in common.smooth().items()}
        color, radii = call(none, by_place)
        self.assertEqual((color[:, 0, 0] - s.bg).abs().max().item(), 0.0)
        color.sum().backward()
        with torch.no_grad():
            color, radii = call(common.smooth(), by_place)
        self.assertFalse(color.requires_grad)


class Densification(Case):
    def test_scaffold_gs_filters_by_the_radius_of_the_render(self):
        inputs = common.splats(count=80, seed=2)
        with torch.no_grad():
            inputs["means3D"][:9, 2] *= -1
            inputs["means3D"][9:12, 0] += 50
        rasterizer = GaussianRasterizer(settings(degree=3))
        radii_pure = rasterizer.visible_filter(means3D=inputs["means3D"], scales=inputs["scales"],
                                               rotations=inputs["rotations"], cov3D_precomp=None)
        color, radii = rasterizer(**inputs)
        self.assertTrue(torch.equal(radii_pure, radii))
        self.assertEqual(int((radii == 0).sum()), 12)
        color.sum().backward()
        self.assertGreater(inputs["means3D"].grad.norm().item(), 0.0)
        self.assertEqual(rasterizer.visible_filter(torch.zeros(0, 3), torch.zeros(0, 3), torch.zeros(0, 4)).numel(), 0)

    def test_absgs_sums_absolute_gradients_over_the_pixels(self):
        inputs, small = common.smooth(), settings(width=8, height=6, degree=3)
        upstream = weights(3, 6, 8)
        leaf = torch.zeros(8, 4, requires_grad=True)
        # As trainers make it: not a leaf.
        screen = leaf + 0
        screen.retain_grad()
        color, _radii = call(dict(inputs, means2D=screen), small)
        (color * upstream).sum().backward()
        plain = torch.zeros(8, 3, requires_grad=True)
        image, _radii = call(dict(inputs, means2D=plain), small)
        each = torch.stack([torch.autograd.grad((image * upstream)[:, y, x].sum(), plain, retain_graph=True)[0]
                            for y in range(6) for x in range(8)])
        size = each.abs().sum(0).max().item()
        self.same(screen.grad[:, :2], each.sum(0)[:, :2], 1e-4 * size)
        self.same(screen.grad[:, 2:], each.abs().sum(0)[:, :2], 1e-4 * size)

    def test_fastgs_under_its_own_name(self):
        from diff_gaussian_rasterization_fastgs import GaussianRasterizationSettings as Settings
        from diff_gaussian_rasterization_fastgs import GaussianRasterizer as Rasterizer
        inputs = common.splats()

        def render(values, flag=None, marks=None):
            setting = Settings(image_height=HEIGHT, image_width=WIDTH, tanfovx=TAN, tanfovy=TAN * HEIGHT / WIDTH,
                               bg=torch.zeros(3), scale_modifier=1.0, viewmatrix=torch.eye(4), projmatrix=projection(),
                               sh_degree=3, campos=torch.zeros(3), mult=0.5, prefiltered=False, debug=False,
                               get_flag=flag, metric_map=torch.zeros(HEIGHT * WIDTH, dtype=torch.int) if marks is None
                               else marks)
            image, radii, counts = Rasterizer(raster_settings=setting)(
                means3D=values["means3D"], means2D=values["means2D"], dc=values["shs"][:, :1], shs=values["shs"][:, 1:],
                colors_precomp=None, opacities=values["opacities"], scales=values["scales"],
                rotations=values["rotations"], cov3D_precomp=None)
            return image, radii, counts

        image, radii, counts = render(inputs)
        self.same(image, common.render(inputs, settings(degree=3, bg=(0.0, 0.0, 0.0)))[0], 0.0 + 1e-7)
        self.assertEqual((counts.dtype, int(counts.abs().max()), tuple(counts.shape)), (torch.int32, 0, (40,)))
        marks = (torch.arange(HEIGHT * WIDTH) % WIDTH < WIDTH // 2).int()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            _image, _radii, half = render(inputs, True, marks)
            _image, _radii, whole = render(inputs, True, torch.ones_like(marks).reshape(HEIGHT, WIDTH))
        self.assertIn("rounded up", str(said[0].message))
        rasterizer = GaussianRasterizer(settings(degree=3))
        rasterizer.outputs = "touched"
        self.assertTrue(torch.equal(whole, rasterizer(**inputs)[0]))
        self.assertTrue(bool((half <= whole).all()) and 0 < int(half.sum()) < int(whole.sum()))
        self.check_slopes(lambda values: render(values)[:1], common.smooth(), GEOMETRY)


class Features(Case):
    def features(self, count, shape):
        return weights(8, count, seed=9).reshape(shape)

    def as_colours(self, inputs, features):
        """The image of features, three at a time, as colours over black; the original clamps none of them."""
        images = []
        for start in range(0, features.shape[1], 3):
            part = torch.nn.functional.pad(features[:, start:start + 3], (0, max(0, start + 3 - features.shape[1])))
            rest = {n: t for n, t in inputs.items() if n != "shs"}
            images.append(GaussianRasterizer(settings(bg=(0.0, 0.0, 0.0)))(colors_precomp=part, **rest)[0])
        return torch.cat(images)[:features.shape[1]]

    def test_feature_3dgs_langsplat_and_gaussian_grouping_in_their_orders(self):
        inputs = {n: t.detach() for n, t in common.smooth().items()}
        for count in (16, 70, 130):
            values = self.features(count, (8, 1, count))
            expected = self.as_colours(inputs, values[:, 0])
            image, feature_map, radii, depth = call(inputs, settings(degree=3), semantic_feature=values)
            self.same(feature_map, expected)
            self.same(depth, common.render(inputs, settings(degree=3))[2])
            self.same(image, common.render(inputs, settings(degree=3))[0])
        image, radii, objects = call(inputs, settings(degree=3), sh_objs=values[..., :16])
        self.same(objects, expected[:16])
        image, radii, objects, depth = call(inputs, settings(degree=3), sh_objs=values[..., :16])
        self.assertEqual((radii.dtype, depth.shape[0]), (torch.int32, 1))
        image, language, radii = call(inputs, settings(degree=3, include_feature=True),
                                      language_feature_precomp=values[:, 0, :3])
        self.same(language, expected[:3])

    def test_an_engine_that_reads_no_strides_gets_dense_features(self):
        inputs = {n: t.detach() for n, t in common.smooth().items()}
        engine, forward, seen = _engine.engine("cpu"), _call.forward, []

        def watched(engine, scene, *rest):
            seen.append(all(t.is_contiguous() for t in scene.values()))
            return forward(engine, scene, *rest)

        values = self.features(140, (8, 1, 140))
        expected = call(inputs, settings(degree=3), semantic_feature=values)[1]
        with mock.patch.object(engine, "features", engine.features & ~_abi.STRIDED_INPUTS), \
                mock.patch.object(_call, "forward", watched):
            out = call(inputs, settings(degree=3), semantic_feature=values[..., ::2].repeat_interleave(2, dim=-1))
            again = call(inputs, settings(degree=3), semantic_feature=values.transpose(0, 2).contiguous().transpose(0, 2))
        self.assertEqual((len(seen), all(seen), out[1].shape[0]), (6, True, 140))
        self.same(again[1], expected)

    def test_callers_that_pass_no_features_get_zeros(self):
        inputs = common.smooth()
        image, language, radii = call(inputs, settings(degree=3, include_feature=False),
                                      language_feature_precomp=torch.zeros((1,)))
        self.assertEqual((tuple(language.shape), float(language.abs().max())), ((3, HEIGHT, WIDTH), 0.0))
        image, radii, objects = call(inputs, settings(degree=3), sh_objs=None)
        self.assertEqual(tuple(objects.shape), (16, HEIGHT, WIDTH))
        none = {n: t.detach()[:0].requires_grad_() for n, t in inputs.items()}
        features = torch.zeros(0, 1, 5, requires_grad=True)
        image, radii, objects = call(none, settings(degree=3), sh_objs=features)
        self.assertEqual(tuple(objects.shape), (5, HEIGHT, WIDTH))
        objects.sum().backward()
        for wrong in (torch.zeros(7, 1, 4), torch.zeros(8, 2, 4)):
            with self.assertRaisesRegex(ValueError, "`semantic_feature` is .*P = 8.*\nhint: "):
                call(inputs, settings(degree=3), semantic_feature=wrong)
        with self.assertRaisesRegex(ValueError, "`semantic_feature`.*\nhint: "):
            call(inputs, settings(degree=3), semantic_feature=None)

    def test_gradients_are_slopes(self):
        for keyword, count in (("semantic_feature", 6), ("sh_objs", 70), ("language_feature_precomp", 3)):
            inputs = dict(common.smooth(), features=self.features(count, (8, count)))

            def images(values):
                values = dict(values)
                features = values.pop("features")
                out = call(values, settings(degree=3), **{keyword: features})
                return [o for o in out if o.is_floating_point()]
            self.check_slopes(images, inputs, GEOMETRY + ("features",))

    def test_absolute_gradients_are_those_of_the_colours_beside_features(self):
        found = []
        for more in ({}, dict(semantic_feature=self.features(70, (8, 70)))):
            inputs = dict(common.smooth(), means2D=torch.zeros(8, 4, requires_grad=True))
            out = call(inputs, settings(degree=3), **more)
            images = [o for o in out if o.dim() == 3 and o.requires_grad]
            (images[0] * weights(*images[0].shape)).sum().backward(retain_graph=True)
            found.append(inputs["means2D"].grad.clone())
            if more:
                self.same(images[1], self.as_colours({n: t.detach() for n, t in inputs.items()}, more["semantic_feature"]))
                images[1].sum().backward()
                self.assertTrue(torch.equal(inputs["means2D"].grad[:, 2:], found[1][:, 2:]))
                self.assertFalse(torch.equal(inputs["means2D"].grad[:, :2], found[1][:, :2]))
        self.same(*found)

    def test_features_beside_the_mip_filter(self):
        inputs = dict(common.smooth(), features=self.features(5, (8, 5)))

        def images(values, **more):
            values = dict(values)
            features = values.pop("features")
            image, feature_map, radii = call(values, settings(degree=3, **more), semantic_feature=features)
            return [image, feature_map]
        self.check_slopes(lambda v: images(v, kernel_size=0.1), inputs, GEOMETRY + ("features",))
        for ours, theirs in zip(images(inputs, kernel_size=0.3), images(inputs, antialiasing=True)):
            self.same(ours, theirs)

    def test_colours_of_any_width_over_a_background_as_wide(self):
        inputs = common.smooth()
        rest = {n: t for n, t in inputs.items() if n != "shs"}
        colours = self.features(16, (8, 16)).requires_grad_()
        bg = weights(16, seed=2)
        image, radii = GaussianRasterizer(settings(bg=bg.tolist()))(colors_precomp=colours, **rest)
        for start in (0, 3, 12):
            three = GaussianRasterizer(settings(bg=bg[start:start + 3].tolist()))(
                colors_precomp=colours[:, start:start + 3], **rest)[0]
            self.same(image[start:start + 3], three)
        self.check_slopes(lambda v: [GaussianRasterizer(settings(bg=bg.tolist()))(**v)[0]],
                          dict(rest, colors_precomp=colours), ("means3D", "opacities", "scales", "colors_precomp"))
        with self.assertRaisesRegex(ValueError, "`bg` of the settings is .3., but it has 16 numbers\nhint: "):
            GaussianRasterizer(settings())(colors_precomp=colours, **rest)


class Recognition(Case):
    def setUp(self):
        self.inputs = {n: t.detach() for n, t in common.smooth().items()}

    def refused(self, words, action):
        with self.assertRaises(ForkError) as caught:
            action()
        lines = str(caught.exception).split("\n")
        self.assertEqual((len(lines), lines[1][:6]), (2, "hint: "), lines)
        for word in words:
            self.assertIn(word, lines[0])
        # Programs that try a keyword catch the one, those that unpack the other.
        self.assertIsInstance(caught.exception, TypeError)
        self.assertIsInstance(caught.exception, ValueError)

    def test_keywords_of_forks_that_are_not_served_name_them(self):
        self.refused(["`compute_grad_cov2d`", "iComMa"], lambda: settings(compute_grad_cov2d=True))
        self.refused(["`depths_condition`", "HAHA"], lambda: call(self.inputs, settings(degree=3), depths_condition=None))
        self.refused(["`extra_attrs`", "slothfulxtx"], lambda: call(
            self.inputs, settings(degree=3), extra_attrs=torch.zeros(8, 3)))
        self.refused(["`view2gaussian_precomp`", "Gaussian Opacity Fields"], lambda: call(
            self.inputs, settings(degree=3), view2gaussian_precomp=None))
        self.refused(["`flavour`", "no fork"], lambda: settings(flavour=1))
        self.refused(["`flavour`", "no fork"], lambda: call(self.inputs, settings(degree=3), flavour=1))

    def test_a_number_of_outputs_that_the_fork_does_not_have_is_named_where_it_is_unpacked(self):
        def six():
            a, b, c, d, e, f = call(self.inputs, settings(degree=3))

        def four():
            a, b, c, d = call(self.inputs, settings(degree=3, antialiasing=True))
        self.refused(["unpacks 6", "graphdeco 2023", "2, 3, 4 or 5"], six)
        self.refused(["unpacks 4", "dr_aa", "`antialiasing`", "2 or 3"], four)
        with mock.patch.dict(os.environ, DGR_OUTPUTS="color,radii,depth,alpha,touched,invdepth"):
            six()
        with mock.patch.dict(os.environ, DGR_OUTPUTS="color,radii,depth,alpha"):
            four()

    def test_the_unpacking_counts_before_the_variable_s_number(self):
        with mock.patch.dict(os.environ, DGR_OUTPUTS="4"):
            color, radii = call(self.inputs, settings(degree=3))
            out = call(self.inputs, settings(degree=3))
        self.assertEqual(len(out), 4)
        self.assertEqual(len(list(out)), 4)

    def test_every_way_to_take_outputs(self):
        out = call(self.inputs, settings(degree=3))
        self.assertIsInstance(out, tuple)
        self.assertEqual((len(out), len(list(out)), len([*out]), len(tuple(out)), len(out[:2])), (2,) * 5)
        color, *rest = out
        self.assertEqual(len(rest), 1)
        self.assertTrue(torch.equal(out[0], color))
        self.assertEqual(tuple(out[3].shape), (1, HEIGHT, WIDTH))
        with self.assertRaises(IndexError):
            out[9]
        (color, radii, depth), other = out, 1
        for color, radii, depth, alpha in [out]:
            self.same(depth, out[2])
        import copy
        import pickle
        self.assertIs(type(pickle.loads(pickle.dumps(out))), tuple)
        self.assertEqual(len(copy.deepcopy(out)), 2)

    def test_unpacking_is_read_under_tracers_and_in_code_that_python_has_specialised(self):
        fork, place = _forks.PLAIN, []

        def deliver():
            return _outputs.deliver(lambda names: {n: n for n in names}, fork, fork.usual)

        def often():
            for _ in range(60):
                (a, b), (c, d, e), (f, g, h, i) = deliver(), deliver(), deliver()
                place.append((e, h, i))
        often()
        sys.settrace(lambda *_: lambda *_: None)
        try:
            often()
        finally:
            sys.settrace(None)
        self.assertEqual(set(place), {("depth", "depth", "alpha")})

    def test_what_is_unpacked_at_once_is_rendered_once_and_what_is_unpacked_later_is_rendered_then(self):
        counted = mock.Mock(side_effect=_render.Render.__call__, autospec=True)

        def render():
            return GaussianRasterizer(settings(degree=3))(**common.smooth())

        with mock.patch.object(_render.Render, "__call__", lambda *a: counted(*a)):
            color, radii, depth, alpha = GaussianRasterizer(raster_settings=settings(degree=3))(
                **common.smooth())
            self.assertEqual(counted.call_count, 1)
            color, radii, depth, alpha = render()
            self.assertEqual(counted.call_count, 3)
            color, radii = render()
            self.assertEqual(counted.call_count, 4)
        # Gradients of two renders add up to those of one.
        inputs = common.smooth()
        out = call(inputs, settings(degree=3))
        color, radii, depth = out
        self.assertIs(out[0], color)
        apart = common.gradients(inputs, (color, depth))
        rasterizer = GaussianRasterizer(settings(degree=3))
        rasterizer.outputs = "color,depth"
        for name, grad in common.gradients(inputs, rasterizer(**inputs)).items():
            self.assertLess((apart[name] - grad).abs().max().item(), 1e-4 * grad.abs().max().item() + 1e-12, name)

    def test_checkpoints_render_again_as_they_did(self):
        from torch.utils.checkpoint import checkpoint
        inputs = common.smooth()
        names = list(inputs)

        def near(*tensors):
            color, _radii, depth, alpha = GaussianRasterizer(settings(degree=3))(**dict(zip(names, tensors)))
            return color.sum() + depth.sum() + alpha.sum()

        def far(*tensors):
            color, _radii, depth, alpha = call(dict(zip(names, tensors)), settings(degree=3))
            return color.sum() + depth.sum() + alpha.sum()

        for work in (near, far):
            expected = torch.autograd.grad(work(*inputs.values()), list(inputs.values()))
            for reentrant in (False, True):
                got = dict(inputs)
                for t in inputs.values():
                    t.grad = None
                checkpoint(work, *got.values(), use_reentrant=reentrant).backward()
                for t, grad in zip(inputs.values(), expected):
                    self.assertLess((t.grad - grad).abs().max().item(), 1e-5 * grad.abs().max().item() + 1e-12)

    def test_every_fork_of_the_table_is_in_the_documentation(self):
        readme = common.PACKAGES / "README.md"
        if not readme.exists():
            self.skipTest("no README beside the tests")
        text = readme.read_text(encoding="utf-8")
        for fork in _forks.SERVED:
            for name in fork.name.split(", "):
                self.assertIn(name, text)
            for keyword in fork.keywords:
                self.assertIn("`{}`".format(keyword), text)
        self.assertIn("diff_surfel_rasterization", text)


if __name__ == "__main__":
    unittest.main()
