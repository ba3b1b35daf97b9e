#!/usr/bin/env bash
# Builds and runs the crates of this folder as their owner would. See README.md.
#   run.sh path   depends on the crates of this clone by path
#   run.sh git    depends on them by git, from what is committed here
set -euo pipefail
mode=${1:?"usage: run.sh path|git [CARGO OPTIONS]"}
shift
here=$(cd "$(dirname "$0")" && pwd)
repo=$(cd "$here/../.." && pwd)

# Outside the clone, so that its .cargo/config.toml has no say.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$here/." "$work/"
rm -rf "$work/target"
case $mode in
path) dependency="path = \"$repo/crates/\\1\"" ;;
git) dependency="git = \"file://$repo\", rev = \"$(git -C "$repo" rev-parse HEAD)\"" ;;
*) echo "usage: run.sh path|git [CARGO OPTIONS]" >&2 && exit 2 ;;
esac
sed -i.before "s|path = \"../../../crates/\\([a-z-]*\\)\"|$dependency|" "$work"/*/Cargo.toml

# What tch asks for is all that is set; a clone that was built knows a libtorch.
if [ -z "${LIBTORCH:-}" ] && [ -z "${LIBTORCH_USE_PYTORCH:-}" ]; then
  LIBTORCH=$(sed -n 's/^LIBTORCH = "\(.*\)"/\1/p' "$repo/.cargo/toolchain.toml")
  export LIBTORCH
fi
unset LD_LIBRARY_PATH
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$repo/target/downstream}

cd "$work"
# The versions that the clone was tested with, as far as they apply.
cp "$repo/Cargo.lock" .
cargo test --release --workspace "$@"
# By path also with the features that splat-tch asks for alone; by git what the line above built is enough.
package=
[ "$mode" = git ] || package=with-tch
cargo run --release ${package:+-p "$package"} --bin with-tch "$@" -- cpu
cargo run --release ${package:+-p "$package"} --example own-loss "$@"
cargo run --release --bin through-library "$@"
echo "downstream ($mode): ok"
