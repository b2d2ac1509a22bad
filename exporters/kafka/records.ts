// SPDX-License-Identifier: Apache-2.0
import { TraceRegrouper } from "../../src/attributes/trace-regrouper.ts";
import { AgentError } from "../../src/component/errors.ts";
import type { Batch } from "../../src/model/batch.ts";
import { toOtlpJson } from "../../src/pdata/json-encode.ts";
import { type OtlpSignal, REQUESTS } from "../../src/pdata/requests.ts";
import { splitBatch } from "../../src/pdata/split.ts";
import { JointWriter } from "../../src/stitching/joints.ts";
import type { KafkaEncoding } from "../../src/transport/kafka.ts";
import type { KafkaExporterConfig } from "./config.ts";

export interface KafkaRecord {
  readonly topic: string;
  /** A trace's id in hexadecimal digits. */
  readonly key?: Buffer;
  readonly value: Buffer;
}

/** Makes records of batches; made once. */
export class RecordMaker {
  readonly #signal: OtlpSignal;
  readonly #config: KafkaExporterConfig;
  readonly #regrouper: TraceRegrouper | undefined;
  readonly #joints: JointWriter | undefined;

  constructor(signal: OtlpSignal, config: KafkaExporterConfig) {
    this.#signal = signal;
    this.#config = config;
    const isTraces = signal === "traces";
    this.#regrouper = isTraces && config.partition_traces_by_id ? new TraceRegrouper() : undefined;
    this.#joints = isTraces && config.traces.stitch_topic !== "" ? new JointWriter() : undefined;
  }

  /** Throws a permanent error for bytes that are no request and for items that are too large. */
  make(batch: Batch): KafkaRecord[] {
    const { topic, encoding } = this.#config[this.#signal];
    const records: KafkaRecord[] = [];
    try {
      for (const { key, part } of this.#parts(batch)) {
        this.#add(records, part, { topic, encoding, key });
      }
      const joints = this.#joints?.jointsOf(batch);
      const to = { topic: this.#config.traces.stitch_topic, encoding: "otlp_proto" } as const;
      if (joints !== undefined) this.#add(records, joints, { ...to, key: undefined });
    } catch (error) {
      if (error instanceof AgentError) throw error;
      throw new AgentError("BS_EXPORT", "malformed batch", { cause: error, retryable: false });
    }
    return records;
  }

  *#parts(batch: Batch): Iterable<{ readonly key: Buffer | undefined; readonly part: Batch }> {
    const regrouper = this.#regrouper;
    if (regrouper === undefined) {
      yield { key: undefined, part: batch };
      return;
    }
    const traces = new Map<string, { chunks: Uint8Array[]; items: number; bytes: number }>();
    for (const chunk of batch.chunks) {
      for (const { id, bytes, spans } of regrouper.pieces(chunk)) {
        const trace = traces.get(id) ?? { chunks: [], items: 0, bytes: 0 };
        trace.chunks.push(bytes);
        trace.items += spans;
        trace.bytes += bytes.length;
        traces.set(id, trace);
      }
    }
    for (const [id, trace] of traces) {
      const key = Buffer.from(Buffer.from(id, "latin1").toString("hex"));
      yield { key, part: { signal: "traces", ...trace } };
    }
  }

  /** Halves until it fits. */
  #add(
    records: KafkaRecord[],
    part: Batch,
    to: {
      readonly topic: string;
      readonly encoding: KafkaEncoding;
      readonly key: Buffer | undefined;
    },
  ): void {
    const value = this.#encode(part, to.encoding);
    const { max_message_bytes: bytesMax } = this.#config.producer;
    if (value.length <= bytesMax) {
      records.push({ topic: to.topic, value, ...(to.key === undefined ? {} : { key: to.key }) });
      return;
    }
    if (part.items < 2) {
      const what = `a record of ${value.length} bytes is above producer: max_message_bytes ${bytesMax}`;
      throw new AgentError("BS_EXPORT", what, { retryable: false });
    }
    let rest: Batch | undefined = part;
    while (rest !== undefined) {
      const [head, tail]: readonly [Batch, Batch | undefined] = splitBatch(
        rest,
        Math.ceil(part.items / 2),
      );
      this.#add(records, head, to);
      rest = tail;
    }
  }

  #encode({ chunks }: Batch, encoding: KafkaEncoding): Buffer {
    const bytes = Buffer.concat(chunks);
    if (encoding === "otlp_proto") return bytes;
    const result = toOtlpJson(REQUESTS[this.#signal].request, bytes);
    if (result.ok) return Buffer.from(result.json);
    const message = `malformed batch at byte ${result.offset}`;
    throw new AgentError("BS_EXPORT", message, { retryable: false });
  }
}
