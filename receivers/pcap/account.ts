// SPDX-License-Identifier: Apache-2.0
import type { Counter, Telemetry } from "../../src/component/telemetry.ts";
import type { LossReason } from "../../src/model/protocol.ts";
import type { FragmentTable } from "./fragments.ts";
import type { Refusal } from "./frame-decoder.ts";
import type { StreamCounts } from "./tcp-streams.ts";

const PREFIX = "backstitch_pcap_";

/** Counters of one name, by the value of one label. */
class Family {
  readonly #make: (label: string) => Counter;
  readonly #byLabel = new Map<string, Counter>();

  constructor(make: (label: string) => Counter) {
    this.#make = make;
  }

  add(label: string, count: number): void {
    let counter = this.#byLabel.get(label);
    if (counter === undefined) {
      counter = this.#make(label);
      this.#byLabel.set(label, counter);
    }
    counter.add(count);
  }

  /** `a 3, b 1`, the largest first. */
  text(): string {
    return [...this.#byLabel]
      .toSorted(([, a], [, b]) => b.value - a.value)
      .map(([label, { value }]) => `${label} ${value}`)
      .join(", ");
  }
}

/** The receiver's own counts, and the summary that is logged at the end. */
export class Account {
  readonly #telemetry: Telemetry;
  readonly #receiver: string;
  readonly #removers: (() => void)[] = [];
  readonly packets: Counter;
  readonly bytes: Counter;
  readonly exchangesStarted: Counter;
  readonly parserFailures: Counter;
  readonly filesDamaged: Counter;
  readonly connectionsEvicted: Counter;
  readonly #skipped: Family;
  readonly #connections: Family;
  readonly #completed: Family;
  readonly #abandoned: Family;
  readonly #unpaired: Family;
  #exchanges = 0;
  #connectionCount = 0;

  constructor(telemetry: Telemetry, receiver: string) {
    this.#telemetry = telemetry;
    this.#receiver = receiver;
    this.packets = this.#counter("packets", "{packet}", "Packets read.");
    this.bytes = this.#counter("bytes", "By", "Captured bytes of these packets.");
    this.exchangesStarted = this.#counter(
      "exchanges_started",
      "{exchange}",
      "Requests that began.",
    );
    this.parserFailures = this.#counter(
      "parser_failures",
      "{connection}",
      "Connections whose parser failed: a fault of ours.",
    );
    this.filesDamaged = this.#counter(
      "files_damaged",
      "{file}",
      "Files that end within a packet or hold what their format does not allow.",
    );
    this.connectionsEvicted = this.#counter(
      "connections_evicted",
      "{connection}",
      "Connections ended early: the table was full.",
    );
    this.#skipped = this.#family("packets_skipped", "{packet}", "reason", "Packets without data.");
    this.#connections = this.#family(
      "connections",
      "{connection}",
      "protocol",
      "Connections that ended, by what they were found to speak.",
    );
    this.#completed = this.#family(
      "exchanges_completed",
      "{exchange}",
      "protocol",
      "Exchanges that became a span or a measurement.",
    );
    this.#abandoned = this.#family(
      "exchanges_abandoned",
      "{exchange}",
      "reason",
      "Exchanges that were given up.",
    );
    this.#unpaired = this.#family(
      "unpaired",
      "{message}",
      "reason",
      "Bytes or messages that belong to no exchange.",
    );
  }

  skipped(reason: Refusal | "no_connection" | "ignored_port"): void {
    this.#skipped.add(reason, 1);
  }

  connection(protocol: string): void {
    this.#connectionCount++;
    this.#connections.add(protocol, 1);
  }

  completed(protocol: string): void {
    this.#exchanges++;
    this.#completed.add(protocol, 1);
  }

  abandoned(reason: LossReason | "capture_end", count: number): void {
    this.#abandoned.add(reason, count);
  }

  unpaired(reason: LossReason): void {
    this.#unpaired.add(reason, 1);
  }

  /** Publishes what others count, until `close`. */
  publish(streams: StreamCounts, fragments: FragmentTable, connections: () => number): void {
    const observe = (name: string, unit: string, text: string, read: () => number): void => {
      const options = { unit, description: text };
      const labels = { receiver: this.#receiver };
      const remove = this.#telemetry.observedCounter(`${PREFIX}${name}`, options, read, labels);
      this.#removers.push(remove);
    };
    observe("repeated_bytes", "By", "Payload that was there before.", () => streams.repeatedBytes);
    observe(
      "reordered_segments",
      "{packet}",
      "Segments that waited for earlier ones.",
      () => streams.reorderedSegments,
    );
    observe("gaps", "{gap}", "Holes in the streams that nothing filled.", () => streams.gaps);
    observe("gap_bytes", "By", "Bytes that these holes have.", () => streams.gapBytes);
    observe(
      "segments_out_of_window",
      "{packet}",
      "Segments whose sequence number cannot be of their connection.",
      () => streams.outOfWindow,
    );
    observe(
      "fragments_dropped",
      "{packet}",
      "IP fragments that never became a datagram.",
      () => fragments.dropped,
    );
    const gauge = (name: string, unit: string, text: string, read: () => number): void => {
      const options = { unit, description: text };
      const labels = { receiver: this.#receiver };
      this.#removers.push(this.#telemetry.gauge(`${PREFIX}${name}`, options, read, labels));
    };
    gauge(
      "connections_tracked",
      "{connection}",
      "Connections and UDP flows in memory.",
      connections,
    );
    gauge("held_bytes", "By", "Payload that waits for earlier bytes.", () => streams.heldBytes);
  }

  close(): void {
    for (const remove of this.#removers) remove();
    this.#removers.length = 0;
  }

  /** For the log line at the end. */
  summary(streams: StreamCounts): Readonly<Record<string, string | number>> {
    return {
      packets: this.packets.value,
      bytes: this.bytes.value,
      connections: this.#connectionCount,
      exchanges: this.#exchanges,
      by_protocol: this.#completed.text(),
      connections_by_protocol: this.#connections.text(),
      packets_skipped: this.#skipped.text(),
      exchanges_abandoned: this.#abandoned.text(),
      unpaired: this.#unpaired.text(),
      gap_bytes: streams.gapBytes,
      repeated_bytes: streams.repeatedBytes,
    };
  }

  #counter(name: string, unit: string, description: string): Counter {
    const labels = { receiver: this.#receiver };
    return this.#telemetry.counter(`${PREFIX}${name}`, { unit, description }, labels);
  }

  #family(name: string, unit: string, label: string, description: string): Family {
    return new Family((value) => {
      const labels = { receiver: this.#receiver, [label]: value };
      return this.#telemetry.counter(`${PREFIX}${name}`, { unit, description }, labels);
    });
  }
}
