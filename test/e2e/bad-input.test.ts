// SPDX-License-Identifier: Apache-2.0
// Bytes that are no HTTP, HTTP that is hostile or cut off: error spans or counts, no wrong pair.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { assertAccount, metricsAtRest } from "../support/account.ts";
import { startTestAgent, type TestAgent } from "../support/agent.ts";
import { eventually } from "../support/eventually.ts";
import { pathOf } from "../support/judge.ts";
import type { FlatSpan } from "../support/otlp-json.ts";
import { total } from "../support/own-metrics.ts";
import { type RunningProcess, startProcess } from "../support/process.ts";
import { exchangeRaw } from "../support/raw-client.ts";
import { orders, raw } from "../support/services.ts";

interface Bed extends AsyncDisposable {
  readonly server: RunningProcess;
  readonly agent: TestAgent;
  readonly port: number;
  /** The span of the request with this path, once it is there; undefined if it never comes. */
  span(segment: string, id: string | number): Promise<FlatSpan | undefined>;
  /** A plain request gives its span: the agent lives and still sees this server. */
  assertAlive(id: string): Promise<void>;
}

async function startBed(capture = "{}"): Promise<Bed> {
  const server = await startProcess(raw({ listen: "127.0.0.1:0" }));
  const agent = await startTestAgent({
    targets: `[{pids: ${server.pid}, name: raw}]`,
    capture,
  });
  const { port } = server;
  const span: Bed["span"] = async (segment, id) =>
    await eventually(
      async () => agent.spans().find((one) => isOf(one, segment, String(id))),
      (found) => found !== undefined,
      3_000,
    );
  return {
    server,
    agent,
    port,
    span,
    assertAlive: async (id) => {
      await exchangeRaw({ port, sends: [get(`/alive/${id}`, OK, "fin")] });
      const found = await span("alive", id);
      assert.equal(statusOf(found), 200n, agent.process.output());
    },
    [Symbol.asyncDispose]: async () => {
      await agent[Symbol.asyncDispose]();
      await server.stop();
    },
  };
}

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/** A request that asks the server for this answer, and then for this end of the connection. */
function get(path: string, reply: string, end: string, headers = ""): string {
  const query = `?reply=${Buffer.from(reply, "latin1").toString("base64url")}&then=${end}`;
  return `GET ${path}${query} HTTP/1.1\r\nHost: raw\r\n${headers}\r\n`;
}

function isOf(span: FlatSpan, segment: string, id: string): boolean {
  const path = pathOf(span);
  return path.segment === segment && path.id === id;
}

function statusOf(span: FlatSpan | undefined): unknown {
  return span?.attributes.get("http.response.status_code");
}

function assertFailed(span: FlatSpan | undefined, error: RegExp): void {
  assert.ok(span !== undefined, "no span");
  assert.match(String(span.attributes.get("error.type")), error);
  assert.equal(statusOf(span), undefined, "a status that nobody sent");
  assert.equal(span.statusCode, 2, "status of the span is error");
  assert.ok(span.endNs >= span.startNs);
}

test("garbage is counted and gives no span", async () => {
  await using bed = await startBed();
  const starts = [
    "",
    "\0\0\0\0",
    "GET",
    "GETX / HTTP",
    "HTTP/1.1",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  ];
  for (let index = 0; index < 120; index += 1) {
    const bytes = Buffer.concat([
      Buffer.from(starts[index % starts.length] ?? "", "latin1"),
      randomBytes(1 + ((index * 37) % 3_000)),
    ]);
    const leave = index % 2 === 0 ? "fin" : "rst";
    await exchangeRaw({ port: bed.port, sends: [bytes], leave, timeoutMs: 300 });
  }
  await bed.assertAlive("after-garbage");
  const metrics = await metricsAtRest(bed.agent);
  assert.ok(total(metrics, "backstitch_ebpf_l7_unpaired", "unknown_protocol") >= 20);
  assert.equal(bed.agent.spans().length, 1, "only the plain request has a span");
  assert.equal(total(metrics, "backstitch_ebpf_l7_connections"), 0);
  assertAccount(metrics);
});

