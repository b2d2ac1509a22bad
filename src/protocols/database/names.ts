// SPDX-License-Identifier: Apache-2.0

/** Named or numbered statements of one connection that are remembered. */
const NAMES_MAX = 256;

/** Values by the names that a connection gave them; the oldest is forgotten at the bound. */
export class Names<Key, Value> {
  readonly #max: number;
  #values: Map<Key, Value> | undefined = undefined;

  constructor(max: number = NAMES_MAX) {
    this.#max = max;
  }

  set(name: Key, value: Value | undefined): void {
    if (value === undefined) {
      this.#values?.delete(name);
      return;
    }
    this.#values ??= new Map();
    this.#values.delete(name);
    if (this.#values.size >= this.#max) {
      for (const oldest of this.#values.keys()) {
        this.#values.delete(oldest);
        break;
      }
    }
    this.#values.set(name, value);
  }

  find(name: Key): Value | undefined {
    return this.#values?.get(name);
  }

  clear(): void {
    this.#values = undefined;
  }
}
