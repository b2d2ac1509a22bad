// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { of } from "rxjs";
import {
  CONNECTION_OPENER,
  DATA_SEND,
  WIRE_CONNECTION,
  WIRE_CONNECTION_BYTES,
  WIRE_CONNECTION_FAMILY,
  WIRE_CONNECTION_FLAGS,
  WIRE_CONNECTION_PROTOCOL,
  WIRE_CONNECTION_SOCKET,
  WIRE_CONNECTION_TGID,
  WIRE_DATA,
  WIRE_DATA_BYTES,
  WIRE_DATA_CAPTURED,
  WIRE_DATA_FLAGS,
  WIRE_DATA_LENGTH,
  WIRE_DATA_POSITION,
  WIRE_DATA_SOCKET,
  WIRE_DATA_TGID,
  WIRE_HEADER_KIND,
  WIRE_HEADER_SIZE,
  WIRE_HEADER_TIME_NS,
  WIRE_PROTOCOL_HTTP1,
} from "../../bpf/generated/wire.ts";
import type { SelectedProcess } from "../../src/model/process.ts";
import { toOtlpJson } from "../../src/pdata/json-encode.ts";
import { REQUESTS } from "../../src/pdata/requests.ts";
import {
  createMemoryTelemetry,
  type MemoryTelemetry,
} from "../../src/telemetry/memory-telemetry.ts";
import { Random } from "../../test/fuzz/random.ts";
import { type FlatSpan, parseTraces } from "../../test/support/otlp-json.ts";
import { configSchema as captureSchema } from "../ebpf_l7/config.ts";
import { Recorder } from "../ebpf_l7/recorder.ts";
import { ReplayReceiver } from "./receiver.ts";

const PID = 77;
const OFFSET_NS = 1_700_000_000_000_000_000n;
const PROCESS: SelectedProcess = {
  pid: PID,
  serviceName: "shop",
  attributes: new Map<string, string | number>([["process.pid", PID]]),
};

let folder = "";
before(() => {
  folder = mkdtempSync(join(tmpdir(), "backstitch-replay-"));
});
after(() => rmSync(folder, { recursive: true }));

/** A ring of one record at a time. */
class Ring {
  readonly bytes: Buffer = Buffer.alloc(4096);
  readonly memory = {
    bytes: this.bytes,
    u32: new Uint32Array(this.bytes.buffer, this.bytes.byteOffset, 1024),
    view: new DataView(this.bytes.buffer, this.bytes.byteOffset, 4096),
  };
  readonly recorder: Recorder;
  readonly positions: [number, number] = [0, 0];
  timeNs = 1_000_000;

  constructor(path: string, record: Readonly<Record<string, unknown>> = {}) {
    this.recorder = new Recorder({
      config: captureSchema.parse({ record: { path, ...record } }),
      selection: { process: (pid) => (pid === PID ? PROCESS : undefined) },
      memory: this.memory,
      offsetNs: OFFSET_NS,
      version: "0",
      logger: createMemoryTelemetry().telemetry.logger,
    });
  }

  connection(): this {
    this.#header(WIRE_CONNECTION, WIRE_CONNECTION_BYTES);
    this.bytes.writeBigUInt64LE(5n, WIRE_CONNECTION_SOCKET);
    this.bytes.writeUInt32LE(PID, WIRE_CONNECTION_TGID);
    this.bytes[WIRE_CONNECTION_FAMILY] = 4;
    this.bytes[WIRE_CONNECTION_FLAGS] = CONNECTION_OPENER;
    this.bytes.writeUInt16LE(WIRE_PROTOCOL_HTTP1, WIRE_CONNECTION_PROTOCOL);
    return this.#add();
  }

  data(direction: 0 | 1, text: string): this {
    this.#header(WIRE_DATA, WIRE_DATA_BYTES + text.length);
    this.bytes.writeBigUInt64LE(5n, WIRE_DATA_SOCKET);
    this.bytes.writeBigUInt64LE(BigInt(this.positions[direction]), WIRE_DATA_POSITION);
    this.bytes.writeUInt32LE(text.length, WIRE_DATA_LENGTH);
    this.bytes.writeUInt16LE(text.length, WIRE_DATA_CAPTURED);
    this.bytes[WIRE_DATA_FLAGS] = direction === 1 ? DATA_SEND : 0;
    this.bytes.writeUInt32LE(PID, WIRE_DATA_TGID);
    this.bytes.write(text, WIRE_DATA_BYTES, "latin1");
    this.positions[direction] += text.length;
    return this.#add();
  }

  #header(kind: number, size: number): void {
    this.bytes.fill(0);
    this.timeNs += 1000;
    this.bytes.writeUInt16LE(kind, WIRE_HEADER_KIND);
    this.bytes.writeUInt16LE(size, WIRE_HEADER_SIZE);
    this.bytes.writeBigUInt64LE(BigInt(this.timeNs), WIRE_HEADER_TIME_NS);
  }

  #add(): this {
    this.recorder.add(0);
    return this;
  }
}

