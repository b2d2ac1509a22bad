#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the Jaeger of go.mod once and prints the path of the binary; later calls only print it.
# With --check: exit status 1 when it would have to be built. The first build takes about five CPU
# minutes, hence the cache outside the repository.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

package=github.com/jaegertracing/jaeger/cmd/jaeger
version=$(awk '$1 == "github.com/jaegertracing/jaeger" { print $2; exit }' go.mod)
hash=$(cat go.mod go.sum | sha256sum | cut -c1-12)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/backstitch"
binary="$cache/jaeger-$version-$hash"

if [ ! -x "$binary" ]; then
	[ "${1:-}" != --check ] || exit 1
	if ! command -v go >/dev/null; then
		echo "test/jaeger/build.sh: no Go in PATH. Install Go 1.25 or later: https://go.dev/dl" >&2
		exit 1
	fi
	mkdir -p "$cache"
	# Two may ask at once: the second waits, then finds the binary.
	exec 9>"$cache/jaeger.lock"
	flock 9
	if [ ! -x "$binary" ]; then
		echo "Building Jaeger $version, once: about five CPU minutes ..." >&2
		trap 'rm -f "$binary.$$"' EXIT
		nice go build -p 2 -trimpath -buildvcs=false -ldflags '-s -w' -o "$binary.$$" "$package" >&2
		mv "$binary.$$" "$binary"
	fi
fi
echo "$binary"
