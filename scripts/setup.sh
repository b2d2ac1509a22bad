#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Brings a fresh Debian or Ubuntu machine to where the agent builds and runs. Does nothing, and
# says nothing, when all is in place. Usage: scripts/setup.sh check|demo|test|bench
#   check  JavaScript packages only: no privileges
#   demo   what `npm start` needs: the native addon, the BPF objects and the page
#   test   the same plus the servers and programs that the tests drive
#   bench  the same plus load generators
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
purpose=${1:-demo}
node_version=24.21.0
log=build/setup.log
mkdir -p build
: >"$log"

fail() {
	printf 'set-up: %s\n' "$1" >&2
	shift
	for line in "$@"; do printf '        %s\n' "$line" >&2; done
	exit 1
}

# step TEXT COMMAND...: runs quietly; on failure shows the end of the log.
step() {
	local text=$1 started=$SECONDS
	shift
	printf '  %s … ' "$text" >&2
	if "$@" >>"$log" 2>&1; then
		printf 'done (%d s)\n' $((SECONDS - started)) >&2
	else
		printf 'failed\n\n' >&2
		tail -n 25 "$log" >&2
		fail "\"$text\" failed." "The complete log is build/setup.log."
	fi
}

has() { command -v "$1" >/dev/null 2>&1; }

# --- What only a human can mend -------------------------------------------------------------
has npm || fail "npm is missing." "Install Node.js and npm, for example: apt-get install nodejs npm"
if [ "$purpose" != check ]; then
	has cargo || [ -x "$HOME/.cargo/bin/cargo" ] ||
		fail "Rust is missing: cargo builds the native addon." \
			"Install it with: apt-get install cargo   (1.85 or later), or with rustup"
	has cargo || PATH="$HOME/.cargo/bin:$PATH"
	[ -r /sys/kernel/btf/vmlinux ] ||
		fail "This kernel has no BTF (/sys/kernel/btf/vmlinux), which the BPF programs need." \
			"Boot a kernel built with CONFIG_DEBUG_INFO_BTF=y; those of Debian 11, Ubuntu 20.10 and later have it."
fi

