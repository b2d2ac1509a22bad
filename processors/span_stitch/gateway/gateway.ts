// SPDX-License-Identifier: Apache-2.0
import { ATTR_HOST_NAME } from "@opentelemetry/semantic-conventions/incubating";
import { rewriteBatch } from "../../../src/attributes/rewrite-batch.ts";
import { Rewriter, type Visitor } from "../../../src/attributes/rewriter.ts";
import type { PipelineSettings } from "../../../src/component/component.ts";
import type { Counter } from "../../../src/component/telemetry.ts";
import type { Batch } from "../../../src/model/batch.ts";
import { itemPath } from "../../../src/pdata/levels.ts";
import type { ProtoWriter } from "../../../src/pdata/proto-writer.ts";
import { attributesOf, messagesIn } from "../../../src/pdata/span-view.ts";
import { FieldReader } from "../../../src/pdata/wire.ts";
import { createJointRemover, isJointsScope } from "../../../src/stitching/joints.ts";
import { evidenceAttributes } from "../writer.ts";
import { ClockSkew } from "./clock-skew.ts";
import { JointView, SPAN_ID, TRACE_ID } from "./joint.ts";
import { type Joining, PieceTable } from "./piece-table.ts";

const RESOURCE = 1;
const RESOURCE_ATTRIBUTES = 1;
const HOSTS_MAX = 4096;
const PARENT_TAG = 0x22;
const TRACE_TAG = 0x0a;
const BY_NAME = evidenceAttributes("byte_name", 1);

/** Joins pieces: `learn` when a batch comes, `join` when it goes. No stream, no timer. */
export class Gateway {
  readonly #learner: Learner;
  readonly #reader: Rewriter;
  readonly #writer: Rewriter;
  readonly #jointRemover = createJointRemover();
  readonly #jointsLearned: Counter;
  readonly #gauges: (() => void)[] = [];

