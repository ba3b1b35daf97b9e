"""What `splat convert` needs for a large scene: peak memory and time, for each output.

    python3 bench/convert.py SPLAT WORK [GAUSSIANS [DEGREE...]]

Makes a PLY of so many Gaussians (10 million, degrees 0 and 3, unless told otherwise) in the folder WORK, converts it to every format, and
prints a table. $OUTPUTS names some of the formats. Every output is deleted again; the inputs stay. Needs numpy, and 12 GB of disk for the defaults.
"""

import os
import shutil
import subprocess
import sys
import time

import numpy as np

splat, work = sys.argv[1:3]
count = int(sys.argv[3]) if len(sys.argv) > 3 else 10_000_000
degrees = [int(word) for word in sys.argv[4:]] or [0, 3]
OUTPUTS = os.environ.get("OUTPUTS", "ply compressed.ply splat spz v4.spz sog lod-meta.json glb usda usdz html").split()


def scene(path, degree):
    """Points on 2,000 tilted squares, with colours and harmonics that vary along them."""
    rest = 3 * ((degree + 1) ** 2 - 1)
    names = ["x", "y", "z", "nx", "ny", "nz", *(f"f_dc_{k}" for k in range(3)), *(f"f_rest_{k}" for k in range(rest))]
    names += ["opacity", *(f"scale_{k}" for k in range(3)), *(f"rot_{k}" for k in range(4))]
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {count}\n"
    header += "".join(f"property float {name}\n" for name in names) + "end_header\n"
    rng = np.random.default_rng(0)
    squares = 2000
    center, color = rng.uniform(-20, 20, (squares, 3)), rng.normal(0, 1, (squares, 3))
    sides, harmonics = rng.normal(size=(2, squares, 3)), rng.normal(0, 0.15, (squares, rest))
    with open(path, "wb") as out:
        out.write(header.encode())
        for start in range(0, count, 250_000):
            n = min(250_000, count - start)
            on, (a, b) = rng.integers(0, squares, n), rng.uniform(-1, 1, (2, n, 1))
            row = np.zeros((n, len(names)), np.float32)
            row[:, :3] = center[on] + a * sides[0][on] + b * sides[1][on] + rng.normal(0, 0.01, (n, 3))
            row[:, 6:9] = color[on] + 0.3 * a + rng.normal(0, 0.1, (n, 3))
            row[:, 9 : 9 + rest] = harmonics[on] + rng.normal(0, 0.05, (n, rest))
            row[:, 9 + rest] = rng.normal(1, 2, n)
            row[:, 10 + rest : 13 + rest] = rng.normal(-4.5, 0.7, (n, 3))
            row[:, 13 + rest :] = rng.normal(size=(n, 4))
            out.write(row.tobytes())


def size(path):
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(path) for name in names)


os.makedirs(work, exist_ok=True)
print("| degree | output | peak memory, MB | wall, s | cpu, s | Gaussians per cpu second | size, MB |\n|---|---|---|---|---|---|---|", flush=True)
for degree in degrees:
    source = os.path.join(work, f"degree{degree}.ply")
    if not os.path.exists(source):
        scene(source, degree)
    for kind in OUTPUTS:
        made = os.path.join(work, "out" if kind == "lod-meta.json" else f"out.{kind}")
        to = os.path.join(made, kind) if kind == "lod-meta.json" else made
        options = ["--spz-version", "4"] if kind.startswith("v4") else []
        begin = time.monotonic()
        child = subprocess.Popen([splat, "convert", source, to, "--overwrite", "--quiet", *options], stderr=subprocess.PIPE)
        said = child.stderr.read().decode().strip()
        _, status, used = os.wait4(child.pid, 0)
        wall, cpu = time.monotonic() - begin, used.ru_utime + used.ru_stime
        if status != 0:
            print(f"| {degree} | {kind} | refused: {said.splitlines()[0]} |", flush=True)
        else:
            peak = used.ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)
            rate = f"{count / cpu:,.0f}"
            print(f"| {degree} | {kind} | {peak:,.0f} | {wall:.0f} | {cpu:.0f} | {rate} | {size(made) / 1e6:,.0f} |", flush=True)
        shutil.rmtree(made) if os.path.isdir(made) else os.path.exists(made) and os.remove(made)
