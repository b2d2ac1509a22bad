// SPDX-License-Identifier: Apache-2.0
import { type Observable, Subject } from "rxjs";
import type { Host, Receiver, ReceiverSettings } from "../../src/component/component.ts";
import { messageOf } from "../../src/component/errors.ts";
import type { Batch, Signal } from "../../src/model/batch.ts";
import type { ParserOptions } from "../../src/model/protocol.ts";
import { DemandGate } from "../../src/pipeline/demand-gate.ts";
import { withCustomProtocols } from "../../src/protocols/custom/protocol.ts";
import { DurationMetrics } from "../../src/spans/duration-metrics.ts";
import { EpochClock } from "../../src/spans/epoch-clock.ts";
import { ResourceBatcher } from "../../src/spans/resource-batcher.ts";
import { SpanEncoder } from "../../src/spans/span-encoder.ts";
import { Account } from "./account.ts";
import { type CaptureSource, createReader, fileSources, piecesOf } from "./capture-files.ts";
import { NONE, type PcapConfig } from "./config.ts";
import type { ConnectionContext } from "./connection.ts";
import { Dissector } from "./dissector.ts";
import { LiveSource } from "./live-source.ts";
import { CaptureClock, CaptureFormatError, type PacketReader } from "./packet.ts";
import { ServerSides } from "./server-side.ts";
import { Services } from "./services.ts";
import { SpanOutput } from "./span-output.ts";
import { createStreamCounts } from "./tcp-streams.ts";

const NS_PER_MS = 1e6;
const SCOPE = "backstitch/pcap";

/** Reads captures from their first packet to the last, and completes. */
export class PcapReceiver implements Receiver {
  readonly #settings: ReceiverSettings;
  readonly #config: PcapConfig;
  readonly #traces = new Subject<Batch>();
  readonly #metrics = new Subject<Batch>();
  readonly #stopping = new AbortController();
  #reading: Reading | undefined;
  #done: Promise<void> | undefined;

  constructor(settings: ReceiverSettings, config: PcapConfig) {
    this.#settings = settings;
    this.#config = config;
  }

  output(signal: Signal): Observable<Batch> {
    return signal === "metrics" ? this.#metrics : this.#traces;
  }

  async start(host: Host): Promise<void> {
    const sources = sourcesOf(this.#config);
    for (const source of sources) await source.prepare();
    const reading = new Reading({
      settings: this.#settings,
      config: this.#config,
      sources,
      stopping: this.#stopping.signal,
      emit: (batch) => (batch.signal === "metrics" ? this.#metrics : this.#traces).next(batch),
    });
    this.#reading = reading;
    this.#done = reading.run().then(
      () => this.#complete(),
      (error: unknown) => host.fatal(this.#settings.id, error),
    );
  }

  async shutdown(_signal: AbortSignal): Promise<void> {
    this.#stopping.abort();
    await this.#done;
    this.#reading?.close();
    this.#complete();
  }

  #complete(): void {
    this.#traces.complete();
    this.#metrics.complete();
  }
}

function sourcesOf({ path, interface: device, filter }: PcapConfig): readonly CaptureSource[] {
  const live = device === "" ? [] : [new LiveSource(device, filter)];
  return [...fileSources(path), ...live];
}

interface ReadingOptions {
  readonly settings: ReceiverSettings;
  readonly config: PcapConfig;
  readonly sources: readonly CaptureSource[];
  readonly stopping: AbortSignal;
  readonly emit: (batch: Batch) => void;
}

/** All files of one run, one after the other, as one capture. */
class Reading {
  readonly #options: ReadingOptions;
  readonly #account: Account;
  readonly #epochClock = new EpochClock(0n);
  readonly #captureClock = new CaptureClock((offsetNs) => this.#epochClock.set(offsetNs));
  readonly #output: SpanOutput;
  readonly #counts = createStreamCounts();
  readonly #dissector: Dissector;
  readonly #gate: DemandGate;

