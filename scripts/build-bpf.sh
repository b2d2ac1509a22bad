#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Compiles bpf/*.bpf.c to build/bpf/*.bpf.o; only what is older than its sources.
# With --check: only says by its exit status whether there is nothing to do.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

headers=${LIBBPF_INCLUDE:-libbpf-ts/native/include}
if [ ! -f "$headers/bpf/bpf_helpers.h" ]; then
  echo "scripts/build-bpf.sh: $headers/bpf/bpf_helpers.h is missing. Run: bash libbpf-ts/scripts/build.sh" >&2
  exit 1
fi

find_tool() {
  local name
  for name in "$1-19" "$1" "$1-20" "$1-21" "$1-18"; do
    if command -v "$name" >/dev/null; then
      echo "$name"
      return
    fi
  done
  echo "scripts/build-bpf.sh: $1 not found. Run: apt-get install clang-19 llvm-19" >&2
  return 1
}
clang=$(find_tool clang)
strip=$(find_tool llvm-strip)

case "$(uname -m)" in
  x86_64) arch=x86 ;;
  aarch64) arch=arm64 ;;
  *) echo "scripts/build-bpf.sh: $(uname -m) is not supported: x86_64 and aarch64 are" >&2; exit 1 ;;
esac

is_current() {
  local object=$1 source=$2 input
  [ -f "$object" ] || return 1
  for input in "$source" bpf/include/*.h bpf/generated/*.h "$headers"/bpf/*.h scripts/build-bpf.sh; do
    [ "$input" -nt "$object" ] && return 1
  done
  return 0
}

mkdir -p build/bpf
for source in bpf/*.bpf.c; do
  object=build/bpf/$(basename "${source%.c}").o
  is_current "$object" "$source" && continue
  [ "${1:-}" != --check ] || exit 1
  "$clang" -O2 -g -Wall -Wno-missing-declarations -target bpf -mcpu=v3 "-D__TARGET_ARCH_$arch" \
    -Ibpf/include -I"$headers" -c "$source" -o "$object.$$.tmp"
  "$strip" -g "$object.$$.tmp"
  mv "$object.$$.tmp" "$object"
  echo "compiled $object"
done
