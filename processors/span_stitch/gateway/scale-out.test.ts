// SPDX-License-Identifier: Apache-2.0
// Any number of gateways that split traces among them give what one gives.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HashRing } from "../../../exporters/load_balancing/hash-ring.ts";
import { Splitter } from "../../../exporters/load_balancing/splitter.ts";
import type { Batch } from "../../../src/model/batch.ts";
import { fromOtlpJson } from "../../../src/pdata/json-decode.ts";
import { REQUESTS } from "../../../src/pdata/requests.ts";
import { forEachSpan } from "../../../src/pdata/span-view.ts";
import { JointWriter } from "../../../src/stitching/joints.ts";
import { createMemoryTelemetry } from "../../../src/telemetry/memory-telemetry.ts";
import { Gateway } from "./gateway.ts";

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0");

/** Piece `n` of a request: a server span that names the client span before, and its own calls. */
function pieceOf(n: number, calledBy: number | undefined, calls: number): object[] {
  const traceId = `f${hex(n * 7919 + 1, 31)}`;
  const serverId = hex(n * 16 + 1, 16);
  const peer = [{ key: "stitch.peer_span_id", value: { stringValue: hex(calledBy ?? 0, 16) } }];
  const server = { traceId, spanId: serverId, kind: 2, name: "GET" };
  return [
    calledBy === undefined ? server : { ...server, attributes: peer },
    ...Array.from({ length: calls }, (_, call) => ({
      ...{ traceId, spanId: hex(n * 16 + 2 + call, 16), parentSpanId: serverId },
      ...{ kind: 3, name: "GET" },
    })),
  ];
}

function batch(spans: readonly object[]): Batch {
  const body = { resourceSpans: [{ scopeSpans: [{ spans }] }] };
  const encoded = fromOtlpJson(REQUESTS.traces.request, JSON.stringify(body));
  assert.ok(encoded.ok);
  const { bytes } = encoded;
  return { signal: "traces", chunks: [bytes], items: spans.length, bytes: bytes.length };
}

function createGateway(): Gateway {
  const { telemetry } = createMemoryTelemetry();
  const settings = { id: "span_stitch", telemetry, buildInfo: { version: "0" } };
  return new Gateway({ ...settings, signal: "traces", pipelineId: "traces" }, 4096);
}

/** All is learnt, then all is joined, as within one window; spans by id. */
function joined(perGateway: readonly (readonly Batch[])[]): Map<string, string> {
  const result = new Map<string, string>();
  for (const batches of perGateway) {
    const gateway = createGateway();
    const held = batches.flatMap((one) => gateway.learn(one) ?? []);
    for (const { chunks } of held.map((one) => gateway.join(one))) {
      for (const chunk of chunks) {
        forEachSpan(chunk, ({ spanId, traceId, parentSpanId, kind }) => {
          assert.ok(!result.has(spanId), "a span went out twice");
          result.set(spanId, `${traceId} ${parentSpanId} ${kind}`);
        });
      }
    }
  }
  return result;
}

/** As `load_balancing` does it with `routing_key: stitch`. */
function split(batches: readonly Batch[], gateways: number): Batch[][] {
  const ring = new HashRing(Array.from({ length: gateways }, (_, n) => `gateway-${n}:4317`));
  const splitter = new Splitter("traceID");
  const writer = new JointWriter();
  const all: Batch[][] = ring.endpoints.map(() => []);
  for (const one of batches) {
    for (const [owner, part] of splitter.split(one, ring)) {
      all[owner]?.push(part);
      const joints = writer.jointsOf(part);
      for (const [other, list] of all.entries()) {
        if (other !== owner && joints !== undefined) list.push(joints);
      }
    }
  }
  return all;
}

/** For each piece but the first: which piece called it, as a share of those before. */
const requests = fc.record({
  callers: fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { maxLength: 30 }),
  gateways: fc.integer({ min: 2, max: 5 }),
  order: fc.infiniteStream(fc.nat()),
});

test("however traces are split and in whatever order they come, several gateways give the traces of one", () => {
  fc.assert(
    fc.property(requests, ({ callers, gateways, order }) => {
      const calls = new Map<number, number>();
      const calledBy = callers.map((share, index) => {
        const caller = Math.floor(share * (index + 1));
        const call = calls.get(caller) ?? 0;
        // A client span calls one server; a piece makes 14 calls at most.
        if (call === 14) return undefined;
        calls.set(caller, call + 1);
        return caller * 16 + 2 + call;
      });
      const pieces = [undefined, ...calledBy].map((by, n) =>
        batch(pieceOf(n, by, calls.get(n) ?? 0)),
      );
      const random = order[Symbol.iterator]();
      const shuffled = pieces
        .map((piece) => ({ piece, at: random.next().value ?? 0 }))
        .sort((a, b) => a.at - b.at)
        .map(({ piece }) => piece);
      const one = joined([shuffled]);
      assert.deepEqual(joined(split(shuffled, gateways)), one);
      const traces = new Set([...one.values()].map((text) => text.split(" ")[0]));
      assert.equal(traces.size, 1 + calledBy.filter((by) => by === undefined).length);
    }),
    { numRuns: 60 },
  );
});

test("what an agent sends again is learnt once", () => {
  const calling = batch(pieceOf(0, undefined, 1));
  const called = batch(pieceOf(1, 2, 0));
  const gateway = createGateway();
  for (const one of [calling, called, calling, called]) gateway.learn(one);
  const parents: string[] = [];
  for (const chunk of gateway.join(called).chunks) {
    forEachSpan(chunk, ({ parentSpanId }) => parents.push(parentSpanId));
  }
  assert.deepEqual(parents, [hex(2, 16)]);
});