# --- Debian packages ------------------------------------------------------------------------
packages=()
need() { # need COMMAND-OR-FILE PACKAGE
	case $1 in
	/*) [ -e "$1" ] ;;
	*) has "$1" || [ -x "/usr/sbin/$1" ] ;;
	esac || packages+=("$2")
}
if [ "$purpose" != check ]; then
	has clang-19 || has clang-18 || has clang-17 || has clang-16 || packages+=(clang-19 llvm-19)
	need cc gcc
	need make make
	need pkg-config pkg-config
	need /usr/include/libelf.h libelf-dev
	need /usr/include/zlib.h zlib1g-dev
fi
if [ "$purpose" = test ] || [ "$purpose" = bench ]; then
	need nginx nginx-light
	need ip iproute2
	need iptables iptables
	need curl curl
	need openssl openssl
	need systemd-analyze systemd
	need wget wget
	need python3 python3
	need go golang-go
	need wrk wrk
	need setpriv util-linux
	need redis-server redis-server
	need javac default-jdk-headless
	need mvn maven
	need /usr/lib/python3/dist-packages/aiohttp python3-aiohttp
fi
if [ "$purpose" = test ]; then
	need chromium chromium
	need tcpdump tcpdump
	need nft nftables
	need nats-server nats-server
	need mosquitto mosquitto
	need mosquitto_pub mosquitto-clients
	need rabbitmq-server rabbitmq-server
	need /usr/lib/python3/dist-packages/pika python3-pika
	need /usr/lib/python3/dist-packages/proton python3-qpid-proton
	need /usr/lib/postgresql postgresql
	need /usr/lib/python3/dist-packages/redis python3-redis
	need /usr/lib/python3/dist-packages/grpc python3-grpcio
	need /usr/lib/python3/dist-packages/psycopg2 python3-psycopg2
	need /usr/lib/python3/dist-packages/psycopg python3-psycopg
	need mariadbd mariadb-server
	need /usr/lib/python3/dist-packages/pymysql python3-pymysql
	need memcached memcached
	need /usr/lib/python3/dist-packages/pymemcache python3-pymemcache
	need /usr/lib/python3/dist-packages/pymongo python3-pymongo
	need /usr/lib/python3/dist-packages/cassandra python3-cassandra
	need dnsmasq dnsmasq-base
	need dig bind9-dnsutils
	need /usr/lib/python3/dist-packages/thrift python3-thrift
	need /usr/share/java/zookeeper.jar zookeeper
	need /usr/lib/python3/dist-packages/kazoo python3-kazoo
	need clickhouse-server clickhouse-server
	need /usr/lib/python3/dist-packages/clickhouse_driver python3-clickhouse-driver
	need prometheus prometheus
	need slapd slapd
	need ldapsearch ldap-utils
	need php-cgi php-cgi
	need /usr/include/openssl/ssl.h libssl-dev
	need "/usr/lib/$(uname -m)-linux-gnu/libcurl-nss.so.4" libcurl3-nss
fi
if [ ${#packages[@]} -gt 0 ]; then
	has apt-get || fail "These programs are missing: ${packages[*]}." \
		"This set-up installs Debian packages; on another system install what they hold by hand."
	[ "$(id -u)" -eq 0 ] || fail "These Debian packages are missing and installing them needs root: ${packages[*]}" \
		"Run as root: apt-get install ${packages[*]}"
	export DEBIAN_FRONTEND=noninteractive
	step "Refreshing the list of Debian packages" apt-get update -q
	step "Installing ${packages[*]}" apt-get install -q -y --no-install-recommends "${packages[@]}"
fi

# --- npm packages and a current Node --------------------------------------------------------
if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
	# Not npm ci: it refuses a lock file without the optional packages of other platforms, which
	# not every registry has. This keeps to the locked versions too, and to the lock file as it is.
	step "Installing npm packages" npm install --no-save --no-audit --no-fund --loglevel=error
	touch node_modules/.package-lock.json
fi
# The package of one platform: npm's `node` fetches it by an install script, which may be refused.
major() { "$1" -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0; }
host_node=$(PATH=${PATH//$PWD\/node_modules\/.bin:/} command -v node || true)
if [ "$(major "${host_node:-node}")" -lt 24 ] && [ "$(major node_modules/.bin/node)" -lt 24 ]; then
	case $(uname -m) in
	aarch64) platform=linux-arm64 ;;
	*) platform=linux-x64 ;;
	esac
	step "Installing Node $node_version beside the host's $("${host_node:-node}" -v 2>/dev/null || echo none)" \
		npm install --no-save --no-audit --no-fund --loglevel=error "node-$platform@$node_version"
fi
[ "$purpose" = check ] && exit 0

# --- What we build --------------------------------------------------------------------------
bash libbpf-ts/scripts/build.sh --check >/dev/null 2>&1 ||
	step "Building libbpf-ts (Rust, about a minute the first time)" bash libbpf-ts/scripts/build.sh
bash scripts/build-bpf.sh --check >/dev/null 2>&1 ||
	step "Compiling the BPF programs" bash scripts/build-bpf.sh
PATH=$PWD/node_modules/.bin:$PATH
node extensions/ui/page/build.ts --check ||
	step "Building the page" node extensions/ui/page/build.ts

# Opt-in: who wants it builds it with that script.
if [ "$purpose" != demo ]; then
	bash java-agent/build.sh --check >/dev/null 2>&1 ||
		step "Building the agent for JVMs" bash java-agent/build.sh
fi

if [ "$purpose" = test ]; then
	bash test/kafka/build.sh --check >/dev/null 2>&1 ||
		step "Getting Kafka for the tests (45 MB, then cached)" bash test/kafka/build.sh
	bash test/cassandra/build.sh --check >/dev/null 2>&1 ||
		step "Getting Cassandra for the tests (66 MB, then cached)" bash test/cassandra/build.sh
	bash test/mongodb/build.sh --check >/dev/null 2>&1 ||
		step "Getting a MongoDB server for the tests (5 MB, then cached)" bash test/mongodb/build.sh
	for name in dubbo sofarpc rocketmq; do
		bash test/java/build.sh $name --check >/dev/null 2>&1 ||
			step "Getting $name for the tests (10 to 30 MB, then cached)" bash test/java/build.sh $name
	done
	bash test/jaeger/build.sh --check >/dev/null 2>&1 ||
		step "Building Jaeger for the tests (about five CPU minutes, then cached)" bash test/jaeger/build.sh
	bash test/kubernetes/build.sh --check >/dev/null 2>&1 ||
		step "Building kube-apiserver for the tests (about nine CPU minutes, then cached)" bash test/kubernetes/build.sh
	bash test/helm/build.sh --check >/dev/null 2>&1 ||
		step "Building Helm for the tests (about three CPU minutes, then cached)" bash test/helm/build.sh
fi
