// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { BehaviorSubject, NEVER } from "rxjs";
import { configSchema } from "../../receivers/ebpf_l7/config.ts";
import { EbpfL7Receiver } from "../../receivers/ebpf_l7/receiver.ts";
import type { Extension } from "../../src/component/component.ts";
import type { Batch, Signal } from "../../src/model/batch.ts";
import type { ProcessSelection, SelectedProcess } from "../../src/model/process.ts";
import {
  KEY_AT_CONNECT,
  KEY_PEER_OBSERVED,
  KEY_TRIGGER_OPEN,
  TRIGGER_REQUEST,
} from "../../src/model/stitch-key.ts";
import { forEachSpan } from "../../src/pdata/span-view.ts";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import { Child, Selection } from "./harness.ts";

interface Span {
  readonly id: string;
  readonly parent: string;
  readonly trace: string;
  readonly kind: number;
  readonly name: string;
  readonly error: boolean;
  readonly attributes: ReadonlyMap<string, unknown>;
  readonly key: Buffer;
}

const SERVER = 2;
const CLIENT = 3;

/** The receiver on the real kernel, with a selection made by hand. */
class Watched {
  readonly selection = new Selection();
  readonly telemetry = createMemoryTelemetry();
  readonly demand = new BehaviorSubject(true);
  readonly spans: Span[] = [];
  readonly metrics: Batch[] = [];
  readonly receiver: EbpfL7Receiver;

  constructor(config: Readonly<Record<string, unknown>> = {}) {
    this.receiver = new EbpfL7Receiver(
      {
        id: "ebpf_l7",
        telemetry: this.telemetry.telemetry,
        buildInfo: { version: "test" },
        signals: new Set<Signal>(["traces", "metrics"]),
        demand: this.demand,
      },
      configSchema.parse(config),
    );
    this.receiver.output("traces").subscribe((batch) => this.#keep(batch));
    this.receiver.output("metrics").subscribe((batch) => this.metrics.push(batch));
  }

  async start(): Promise<this> {
    const extension = fakeDiscovery(this.selection);
    await this.receiver.start({ extension: () => extension, fatal: assert.fail });
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** A second call does nothing. */
  async stop(): Promise<void> {
    await this.receiver.shutdown(new AbortController().signal);
    this.selection.close();
  }

  /** Sum over all labels. */
  async count(name: string): Promise<number> {
    const text = await this.telemetry.scrape();
    return text
      .split("\n")
      .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
  }

  #keep(batch: Batch): void {
    for (const chunk of batch.chunks) {
      forEachSpan(chunk, (span) => {
        const attributes = span.attributes();
        const key = attributes.get("stitch.key");
        assert.ok(key instanceof Uint8Array);
        this.spans.push({
          id: span.spanId,
          parent: span.parentSpanId,
          trace: span.traceId,
          kind: span.kind,
          name: span.name,
          error: span.statusCode === 2,
          attributes,
          key: Buffer.from(key),
        });
      });
    }
  }
}

function fakeDiscovery(selection: Selection): Extension & ProcessSelection {
  const processes = new Map<number, SelectedProcess>();
  const find = (pid: number): SelectedProcess => {
    const found = processes.get(pid) ?? { pid, serviceName: "child", attributes: new Map() };
    processes.set(pid, found);
    return found;
  };
  return {
    start: async () => {},
    shutdown: async () => {},
    selectionMap: selection.map,
    selectionMapFd: selection.map.fd,
    changes: NEVER,
    selected: () => processes.values(),
    process: find,
  };
}

async function runWatched(
  script: string,
  config: Readonly<Record<string, unknown>> = {},
): Promise<Watched> {
  const watched = await new Watched(config).start();
  const child = new Child(script);
  await child.ready();
  watched.selection.select(child.pid);
  child.resume();
  await child.done();
  await settle();
  return watched;
}

function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 120));
}

test("an exchange gives a client and a server span that are linked by name", async () => {
  await using watched = await runWatched("wait(); exchange(*pair())");
  await watched.stop();
  assert.equal(watched.spans.length, 2);
  const client = watched.spans.find((span) => span.kind === CLIENT);
  const server = watched.spans.find((span) => span.kind === SERVER);
  assert.equal(server?.parent, client?.id);
  assert.equal(server?.trace, client?.trace);
  assert.equal(server?.name, client?.name === "GET" ? server?.name : "GET /a");
  assert.equal(server?.attributes.get("http.response.status_code"), 200);
  assert.ok(((server?.key[2] ?? 0) & KEY_PEER_OBSERVED) !== 0);
  assert.ok(((client?.key[2] ?? 0) & KEY_PEER_OBSERVED) !== 0);
  assert.equal(watched.metrics.length, 1);
});

