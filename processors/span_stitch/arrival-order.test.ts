// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Harness } from "./testing/harness.ts";
import { encodeChunk } from "./testing/otlp.ts";
import { type Expected, serviceArbitrary, spansOf } from "./testing/requests.ts";

const requestsArbitrary = fc.array(
  fc.record({ entry: serviceArbitrary, hasHeader: fc.boolean() }),
  {
    minLength: 1,
    maxLength: 3,
  },
);

function expectedOf(
  requests: readonly {
    readonly entry: Parameters<typeof spansOf>[0];
    readonly hasHeader: boolean;
  }[],
): readonly Expected[] {
  return requests.flatMap(({ entry, hasHeader }, at) => {
    const first = 1 + at * 10_000;
    const header = { traceId: 5_000_000 + first, spanId: 6_000_000 + first };
    return spansOf(entry, first, hasHeader ? header : undefined);
  });
}

/** Random arrival: an order, how many come in one batch, and milliseconds between batches. */
function arrivalArbitrary(stepMsMax: number) {
  return requestsArbitrary.chain((requests) => {
    const spans = expectedOf(requests);
    return fc.record({
      spans: fc.shuffledSubarray([...spans], { minLength: spans.length }),
      steps: fc.array(fc.record({ spans: fc.integer({ min: 1, max: 5 }), ms: fc.nat(stepMsMax) }), {
        minLength: spans.length,
        maxLength: spans.length,
      }),
    });
  });
}

function play(
  harness: Harness,
  spans: readonly Expected[],
  steps: readonly { readonly spans: number; readonly ms: number }[],
): void {
  let at = 0;
  for (const step of steps) {
    const part = spans.slice(at, at + step.spans);
    at += part.length;
    if (part.length > 0) harness.addChunk(encodeChunk(part), part.length);
    harness.advance(step.ms);
  }
}

async function assertEmpty(harness: Harness): Promise<void> {
  harness.advance(60_000);
  harness.advance(60_000);
  assert.equal(harness.stitch.held, 0);
  for (const gauge of ["table_rows", "known_traces", "held_bytes", "remembered_spans"]) {
    assert.equal(await harness.count(gauge), 0, gauge);
  }
}

test("any arrival order within the wait gives the same parents, evidence and one trace a tree", async () => {
  await fc.assert(
    fc.asyncProperty(arrivalArbitrary(1), async ({ spans, steps }) => {
      const harness = new Harness({ reorder_wait: "500ms" });
      play(harness, spans, steps);
      harness.advance(500);
      harness.advance(500);
      assert.equal(harness.sent.length, spans.length);
      const traceOfRoot = new Map<string, number>();
      for (const { key, parent, isExternal, evidence } of spans) {
        const span = harness.span(key.id);
        assert.deepEqual([key.id, span.parent, span.evidence], [key.id, parent, evidence]);
        if (parent !== 0 && !isExternal) {
          assert.equal(span.traceId, harness.span(parent).traceId);
        } else if (isExternal) {
          assert.equal(BigInt(`0x${span.traceId.slice(16)}`), BigInt(key.header?.traceId ?? 0));
        } else if (!span.traceId.startsWith("000000000000abcd")) {
          assert.equal(traceOfRoot.has(span.traceId), false);
          traceOfRoot.set(span.traceId, key.id);
        }
      }
      await assertEmpty(harness);
    }),
    { numRuns: 100 },
  );
});

test("whatever is late or missing: all is sent once, no link is false, nothing is kept", async () => {
  await fc.assert(
    fc.asyncProperty(
      arrivalArbitrary(3000),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.nat(20),
      async ({ spans, steps }, lost, heldMax) => {
        const harness = new Harness({
          wait_max: "2s",
          remember: "3s",
          max_remembered_spans: 20,
          max_held_spans: heldMax + 1,
        });
        const come = spans.filter((_, at) => ((at * 0.618) % 1) + lost < 1.5);
        play(harness, come, steps);
        harness.finish();
        assert.deepEqual(
          harness.sent.map((span) => span.spanId).sort(),
          come.map(({ key }) => key.id).sort(),
        );
        const expected = new Map(come.map((span) => [span.key.id, span]));
        for (const span of harness.sent) {
          const truth = expected.get(span.spanId);
          const allowed = [0, truth?.parent, truth?.key.header?.spanId];
          assert.ok(allowed.includes(span.parent), `${span.spanId} → ${span.parent}`);
        }
        await assertEmpty(harness);
      },
    ),
    { numRuns: 100 },
  );
});
