// SPDX-License-Identifier: Apache-2.0
// What names of bytes are made of: numbers that wrap around, and proxies that change them.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { FlatSpan } from "../support/otlp-json.ts";
import { orders } from "../support/services.ts";
import { startNatAgent } from "./nat-agent.ts";
import { BACKEND_PORT, IPV4, NatBed, SERVICE_PORT } from "./nat-bed.ts";

const LOAD = join(import.meta.dirname, "../support/load-main.ts");
const GATE = join(import.meta.dirname, "gated-load.ts");
const REQUESTS = 20;

/**
 * Asks `argv[1]:argv[2]` on one connection whose first byte has the number 2^32 - 99. A number that is
 * set while the socket is in repair mode is kept by connect (tcp(7), tcp_repair.c of CRIU).
 */
const WRAPPING_CLIENT = `
import signal, socket, struct, sys
go = []
signal.signal(signal.SIGUSR2, lambda *_: go.append(1))
print("waiting", flush=True)
while not go: signal.pause()
TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ, SEND_QUEUE = 19, 20, 21, 2
s = socket.socket()
s.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
s.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_QUEUE, SEND_QUEUE)
s.setsockopt(socket.IPPROTO_TCP, TCP_QUEUE_SEQ, struct.pack("I", 2**32 - 100))
s.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, -1)
s.connect((sys.argv[1], int(sys.argv[2])))
s.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
s.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_QUEUE, SEND_QUEUE)
assert struct.unpack("I", s.getsockopt(socket.IPPROTO_TCP, TCP_QUEUE_SEQ, 4))[0] == 2**32 - 99
s.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, -1)
f = s.makefile("rb")
for n in range(${REQUESTS}):
    s.sendall(b"GET /order/%d HTTP/1.1\\r\\nHost: shop\\r\\n\\r\\n" % n)
    assert b" 200 " in f.readline()
    length = 0
    while (line := f.readline()) != b"\\r\\n":
        if line.lower().startswith(b"content-length:"): length = int(line.split(b":")[1])
    f.read(length)
`;

const end = (span: FlatSpan): string | undefined =>
  (span.attributes.get("url.full") ?? span.attributes.get("url.path"))
    ?.toString()
    .split("/")
    .at(-1);

interface Setting {
  readonly bed: NatBed;
  /** Command and arguments of the client, which waits for SIGUSR2. */
  readonly client: readonly string[];
}

/** The spans of requests from `client` to a backend at `one`. */
async function observe({ bed, client }: Setting): Promise<readonly FlatSpan[]> {
  const listen = `${IPV4.one}:${BACKEND_PORT}`;
  const backend = await bed.start("one", { ...orders({ listen }), readyPort: BACKEND_PORT });
  const [command = "", ...args] = client;
  const asking = await bed.start("client", { command, args, readyOutput: /waiting/ });
  await using agent = await startNatAgent({
    targets: { backend: backend.pid, client: asking.pid },
    processors: { span_stitch: "{}", nat_rewrite: "{conntrack: {enabled: false}}" },
  });
  process.kill(asking.pid, "SIGUSR2");
  const { code } = await asking.ended;
  assert.equal(code, 0, asking.output());
  return await agent.spansWhen(({ length }) => length >= REQUESTS * 2);
}

function loadOn(host: string, port: number): readonly string[] {
  const load = { host, port, requests: REQUESTS, concurrency: 3, keepAlive: false };
  return [process.execPath, GATE, LOAD, JSON.stringify({ ...load, paths: ["/order/{id}"] })];
}

/** How many server spans hang below a client span; each of them below its own. */
function rightLinks(spans: readonly FlatSpan[]): number {
  const clients = new Map(
    spans.filter(({ kind }) => kind === "client").map((span) => [span.spanId, span]),
  );
  let links = 0;
  for (const server of spans.filter(({ kind }) => kind === "server")) {
    if (server.parentSpanId === "") continue;
    const client = clients.get(server.parentSpanId);
    assert.ok(client !== undefined, "a parent that is nowhere");
    assert.equal(end(client), end(server), "another request's parent");
    links++;
  }
  return links;
}

test("requests on both sides of the end of all sequence numbers are linked", async () => {
  await using bed = new NatBed();
  const client = ["python3", "-c", WRAPPING_CLIENT, IPV4.one, String(BACKEND_PORT)];
  const spans = await observe({ bed, client });
  assert.equal(rightLinks(spans), REQUESTS);
});

test("a SYN proxy that changes sequence numbers leads to no wrong link", async () => {
  await using bed = new NatBed();
  const outer = (...words: readonly string[]): string => bed.inside("outer", ...words);
  outer("sh", "-c", "echo 0 > /proc/sys/net/netfilter/nf_conntrack_tcp_loose");
  const to = ["-p", "tcp", "-d", IPV4.one, "--dport", String(BACKEND_PORT)];
  outer("iptables", "-t", "raw", "-A", "PREROUTING", ...to, "--syn", "-j", "CT", "--notrack");
  const state = ["-m", "state", "--state", "INVALID,UNTRACKED"];
  const proxy = ["-j", "SYNPROXY", "--sack-perm", "--timestamp", "--wscale", "7", "--mss", "1460"];
  outer("iptables", "-A", "FORWARD", ...to, ...state, ...proxy);
  const client = loadOn(IPV4.one, BACKEND_PORT);
  const spans = await observe({ bed, client });
  assert.ok(proxiedSyns(outer("cat", "/proc/net/stat/synproxy")) > 0, "the proxy took part");
  assert.ok(rightLinks(spans) <= REQUESTS);
  const isServer = ({ kind }: FlatSpan): boolean => kind === "server";
  assert.equal(spans.filter(isServer).length, REQUESTS, "each request is seen at the server");
});

/** Of the kernel's table: a line of names, then one a CPU; `syn_received` is hexadecimal. */
function proxiedSyns(table: string): number {
  const [names = [], ...rows] = table.split("\n").map((line) => line.trim().split(/\s+/));
  const at = names.indexOf("syn_received");
  return rows.reduce((sum, row) => sum + Number.parseInt(row[at] ?? "0", 16), 0);
}

test("a proxy that ends connections and is not watched leads to no link", async () => {
  await using bed = new NatBed();
  const relay = `
    const net = require("node:net");
    net.createServer((from) => {
      const to = net.connect(${BACKEND_PORT}, "${IPV4.one}");
      from.on("error", () => to.destroy());
      to.on("error", () => from.destroy());
      from.pipe(to).pipe(from);
    }).listen(${SERVICE_PORT}, "0.0.0.0");`;
  await bed.start("outer", {
    ...{ command: process.execPath, args: ["-e", relay], readyPort: SERVICE_PORT },
  });
  const client = loadOn("10.214.1.1", SERVICE_PORT);
  const spans = await observe({ bed, client });
  assert.equal(rightLinks(spans), 0);
  const real = spans.find(({ kind }) => kind === "client")?.attributes.get("network.peer.address");
  assert.equal(real, IPV4.client.replace(/2$/, "1"), "the proxy's address stays");
});
