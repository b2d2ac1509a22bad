// SPDX-License-Identifier: Apache-2.0
import { type DataRecord, type Detection, type Protocol, RECEIVED } from "../model/protocol.ts";
import { detectTls } from "./tls-bytes.ts";

/** Bytes from the start of a message that are looked at. */
const HEAD_BYTES_MAX = 1024;

type Detect = (bytes: Uint8Array, start: number, end: number) => Detection;

/** What one protocol said to the messages so far; a bit for each direction. */
interface Candidate {
  readonly found: Protocol | "tls";
  readonly detect: Detect;
  readonly onItsPort: boolean;
  yes: number;
  weak: number;
  no: number;
}

interface Ports {
  readonly localPort: number;
  readonly remotePort: number;
  readonly transport: "tcp" | "udp";
}

/** Asks all protocols about the first bytes of each message, and compares what they say. */
export class DetectionTally {
  readonly #candidates: readonly Candidate[];
  readonly #isUdp: boolean;
  /** Directions in which the first bytes of a message were seen. */
  #seen = 0;
  /** Directions whose first record was not the first of the stream. */
  #midStream = 0;
  #last = -1;
  /** The beginning of the message at hand, as far as it came without a gap. */
  #head = new Uint8Array(0);
  #headEnd = -1;

  constructor(protocols: readonly Protocol[], ports: Ports) {
    this.#isUdp = ports.transport === "udp";
    const candidates: Candidate[] = [];
    for (const protocol of protocols) {
      const variant = this.#isUdp ? protocol.datagrams : protocol;
      if (variant === undefined) continue;
      const detect: Detect = (bytes, start, end) => variant.detect(bytes, start, end);
      candidates.push(candidateOf(protocol, detect, isOnPort(protocol, ports)));
    }
    if (!this.#isUdp) candidates.push(candidateOf("tls", detectTls, false));
    this.#candidates = candidates;
  }

  /** True when the record starts a message: its direction is another than the last one's. */
  add(record: DataRecord): boolean {
    const { direction, bytes, start, captured } = record;
    const turned = this.#isUdp || direction !== this.#last;
    const bit = direction === RECEIVED ? 1 : 2;
    const end = record.position + captured;
    if ((this.#seen & bit) === 0 && record.position > 0) this.#midStream |= bit;
    this.#last = direction;
    if (turned) {
      this.#head = new Uint8Array(0);
      this.#headEnd = captured === record.length ? end : -1;
      const until = start + Math.min(captured, HEAD_BYTES_MAX);
      this.#ask(bit, bytes, start, until);
      // Copied only if the message may go on in the next record.
      if (this.#headEnd >= 0) this.#head = bytes.slice(start, until);
      return true;
    }
    // In mid-stream each record of a one-way flow may be a message; what goes on is none.
    if ((this.#midStream & bit) !== 0) {
      this.#ask(bit, bytes, start, start + Math.min(captured, HEAD_BYTES_MAX), true);
    }
    if (this.#headEnd !== record.position || this.#head.length >= HEAD_BYTES_MAX) return false;
    const head = new Uint8Array(Math.min(this.#head.length + captured, HEAD_BYTES_MAX));
    head.set(this.#head);
    head.set(bytes.subarray(start, start + head.length - this.#head.length), this.#head.length);
    this.#head = head;
    this.#headEnd = captured === record.length ? end : -1;
    this.#ask(bit, head, 0, head.length);
    return false;
  }

  /**
   * The protocol, if one stands out. Equals wait for the other direction's first message, unless
   * `isFinal`: nothing more will come.
   */
  choose(isFinal: boolean): Protocol | "tls" | undefined {
    let best: Candidate | undefined;
    let bestRank = 0;
    let isTie = false;
    for (const candidate of this.#candidates) {
      const rank = rankOf(candidate);
      if (rank > bestRank) {
        best = candidate;
        bestRank = rank;
        isTie = false;
      } else if (rank === bestRank && rank > 0) isTie = true;
    }
    return isTie && !isFinal && this.#seen !== 3 ? undefined : best?.found;
  }

  #ask(bit: number, bytes: Uint8Array, start: number, end: number, onlySure = false): void {
    this.#seen |= bit;
    for (const candidate of this.#candidates) {
      const said = candidate.detect(bytes, start, end);
      if (onlySure && said !== "yes") continue;
      if (said === "yes") candidate.yes |= bit;
      else if (said === "weak") candidate.weak |= bit;
      else if (said === "no") candidate.no |= bit;
    }
  }
}

function candidateOf(found: Protocol | "tls", detect: Detect, onItsPort: boolean): Candidate {
  return { found, detect, onItsPort, yes: 0, weak: 0, no: 0 };
}

function isOnPort(protocol: Protocol, { localPort, remotePort }: Ports): boolean {
  const ports = protocol.ports ?? [];
  return ports.includes(localPort) || ports.includes(remotePort);
}

/**
 * 0: out of the question. Sure beats weak; then sure in both directions, then the port, then that
 * nothing speaks against it. Of equals the registry's first is taken.
 */
function rankOf({ yes, weak, no, onItsPort }: Candidate): number {
  if (yes === 0 && (weak === 0 || !onItsPort)) return 0;
  const sure = yes === 0 ? 0 : yes === 3 ? 32 : 16;
  const agreeing = (yes | weak) === 3 ? 4 : 0;
  return 1 + sure + (onItsPort ? 8 : 0) + agreeing + (no === 0 ? 2 : 0);
}
