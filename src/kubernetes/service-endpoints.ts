// SPDX-License-Identifier: Apache-2.0
import { IPPROTO_TCP, IPPROTO_UDP, readAddressText } from "../conntrack/nat-entry.ts";
import type { Lookup, Resolution } from "../conntrack/nat-table.ts";
import type { EndpointSlice, FrontPort, ServiceFront } from "./service-objects.ts";

/** The API tells a change sooner or later than nodes act on it, ns. */
const TOLERANCE_NS = 3e9;
/** Former answers of one address and port. */
const ANSWERS_MAX = 16;
const LIVE = Number.POSITIVE_INFINITY;

interface Target {
  readonly words: Int32Array;
  readonly port: number;
  /** Address and port as text. */
  readonly text: string;
}

/** Who answered at an address and port for some time. */
interface Answer {
  readonly sinceNs: number;
  untilNs: number;
  readonly targets: readonly Target[];
}

interface Frontend {
  readonly low: number;
  readonly answers: Answer[];
}

/**
 * Who stands behind the addresses of Services, and stood there: cluster addresses, load balancers',
 * external ones, and NodePorts of all nodes. An address is told only where one endpoint can have
 * answered at that time.
 */
export class ServiceEndpoints {
  readonly #services = new Map<string, ServiceFront>();
  readonly #slices = new Map<string, Set<EndpointSlice>>();
  readonly #nodes = new Map<string, number>();
  readonly #frontends = new Map<string, Frontend>();
  /** The last words of all frontends' addresses, with how many have it: most spans end here. */
  readonly #lows = new Map<number, number>();
  /** Frontends that a Service has made. */
  readonly #keys = new Map<string, ReadonlySet<string>>();
  readonly #rememberNs: number;
  readonly #nowNs: () => number;
  constructor(rememberMs: number, nowNs: () => number) {
    this.#rememberNs = rememberMs * 1e6;
    this.#nowNs = nowNs;
  }

  get size(): number {
    return this.#frontends.size;
  }

  changeService(next: ServiceFront | undefined, previous: ServiceFront | undefined): void {
    if (previous !== undefined) this.#services.delete(previous.key);
    if (next !== undefined) this.#services.set(next.key, next);
    for (const key of new Set([previous?.key, next?.key])) if (key !== undefined) this.#update(key);
  }

