// SPDX-License-Identifier: Apache-2.0
// The forms of HTTP/1 messages as real servers and clients exchange them.
import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { prepareNginx } from "../apps/nginx.ts";
import { assertAccount, metricsAtRest } from "../support/account.ts";
import { startTestAgent, type TestAgent } from "../support/agent.ts";
import { pathOf } from "../support/judge.ts";
import { runLoad } from "../support/load.ts";
import type { FlatSpan } from "../support/otlp-json.ts";
import { total } from "../support/own-metrics.ts";
import { freePorts } from "../support/proc-net.ts";
import { type RunningProcess, startProcess } from "../support/process.ts";
import { exchangeRaw } from "../support/raw-client.ts";
import { orders, raw } from "../support/services.ts";

const CLOSE = "Host: x\r\nConnection: close\r\n\r\n";
const FILE_BYTES = 3_000_000;

interface Served {
  readonly status: unknown;
  readonly version: unknown;
  readonly requestBytes: unknown;
  readonly responseBytes: unknown;
  readonly error: unknown;
}

function servedOf(span: FlatSpan): Served {
  const { attributes } = span;
  return {
    status: attributes.get("http.response.status_code"),
    version: attributes.get("network.protocol.version"),
    requestBytes: attributes.get("http.request.body.size"),
    responseBytes: attributes.get("http.response.body.size"),
    error: attributes.get("error.type"),
  };
}

function expected(
  status: bigint,
  bytes: { readonly request?: bigint; readonly response?: bigint } = {},
  version = "1.1",
): Served {
  const { request, response } = bytes;
  return { status, version, requestBytes: request, responseBytes: response, error: undefined };
}

async function startAgent(server: RunningProcess): Promise<TestAgent> {
  return await startTestAgent({ targets: `[{pids: ${server.pid}, name: server}]` });
}

/** By the path's id; fails when an id has not exactly one span. */
async function served(agent: TestAgent, count: number): Promise<Record<string, Served>> {
  const spans = await agent.spansWhen(count);
  assert.equal(spans.length, count, agent.process.output());
  const entries = spans.map((span) => [pathOf(span).id, servedOf(span)] as const);
  assert.equal(new Set(entries.map(([id]) => id)).size, count);
  return Object.fromEntries(entries);
}

test("nginx sends files by sendfile: whole, in part, none for HEAD and 304", async () => {
  const directory = mkdtempSync(join(tmpdir(), "messages-"));
  using _folder = { [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }) };
  chmodSync(directory, 0o755);
  const [port = 0] = await freePorts(1);
  const nginx = prepareNginx({ directory, listen: [`127.0.0.1:${port}`], root: directory });
  for (const name of ["whole", "head", "part", "same", "old"]) {
    writeFileSync(join(directory, name), Buffer.alloc(FILE_BYTES, name));
    // nginx makes the ETag of time and size.
    utimesSync(join(directory, name), 1_700_000_000, 1_700_000_000);
  }
  await using server = await startProcess({ ...nginx, readyPort: port });
  await using agent = await startAgent(server);
  const ask = async (text: string): Promise<string> =>
    await exchangeRaw({ port, sends: [text], timeoutMs: 5_000 });
  const tag = /^ETag: (\S+)\r$/im.exec(await ask(`HEAD /./head HTTP/1.1\r\n${CLOSE}`))?.[1];
  assert.notEqual(tag, undefined);
  const whole = await ask(`GET /./whole HTTP/1.1\r\n${CLOSE}`);
  assert.ok(whole.length > FILE_BYTES);
  await ask(`GET /./part HTTP/1.1\r\nRange: bytes=100-299\r\n${CLOSE}`);
  await ask(`GET /./same HTTP/1.1\r\nIf-None-Match: ${tag}\r\n${CLOSE}`);
  await ask(`GET /./old HTTP/1.0\r\n\r\n`);
  await ask(`GET /./missing HTTP/1.1\r\n${CLOSE}`);
  const found = await served(agent, 6);
  const missing = found["missing"];
  assert.equal(missing?.status, 404n);
  assert.deepEqual(
    { ...found, missing: undefined },
    {
      head: expected(200n),
      whole: expected(200n, { response: BigInt(FILE_BYTES) }),
      part: expected(206n, { response: 200n }),
      same: expected(304n),
      old: expected(200n, { response: BigInt(FILE_BYTES) }, "1.0"),
      missing: undefined,
    },
  );
  assertAccount(await metricsAtRest(agent));
});

