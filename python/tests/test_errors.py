"""What goes wrong: every error is one sentence and a hint that name the input or the file; nothing ever crashes."""

import os
import pathlib
import shutil
import tempfile
import unittest
from unittest import mock

import common
import torch
from common import GaussianRasterizer, python, render, settings, splats

from diff_gaussian_rasterization import EngineError, _abi, _engine

LIBRARY = "libsplat_cpu.so"
# A module from a wheel has engines of its own, which come before those of the variable.
INSTALLED = os.path.isdir(_engine.FOLDER)


class Case(unittest.TestCase):
    def sentence(self, error):
        """The first line of an error, which must be one sentence and one hint."""
        lines = str(error).split("\n")
        self.assertEqual(len(lines), 2, lines)
        self.assertTrue(lines[1].startswith("hint: "), lines)
        return lines[0]

    def said(self, code):
        """What code prints in a fresh interpreter."""
        done = python(code)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()


class Calls(Case):
    def refused(self, words, setting=None, error=ValueError, **more):
        with self.assertRaises(error) as caught:
            render(splats(), setting, **more)
        sentence = self.sentence(caught.exception)
        for word in words:
            self.assertIn(word, sentence)

    def test_exactly_one_kind_of_colour(self):
        self.refused(["`shs`", "`colors_precomp`", "both"], colors_precomp=torch.zeros(40, 3))
        self.refused(["`shs`", "`colors_precomp`", "none"], shs=None)
        self.refused(["`shs`", "`colors_precomp`", "none"], shs=torch.empty(0))

    def test_exactly_one_kind_of_shape(self):
        self.refused(["`cov3D_precomp`", "both"], cov3D_precomp=torch.zeros(40, 6))
        self.refused(["`rotations`", "is missing"], rotations=None)
        self.refused(["`scales` and `rotations`", "are missing"], scales=None, rotations=None)
        self.refused(["`cov3D_precomp`", "both"], scales=None, cov3D_precomp=torch.zeros(40, 6))

    def test_shapes_name_the_input_and_both_sides(self):
        self.refused(["`means3D`", "[40, 2]", "[P, 3]"], means3D=torch.zeros(40, 2))
        self.refused(["`means3D`", "NoneType"], means3D=None)
        self.refused(["`opacities`", "[39, 1]", "P = 40"], opacities=torch.zeros(39, 1))
        self.refused(["`opacities`", "NoneType"], opacities=None)
        self.refused(["`shs`", "[40, 48]", "[P, M, 3]"], shs=torch.zeros(40, 48))
        self.refused(["`scales`", "[40, 1]", "[P, 3]"], scales=torch.ones(40, 1))
        self.refused(["`rotations`", "[1, 4]", "[P, 4]"], rotations=torch.ones(1, 4))
        self.refused(["`dc`", "[40, 2, 3]", "[P, 1, 3]"], dc=torch.ones(40, 2, 3))
        self.refused(["`means2D`", "[40, 2]", "[40, 3]"], means2D=torch.zeros(40, 2, requires_grad=True))

    def test_settings_name_the_field(self):
        s = settings()
        self.refused(["`viewmatrix`", "[2, 4, 4]", "16"], s._replace(viewmatrix=torch.zeros(2, 4, 4)))
        self.refused(["`bg`", "[4]", "3"], s._replace(bg=torch.zeros(4)))
        self.refused(["0x30"], s._replace(image_width=0))
        self.refused(["sh_degree"], settings(degree=3), EngineError, shs=torch.zeros(40, 4, 3))
        self.refused(["viewmatrix"], s._replace(viewmatrix=torch.full((4, 4), float("nan"))), EngineError)

    def test_a_device_without_engine(self):
        with self.assertRaisesRegex(EngineError, "`meta`.*\nhint: "):
            GaussianRasterizer(settings()).markVisible(torch.zeros(2, 3, device="meta"))
        self.refused(["`scales`", "meta", "cpu"], scales=torch.ones(40, 3, device="meta"))

    def test_the_extension_s_functions_say_how_many_arguments_they_take(self):
        from diff_gaussian_rasterization import _C
        for function, counts in ((_C.rasterize_gaussians, "19 arguments, or 20"),
                                 (_C.rasterize_gaussians_backward, "21 arguments, or 24")):
            with self.assertRaisesRegex(TypeError, counts):
                function(1, 2)


