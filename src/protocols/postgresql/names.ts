// SPDX-License-Identifier: Apache-2.0
import type { Statement } from "./statements.ts";

/** Named statements and portals of one connection that are remembered. */
const NAMES_MAX = 256;

/** Statements by the names that Parse and Bind gave them; the oldest is forgotten at the bound. */
export class StatementNames {
  #unnamed: Statement | undefined = undefined;
  #named: Map<string, Statement> | undefined = undefined;

  set(name: string, statement: Statement | undefined): void {
    if (name === "") {
      this.#unnamed = statement;
      return;
    }
    if (statement === undefined) {
      this.#named?.delete(name);
      return;
    }
    this.#named ??= new Map();
    this.#named.delete(name);
    if (this.#named.size >= NAMES_MAX) {
      for (const oldest of this.#named.keys()) {
        this.#named.delete(oldest);
        break;
      }
    }
    this.#named.set(name, statement);
  }

  find(name: string): Statement | undefined {
    return name === "" ? this.#unnamed : this.#named?.get(name);
  }

  clear(): void {
    this.#unnamed = undefined;
    this.#named = undefined;
  }
}