test("Node: pipelining, 100-continue, chunks, large bodies, heads in many pieces", async () => {
  await using server = await startProcess(orders({ listen: "127.0.0.1:0" }));
  await using agent = await startAgent(server);
  const { port } = server;
  const ask = async (sends: readonly string[], until: RegExp, pauseMs = 0): Promise<void> => {
    const text = await exchangeRaw({ port, sends, until, pauseMs, timeoutMs: 5_000 });
    assert.match(text, until);
  };
  const pipelined = ["p1", "p2", "p3", "p4", "p5"].map(
    (id, index) => `GET /${index === 2 ? "fail" : "order"}/${id} HTTP/1.1\r\nHost: x\r\n\r\n`,
  );
  await ask([pipelined.join("")], /(HTTP\/1\.1 (?:200|500)[\s\S]*){5}p5/);
  await ask(
    [
      "POST /order/continue HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
      "hello",
    ],
    /HTTP\/1\.1 100 Continue[\s\S]*HTTP\/1\.1 200 OK/,
    50,
  );
  const chunks = ["5\r\nhello\r\n", "6;a=b\r\n world\r\n", "0\r\nTrailer: x\r\n\r\n"];
  const chunkedHead =
    "POST /order/chunks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  await ask([chunkedHead, ...chunks], /HTTP\/1\.1 200/, 10);
  const pieces = [...`GET /order/pieces HTTP/1.1\r\nHost: x\r\nX-A: b\r\n\r\n`];
  await ask(pieces, /HTTP\/1\.1 200/, 2);
  await runLoad({
    ...{ host: "127.0.0.1", port, requests: 1, concurrency: 1, firstId: 77 },
    ...{ paths: ["/order/{id}"], method: "POST", body: "b".repeat(2_000_000) },
  });
  await runLoad({
    ...{ host: "127.0.0.1", port, requests: 1, concurrency: 1, firstId: 78 },
    paths: ["/chunked/{id}"],
  });
  await runLoad({
    ...{ host: "127.0.0.1", port, requests: 1, concurrency: 1, firstId: 79 },
    paths: ["/empty/{id}"],
  });
  const found = await served(agent, 11);
  const statuses = Object.entries(found).map(([id, one]) => `${id} ${String(one.status)}`);
  assert.deepEqual(statuses.sort(), [
    ...["77 200", "78 200", "79 204", "chunks 200", "continue 200"],
    ...["p1 200", "p2 200", "p3 500", "p4 200", "p5 200", "pieces 200"],
  ]);
  assert.equal(found["continue"]?.requestBytes, 5n);
  assert.equal(found["chunks"]?.requestBytes, 11n);
  assert.equal(found["77"]?.requestBytes, 2_000_000n);
  assert.equal(found["79"]?.responseBytes, undefined);
  assertAccount(await metricsAtRest(agent));
});

test("after an upgrade the connection is left alone", async () => {
  await using server = await startProcess(raw({ listen: "127.0.0.1:0" }));
  await using agent = await startAgent(server);
  const upgraded = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n";
  const reply = Buffer.from(upgraded).toString("base64url");
  const request = `GET /up/1?reply=${reply}&then=hold HTTP/1.1\r\nHost: x\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n`;
  const inside = "GET /inside/1 HTTP/1.1\r\nHost: x\r\n\r\n";
  await exchangeRaw({ port: server.port, sends: [request, inside], pauseMs: 50, timeoutMs: 200 });
  const found = await served(agent, 1);
  assert.equal(found["1"]?.status, 101n);
  const metrics = await metricsAtRest(agent);
  assert.ok(total(metrics, "backstitch_ebpf_l7_unpaired", "after_upgrade") >= 1);
  assertAccount(metrics);
});