test("requests cut off anywhere give an error span or a count, never a status", async () => {
  await using bed = await startBed();
  const whole = `POST /cut/ID HTTP/1.1\r\nHost: raw\r\nContent-Length: 100\r\n\r\n${"x".repeat(100)}`;
  const headEnd = whole.indexOf("\r\n\r\n") + 4;
  const lengths = [3, 8, 15, 30, headEnd - 1, headEnd, headEnd + 50];
  for (const leave of ["fin", "rst"] as const) {
    for (const length of lengths) {
      const text = whole.replace("ID", `${leave}-${length}`);
      const sends = [text.slice(0, length)];
      await exchangeRaw({ port: bed.port, sends, leave, pauseMs: 20, timeoutMs: 300 });
    }
  }
  await bed.assertAlive("after-cuts");
  for (const leave of ["fin", "rst"] as const) {
    // Head complete, body not: the request is known, the answer never came.
    assertFailed(
      await bed.span("cut", `${leave}-${headEnd + 50}`),
      /^(connection_closed|ECONNRESET)$/,
    );
  }
  assert.match(
    String((await bed.span("cut", `rst-${headEnd + 50}`))?.attributes.get("error.type")),
    /^ECONNRESET$/,
  );
  const metrics = await metricsAtRest(bed.agent);
  const spans = bed.agent.spans().filter((span) => pathOf(span).segment === "cut");
  for (const span of spans) assert.equal(statusOf(span), undefined);
  const lost = total(metrics, "backstitch_ebpf_l7_exchanges_abandoned");
  assert.ok(spans.length + lost <= lengths.length * 2);
  assertAccount(metrics);
});

test("heads without end and other excess are given up and counted, in bounded memory", async () => {
  await using bed = await startBed();
  const line = `X-Fill: ${"f".repeat(1_000)}\r\n`;
  const chunk = `5;${"e".repeat(60_000)}`;
  const chunked = "POST /excess/2 HTTP/1.1\r\nHost: raw\r\nTransfer-Encoding: chunked\r\n\r\n";
  await exchangeRaw({
    port: bed.port,
    sends: [`GET /excess/1 HTTP/1.1\r\nHost: raw\r\n`, ...Array.from({ length: 500 }, () => line)],
    leave: "fin",
  });
  await exchangeRaw({
    port: bed.port,
    sends: [chunked, ...Array.from({ length: 20 }, () => chunk)],
    leave: "fin",
  });
  const target = `/excess/3/${"t".repeat(100_000)}`;
  await exchangeRaw({ port: bed.port, sends: [get(target, OK, "fin")], leave: "fin" });
  await bed.assertAlive("after-excess");
  const metrics = await metricsAtRest(bed.agent);
  for (const span of bed.agent.spans()) {
    if (pathOf(span).segment !== "excess") continue;
    assert.ok(String(span.attributes.get("url.path")).length <= 2_048);
    assert.ok(!JSON.stringify([...span.attributes], bigintText).includes("eeeeeeeeee"));
  }
  const givenUp =
    total(metrics, "backstitch_ebpf_l7_exchanges_abandoned") +
    total(metrics, "backstitch_ebpf_l7_unpaired");
  assert.ok(givenUp > 0, "what was given up is counted");
  assertAccount(metrics);
});

function bigintText(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}

