// SPDX-License-Identifier: Apache-2.0
import {
  KEY_PEER_ABSENT,
  KEY_PEER_OBSERVED,
  KEY_POOL_BUSY,
  ROLE_SERVER,
  TRIGGER_RESPONSE,
} from "../../src/model/stitch-key.ts";
import { Contexts } from "./contexts.ts";
import type { Counts, ForcedReason } from "./counts.ts";
import { LIST_NONE, LIST_OLD, LIST_REMEMBERED, LIST_SHORT, LIST_YOUNG } from "./deadlines.ts";
import {
  EVIDENCE_HEADER,
  EVIDENCE_INFERENCE,
  EVIDENCE_UNKNOWN,
  Judge,
  type UnlinkedReason,
} from "./evidence/judge.ts";
import type { Groups } from "./groups.ts";
import { hintOf } from "./inference/hint.ts";
import { type Answer, Inference } from "./inference/inference.ts";
import { hasContext, StitchKey } from "./key.ts";
import {
  AMBIGUOUS,
  CONTEXT,
  HAS_CONTEXT,
  HELD,
  NESTED,
  PROMISED,
  PROVISIONAL,
  percentOf,
  proofOf,
  SETTLED,
  UNSEEN,
  WAITS_COMPARE,
  WAITS_CONTEXT,
  WAITS_NOTHING,
  WAITS_ORIGIN,
  WAITS_PARENT,
} from "./nodes.ts";
import type { StitcherParts, StitchLimits } from "./parts.ts";
import { hasWaitedEnough, isAbove, isByteName, moveBytes } from "./rows.ts";
import type { Scanner } from "./scan.ts";
import { Settler, type Tables } from "./settler.ts";
import { WARM_ROWS, Warmer } from "./warmer.ts";

/** After this long a held span's bytes are moved out of the chunk that brought them. */
const YOUNG_MS = 1000;
/** How sure the thread's evidence must be before a header found by it names the whole trace. */
const ASK_PERCENT_MIN = 90;
const PROOF_HEADER = proofOf(EVIDENCE_HEADER, 100);

/**
 * Decides parents: looks at what each kind of evidence offers, and at what has come. The one
 * place where evidence is joined; see docs/stitching.md for the rules.
 */
export class Stitcher {
  readonly #tables: Tables;
  readonly #groups: Groups;
  readonly #counts: Counts;
  readonly #limits: StitchLimits;
  readonly #settler: Settler;
  readonly #judge: Judge;
  readonly #key: StitchKey = new StitchKey();
  readonly #contexts: Contexts;
  readonly #warmer: Warmer;
  readonly inference: Inference | undefined;
  /** Rows whose own place was found: those that wait for it can go on. */
  readonly #placed: number[] = [];
  #duplicates = 0;
  /** The row at work has come just now. */
  #isArriving = false;

  constructor(parts: StitcherParts) {
    this.#tables = parts.tables;
    this.#groups = parts.groups;
    this.#counts = parts.counts;
    this.#limits = parts.limits;
    this.#warmer = new Warmer(parts.tables);
    this.#contexts = new Contexts(parts.tables.nodes, parts.tables.deadlines);
    this.#judge = new Judge(parts.limits.percentMin);
    const limits = parts.limits.inference;
    if (limits !== undefined) {
      this.inference = new Inference({ ...parts, limits, answer: (one) => this.#inferred(one) });
    }
    this.#settler = new Settler(parts.tables, parts.counts, {
      rememberMs: parts.limits.rememberMs,
      spansPerTraceMax: parts.limits.spansPerTraceMax,
      traceSecondsMax: parts.limits.traceSecondsMax,
      send: parts.send,
      resume: (row, at, waits) => this.#resume(row, at, waits),
    });
  }

  /** To be called for some spans before `take` is called for each. */
  warm(scanner: Scanner, first: number, end: number, bytes: Uint8Array): void {
    this.#warmer.spans(scanner, first, end, bytes);
  }