  constructor(options: ReadingOptions) {
    const { settings, config } = options;
    const { telemetry } = settings;
    this.#options = options;
    this.#account = new Account(telemetry, settings.id);
    this.#output = this.#createOutput();
    const services = new Services(config.services);
    const { custom } = config.protocols;
    const described = custom.flatMap(({ name, ports }) =>
      ports.map((port) => [`${port}`, name] as const),
    );
    const rules = [...described, ...Object.entries(config.protocols.ports)];
    const ignored = rules.filter(([, name]) => name === NONE).map(([port]) => Number(port));
    const portProtocols = new Map(rules.map(([port, name]) => [Number(port), name]));
    const context: ConnectionContext = {
      account: this.#account,
      services,
      parserOptions: perService(config),
      write: this.#output.write,
      onFailure: (error) => this.#report(error),
      unansweredAfterNs: config.unanswered_after * NS_PER_MS,
      perspectives: config.perspective === "both" ? ["client", "server"] : [config.perspective],
      limits: {
        reorderWaitNs: config.reorder_wait * NS_PER_MS,
        heldBytesMax: config.reassembly_bytes_max,
      },
      counts: this.#counts,
      protocolOf: (server, client) => portProtocols.get(server) ?? portProtocols.get(client),
      disabledProtocols: config.protocols.disabled,
      protocols: withCustomProtocols(custom),
    };
    this.#dissector = new Dissector({
      account: this.#account,
      context,
      servers: new ServerSides([...portProtocols.keys(), ...namedPorts(config.services)]),
      ignoredPorts: new Set(ignored),
      connectionsMax: config.max_connections,
      idleTimeoutNs: config.idle_timeout * NS_PER_MS,
    });
    const { fragments } = this.#dissector.decoder;
    this.#account.publish(this.#counts, fragments, () => this.#dissector.connections);
    this.#gate = new DemandGate(settings.demand, options.stopping);
  }

  async run(): Promise<void> {
    const { sources, stopping, settings } = this.#options;
    const { logger } = settings.telemetry;
    try {
      for (const source of sources) {
        logger.info("Reading a capture", { path: source.name });
        await this.#read(source);
      }
      this.#dissector.end();
      this.#output.flush(this.#dissector.nowNs);
    } finally {
      this.#gate.close();
    }
    const summary = this.#account.summary(this.#counts);
    logger.info(stopping.aborted ? "Reading was stopped" : "All captures are read", summary);
  }

  /** The counts stay until here, for an agent that goes on with other receivers. */
  close(): void {
    this.#account.close();
  }

  async #read(source: CaptureSource): Promise<void> {
    const { stopping } = this.#options;
    let reader: PacketReader | undefined;
    try {
      for await (const piece of piecesOf(source.open(stopping))) {
        reader ??= createReader(piece, this.#captureClock, this.#dissector.onPacket);
        if (reader === undefined) throw new CaptureFormatError("neither pcap nor pcapng");
        reader.push(piece);
        this.#output.flush();
        await this.#gate.turn();
        if (stopping.aborted) return;
      }
      if (reader?.pendingBytes !== 0) this.#damaged(source.name, "it ends within a packet");
    } catch (error) {
      if (!stopping.aborted) this.#damaged(source.name, messageOf(error));
    }
  }

  /** What was read until there counts; the rest cannot be found again. */
  #damaged(path: string, what: string): void {
    this.#account.filesDamaged.add(1);
    const { logger } = this.#options.settings.telemetry;
    logger.warn("A capture is damaged or cut; it was read up to there", { path, error: what });
  }

  #createOutput(): SpanOutput {
    const { settings, emit } = this.#options;
    const { version } = settings.buildInfo;
    const clock = this.#epochClock;
    const batcher = new ResourceBatcher({ version, scope: SCOPE });
    return new SpanOutput({
      encoder: settings.signals.has("traces") ? new SpanEncoder({ clock, batcher }) : undefined,
      metrics: settings.signals.has("metrics")
        ? new DurationMetrics({ version, scope: SCOPE, clock, seriesMax: SERIES_MAX })
        : undefined,
      batcher,
      arePeersObserved: this.#options.config.perspective === "both",
      emit,
    });
  }

  #report(error: unknown): void {
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#options.settings.telemetry.logger.error("A parser failed", { error: message });
  }
}

/** Combinations of method, route, status and so on, a service and instrument. */
const SERIES_MAX = 2000;
/** Services whose routes are bounded one by one; further ones share a bound. */
const SERVICES_MAX = 1024;

function perService(config: PcapConfig): (service: string) => ParserOptions {
  const made = new Map<string, ParserOptions>();
  return (service) => {
    const name = made.size < SERVICES_MAX || made.has(service) ? service : "";
    let options = made.get(name);
    if (options === undefined) {
      options = {
        headBytesMax: config.head_bytes_max,
        pipelinedMax: config.pipelined_max,
        urlQuery: config.url_query,
        requestHeaders: config.request_headers,
        responseHeaders: config.response_headers,
        routesMax: config.routes_max,
        rawStatements: config.raw_statements,
      };
      made.set(name, options);
    }
    return options;
  };
}

/** Ports of `address:port` names: somebody serves there. */
function namedPorts(services: PcapConfig["services"]): readonly number[] {
  return Object.keys(services).flatMap((name) => {
    const port = /^(?:[^:]+|\[.*\]):(\d+)$/.exec(name)?.[1];
    return port === undefined ? [] : [Number(port)];
  });
}