test("an outgoing request names the request that its thread had read", async () => {
  await using watched = await runWatched(`
wait(); client, server = pair(); client.send(REQUEST); server.recv(9999)
onward, behind = pair(); onward.send(REQUEST)
def serve(): behind.recv(9999); behind.send(RESPONSE)
thread = threading.Thread(target=serve); thread.start(); thread.join()
onward.recv(9999); server.send(RESPONSE); client.recv(9999)`);
  await watched.stop();
  const byTriggerKind = watched.spans.filter((span) => span.key[3] === TRIGGER_REQUEST);
  assert.equal(byTriggerKind.length, 1);
  const [onward] = byTriggerKind;
  assert.equal(onward?.kind, CLIENT);
  const flags = onward?.key[2] ?? 0;
  assert.equal(flags & (KEY_AT_CONNECT | KEY_TRIGGER_OPEN), KEY_AT_CONNECT | KEY_TRIGGER_OPEN);
  assert.equal(onward?.key.readUInt16LE(4), 1, "one server request open on the thread");
  const cause = watched.spans.find(
    (span) => span.id === onward?.key.subarray(24, 32).toString("hex"),
  );
  assert.equal(cause?.kind, SERVER);
});

test("connections older than the agent are traced from their next request, linked right", async () => {
  const child = new Child(`
client, server = pair(); exchange(client, server); client.send(REQUEST); server.recv(9999)
wait(); server.send(RESPONSE); client.recv(9999)
for _ in range(3): exchange(client, server)`);
  await child.ready();
  await using watched = await new Watched().start();
  watched.selection.select(child.pid);
  child.resume();
  await child.done();
  await settle();
  await watched.stop();
  const clients = watched.spans.filter((span) => span.kind === CLIENT);
  const servers = watched.spans.filter((span) => span.kind === SERVER);
  assert.equal(clients.length, 3);
  assert.deepEqual(
    servers.map((span) => span.parent).sort(),
    clients.map((span) => span.id).sort(),
  );
});

test("a request whose connection is reset is an error and has no status", async () => {
  await using watched = await runWatched(`
wait(); client, server = pair(); client.send(REQUEST); server.recv(9999)
server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); server.close()
try: client.recv(99)
except ConnectionResetError: pass
client.close()`);
  await watched.stop();
  assert.equal(watched.spans.length, 2);
  for (const span of watched.spans) {
    assert.ok(span.attributes.get("error.type") !== undefined);
    assert.equal(span.attributes.get("http.response.status_code"), undefined);
  }
});

test("the account balances: seen is captured and dropped, started is completed and given up", async () => {
  await using watched = await runWatched(
    `
wait(); pairs = [pair() for _ in range(8)]
for _ in range(300):
    for client, server in pairs: exchange(client, server)
plain = pair(); plain[0].send(b"PING\\r\\n" * 3); plain[1].recv(99)
client, server = pair(); client.send(REQUEST); server.recv(9999)
time.sleep(.05)`,
    { ring_size: 128 * 1024, drain_interval: "40ms" },
  );
  const name = (suffix: string): string => `backstitch_ebpf_l7_${suffix}`;
  const total = (suffix: string): Promise<number> => watched.count(name(suffix));
  await settle();
  const seen = await total("records_seen");
  assert.equal(seen, 8 * 300 * 4 + 4);
  assert.equal(seen, (await total("records_captured")) + (await total("records_dropped")));
  await watched.stop();
  const open = 0;
  assert.equal(
    await total("exchanges_started"),
    (await total("exchanges_completed")) + (await total("exchanges_abandoned")) + open,
  );
  assert.equal(await total("exchanges_completed"), watched.spans.length);
  assert.equal(await total("records_unknown_connection"), 0);
});

test("while nothing is demanded records wait in the ring", async () => {
  await using watched = new Watched();
  watched.demand.next(false);
  await watched.start();
  const child = new Child("wait(); exchange(*pair())");
  await child.ready();
  watched.selection.select(child.pid);
  child.resume();
  await child.done();
  await settle();
  assert.equal(watched.spans.length, 0);
  watched.demand.next(true);
  await settle();
  assert.equal(watched.spans.length, 2);
  await watched.stop();
});
