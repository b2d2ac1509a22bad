// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { appendFile, readdir, readFile, stat, truncate, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { QueryClock } from "./query-clock.ts";
import { type FoundSpan, type SearchQuery, searchSpans } from "./search.ts";
import { sumSeries } from "./series-query.ts";
import { StoreReader } from "./store-reader.ts";
import {
  body,
  hex,
  openStore,
  START_NS,
  type TestSpan,
  temporaryDirectory,
  testSpan,
} from "./test-support.ts";
import { traceIdBytes, visitTrace } from "./trace.ts";

const START_US = Number(START_NS / 1000n);
const EVERYTHING: SearchQuery = { attributes: [], startUs: 0, endUs: 2 ** 52, limit: 1_000 };

async function found(directory: string, query: Partial<SearchQuery> = {}): Promise<string[]> {
  return (await foundSpans(directory, query)).map(({ spanId }) => spanId);
}

async function foundSpans(
  directory: string,
  query: Partial<SearchQuery> = {},
): Promise<readonly FoundSpan[]> {
  const reader = new StoreReader(directory, Date.now);
  const result = await searchSpans(reader, { ...EVERYTHING, ...query }, new QueryClock(10_000));
  reader.close();
  return result.spans;
}

async function namesOfTrace(directory: string, id: string): Promise<readonly string[]> {
  const reader = new StoreReader(directory, Date.now);
  const names: string[] = [];
  const traceId = traceIdBytes(id) ?? Buffer.alloc(16);
  await visitTrace(reader, { traceId, clock: new QueryClock(10_000) }, (span) => {
    names.push(span.spanId);
    return true;
  });
  reader.close();
  return names.sort();
}

function range(count: number, of: (at: number) => TestSpan = testSpan): TestSpan[] {
  return Array.from({ length: count }, (_, at) => of(at));
}

function ids(numbers: readonly number[]): string[] {
  return numbers.map((number) => hex(1 + number, 16));
}

async function spanFiles(directory: string): Promise<string[]> {
  return (await readdir(directory)).filter((name) => name.startsWith("spans-")).sort();
}

test("a span is found as soon as it is flushed, and after the file is sealed", async (context) => {
  const directory = await temporaryDirectory(context);
  const { writer } = await openStore(context, directory);
  await writer.append({ chunks: [body("a", range(5))] });
  await writer.flush();
  const expected = ids([4, 3, 2, 1, 0]);
  assert.deepEqual(await found(directory), expected);
  await writer.close();
  assert.deepEqual(await found(directory), expected);
  assert.deepEqual(await namesOfTrace(directory, "1"), ids([0, 1, 2, 3, 4]));
});

test("a search gives what a look at every span gives", async (context) => {
  const directory = await temporaryDirectory(context);
  const { writer } = await openStore(context, directory);
  const all = range(6_000, (at) =>
    testSpan(at, {
      kind: 1 + (at % 5),
      status: at % 7 === 0 ? { code: 2 } : {},
      endTimeUnixNano: String(START_NS + BigInt(at) * 1_000_000n + BigInt(at % 100) * 1_000n),
      attributes: [{ key: "order", value: { intValue: String(at % 50) } }],
    }),
  );
  for (let at = 0; at < all.length; at += 500) {
    await writer.append({ chunks: [body(`service ${(at / 500) % 3}`, all.slice(at, at + 500))] });
    if (at === 2_500) await writer.flush();
  }
  await writer.close();
  const numbers = all.map((_, at) => at);
  const cases: readonly (readonly [Partial<SearchQuery>, (at: number) => boolean])[] = [
    [{}, () => true],
    [{ service: "service 1" }, (at) => Math.floor(at / 500) % 3 === 1],
    [{ service: "nobody" }, () => false],
    [{ operation: "operation 2" }, (at) => at % 3 === 2],
    [{ kind: 3, status: 2 }, (at) => at % 5 === 2 && at % 7 === 0],
    [{ minDurationNs: 98_000 }, (at) => at % 100 >= 98],
    [{ minDurationNs: 5_000, maxDurationNs: 6_000 }, (at) => at % 100 === 5 || at % 100 === 6],
    [{ startUs: START_US + 100_000, endUs: START_US + 200_000 }, (at) => at >= 100 && at < 200],
    [{ attributes: [{ key: "order", value: "7" }] }, (at) => at % 50 === 7],
    [
      { attributes: [{ key: "order" }, { key: "service.name", value: "service 0" }] },
      (at) => Math.floor(at / 500) % 3 === 0,
    ],
    [{ attributes: [{ key: "other" }] }, () => false],
  ];
  for (const [query, matches] of cases) {
    const expected = ids(numbers.filter(matches).reverse().slice(0, 1_000));
    assert.deepEqual(await found(directory, query), expected, JSON.stringify(query));
    const few = await found(directory, { ...query, limit: 7 });
    assert.deepEqual(few, expected.slice(0, 7), JSON.stringify(query));
  }
  assert.deepEqual(await namesOfTrace(directory, hex(301, 32)), ids(numbers.slice(3_000, 3_010)));
  assert.deepEqual(await namesOfTrace(directory, "ffff"), []);
});