test("smuggling forms, NULs and folded headers never pair a response with a wrong request", async () => {
  await using bed = await startBed();
  const hidden = "GET /hidden/ID HTTP/1.1\r\nHost: raw\r\n\r\n";
  const forms: readonly { readonly name: string; readonly text: string }[] = [
    {
      name: "cl-te",
      text: `POST /form/cl-te HTTP/1.1\r\nHost: raw\r\nContent-Length: ${5 + hidden.length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`,
    },
    {
      name: "te-cl",
      text: `POST /form/te-cl HTTP/1.1\r\nHost: raw\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n${hidden.length.toString(16)}\r\n${hidden}\r\n0\r\n\r\n`,
    },
    {
      name: "cl-cl",
      text: `POST /form/cl-cl HTTP/1.1\r\nHost: raw\r\nContent-Length: 0\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`,
    },
    {
      name: "te-te",
      text: `POST /form/te-te HTTP/1.1\r\nHost: raw\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n${hidden}`,
    },
    { name: "nul", text: `GET /form/nul HTTP/1.1\r\nHost: raw\r\nX: a\0b\r\n\r\n${hidden}` },
    {
      name: "space-colon",
      text: `POST /form/space-colon HTTP/1.1\r\nHost: raw\r\nContent-Length : ${hidden.length}\r\n\r\n${hidden}`,
    },
    {
      name: "fold",
      text: `POST /form/fold HTTP/1.1\r\nHost: raw\r\nContent-Length:\r\n ${hidden.length}\r\n\r\n${hidden}`,
    },
    {
      name: "minus",
      text: `POST /form/minus HTTP/1.1\r\nHost: raw\r\nContent-Length: -1\r\n\r\n${hidden}`,
    },
  ];
  for (const { name, text } of forms) {
    // The server refuses the form, as RFC 9112 section 6.3 wants, and takes a new request after it.
    const refused = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const asking = get(`/ask/${name}`, refused, "fin");
    const sends = [text.replace("ID", name), asking];
    await exchangeRaw({ port: bed.port, sends, pauseMs: 10, timeoutMs: 500 });
  }
  await bed.assertAlive("after-forms");
  const metrics = await metricsAtRest(bed.agent);
  const spans = bed.agent.spans();
  for (const { name } of forms) {
    // One 400 came on each connection, as the answer to its first request: nobody else may have it.
    for (const segment of ["hidden", "ask"]) {
      const later = spans.find((span) => isOf(span, segment, name));
      assert.equal(statusOf(later), undefined, `${segment}/${name} got the answer of form/${name}`);
    }
    const first = spans.find((span) => isOf(span, "form", name));
    assert.ok(first === undefined || statusOf(first) === 400n, `form/${name}`);
  }
  assert.ok(
    spans.every((span) => ["alive", "form", "hidden", "ask"].includes(pathOf(span).segment)),
  );
  assertAccount(metrics);
});

