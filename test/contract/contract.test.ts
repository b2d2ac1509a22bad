// SPDX-License-Identifier: Apache-2.0
/** What every component of the registry must do, whoever wrote it. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Factory } from "../../src/component/component.ts";
import { FACTORIES } from "../../src/registry.ts";
import { endAfterEach, testComponent } from "./component-contract.ts";
import {
  activeResources,
  drainSignal,
  freePort,
  Harness,
  leavesNothing,
  spansOf,
} from "./harness.ts";

const FAST_RETRY = "retry_on_failure: {initial_interval: 10ms, max_interval: 20ms}";

/** Needs a kernel and privileges to start: `test/kernel` and `test/e2e` start it. */
const NEEDS_KERNEL = new Set(["ebpf_l7", "discovery"]);

let folder = "";
let deaf: Server;
let deafPort = 0;
const sockets = new Set<Socket>();

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "backstitch-contract-"));
  // A pcap header (microseconds, Ethernet) and no packet.
  const header = Uint32Array.of(0xa1b2c3d4, 0x00040002, 0, 0, 262_144, 1);
  writeFileSync(join(folder, "empty.pcap"), header);
  // A recording without a block.
  writeFileSync(join(folder, "empty.bsrec"), "BSREC\u0000\u0000\u0001");
  deaf = createServer((socket) => {
    sockets.add(socket.resume());
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => deaf.listen(0, "127.0.0.1", resolve));
  const address = deaf.address();
  assert.ok(typeof address === "object" && address !== null);
  deafPort = address.port;
});
endAfterEach();
after(() => {
  for (const socket of sockets) socket.destroy();
  deaf.close();
  rmSync(folder, { recursive: true });
});

/** A store's directory has one writer. */
let stores = 0;

/** The smallest body of each component that needs one, sending to `toPort`. */
function bodyOf(factory: Factory, toPort: number): string {
  switch (factory.type) {
    case "otlp":
      return `{protocols: {grpc: {endpoint: "127.0.0.1:${toPort}"}}}`;
    case "otlp_grpc":
      return `{endpoint: "127.0.0.1:${toPort}", tls: {insecure: true}, ${FAST_RETRY}}`;
    case "load_balancing":
      return `{protocol: {otlp: {tls: {insecure: true}, ${FAST_RETRY}}}, resolver: {static: {hostnames: ["127.0.0.1:${toPort}"]}}}`;
    case "otlp_http":
      return `{endpoint: "http://127.0.0.1:${toPort}", ${FAST_RETRY}}`;
    case "file":
      return `{path: ${join(folder, "out.jsonl")}}`;
    case "pcap":
      return `{path: ${join(folder, "empty.pcap")}}`;
    case "replay":
      return `{path: ${join(folder, "empty.bsrec")}}`;
    case "host_metrics":
      return "{scrapers: {load: }}";
    case "basicauth":
      return "{client_auth: {username: ann}}";
    case "zipkin":
      return factory.kind === "receiver"
        ? `{endpoint: "127.0.0.1:${toPort}"}`
        : `{endpoint: "http://127.0.0.1:${toPort}/api/v2/spans", ${FAST_RETRY}}`;
    case "headers_setter":
      return "{headers: [{key: a, value: b}]}";
    case "oauth2client":
      return '{client_id: a, client_secret: b, token_url: "http://127.0.0.1:1/"}';
    case "bearertokenauth":
      return "{token: t}";
    case "file_storage":
      return `{directory: ${join(folder, "storage")}}`;
    case "store":
      return `{directory: ${join(folder, `store-${++stores}`)}}`;
    case "ui":
      return `{directory: ${join(folder, "store-1")}, endpoint: "127.0.0.1:0"}`;
    case "prometheus_remote_write":
      return `{endpoint: "http://127.0.0.1:${toPort}/api/v1/write"}`;
    case "prometheus":
      if (factory.kind === "receiver") return "{config: {scrape_configs: [{job_name: a}]}}";
      return '{endpoint: "127.0.0.1:0"}';
    case "health_check":
    case "pprof":
    case "zpages":
      return `{endpoint: "127.0.0.1:${toPort}"}`;
    case "attributes":
      return "{actions: [{key: a, value: 1, action: upsert}]}";
    case "resource":
      return "{attributes: [{key: a, value: 1, action: upsert}]}";
    case "k8s_attributes":
      return "{passthrough: true}";
    case "tail_sampling":
      return "{policies: [{name: all, type: always_sample}]}";
    case "memory_limiter":
      return "{check_interval: 1s, limit_mib: 4000}";
    default:
      return "{}";
  }
}

