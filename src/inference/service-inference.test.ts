// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { createRandom } from "./random.ts";
import {
  type CallTimes,
  DEFAULT_INFERENCE,
  type Link,
  ServiceInference,
} from "./service-inference.ts";
import { THOROUGH } from "./window-solver.ts";

type Random = () => number;

/** A service's life with its truth. */
interface Story {
  readonly incoming: CallTimes[];
  readonly outgoing: CallTimes[];
  readonly parentOf: Map<number, number>;
}

/** Calls of one handler: operation, start and end in µs after the handler's start, and its own end. */
interface Handling {
  readonly calls: readonly { operation: string; startUs: number; endUs: number }[];
  readonly endUs: number;
}

function exponential(random: Random, meanUs: number): number {
  return -meanUs * Math.log(1 - random());
}

function tell(count: number, gapUs: number, seed: number, handle: (r: Random) => Handling): Story {
  const random = createRandom(seed);
  const story: Story = { incoming: [], outgoing: [], parentOf: new Map() };
  let at = 0;
  let id = 0;
  for (let i = 0; i < count; i++) {
    at += exponential(random, gapUs);
    const handling = handle(random);
    const parent = id++;
    const incoming = { id: parent, operation: "serve", startUs: at, endUs: at + handling.endUs };
    story.incoming.push(incoming);
    for (const call of handling.calls) {
      story.parentOf.set(id, parent);
      const { operation } = call;
      const times = { startUs: at + call.startUs, endUs: at + call.endUs };
      story.outgoing.push({ id: id++, operation, ...times });
    }
  }
  return story;
}

/** Runs a story twice, the second time with what the first taught; the links of the second. */
function answered(story: Story, passes = 4, options = DEFAULT_INFERENCE): Link[] {
  let inference = new ServiceInference(options);
  let links: Link[] = [];
  for (let pass = 0; pass < passes; pass++) {
    inference = new ServiceInference({ ...options, seed: pass + 1 }, inference.model);
    links = [];
    const events = [
      ...story.incoming.map((call) => ({ call, incoming: true })),
      ...story.outgoing.map((call) => ({ call, incoming: false })),
    ].sort((a, b) => a.call.endUs - b.call.endUs);
    let nextUs = 3e6;
    for (const { call, incoming } of events) {
      for (; call.endUs > nextUs; nextUs += 1e6) links.push(...inference.decide(nextUs));
      if (incoming) inference.incoming(call);
      else inference.outgoing(call);
    }
    links.push(...inference.flush());
  }
  return links;
}

function rightShare(story: Story, links: readonly Link[]): number {
  const right = links.filter((link) => link.parent === story.parentOf.get(link.child)).length;
  return right / story.parentOf.size;
}

/** a after the start, b after a's end. */
function sequential(random: Random): Handling {
  const aStart = 100 + exponential(random, 100);
  const aEnd = aStart + 2000 + exponential(random, 4000);
  const bStart = aEnd + 50 + exponential(random, 80);
  const bEnd = bStart + 1000 + exponential(random, 5000);
  return {
    calls: [
      { operation: "a", startUs: aStart, endUs: aEnd },
      { operation: "b", startUs: bStart, endUs: bEnd },
    ],
    endUs: bEnd + 100 + exponential(random, 100),
  };
}

test("calls one after the other, three handlers at a time: at least 99 % are right", () => {
  const story = tell(600, 4000, 21, sequential);
  const links = answered(story);
  assert.equal(links.length, story.outgoing.length);
  assert.ok(rightShare(story, links) >= 0.99, `right ${rightShare(story, links)}`);
});

test("links are as often right as they are said to be, among some fifteen handlers at a time", () => {
  const story = tell(500, 700, 22, sequential);
  const links = answered(story, 4, { ...DEFAULT_INFERENCE, solver: THOROUGH });
  for (const [from, to] of [
    [0.5, 0.75],
    [0.75, 0.95],
    [0.95, 1.01],
  ] as const) {
    const some = links.filter((link) => link.confidence >= from && link.confidence < to);
    const right = some.filter((link) => link.parent === story.parentOf.get(link.child)).length;
    const said = some.reduce((sum, link) => sum + link.confidence, 0);
    const spread = 3 * Math.sqrt(some.length * 0.25) + 0.05 * some.length;
    assert.ok(Math.abs(said - right) < spread, `${from}: ${right} of ${some.length}, said ${said}`);
  }
  assert.ok(rightShare(story, links) > 0.8, `right ${rightShare(story, links)}`);
});

