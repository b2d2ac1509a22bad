// SPDX-License-Identifier: Apache-2.0

/** Datagrams in reassembly at a time; the oldest goes first. */
const DATAGRAMS_MAX = 256;
/** RFC 8200 gives 60 s, Linux 30 s. */
const AGE_MAX_NS = 30e9;
const DATAGRAM_BYTES_MAX = 65_535;
const FRAGMENTS_MAX = 1024;

interface Piece {
  readonly start: number;
  readonly end: number;
}

interface Datagram {
  readonly sinceNs: number;
  readonly pieces: Piece[];
  bytes: Uint8Array;
  /** Known when the last fragment is there, else -1. */
  length: number;
  /** Bytes that all of the pieces have together. */
  filled: number;
}

export interface Fragment {
  /** Source and destination, as in `Segment`. */
  readonly addresses: Uint32Array;
  readonly identification: number;
  readonly protocol: number;
  readonly offset: number;
  readonly isLast: boolean;
  /** Complete, not cut by the snap length. */
  readonly bytes: Uint8Array;
  readonly timeNs: number;
}

/** IP reassembly in bounded memory; of bytes that come twice the first are kept. */
export class FragmentTable {
  readonly #datagrams = new Map<string, Datagram>();
  /** Fragments that never became a datagram. */
  dropped = 0;

  /** The datagram's payload when this was its last missing piece. */
  add(fragment: Fragment): Uint8Array | undefined {
    const { offset, bytes, timeNs } = fragment;
    const end = offset + bytes.length;
    if (end > DATAGRAM_BYTES_MAX || bytes.length === 0) {
      this.dropped++;
      return undefined;
    }
    const key = keyOf(fragment);
    let datagram = this.#datagrams.get(key);
    if (datagram !== undefined && timeNs - datagram.sinceNs > AGE_MAX_NS) {
      this.#forget(key, datagram);
      datagram = undefined;
    }
    if (datagram === undefined) {
      datagram = { sinceNs: timeNs, pieces: [], bytes: new Uint8Array(end), length: -1, filled: 0 };
      this.#makeRoom();
      this.#datagrams.set(key, datagram);
    }
    if (datagram.pieces.length >= FRAGMENTS_MAX) {
      this.dropped++;
      return undefined;
    }
    if (fragment.isLast && datagram.length < 0) datagram.length = end;
    fill(datagram, offset, bytes);
    if (datagram.length < 0 || datagram.filled < datagram.length) return undefined;
    this.#datagrams.delete(key);
    return datagram.bytes.subarray(0, datagram.length);
  }

  #makeRoom(): void {
    if (this.#datagrams.size < DATAGRAMS_MAX) return;
    for (const [key, oldest] of this.#datagrams) {
      this.#forget(key, oldest);
      return;
    }
  }

  #forget(key: string, datagram: Datagram): void {
    this.dropped += datagram.pieces.length;
    this.#datagrams.delete(key);
  }
}

function keyOf({ addresses, identification, protocol }: Fragment): string {
  return `${addresses.join()},${identification},${protocol}`;
}

/** Copies what no earlier piece covers. */
function fill(datagram: Datagram, offset: number, bytes: Uint8Array): void {
  const end = offset + bytes.length;
  if (datagram.bytes.length < end) {
    const grown = new Uint8Array(Math.max(end, 2 * datagram.bytes.length));
    grown.set(datagram.bytes);
    datagram.bytes = grown;
  }
  const { pieces } = datagram;
  let from = offset;
  for (const piece of pieces.toSorted((a, b) => a.start - b.start)) {
    if (piece.end <= from) continue;
    if (piece.start >= end) break;
    if (piece.start > from) from = put(datagram, { start: from, end: piece.start }, offset, bytes);
    from = Math.max(from, piece.end);
  }
  if (from < end) put(datagram, { start: from, end }, offset, bytes);
}

function put(datagram: Datagram, piece: Piece, offset: number, bytes: Uint8Array): number {
  datagram.bytes.set(bytes.subarray(piece.start - offset, piece.end - offset), piece.start);
  datagram.pieces.push(piece);
  datagram.filled += piece.end - piece.start;
  return piece.end;
}
