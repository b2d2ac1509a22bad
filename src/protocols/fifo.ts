// SPDX-License-Identifier: Apache-2.0

/** First in, first out, and the newest may be taken back. The caller bounds `count`. */
export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  get count(): number {
    return this.#items.length - this.#head;
  }

  get first(): T | undefined {
    return this.#items[this.#head];
  }

  get last(): T | undefined {
    return this.count === 0 ? undefined : this.#items[this.#items.length - 1];
  }

  /** `index` from the first. */
  at(index: number): T | undefined {
    return this.#items[this.#head + index];
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | undefined {
    if (this.count === 0) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head++] = undefined;
    if (this.#head === this.#items.length) {
      this.#head = 0;
      if (this.#items.length > 64) this.#items = [];
      else this.#items.length = 0;
    } else if (this.#head >= 256 && this.#head * 2 >= this.#items.length) {
      this.#items.splice(0, this.#head);
      this.#head = 0;
    }
    return item;
  }

  pop(): T | undefined {
    if (this.count === 0) return undefined;
    const item = this.#items.pop();
    if (this.#head === this.#items.length) {
      this.#head = 0;
      this.#items.length = 0;
    }
    return item;
  }
}
