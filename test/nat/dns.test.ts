// SPDX-License-Identifier: Apache-2.0
// A real dnsmasq behind a service's address, asked over UDP by dig.
import assert from "node:assert/strict";
import { test } from "node:test";
import { DENIED, startNatAgent } from "./nat-agent.ts";
import { IPV4, NatBed } from "./nat-bed.ts";
import { translate } from "./rules.ts";

const PORT = 53;
const BACKENDS = ["one", "two", "three"] as const;

for (const evidence of ["conntrack", "byte_name"] as const) {
  const how = evidence === "conntrack" ? "" : ", connection tracking denied";
  test(`DNS through a service's address${how}: each question names who answered, each answer who asked`, async () => {
    await assertDns(evidence);
  });
}

async function assertDns(evidence: "conntrack" | "byte_name"): Promise<void> {
  const isDenied = evidence === "byte_name";
  await using bed = new NatBed();
  translate(bed, {
    ...{ addresses: IPV4, tool: "nft", layers: 1, masquerade: false },
    ...{ protocol: "udp", ports: [PORT, PORT] },
  });
  const targets: Record<string, number> = {};
  for (const [index, name] of BACKENDS.entries()) {
    const server = await bed.start(name, {
      command: "/usr/sbin/dnsmasq",
      args: [
        ...["--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file="],
        ...["--no-resolv", "--no-hosts", `--listen-address=${IPV4[name]}`, "--bind-interfaces"],
        `--address=/shop.example/10.0.0.${index + 1}`,
      ],
      readyPort: PORT,
    });
    targets[name] = server.pid;
  }
  const dig = `dig @${IPV4.service} +tries=1 +time=3 +short shop.example A`;
  const wait = 'trap go=1 USR2; echo waiting; while [ -z "$go" ]; do sleep 0.05; done';
  const client = await bed.start("client", {
    command: "bash",
    args: ["-c", `${wait}; for n in 1 2 3 4 5 6; do ${dig}; done`],
    readyOutput: /waiting/,
  });
  targets["client"] = client.pid;
  await using agent = await startNatAgent({
    targets,
    processors: {
      span_stitch: "{}",
      nat_rewrite: `{conntrack: {namespaces: ["${bed.path("outer")}"]}, pairs: {enabled: ${isDenied}}}`,
    },
    prefix: isDenied ? DENIED : [],
  });
  process.kill(client.pid, "SIGUSR2");
  assert.equal((await client.ended).code, 0, client.output());
  const spans = await agent.spansWhen((found) => found.length >= 12);
  const clients = spans.filter(({ kind }) => kind === "client");
  const servers = spans.filter(({ kind }) => kind === "server");
  assert.deepEqual([clients.length, servers.length], [6, 6]);
  for (const span of clients) {
    // The answer says which server gave it.
    const answer = String(span.attributes.get("dns.answers")).split(".").at(-1);
    const real = IPV4[BACKENDS[Number(answer) - 1] ?? assert.fail(`answer ${answer}`)];
    assert.equal(span.attributes.get("network.peer.address"), real);
    assert.equal(span.attributes.get("nat.original.network.peer.address"), IPV4.service);
    assert.equal(span.attributes.get("nat.evidence"), evidence);
  }
  const asked = new Map(clients.map((span) => [span.spanId, span]));
  for (const span of servers) {
    assert.equal(span.attributes.get("client.address"), IPV4.client);
    const parent = asked.get(span.parentSpanId);
    assert.ok(parent !== undefined, "each answer's parent is its question");
    assert.equal(parent.traceId, span.traceId);
    assert.ok(asked.delete(parent.spanId));
  }
}
