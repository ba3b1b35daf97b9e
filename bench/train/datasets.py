"""The data sets of the comparison, read in plain numpy and Pillow as splat-scene reads them.

Same views in the same order (sorted by name), same split (every 8th is held out), same sizes and intrinsics, same
scene extent. Cameras are world-to-camera with OpenCV axes; pixels are measured from the upper left corner of the upper
left pixel. Reads COLMAP (binary, PINHOLE), NeRF-synthetic, `opencv_cameras.json` and `transforms.json`, no more.
"""

import dataclasses
import json
import math
import pathlib
import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

TEST_EVERY = 8
BLACK, WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
#: Where there are no points: how many, and half the side of the cube around the origin.
RANDOM = {"lego": (100_000, 1.3), "facelift-head": (100_000, 0.8), "fox": (100_000, 4.0)}


@dataclasses.dataclass
class View:
    name: str
    path: pathlib.Path
    size: tuple  # of the intrinsics: width, height
    intrinsics: np.ndarray  # [4] fx fy cx cy, pixels
    rotation: np.ndarray  # [3,3] world to camera
    translation: np.ndarray  # [3]
    distortion: tuple = ()  # k1 k2 p1 p2

    @property
    def center(self):
        return -self.rotation.T @ self.translation


@dataclasses.dataclass
class Dataset:
    name: str
    views: list
    points: np.ndarray  # [P,3] f32, empty where there are none
    colors: np.ndarray  # [P,3] u8
    background: tuple

    def __post_init__(self):
        self.views.sort(key=lambda v: v.name)
        self.test = [i for i in range(len(self.views)) if i % TEST_EVERY == 0]
        self.train = [i for i in range(len(self.views)) if i % TEST_EVERY != 0]

    @property
    def extent(self):
        """1.1 x the largest distance of a training camera from the mean of them."""
        centers = np.stack([self.views[i].center for i in self.train])
        return 1.1 * float(np.linalg.norm(centers - centers.mean(0), axis=1).max())

    def load(self):
        """Photographs [H,W,3] u8, in the order of the views; intrinsics are rescaled to their size."""
        with ThreadPoolExecutor() as pool:
            return list(pool.map(self._photo, self.views))

    def _photo(self, view):
        pixels = decoded(view.path)
        height, width = pixels.shape[:2]
        view.intrinsics = view.intrinsics * np.tile([width / view.size[0], height / view.size[1]], 2)
        view.size = (width, height)
        if pixels.shape[2] == 4:
            share = pixels[..., 3:].astype(np.float32) / 255
            under = 255 * np.asarray(self.background, np.float32)
            pixels = (pixels[..., :3] * share + under * (1 - share) + 0.5).astype(np.uint8)
        return undistorted(view, pixels) if view.distortion else pixels

    def initial(self, seed):
        """Points [P,3] f32 and colours [P,3], 0 to 1: the reconstruction's, or random ones in a cube."""
        if len(self.points):
            return self.points, self.colors.astype(np.float32) / 255
        count, half = RANDOM[self.name]
        random = np.random.default_rng(seed)
        points = random.uniform(-half, half, (count, 3)).astype(np.float32)
        return points, random.uniform(0, 1, (count, 3)).astype(np.float32)


def open_dataset(folder, name=None):
    folder = pathlib.Path(folder)
    name = name or folder.name
    for file, reader in [
        ("sparse/0/cameras.bin", colmap),
        ("transforms_train.json", nerf_synthetic),
        ("opencv_cameras.json", opencv_cameras),
        ("transforms.json", transforms),
    ]:
        if (folder / file).is_file():
            return reader(folder, name)
    raise SystemExit(f"error: {folder}: none of the four kinds of data set that this benchmark reads")


class Cursor:
    def __init__(self, path):
        self.bytes, self.at = path.read_bytes(), 0

    def take(self, form):
        values = struct.unpack_from("<" + form, self.bytes, self.at)
        self.at += struct.calcsize("<" + form)
        return values

    def skip(self, count):
        self.at += count

    def text(self):
        end = self.bytes.index(b"\0", self.at)
        text, self.at = self.bytes[self.at : end].decode(), end + 1
        return text


def colmap(folder, name):
    model = folder / "sparse/0"
    photos = min((p for p in folder.glob("images*") if p.is_dir()), key=lambda p: (len(p.name), p.name))
    c, cameras = Cursor(model / "cameras.bin"), {}
    for _ in range(c.take("Q")[0]):
        key, kind, width, height = c.take("IiQQ")
        if kind != 1:
            raise SystemExit(f"error: {model}/cameras.bin: camera model {kind}, expected 1 (PINHOLE)")
        cameras[key] = ((width, height), np.array(c.take("4d")))
    c, views = Cursor(model / "images.bin"), []
    for _ in range(c.take("Q")[0]):
        _, *pose, key = c.take("I7dI")
        file = c.text()
        c.skip(24 * c.take("Q")[0])
        size, intrinsics = cameras[key]
        views.append(View(file, photos / file, size, intrinsics, rotation(pose[:4]), np.array(pose[4:])))
    c = Cursor(model / "points3D.bin")
    count = c.take("Q")[0]
    points, colors = np.empty((count, 3), np.float32), np.empty((count, 3), np.uint8)
    for i in range(count):
        _, *xyz, r, g, b, _, track = c.take("Q3d3BdQ")
        points[i], colors[i] = xyz, (r, g, b)
        c.skip(8 * track)
    return Dataset(name, views, points, colors, BLACK)