  /** Takes row `index` of the scanner; its bytes stand in `source`. */
  take(scanner: Scanner, index: number, source: number, nowMs: number): void {
    const { nodes, sources, deadlines } = this.#tables;
    this.#settler.nowMs = nowMs;
    const bytes = sources.bytes(source);
    const keyAt = scanner.keyAt[index] ?? 0;
    const key = this.#key;
    key.read(bytes, keyAt);
    let row = nodes.need(key.idLow, key.idHigh);
    const state = nodes.state[row];
    const isDuplicate = state !== UNSEEN && state !== PROMISED;
    if (isDuplicate) {
      nodes.flags[row] = (nodes.flags[row] ?? 0) | AMBIGUOUS;
      row = nodes.detached(key.idLow, key.idHigh);
    } else if (state === PROMISED) deadlines.remove(row);
    nodes.state[row] = HELD;
    nodes.source[row] = sources.retain(source);
    nodes.bodyAt[row] = scanner.bodyAt[index] ?? 0;
    nodes.keyAt[row] = keyAt;
    nodes.bodyEnd[row] = scanner.bodyEnd[index] ?? 0;
    nodes.setTimes(row, scanner.startNs[index] ?? 0, scanner.endNs[index] ?? 0);
    const group = scanner.group[index] ?? 0;
    nodes.group[row] = group;
    this.#groups.retain(group);
    if (hasContext(key, bytes, keyAt)) {
      nodes.flags[row] = (nodes.flags[row] ?? 0) | HAS_CONTEXT;
      this.#contexts.read(row, key.pid, bytes, keyAt);
    }
    this.#isArriving = true;
    if (isDuplicate) {
      this.#counts.duplicates.add(1);
      this.#settler.top(row, "duplicate", ++this.#duplicates);
    } else if (key.role === ROLE_SERVER) {
      this.inference?.served(row, key.pid, nowMs);
      this.#placeServer(row, key);
    } else this.#placeClient(row, key);
    this.#isArriving = false;
    if (!isDuplicate && nodes.state[row] === HELD) this.#placed.push(row);
    this.#drain();
  }

  /** Moves on what is due. Call when the sender holds no row any more. */
  expire(nowMs: number): void {
    const { deadlines } = this.#tables;
    const { waitMaxMs } = this.#limits;
    this.#settler.nowMs = nowMs;
    this.inference?.turn(nowMs);
    let count = 0;
    const due = (list: number): number => deadlines.due(list, nowMs);
    for (let row = due(LIST_SHORT); row !== 0; row = due(LIST_SHORT)) {
      if (count++ % WARM_ROWS === 0) this.#warmer.waiting(LIST_SHORT);
      this.#shortOver(row);
      this.#drain();
    }
    const youngMs = Math.min(YOUNG_MS, waitMaxMs);
    for (let row = due(LIST_YOUNG); row !== 0; row = due(LIST_YOUNG)) {
      this.#grownOld(row, waitMaxMs - youngMs);
    }
    for (let row = due(LIST_OLD); row !== 0; row = due(LIST_OLD)) this.#force(row, "wait_max");
  }

  /** Forgets what was sent too long ago. Call when the sender holds no row. */
  forget(nowMs: number): void {
    const { deadlines } = this.#tables;
    this.#settler.nowMs = nowMs;
    for (let count = 0; ; count++) {
      const isFull = deadlines.count(LIST_REMEMBERED) > this.#limits.rememberedMax;
      const row = isFull ? deadlines.first(LIST_REMEMBERED) : deadlines.due(LIST_REMEMBERED, nowMs);
      if (row === 0) break;
      if (count % WARM_ROWS === 0) this.#warmer.forgotten(LIST_REMEMBERED);
      this.#settler.forget(row);
    }
    this.#drain();
  }

  /** Sends what was held longest, and what that releases. False when nothing is held. */
  forceOldest(reason: ForcedReason): boolean {
    const { deadlines } = this.#tables;
    const row =
      deadlines.first(LIST_OLD) || deadlines.first(LIST_YOUNG) || deadlines.first(LIST_SHORT);
    if (row === 0) return false;
    this.#force(row, reason);
    return true;
  }

