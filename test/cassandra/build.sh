#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Gets the jars of pom.xml once and prints their folder; later calls only print it.
# With --check: exit status 1 when they would have to be fetched. Some 66 MB, hence the cache
# outside the repository.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

hash=$(sha256sum pom.xml | cut -c1-12)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/backstitch"
jars="$cache/cassandra-$hash"

if [ ! -d "$jars" ]; then
	[ "${1:-}" != --check ] || exit 1
	if ! command -v mvn >/dev/null; then
		echo "test/cassandra/build.sh: no mvn in PATH. Install Maven, for example: apt-get install maven" >&2
		exit 1
	fi
	mkdir -p "$cache"
	# Two may ask at once: the second waits, then finds the folder.
	exec 9>"$cache/cassandra.lock"
	flock 9
	if [ ! -d "$jars" ]; then
		trap 'rm -rf "$jars.$$"' EXIT
		mvn -q -B -f pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$jars.$$" >&2
		mv "$jars.$$" "$jars"
	fi
fi
echo "$jars"