function record(path: string, options: Readonly<Record<string, unknown>> = {}): void {
  const ring = new Ring(path, options).connection();
  for (let count = 0; count < 20; count++) {
    ring.data(1, `GET /a/${count}?q=secret HTTP/1.1\r\nHost: shop\r\nCookie: secret\r\n\r\n`);
    ring.data(0, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret");
  }
  ring.recorder.close();
}

interface Played {
  readonly spans: readonly FlatSpan[];
  readonly memory: MemoryTelemetry;
}

async function play(path: string): Promise<Played> {
  const memory = createMemoryTelemetry();
  const receiver = new ReplayReceiver(
    {
      id: "replay",
      telemetry: memory.telemetry,
      buildInfo: { version: "0" },
      signals: new Set(["traces"]),
      demand: of(true),
    },
    { path },
  );
  const spans: FlatSpan[] = [];
  const completed = new Promise<void>((resolve) => {
    receiver.output("traces").subscribe({
      next: ({ chunks }) => {
        const result = toOtlpJson(REQUESTS.traces.request, Buffer.concat(chunks));
        assert.ok(result.ok);
        spans.push(...parseTraces(result.json));
      },
      complete: resolve,
    });
  });
  const broken = Promise.withResolvers<never>();
  await receiver.start({ extension: () => undefined, fatal: (_id, error) => broken.reject(error) });
  await Promise.race([completed, broken.promise]);
  await receiver.shutdown(AbortSignal.timeout(1000));
  return { spans, memory };
}

test("what was recorded is played, with its times, process and redacted text", async () => {
  const path = join(folder, "run.bsrec");
  record(path);
  const { spans } = await play(path);
  assert.equal(spans.length, 20);
  const [span] = spans;
  assert.equal(span?.service, "shop");
  assert.equal(span?.startNs, OFFSET_NS + 1_002_000n);
  assert.equal(span?.endNs, OFFSET_NS + 1_003_000n);
  assert.equal(span?.attributes.get("url.full"), "http://shop/a/0");
  assert.doesNotMatch(readFileSync(path).toString("latin1"), /secret/);
  record(path, { redact: false });
  assert.match(readFileSync(path).toString("latin1"), /secret/);
  assert.equal((await play(path)).spans.length, 20);
});

test("a recording ends at max_size, and what is there is played", async () => {
  const path = join(folder, "small.bsrec");
  const ring = new Ring(path, { max_size: "64KiB" }).connection();
  for (let count = 0; count < 1000; count++) {
    ring.data(1, "GET /a HTTP/1.1\r\nHost: shop\r\n\r\n");
    ring.data(0, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  }
  ring.recorder.close();
  const { length } = readFileSync(path);
  assert.ok(length <= 65_536 + 100 && length > 60_000, `${length} bytes`);
  const { spans } = await play(path);
  assert.ok(spans.length > 200 && spans.length < 400);
});

test("what is no recording, or of another version or layout, is refused", async () => {
  const path = join(folder, "other.bsrec");
  await assert.rejects(play(join(folder, "none.bsrec")), /replay: path: .*ENOENT/);
  writeFileSync(path, "hello world");
  await assert.rejects(play(path), /no recording of ebpf_l7/);
  writeFileSync(path, Buffer.from("BSREC\u0000\u0000\u0009"));
  await assert.rejects(play(path), /version 9/);
  record(path);
  const text = readFileSync(path).toString("latin1");
  writeFileSync(
    path,
    Buffer.from(
      text.replace(/"layout":\d/, (at) => (at.endsWith("1") ? '"layout":2' : '"layout":1')),
      "latin1",
    ),
  );
  const { spans, memory } = await play(path);
  assert.deepEqual(spans, []);
  const fields = memory.lines.find(({ message }) => /damaged/.test(message))?.fields;
  assert.match(String(fields?.["error"]), /another layout/);
});

test("damaged recordings end in order", async () => {
  const path = join(folder, "damaged.bsrec");
  record(path);
  const file = readFileSync(path);
  const seed = Math.floor(Math.random() * 2 ** 32);
  for (let number = 0; number < 200; number++) {
    const random = new Random(seed + number);
    const mutant = Buffer.from(file);
    for (let count = random.below(8); count >= 0; count--) {
      mutant[8 + random.below(mutant.length - 8)] = random.below(256);
    }
    writeFileSync(path, mutant.subarray(0, 8 + random.below(mutant.length)));
    await play(path).catch((cause: unknown) => {
      throw new Error(`Seed ${seed + number} fails`, { cause });
    });
  }
});
