// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseComponentId } from "./component-id.ts";
import { parseDurationNs } from "./duration.ts";
import { nearest } from "./nearest.ts";
import { byteSize, clientEndpoint, duration, endpoint, Secret } from "./types.ts";
import { resolvePlainScalar } from "./yaml-scalar.ts";

test("durations are read as Go's time.ParseDuration reads them", () => {
  for (const [text, ns] of [
    ["0", 0],
    ["5s", 5e9],
    ["30s", 30e9],
    ["1478s", 1478e9],
    ["-5s", -5e9],
    ["+5s", 5e9],
    ["5.0s", 5e9],
    ["5.6s", 5.6e9],
    ["5.s", 5e9],
    [".5s", 0.5e9],
    ["10ns", 10],
    ["11us", 11e3],
    ["12µs", 12e3],
    ["12μs", 12e3],
    ["13ms", 13e6],
    ["14m", 840e9],
    ["15h", 54000e9],
    ["3h30m", 12600e9],
    ["10.5s4m", 250.5e9],
    ["1h2m3s4ms5us6ns", 3723004005006],
  ] satisfies [string, number][]) {
    assert.equal(parseDurationNs(text), ns, text);
  }
  for (const text of ["", "3", "-", "s", ".", "-.", ".s", "+.s", "1d", "5 s", "5sx", "1e3s"]) {
    assert.equal(typeof parseDurationNs(text), "string", text);
  }
});

test("no text makes the duration reader throw or hang", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const result = parseDurationNs(text);
      assert.ok(typeof result === "string" || Number.isFinite(result));
    }),
  );
});

test("a duration field takes text, nanoseconds and null, and keeps its bounds", () => {
  assert.equal(duration().parse("1.5s"), 1_500);
  assert.equal(duration().parse(2_000_000), 2);
  assert.equal(duration().parse(null), 0);
  assert.equal(duration().safeParse("-1s").success, false);
  assert.equal(duration({ positive: true }).safeParse("0s").success, false);
  assert.equal(duration({ maxMs: 10 }).safeParse("11ms").success, false);
});

test("sizes are bytes, or text with a decimal or binary unit", () => {
  for (const [input, bytes] of [
    [4096, 4096],
    ["4096", 4096],
    ["64KiB", 65_536],
    ["1.5 MiB", 1_572_864],
    ["4MB", 4_000_000],
    ["2g", 2e9],
    [null, 0],
  ] satisfies [string | number | null, number][]) {
    assert.equal(byteSize().parse(input), bytes);
  }
  for (const input of ["", "MiB", "-1", "4 parsecs", -1, Number.NaN, true]) {
    assert.equal(byteSize().safeParse(input).success, false, String(input));
  }
});

test("endpoints are split as Go's net.SplitHostPort splits them", () => {
  const { host, port } = endpoint().parse("[::1]:4317");
  assert.deepEqual([host, port], ["::1", 4317]);
  assert.equal(endpoint().parse(":4317").host, "");
  for (const text of ["", "localhost", "a:b", "::1:4317", "a:70000", "[::1]", "a:1:2"]) {
    assert.equal(endpoint().safeParse(text).success, false, text);
  }
  const client = clientEndpoint().parse("https://collector:4317/");
  assert.deepEqual([client.scheme, client.host, client.port], ["https", "collector", 4317]);
});

test("a secret shows only when it is revealed", () => {
  const secret = new Secret("hunter2");
  assert.equal(`${secret} ${JSON.stringify({ secret })}`, '[REDACTED] {"secret":"[REDACTED]"}');
  assert.equal(secret.reveal(), "hunter2");
});

test("plain scalars have the kinds that go-yaml v3 gives them", () => {
  for (const [text, value] of [
    ["yes", "yes"],
    ["on", "on"],
    ["True", true],
    ["~", null],
    ["017", 15],
    ["0o17", 15],
    ["0x10", 16],
    ["0b11", 3],
    ["1_000", 1000],
    ["1e3", 1000],
    ["-0x1F", -31],
    ["089", 89],
    [".5", 0.5],
    ["-.inf", Number.NEGATIVE_INFINITY],
    ["1.2.3", "1.2.3"],
    ["0x", "0x"],
    ["2006-01-02", "2006-01-02"],
    ["10s", "10s"],
    ["+", "+"],
  ] as const) {
    assert.equal(resolvePlainScalar(text), value, text);
  }
});

test("component ids follow the Collector's rules", () => {
  for (const [text, type, name] of [
    ["otlp", "otlp", ""],
    ["otlp/a/b", "otlp", "a/b"],
    [" otlp / x ", "otlp", "x"],
    ["otlp/-.:é", "otlp", "-.:é"],
  ] as const) {
    const id = parseComponentId(text);
    assert.ok(typeof id !== "string", text);
    assert.deepEqual([id.type, id.name], [type, name]);
  }
  for (const text of ["", "/x", "otlp/", "ot-lp", "9a", "a/b c", "a/+", "a/=", "a/$", "a/<"]) {
    assert.equal(typeof parseComponentId(text), "string", text);
  }
});

test("the nearest word is offered only when it is near", () => {
  const words = ["endpoint", "ports", "sending_queue", "timeout"];
  assert.equal(nearest("prots", words), "ports");
  assert.equal(nearest("endpont", words), "endpoint");
  assert.equal(nearest("sendingqueue", words), "sending_queue");
  assert.equal(nearest("Timeout", words), "timeout");
  assert.equal(nearest("colour", words), undefined);
});
