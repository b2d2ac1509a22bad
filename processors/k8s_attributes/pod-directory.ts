// SPDX-License-Identifier: Apache-2.0
import type { Pod } from "../../src/kubernetes/objects.ts";
import type { AssociationName, AssociationRule } from "./config.ts";

/** A value that all of a rule's sources together have. */
const SEPARATOR = "\u0000";
const DELETED_PODS_MAX = 100_000;
const MS_PER_S = 1000;

/** Looked up beside the rules of the configuration: the remote ends of connections. */
const BY_IP: AssociationRule = { sources: [{ from: "connection" }] };

/**
 * Pods by what the rules ask for. Pods that are gone stay for a grace period; where several have
 * the same key, as an address that was given again, the running one counts, then the youngest.
 */
export class PodDirectory {
  readonly #rules: readonly AssociationRule[];
  readonly #indexes: readonly Map<string, Pod[]>[];
  /** When a pod was deleted, in the order of deletion. */
  readonly #deletedMs = new Map<Pod, number>();
  readonly #graceMs: number;
  readonly #nowMs: () => number;
  readonly #epochMs: number;
  /** Changes when a pod does: what was made of a look-up before may be wrong. */
  generation = 0;

  constructor(options: {
    readonly rules: readonly AssociationRule[];
    readonly graceMs: number;
    readonly nowMs: () => number;
    /** When `nowMs` was 0, ms of the epoch. */
    readonly epochMs?: number;
  }) {
    this.#rules = [...options.rules, BY_IP];
    this.#indexes = this.#rules.map(() => new Map<string, Pod[]>());
    this.#graceMs = options.graceMs;
    this.#nowMs = options.nowMs;
    this.#epochMs = options.epochMs ?? performance.timeOrigin;
  }

  change(next: Pod | undefined, previous: Pod | undefined): void {
    this.generation++;
    if (next !== undefined) {
      if (previous !== undefined) this.#remove(previous);
      this.#insert(next);
    } else if (previous !== undefined) {
      this.#deletedMs.set(previous, this.#nowMs());
    }
    this.sweep();
  }

  /** Forgets the pods whose grace period is over. */
  sweep(): void {
    const nowMs = this.#nowMs();
    for (const [pod, deletedMs] of this.#deletedMs) {
      const isFull = this.#deletedMs.size > DELETED_PODS_MAX;
      if (nowMs - deletedMs < this.#graceMs && !isFull) return;
      this.#deletedMs.delete(pod);
      this.#remove(pod);
      this.generation++;
    }
  }

  /** `values` in the order of the rule's sources. */
  find(rule: number, values: readonly string[]): Pod | undefined {
    const pods = this.#indexes[rule]?.get(values.join(SEPARATOR));
    return pods === undefined ? undefined : this.#best(pods);
  }

  /** Several pods have had the address within the grace period: only a time tells them apart. */
  isShared(ip: string): boolean {
    return (this.#indexes.at(-1)?.get(ip)?.length ?? 0) > 1;
  }

  /** Who has the address; at `atMs` of the epoch where that is given, if anybody had it then. */
  byIp(ip: string, atMs?: number): Pod | undefined {
    const pods = this.#indexes.at(-1)?.get(ip);
    if (pods === undefined) return undefined;
    if (atMs === undefined || pods.length < 2) return this.#best(pods);
    const then = pods.filter((pod) => this.#livedAt(pod, atMs));
    return this.#best(then.length > 0 ? then : pods);
  }

  /** The API's times are whole seconds. */
  #livedAt(pod: Pod, atMs: number): boolean {
    const startMs = Date.parse(pod.startTime);
    if (!Number.isNaN(startMs) && startMs > atMs + MS_PER_S) return false;
    const deletedMs = this.#deletedMs.get(pod);
    return deletedMs === undefined || deletedMs + this.#epochMs >= atMs;
  }

  #best(pods: readonly Pod[]): Pod | undefined {
    let best: Pod | undefined;
    for (const pod of pods) {
      if (this.#isExpired(pod)) continue;
      if (best === undefined || this.#isBetter(pod, best)) best = pod;
    }
    return best;
  }

  /** Between two sweeps a grace period may end. */
  #isExpired(pod: Pod): boolean {
    const deletedMs = this.#deletedMs.get(pod);
    return deletedMs !== undefined && this.#nowMs() - deletedMs >= this.#graceMs;
  }

  #isBetter(one: Pod, other: Pod): boolean {
    const rank = (pod: Pod): number =>
      (this.#deletedMs.has(pod) ? 0 : 2) + (pod.isFinished ? 0 : 1);
    const difference = rank(one) - rank(other);
    return difference === 0 ? one.startTime > other.startTime : difference > 0;
  }

  #insert(pod: Pod): void {
    for (const [at, rule] of this.#rules.entries()) {
      for (const key of keysOf(pod, rule)) {
        const pods = this.#indexes[at]?.get(key);
        if (pods === undefined) this.#indexes[at]?.set(key, [pod]);
        else pods.push(pod);
      }
    }
  }

  #remove(pod: Pod): void {
    for (const [at, rule] of this.#rules.entries()) {
      for (const key of keysOf(pod, rule)) {
        const left = this.#indexes[at]?.get(key)?.filter((other) => other !== pod) ?? [];
        if (left.length === 0) this.#indexes[at]?.delete(key);
        else this.#indexes[at]?.set(key, left);
      }
    }
  }
}

function keysOf(pod: Pod, rule: AssociationRule): readonly string[] {
  let keys: readonly string[] = [""];
  for (const [at, source] of rule.sources.entries()) {
    const values = source.name === undefined ? pod.ips : valuesOf(pod, source.name);
    keys = keys.flatMap((key) =>
      values.map((value) => (at === 0 ? value : key + SEPARATOR + value)),
    );
  }
  return [...new Set(keys)];
}

function valuesOf(pod: Pod, name: AssociationName): readonly string[] {
  switch (name) {
    case "k8s.pod.ip":
    case "ip":
      return pod.ips;
    case "container.id":
      return pod.containers.flatMap((container) => container.ids);
    default:
      return [singleValue(pod, name)].filter((value) => value !== "");
  }
}

function singleValue(
  pod: Pod,
  name: Exclude<AssociationName, "k8s.pod.ip" | "ip" | "container.id">,
): string {
  switch (name) {
    case "k8s.pod.uid":
      return pod.uid;
    case "k8s.pod.name":
      return pod.name;
    case "k8s.namespace.name":
      return pod.namespace;
    case "k8s.node.name":
      return pod.node;
    case "k8s.pod.hostname":
    case "host.name":
      return pod.hostname;
    default:
      return ownedBy(pod, name.slice("k8s.".length, -".name".length));
  }
}

function ownedBy(pod: Pod, kind: string): string {
  return pod.owner?.kind.toLowerCase() === kind ? pod.owner.name : "";
}
