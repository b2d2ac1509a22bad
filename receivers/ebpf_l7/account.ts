// SPDX-License-Identifier: Apache-2.0
import { DROP_REASONS, NO_PAYLOAD_REASONS } from "../../bpf/generated/codes.ts";
import type { Counter, Telemetry } from "../../src/component/telemetry.ts";
import type { LossReason } from "../../src/model/protocol.ts";
import type { CaptureCounts, CaptureSource } from "./kernel-side.ts";

/** Why an exchange that began gave no span. */
export type AbandonReason = LossReason | "shed" | "evicted" | "no_process" | "shutdown";

const PREFIX = "backstitch_ebpf_l7_";
/** Reading the kernel's counts costs a little: once for all metrics of one collection. */
const COUNTS_MAX_AGE_MS = 200;

export interface AccountGauges {
  readonly connections: () => number;
  readonly exchangesOpen: () => number;
  readonly oldestRecordAgeSeconds: () => number;
  readonly shedPerMille: () => number;
  /** Processes whose TLS libraries are watched, and the places of all of them. */
  readonly tls?: { readonly processes: number; readonly probes: number } | undefined;
}

/** The receiver's own counts. The sums that must hold are in this folder's README. */
export class Account {
  readonly #telemetry: Telemetry;
  readonly #abandoned = new Map<string, Counter>();
  readonly #unpaired = new Map<string, Counter>();
  readonly #opaque = new Map<string, Counter>();
  readonly #detected = new Map<string, Counter>();
  readonly #removers: (() => void)[] = [];
  readonly recordsRead: Counter;
  readonly recordsUnknownConnection: Counter;
  readonly exchangesStarted: Counter;
  readonly exchangesCompleted: Counter;
  readonly connectionsOpened: Counter;
  readonly connectionsClosed: Counter;
  readonly connectionsEvicted: Counter;
  readonly drainFailures: Counter;

  constructor(telemetry: Telemetry) {
    this.#telemetry = telemetry;
    const counter = (name: string, unit: string, description: string): Counter =>
      telemetry.counter(`${PREFIX}${name}`, { unit, description });
    this.recordsRead = counter("records_read", "{record}", "Data records read from the ring.");
    this.recordsUnknownConnection = counter(
      "records_unknown_connection",
      "{record}",
      "Data records of connections that were forgotten; the kernel announces them again.",
    );
    this.exchangesStarted = counter("exchanges_started", "{exchange}", "Requests that began.");
    this.exchangesCompleted = counter(
      "exchanges_completed",
      "{exchange}",
      "Exchanges that became a span or a measurement.",
    );
    this.connectionsOpened = counter("connections_opened", "{connection}", "Connections met.");
    this.connectionsClosed = counter("connections_closed", "{connection}", "Connections ended.");
    this.connectionsEvicted = counter(
      "connections_evicted",
      "{connection}",
      "Connections forgotten: idle, or the table was full.",
    );
    this.drainFailures = counter(
      "record_failures",
      "{record}",
      "Records whose parser failed: a fault of ours. The connection is read anew.",
    );
  }

  abandoned(reason: AbandonReason, count: number): void {
    this.#byReason(this.#abandoned, "exchanges_abandoned", reason).add(count);
  }

  unpaired(reason: LossReason): void {
    this.#byReason(this.#unpaired, "unpaired", reason).add(1);
  }

  /** A connection whose bytes cannot be read. `service`: a bounded number of names. */
  opaque(reason: "tls", service: string): void {
    const labels = { reason, service };
    const description = "Connections that cannot be read, by the service of their process.";
    this.#labelled(this.#opaque, "connections_opaque", description, labels).add(1);
  }

  /** `protocol`: a name, or `unknown` for what is nothing we know. */
  detected(protocol: string): void {
    const description = "Connections whose protocol user space decided.";
    this.#labelled(this.#detected, "connections_detected", description, { protocol }).add(1);
  }