test("a parent that is less sure than asked for is not said", () => {
  const inference = new ServiceInference({ ...DEFAULT_INFERENCE, confidenceMin: 0.9 });
  inference.incoming({ id: 1, operation: "serve", startUs: 0, endUs: 5000 });
  inference.incoming({ id: 2, operation: "serve", startUs: 0, endUs: 5000 });
  inference.outgoing({ id: 3, operation: "a", startUs: 300, endUs: 4000 });
  const [link] = inference.flush();
  assert.equal(link?.parent, undefined);
  assert.ok((link?.confidence ?? 1) < 0.9);
});

test("parallel calls and a join: at least 99 % are right", () => {
  const story = tell(600, 4000, 23, (random) => {
    const first = 100 + exponential(random, 100);
    const calls = ["a", "b", "c"].map((operation, index) => {
      const startUs = first + 20 * index + exponential(random, 15);
      return { operation, startUs, endUs: startUs + 1500 + exponential(random, 3000) };
    });
    const joinUs = Math.max(...calls.map((call) => call.endUs));
    const last = { operation: "d", startUs: joinUs + 60, endUs: joinUs + 900 };
    return { calls: [...calls, last], endUs: joinUs + 1000 + exponential(random, 80) };
  });
  const links = answered(story);
  assert.ok(rightShare(story, links) >= 0.99, `right ${rightShare(story, links)}`);
});

test("a pool that serves first come, first served: the order is learnt and used", () => {
  // Two connections; every handler wants one 300 µs after its start.
  const random = createRandom(31);
  const story: Story = { incoming: [], outgoing: [], parentOf: new Map() };
  const free = [0, 0];
  let at = 0;
  for (let i = 0; i < 1200; i++) {
    at += 200 + exponential(random, 900);
    const readyUs = at + 280 + 40 * random();
    const connection = (free[0] ?? 0) <= (free[1] ?? 0) ? 0 : 1;
    const startUs = Math.max(readyUs, (free[connection] ?? 0) + 5);
    const endUs = startUs + 600 + exponential(random, 1200);
    free[connection] = endUs;
    story.incoming.push({ id: 2 * i, operation: "serve", startUs: at, endUs: endUs + 90 });
    story.outgoing.push({ id: 2 * i + 1, operation: "query", startUs, endUs });
    story.parentOf.set(2 * i + 1, 2 * i);
  }
  const links = answered(story);
  assert.ok(rightShare(story, links) >= 0.99, `right ${rightShare(story, links)}`);
});

test("calls that outlive their handler are linked once they are known to", () => {
  const story = tell(600, 5000, 24, (random) => {
    const startUs = 200 + exponential(random, 100);
    const slow = { operation: "notify", startUs, endUs: startUs + 20_000 };
    return { calls: [slow], endUs: startUs + 300 + exponential(random, 100) };
  });
  const links = answered(story);
  assert.ok(rightShare(story, links) >= 0.97, `right ${rightShare(story, links)}`);
});

test("calls timed by a clock that is 40 ms ahead are linked all the same", () => {
  const story = tell(300, 60_000, 26, sequential);
  const skewed = story.outgoing.map((call) => ({
    ...call,
    startUs: call.startUs + 40_000,
    endUs: call.endUs + 40_000,
    otherClock: true,
  }));
  const links = answered({ ...story, outgoing: skewed });
  assert.ok(rightShare(story, links) >= 0.99, `right ${rightShare(story, links)}`);
});

test("a call that no handler can have made stays without a parent", () => {
  const inference = new ServiceInference();
  inference.incoming({ id: 1, operation: "serve", startUs: 0, endUs: 5000 });
  inference.outgoing({ id: 2, operation: "poll", startUs: 90_000, endUs: 91_000 });
  const [link] = inference.flush();
  assert.equal(link?.child, 2);
  assert.equal(link.parent, undefined);
  assert.equal(link.confidence, 1);
});

test("each call is answered once, after the hold and not before", () => {
  const inference = new ServiceInference({ ...DEFAULT_INFERENCE, holdUs: 10_000 });
  inference.incoming({ id: 1, operation: "serve", startUs: 0, endUs: 5000 });
  inference.outgoing({ id: 2, operation: "a", startUs: 300, endUs: 4000 });
  assert.deepEqual(inference.decide(13_999), []);
  const links = inference.decide(15_000);
  assert.deepEqual(
    links.map((link) => [link.child, link.parent]),
    [[2, 1]],
  );
  assert.deepEqual(inference.flush(), []);
  assert.equal(inference.heldCount, 0);
});

