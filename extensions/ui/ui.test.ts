// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { request } from "node:http";
import { type TestContext, test } from "node:test";
import type { ServerAuthenticator } from "../../src/component/auth.ts";
import type { Host } from "../../src/component/component.ts";
import {
  body,
  hex,
  openStore,
  START_NS,
  type TestSpan,
  temporaryDirectory,
  testSpan,
} from "../../src/store/test-support.ts";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import { configSchema } from "./config.ts";
import { Ui } from "./ui.ts";

const HOST: Host = { extension: () => undefined, fatal: () => undefined };
const START_US = Number(START_NS / 1000n);
const RANGE = `start=${START_US - 1}&end=${START_US + 3_600_000_000}`;

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly json: unknown;
}
type Ask = (path: string, init?: RequestInit) => Promise<Answer>;

interface Running {
  readonly ask: Ask;
  readonly port: number;
}

async function running(
  context: TestContext,
  chunks: readonly Uint8Array[],
  options: { readonly host?: Host; readonly config?: object } = {},
): Promise<Running> {
  const directory = await temporaryDirectory(context);
  const { writer } = await openStore(context, directory);
  await writer.append({ chunks });
  await writer.close();
  const { telemetry } = createMemoryTelemetry();
  const config = configSchema.parse({ directory, endpoint: "127.0.0.1:0", ...options.config });
  const ui = new Ui({ id: "ui", telemetry, buildInfo: { version: "1" } }, config);
  await ui.start(options.host ?? HOST);
  context.after(() => ui.shutdown());
  const ask: Ask = async (path, init) => {
    const response = await fetch(`http://127.0.0.1:${ui.port}${path}`, init ?? {});
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.startsWith("application/json");
    return {
      status: response.status,
      headers: response.headers,
      json: isJson && text !== "" ? JSON.parse(text) : text,
    };
  };
  return { ask, port: ui.port };
}

/** The member of an answer, by its way. */
function at(value: unknown, ...way: readonly (string | number)[]): unknown {
  return way.reduce<unknown>((inner, step) => {
    if (typeof inner !== "object" || inner === null) return undefined;
    return Object.entries(inner).find(([key]) => key === String(step))?.[1];
  }, value);
}

function list(value: unknown): readonly unknown[] {
  assert.ok(Array.isArray(value), `not a list: ${JSON.stringify(value)?.slice(0, 200)}`);
  return value;
}

const CHAIN = [
  body("front", [
    testSpan(0, { name: "GET /" }),
    testSpan(1, { name: "GET", kind: 3, parentSpanId: hex(1, 16), status: { code: 2 } }),
  ]),
  body("back", [testSpan(2, { name: "GET /b", parentSpanId: hex(2, 16) })]),
];

test("a trace comes with its resources, parents, offsets and evidence", async (context) => {
  const evidence = [
    { key: "stitch.evidence", value: { stringValue: "thread" } },
    { key: "stitch.confidence", value: { doubleValue: 0.75 } },
  ];
  const linked = testSpan(3, { parentSpanId: hex(3, 16), attributes: evidence });
  const { ask } = await running(context, [...CHAIN, body("back", [linked])]);
  const { status, json } = await ask("/api/ui/traces/1");
  assert.equal(status, 200);
  assert.equal(at(json, "traceId"), hex(1, 32));
  assert.equal(at(json, "startUs"), START_US);
  assert.equal(at(json, "durationNs"), 4_000_000);
  const spans = list(at(json, "spans"));
  assert.deepEqual(
    spans.map((span) => [at(span, "name"), at(span, "offsetNs"), at(span, "parentSpanId")]),
    [
      ["GET /", 0, ""],
      ["GET", 1_000_000, hex(1, 16)],
      ["GET /b", 2_000_000, hex(2, 16)],
      ["operation 0", 3_000_000, hex(3, 16)],
    ],
  );
  assert.deepEqual([at(spans[3], "evidence"), at(spans[3], "confidence")], ["thread", 0.75]);
  const services = spans.map((span) =>
    at(json, "resources", Number(at(span, "resource")), "service"),
  );
  assert.deepEqual(services, ["front", "front", "back", "back"]);
  const otlp = await ask("/api/ui/traces/1/otlp");
  const names = list(at(otlp.json, "resourceSpans")).flatMap((resource) =>
    list(at(resource, "scopeSpans", 0, "spans")).map((span) => at(span, "name")),
  );
  assert.deepEqual(names.sort(), ["GET", "GET /", "GET /b", "operation 0"]);
});

