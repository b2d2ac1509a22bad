// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { type ExpectedSpan, judgeTraces, pathOf } from "./judge.ts";
import type { Attribute, FlatSpan } from "./otlp-json.ts";

const CHAIN: readonly ExpectedSpan[] = [
  { key: "a", service: "front", kind: "server" },
  { key: "b", service: "front", kind: "client", segment: "stock", parent: "a" },
  { key: "c", service: "back", kind: "server", parent: "b" },
];
const IDS = [1, 2];

/** The right spans of request `id`; `c` with the same path as `b`. */
function request(id: number): { a: FlatSpan; b: FlatSpan; c: FlatSpan } {
  const base = {
    traceId: `trace${id}`,
    parentSpanId: "",
    name: "GET",
    startNs: 5n,
    endNs: 9n,
    resource: new Map(),
    statusCode: 0,
  };
  const at = (key: string, value: string) => new Map<string, Attribute>([[key, value]]);
  return {
    a: {
      ...base,
      spanId: `a${id}`,
      service: "front",
      kind: "server",
      attributes: at("url.path", `/order/${id}`),
    },
    b: {
      ...base,
      spanId: `b${id}`,
      parentSpanId: `a${id}`,
      service: "front",
      kind: "client",
      attributes: at("url.full", `http://10.0.0.2:80/stock/${id}?x=1`),
    },
    c: {
      ...base,
      spanId: `c${id}`,
      parentSpanId: `b${id}`,
      service: "back",
      kind: "server",
      attributes: at("url.path", `/stock/${id}`),
    },
  };
}

const one = request(1);
const two = request(2);
const rest = [two.a, two.b, two.c];
const judge = (...spans: readonly FlatSpan[]) => judgeTraces(spans, { ids: IDS, spans: CHAIN });

test("complete traces with right parents are right, in whatever order they come", () => {
  const verdict = judge(two.c, one.b, one.c, two.a, one.a, two.b);
  assert.deepEqual(verdict, {
    requests: 2,
    right: 2,
    incomplete: 0,
    wrong: 0,
    links: { right: 4, wrong: 0, unlinked: 0 },
    spans: { expected: 6, missing: 0, repeated: 0 },
    strays: 0,
    examples: [],
  });
});

test("nothing at all is incomplete, not right", () => {
  const verdict = judge();
  assert.equal(verdict.right, 0);
  assert.equal(verdict.incomplete, 2);
  assert.equal(verdict.spans.missing, 6);
});

test("a missing span makes its request incomplete", () => {
  const verdict = judge(one.a, one.c, ...rest);
  assert.equal(verdict.right, 1);
  assert.equal(verdict.incomplete, 1);
  assert.equal(verdict.spans.missing, 1);
  assert.equal(verdict.links.unlinked, 1);
});

test("a span without its parent is unlinked, which is not wrong", () => {
  const verdict = judge(one.a, { ...one.b, parentSpanId: "", traceId: "other" }, one.c, ...rest);
  assert.equal(verdict.wrong, 1, "but c is now outside the trace of its parent");
  const whole = { traceId: "other" };
  const unlinked = judge(
    one.a,
    { ...one.b, ...whole, parentSpanId: "" },
    { ...one.c, ...whole },
    ...rest,
  );
  assert.equal(unlinked.wrong, 0);
  assert.equal(unlinked.incomplete, 1);
  assert.deepEqual(unlinked.links, { right: 3, wrong: 0, unlinked: 1 });
});

test("a parent of another request is wrong", () => {
  const verdict = judge(one.a, { ...one.b, parentSpanId: "a2" }, one.c, ...rest);
  assert.equal(verdict.wrong, 1);
  assert.equal(verdict.links.wrong, 1);
  assert.match(verdict.examples[0] ?? "", /request 1: b has the parent front server/);
});

test("the wrong span of the same request as a parent is wrong", () => {
  const verdict = judge(one.a, one.b, { ...one.c, parentSpanId: "a1" }, ...rest);
  assert.equal(verdict.links.wrong, 1);
  assert.equal(verdict.wrong, 1);
});

test("a parent that is not there is wrong when the right one is", () => {
  const verdict = judge(one.a, one.b, { ...one.c, parentSpanId: "nobody" }, ...rest);
  assert.equal(verdict.links.wrong, 1);
});

test("a root with a parent is wrong, unless only its client is not traced", () => {
  const spans = [{ ...one.a, parentSpanId: "client" }, one.b, one.c, ...rest];
  assert.equal(judge(...spans).wrong, 1);
  const lenient = { ids: IDS, spans: CHAIN, danglingRoots: true };
  assert.equal(judgeTraces(spans, lenient).right, 2);
  const looped = [{ ...one.a, parentSpanId: "c2" }, one.b, one.c, ...rest];
  assert.equal(judgeTraces(looped, lenient).wrong, 1);
});

test("two requests in one trace are both wrong", () => {
  const merged = rest.map((span) => ({ ...span, traceId: "trace1" }));
  assert.equal(judge(one.a, one.b, one.c, ...merged).wrong, 2);
});

test("a request in two traces is wrong though its parents are right", () => {
  assert.equal(judge(one.a, one.b, { ...one.c, traceId: "other" }, ...rest).wrong, 1);
});

test("a span twice is wrong", () => {
  const verdict = judge(one.a, one.b, one.c, { ...one.c, spanId: "again" }, ...rest);
  assert.equal(verdict.spans.repeated, 1);
  assert.equal(verdict.wrong, 1);
});

test("an id that two spans share is wrong", () => {
  assert.equal(judge(one.a, one.b, { ...one.c, spanId: "b1" }, ...rest).right, 1);
  assert.equal(judge(one.a, one.b, one.c, two.a, two.b, { ...two.c, spanId: "c1" }).wrong, 2);
});

test("a span that ends before it starts is wrong", () => {
  assert.equal(judge({ ...one.a, endNs: 1n }, one.b, one.c, ...rest).wrong, 1);
});

test("spans of unknown requests, services and paths are strays", () => {
  const unknown = request(3);
  const verdict = judge(one.a, one.b, one.c, ...rest, unknown.a, {
    ...one.a,
    spanId: "spy",
    service: "spy",
  });
  assert.equal(verdict.right, 2);
  assert.equal(verdict.strays, 2);
});

test("the id of a request is the second segment of url.path or url.full", () => {
  assert.deepEqual(pathOf(one.a), { segment: "order", id: "1" });
  assert.deepEqual(pathOf(one.b), { segment: "stock", id: "1" });
  const ipv6 = new Map([["url.full", "http://[::1]:8080/price/77"]]);
  assert.deepEqual(pathOf({ ...one.a, attributes: ipv6 }), { segment: "price", id: "77" });
  assert.deepEqual(pathOf({ ...one.a, attributes: new Map() }), { segment: "", id: "" });
});
