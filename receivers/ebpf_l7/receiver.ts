// SPDX-License-Identifier: Apache-2.0
import type { OnRecord } from "libbpf-ts";
import { type Observable, Subject, type Subscription } from "rxjs";
import type { RefusedProbe } from "../../src/component/agent-view.ts";
import type { Extension, Host, Receiver, ReceiverSettings } from "../../src/component/component.ts";
import { AgentError } from "../../src/component/errors.ts";
import type { Batch, Signal } from "../../src/model/batch.ts";
import type {
  ProcessSelection,
  SelectedProcess,
  SelectionChange,
} from "../../src/model/process.ts";
import { protocolByWire } from "../../src/protocols/registry.ts";
import { DurationMetrics } from "../../src/spans/duration-metrics.ts";
import { EpochClock } from "../../src/spans/epoch-clock.ts";
import { ResourceBatcher } from "../../src/spans/resource-batcher.ts";
import { SpanEncoder } from "../../src/spans/span-encoder.ts";
import { Account } from "./account.ts";
import { isOffsetCurrent, measureOffset, SYSTEM_CLOCKS } from "./clock-offset.ts";
import type { EbpfL7Config } from "./config.ts";
import { ConnectionTable } from "./connection-table.ts";
import { DataCursor } from "./decode.ts";
import { DrainLoop } from "./drain-loop.ts";
import { isEventLoop } from "./event-loop.ts";
import { SignalOutput } from "./exchange-output.ts";
import { ExchangeTracker } from "./exchange-tracker.ts";
import { BpfCapture, type CaptureSource, type TlsWatcher } from "./kernel-side.ts";
import { OpaqueSpans } from "./opaque-spans.ts";
import { boundedService, perService } from "./parser-options.ts";
import { ProtocolChoice } from "./protocol-choice.ts";
import { RecordReader } from "./record-reader.ts";
import { Recorder } from "./recorder.ts";
import { Refusals } from "./refusals.ts";
import { ShedControl } from "./shed-control.ts";

const UPKEEP_INTERVAL_MS = 1000;
/** Connections looked at for idleness in one upkeep. */
const SWEEP_PER_UPKEEP = 4096;
/** A datagram that has no answer after so long has none. */
const FLOW_TIMEOUT_MS = 10_000;
const RING_FULL = 1;
/** Combinations of method, route, status and so on, a process and instrument. */
const SERIES_MAX = 2000;
const NS_PER_MS = 1e6;

export interface EbpfL7Dependencies {
  readonly capture: (config: EbpfL7Config, selection: ProcessSelection) => CaptureSource;
}

const KERNEL: EbpfL7Dependencies = {
  capture: (config, selection) => BpfCapture.load(config, selection.selectionMap),
};

/** What watched processes send and receive, as spans and measurements. */
export class EbpfL7Receiver implements Receiver {
  readonly #settings: ReceiverSettings;
  readonly #config: EbpfL7Config;
  readonly #dependencies: EbpfL7Dependencies;
  readonly #traces = new Subject<Batch>();
  readonly #metrics = new Subject<Batch>();
  #running: Running | undefined;

  constructor(
    settings: ReceiverSettings,
    config: EbpfL7Config,
    dependencies: EbpfL7Dependencies = KERNEL,
  ) {
    this.#settings = settings;
    this.#config = config;
    this.#dependencies = dependencies;
  }

  output(signal: Signal): Observable<Batch> {
    return signal === "metrics" ? this.#metrics : this.#traces;
  }