/** A generator of 32-bit numbers, by its seed (xorshift, Marsaglia 2003). */
function randomOf(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** The text with a few of its bytes changed, left out, doubled, or cut into pieces elsewhere. */
function mutated(text: string, random: (below: number) => number): string {
  let result = text;
  for (let turn = random(4); turn > 0; turn -= 1) {
    const at = random(result.length);
    const part = result.slice(at, at + random(40));
    const change =
      [String.fromCharCode(random(256)), "", part + part, "\r\n", "\0"][random(5)] ?? "";
    result = result.slice(0, at) + change + result.slice(at + random(3));
  }
  return result;
}

test("mutated requests and responses break no parser and no sum", async (t) => {
  const seed = Date.now() & 0x7fffffff;
  t.diagnostic(`seed ${seed}`);
  const random = randomOf(seed);
  await using bed = await startBed();
  const replies = [
    OK,
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.0 404 Not Found\r\n\r\nuntil the end",
  ];
  const visit = async (id: number): Promise<void> => {
    const reply = mutated(replies[random(replies.length)] ?? OK, random);
    const then = ["fin", "rst", "hold"][random(3)] ?? "fin";
    const headers =
      ["", "Content-Length: 4\r\n", "Transfer-Encoding: chunked\r\n"][random(3)] ?? "";
    const text = mutated(get(`/fuzz/${id}`, reply, then, headers), random);
    const cut = random(text.length);
    const sends = [text.slice(0, cut), text.slice(cut), mutated(get("/more/1", OK, "fin"), random)];
    const leave = (["fin", "rst", "half-close"] as const)[random(3)] ?? "fin";
    await exchangeRaw({ port: bed.port, sends, leave, timeoutMs: 50 });
  };
  for (let id = 0; id < 800; id += 20) {
    await Promise.all(Array.from({ length: 20 }, (_, index) => visit(id + index)));
  }
  await bed.assertAlive("after-fuzz");
  const metrics = await metricsAtRest(bed.agent);
  assertAccount(metrics);
  assert.equal(total(metrics, "backstitch_ebpf_l7_exchanges_open"), 0);
});

test("connections that die before, in and after the answer end as what they are", async () => {
  await using bed = await startBed();
  const partial = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it";
  const cases = [
    { id: "no-answer-fin", reply: "", end: "fin" },
    { id: "no-answer-rst", reply: "", end: "rst" },
    { id: "part-of-head-fin", reply: "HTTP/1.1 20", end: "fin" },
    { id: "part-of-body-fin", reply: partial, end: "fin" },
    { id: "part-of-body-rst", reply: partial, end: "rst" },
    { id: "whole", reply: OK, end: "fin" },
    { id: "no-http", reply: "\x16\x03\x01 something else altogether\r\n\r\n", end: "fin" },
  ];
  for (const { id, reply, end } of cases) {
    await exchangeRaw({ port: bed.port, sends: [get(`/die/${id}`, reply, end)] });
  }
  await exchangeRaw({
    port: bed.port,
    sends: [get("/die/impatient-rst", "", "hold")],
    leave: "rst",
    pauseMs: 30,
  });
  await exchangeRaw({
    port: bed.port,
    sends: [get("/die/half-closed", OK, "fin")],
    leave: "half-close",
  });
  for (const id of ["whole", "half-closed"]) {
    const span = await bed.span("die", id);
    assert.equal(statusOf(span), 200n, id);
    assert.equal(span?.attributes.get("error.type"), undefined, id);
  }
  assertFailed(await bed.span("die", "no-answer-fin"), /^connection_closed$/);
  assertFailed(await bed.span("die", "no-answer-rst"), /^(connection_closed|ECONNRESET)$/);
  assertFailed(await bed.span("die", "impatient-rst"), /^ECONNRESET$/);
  for (const id of ["part-of-body-fin", "part-of-body-rst"]) {
    const span = await bed.span("die", id);
    assert.equal(statusOf(span), 200n, `${id}: its status did come`);
    assert.notEqual(span?.attributes.get("error.type"), undefined, id);
  }
  for (const id of ["part-of-head-fin", "no-http"]) {
    const span = await bed.span("die", id);
    assert.equal(statusOf(span), undefined, id);
  }
  assertAccount(await metricsAtRest(bed.agent));
});

test("a process that is killed in the middle of a request leaves a span that says so", async () => {
  await using bed = await startBed();
  const waiting = exchangeRaw({ port: bed.port, sends: [get("/kill/waiting", "", "hold")] });
  await bed.assertAlive("before-kill");
  await exchangeRaw({ port: bed.port, sends: [get("/kill/last", "", "die")] });
  await waiting;
  assert.deepEqual(await bed.server.ended, { code: null, signal: "SIGKILL" });
  for (const id of ["waiting", "last"]) {
    assertFailed(await bed.span("kill", id), /^(connection_closed|ECONNRESET)$/);
  }
  const metrics = await metricsAtRest(bed.agent);
  assert.equal(total(metrics, "backstitch_ebpf_l7_connections"), 0);
  assert.equal(total(metrics, "backstitch_ebpf_l7_exchanges_open"), 0);
  assert.equal(total(metrics, "backstitch_discovery_selected_processes"), 0);
  assertAccount(metrics);
});

test("a caller whose server is killed has an error span, with the server's below it", async () => {
  await using back = await startProcess(raw({ listen: "127.0.0.1:0" }));
  const downstream = [`http://127.0.0.1:${back.port}`];
  await using front = await startProcess(orders({ listen: "127.0.0.1:0", downstream }));
  await using agent = await startTestAgent({
    targets: `[{pids: ${front.pid}, name: front}, {pids: ${back.pid}, name: back}]`,
  });
  const answer = await exchangeRaw({
    port: front.port,
    sends: ["GET /order/1?then=die HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"],
    timeoutMs: 5_000,
  });
  assert.match(answer, /^HTTP\/1\.1 502 /);
  const spans = await agent.spansWhen(3);
  const of = (service: string, kind: string): FlatSpan | undefined =>
    spans.find((span) => span.service === service && span.kind === kind);
  const root = of("front", "server");
  const call = of("front", "client");
  const served = of("back", "server");
  assert.equal(spans.length, 3);
  assert.equal(statusOf(root), 502n);
  assert.equal(root?.attributes.get("error.type"), "502");
  assertFailed(call, /^(connection_closed|ECONNRESET)$/);
  assertFailed(served, /^(connection_closed|ECONNRESET)$/);
  assert.equal(call?.parentSpanId, root?.spanId);
  assert.equal(served?.parentSpanId, call?.spanId);
  assert.equal(new Set(spans.map((span) => span.traceId)).size, 1);
  assertAccount(await metricsAtRest(agent));
});