  #placeServer(row: number, key: StitchKey): void {
    const { nodes } = this.#tables;
    if (((nodes.flags[row] ?? 0) & HAS_CONTEXT) !== 0) {
      this.#contexts.publish(row, this.#settler.nowMs + this.#limits.rememberMs);
    }
    if (key.has(KEY_PEER_ABSENT) || !this.#judge.consider(key, "counterpart")) {
      this.#settler.top(row, "no_client");
      return;
    }
    if (!key.has(KEY_PEER_OBSERVED)) nodes.flags[row] = (nodes.flags[row] ?? 0) | PROVISIONAL;
    const client = nodes.need(key.counterpartLow, key.counterpartHigh);
    this.#link(row, client, this.#judge.proof);
  }

  #placeClient(row: number, key: StitchKey): void {
    const { nodes } = this.#tables;
    const hasHeader = ((nodes.flags[row] ?? 0) & HAS_CONTEXT) !== 0;
    if (!this.#judge.consider(key, "trigger")) {
      if (hasHeader) this.#awaitContext(row);
      else this.#infer(row, key, this.#judge.whyNoTrigger(key));
      return;
    }
    nodes.originProof[row] = this.#judge.proof;
    const trigger = nodes.need(key.triggerLow, key.triggerHigh);
    if (key.triggerKind !== TRIGGER_RESPONSE) {
      nodes.originLow[row] = key.triggerLow;
      nodes.originHigh[row] = key.triggerHigh;
      this.inference?.known(row, key.pid, key.triggerLow, key.triggerHigh, this.#settler.nowMs);
      this.#followOrigin(row, trigger);
    } else if (trigger === row) this.#giveUp(row, "cycle");
    else if (this.#hasOrigin(trigger) || nodes.state[trigger] === SETTLED) {
      this.#inheritOrigin(row, trigger);
    } else this.#await(row, trigger, WAITS_ORIGIN);
  }

  /** Nothing but times may say what caused the call in `row`. */
  #infer(row: number, key: StitchKey, reason: UnlinkedReason): void {
    const hint = hintOf(key, this.#tables.nodes);
    const { nowMs } = this.#settler;
    // What waited in a queue of the application's own begins with somebody else's times.
    const isTimely = !key.has(KEY_POOL_BUSY);
    if (isTimely && this.inference?.ask(row, key, reason, hint, nowMs)) this.#holdLong(row);
    else this.#settler.top(row, reason);
  }

  /** What the times said of a call. */
  #inferred(answer: Answer): void {
    const { nodes } = this.#tables;
    const { row } = answer;
    if (answer.kind === "none") this.#settler.top(row, answer.reason);
    else if (answer.kind === "unsure") {
      this.#settler.top(row, "unsure");
      nodes.proof[row] = proofOf(EVIDENCE_UNKNOWN, answer.percent);
    } else {
      const proof = proofOf(EVIDENCE_INFERENCE, answer.percent);
      nodes.originLow[row] = nodes.idLow[answer.cause] ?? 0;
      nodes.originHigh[row] = nodes.idHigh[answer.cause] ?? 0;
      nodes.originProof[row] = proof;
      this.#placed.push(row);
      this.#link(row, answer.cause, proof);
    }
    this.#drain();
  }

  #hasOrigin(row: number): boolean {
    const { nodes } = this.#tables;
    return nodes.originLow[row] !== 0 || nodes.originHigh[row] !== 0;
  }

  /** The origin of `row` is the span at `server`: its parent, unless the header says otherwise. */
  #followOrigin(row: number, server: number): void {
    const { nodes } = this.#tables;
    nodes.flags[row] = (nodes.flags[row] ?? 0) | NESTED;
    if (((nodes.flags[row] ?? 0) & HAS_CONTEXT) === 0) {
      this.#link(row, server, nodes.originProof[row] ?? 0);
    } else if (nodes.state[server] === HELD || nodes.state[server] === SETTLED) {
      this.#compare(row, server);
    } else this.#await(row, server, WAITS_COMPARE);
  }

  /** `call` is an earlier call of the same thread: what caused that one caused `row`, too. */
  #inheritOrigin(row: number, call: number): void {
    const { nodes } = this.#tables;
    if (!this.#hasOrigin(call)) {
      this.#giveUp(row, "trigger_unlinked");
      return;
    }
    const proof = nodes.originProof[call] ?? 0;
    if (percentOf(proof) < percentOf(nodes.originProof[row] ?? 0)) nodes.originProof[row] = proof;
    const low = nodes.originLow[call] ?? 0;
    const high = nodes.originHigh[call] ?? 0;
    nodes.originLow[row] = low;
    nodes.originHigh[row] = high;
    this.#placed.push(row);
    if (nodes.find(low, high) === 0 && nodes.state[call] === SETTLED) {
      this.#followForgotten(row, call);
    } else this.#followOrigin(row, nodes.need(low, high));
  }

  /** The parent of `call` was forgotten, its trace was not. */
  #followForgotten(row: number, call: number): void {
    const { nodes } = this.#tables;
    const low = nodes.originLow[row] ?? 0;
    const high = nodes.originHigh[row] ?? 0;
    const wasLinked = nodes.parentLow[call] === low && nodes.parentHigh[call] === high;
    if (!wasLinked || ((nodes.flags[row] ?? 0) & HAS_CONTEXT) !== 0) {
      this.#giveUp(row, "trigger_unlinked");
      return;
    }
    nodes.proof[row] = nodes.originProof[row] ?? 0;
    if (this.#isArriving) this.#counts.late.add(1);
    this.#settler.underId(row, low, high, nodes.trace[call] ?? 0);
  }

  /** Does the incoming request carry the same context? Then the process is a proxy. */
  #compare(row: number, server: number): void {
    const { nodes } = this.#tables;
    const isEqual =
      nodes.contextLow[row] === nodes.contextLow[server] &&
      nodes.contextHigh[row] === nodes.contextHigh[server];
    if (isEqual) {
      this.#link(row, server, PROOF_HEADER);
      return;
    }
    const isFree = ((nodes.flags[server] ?? 0) & HAS_CONTEXT) === 0;
    if (isFree && nodes.state[server] === HELD) this.#askTrace(row, server);
    this.#awaitContext(row);
  }

  /**
   * The application's own SDK began a trace while it served a request without a context: the
   * request and what led to it belong to that trace.
   */
  #askTrace(row: number, server: number): void {
    if (percentOf(this.#tables.nodes.originProof[row] ?? 0) < ASK_PERCENT_MIN) return;
    this.#settler.ask(server, this.#settler.headerTrace(row));
  }

  /** No parent among the spans that evidence names: the header's, if the row has one. */
  #giveUp(row: number, reason: UnlinkedReason): void {
    if (((this.#tables.nodes.flags[row] ?? 0) & HAS_CONTEXT) !== 0) this.#awaitContext(row);
    else this.#settler.top(row, reason);
  }

  #link(row: number, parent: number, proof: number): void {
    const { nodes } = this.#tables;
    nodes.proof[row] = proof;
    const state = nodes.state[parent];
    if (state === SETTLED || state === PROMISED) {
      if (this.#isArriving) this.#counts.late.add(1);
      this.#settler.under(row, parent);
      return;
    }
    const isTaken = state === CONTEXT || ((nodes.flags[parent] ?? 0) & AMBIGUOUS) !== 0;
    if (parent === row || isTaken || isAbove(nodes, row, parent)) {
      this.#settler.top(row, isTaken ? "ambiguous" : "cycle");
      return;
    }
    const asked = nodes.trace[row] ?? 0;
    nodes.trace[row] = 0;
    if (asked !== 0) this.#settler.ask(parent, asked);
    this.#await(row, parent, WAITS_PARENT);
  }

  #await(row: number, at: number, waits: number): void {
    const { nodes, deadlines } = this.#tables;
    nodes.attach(row, at, waits);
    const isProvisional = ((nodes.flags[row] ?? 0) & PROVISIONAL) !== 0;
    if (isProvisional && nodes.state[at] === UNSEEN) {
      deadlines.push(row, LIST_SHORT, this.#settler.nowMs + this.#limits.reorderWaitMs);
    } else this.#holdLong(row);
  }

  #holdLong(row: number): void {
    const { nodes, deadlines } = this.#tables;
    const list = nodes.list[row];
    if (list !== LIST_NONE && list !== LIST_SHORT) return;
    const youngMs = Math.min(YOUNG_MS, this.#limits.waitMaxMs);
    deadlines.push(row, LIST_YOUNG, this.#settler.nowMs + youngMs);
  }

  #awaitContext(row: number): void {
    const { nodes, deadlines } = this.#tables;
    nodes.waits[row] = WAITS_CONTEXT;
    deadlines.push(row, LIST_SHORT, this.#settler.nowMs + this.#limits.reorderWaitMs);
  }

  /** The wait for a server span with the same context is over. */
  #contextOver(row: number): void {
    const { nodes } = this.#tables;
    nodes.waits[row] = WAITS_NOTHING;
    const server = this.#contexts.serverOf(row);
    if (server === 0) {
      this.#settler.top(row, "timeout");
      return;
    }
    if (!this.#hasOrigin(row)) {
      nodes.originLow[row] = nodes.idLow[server] ?? 0;
      nodes.originHigh[row] = nodes.idHigh[server] ?? 0;
      nodes.originProof[row] = PROOF_HEADER;
    }
    nodes.flags[row] = (nodes.flags[row] ?? 0) | NESTED;
    this.#placed.push(row);
    this.#link(row, server, PROOF_HEADER);
  }

  #shortOver(row: number): void {
    const { nodes } = this.#tables;
    if (nodes.waits[row] === WAITS_CONTEXT) {
      this.#contextOver(row);
      return;
    }
    this.#settler.loosen(row);
    this.#settler.top(row, "no_client");
  }

  /** Moves the bytes of a row that waits long, so that it does not keep a whole chunk. */
  #grownOld(row: number, moreMs: number): void {
    const { nodes, sources, deadlines } = this.#tables;
    deadlines.push(row, LIST_OLD, deadlines.dueMs(row) + moreMs);
    moveBytes(nodes, sources, row);
  }

  /** Sends `row` now: what is missing above it is cut off, or gets the trace by a promise. */
  #force(row: number, reason: ForcedReason): void {
    const { nodes } = this.#tables;
    const before = this.#settler.sent;
    for (let tries = 0; tries < 4 && nodes.state[row] === HELD; tries++) {
      this.#forceTop(row, reason);
      this.#drain();
    }
    if (nodes.state[row] === HELD) {
      this.#settler.loosen(row);
      this.#settler.top(row, "timeout");
      this.#drain();
    }
    this.#counts.forced[reason].add(this.#settler.sent - before);
  }

  #forceTop(row: number, reason: ForcedReason): void {
    const { nodes } = this.#tables;
    let below = row;
    let top = row;
    while (nodes.state[top] === HELD && nodes.waits[top] === WAITS_PARENT) {
      below = top;
      top = nodes.parent[top] ?? 0;
    }
    if (nodes.state[top] !== HELD) {
      if (((nodes.flags[below] ?? 0) & PROVISIONAL) !== 0) this.#shortOver(below);
      else if (isByteName(nodes.proof[below] ?? 0) && hasWaitedEnough(reason)) {
        this.#settler.loosen(below);
        this.#settler.top(below, "timeout");
      } else this.#promise(top);
      return;
    }
    const waits = nodes.waits[top];
    if (waits === WAITS_CONTEXT) {
      this.#contextOver(top);
      return;
    }
    this.#settler.loosen(top);
    this.#settler.top(top, "timeout");
  }

  #promise(row: number): void {
    const { nodes } = this.#tables;
    for (let child = nodes.firstChild[row] ?? 0; child !== 0; child = nodes.nextChild[child] ?? 0) {
      if (nodes.waits[child] === WAITS_COMPARE) this.#askTrace(child, row);
    }
    this.#settler.promise(row);
  }

  /** What `row` waited for is settled, promised or forgotten. */
  #resume(row: number, at: number, waits: number): void {
    if (this.#tables.nodes.state[at] !== SETTLED) this.#settler.top(row, "timeout");
    else if (waits === WAITS_ORIGIN) this.#inheritOrigin(row, at);
    else this.#compare(row, at);
  }

  #drain(): void {
    for (;;) {
      this.#settler.drain();
      const row = this.#placed.pop();
      if (row === undefined) return;
      if (this.#tables.nodes.state[row] === HELD) this.#wakeWaiting(row);
    }
  }

  /** `row` came, or its origin became known, and it is still held: who waits for just that? */
  #wakeWaiting(row: number): void {
    const { nodes } = this.#tables;
    const hasOrigin = this.#hasOrigin(row);
    let child = nodes.firstChild[row] ?? 0;
    while (child !== 0) {
      const next = nodes.nextChild[child] ?? 0;
      const waits = nodes.waits[child];
      if (waits === WAITS_PARENT) this.#holdSurely(child);
      else if (waits === WAITS_COMPARE) {
        nodes.detach(child);
        this.#compare(child, row);
      } else if (hasOrigin) {
        nodes.detach(child);
        this.#inheritOrigin(child, row);
      }
      child = next;
    }
  }

  /** The parent that might not exist came: wait for its trace as long as it takes. */
  #holdSurely(row: number): void {
    const { nodes } = this.#tables;
    if (nodes.list[row] !== LIST_SHORT) return;
    nodes.flags[row] = (nodes.flags[row] ?? 0) & ~PROVISIONAL;
    this.#holdLong(row);
  }
}
