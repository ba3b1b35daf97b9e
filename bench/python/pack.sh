#!/usr/bin/env bash
# Gathers what the wheels are measured with on a GPU host that has Python and torch, numpy, Pillow, but no network.
#   bash bench/python/pack.sh TO --wheels DIR --archive gaussian_splatting-2.11.0.tar.gz --data DIR [--set snowmiku]
# There: bash TO/run.sh OUT
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
to=${1:?folder to write to}
shift
set=snowmiku
while [ $# -gt 0 ]; do
  case $1 in
    --wheels) wheels=$2 ;;
    --archive) archive=$2 ;;
    --data) data=$2 ;;
    --set) set=$2 ;;
    *) echo "error: unknown argument $1" >&2; exit 2 ;;
  esac
  shift 2
done
for name in wheels archive data; do
  [ -e "${!name:-}" ] || { echo "error: --$name: \`${!name:-}\` does not exist" >&2; exit 2; }
done
mkdir -p "$to/wheels" "$to/bench" "$to/python" "$to/data"
cp "$wheels"/*.whl "$to/wheels/"
# What the package needs besides torch, numpy and Pillow.
python3 -m pip download -q --no-deps --only-binary :all: -d "$to/wheels" plyfile tqdm
cp "$here"/../*.py "$to/bench/"
cp -r "$here" "$to/bench/python"
cp -r "$here/../../python/tests" "$here/../../python/examples" "$to/python/"
mkdir -p "$to/crates/splat-verify/data" && cp -r "$here/../../crates/splat-verify/data/golden" "$to/crates/splat-verify/data/golden"
cp "$archive" "$to/archive.tar.gz"
cp -r "$data/facelift-head" "$data/$set" "$to/data/"
chmod -R u+w "$to"
find "$to" -name __pycache__ -prune -exec rm -rf {} +
cp "$here/run.sh" "$to/run.sh"
du -sh "$to"