test("what a span was is what is read", async (context) => {
  const directory = await temporaryDirectory(context);
  const { writer } = await openStore(context, directory);
  await writer.append({
    chunks: [
      body("päiste", [
        testSpan(1, {
          name: "x".repeat(300),
          parentSpanId: hex(9, 16),
          kind: 3,
          status: { code: 2 },
        }),
      ]),
    ],
  });
  await writer.close();
  assert.deepEqual(await foundSpans(directory, { operation: "x".repeat(300) }), [
    {
      traceId: hex(1, 32),
      spanId: hex(2, 16),
      parentSpanId: hex(9, 16),
      service: "päiste",
      name: "x".repeat(300),
      kind: 3,
      status: 2,
      startUs: START_US + 1_000,
      durationNs: 1_000_000,
    },
  ]);
  assert.deepEqual(await found(directory, { operation: "y".repeat(300) }), []);
});

test("a torn tail is cut and nothing before it is lost, wherever it is torn", async (context) => {
  const whole = await temporaryDirectory(context);
  const first = await openStore(context, whole);
  await first.writer.append({ chunks: [body("a", range(3))] });
  await first.writer.flush();
  const [name = ""] = await spanFiles(whole);
  const { size } = await stat(join(whole, name));
  await first.writer.append({ chunks: [body("a", [testSpan(3), testSpan(4)])] });
  await first.writer.flush();
  const bytes = await readFile(join(whole, name));
  for (const end of [size, size + 1, size + 35, size + 40, bytes.length - 1]) {
    const directory = await temporaryDirectory(context);
    await writeFile(join(directory, name), bytes.subarray(0, end));
    assert.deepEqual(await found(directory), ids([2, 1, 0]), `read, cut at ${end}`);
    const { writer } = await openStore(context, directory);
    await writer.append({ chunks: [body("a", [testSpan(7)])] });
    await writer.close();
    assert.deepEqual(await found(directory), ids([7, 2, 1, 0]), `written on, cut at ${end}`);
  }
});

test("a damaged block is left out, and the ones around it are read", async (context) => {
  const directory = await temporaryDirectory(context);
  const { writer } = await openStore(context, directory);
  const sizes: number[] = [];
  for (let at = 0; at < 3; at++) {
    await writer.append({ chunks: [body("a", [testSpan(at)])] });
    await writer.flush();
    const [name = ""] = await spanFiles(directory);
    sizes.push((await stat(join(directory, name))).size);
  }
  const [name = ""] = await spanFiles(directory);
  const bytes = await readFile(join(directory, name));
  const at = (sizes[1] ?? 0) - 5;
  const damaged = Buffer.from(bytes);
  damaged[at] = (damaged[at] ?? 0) ^ 0xff;
  const copy = await temporaryDirectory(context);
  await writeFile(join(copy, name), damaged);
  assert.deepEqual(await found(copy), ids([2, 0]));
  const second = await openStore(context, copy);
  assert.ok(
    second.lines.some((line) => line.includes("A segment is damaged")),
    second.lines.join(),
  );
  assert.deepEqual(await found(copy), ids([2, 0]));
});