  async start(host: Host): Promise<void> {
    const selection = findSelection(host.extension(this.#config.discovery), this.#config.discovery);
    const source = this.#dependencies.capture(this.#config, selection);
    this.#running = new Running({
      settings: this.#settings,
      config: this.#config,
      selection,
      source,
      emit: (batch) => (batch.signal === "metrics" ? this.#metrics : this.#traces).next(batch),
    });
    this.#settings.telemetry.logger.info("Capture attached", {
      hooks: source.hooks,
      ring_size: source.ringBytes,
    });
  }

  refusedProbes(): readonly RefusedProbe[] {
    return this.#running?.refusedProbes() ?? [];
  }

  async shutdown(_signal: AbortSignal): Promise<void> {
    this.#running?.stop();
    this.#running = undefined;
    this.#traces.complete();
    this.#metrics.complete();
  }
}

function findSelection(extension: Extension | undefined, id: string): ProcessSelection {
  if (extension !== undefined && isSelection(extension)) return extension;
  const what =
    extension === undefined
      ? `there is no extension "${id}"`
      : `extension "${id}" selects no processes`;
  throw new AgentError(
    "BS_START",
    `ebpf_l7: discovery: ${what}. Add it to extensions and to service::extensions.`,
  );
}

function isSelection(extension: Extension): extension is Extension & ProcessSelection {
  return "selectionMap" in extension && "process" in extension && "selected" in extension;
}

interface RunningOptions {
  readonly settings: ReceiverSettings;
  readonly config: EbpfL7Config;
  readonly selection: ProcessSelection;
  readonly source: CaptureSource;
  readonly emit: (batch: Batch) => void;
}

type RuntimeFollower = ReturnType<NonNullable<CaptureSource["followRuntimes"]>>;

/** All that lives between start and shutdown. */
class Running {
  readonly #options: RunningOptions;
  readonly #account: Account;
  readonly #clock: EpochClock;
  readonly #batcher: ResourceBatcher;
  readonly #table: ConnectionTable;
  readonly #tracker: ExchangeTracker;
  readonly #choice: ProtocolChoice;
  readonly #reader: RecordReader;
  readonly #loop: DrainLoop;
  readonly #shed = new ShedControl();
  readonly #upkeep: NodeJS.Timeout;
  readonly #demand: Subscription;
  readonly #metrics: DurationMetrics | undefined;
  readonly #collector: NodeJS.Timeout | undefined;
  readonly #changes: Subscription;
  readonly #runtimes: RuntimeFollower | undefined;
  readonly #tls: TlsWatcher | undefined;
  readonly #runtimesRefused: Refusals;
  readonly #tlsRefused: Refusals;
  /** Processes that ended since the last collection of metrics. */
  readonly #deselected = new Set<SelectedProcess>();
  readonly #recorder: Recorder | undefined;
  readonly #onRecord: OnRecord;
  #offsetNs = measureOffset(SYSTEM_CLOCKS);
  #oldestAgeMs = 0;
  #isDemanded = false;
  #isUnknownMet = false;

