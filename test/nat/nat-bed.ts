// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { type RunningProcess, type StartOptions, startProcess } from "../support/process.ts";

/** client ── outer ── inner ── one, two, three; outer and inner are routers that translate. */
const NAMES = ["client", "outer", "inner", "one", "two", "three"] as const;
export type Place = (typeof NAMES)[number];

/** The service's address, which only exists in the routers' rules, and its port. */
export const SERVICE_PORT = 80;
/** Where the backends listen, and where the inner router takes connections for them. */
export const BACKEND_PORT = 8080;
export const NODE_PORT = 30_080;

export interface Addresses {
  readonly client: string;
  /** Of the inner router, on the link to the outer one. */
  readonly node: string;
  readonly service: string;
  readonly one: string;
  readonly two: string;
  readonly three: string;
  /** In URLs: with brackets around IPv6. */
  url(address: string): string;
}

export const IPV4: Addresses = {
  client: "10.214.1.2",
  node: "10.214.2.2",
  service: "10.214.99.9",
  one: "10.214.11.2",
  two: "10.214.12.2",
  three: "10.214.13.2",
  url: (address) => address,
};

export const IPV6: Addresses = {
  client: "fd00:214:1::2",
  node: "fd00:214:2::2",
  service: "fd00:214:99::9",
  one: "fd00:214:11::2",
  two: "fd00:214:12::2",
  three: "fd00:214:13::2",
  url: (address) => `[${address}]`,
};

/** Each link: near and far end, and the third number of its addresses (.1 near, .2 far). */
const LINKS: readonly (readonly [near: Place, far: Place, number: number])[] = [
  ["outer", "client", 1],
  ["outer", "inner", 2],
  ["inner", "one", 11],
  ["inner", "two", 12],
  ["inner", "three", 13],
];

/** Six namespaces with routes between them and no rules yet. Needs root. */
export class NatBed {
  readonly #prefix: string = `bstest-${process.pid}-nat`;
  readonly #processes: RunningProcess[] = [];
  readonly #onExit = (): void => this.#delete();

  constructor() {
    process.once("exit", this.#onExit);
    for (const name of NAMES) {
      run("ip", "netns", "add", this.netns(name));
      run("ip", "-n", this.netns(name), "link", "set", "lo", "up");
    }
    for (const [near, far, number] of LINKS) this.#link(near, far, number);
    const routes: readonly (readonly [Place, string, string])[] = [
      ["client", "default", "1::1"],
      ["outer", "default", "2::2"],
      ["inner", "default", "2::1"],
      ...(["one", "two", "three"] as const).map(
        (name, index) => [name, "default", `${11 + index}::1`] as const,
      ),
    ];
    for (const [name, to, via] of routes) {
      run("ip", "-n", this.netns(name), "route", "add", to, "via", ipv4Of(via));
      run("ip", "-n", this.netns(name), "-6", "route", "add", to, "via", `fd00:214:${via}`);
    }
    for (const router of ["outer", "inner"] as const) {
      for (const file of ["ipv4/ip_forward", "ipv6/conf/all/forwarding"]) {
        this.inside(router, "sh", "-c", `echo 1 > /proc/sys/net/${file}`);
      }
    }
  }

  netns(name: Place): string {
    return `${this.#prefix}-${name}`;
  }

  path(name: Place): string {
    return `/run/netns/${this.netns(name)}`;
  }

  /** Runs a command in a namespace and gives what it wrote. */
  inside(name: Place, ...command: readonly string[]): string {
    return run("ip", "netns", "exec", this.netns(name), ...command);
  }

  async start(name: Place, options: Omit<StartOptions, "netns">): Promise<RunningProcess> {
    const started = await startProcess({ ...options, netns: this.netns(name) });
    this.#processes.push(started);
    return started;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of this.#processes.splice(0).reverse()) await one.stop();
    this.#delete();
    process.off("exit", this.#onExit);
    // The kernel takes links down after the names are gone.
    await delay(10);
  }

  #link(near: Place, far: Place, number: number): void {
    const [here, there] = [`to-${far}`, `to-${near}`];
    const peer = ["peer", "name", there, "netns", this.netns(far)];
    run("ip", "link", "add", here, "netns", this.netns(near), "type", "veth", ...peer);
    for (const [name, device, last] of [
      [near, here, 1],
      [far, there, 2],
    ] as const) {
      const netns = this.netns(name);
      run("ip", "-n", netns, "address", "add", `10.214.${number}.${last}/24`, "dev", device);
      const ipv6 = `fd00:214:${number}::${last}/64`;
      run("ip", "-n", netns, "address", "add", ipv6, "dev", device, "nodad");
      run("ip", "-n", netns, "link", "set", device, "up");
    }
  }

  #delete(): void {
    for (const name of NAMES) {
      if (existsSync(this.path(name))) run("ip", "netns", "delete", this.netns(name));
    }
  }
}

/** `1::2` is 10.214.1.2. */
function ipv4Of(short: string): string {
  return `10.214.${short.replace("::", ".")}`;
}

function run(command: string, ...args: readonly string[]): string {
  return execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
}
