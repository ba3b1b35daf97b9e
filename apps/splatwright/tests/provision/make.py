"""Makes the tiny wheels and the archive of the provisioning tests in the folder named first; the second argument
is the ballast in bytes, data that does not compress."""

import base64, hashlib, io, os, random, sys, tarfile, zipfile

folder, ballast = sys.argv[1], random.Random(7).randbytes(int(sys.argv[2]))

# Takes the arguments of the real one and copies from a folder.
UNEARTH = '''
import os, shutil, sys
args = sys.argv[1:]
target = args[args.index("--download") + 1]
name = args[-1].replace("==", "-").replace("tiny-splatting", "tiny_splatting") + ".tar.gz"
for link in [args[i + 1] for i, a in enumerate(args) if a == "--find-link"]:
    path = os.path.join(link.replace("file://", ""), name)
    if os.path.exists(path):
        os.makedirs(target, exist_ok=True)
        shutil.copy(path, target)
        sys.exit(0)
sys.exit("No matches are found.")
'''


def wheel(name, files):
    info = f"{name}-1.0.dist-info"
    dashed = name.replace("_", "-")
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {dashed}\nVersion: 1.0\n".encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = ""
    for path, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(data)}\n"
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    with zipfile.ZipFile(os.path.join(folder, f"{name}-1.0-py3-none-any.whl"), "w") as archive:
        for path, data in files.items():
            # A fixed date: the same bytes each time.
            archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), data)


wheel("tiny_cmake", {"cmake/data/bin/cmake": b"#!/bin/sh\n"})
wheel(
    "tiny_tools",
    {
        "cmake/data/bin/cmake": b"#!/bin/sh\n",
        "cmake/ballast": ballast,
        "unearth/__init__.py": b"",
        "unearth/__main__.py": UNEARTH.encode(),
        "tiny_tools-1.0.data/scripts/ninja": b"#!/bin/sh\n",
    },
)

raster = "submodules/raster/"
files = {
    "LICENSE.md": b"research and evaluation only\n",
    "setup.py": b"raise SystemExit('executed')\n",
    raster + "cuda_rasterizer/rasterizer.h": b"bool antialiasing\n",
    raster + "cuda_rasterizer/forward.cu": b"// forward\n",
    raster + "cuda_rasterizer/backward.cu": b"// backward\n",
    raster + "cuda_rasterizer/ballast": ballast,
    raster + "third_party/glm/glm/glm.hpp": b"// glm\n",
    raster + "third_party/glm/doc/manual.pdf": b"%PDF",
}
with tarfile.open(os.path.join(folder, "tiny_splatting-1.0.tar.gz"), "w:gz") as archive:
    for path, data in files.items():
        info = tarfile.TarInfo("tiny_splatting-1.0/" + path)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
