// SPDX-License-Identifier: Apache-2.0

/** What one ResourceSpans with one ScopeSpans says beside its spans. Interned by its bytes. */
export interface Group {
  readonly row: number;
  /** Fields of ResourceSpans other than scope_spans, encoded. */
  readonly resource: Uint8Array;
  /** Fields of ScopeSpans other than spans, encoded. */
  readonly scope: Uint8Array;
  readonly hash: number;
  /** Held spans of it. */
  references: number;
  /** What the writer has collected: bytes of the span fields, first and last of its list. */
  spanBytes: number;
  first: number;
  last: number;
}

const IDLE_MAX = 256;

function hashOf(bytes: Uint8Array, seed: number): number {
  let hash = seed;
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ (bytes[i] ?? 0), 0x01000193);
  return hash;
}

function areEqual(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  for (let i = 0; i < one.length; i++) if (one[i] !== other[i]) return false;
  return true;
}

/**
 * Resources and scopes of held spans, each kept once however many batches bring it. Those
 * without spans are forgotten when there are more than 256 of them, so the table is bounded by
 * the spans held.
 */
export class Groups {
  readonly #rows: (Group | undefined)[] = [undefined];
  readonly #free: number[] = [];
  readonly #byHash = new Map<number, Group[]>();
  #idle = 0;

  /** Bytes are copied when the pair is new. No reference is taken. */
  intern(resource: Uint8Array, scope: Uint8Array): number {
    const hash = hashOf(scope, hashOf(resource, 0x811c9dc5));
    const known = this.#byHash.get(hash);
    for (const group of known ?? []) {
      if (areEqual(group.resource, resource) && areEqual(group.scope, scope)) return group.row;
    }
    if (this.#idle > IDLE_MAX) this.#forgetIdle();
    const row = this.#free.pop() ?? this.#rows.length;
    const group: Group = {
      row,
      resource: resource.slice(),
      scope: scope.slice(),
      hash,
      references: 0,
      spanBytes: 0,
      first: -1,
      last: -1,
    };
    this.#rows[row] = group;
    const bucket = this.#byHash.get(hash);
    if (bucket === undefined) this.#byHash.set(hash, [group]);
    else bucket.push(group);
    this.#idle++;
    return row;
  }

  get(row: number): Group {
    const group = this.#rows[row];
    if (group === undefined) throw new Error(`no group in row ${row}`);
    return group;
  }

  retain(row: number): void {
    if (this.get(row).references++ === 0) this.#idle--;
  }

  release(row: number): void {
    if (--this.get(row).references === 0) this.#idle++;
  }

  #forgetIdle(): void {
    for (const group of this.#rows) {
      if (group === undefined || group.references > 0) continue;
      const rest = (this.#byHash.get(group.hash) ?? []).filter((other) => other !== group);
      if (rest.length === 0) this.#byHash.delete(group.hash);
      else this.#byHash.set(group.hash, rest);
      this.#rows[group.row] = undefined;
      this.#free.push(group.row);
    }
    this.#idle = 0;
  }
}