  /** Publishes the kernel's counts and the gauges until `close`. */
  publish(source: CaptureSource, gauges: AccountGauges): void {
    let counts = source.counts();
    let readAtMs = performance.now();
    const current = (): CaptureCounts => {
      if (performance.now() - readAtMs > COUNTS_MAX_AGE_MS) {
        counts = source.counts();
        readAtMs = performance.now();
      }
      return counts;
    };
    this.#observe(
      "records_seen",
      "{call}",
      "Sends and receives of watched threads.",
      () => current().seen,
    );
    this.#observe(
      "records_captured",
      "{call}",
      "Of these, those written into the ring.",
      () => current().captured,
    );
    this.#observe(
      "records_added",
      "{record}",
      "Data records besides these: marks of shed connections.",
      () => current().markers,
    );
    this.#observe("bytes_seen", "By", "Bytes that these calls moved.", () => current().bytesSeen);
    this.#observe(
      "bytes_captured",
      "By",
      "Payload bytes copied into the ring.",
      () => current().bytesCaptured,
    );
    this.#observe(
      "closes_lost",
      "{record}",
      "Ends of connections lost: ring full.",
      () => current().closesLost,
    );
    for (const [index, reason] of DROP_REASONS.entries()) {
      const read = (): number => current().dropped[index] ?? 0;
      this.#observe("records_dropped", "{call}", "Calls not written.", read, { reason });
    }
    for (const [index, reason] of NO_PAYLOAD_REASONS.entries()) {
      const read = (): number => current().noPayload[index] ?? 0;
      this.#observe("records_without_payload", "{call}", "Written without bytes.", read, {
        reason,
      });
    }
    this.#gauge("ring_used_bytes", "By", "Bytes waiting in the ring.", () => source.pendingBytes());
    this.#gauge("connections", "{connection}", "Connections followed.", gauges.connections);
    this.#gauge("exchanges_open", "{exchange}", "Requests waiting.", gauges.exchangesOpen);
    this.#gauge(
      "oldest_record_age_seconds",
      "s",
      "Age of the oldest record at the last reading of the ring.",
      gauges.oldestRecordAgeSeconds,
    );
    this.#gauge(
      "shed_ratio",
      "1",
      "Share of connections that are not captured because of overload.",
      () => gauges.shedPerMille() / 1000,
    );
    this.#publishTls(gauges.tls);
  }

  #publishTls(tls: AccountGauges["tls"]): void {
    if (tls === undefined) return;
    this.#gauge("tls_processes", "{process}", "Processes whose TLS is read.", () => tls.processes);
    this.#gauge("tls_probes", "{probe}", "Breakpoints in TLS libraries.", () => tls.probes);
  }

  close(): void {
    for (const remove of this.#removers) remove();
    this.#removers.length = 0;
  }

  #labelled(
    counters: Map<string, Counter>,
    name: string,
    description: string,
    labels: Readonly<Record<string, string>>,
  ): Counter {
    const key = Object.values(labels).join("\n");
    let counter = counters.get(key);
    if (counter === undefined) {
      const options = { unit: "{connection}", description };
      counter = this.#telemetry.counter(`${PREFIX}${name}`, options, labels);
      counters.set(key, counter);
    }
    return counter;
  }

  #byReason(counters: Map<string, Counter>, name: string, reason: string): Counter {
    let counter = counters.get(reason);
    if (counter === undefined) {
      const description =
        name === "unpaired"
          ? "Bytes or messages that belong to no exchange."
          : "Exchanges that were given up.";
      const options = { unit: "{exchange}", description };
      counter = this.#telemetry.counter(`${PREFIX}${name}`, options, { reason });
      counters.set(reason, counter);
    }
    return counter;
  }

  #observe(
    name: string,
    unit: string,
    description: string,
    read: () => number,
    labels?: Readonly<Record<string, string>>,
  ): void {
    this.#removers.push(
      this.#telemetry.observedCounter(`${PREFIX}${name}`, { unit, description }, read, labels),
    );
  }

  #gauge(name: string, unit: string, description: string, read: () => number): void {
    this.#removers.push(this.#telemetry.gauge(`${PREFIX}${name}`, { unit, description }, read));
  }
}