def rotation(wxyz):
    """The matrix of a quaternion w, x, y, z, normalised first."""
    w, x, y, z = np.array(wxyz) / np.linalg.norm(wxyz)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def without_points(name, views, background):
    return Dataset(name, views, np.empty((0, 3), np.float32), np.empty((0, 3), np.uint8), background)


def from_opengl(matrix):
    """World-to-camera rotation and translation, OpenCV axes, of a camera-to-world matrix with OpenGL axes."""
    pose = np.array(matrix) @ np.diag([1.0, -1, -1, 1])
    return pose[:3, :3].T, -pose[:3, :3].T @ pose[:3, 3]


def nerf_synthetic(folder, name):
    about, views = json.loads((folder / "transforms_train.json").read_text()), []
    for frame in about["frames"]:
        path = folder / (frame["file_path"] + ".png")
        with Image.open(path) as image:
            width, height = image.size
        focal = 0.5 * width / math.tan(0.5 * about["camera_angle_x"])
        intrinsics = np.array([focal, focal, width / 2, height / 2])
        views.append(
            View(frame["file_path"], path, (width, height), intrinsics, *from_opengl(frame["transform_matrix"]))
        )
    return without_points(name, views, WHITE)


def opencv_cameras(folder, name):
    about, views = json.loads((folder / "opencv_cameras.json").read_text()), []
    for frame in about["frames"]:
        pose = np.array(frame["w2c"])
        intrinsics = np.array([frame[k] for k in ("fx", "fy", "cx", "cy")])
        views.append(
            View(
                frame["file_path"],
                folder / frame["file_path"],
                (frame["w"], frame["h"]),
                intrinsics,
                pose[:3, :3],
                pose[:3, 3],
            )
        )
    return without_points(name, views, WHITE)


def transforms(folder, name):
    about, views = json.loads((folder / "transforms.json").read_text()), []
    intrinsics = np.array([about[k] for k in ("fl_x", "fl_y", "cx", "cy")])
    distortion = tuple(about.get(k, 0.0) for k in ("k1", "k2", "p1", "p2"))
    for frame in about["frames"]:
        path = folder / frame["file_path"]
        if path.is_file():
            views.append(
                View(
                    frame["file_path"],
                    path,
                    (about["w"], about["h"]),
                    intrinsics,
                    *from_opengl(frame["transform_matrix"]),
                    distortion,
                )
            )
    return without_points(name, views, BLACK)


def decoded(path):
    """[H,W,3] or, with alpha, [H,W,4], u8. Sixteen bits are rounded to eight, where Pillow would cut them."""
    with Image.open(path) as image:
        alpha = image.mode in ("RGBA", "LA", "PA")
        if image.format != "PNG" or path.read_bytes()[24] != 16:
            return np.asarray(image.convert("RGBA" if alpha else "RGB"))
    import cv2

    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    pixels = cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA if alpha else cv2.COLOR_BGR2RGB)
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def undistorted(view, pixels):
    """The largest upright pinhole image of the same focal lengths without empty borders; the view becomes its view."""
    import cv2

    fx, fy, cx, cy = view.intrinsics
    width, height = view.size
    matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    along, (k1, k2, p1, p2) = np.linspace(0, 1, 65), view.distortion

    def rays(x, y):
        """Undistorted, by fixed-point iteration, [65,2]."""
        to = np.stack(np.broadcast_arrays((x - cx) / fx, (y - cy) / fy), -1)
        at = to
        for _ in range(50):
            u, v = at.T
            r2 = u * u + v * v
            tangential = np.stack([2 * p1 * u * v + p2 * (r2 + 2 * u * u), p1 * (r2 + 2 * v * v) + 2 * p2 * u * v], -1)
            at = (to - tangential) / (1 + k1 * r2 + k2 * r2 * r2)[:, None]
        return at

    def side(low, high, focal):
        pixels = math.floor((high - low) * focal)
        return pixels, -low * focal - ((high - low) * focal - pixels) / 2

    columns = rays(0 * along, height * along)[:, 0].max(), rays(width + 0 * along, height * along)[:, 0].min()
    rows = rays(width * along, 0 * along)[:, 1].max(), rays(width * along, height + 0 * along)[:, 1].min()
    (width, cx), (height, cy) = side(*columns, fx), side(*rows, fy)
    view.size, view.intrinsics = (width, height), np.array([fx, fy, cx, cy])
    # OpenCV measures from the centre of the upper left pixel.
    shift = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    after = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]) - shift
    maps = cv2.initUndistortRectifyMap(matrix - shift, np.array(view.distortion), None, after, view.size, cv2.CV_32FC1)
    return cv2.remap(pixels, *maps, cv2.INTER_LINEAR)