  constructor(options: RunningOptions) {
    const { settings, config, source, selection } = options;
    this.#options = options;
    this.#recorder = this.#startRecorder();
    this.#account = new Account(settings.telemetry);
    this.#clock = new EpochClock(this.#offsetNs);
    this.#batcher = new ResourceBatcher({ version: settings.buildInfo.version });
    this.#table = new ConnectionTable(config.max_connections);
    const { version } = settings.buildInfo;
    if (settings.signals.has("metrics")) {
      this.#metrics = new DurationMetrics({ version, clock: this.#clock, seriesMax: SERIES_MAX });
      this.#collector = setInterval(() => this.#collect(), config.metrics_interval);
    }
    this.#runtimesRefused = new Refusals(settings.telemetry.logger, "Runtime");
    this.#tlsRefused = new Refusals(settings.telemetry.logger, "TLS");
    this.#runtimes = source.followRuntimes?.(config, this.#runtimesRefused);
    this.#tls = source.watchTls?.(config, this.#tlsRefused);
    for (const one of selection.selected()) this.#follow(one);
    this.#changes = selection.changes.subscribe((change) => this.#onChange(change));
    const cursor = new DataCursor(source.memory);
    const encoder = new SpanEncoder({
      clock: this.#clock,
      batcher: this.#batcher,
      localAddress: config.local_address,
    });
    const output = new SignalOutput({
      encoder,
      traces: settings.signals.has("traces"),
      measurements: this.#metrics,
    });
    this.#tracker = new ExchangeTracker({
      table: this.#table,
      cursor,
      selection,
      account: this.#account,
      output,
    });
    this.#choice = new ProtocolChoice({
      cursor,
      rules: config.protocols,
      parserOptions: perService(config, selection),
      protocolByWire,
      verdicts: source,
      account: this.#account,
      serviceOf: boundedService(selection),
      protocolsOf: (pid) => selection.process(pid)?.protocols,
      onTls: (pid, onOpaque) => this.#onTls(pid, onOpaque),
    });
    this.#reader = new RecordReader({
      memory: source.memory,
      cursor,
      table: this.#table,
      tracker: this.#tracker,
      events: this.#tracker,
      account: this.#account,
      choice: this.#choice,
      opaqueSpans: config.tls.opaque_spans
        ? new OpaqueSpans({ selection, output, account: this.#account })
        : undefined,
      onUnknown: () => {
        this.#isUnknownMet = true;
      },
      onFailure: (error) => this.#report(error),
    });
    this.#onRecord = this.#listener();
    this.#loop = this.#newLoop();
    this.#publish();
    this.#upkeep = setInterval(() => this.#keepUp(), UPKEEP_INTERVAL_MS);
    this.#demand = settings.demand.subscribe((isDemanded) => this.#onDemand(isDemanded));
  }

  #newLoop(): DrainLoop {
    const { config, source } = this.#options;
    return new DrainLoop({
      intervalMs: config.drain_interval,
      fillRatio: () => source.pendingBytes() / source.ringBytes,
      drain: (recordsMax) => source.drain(this.#onRecord, recordsMax),
      flush: (isTurnOver) => this.#flush(isTurnOver),
      onTurn: () => this.#reader.startDrain(),
      onFailure: (error) => this.#report(error),
    });
  }

  #onTls(pid: number, onOpaque: () => void): void {
    if (this.#runtimes?.seesTls(pid) === true) return;
    if (this.#tls === undefined) onOpaque();
    else this.#tls.meet(pid, onOpaque);
  }

  refusedProbes(): readonly RefusedProbe[] {
    const { source } = this.#options;
    return [
      ...(source.missingPrograms?.() ?? []),
      ...this.#tlsRefused.list(),
      ...this.#runtimesRefused.list(),
    ];
  }

  stop(): void {
    this.#demand.unsubscribe();
    this.#changes.unsubscribe();
    this.#loop.close();
    clearInterval(this.#upkeep);
    clearInterval(this.#collector);
    const { source } = this.#options;
    try {
      // What the kernel has written until now is still ours.
      while (source.drain(this.#onRecord, 1024) === 1024) this.#flush(false);
      this.#reader.shutdown();
      this.#flush(true);
      this.#collect();
    } catch (error) {
      this.#report(error);
    } finally {
      this.#recorder?.close();
      this.#account.close();
      source.close();
    }
  }

  /** A record is written down before anything is made of it. */
  #listener(): OnRecord {
    const recorder = this.#recorder;
    const { onRecord } = this.#reader;
    if (recorder === undefined) return onRecord;
    return (offset) => {
      recorder.add(offset);
      onRecord(offset);
    };
  }

  #startRecorder(): Recorder | undefined {
    const { settings, config, source, selection } = this.#options;
    if (config.record.path === "") return undefined;
    try {
      return new Recorder({
        config,
        selection,
        memory: source.memory,
        offsetNs: this.#offsetNs,
        version: settings.buildInfo.version,
        logger: settings.telemetry.logger,
      });
    } catch (error) {
      source.close();
      throw error;
    }
  }

  #follow(selected: SelectedProcess): void {
    if (isEventLoop(selected)) this.#options.source.watchSleeps();
    this.#runtimes?.follow(selected);
    this.#tls?.follow(selected);
  }

  #onChange({ kind, process: changed }: SelectionChange): void {
    if (kind === "selected") this.#recorder?.process(changed);
    if (kind === "selected") this.#follow(changed);
    else {
      this.#runtimes?.forget(changed);
      this.#tls?.forget(changed);
      this.#runtimesRefused.forget(changed.pid);
      this.#tlsRefused.forget(changed.pid);
    }
    if (this.#metrics === undefined) return;
    if (kind === "deselected") this.#deselected.add(changed);
    else this.#deselected.delete(changed);
  }

  #onDemand(isDemanded: boolean): void {
    this.#isDemanded = isDemanded;
    if (isDemanded) this.#loop.open();
    else this.#loop.close();
  }

  #flush(isTurnOver: boolean): void {
    if (isTurnOver && this.#reader.firstNs !== 0) {
      this.#oldestAgeMs = monotonicNowMs() - this.#reader.firstNs / NS_PER_MS;
    }
    if (!isTurnOver && !this.#batcher.full) return;
    const batch = this.#batcher.take();
    if (batch !== undefined) this.#options.emit(batch);
  }

  #collect(): void {
    const batch = this.#metrics?.collect(monotonicNowMs() * NS_PER_MS);
    if (batch !== undefined) this.#options.emit(batch);
    for (const ended of this.#deselected) this.#metrics?.forget(ended);
    this.#deselected.clear();
  }

  #keepUp(): void {
    const { source, config } = this.#options;
    if (!isOffsetCurrent(SYSTEM_CLOCKS, this.#offsetNs)) {
      this.#offsetNs = measureOffset(SYSTEM_CLOCKS);
      this.#clock.set(this.#offsetNs);
      this.#recorder?.clock(this.#offsetNs);
    }
    const ringFull = source.counts().dropped[RING_FULL] ?? 0;
    if (this.#isDemanded) {
      const before = this.#shed.perMille;
      const fillRatio = source.pendingBytes() / source.ringBytes;
      const shed = this.#shed.next({ ringFull, fillRatio });
      if (shed !== before) this.#changeShed(shed, before);
    } else {
      this.#shed.forget(ringFull);
    }
    this.#choice.keepUp();
    if (this.#isUnknownMet) {
      this.#isUnknownMet = false;
      source.announceAgain();
    }
    const nowNs = monotonicNowMs() * NS_PER_MS;
    this.#reader.sweepFlows(nowNs - FLOW_TIMEOUT_MS * NS_PER_MS, nowNs);
    const idleBeforeNs = (monotonicNowMs() - config.idle_timeout) * NS_PER_MS;
    this.#table.sweep(SWEEP_PER_UPKEEP, (connection) => {
      if (connection.lastNs !== 0 && connection.lastNs < idleBeforeNs) {
        this.#reader.evict(connection);
      }
    });
  }

  #changeShed(shed: number, before: number): void {
    this.#options.source.setShedPerMille(shed);
    const { logger } = this.#options.settings.telemetry;
    if (shed > before) {
      logger.warn("Overloaded: capturing fewer connections", { shed_per_mille: shed });
    } else {
      logger.info("Capturing more connections again", { shed_per_mille: shed });
    }
  }

  #publish(): void {
    this.#account.publish(this.#options.source, {
      connections: () => this.#table.size,
      exchangesOpen: () => this.#tracker.openCount,
      oldestRecordAgeSeconds: () => this.#oldestAgeMs / 1000,
      shedPerMille: () => this.#shed.perMille,
      tls: this.#tls,
    });
  }

  #report(error: unknown): void {
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#options.settings.telemetry.logger.error("Reading a record failed", { error: message });
  }
}

/** `performance.now()` starts with the process; records carry the clock that it is based on. */
function monotonicNowMs(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}