  changeSlice(next: EndpointSlice | undefined, previous: EndpointSlice | undefined): void {
    if (previous !== undefined) this.#slices.get(previous.service)?.delete(previous);
    if (next !== undefined) {
      const known = this.#slices.get(next.service);
      if (known === undefined) this.#slices.set(next.service, new Set([next]));
      else known.add(next);
    }
    for (const key of new Set([previous?.service, next?.service])) {
      if (key === undefined) continue;
      if (this.#slices.get(key)?.size === 0) this.#slices.delete(key);
      this.#update(key);
    }
  }

  changeNode(next: readonly string[] | undefined, previous: readonly string[] | undefined): void {
    if (next?.join() === previous?.join()) return;
    for (const ip of previous ?? []) {
      const left = (this.#nodes.get(ip) ?? 0) - 1;
      if (left > 0) this.#nodes.set(ip, left);
      else this.#nodes.delete(ip);
    }
    for (const ip of next ?? []) this.#nodes.set(ip, (this.#nodes.get(ip) ?? 0) + 1);
    for (const [key, { ports }] of this.#services) {
      if (ports.some(({ nodePort }) => nodePort > 0)) this.#update(key);
    }
  }

  /** Who answered at `words[at…]` and `port`; the answer is put into `lookup`. */
  resolve(words: Int32Array, at: number, port: number, lookup: Lookup): Resolution {
    if (!this.#lows.has(words[at + 3] ?? 0)) return "none";
    const frontend = this.#frontends.get(keyOf(words, at, port, lookup.protocol));
    if (frontend === undefined) return "none";
    let found: Target | undefined;
    for (const { sinceNs, untilNs, targets } of frontend.answers) {
      if (sinceNs > lookup.startNs + TOLERANCE_NS) continue;
      if (untilNs < lookup.startNs - TOLERANCE_NS) continue;
      for (const target of targets) {
        if (found !== undefined && found.text !== target.text) return "ambiguous";
        found = target;
      }
    }
    if (found === undefined) return "none";
    lookup.real.set(found.words);
    lookup.realPort = found.port;
    return "found";
  }

  /** Forgets answers that are over for as long as was asked for. */
  sweep(): void {
    const beforeNs = this.#nowNs() - this.#rememberNs;
    for (const [key, frontend] of this.#frontends) {
      const { answers } = frontend;
      while (answers.length > 0 && (answers[0]?.untilNs ?? 0) < beforeNs) answers.shift();
      if (answers.length > 0) continue;
      this.#frontends.delete(key);
      const left = (this.#lows.get(frontend.low) ?? 0) - 1;
      if (left > 0) this.#lows.set(frontend.low, left);
      else this.#lows.delete(frontend.low);
    }
  }

  /** What a Service's addresses answer from now on. */
  #update(service: string): void {
    const front = this.#services.get(service);
    const now = new Map<string, { readonly words: Int32Array; readonly targets: Target[] }>();
    for (const port of front?.ports ?? []) {
      for (const address of front?.addresses ?? [])
        this.#put(now, service, address, port, port.port);
      if (port.nodePort === 0) continue;
      for (const node of this.#nodes.keys()) this.#put(now, service, node, port, port.nodePort);
    }
    for (const key of this.#keys.get(service) ?? [])
      if (!now.has(key)) this.#answer(key, undefined, []);
    for (const [key, { words, targets }] of now) this.#answer(key, words, targets);
    if (now.size === 0) this.#keys.delete(service);
    else this.#keys.set(service, new Set(now.keys()));
  }

  #put(
    into: Map<string, { readonly words: Int32Array; readonly targets: Target[] }>,
    service: string,
    address: string,
    { name, protocol }: FrontPort,
    port: number,
  ): void {
    const number = protocol === "TCP" ? IPPROTO_TCP : protocol === "UDP" ? IPPROTO_UDP : 0;
    const words = wordsOf(address);
    if (words === undefined || number === 0 || port === 0) return;
    const isIpv6 = address.includes(":");
    const targets: Target[] = [];
    for (const slice of this.#slices.get(service) ?? []) {
      const target = slice.ports.find((one) => one.name === name && one.protocol === protocol);
      if (target === undefined || target.port === 0) continue;
      for (const ip of slice.addresses) {
        const own = ip.includes(":") === isIpv6 ? wordsOf(ip) : undefined;
        if (own === undefined) continue;
        targets.push({ words: own, port: target.port, text: `${ip} ${target.port}` });
      }
    }
    targets.sort((one, other) => (one.text < other.text ? -1 : 1));
    into.set(keyOf(words, 0, port, number), { words, targets });
  }

  #answer(key: string, words: Int32Array | undefined, targets: readonly Target[]): void {
    let frontend = this.#frontends.get(key);
    if (frontend === undefined) {
      if (words === undefined) return;
      frontend = { low: words[3] ?? 0, answers: [] };
      this.#frontends.set(key, frontend);
      this.#lows.set(frontend.low, (this.#lows.get(frontend.low) ?? 0) + 1);
    }
    const { answers } = frontend;
    const last = answers.at(-1);
    const isLive = last?.untilNs === LIVE;
    if (words !== undefined && isLive && textOf(last.targets) === textOf(targets)) return;
    const nowNs = this.#nowNs();
    if (isLive) last.untilNs = nowNs;
    if (words === undefined) return;
    // The first that is heard of was there before.
    const sinceNs = last === undefined ? 0 : nowNs;
    answers.push({ sinceNs, untilNs: LIVE, targets });
    if (answers.length > ANSWERS_MAX) answers.shift();
  }
}

function textOf(targets: readonly Target[]): string {
  return targets.map(({ text }) => text).join();
}

function wordsOf(address: string): Int32Array | undefined {
  const words = new Int32Array(4);
  const bytes = Buffer.from(address);
  return readAddressText(bytes, 0, bytes.length, words, 0) ? words : undefined;
}

function keyOf(words: Int32Array, at: number, port: number, protocol: number): string {
  return `${protocol}/${words[at]}/${words[at + 1]}/${words[at + 2]}/${words[at + 3]}/${port}`;
}
