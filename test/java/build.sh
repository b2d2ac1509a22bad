#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# usage: build.sh NAME [--check]: gets the jars of NAME/pom.xml and compiles NAME/Session.java once, and
# prints their folder; later calls only print it. With --check: exit status 1 when it would have to be
# built. Some 10 to 30 MB each, hence the cache outside the repository.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/$1"

hash=$(cat pom.xml Session.java | sha256sum | cut -c1-12)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/backstitch"
folder="$cache/$1-$hash"

if [ ! -d "$folder" ]; then
	[ "${2:-}" != --check ] || exit 1
	if ! command -v mvn >/dev/null; then
		echo "test/java/build.sh: no mvn in PATH. Install Maven, for example: apt-get install maven" >&2
		exit 1
	fi
	mkdir -p "$cache"
	# Two may ask at once: the second waits, then finds the folder.
	exec 9>"$cache/$1.lock"
	flock 9
	if [ ! -d "$folder" ]; then
		trap 'rm -rf "$folder.$$"' EXIT
		mvn -q -B -f pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$folder.$$" >&2
		javac -nowarn -d "$folder.$$/classes" -cp "$folder.$$/*" Session.java >&2
		mv "$folder.$$" "$folder"
	fi
fi
echo "$folder"