  constructor(settings: PipelineSettings, knownSpansMax: number) {
    const table = new PieceTable(knownSpansMax);
    const labels = { processor: settings.id };
    const counter = (name: string, description: string): Counter =>
      settings.telemetry.counter(
        `backstitch_span_stitch_gateway_${name}`,
        { description, unit: "{trace}" },
        labels,
      );
    const skew = new ClockSkew((client_host, server_host, read) => {
      const description = "By how much the server's clock is ahead of the client's.";
      const name = "backstitch_span_stitch_gateway_clock_skew";
      const hosts = { ...labels, client_host, server_host };
      this.#gauges.push(settings.telemetry.gauge(name, { description, unit: "s" }, read, hosts));
    });
    const counts: Record<Exclude<Joining, "nothing">, Counter> = {
      joined: counter("joined_pieces", "Pieces that were put into their trace."),
      late: counter("late_pieces", "Pieces whose other part came after they had been sent on."),
      ambiguous: counter("duplicate_names", "Spans with a name that another one has: not joined."),
      cycle: counter("cycles", "Pieces that would have become part of themselves."),
    };
    this.#jointsLearned = settings.telemetry.counter(
      "backstitch_span_stitch_gateway_learned_joints",
      { description: "Spans of other gateways that were heard of.", unit: "{span}" },
      labels,
    );
    this.#learner = new Learner(table, skew, (result) => counts[result].add(1));
    this.#reader = new Rewriter({ path: itemPath("traces"), visitor: this.#learner });
    const unjoined = counter("unjoined_pieces", "Pieces sent on as they came: no client span.");
    this.#writer = new Rewriter({
      path: itemPath("traces"),
      visitor: new Joiner(table, () => unjoined.add(1)),
    });
  }

  /** Gives what is to be joined later: the batch without joints, undefined when all were. */
  learn(batch: Batch): Batch | undefined {
    const learner = this.#learner;
    learner.joints = 0;
    for (const chunk of batch.chunks) this.#reader.rewrite(chunk);
    if (learner.joints === 0) return batch;
    this.#jointsLearned.add(learner.joints);
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for (const chunk of batch.chunks) {
      const kept = this.#jointRemover.prune(chunk);
      if (kept === undefined) continue;
      chunks.push(kept);
      bytes += kept.length;
    }
    if (chunks.length === 0) return undefined;
    return { ...batch, chunks, bytes, items: batch.items - learner.joints };
  }

  join(batch: Batch): Batch {
    return rewriteBatch(batch, this.#writer);
  }

  /** Takes the gauges back. */
  unpublish(): void {
    for (const remove of this.#gauges.splice(0)) remove();
  }
}

class Learner implements Visitor {
  /** Spans seen since it was set to 0 that are joints. */
  joints = 0;
  #isJoint = false;
  readonly #table: PieceTable;
  readonly #skew: ClockSkew;
  readonly #count: (result: Exclude<Joining, "nothing">) => void;
  readonly #view = new JointView();
  readonly #hosts: string[] = [];
  readonly #hostIndex = new Map<string, number>();
  readonly #timing = { startNs: 0, endNs: 0, host: -1 };

  constructor(
    table: PieceTable,
    skew: ClockSkew,
    count: (result: Exclude<Joining, "nothing">) => void,
  ) {
    this.#table = table;
    this.#skew = skew;
    this.#count = count;
  }

  enter(level: number, bytes: Uint8Array, start: number, stop: number): boolean {
    if (level === 0) this.#timing.host = this.#hostOf(bytes, start, stop);
    else this.#isJoint = isJointsScope(bytes, start, stop);
    return true;
  }

  visit(bytes: Uint8Array, start: number, stop: number): boolean {
    if (this.#isJoint) this.joints++;
    const view = this.#view;
    view.read(bytes, start, stop);
    if (!view.isClient && !view.isPieceRoot) return false;
    const timing = this.#timing;
    timing.startNs = view.startNs;
    timing.endNs = view.endNs;
    if (view.isClient) this.#done(this.#table.client(view.spanId, view.traceId, timing), true);
    else this.#done(this.#table.piece(view.peerId, view.traceId, timing), false);
    return false;
  }

  write(): void {}

  #done(result: Joining, isClient: boolean): void {
    if (result === "nothing") return;
    this.#count(result);
    if (result !== "joined") return;
    const [client, server] = isClient
      ? [this.#timing, this.#table.other]
      : [this.#table.other, this.#timing];
    if (client.host < 0 || server.host < 0 || client.host === server.host) return;
    this.#skew.add(this.#hosts[client.host] ?? "", this.#hosts[server.host] ?? "", {
      clientStartNs: client.startNs,
      clientEndNs: client.endNs,
      serverStartNs: server.startNs,
      serverEndNs: server.endNs,
    });
  }

  /** Once a resource, not once a span. */
  #hostOf(bytes: Uint8Array, start: number, end: number): number {
    const [resource] = messagesIn({ bytes, start, end }, RESOURCE);
    if (resource === undefined) return -1;
    const name = attributesOf(resource, RESOURCE_ATTRIBUTES).get(ATTR_HOST_NAME);
    if (typeof name !== "string") return -1;
    const known = this.#hostIndex.get(name);
    if (known !== undefined) return known;
    if (this.#hosts.length >= HOSTS_MAX) return -1;
    this.#hostIndex.set(name, this.#hosts.length);
    return this.#hosts.push(name) - 1;
  }
}

class Joiner implements Visitor {
  readonly #table: PieceTable;
  readonly #unjoined: () => void;
  readonly #view = new JointView();
  readonly #reader = new FieldReader();
  #bytes: Uint8Array = new Uint8Array(0);
  #start = 0;
  #stop = 0;
  #isJoined = false;

  constructor(table: PieceTable, unjoined: () => void) {
    this.#table = table;
    this.#unjoined = unjoined;
  }

  enter(): boolean {
    return true;
  }

  visit(bytes: Uint8Array, start: number, stop: number): boolean {
    const view = this.#view;
    view.read(bytes, start, stop);
    if (view.isMalformed) return false;
    this.#isJoined = view.isPieceRoot && this.#table.isJoined(view.peerId);
    if (view.isPieceRoot && !this.#isJoined) this.#unjoined();
    const isMoved = this.#table.resolve(view.traceId);
    this.#bytes = bytes;
    this.#start = start;
    this.#stop = stop;
    return isMoved || this.#isJoined;
  }

  /** New ids in front, then all else of the span as it was. */
  write(out: ProtoWriter): void {
    const view = this.#view;
    const bytes = this.#bytes;
    out.reserve(this.#stop - this.#start + BY_NAME.length + 64);
    out.byte(TRACE_TAG);
    out.byte(16);
    for (let word = 0; word < 4; word++) out.fixed32(view.traceId[word] ?? 0);
    const reader = this.#reader.reset(bytes, this.#start, this.#stop);
    while (reader.next()) {
      if (reader.field === TRACE_ID) continue;
      if (this.#isJoined && reader.tagAt === view.peerAt) continue;
      out.copy(bytes, reader.tagAt, reader.position);
      if (reader.field !== SPAN_ID || !this.#isJoined) continue;
      out.byte(PARENT_TAG);
      out.byte(8);
      out.fixed32(view.peerId[0] ?? 0);
      out.fixed32(view.peerId[1] ?? 0);
    }
    if (this.#isJoined) out.copyAll(BY_NAME);
  }
}