test("services, operations, the map and the traces of a search", async (context) => {
  const { ask } = await running(context, CHAIN);
  const services = list(at((await ask("/api/ui/services")).json, "services"));
  assert.deepEqual(
    services.map((one) => [at(one, "name"), at(one, "requests"), at(one, "errors")]).sort(),
    [
      ["back", 1, 0],
      ["front", 1, 0],
    ],
  );
  const operations = (await ask("/api/ui/operations?service=front")).json;
  assert.deepEqual(
    list(at(operations, "operations")).map((one) => [at(one, "name"), at(one, "kind")]),
    [
      ["GET /", "server"],
      ["GET", "client"],
    ],
  );
  const edges = list(at((await ask("/api/ui/map")).json, "edges"));
  assert.deepEqual(edges.map((one) => [at(one, "from"), at(one, "to")]).sort(), [
    ["outside:", "service:front"],
    ["service:front", "service:back"],
  ]);
  const traces = (await ask(`/api/ui/traces?status=error&${RANGE}`)).json;
  assert.deepEqual(
    list(at(traces, "traces")).map((one) => [
      at(one, "rootName"),
      at(one, "spans"),
      at(one, "errors"),
      at(one, "durationNs"),
    ]),
    [["GET /", 3, 1, 3_000_000]],
  );
  const found = (await ask(`/api/ui/search?service=back&${RANGE}`)).json;
  assert.deepEqual(
    list(at(found, "spans")).map((one) => at(one, "spanId")),
    [hex(3, 16)],
  );
});

test("a malformed query is a 400 that says what is wrong", async (context) => {
  const { ask } = await running(context, CHAIN);
  const cases: readonly (readonly [string, number, RegExp])[] = [
    ["/api/ui/search?start=yesterday", 400, /^start: not a number: "yesterday"/],
    ["/api/ui/search?start=5&end=4", 400, /^start: not before end/],
    ["/api/ui/search?limit=100000", 400, /^limit: 100000 is not between 1 and 1000/],
    ["/api/ui/search?kind=big", 400, /^kind: "big" is none of unspecified, internal/],
    ["/api/ui/search?attribute==x", 400, /^attribute: no key/],
    [`/api/ui/search?${"attribute=a&".repeat(9)}`, 400, /^attribute: more than 8/],
    [`/api/ui/search?service=${"x".repeat(5_000)}`, 400, /^service: longer than/],
    ["/api/ui/operations", 400, /^service: missing/],
    ["/api/ui/traces/xyz", 400, /^trace id: not 1 to 32 hex digits/],
    ["/api/ui/traces/ffff", 404, /^trace ffff is not in the store/],
    ["/api/ui/traces/%", 400, /^malformed address/],
    ["/api/ui/nothing", 404, /nothing at this address/],
    ["/api/ui/agent/history", 400, /^metric: missing/],
  ];
  for (const [path, status, message] of cases) {
    const answer = await ask(path);
    assert.equal(answer.status, status, path);
    assert.match(String(at(answer.json, "error")), message);
  }
  assert.equal((await ask("/api/ui/status", { method: "POST" })).status, 405);
  const jaeger = await ask("/api/traces");
  assert.equal(jaeger.status, 400);
  assert.match(String(at(jaeger.json, "errors", 0, "msg")), /parameter 'service' is required/);
});

