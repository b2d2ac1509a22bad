// SPDX-License-Identifier: Apache-2.0
import { createReadStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { type Observable, Subject } from "rxjs";
import type { Host, Receiver, ReceiverSettings } from "../../src/component/component.ts";
import { AgentError, messageOf } from "../../src/component/errors.ts";
import type { Batch, Signal } from "../../src/model/batch.ts";
import { DemandGate } from "../../src/pipeline/demand-gate.ts";
import { DurationMetrics } from "../../src/spans/duration-metrics.ts";
import { EpochClock } from "../../src/spans/epoch-clock.ts";
import { ResourceBatcher } from "../../src/spans/resource-batcher.ts";
import { SpanEncoder } from "../../src/spans/span-encoder.ts";
import { Account } from "../ebpf_l7/account.ts";
import { SignalOutput } from "../ebpf_l7/exchange-output.ts";
import { RECORDING_MAGIC } from "../ebpf_l7/recording.ts";
import { BlockReader, checkMagic } from "./block-reader.ts";
import type { ReplayConfig } from "./config.ts";
import { Player } from "./player.ts";

/** Some hundred records, a few milliseconds of work. */
const PIECE_BYTES = 128 * 1024;
/** As in `ebpf_l7`. */
const SERIES_MAX = 2000;

/** Plays a recording of `ebpf_l7` from its first record to the last, and completes. */
export class ReplayReceiver implements Receiver {
  readonly #settings: ReceiverSettings;
  readonly #path: string;
  readonly #traces = new Subject<Batch>();
  readonly #metrics = new Subject<Batch>();
  readonly #stopping = new AbortController();
  #done: Promise<void> | undefined;

  constructor(settings: ReceiverSettings, config: ReplayConfig) {
    this.#settings = settings;
    this.#path = config.path;
  }

  output(signal: Signal): Observable<Batch> {
    return signal === "metrics" ? this.#metrics : this.#traces;
  }

  async start(host: Host): Promise<void> {
    await checkFile(this.#path);
    this.#done = this.#play().then(
      () => this.#complete(),
      (error: unknown) => host.fatal(this.#settings.id, error),
    );
  }

  async shutdown(_signal: AbortSignal): Promise<void> {
    this.#stopping.abort();
    await this.#done;
    this.#complete();
  }

  #complete(): void {
    this.#traces.complete();
    this.#metrics.complete();
  }

  readonly #emit = (batch: Batch | undefined): void => {
    if (batch === undefined) return;
    (batch.signal === "metrics" ? this.#metrics : this.#traces).next(batch);
  };

  async #play(): Promise<void> {
    const { telemetry, signals, buildInfo, demand } = this.#settings;
    const { logger } = telemetry;
    const stopping = this.#stopping.signal;
    const clock = new EpochClock(0n);
    const batcher = new ResourceBatcher({ version: buildInfo.version });
    const metrics = signals.has("metrics")
      ? new DurationMetrics({ version: buildInfo.version, clock, seriesMax: SERIES_MAX })
      : undefined;
    const encoder = new SpanEncoder({ clock, batcher });
    const player = new Player({
      clock,
      account: new Account(telemetry),
      output: new SignalOutput({ encoder, traces: signals.has("traces"), measurements: metrics }),
      onFailure: (error) => logger.error("Reading a record failed", { error: messageOf(error) }),
    });
    const blocks = new BlockReader(player.onBlock);
    const gate = new DemandGate(demand, stopping);
    const file = createReadStream(this.#path, { highWaterMark: PIECE_BYTES, signal: stopping });
    try {
      for await (const piece of file) {
        if (piece instanceof Uint8Array) blocks.push(piece);
        this.#emit(batcher.take());
        await gate.turn();
      }
      if (!player.isEnded) logger.warn("The recording has no end: its writer was killed");
    } catch (error) {
      // What was read until there counts.
      if (!stopping.aborted) {
        logger.error("The recording is damaged", { path: this.#path, error: messageOf(error) });
      }
    } finally {
      gate.close();
    }
    player.end();
    this.#emit(batcher.take());
    this.#emit(metrics?.collect(player.nowNs));
    logger.info("The recording was played", { path: this.#path, records: player.records });
  }
}

async function checkFile(path: string): Promise<void> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, "r");
    const length = RECORDING_MAGIC.length;
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, 0);
    checkMagic(buffer.subarray(0, bytesRead));
  } catch (error) {
    const advice = "Write one with ebpf_l7: record: {path: run.bsrec}";
    throw new AgentError("BS_START", `replay: path: ${path}: ${messageOf(error)}. ${advice}.`);
  } finally {
    await file?.close();
  }
}
