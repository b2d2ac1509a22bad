#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Compiles the Java agent to build/java/backstitch-java-agent.jar; only when that is older than its
# sources. With --check: only says by its exit status whether there is nothing to do.
# Needs a JDK (17 or later) and Maven, which fetches ASM; ASM's classes go into the jar under a name
# of ours, because what is on the boot class path must not be in an application's way.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
jar=../build/java/backstitch-java-agent.jar

is_current() {
	local input
	[ -f "$jar" ] || return 1
	for input in build.sh pom.xml Relocate.java src/io/backstitch/agent/*.java; do
		[ "$input" -nt "$jar" ] && return 1
	done
	return 0
}
is_current && exit 0
[ "${1:-}" != --check ] || exit 1

for tool in javac jar java mvn; do
	command -v "$tool" >/dev/null || {
		echo "java-agent/build.sh: no $tool in PATH. Install, for example: apt-get install default-jdk-headless maven" >&2
		exit 1
	}
done
hash=$(sha256sum pom.xml | cut -c1-12)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/backstitch"
asm="$cache/asm-$hash"
mkdir -p "$cache" ../build/java
work=$(mktemp -d)
trap 'rm -rf "$work" "$asm.$$"' EXIT
# Two may ask at once: the second waits, then finds what the first made.
exec 9>"$cache/java-agent.lock"
flock 9
is_current && exit 0
if [ ! -d "$asm" ]; then
	mvn -q -B -f pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$asm.$$" >&2
	mv "$asm.$$" "$asm"
fi
classpath=$(printf '%s:' "$asm"/*.jar)
javac --release 11 -nowarn -Xlint:-options -cp "$classpath" -d "$work/classes" src/io/backstitch/agent/*.java
mkdir "$work/all"
java -cp "$classpath" Relocate.java "$work/classes" "$asm" "$work/all"
mkdir -p "$work/all/META-INF"
cp ASM-LICENSE.txt "$work/all/META-INF/"
cat >"$work/manifest" <<MANIFEST
Agent-Class: io.backstitch.agent.Agent
Boot-Class-Path: agent.jar
Can-Retransform-Classes: true
Can-Redefine-Classes: true
MANIFEST
jar --create --file "$work/agent.jar" --manifest "$work/manifest" -C "$work/all" .
mv "$work/agent.jar" "$jar"
