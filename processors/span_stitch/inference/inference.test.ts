// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { KEY_TRIGGER_OPEN, TRIGGER_REQUEST } from "../../../src/model/stitch-key.ts";
import { Harness } from "../testing/harness.ts";
import { encodeChunk, type TestKey, type TestSpan } from "../testing/otlp.ts";

const EPOCH_NS = 1_700_000_000_000_000_000n;
const PID = 7;

/** Numbers in [0, 1), by a rule of its own. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return state / 0x80000000;
  };
}

interface Timed {
  readonly span: TestSpan;
  readonly endUs: number;
}

function timed(key: TestKey, name: string, startUs: number, endUs: number, shiftUs = 0): Timed {
  const ns = (us: number): bigint => EPOCH_NS + BigInt(Math.round(us + shiftUs)) * 1000n;
  return { span: { key, name, startNs: ns(startUs), endNs: ns(endUs) }, endUs };
}

interface Story {
  readonly spans: readonly Timed[];
  /** Call → the request that caused it. */
  readonly parentOf: ReadonlyMap<number, number>;
}

/**
 * Requests to a process whose threads say nothing, each with two calls one after the other, the
 * second sometimes left out; `gapUs` apart on average, some 9 ms long.
 */
function story(requests: number, gapUs: number, seed: number, firstId = 1): Story {
  const random = numbers(seed);
  const about = (us: number): number => -us * Math.log(1 - random());
  const spans: Timed[] = [];
  const parentOf = new Map<number, number>();
  let at = 0;
  for (let id = firstId; id < firstId + 3 * requests; id += 3) {
    at += about(gapUs);
    const aStart = at + 100 + about(60);
    const aEnd = aStart + 1000 + about(3000);
    const isShort = random() < 0.2;
    const bStart = aEnd + 60 + about(60);
    const bEnd = isShort ? aEnd : bStart + 1000 + about(3000);
    const client = (number: number): TestKey => ({ id: number, role: "client", open: 2, pid: PID });
    const server: TestKey = { id, role: "server", counterpart: id + 500_000, pid: PID };
    spans.push(timed(client(id + 1), "GET /a", aStart, aEnd));
    parentOf.set(id + 1, id);
    if (!isShort) {
      spans.push(timed(client(id + 2), "GET /b", bStart, bEnd));
      parentOf.set(id + 2, id);
    }
    spans.push(timed(server, "GET /", at, bEnd + 100 + about(60)));
  }
  spans.sort((one, other) => one.endUs - other.endUs);
  return { spans, parentOf };
}

/** Sends spans as they end, by the harness' clock. */
function play(harness: Harness, spans: readonly Timed[]): void {
  let nowMs = 0;
  for (const { span, endUs } of spans) {
    for (; nowMs + 20 <= endUs / 1000; nowMs += 20) harness.advance(20);
    harness.addChunk(encodeChunk([span]), 1);
  }
}

function inferring(more: Readonly<Record<string, unknown>> = {}): Harness {
  const { inference = {}, ...rest } = more;
  return new Harness({ ...rest, inference: { enabled: true, ...Object(inference) } });
}

interface Verdict {
  right: number;
  wrong: number;
  unknown: number;
}

function judged(harness: Harness, told: Story, after = 0): Verdict {
  const verdict = { right: 0, wrong: 0, unknown: 0 };
  const { links } = harness;
  for (const [child, parent] of told.parentOf) {
    if (child < after) continue;
    if (links[child] === parent) verdict.right++;
    else if (links[child] === 0) verdict.unknown++;
    else verdict.wrong++;
  }
  return verdict;
}

