// SPDX-License-Identifier: Apache-2.0
import type { BaseOptions, Consumer, Message, MessagesStream } from "@platformatic/kafka";
import { Subject, type Subscription } from "rxjs";
import type { Receiver, ReceiverSettings } from "../../src/component/component.ts";
import type { Counter } from "../../src/component/telemetry.ts";
import type { Batch, Outcome, Signal } from "../../src/model/batch.ts";
import { fromOtlpJson } from "../../src/pdata/json-decode.ts";
import { isOtlpSignal, OTLP_SIGNALS, type OtlpSignal, REQUESTS } from "../../src/pdata/requests.ts";
import { validateRequest } from "../../src/pdata/validate.ts";
import { createReceipt } from "../../src/pipeline/receipt.ts";
import { ThrottledLog } from "../../src/pipeline/throttled-log.ts";
import { kafkaOptions, kafkaReason, loadKafka } from "../../src/transport/kafka.ts";
import type { KafkaReceiverConfig } from "./config.ts";
import { JointReader } from "./joint-reader.ts";
import { PartitionProgress } from "./progress.ts";

const MIB = 1024 * 1024;
const REQUEST_TIMEOUT_MS = 10_000;
const BACKOFF_MIN_MS = 500;
const BACKOFF_MAX_MS = 30_000;
/** Between tries to hand on what the pipeline refused for now. */
const RETRY_MS = 1000;
/** At shutdown the pipeline may take this long to be done with what it has. */
const SETTLE_MS = 5000;

type OtlpBatch = Batch & { readonly signal: OtlpSignal };
type Stream = MessagesStream<Buffer, Buffer, Buffer, Buffer>;

