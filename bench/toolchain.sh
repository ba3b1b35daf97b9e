#!/usr/bin/env bash
# Speed of `doctor` and `explain`: medians of eleven runs, the programs that doctor starts, and a 50 MB log made of
# a real-looking build with every known failure once at its end. usage: bench/toolchain.sh PATH_TO_XTASK_PROGRAM
set -eu
cd "$(dirname "$0")/.."
xtask=$1
logs=crates/splat-toolchain/tests/fixtures/logs
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

block=$place/block
for i in $(seq 400); do cat "$logs/clean.log" "$logs/article-12.6-passes.log"; done >"$block"
while [ "$(stat -c %s "$place/log" 2>/dev/null || echo 0)" -lt 50000000 ]; do cat "$block" >>"$place/log"; done
cat "$logs"/E*.log >>"$place/log"
{ printf '\xff\xfe'; iconv -t UTF-16LE "$place/log"; } >"$place/log16"
head -c 50000000 /dev/zero | tr '\0' 'x' >"$place/line"

median() { # seconds of COMMAND, median of eleven
  for _ in $(seq 11); do
    local from=$EPOCHREALTIME
    "$@" >/dev/null 2>&1 || true
    local to=$EPOCHREALTIME
    echo "$from $to"
  done | awk '{ print $2 - $1 }' | sort -n | sed -n 6p
}

echo "load: $(cut -d' ' -f1-3 /proc/loadavg), cores: $(nproc), $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2)"
echo "doctor: $(median "$xtask" doctor) s"
echo "doctor --for ext: $(median "$xtask" doctor --for ext) s"
echo "explain, $(stat -c %s "$place/log") bytes, $(wc -l <"$place/log") lines: $(median "$xtask" explain "$place/log") s"
echo "explain, the same in UTF-16: $(median "$xtask" explain "$place/log16") s"
echo "explain, 50 MB in one line: $(median "$xtask" explain "$place/line") s"
"$xtask" explain --json "$place/log" | python3 -c 'import json, sys; r = json.load(sys.stdin); print(len(r["hits"]), "codes found, first", r["first"])' || true
"$xtask" doctor --timing 2>&1 >/dev/null