class Loading(Case):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.whole = (pathlib.Path(common.ENGINES) / LIBRARY).read_bytes()
        for patch in (mock.patch.dict(os.environ, SPLAT_ENGINES=folder.name),
                      mock.patch.object(_engine, "FOLDER", os.path.join(folder.name, "_lib")),
                      mock.patch.dict(_engine._engines, clear=True)):
            patch.start()
            self.addCleanup(patch.stop)

    def refused(self, *words, kind="cpu"):
        with self.assertRaises(EngineError) as caught:
            _engine.engine(kind)
        sentence = self.sentence(caught.exception)
        for word in words:
            self.assertIn(word, sentence)

    def test_a_whole_library_loads_from_the_variable(self):
        shutil.copy(str(pathlib.Path(common.ENGINES) / LIBRARY), str(self.folder))
        self.assertEqual(_engine.engine("cpu").path, str(self.folder / LIBRARY))
        (self.folder / "_lib").mkdir()
        shutil.copy(str(self.folder / LIBRARY), str(self.folder / "_lib"))
        self.assertEqual(_engine.find("cpu"), str(self.folder / "_lib" / LIBRARY), "the package's own comes first")

    def test_a_missing_library_names_every_place(self):
        self.refused(str(self.folder / LIBRARY), os.path.join("_lib", LIBRARY))

    def test_a_truncated_library(self):
        for size in (0, 10, 100, len(self.whole) // 2, len(self.whole) - 1):
            (self.folder / LIBRARY).write_bytes(self.whole[:size])
            self.refused(LIBRARY)

    def test_a_file_that_is_no_library(self):
        (self.folder / LIBRARY).write_bytes(b"not a library" * 100)
        self.refused(LIBRARY, "cannot be loaded")

    def test_a_library_that_is_no_engine(self):
        # Another library that every CPython for Linux can open: one of its own extension modules.
        import _ctypes
        shutil.copy(_ctypes.__file__, str(self.folder / LIBRARY))
        self.refused("does not export splat_engine_get")

    def test_an_engine_of_another_abi(self):
        shutil.copy(str(pathlib.Path(common.ENGINES) / LIBRARY), str(self.folder))
        with mock.patch.object(_abi, "ENGINE_ABI", 99):
            self.refused("does not offer engine ABI 99, which this package uses")

    def test_an_engine_for_the_other_memory(self):
        shutil.copy(str(pathlib.Path(common.ENGINES) / LIBRARY), str(self.folder / "libsplat_cuda.so"))
        self.refused("is an engine for CPU memory, but CUDA was wanted", kind="cuda")

    def test_a_driver_that_is_not_there_or_too_old_is_a_sentence_with_a_hint(self):
        library = pathlib.Path(common.ENGINES) / "libsplat_cuda.so"
        if not library.exists():
            self.skipTest("no engine cuda")
        if torch.cuda.is_available():
            self.skipTest("a CUDA device is here")
        shutil.copy(str(library), str(self.folder))
        engine = _engine.engine("cuda")
        with self.assertRaises(EngineError) as caught:
            engine.require_device(0)
        self.assertEqual(caught.exception.status, _abi.NO_DEVICE, self.sentence(caught.exception))

    def import_with(self, torch_module):
        """The sentence with which the module refuses to be imported beside this torch."""
        (self.folder / "torch.py").write_text(torch_module)
        code = "import sys\nsys.path.insert(0, {!r})\ntry:\n    import diff_gaussian_rasterization\n" \
               "except ImportError as x:\n    print(x)".format(str(self.folder))
        return self.sentence(self.said(code))

    def test_without_torch(self):
        said = self.import_with("raise ImportError('no such thing')")
        self.assertIn("needs torch, which cannot be imported: no such thing", said)

    def test_torch_too_old(self):
        said = self.import_with("__version__ = '1.13.1+cu117'")
        self.assertIn("needs torch 2.0 or newer, but this is torch 1.13.1+cu117", said)

    def test_the_report_lists_engines_and_says_whether_one_works(self):
        code = "import runpy\nrunpy.run_module('diff_gaussian_rasterization', run_name='__main__')"
        done = python(code, SPLAT_ENGINES=common.ENGINES)
        self.assertEqual(done.returncode, 0, done.stderr)
        for word in ("torch " + torch.__version__, "engine cpu: version", "cpu: ready", "engine cuda", "imported from ",
                     "this is Splatwright's module", "mip-splatting (known by kernel_size", "not served: 2DGS"):
            self.assertIn(word, done.stdout)
        self.assertNotIn("another module", done.stdout)
        done = python(code, SPLAT_ENGINES=str(self.folder))
        self.assertEqual(done.returncode, 0 if INSTALLED else 1, done.stdout)


    def test_the_report_names_other_modules_of_its_name(self):
        other = self.folder / "diff_gaussian_rasterization"
        other.mkdir()
        (other / "__init__.py").write_text("")
        code = "import runpy, sys\nsys.path.append({!r})\n" \
               "runpy.run_module('diff_gaussian_rasterization', run_name='__main__')".format(str(self.folder))
        done = python(code, SPLAT_ENGINES=common.ENGINES)
        self.assertIn("another module of this name is in {}: it is not used".format(other), done.stdout, done.stderr)


class Surroundings(Case):
    SCENE = "import sys\nsys.path.insert(0, {!r})\nimport common, torch\n".format(str(common.HERE))

    def says(self, expected, code):
        self.assertEqual(self.said(self.SCENE + code), expected)

    def test_a_forked_process_can_render_though_its_parent_has_rendered(self):
        self.says("0", (
            "import os, signal\nhere = common.render(common.splats())[0]\npid = os.fork()\nif pid == 0:\n"
            "    signal.alarm(60)\n    inputs = common.splats()\n    with torch.no_grad():\n"
            "        image = common.render(inputs)[0]\n    os._exit(0 if torch.equal(image, here) else 3)\n"
            "print(os.waitpid(pid, 0)[1])"))

    def test_workers_of_a_data_loader_render_though_their_parent_has_rendered(self):
        self.says("True", (
            "class Views(torch.utils.data.Dataset):\n    def __len__(self):\n        return 4\n"
            "    def __getitem__(self, i):\n        with torch.no_grad():\n"
            "            return common.render(common.splats(seed=i))[0]\n"
            "here = [common.render(common.splats(seed=i))[0].detach() for i in range(4)]\n"
            "loader = torch.utils.data.DataLoader(Views(), num_workers=2, timeout=60,"
            " multiprocessing_context='fork')\n"
            "print(all(torch.equal(image[0], here[i]) for i, image in enumerate(loader)))"))

    def test_compiled_code_breaks_the_graph_and_renders_the_same(self):
        self.says("same", (
            "inputs = common.splats()\nplain = common.render(inputs)\n"
            "@torch.compile(backend='eager')\ndef step(t):\n"
            "    out = common.render(dict(t, opacities=t['opacities'] * 1.0))\n    return out[0] * 1.0, out[1]\n"
            "image, radii = step(inputs)\nassert torch.equal(image, plain[0]) and torch.equal(radii, plain[1])\n"
            "image.sum().backward()\nassert inputs['means3D'].grad.abs().max() > 0\nprint('same')"))

    def test_compiled_code_gets_as_many_outputs_as_it_unpacks(self):
        self.says("4", (
            "inputs = common.splats()\n@torch.compile(backend='eager')\ndef step(t):\n"
            "    rasterizer = common.GaussianRasterizer(common.settings(degree=3))\n"
            "    color, radii, depth, alpha = rasterizer(**t)\n    return color * 1.0, radii, depth, alpha\n"
            "for _ in range(3):\n    out = step(inputs)\nout[2].sum().backward()\n"
            "assert inputs['means3D'].grad.abs().max() > 0\nprint(len(out))"))


if __name__ == "__main__":
    unittest.main()
