#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the kube-apiserver and the etcd of go.mod once and prints the folder with both; later
# calls only print it. With --check: exit status 1 when they would have to be built. The first
# build takes about nine CPU minutes, hence the cache outside the repository.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

apiserver=k8s.io/kubernetes/cmd/kube-apiserver
etcd=go.etcd.io/etcd/server/v3
version=$(awk '$1 == "require" && $2 == "k8s.io/kubernetes" { print $3 } $1 == "k8s.io/kubernetes" { print $2 }' go.mod | head -n 1)
hash=$(cat go.mod go.sum | sha256sum | cut -c1-12)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/backstitch"
folder="$cache/kubernetes-$version-$hash"

build() { # build PACKAGE NAME
	nice -n 15 go build -p 2 -trimpath -buildvcs=false \
		-ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$version" \
		-o "$folder.$$/$2" "$1" >&2
}

if [ ! -d "$folder" ]; then
	[ "${1:-}" != --check ] || exit 1
	if ! command -v go >/dev/null; then
		echo "test/kubernetes/build.sh: no Go in PATH. Install Go 1.26 or later: https://go.dev/dl" >&2
		exit 1
	fi
	mkdir -p "$cache"
	# Two may ask at once: the second waits, then finds the folder.
	exec 9>"$cache/kubernetes.lock"
	flock 9
	if [ ! -d "$folder" ]; then
		echo "Building kube-apiserver and etcd for $version, once: about nine CPU minutes ..." >&2
		trap 'rm -rf "$folder.$$"' EXIT
		build "$etcd" etcd
		build "$apiserver" kube-apiserver
		mv "$folder.$$" "$folder"
	fi
fi
echo "$folder"
