#!/usr/bin/env bash
# Checks the built libraries on this machine's GPU, also under compute-sanitizer; about two minutes on one H200.
#   bash run.sh LIBRARIES INCLUDE OUT
# LIBRARIES has libsplat_cuda.so and libsplat_cpu.so (and libsplat_inria.so, if that is to be checked), INCLUDE has
# splat_engine.h. Needs nvcc. The logs in OUT are what receipt.py makes the receipt of.
libraries=$(realpath "${1:?}") include=$(realpath "${2:?}") out=${3:?}
mkdir -p "$out" && out=$(realpath "$out") && cd "$(dirname "$0")" || exit 1
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader | head -1 > "$out/gpu.txt"
nvcc -std=c++17 -O2 -I "$include" check.cpp -o "$out/check" -ldl -lpthread || exit 1
worst=0
run() { # NAME SECONDS COMMAND...
  local name=$1 seconds=$2; shift 2
  timeout "$seconds" "$@" > "$out/$name.txt" 2>&1
  local code=$?
  echo "exit code $code" >> "$out/$name.txt"
  [ $code = 0 ] || worst=1
  echo "== $name: $code"; grep -vE '^(ok|=========$)' "$out/$name.txt" | head -40
}
cuda=$libraries/libsplat_cuda.so cpu=$libraries/libsplat_cpu.so inria=$libraries/libsplat_inria.so
run check 120 "$out/check" "$cuda" "$cpu"
[ -e "$inria" ] && run inria 60 "$out/check" "$inria" "$cpu"
run time 60 "$out/check" --time "$cuda"
tools=()
for tool in memcheck racecheck synccheck initcheck; do
  # What is poisoned counts as written.
  [ $tool = initcheck ] && few="--few --no-poison" || few=--few
  (run $tool 140 compute-sanitizer --tool $tool --error-exitcode 9 "$out/check" $few "$cuda"; exit $worst) &
  tools+=($!)
done
for tool in "${tools[@]}"; do wait "$tool" || worst=1; done
rm -f "$out/check"
exit $worst