describe("calls that only times can link", () => {
  test("get the right parent, with evidence and confidence, once the service is known", async () => {
    const harness = inferring();
    const told = story(1500, 5000, 11);
    play(harness, told.spans);
    harness.advance(10_000);
    assert.equal(harness.sentItems, told.spans.length);
    const { right, wrong, unknown } = judged(harness, told, 900);
    const all = right + wrong + unknown;
    assert.ok(right / all > 0.97, `right ${right} wrong ${wrong} unknown ${unknown}`);
    assert.ok(wrong / all < 0.01, `right ${right} wrong ${wrong} unknown ${unknown}`);
    const linked = harness.sent.filter((span) => span.evidence === "inference");
    assert.equal(await harness.count("linked_spans", { evidence: "inference" }), linked.length);
    for (const { confidence = 0, traceId, parent } of linked) {
      assert.ok(confidence >= 0.98 && confidence <= 1);
      assert.equal(traceId, harness.span(parent).traceId);
    }
  });

  test("say that their parent is unknown when two requests fit as well", async () => {
    const harness = inferring();
    const both = [1, 2].map((id) =>
      timed({ id, role: "server", counterpart: id + 90, pid: PID }, "GET /", 0, 9000),
    );
    const call = timed({ id: 3, role: "client", open: 2, pid: PID }, "GET /a", 300, 4000);
    harness.add({ id: 9, role: "server", counterpart: 99, pid: PID });
    play(harness, [call, ...both]);
    harness.advance(3000);
    assert.equal(harness.span(3).parent, 0);
    assert.equal(harness.span(3).evidence, "unknown");
    assert.ok((harness.span(3).confidence ?? 1) <= 0.5);
    assert.equal(await harness.count("unlinked_spans", { reason: "unsure" }), 1);
  });

  test("say that it is unknown while a request that was open then has not ended", async () => {
    const harness = inferring();
    const learnt = story(1500, 5000, 29);
    play(harness, learnt.spans);
    const lastUs = learnt.spans.at(-1)?.endUs ?? 0;
    const one = (id: number, at: number, openInProcess: number): Timed[] => {
      const both = { open: openInProcess, openInProcess, pid: PID };
      const server: TestKey = { id, role: "server", counterpart: id + 500_000, pid: PID };
      return [
        timed({ id: id + 1, role: "client", ...both }, "GET /a", at + 160, at + 3000),
        timed({ id: id + 2, role: "client", ...both }, "GET /b", at + 3120, at + 6000),
        timed(server, "GET /", at, at + 6160),
      ];
    };
    const [alone, beside] = [90_001, 90_011];
    play(harness, [...one(alone, lastUs + 100_000, 1), ...one(beside, lastUs + 200_000, 2)]);
    harness.advance(10_000);
    // The same times: linked where the request that has come is all there was.
    assert.equal(harness.span(alone + 1).parent, alone);
    assert.equal(harness.span(beside + 1).parent, 0);
    assert.equal(harness.span(beside + 1).evidence, "unknown");
    assert.ok((harness.span(beside + 1).confidence ?? 1) <= 0.5);
  });

  test("go out at once in a process that serves nothing", () => {
    const harness = inferring();
    harness.add({ id: 1, role: "client", pid: PID });
    assert.equal(harness.span(1).evidence, undefined);
  });

  test("are roots, with the old reason, when no request was open", async () => {
    const harness = inferring();
    const server = timed({ id: 1, role: "server", counterpart: 91, pid: PID }, "GET /", 0, 5000);
    const call = timed({ id: 2, role: "client", pid: PID }, "GET /a", 800_000, 900_000);
    play(harness, [server, call]);
    assert.equal(harness.sent.length, 1);
    harness.advance(3000);
    assert.equal(harness.span(2).parent, 0);
    assert.equal(harness.span(2).evidence, undefined);
    assert.equal(await harness.count("unlinked_spans", { reason: "no_trigger" }), 1);
  });

  test("wait no longer than 1.4 windows", () => {
    const harness = inferring({ inference: { window: "500ms" } });
    const told = story(50, 9000, 5);
    play(harness, told.spans);
    harness.advance(700);
    assert.equal(harness.sentItems, told.spans.length);
  });

  test("do not touch calls that other evidence links", () => {
    const harness = inferring();
    const told = story(400, 5000, 13);
    const spans = told.spans.map(({ span, endUs }) => {
      const { key } = span;
      if (key?.role !== "client" || span.name !== "GET /b") return { span, endUs };
      // Evidence says another request than times would: it stands.
      const flags = KEY_TRIGGER_OPEN;
      const more = { triggerKind: TRIGGER_REQUEST, trigger: told.parentOf.get(key.id) ?? 0 };
      return { span: { ...span, key: { ...key, ...more, flags, open: 1 } }, endUs };
    });
    play(harness, spans);
    harness.advance(10_000);
    for (const span of harness.sent) {
      if (span.name !== "GET /b") continue;
      assert.equal(span.evidence, "same_thread");
      assert.equal(span.parent, told.parentOf.get(span.spanId));
    }
    const verdict = judged(harness, told, 300);
    assert.ok(verdict.wrong <= 0.01 * (verdict.right + verdict.unknown), JSON.stringify(verdict));
  });
});

describe("bad input", () => {
  test("clocks that jump by hours cost links, not spans, and later links are right again", () => {
    const harness = inferring();
    const first = story(500, 5000, 17);
    const second = story(500, 5000, 18, 10_000);
    const third = story(500, 5000, 19, 20_000);
    const shifted = (told: Story, hours: number): Timed[] =>
      told.spans.map(({ span, endUs }) => {
        const ns = BigInt(hours) * 3_600_000_000_000n;
        const startNs = (span.startNs ?? 0n) + ns;
        return { span: { ...span, startNs, endNs: (span.endNs ?? 0n) + ns }, endUs };
      });
    play(harness, first.spans);
    play(harness, shifted(second, 5));
    play(harness, shifted(third, -5));
    harness.advance(10_000);
    const spans = [first, second, third].reduce((sum, told) => sum + told.spans.length, 0);
    assert.equal(harness.sentItems, spans);
    const verdict = judged(harness, third, 20_300);
    const all = verdict.right + verdict.wrong + verdict.unknown;
    assert.ok(verdict.right / all > 0.95, JSON.stringify(verdict));
    assert.ok(verdict.wrong / all < 0.01, JSON.stringify(verdict));
  });

  test("a request with a thousand calls and its neighbours are answered in bounded memory", async () => {
    const harness = inferring({ inference: { max_spans: 400 } });
    const spans: Timed[] = [];
    for (let i = 0; i < 1000; i++) {
      const at = 1000 + i * 50;
      spans.push(timed({ id: 100 + i, role: "client", pid: PID }, "GET /x", at, at + 5000));
    }
    harness.add({ id: 9, role: "server", counterpart: 99, pid: PID });
    const end = timed({ id: 1, role: "server", counterpart: 91, pid: PID }, "GET /", 0, 60_000);
    play(harness, [...spans, end]);
    assert.ok((await harness.count("inference_spans")) <= 400);
    harness.advance(10_000);
    assert.equal(harness.sentItems, 1002);
    assert.ok((await harness.count("inference_forced_spans")) > 0);
    assert.equal(await harness.count("inference_spans"), 0);
  });

  test("what is in windows at the end is answered then", () => {
    const harness = inferring();
    const told = story(20, 20_000, 23);
    play(harness, told.spans);
    harness.finish();
    assert.equal(harness.sentItems, told.spans.length);
    assert.equal(judged(harness, told).wrong, 0);
  });
});
