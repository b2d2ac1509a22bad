// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from "node:timers/promises";
import { messageOf } from "../component/errors.ts";
import type { Counter, Telemetry } from "../component/telemetry.ts";
import { type ApiClient, ApiStatusError } from "./api-client.ts";
import { type JsonObject, listOf, objectOf, parseJson, textOf } from "./json.ts";

/** Objects a page: a MB of JSON at a time, whatever the cluster's size. */
const PAGE_OBJECTS = 200;
const OBJECTS_MAX = 200_000;
const SILENCE_MARGIN_MS = 30_000;

/** One resource of the API, as RBAC and the paths name it. */
export interface ApiResource {
  /** Plural, lower case: `pods`. */
  readonly name: string;
  /** `""` for the core group, `apps`, `batch`, `discovery.k8s.io`. */
  readonly group: string;
  readonly isNamespaced: boolean;
  /** Only names, labels, annotations and owners are transferred (PartialObjectMetadata). */
  readonly metadataOnly: boolean;
}

export interface InformerTimes {
  readonly backOffMinMs: number;
  readonly backOffMaxMs: number;
  /** How long the server keeps a watch open, in seconds; up to twice that. */
  readonly watchSeconds: number;
  /** A new list after this long although nothing was lost; 0 is never. */
  readonly resyncMs: number;
}

export const INFORMER_TIMES: InformerTimes = {
  backOffMinMs: 1_000,
  backOffMaxMs: 60_000,
  watchSeconds: 300,
  resyncMs: 0,
};

export interface InformerOptions<T> {
  readonly client: ApiClient;
  readonly telemetry: Telemetry;
  readonly resource: ApiResource;
  /** Empty is every namespace. */
  readonly namespace: string;
  readonly labelSelector: string;
  readonly fieldSelector: string;
  /** Keeps what is needed of an object; undefined: not of interest. */
  readonly decode: (object: JsonObject, previous: T | undefined) => T | undefined;
  /** Called for each change; `next` is undefined when the object is gone. */
  readonly onChange: (next: T | undefined, previous: T | undefined) => void;
  readonly times: InformerTimes;
}

/**
 * Follows all objects of one resource: a list in pages, then a watch from there, with bookmarks.
 * A watch that breaks goes on where it was; after 410 Gone the list is read again, and what is no
 * longer in it is gone. Errors lead to tries at growing intervals with jitter, or when the server
 * said so.
 */
export class Informer<T> {
  readonly #options: InformerOptions<T>;
  readonly #objects = new Map<string, T>();
  readonly #stop = new AbortController();
  readonly #synced = Promise.withResolvers<void>();
  readonly #counts: Readonly<Record<"ADDED" | "MODIFIED" | "DELETED", Counter>>;
  readonly #lists: Counter;
  readonly #dropped: Counter;
  readonly #removeGauge: () => void;
  #version = "";
  #failures = 0;
  #isSynced = false;
  #running: Promise<void> | undefined;
  #problem: string | undefined;
  #listedMs = 0;

