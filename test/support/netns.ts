// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { type RunningProcess, type StartOptions, startProcess } from "./process.ts";

const PREFIX = "bstest";

/** One network namespace with `eth0` on the bed's bridge. */
export interface Host {
  readonly name: string;
  /** The namespace's name, as `ip netns` and `StartOptions.netns` take it. */
  readonly netns: string;
  readonly ipv4: string;
  readonly ipv6: string;
}

/** Hosts that reach each other, and nothing else: no route leads out of the bed. */
export interface NetworkBed {
  host(name: string): Host;
  /** `startProcess` in the namespace of a host; stopped when the bed closes. */
  start(host: string, options: Omit<StartOptions, "netns">): Promise<RunningProcess>;
  /** Runs `ip` in the namespace of a host, for extra addresses and routes. */
  ip(host: string, ...args: readonly string[]): string;
  /** Stops the processes, the last started first, and deletes the namespaces. May be called twice. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

let bedCount = 0;

/**
 * Creates a network namespace for each name, with addresses 10.213.0.N/24 and fd00:213::N/64 in
 * the order of the names, joined by a bridge in one more namespace. Needs root. What an earlier,
 * killed test process left behind is removed first.
 */
export function createNetworkBed(hostNames: readonly string[]): NetworkBed {
  removeLeftovers();
  bedCount += 1;
  const bed = new Bed(`${PREFIX}-${process.pid}-${bedCount}`);
  try {
    for (const name of hostNames) bed.add(name);
  } catch (error) {
    bed.deleteNamespaces();
    throw error;
  }
  return bed;
}

class Bed implements NetworkBed {
  readonly #id: string;
  readonly #switch: string;
  readonly #hosts = new Map<string, Host>();
  readonly #namespaces: string[] = [];
  readonly #processes: RunningProcess[] = [];
  readonly #onExit = (): void => this.deleteNamespaces();

  constructor(id: string) {
    this.#id = id;
    this.#switch = `${id}-switch`;
    process.once("exit", this.#onExit);
    this.#createNamespace(this.#switch);
    ip("-n", this.#switch, "link", "add", "br0", "type", "bridge");
    ip("-n", this.#switch, "link", "set", "br0", "up");
  }

  add(name: string): void {
    const number = this.#hosts.size + 1;
    const netns = `${this.#id}-${name}`;
    const host = { name, netns, ipv4: `10.213.0.${number}`, ipv6: `fd00:213::${number}` };
    this.#createNamespace(netns);
    const port = `port${number}`;
    const peer = ["peer", "name", port, "netns", this.#switch];
    ip("link", "add", "eth0", "netns", netns, "type", "veth", ...peer);
    ip("-n", this.#switch, "link", "set", port, "master", "br0", "up");
    ip("-n", netns, "address", "add", `${host.ipv4}/24`, "dev", "eth0");
    // Without duplicate address detection the address can be used at once.
    ip("-n", netns, "address", "add", `${host.ipv6}/64`, "dev", "eth0", "nodad");
    ip("-n", netns, "link", "set", "eth0", "up");
    this.#hosts.set(name, host);
  }

  host(name: string): Host {
    const host = this.#hosts.get(name);
    if (host === undefined) throw new Error(`this bed has no host "${name}"`);
    return host;
  }

  async start(host: string, options: Omit<StartOptions, "netns">): Promise<RunningProcess> {
    const started = await startProcess({ ...options, netns: this.host(host).netns });
    this.#processes.push(started);
    return started;
  }

  ip(host: string, ...args: readonly string[]): string {
    return ip("-n", this.host(host).netns, ...args);
  }

  async close(): Promise<void> {
    for (const one of this.#processes.splice(0).reverse()) await one.stop();
    this.deleteNamespaces();
    process.off("exit", this.#onExit);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  deleteNamespaces(): void {
    for (const name of this.#namespaces.splice(0)) deleteNamespace(name);
  }

  #createNamespace(name: string): void {
    ip("netns", "add", name);
    this.#namespaces.push(name);
    ip("-n", name, "link", "set", "lo", "up");
  }
}

function ip(...args: readonly string[]): string {
  try {
    return execFileSync("ip", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    const hint = process.getuid?.() === 0 ? "" : " (network namespaces need root)";
    throw new Error(`ip ${args.join(" ")} failed${hint}`, { cause: error });
  }
}

function deleteNamespace(name: string): void {
  try {
    ip("netns", "delete", name);
  } catch (error) {
    if (existsSync(`/run/netns/${name}`)) throw error;
  }
}

/** Namespaces whose name holds the pid of a process that is gone. */
function removeLeftovers(): void {
  if (!existsSync("/run/netns")) return;
  for (const name of readdirSync("/run/netns")) {
    const pid = new RegExp(`^${PREFIX}-(\\d+)-`).exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) deleteNamespace(name);
  }
}