test("hostile spans are bounded, marked and whole where one asks for them", async (context) => {
  const html = "<script>alert(1)</script>";
  const large = [{ key: "large", value: { stringValue: "x".repeat(10 * 2 ** 20) } }];
  const odd: TestSpan[] = [
    testSpan(0, { name: html, parentSpanId: hex(2, 16) }),
    testSpan(1, { parentSpanId: hex(1, 16) }),
    testSpan(2, { parentSpanId: hex(3, 16) }),
    testSpan(3, { parentSpanId: "00000000000000ff" }),
    testSpan(4, { attributes: large }),
    testSpan(5),
    testSpan(5),
    testSpan(6, {
      startTimeUnixNano: String(START_NS + 2n * 86_400_000_000_000n),
      endTimeUnixNano: String(START_NS),
    }),
  ];
  const { ask } = await running(context, [body("odd", odd)]);
  const { json, headers } = await ask("/api/ui/traces/1");
  const warnings = new Map(
    list(at(json, "spans")).map((span) => [at(span, "spanId"), at(span, "warnings")]),
  );
  assert.deepEqual(warnings.get(hex(1, 16)), ["cycle"]);
  assert.deepEqual(warnings.get(hex(2, 16)), ["cycle"]);
  assert.deepEqual(warnings.get(hex(3, 16)), ["self_parent"]);
  assert.deepEqual(warnings.get(hex(4, 16)), ["missing_parent"]);
  assert.deepEqual(warnings.get(hex(5, 16)), ["cut"]);
  assert.deepEqual(warnings.get(hex(6, 16)), ["duplicate_id"]);
  assert.deepEqual(warnings.get(hex(7, 16)), ["clock"]);
  const first = list(at(json, "spans")).find((span) => at(span, "spanId") === hex(1, 16));
  assert.equal(at(first, "name"), html);
  assert.equal(headers.get("content-type"), "application/json; charset=utf-8");
  assert.ok(JSON.stringify(json).length < 20_000);
  const whole = await ask(`/api/ui/traces/1/spans/${hex(5, 16)}`);
  assert.equal(String(at(whole.json, "spans", 0, "attributes", 0, 1)).length, 10 * 2 ** 20);
});

test("100,000 spans in a trace are cut at the limit, and the total is told", async (context) => {
  const chunks = Array.from({ length: 50 }, (_, part) =>
    body(
      "big",
      Array.from({ length: 2_000 }, (_, one) =>
        testSpan(part * 2_000 + one, { traceId: hex(7, 32) }),
      ),
    ),
  );
  const { ask } = await running(context, chunks);
  const { json } = await ask("/api/ui/traces/7?limit=500");
  assert.equal(list(at(json, "spans")).length, 500);
  assert.equal(at(json, "spansTotal"), 100_000);
  assert.equal(at(json, "truncated"), true);
});

test("with auth nothing is answered without credentials", async (context) => {
  const authenticator: ServerAuthenticator = {
    start: async () => undefined,
    shutdown: async () => undefined,
    authenticate: async (header) =>
      header("authorization") === "Bearer right" ? undefined : "no or wrong credentials",
  };
  const host = { ...HOST, extension: () => authenticator };
  const config = { auth: { authenticator: "bearertokenauth" } };
  const { ask } = await running(context, CHAIN, { host, config });
  for (const path of ["/", "/api/ui/status", "/api/services", "/app.js"]) {
    const refused = await ask(path);
    assert.equal(refused.status, 401, path);
    assert.ok(refused.headers.get("www-authenticate")?.includes("Bearer"));
  }
  const let_in = await ask("/api/ui/status", { headers: { authorization: "Bearer right" } });
  assert.equal(let_in.status, 200);
});

test("on localhost, a request for another host's name is refused", async (context) => {
  const { port } = await running(context, CHAIN);
  const status = (host: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const options = { port, host: "127.0.0.1", path: "/api/ui/status", headers: { host } };
      request(options, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      })
        .on("error", reject)
        .end();
    });
  assert.equal(await status("evil.example"), 421);
  assert.equal(await status("localhost.evil.example:16680"), 421);
  assert.equal(await status(`localhost:${port}`), 200);
  assert.equal(await status(`[::1]:${port}`), 200);
});

test("every answer forbids what is not from here, and no path leads out of the page", async (context) => {
  const { ask } = await running(context, CHAIN);
  const paths = ["/", "/api/ui/status", "/nothing.js", "/..%2f..%2fpackage.json", "/%2e%2e/ui.ts"];
  for (const path of paths) {
    const { headers, json, status } = await ask(path);
    const policy = headers.get("content-security-policy") ?? "";
    assert.ok(policy.includes("default-src 'none'"), path);
    assert.ok(!policy.includes("unsafe"), path);
    assert.equal(headers.get("x-content-type-options"), "nosniff");
    if (path.includes("%")) {
      assert.equal(status, 404, path);
      assert.ok(!JSON.stringify(json).includes("license"), path);
    }
  }
});
