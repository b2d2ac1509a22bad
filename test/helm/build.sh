#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the Helm of go.mod once and prints the path of the binary; later calls only print it.
# With --check: exit status 1 when it would have to be built. The first build takes about three CPU
# minutes, hence the cache outside the repository.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

package=helm.sh/helm/v4/cmd/helm
version=$(awk '$1 == "helm.sh/helm/v4" { print $2; exit } $2 == "helm.sh/helm/v4" { print $3; exit }' go.mod)
hash=$(cat go.mod go.sum | sha256sum | cut -c1-12)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/backstitch"
binary="$cache/helm-$version-$hash"

if [ ! -x "$binary" ]; then
	[ "${1:-}" != --check ] || exit 1
	if ! command -v go >/dev/null; then
		echo "test/helm/build.sh: no Go in PATH. Install Go 1.26 or later: https://go.dev/dl" >&2
		exit 1
	fi
	mkdir -p "$cache"
	# Two may ask at once: the second waits, then finds the binary.
	exec 9>"$cache/helm.lock"
	flock 9
	if [ ! -x "$binary" ]; then
		echo "Building Helm $version, once: about three CPU minutes ..." >&2
		trap 'rm -f "$binary.$$"' EXIT
		nice go build -p 2 -trimpath -buildvcs=false -ldflags '-s -w' -o "$binary.$$" "$package" >&2
		mv "$binary.$$" "$binary"
	fi
fi
echo "$binary"