test("files that were begun and no more are no damage", async (context) => {
  const directory = await temporaryDirectory(context);
  await writeFile(join(directory, "spans-0000000001.seg"), "");
  await writeFile(join(directory, "series-0000000002.seg"), "BSTOR");
  const reader = new StoreReader(directory, Date.now);
  assert.deepEqual(reader.facts()?.setAside, []);
  reader.close();
  const { writer } = await openStore(context, directory);
  await writer.append({ chunks: [body("a", [testSpan(0)])] });
  await writer.close();
  assert.deepEqual(await found(directory), ids([0]));
  assert.ok(!(await readdir(directory)).some((name) => name.endsWith(".corrupt")));
});

test("a file that cannot be read is set aside, with a message", async (context) => {
  const directory = await temporaryDirectory(context);
  await writeFile(join(directory, "spans-0000000001.seg"), "this is no segment at all, not one");
  const { writer, lines } = await openStore(context, directory);
  await writer.append({ chunks: [body("a", [testSpan(0)])] });
  await writer.close();
  assert.match(lines.join("\n"), /cannot be read and is set aside/);
  assert.ok((await readdir(directory)).includes("spans-0000000001.seg.corrupt"));
  assert.deepEqual(await found(directory), ids([0]));
});

test("a footer that is damaged costs nothing: the blocks tell the same", async (context) => {
  const directory = await temporaryDirectory(context);
  const { writer } = await openStore(context, directory);
  await writer.append({ chunks: [body("a", range(30))] });
  await writer.close();
  const [name = ""] = await spanFiles(directory);
  const { size } = await stat(join(directory, name));
  await truncate(join(directory, name), size - 20);
  await appendFile(join(directory, name), Buffer.alloc(20, 7));
  assert.equal((await found(directory)).length, 30);
  const second = await openStore(context, directory);
  await second.writer.close();
  assert.equal((await found(directory)).length, 30);
  assert.deepEqual(
    await namesOfTrace(directory, "2"),
    ids([10, 11, 12, 13, 14, 15, 16, 17, 18, 19]),
  );
});

test("a directory has one writer", async (context) => {
  const directory = await temporaryDirectory(context);
  const { writer } = await openStore(context, directory);
  await assert.rejects(openStore(context, directory), /process \d+ writes there\. Stop it/);
  await writer.close();
  const again = await openStore(context, directory);
  await again.writer.close();
});

test("a request with more spans than a block, and one that is too large", async (context) => {
  const directory = await temporaryDirectory(context);
  const { writer, dropped } = await openStore(context, directory);
  await writer.append({ chunks: [body("a", range(5_000))] });
  const huge = [{ key: "k", value: { stringValue: "x".repeat(33 * 2 ** 20) } }];
  await writer.append({ chunks: [body("a", [testSpan(9_000, { attributes: huge })])] });
  const large = [{ key: "k", value: { stringValue: "x".repeat(10 * 2 ** 20) } }];
  await writer.append({ chunks: [body("a", [testSpan(9_001, { attributes: large })])] });
  await writer.close();
  assert.deepEqual([...dropped], [["too_large", 1]]);
  assert.deepEqual(await found(directory, { limit: 2 }), ids([9_001, 4_999]));
  const reader = new StoreReader(directory, Date.now);
  assert.equal(reader.facts()?.spans, 5_001);
  reader.close();
});