  constructor(options: InformerOptions<T>) {
    this.#options = options;
    const { telemetry, resource } = options;
    const labels = { resource: resource.name, namespace: options.namespace };
    const description = "Changes that a watch or a list told.";
    const count = (change: string): Counter =>
      telemetry.counter(
        "backstitch_k8s_informer_events",
        { description, unit: "{event}" },
        { ...labels, change },
      );
    this.#counts = {
      ADDED: count("added"),
      MODIFIED: count("modified"),
      DELETED: count("deleted"),
    };
    this.#lists = telemetry.counter(
      "backstitch_k8s_informer_lists",
      { description: "Complete lists read: at start, and after 410 Gone.", unit: "{list}" },
      labels,
    );
    this.#dropped = telemetry.counter(
      "backstitch_k8s_informer_dropped_objects",
      { description: "Objects not kept because there are too many.", unit: "{object}" },
      labels,
    );
    this.#removeGauge = telemetry.gauge(
      "backstitch_k8s_informer_objects",
      { description: "Objects kept.", unit: "{object}" },
      () => this.#objects.size,
      labels,
    );
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Resolves when the first list is complete. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  /** Has the first list been read? */
  get isSynced(): boolean {
    return this.#isSynced;
  }

  /** What the last try failed with; undefined while all is well. */
  get problem(): string | undefined {
    return this.#problem;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#removeGauge();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        if (this.#version === "" || this.#isResyncDue()) await this.#list();
        await this.#watch();
      } catch (error) {
        if (signal.aborted) return;
        await this.#afterError(error);
      }
    }
  }

  #isResyncDue(): boolean {
    const { resyncMs } = this.#options.times;
    return resyncMs > 0 && performance.now() - this.#listedMs >= resyncMs;
  }

  async #afterError(error: unknown): Promise<void> {
    const { backOffMinMs, backOffMaxMs } = this.#options.times;
    const isGone = error instanceof ApiStatusError && error.status === 410;
    if (isGone) this.#version = "";
    else this.#report(error);
    const growing = Math.min(backOffMaxMs, backOffMinMs * 2 ** Math.min(this.#failures, 16));
    const asked = error instanceof ApiStatusError ? (error.retryAfterMs ?? 0) : 0;
    const waitMs = Math.max(asked, growing * (0.5 + Math.random() / 2));
    // The first 410 in a row costs no time: there is nothing wrong with the server.
    const isFirstGone = isGone && this.#failures === 0;
    this.#failures++;
    if (!isFirstGone) await this.#pause(Math.min(waitMs, backOffMaxMs));
  }

  async #pause(waitMs: number): Promise<void> {
    const { signal } = this.#stop;
    await delay(waitMs, undefined, { signal, ref: false }).catch(() => undefined);
  }

  /** Says a problem once, until it changes or ends. */
  #report(error: unknown): void {
    const { telemetry, resource, namespace } = this.#options;
    const said = describeProblem(error, resource, namespace);
    if (said === this.#problem) return;
    this.#problem = said;
    telemetry.logger.warn(said, { resource: resource.name });
  }

  #succeeded(): void {
    const { telemetry, resource } = this.#options;
    this.#failures = 0;
    if (this.#problem === undefined) return;
    this.#problem = undefined;
    telemetry.logger.info("The Kubernetes API answers again.", { resource: resource.name });
  }

  async #list(): Promise<void> {
    const seen = new Set<string>();
    let token = "";
    let version = "";
    do {
      const page = objectOf(
        await this.#options.client.json({
          path: this.#path({ limit: String(PAGE_OBJECTS), continue: token }),
          accept: this.#accept("PartialObjectMetadataList"),
          signal: this.#stop.signal,
        }),
      );
      const about = objectOf(page["metadata"]);
      for (const item of listOf(page["items"])) {
        const uid = this.#put(objectOf(item));
        if (uid !== "") seen.add(uid);
      }
      token = textOf(about["continue"]);
      version = textOf(about["resourceVersion"]);
    } while (token !== "");
    for (const uid of [...this.#objects.keys()]) if (!seen.has(uid)) this.#delete(uid);
    this.#version = version;
    this.#listedMs = performance.now();
    this.#lists.add(1);
    this.#succeeded();
    this.#isSynced = true;
    this.#synced.resolve();
  }

  async #watch(): Promise<void> {
    const { client, times } = this.#options;
    const seconds = Math.round(times.watchSeconds * (1 + Math.random()));
    const startedMs = performance.now();
    let events = 0;
    const query = {
      watch: "true",
      allowWatchBookmarks: "true",
      resourceVersion: this.#version,
      timeoutSeconds: String(seconds),
    };
    await client.lines(
      {
        path: this.#path(query),
        accept: this.#accept("PartialObjectMetadata"),
        signal: this.#stop.signal,
        silenceMaxMs: seconds * 1000 + SILENCE_MARGIN_MS,
      },
      (line) => {
        this.#event(line);
        if (events++ === 0) this.#succeeded();
      },
    );
    // A server that ends each watch at once, without an error, is not asked in a loop.
    if (events === 0 && performance.now() - startedMs < times.backOffMinMs) {
      await this.#pause(times.backOffMinMs);
    }
  }

  #event(line: string): void {
    const event = objectOf(parseJson(line));
    const object = objectOf(event["object"]);
    const version = textOf(objectOf(object["metadata"])["resourceVersion"]);
    switch (event["type"]) {
      case "ADDED":
      case "MODIFIED":
        this.#put(object);
        break;
      case "DELETED":
        this.#delete(uidOf(object));
        break;
      case "BOOKMARK":
        break;
      case "ERROR":
        throw new ApiStatusError(Number(object["code"]), textOf(object["message"]));
      default:
        throw new Error("a line of a watch is no event");
    }
    if (version !== "") this.#version = version;
  }

  #put(object: JsonObject): string {
    const uid = uidOf(object);
    if (uid === "") return "";
    const previous = this.#objects.get(uid);
    const next = this.#options.decode(object, previous);
    if (next === undefined) {
      this.#delete(uid);
      return "";
    }
    if (previous === undefined && this.#objects.size >= OBJECTS_MAX) {
      this.#dropped.add(1);
      return "";
    }
    this.#objects.set(uid, next);
    this.#counts[previous === undefined ? "ADDED" : "MODIFIED"].add(1);
    this.#options.onChange(next, previous);
    return uid;
  }

  #delete(uid: string): void {
    const previous = this.#objects.get(uid);
    if (previous === undefined) return;
    this.#objects.delete(uid);
    this.#counts.DELETED.add(1);
    this.#options.onChange(undefined, previous);
  }

  #path(query: Readonly<Record<string, string>>): string {
    const { resource, namespace, labelSelector, fieldSelector } = this.#options;
    const group = resource.group === "" ? "/api/v1" : `/apis/${resource.group}/v1`;
    const scope =
      namespace === "" || !resource.isNamespaced
        ? ""
        : `/namespaces/${encodeURIComponent(namespace)}`;
    const all = new URLSearchParams();
    for (const [key, value] of Object.entries({ ...query, labelSelector, fieldSelector })) {
      if (value !== "") all.set(key, value);
    }
    return `${group}${scope}/${resource.name}?${all}`;
  }

  #accept(as: string): string {
    if (!this.#options.resource.metadataOnly) return "application/json";
    return `application/json;as=${as};g=meta.k8s.io;v=v1`;
  }
}

function uidOf(object: JsonObject): string {
  return textOf(objectOf(object["metadata"])["uid"]);
}

/** One sentence, and for what an administrator can mend, what to do. */
function describeProblem(error: unknown, resource: ApiResource, namespace: string): string {
  const where = namespace === "" ? "in all namespaces" : `in namespace ${namespace}`;
  const what = resource.isNamespaced ? `${resource.name} ${where}` : resource.name;
  const said = messageOf(error);
  if (!(error instanceof ApiStatusError)) {
    return `The Kubernetes API cannot be asked for ${what}: ${said}. Trying again`;
  }
  if (error.status === 403) {
    const kind = namespace === "" ? "ClusterRole" : `Role in namespace ${namespace}`;
    return (
      `The Kubernetes API does not permit to list and watch ${what}. Give our service account a ` +
      `${kind} with the verbs get, list, watch on ${resource.name} in API group ` +
      `"${resource.group}" (the server says: ${said})`
    );
  }
  if (error.status === 401) {
    return `The Kubernetes API does not accept our credentials for ${what}: ${said}. Check the token`;
  }
  return `The Kubernetes API refused ${what} with status ${error.status}: ${said}. Trying again`;
}
