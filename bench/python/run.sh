#!/usr/bin/env bash
# What bench/python/pack.sh gathered: the module's tests on CUDA, what it adds to the engine, somebody else's trainer, a
# head fitted through it. Every part runs whatever became of the others; the last line is the sum.
#   bash run.sh OUT
set -u
cd "$(dirname "${BASH_SOURCE[0]}")"
out=${1:?folder for the results}
mkdir -p "$out"
site=$(mktemp -d)
python3 -m pip install -q --no-index --no-deps --target "$site" wheels/*.whl || exit 1
export PYTHONPATH=$site PYTHONDONTWRITEBYTECODE=1
passed=0 failed=0
part() { # part NAME COMMAND...
  local name=$1 from=$SECONDS
  shift
  echo "::: $name"
  if "$@" >"$out/$name.txt" 2>&1; then
    passed=$((passed + 1))
    tail -n 25 "$out/$name.txt"
  else
    failed=$((failed + 1))
    tail -n 60 "$out/$name.txt"
    echo "FAILED"
  fi
  echo "::: $name: $((SECONDS - from)) s"
}
engines=$site/diff_gaussian_rasterization/_lib
set=$(ls data | grep -v facelift-head | head -n 1)
part module python3 -m diff_gaussian_rasterization
part tests env SPLAT_ENGINES="$engines" python3 -m unittest discover -v -s python/tests
part overhead python3 bench/python/overhead.py --out "$out/overhead.json"
part caller python3 bench/python/real_caller.py archive.tar.gz "data/$set" --steps 3000 --least 5 --out "$out/caller.json"
part head python3 python/examples/fit_head.py data/facelift-head --steps 7000 --out "$out/head"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
