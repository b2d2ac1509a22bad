// SPDX-License-Identifier: Apache-2.0
import { lookup } from "node:dns/promises";
import type { Server } from "node:net";
import { AgentError } from "../component/errors.ts";

export interface ListenAddress {
  /** "" for every address. */
  readonly host: string;
  readonly port: number;
}

const ADVICE: Readonly<Record<string, string>> = {
  EADDRINUSE: "bind: address already in use",
  EACCES: "bind: permission denied",
  EADDRNOTAVAIL: "bind: cannot assign requested address",
};

/**
 * Listens and gives the port. Rejects with an `AgentError` in the Collector's words, such as
 * `listen tcp 127.0.0.1:4317: bind: address already in use`.
 */
export async function listen(server: Server, address: ListenAddress): Promise<number> {
  const host = await resolved(address.host);
  const shown = `${host.includes(":") ? `[${host}]` : host}:${address.port}`;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen({ port: address.port, ...(host === "" ? {} : { host }) }, resolve);
  try {
    await promise;
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
    const reason = ADVICE[code] ?? (cause instanceof Error ? cause.message : String(cause));
    throw new AgentError("BS_START", `listen tcp ${shown}: ${reason}`, { cause });
  } finally {
    server.off("error", reject);
  }
  const bound = server.address();
  return typeof bound === "object" && bound !== null ? bound.port : address.port;
}

/** As Go does it: of a name's addresses, IPv4 first. */
async function resolved(host: string): Promise<string> {
  if (host === "") return host;
  try {
    return (await lookup(host, { order: "ipv4first" })).address;
  } catch (cause) {
    throw new AgentError("BS_START", `listen tcp: lookup ${host}: no such host`, { cause });
  }
}
