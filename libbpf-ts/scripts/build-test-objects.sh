#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Compiles test/bpf/*.bpf.c and examples/*.bpf.c, each only when it or a header is newer than its
# object, and the programs that the tests observe.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
clang="${CLANG:-$(command -v clang-19 || command -v clang || true)}"
[[ -n "$clang" ]] || {
  echo "libbpf-ts: clang is missing. Run: apt-get install clang-19 (or set CLANG)" >&2
  exit 1
}
machine="$(uname -m)"
case "$machine" in
  aarch64) arch=arm64 ;;
  *) arch=x86 ;;
esac
mkdir -p "$root/test/build"
exec 9> "$root/test/build/lock"
flock 9
for source in "$root"/test/bpf/*.bpf.c "$root"/examples/*.bpf.c; do
  [[ -f "$source" ]] || continue
  object="${source%.c}.o"
  [[ "$object" -nt "$source" && "$object" -nt "$root/test/bpf/types.h" ]] && continue
  "$clang" -target bpf -mcpu=v3 -O2 -g -Wall -Werror "-D__TARGET_ARCH_$arch" \
    -I"$root/native/include" -I"$root/examples" -idirafter "/usr/include/$machine-linux-gnu" \
    -c "$source" -o "$object.new"
  mv -f "$object.new" "$object"
done
for source in "$root"/test/programs/*.c; do
  [[ -f "$source" ]] || continue
  program="$root/test/build/$(basename "${source%.c}")"
  [[ "$program" -nt "$source" ]] && continue
  cc -O1 -g -Wall -o "$program.new" "$source"
  mv -f "$program.new" "$program"
done
for source in "$root"/test/programs/*.cpp; do
  program="$root/test/build/$(basename "${source%.cpp}")"
  [[ -f "$source" && ! "$program" -nt "$source" ]] || continue
  command -v c++ > /dev/null || continue
  c++ -O1 -Wall -o "$program.new" "$source"
  mv -f "$program.new" "$program"
done
# Go, with its symbol table (to compare with) and without.
source="$root/test/programs/shop.go"
if command -v go > /dev/null && [[ ! "$root/test/build/shop-stripped" -nt "$source" ]]; then
  export GOFLAGS=-mod=mod GO111MODULE=off
  go build -o "$root/test/build/shop" "$source"
  go build -ldflags '-s -w' -o "$root/test/build/shop-stripped" "$source"
fi
