#!/usr/bin/env bash
# Gathers what the comparison needs into one archive and its starter, for a GPU host that has Python, torch, numpy,
# Pillow, OpenCV and rich, but neither Rust nor gsplat.
#   bash bench/train/pack.sh TO --splat BIN --engines DIR --data DIR --gsplat WHEEL --gsplat-library SO [--sets "lego fox"]
# There: bash TO/go.sh PLAN.json OUT [SECONDS], PLAN.json being the name of one of bench/train's plans.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
to=${1:?folder to write to}
shift
sets="snowmiku fox-colmap lego facelift-head"
while [ $# -gt 0 ]; do
  case $1 in
    --splat) splat=$2 ;;
    --engines) engines=$2 ;;
    --data) data=$2 ;;
    --gsplat) wheel=$2 ;;
    --gsplat-library) library=$2 ;;
    --sets) sets=$2 ;;
    *) echo "error: unknown argument $1" >&2; exit 2 ;;
  esac
  shift 2
done
for name in splat engines data wheel library; do
  [ -e "${!name:-}" ] || { echo "error: --$name: \`${!name:-}\` does not exist" >&2; exit 2; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$to" "$work/bench" "$work/bin" "$work/engines" "$work/data" "$work/site"
cp -r "$here" "$work/bench/train"
rm -rf "$work"/bench/train/__pycache__
cp "$here/../engine.py" "$here/../../python/diff_gaussian_rasterization/_abi.py" "$work/bench/"
cp "$splat" "$work/bin/splat"
cp "$engines"/libsplat_c*.so "$work/engines/"
for set in $sets; do cp -r "$data/$set" "$work/data/"; done
chmod -R u+w "$work/data"
# gsplat's Python alone: its sources are not needed beside its compiled part.
python3 - "$wheel" "$work/site" <<'PY'
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    wheel.extractall(sys.argv[2], [n for n in wheel.namelist() if n.endswith(".py") or "dist-info" in n])
PY
cp "$library" "$work/gsplat_cuda.so"
tar -C "$work" -cf - . | gzip -6 > "$to/train.tgz"
cat > "$to/go.sh" <<'GO'
#!/usr/bin/env bash
# bash go.sh PLAN.json OUT [SECONDS]
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=/tmp/train-bench
rm -rf "$root" && mkdir -p "$root" && tar -C "$root" -xzf "$here/train.tgz" || exit 1
export PYTHONUNBUFFERED=1 PYTHONPATH="$root/site${PYTHONPATH:+:$PYTHONPATH}"
exec python3 "$root/bench/train/run.py" "$root/bench/train/$1" --splat "$root/bin/splat" --engines "$root/engines" \
  --data "$root/data" --gsplat-library "$root/gsplat_cuda.so" --out "$2" --deadline "${3:-560}"
GO
ls -l "$to"