test("what is held is bounded: beyond it the oldest are answered early and counted", () => {
  const options = { ...DEFAULT_INFERENCE, holdUs: 1e9, heldMax: 50 };
  const inference = new ServiceInference(options);
  const story = tell(400, 2000, 25, sequential);
  const events = [
    ...story.incoming.map((call) => ({ call, incoming: true })),
    ...story.outgoing.map((call) => ({ call, incoming: false })),
  ].sort((a, b) => a.call.endUs - b.call.endUs);
  let answers = 0;
  for (const [index, { call, incoming }] of events.entries()) {
    if (incoming) inference.incoming(call);
    else inference.outgoing(call);
    if (index % 20 === 0) answers += inference.decide(call.endUs).length;
    assert.ok(inference.heldCount <= 150, `held ${inference.heldCount}`);
  }
  answers += inference.flush().length;
  assert.equal(answers, story.outgoing.length);
  assert.ok(inference.forcedCount > 0);
});

test("in a join the last call of a trace goes on, whichever operation it is", () => {
  const random = createRandom(41);
  const story: Story = { incoming: [], outgoing: [], parentOf: new Map() };
  let id = 0;
  let at = 0;
  for (let trace = 0; trace < 500; trace++) {
    at += exponential(random, 12_000);
    const parts = ["x", "y", "z"].map((operation) => {
      const startUs = at + exponential(random, 1500);
      return {
        id: id++,
        operation,
        trace,
        startUs,
        endUs: startUs + 200 + exponential(random, 100),
      };
    });
    parts.sort((a, b) => a.endUs - b.endUs);
    const last = parts.pop();
    if (last === undefined) continue;
    const startUs = last.endUs + 100 + exponential(random, 200);
    const endUs = startUs + 1500 + exponential(random, 3000);
    story.incoming.push(...parts, { ...last, endUs: endUs + 80 });
    story.parentOf.set(id, last.id);
    story.outgoing.push({ id: id++, operation: "store", startUs, endUs });
  }
  const links = answered(story);
  assert.ok(rightShare(story, links) >= 0.99, `right ${rightShare(story, links)}`);
});

test("fan-outs of a thousand calls that overlap: all are answered, few calls said to be sure are wrong", () => {
  const story = tell(6, 60_000, 29, (random) => {
    const calls = Array.from({ length: 1000 }, (_, i) => {
      const startUs = 100 + i * 100 + exponential(random, 20);
      return { operation: "part", startUs, endUs: startUs + 500 + exponential(random, 500) };
    });
    return { calls, endUs: 110_000 };
  });
  const links = answered(story, 1, { ...DEFAULT_INFERENCE, confidenceMin: 0.98 });
  assert.equal(links.length, story.outgoing.length);
  const wrong = links.filter(
    ({ child, parent }) => parent !== undefined && parent !== story.parentOf.get(child),
  );
  assert.ok(wrong.length < 0.01 * links.length, `${wrong.length} wrong of ${links.length}`);
});

test("what weaker evidence says is weighed by how often it is right, which is learnt", () => {
  // Requests that begin together and make one call at any time: times tell nothing.
  const handle = (random: Random): Handling => {
    const startUs = 1000 + 50_000 * random();
    return { calls: [{ operation: "a", startUs, endUs: startUs + 2000 }], endUs: 60_000 };
  };
  for (const [right, said] of [
    [0.97, "most"],
    [0.25, "few"],
  ] as const) {
    const story = tell(1200, 20_000, 31, handle);
    const random = createRandom(7);
    const hinted = story.outgoing.map((call) => {
      const truth = story.parentOf.get(call.id) ?? 0;
      const open = story.incoming.filter(
        (one) => one.startUs <= call.startUs && one.endUs >= call.startUs && one.id !== truth,
      );
      const other = open[Math.floor(random() * open.length)]?.id ?? truth;
      return { ...call, hint: { parent: random() < right ? truth : other, kind: 0 } };
    });
    const links = answered({ ...story, outgoing: hinted }, 2);
    const hintOf = new Map(hinted.map((call) => [call.id, call.hint.parent]));
    const taken = links.filter((link) => link.parent === hintOf.get(link.child)).length;
    if (said === "most") assert.ok(rightShare(story, links) > 0.93, `${rightShare(story, links)}`);
    else assert.ok(taken < 0.75 * links.length, `${taken} of ${links.length} hints were believed`);
  }
});
