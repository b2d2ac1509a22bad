// SPDX-License-Identifier: Apache-2.0
import type { SelectedProcess } from "../../src/model/process.ts";
import type { Role } from "../../src/model/protocol.ts";
import { endpointText } from "./endpoints.ts";

/** Names that are kept; further ones are made anew for each connection. */
const NAMES_MAX = 16_384;

/**
 * Resources by address: the configured name, else what the address itself says: a server is its
 * `address:port`, a client its `address`.
 */
export class Services {
  readonly #names: ReadonlyMap<string, string>;
  readonly #made = new Map<string, SelectedProcess>();

  constructor(names: Readonly<Record<string, string>>) {
    this.#names = new Map(Object.entries(names));
  }

  of(address: string, port: number, role: Role): SelectedProcess {
    const endpoint = endpointText(address, port);
    const fallback = role === "server" ? endpoint : address;
    const serviceName = this.#names.get(endpoint) ?? this.#names.get(address) ?? fallback;
    const known = this.#made.get(serviceName);
    if (known !== undefined) return known;
    const made: SelectedProcess = { pid: 0, serviceName, attributes: new Map() };
    if (this.#made.size < NAMES_MAX) this.#made.set(serviceName, made);
    return made;
  }
}