test("every component has a name of its own, in snake case", () => {
  const names = FACTORIES.flatMap(({ kind, type, aliases = [] }) =>
    [type, ...aliases].map((name) => `${kind} ${name}`),
  );
  assert.deepEqual(names, [...new Set(names)]);
});

const ROOT = new URL("../../", import.meta.url);
for (const factory of FACTORIES) {
  testComponent({
    factory,
    body: (toPort) => bodyOf(factory, toPort),
    readmes: [`${factory.kind}s/${factory.type}/README.md`, "docs/configuration.md"].map(
      (page) => new URL(page, ROOT),
    ),
    starts: !NEEDS_KERNEL.has(factory.type),
  });
}

for (const factory of FACTORIES) {
  if (factory.kind !== "exporter" || !factory.signals.includes("traces")) continue;

  test(`exporter ${factory.type}: what it took is delivered by the end of shutdown`, async () => {
    const before = activeResources();
    const transport = factory.type === "otlp_http" ? "http" : "grpc";
    const to = await freePort();
    const sink = new Harness({
      receiver: `otlp: {protocols: {${transport}: {endpoint: "127.0.0.1:${to}"}}}`,
    });
    await sink.topology.start();
    const harness = new Harness({ exporter: `${factory.type}: ${bodyOf(factory, to)}` });
    await harness.topology.start();
    for (let at = 0; at < 20; at++) harness.emit(spansOf(5, at));
    await harness.topology.shutdown(drainSignal());
    await sink.topology.shutdown(drainSignal());
    assert.deepEqual(harness.tally, { emitted: 20, settled: 20, refused: 0 });
    if (factory.type.startsWith("otlp")) {
      assert.equal(sink.itemsDelivered, 100);
      const sent = `otelcol_exporter_sent_spans{exporter="${factory.type}"}`;
      assert.equal(await harness.memory.value(sent), 100);
    }
    if (factory.type === "file") {
      const lines = readFileSync(join(folder, "out.jsonl"), "utf8").trimEnd().split("\n");
      assert.equal(lines.join("").split('"spanId"').length - 1, 100);
    }
    await leavesNothing(before);
  });

  if (!factory.type.startsWith("otlp")) continue;

  test(`exporter ${factory.type}: a back end that never answers fills the queue and no more`, async () => {
    const harness = new Harness({
      exporter: `${factory.type}: ${bodyOf(factory, deafPort).replace("{", "{sending_queue: {queue_size: 50}, ")}`,
    });
    await harness.topology.start();
    for (let at = 0; at < 200; at++) harness.emit(spansOf(1, at));
    assert.equal(harness.tally.refused, 150);
    // With 50 batches to send again and again, only the deadline ends this.
    await harness.topology.shutdown(AbortSignal.timeout(100));
    const dropped = 'backstitch_exporter_dropped_spans{exporter="ID",reason="shutdown"}';
    assert.equal(await harness.memory.value(dropped.replace("ID", factory.type)), 50);
  });

  test(`exporter ${factory.type}: a queue that batches joins and cuts requests, and loses nothing`, async () => {
    const transport = factory.type === "otlp_http" ? "http" : "grpc";
    const to = await freePort();
    const sink = new Harness({
      receiver: `otlp: {protocols: {${transport}: {endpoint: "127.0.0.1:${to}"}}}`,
    });
    await sink.topology.start();
    const queue = "{sending_queue: {batch: {min_size: 12, max_size: 12, flush_timeout: 1h}}, ";
    const harness = new Harness({
      exporter: `${factory.type}: ${bodyOf(factory, to).replace("{", queue)}`,
    });
    await harness.topology.start();
    for (const spans of [5, 5, 5, 40, 2]) harness.emit(spansOf(spans, spans));
    await harness.topology.shutdown(drainSignal());
    await sink.topology.shutdown(drainSignal());
    assert.equal(sink.itemsDelivered, 57);
    assert.deepEqual(
      sink.deliveries.sort((a, b) => a - b),
      [2, 4, 5, 10, 12, 12, 12],
    );
  });

  test(`exporter ${factory.type}: block_on_overflow closes the valve in place of refusing`, async () => {
    const queue = "{sending_queue: {queue_size: 8, block_on_overflow: true}, ";
    const harness = new Harness({
      exporter: `${factory.type}: ${bodyOf(factory, deafPort).replace("{", queue)}`,
    });
    await harness.topology.start();
    let emitted = 0;
    while (harness.demand && emitted < 100) harness.emit(spansOf(1, emitted++));
    assert.equal(emitted, 6);
    assert.equal(harness.tally.refused, 0);
    await harness.topology.shutdown(AbortSignal.abort());
  });
}
