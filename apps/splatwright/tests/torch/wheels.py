"""Makes one wheel in the folder named first: name, version, tags, then the text of `__init__.py`, then its needs."""

import base64, hashlib, os, sys, zipfile

folder, name, version, tags, text, *needs = sys.argv[1:]
info = f"{name}-{version}.dist-info"
needs = "".join(f"Requires-Dist: {need}\n" for need in needs)
files = {
    f"{name}/__init__.py": text.encode(),
    # Does not compress, so that the archive has a size.
    f"{name}/ballast": bytes((i * i * 2654435761 >> 13) & 255 for i in range(200_000)),
    f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}".encode(),
    f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tags}\n".encode(),
}
record = ""
for path, data in files.items():
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    record += f"{path},sha256={digest},{len(data)}\n"
files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
with zipfile.ZipFile(os.path.join(folder, f"{name}-{version}-{tags}.whl"), "w") as archive:
    for path, data in files.items():
        archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), data)