test("the oldest files go when the store is too large or they are too old", async (context) => {
  const directory = await temporaryDirectory(context);
  const bytesMax = 200_000;
  const { writer } = await openStore(context, directory, { bytesMax });
  const noise = (at: number): object[] => [
    { key: "k", value: { stringValue: String(Math.sin(at)).repeat(30) } },
  ];
  for (let at = 0; at < 12_000; at += 500) {
    const some = range(500, (one) => testSpan(at + one, { attributes: noise(at + one) }));
    await writer.append({ chunks: [body("a", some)] });
    await writer.flush();
  }
  await writer.close();
  const files = await readdir(directory);
  const sizes = await Promise.all(
    files.map(async (name) => (await stat(join(directory, name))).size),
  );
  const total = sizes.reduce((sum, size) => sum + size, 0);
  assert.ok(total <= bytesMax * 1.2, `${total} bytes are left`);
  assert.deepEqual(await found(directory, { limit: 1 }), ids([11_999]));
  assert.deepEqual(await namesOfTrace(directory, "1"), []);

  const old = new Date(Date.now() - 3_600_000);
  for (const name of await readdir(directory)) await utimes(join(directory, name), old, old);
  const late = await openStore(context, directory, { ageMaxMs: 60_000 });
  await late.writer.append({ chunks: [body("b", [testSpan(1)])] });
  await late.writer.close();
  assert.equal((await spanFiles(directory)).length, 1);
  assert.deepEqual(await found(directory), ids([1]));
});

test("rates are counted by service, operation and edge, whichever end comes first", async (context) => {
  const directory = await temporaryDirectory(context);
  const { writer } = await openStore(context, directory);
  const client = (at: number, fields: object = {}): TestSpan =>
    testSpan(at, { kind: 3, ...fields });
  const text = (key: string, value: string): object => ({ key, value: { stringValue: value } });
  const http = [text("http.request.method", "GET"), text("server.address", "shop.example")];
  await writer.append({
    chunks: [
      body("front", [
        testSpan(0, { name: "GET /", status: { code: 2 } }),
        client(1, { name: "GET", parentSpanId: hex(1, 16), attributes: http }),
        client(3, { name: "GET", attributes: http }),
        client(4, {
          name: "SELECT",
          attributes: [text("db.system.name", "postgresql"), text("db.namespace", "shop")],
        }),
        testSpan(5, {
          kind: 4,
          name: "send orders",
          attributes: [
            text("messaging.system", "kafka"),
            text("messaging.destination.name", "orders"),
          ],
        }),
      ]),
      body("back", [testSpan(2, { name: "GET /b", parentSpanId: hex(2, 16) })]),
    ],
  });
  // The called one first.
  await writer.append({
    chunks: [
      body("back", [testSpan(10, { name: "GET /b", parentSpanId: hex(12, 16) })]),
      body("front", [client(11, { name: "GET", attributes: http })]),
    ],
  });
  await writer.close();
  const reader = new StoreReader(directory, Date.now);
  const range = { startMs: 0, endMs: Date.now() + 60_000 };
  const sum = await sumSeries(reader, { range, clock: new QueryClock(5_000) });
  reader.close();
  const operations = sum.operations.map(({ one, tally }) => [
    one.service,
    one.operation,
    one.kind,
    tally.requests,
    tally.errors,
  ]);
  assert.deepEqual(
    operations.sort(),
    [
      ["back", "GET /b", 2, 2, 0],
      ["front", "GET /", 2, 1, 1],
      ["front", "GET", 3, 3, 0],
      ["front", "SELECT", 3, 1, 0],
      ["front", "send orders", 4, 1, 0],
    ].sort(),
  );
  const edges = sum.edges.map(({ one: { from, to, protocol }, tally }) =>
    [from.kind, from.name, to.kind, to.system, to.name, protocol, tally.requests].join(" "),
  );
  assert.deepEqual(edges.sort(), [
    "outside  service  front  1",
    "service front database postgresql shop postgresql 1",
    "service front messaging kafka orders kafka 1",
    "service front outside  shop.example http 1",
    "service front service  back http 2",
  ]);
});
