// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Batch } from "../model/batch.ts";
import { fromOtlpJson } from "../pdata/json-decode.ts";
import { toOtlpJson } from "../pdata/json-encode.ts";
import { REQUESTS } from "../pdata/requests.ts";
import { createJointRemover, JointWriter } from "./joints.ts";

const PEER = { key: "stitch.peer_span_id", value: { stringValue: "5".repeat(16) } };

function span(digit: string, kind: number, extra: object = {}): object {
  return {
    ...{ traceId: digit.repeat(32), spanId: digit.repeat(16), kind, name: "GET /secret" },
    ...{ startTimeUnixNano: "1700000000000000001", endTimeUnixNano: "1700000000000000009" },
    ...extra,
  };
}

function batch(...spans: readonly object[]): Batch {
  const attributes = [
    { key: "service.name", value: { stringValue: "shop" } },
    { key: "host.name", value: { stringValue: "node-1" } },
  ];
  const body = { resourceSpans: [{ resource: { attributes }, scopeSpans: [{ spans }] }] };
  const encoded = fromOtlpJson(REQUESTS.traces.request, JSON.stringify(body));
  assert.ok(encoded.ok);
  const { bytes } = encoded;
  return { signal: "traces", chunks: [bytes], items: spans.length, bytes: bytes.length };
}

function json(bytes: Uint8Array): unknown {
  const decoded = toOtlpJson(REQUESTS.traces.request, bytes);
  assert.ok(decoded.ok);
  return JSON.parse(decoded.json);
}

test("client spans and the first spans of pieces are joints, with ids, times and the peer only", () => {
  const all = batch(
    span("1", 2),
    span("2", 3, { attributes: [{ key: "a", value: { stringValue: "secret" } }] }),
    span("3", 2, { attributes: [PEER] }),
    span("4", 2, { attributes: [PEER], parentSpanId: "1".repeat(16) }),
    span("6", 4),
  );
  const joints = new JointWriter().jointsOf(all);
  assert.equal(joints?.items, 3);
  const times = {
    ...{ startTimeUnixNano: "1700000000000000001", endTimeUnixNano: "1700000000000000009" },
  };
  const ids = (digit: string): object => ({ traceId: digit.repeat(32), spanId: digit.repeat(16) });
  assert.deepEqual(json(Buffer.concat(joints?.chunks ?? [])), {
    resourceSpans: [
      {
        resource: { attributes: [{ key: "host.name", value: { stringValue: "node-1" } }] },
        scopeSpans: [
          {
            scope: { name: "stitch.joints" },
            spans: [
              { ...ids("2"), kind: 3, ...times },
              { ...ids("3"), kind: 2, ...times, attributes: [PEER] },
              { ...ids("6"), kind: 4, ...times },
            ],
          },
        ],
      },
    ],
  });
});

test("joints have no joints, and are taken out again", () => {
  const writer = new JointWriter();
  const spans = batch(span("1", 2), span("2", 3));
  const joints = writer.jointsOf(spans);
  assert.ok(joints !== undefined);
  assert.equal(writer.jointsOf(joints), undefined);
  const remover = createJointRemover();
  const [own] = spans.chunks;
  const [other] = joints.chunks;
  assert.ok(own !== undefined && other !== undefined);
  assert.equal(remover.prune(own), own);
  assert.equal(remover.prune(other), undefined);
  assert.deepEqual(remover.prune(Buffer.concat([other, own])), new Uint8Array(own));
  assert.equal(writer.jointsOf(batch(span("1", 2))), undefined);
});

test("bytes that are no spans are refused", () => {
  const bytes = Uint8Array.of(0x0a, 0x05, 0x12);
  const broken: Batch = { signal: "traces", chunks: [bytes], items: 1, bytes: 3 };
  assert.throws(() => new JointWriter().jointsOf(broken));
});