/** Reads OTLP requests that stand in the records of topics. */
export class KafkaReceiver implements Receiver {
  readonly #settings: ReceiverSettings;
  readonly #config: KafkaReceiverConfig;
  readonly #outputs: Readonly<Record<OtlpSignal, Subject<Batch>>> = {
    traces: new Subject(),
    metrics: new Subject(),
    logs: new Subject(),
  };
  readonly #signals = new Map<string, OtlpSignal>();
  readonly #progress = new Map<string, PartitionProgress>();
  readonly #stop = new AbortController();
  readonly #log: ThrottledLog;
  readonly #malformed: Counter;
  readonly #failures: Counter;
  #stream: Stream | undefined;
  #consumer: Consumer | undefined;
  #demand: Subscription | undefined;
  #isOpen = true;
  #inFlight = 0;
  #inFlightBytes = 0;
  #running: Promise<void> = Promise.resolve();
  #committer: NodeJS.Timeout | undefined;
  #shutdown: Promise<void> | undefined;
  #onSettled: (() => void) | undefined;

  constructor(settings: ReceiverSettings, config: KafkaReceiverConfig) {
    this.#settings = settings;
    this.#config = config;
    this.#log = new ThrottledLog(settings.telemetry.logger);
    for (const signal of OTLP_SIGNALS) {
      if (!settings.signals.has(signal)) continue;
      for (const topic of config[signal].topics) this.#signals.set(topic, signal);
    }
    const labels = { receiver: settings.id, transport: "kafka" };
    this.#malformed = settings.telemetry.counter(
      "backstitch_receiver_malformed_requests",
      { description: "Requests refused because the body is not OTLP.", unit: "{request}" },
      labels,
    );
    this.#failures = settings.telemetry.counter(
      "backstitch_kafka_receiver_failures",
      { description: "Times that reading broke off and began anew.", unit: "{failure}" },
      { receiver: settings.id },
    );
  }

  output(signal: Signal): Subject<Batch> {
    if (!isOtlpSignal(signal)) throw new TypeError(`kafka has no ${signal}`);
    return this.#outputs[signal];
  }

  /** Returns before a broker has answered: one that is down is waited for. */
  async start(): Promise<void> {
    const base = await kafkaOptions(this.#config, REQUEST_TIMEOUT_MS);
    await loadKafka();
    this.#demand = this.#settings.demand.subscribe((isOpen) => {
      this.#isOpen = isOpen;
      this.#throttle();
    });
    this.#running = this.#run(base);
  }

  shutdown(signal: AbortSignal): Promise<void> {
    this.#shutdown ??= this.#end(signal);
    return this.#shutdown;
  }

  async #end(signal: AbortSignal): Promise<void> {
    this.#stop.abort();
    this.#stream?.pause();
    for (const signalName of OTLP_SIGNALS) this.#outputs[signalName].complete();
    await this.#settled(signal);
    await this.#commit().catch(() => {});
    await this.#running;
    this.#demand?.unsubscribe();
  }

  /** What the pipeline does not get done in time is read again after the next start. */
  async #settled(signal: AbortSignal): Promise<void> {
    if (this.#inFlight === 0) return;
    const limit = AbortSignal.any([signal, AbortSignal.timeout(SETTLE_MS)]);
    await new Promise<void>((resolve) => {
      this.#onSettled = resolve;
      if (limit.aborted) resolve();
      else limit.addEventListener("abort", () => resolve(), { once: true });
    });
  }

  async #run(base: BaseOptions): Promise<void> {
    let backoffMs = BACKOFF_MIN_MS;
    while (!this.#stop.signal.aborted) {
      const startMs = performance.now();
      try {
        await this.#session(base);
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        this.#failures.add(1);
        const brokers = this.#config.brokers.join(", ");
        const fields = { brokers, error: kafkaReason(error), interval_ms: backoffMs };
        this.#log.write("warn", "Reading from Kafka broke off. Will try again.", fields);
      }
      if (performance.now() - startMs > BACKOFF_MAX_MS) backoffMs = BACKOFF_MIN_MS;
      await pause(backoffMs, this.#stop.signal);
      backoffMs = Math.min(backoffMs * 2, BACKOFF_MAX_MS);
    }
  }

  /** From joining the group until something breaks or we are stopped. */
  async #session(base: BaseOptions): Promise<void> {
    const joints = await this.#openJoints(base);
    const { Consumer } = await loadKafka();
    const { config, stopped } = { config: this.#config, stopped: aborted(this.#stop.signal) };
    const { group_instance_id: instance } = config;
    const consumer = new Consumer({
      ...base,
      groupId: config.group_id,
      ...(instance === "" ? {} : { groupInstanceId: instance }),
      sessionTimeout: config.session_timeout,
      rebalanceTimeout: Math.max(config.session_timeout, REQUEST_TIMEOUT_MS),
      heartbeatInterval: config.heartbeat_interval,
      minBytes: config.min_fetch_size,
      maxBytes: config.max_fetch_size,
      maxBytesPerPartition: config.max_partition_fetch_size,
      maxWaitTime: config.max_fetch_wait,
      autocommit: false,
    });
    this.#consumer = consumer;
    consumer.on("consumer:group:join", () => this.#forgetLost(consumer));
    try {
      const stream = await consumer.consume({
        topics: [...this.#signals.keys()],
        mode: "committed",
        fallbackMode: config.initial_offset,
      });
      this.#stream = stream;
      const broken = new Promise<never>((_, reject) => stream.once("error", reject));
      broken.catch(() => {});
      stream.on("data", (message) => this.#take(message));
      this.#throttle();
      this.#keepCommitting();
      await Promise.race([broken, stopped, ...(joints === undefined ? [] : [joints.broken])]);
    } finally {
      clearInterval(this.#committer);
      if (this.#stop.signal.aborted) await this.#commit().catch(() => {});
      this.#stream = undefined;
      this.#consumer = undefined;
      // With an instance id the group keeps our partitions for us; leaving would give them away.
      await consumer.close(true).catch(() => {});
      await joints?.close();
    }
  }

  async #openJoints(base: BaseOptions): Promise<JointReader | undefined> {
    const { stitch_topic: topic, stitch_lookback: lookbackMs } = this.#config.traces;
    if (topic === "" || !this.#settings.signals.has("traces")) return undefined;
    const { group_id: groupId, max_fetch_wait: fetchWaitMs } = this.#config;
    const onRecord = ({ value }: Message): void => {
      if (!this.#stop.signal.aborted) this.#emit("traces", value, undefined);
    };
    const options = { base, groupId, topic, lookbackMs, fetchWaitMs, onRecord };
    return await JointReader.open(options, this.#stop.signal);
  }

  #take(message: Message): void {
    if (this.#stop.signal.aborted) return;
    const signal = this.#signals.get(message.topic);
    if (signal === undefined) return;
    const key = `${message.topic}:${message.partition}`;
    let progress = this.#progress.get(key);
    if (progress === undefined) {
      progress = new PartitionProgress();
      this.#progress.set(key, progress);
    }
    if (!progress.begin(message.offset)) return;
    progress.leaderEpoch = message.leaderEpoch;
    const own = progress;
    const done = (): void => own.end(message.offset);
    if (this.#config.message_marking.after) this.#emit(signal, message.value, done);
    else {
      this.#emit(signal, message.value, undefined);
      done();
    }
  }

  /** `done` is called when the pipeline is done with the record. */
  #emit(
    signal: OtlpSignal,
    value: Buffer | null | undefined,
    done: (() => void) | undefined,
  ): void {
    const bytes = this.#decode(signal, value);
    const items = bytes === undefined ? 0 : validateRequest(signal, bytes);
    if (items < 0) this.#malformed.add(1);
    if (bytes === undefined || items <= 0) {
      done?.();
      return;
    }
    const batch = { signal, chunks: [bytes], items, bytes: bytes.length, transport: "kafka" };
    if (done === undefined) {
      this.#outputs[signal].next(batch);
      return;
    }
    this.#inFlight++;
    this.#inFlightBytes += bytes.length;
    this.#hand({ ...batch, isReplayable: true }, (isThrough) => {
      if (isThrough) done();
      this.#inFlightBytes -= bytes.length;
      if (--this.#inFlight === 0) this.#onSettled?.();
      this.#throttle();
    });
    this.#throttle();
  }

  /** `settled` is told whether the record counts as read; else a restart reads it again. */
  #hand(batch: OtlpBatch, settled: (isThrough: boolean) => void): void {
    const receipt = createReceipt((outcome: Outcome) => {
      const isLater = outcome.kind === "refused" && outcome.retryable;
      if (!isLater || this.#config.message_marking.on_error) settled(true);
      else void this.#handLater(batch, settled);
    });
    this.#outputs[batch.signal].next({ ...batch, receipt });
  }

  async #handLater(batch: OtlpBatch, settled: (isThrough: boolean) => void): Promise<void> {
    await pause(RETRY_MS, this.#stop.signal);
    if (this.#stop.signal.aborted) settled(false);
    else this.#hand(batch, settled);
  }

  #decode(signal: OtlpSignal, value: Buffer | null | undefined): Uint8Array | undefined {
    if (value === null || value === undefined) return undefined;
    if (this.#config[signal].encoding === "otlp_proto") {
      return new Uint8Array(value.buffer, value.byteOffset, value.length);
    }
    const result = fromOtlpJson(REQUESTS[signal].request, value.toString());
    if (result.ok) return result.bytes;
    this.#malformed.add(1);
    return undefined;
  }

  #throttle(): void {
    const { max_in_flight_mib: mib } = this.#config;
    const mayRead = this.#isOpen && this.#inFlightBytes < mib * MIB;
    const stream = this.#stream;
    if (stream === undefined) return;
    if (!mayRead) stream.pause();
    else if (stream.isPaused()) stream.resume();
  }

  /** Partitions that went to others begin anew when they come back. */
  #forgetLost(consumer: Consumer): void {
    const own = new Set(
      (consumer.assignments ?? []).flatMap(({ topic, partitions }) =>
        partitions.map((partition) => `${topic}:${partition}`),
      ),
    );
    for (const key of [...this.#progress.keys()]) if (!own.has(key)) this.#progress.delete(key);
  }

  #keepCommitting(): void {
    const { enable, interval } = this.#config.autocommit;
    if (!enable) return;
    this.#committer = setInterval(() => {
      this.#commit().catch((error) => {
        const fields = { error: kafkaReason(error) };
        this.#log.write("warn", "Kafka does not take how far we are. Will try again.", fields);
      });
    }, interval);
  }

  async #commit(): Promise<void> {
    const consumer = this.#consumer;
    if (consumer === undefined || !this.#config.autocommit.enable) return;
    const told: (() => void)[] = [];
    const offsets = [...this.#progress].flatMap(([key, progress]) => {
      const offset = progress.next;
      if (offset === undefined) return [];
      told.push(() => progress.told(offset));
      const colon = key.lastIndexOf(":");
      const [topic, partition] = [key.slice(0, colon), Number(key.slice(colon + 1))];
      return [{ topic, partition, offset, leaderEpoch: progress.leaderEpoch }];
    });
    if (offsets.length === 0) return;
    await consumer.commit({ offsets });
    for (const tell of told) tell();
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    const end = (): void => {
      clearTimeout(timer);
      resolve();
    };
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
  });
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
