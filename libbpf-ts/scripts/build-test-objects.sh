#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Compiles test/bpf/*.bpf.c, each only when it or a header is newer than its object.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
clang="${CLANG:-$(command -v clang-19 || command -v clang || true)}"
[[ -n "$clang" ]] || {
  echo "libbpf-ts: clang is missing. Run: apt-get install clang-19 (or set CLANG)" >&2
  exit 1
}
for source in "$root"/test/bpf/*.bpf.c; do
  object="${source%.c}.o"
  [[ "$object" -nt "$source" && "$object" -nt "$root/test/bpf/types.h" ]] && continue
  "$clang" -target bpf -mcpu=v3 -O2 -g -Wall -Werror -I"$root/native/include" \
    -c "$source" -o "$object.new"
  mv -f "$object.new" "$object"
done
