#!/usr/bin/env python3
"""Prints the receipt of a GPU run: python3 receipt.py OUT [DATE] > ../../kernels/receipts.toml

OUT has the logs of run.sh, made with libraries of these sources. `cargo xtask tidy` computes the same hash of them."""
import datetime
import hashlib
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[4]
FOLDERS = "crates/splat-cuda/kernels", "crates/splat-cuda/adapters", "crates/engine-build/cpp"
EXTENSIONS = ".h", ".cuh", ".cu", ".cpp"


def sources():
    """SHA-256 over path, zero byte, length, zero byte and contents of every source, in byte order of the path."""
    paths = [p for folder in FOLDERS for p in (ROOT / folder).rglob("*") if p.suffix in EXTENSIONS and p.is_file()]
    digest = hashlib.sha256()
    for name, path in sorted((p.relative_to(ROOT).as_posix().encode(), p) for p in paths):
        contents = path.read_bytes()
        digest.update(name + b"\0" + str(len(contents)).encode() + b"\0" + contents)
    return digest.hexdigest()


def result(log):
    """The lines that count, and the exit code."""
    text = log.read_text(errors="replace")
    lines = re.findall(r"^(?:=+ )?((?:ERROR|RACECHECK) SUMMARY: .*|\d+ cases, \d+ failed|.*median .* ms|exit code \d+)$", text,
                       re.MULTILINE)
    return "; ".join(lines).replace('"', "'")


out = pathlib.Path(sys.argv[1])
date = sys.argv[2] if len(sys.argv) > 2 else datetime.date.today().isoformat()
gpu, _, driver = (out / "gpu.txt").read_text().strip().partition(", ")
print("# The last run of tests/gpu/run.sh on a GPU; written by tests/gpu/receipt.py. `cargo xtask tidy` compares `sources`.")
print(f'sources = "{sources()}"\ndate = {date}\ngpu = "{gpu}"\ndriver = "{driver}"')
print('command = "bash crates/splat-cuda/tests/gpu/run.sh LIBRARIES INCLUDE OUT"\n\n[results]')
for name in ("check", "inria", "time", "memcheck", "racecheck", "synccheck", "initcheck"):
    if (out / f"{name}.txt").exists():
        print(f'{name} = "{result(out / f"{name}.txt")}"')
