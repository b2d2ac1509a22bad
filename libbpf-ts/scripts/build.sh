#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds native/libbpf_ts.node and lays libbpf's BPF headers into native/include/bpf.
# Does nothing, quietly, when both are there and no source has changed.
# With --check: only says by its exit status whether that is so.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
native="$(cd "$here/../native" && pwd)"
addon="$native/libbpf_ts.node"
headers="$native/include/bpf"
stamp="$native/target/built.sha256"
export CARGO_TARGET_DIR="$native/target"

fingerprint() {
  (cd "$native" && cat build.rs Cargo.toml Cargo.lock "$here/build.sh" $(find src -name "*.rs" | LC_ALL=C sort) | sha256sum)
}

up_to_date() {
  [[ -f "$addon" && -f "$headers/bpf_helpers.h" && -f "$stamp" ]] &&
    [[ "$(cat "$stamp")" == "$(fingerprint)" ]]
}

fail() {
  echo "libbpf-ts: $1" >&2
  exit 1
}

up_to_date && exit 0
[[ "${1:-}" != --check ]] || exit 1

command -v cargo > /dev/null ||
  fail "Rust is not installed. Install it from https://rustup.rs (1.85 or later), then run this again."
[[ -f /usr/include/libelf.h ]] ||
  fail "libelf's headers are missing. Run: apt-get install libelf-dev zlib1g-dev pkg-config"

mkdir -p "$CARGO_TARGET_DIR"
# Two builds at once would write the same files: the second waits, then finds nothing to do.
exec 9> "$CARGO_TARGET_DIR/build.lock"
flock 9
up_to_date && exit 0

echo "libbpf-ts: building the native addon (about 30 seconds the first time)" >&2
cd "$native"
cargo build --release --locked --quiet ${LIBBPF_TS_FEATURES:+--features "$LIBBPF_TS_FEATURES"}

# A rename, because a process that has the old file mapped must keep the old one.
cp "$CARGO_TARGET_DIR/release/liblibbpf_ts.so" "$addon.new"
mv -f "$addon.new" "$addon"

manifest="$(cargo metadata --format-version 1 --locked --quiet | node -e '
  const text = require("node:fs").readFileSync(0, "utf8");
  const found = JSON.parse(text).packages.find((each) => each.name === "libbpf-sys");
  process.stdout.write(found.manifest_path);')"
source_headers="$(dirname "$manifest")/libbpf/src"
rm -rf "$headers.new"
mkdir -p "$headers.new"
for name in bpf bpf_core_read bpf_endian bpf_helper_defs bpf_helpers bpf_tracing btf libbpf \
  libbpf_common libbpf_legacy libbpf_version usdt.bpf; do
  cp "$source_headers/$name.h" "$headers.new/"
done
rm -rf "$headers"
mv "$headers.new" "$headers"

fingerprint > "$stamp"
