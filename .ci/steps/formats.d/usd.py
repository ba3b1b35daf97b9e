"""Does OpenUSD read what we write as the scene that it was made from, but for the axes: y and z change sign?
    python usd.py scene.usda scene.usdz scene.ply
"""

import math
import re
import struct
import sys

from pxr import Usd, UsdGeom, UsdVol


def ply(path):
    data = open(path, "rb").read()
    end = data.index(b"end_header\n") + 11
    header = data[:end].decode()
    names = re.findall(r"property float (\w+)", header)
    count = int(re.search(r"element vertex (\d+)", header)[1])
    rows = struct.iter_unpack(f"<{len(names)}f", data[end:])
    rows = [dict(zip(names, row)) for row in rows]
    assert len(rows) == count
    return rows


def near(what, found, expected, most=1e-6):
    assert len(found) == len(expected), (what, len(found), len(expected))
    for i, (x, y) in enumerate(zip(found, expected)):
        assert abs(x - y) <= most * max(1.0, abs(y)), (what, i, x, y)


# The signs of y, z, x; xy, yz, zz, xz, xx-yy; and those of degree 3, if y and z change theirs.
SIGNS = [1, -1, -1, 1, -1, 1, 1, -1, 1, -1, 1, -1, -1, 1, -1, 1]
*files, source = sys.argv[1:]
rows = ply(source)
for file in files:
    stage = Usd.Stage.Open(file)
    assert UsdGeom.GetStageUpAxis(stage) == "Y" and UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    splats = UsdVol.ParticleField3DGaussianSplat(stage.GetDefaultPrim())
    assert splats, "the default prim is no ParticleField3DGaussianSplat"
    prim = splats.GetPrim()
    schema = set(Usd.SchemaRegistry().FindConcretePrimDefinition(prim.GetTypeName()).GetPropertyNames())
    strange = [name for name in prim.GetAuthoredPropertyNames() if name not in schema]
    assert not strange, f"not in the schema: {strange}"
    attribute = lambda name: prim.GetAttribute(name).Get()
    degree, coefficients = (attribute(f"radiance:sphericalHarmonics{x}") for x in ("Degree", "Coefficients"))
    m = (degree + 1) ** 2
    assert len(coefficients) == m * len(rows) and len(attribute("positions")) == len(rows)
    low, high = attribute("extent")
    positions, scales, turns, opacities = (attribute(n) for n in ("positions", "scales", "orientations", "opacities"))
    for i, row in enumerate(rows):
        near("position", positions[i], (row["x"], -row["y"], -row["z"]), 0)
        assert all(a <= x <= b for a, x, b in zip(low, positions[i], high))
        near("scale", scales[i], [math.exp(row[f"scale_{k}"]) for k in range(3)])
        near("opacity", [opacities[i]], [1 / (1 + math.exp(-row["opacity"]))])
        q = [row[f"rot_{k}"] for k in range(4)]
        norm = math.sqrt(sum(x * x for x in q))
        found = [turns[i].GetReal(), *turns[i].GetImaginary()]
        near("orientation", found, [s * x / norm for s, x in zip((1, 1, -1, -1), q)], 1e-5)
        rest = sum(name.startswith("f_rest_") for name in row) // 3
        for k in range(m):
            names = [f"f_dc_{c}" if k == 0 else f"f_rest_{c * rest + k - 1}" for c in range(3)]
            near("harmonic", coefficients[m * i + k], [SIGNS[k] * row[name] for name in names], 0)
    print(f"{file}: OpenUSD reads {len(rows)} Gaussians of degree {degree} as those of the PLY")
