// SPDX-License-Identifier: Apache-2.0
import type { AgentConfig, Configured } from "../../config/agent-config.ts";

/** A place in the network that a component of the configuration uses. */
export interface Place {
  /** `receivers::otlp`. */
  readonly owner: string;
  readonly host: string;
  readonly port: number;
}

/** What a configuration needs of the host. */
export interface Needs {
  /** Whether a configuration was given. */
  readonly isConfigured: boolean;
  /** Types of the components that pipelines and the service use. */
  readonly types: ReadonlySet<string>;
  /** `hooks` of `ebpf_l7`. */
  readonly hooks: "auto" | "sock" | "syscalls";
  /** Whether targets name containers. */
  readonly usesContainers: boolean;
  /** Bytes of the rings between kernel and agent. */
  readonly ringBytes: number;
  readonly listens: readonly Place[];
  readonly connects: readonly Place[];
}

const OTLP_PORTS = [4317, 4318];
const RING_BYTES = 8 * 1024 * 1024;

/** Without a configuration: everything that looks into the kernel, and OTLP on its own ports. */
export const EVERYTHING: Needs = {
  isConfigured: false,
  types: new Set(["ebpf_l7", "discovery"]),
  hooks: "auto",
  usesContainers: true,
  ringBytes: RING_BYTES,
  listens: OTLP_PORTS.map((port) => ({ owner: "receivers::otlp", host: "localhost", port })),
  connects: [],
};

type Used = Pick<Configured<never>, "id" | "config"> & { readonly type: string };

/** Only what the service uses counts: other sections are checked and not started. */
export function needsOf(config: AgentConfig): Needs {
  const { pipelines, extensions, telemetry } = config.service;
  const receivers = used(
    config.receivers,
    pipelines.flatMap((each) => each.receivers),
  );
  const exporters = used(
    config.exporters,
    pipelines.flatMap((each) => each.exporters),
  );
  const helpers = used(config.extensions, extensions);
  const capture = receivers.find((each) => each.type === "ebpf_l7")?.config;
  const readers = telemetry.metrics.level === "none" ? [] : telemetry.metrics.readers;
  return {
    isConfigured: true,
    types: new Set([...receivers, ...exporters, ...helpers].map((each) => each.type)),
    hooks: hooksOf(capture),
    usesContainers: helpers.some(({ config: given }) => namesContainers(given)),
    ringBytes: receivers.reduce((sum, each) => sum + numberIn(each.config, "ring_size"), 0),
    listens: [
      ...receivers.flatMap((each) => listensOf(`receivers::${each.id}`, each.config)),
      ...helpers.flatMap((each) => listensOf(`extensions::${each.id}`, each.config)),
      ...readers.flatMap(({ prometheus }) =>
        prometheus === undefined ? [] : { owner: "service::telemetry::metrics", ...prometheus },
      ),
    ],
    connects: exporters.flatMap((each) => connectsOf(`exporters::${each.id}`, each.config)),
  };
}

function used(
  section: ReadonlyMap<
    string,
    {
      readonly id: string;
      readonly config: unknown;
      readonly factory: { readonly type: string };
    }
  >,
  ids: readonly string[],
): readonly Used[] {
  return [...new Set(ids)].flatMap((id) => {
    const found = section.get(id);
    if (found === undefined) return [];
    return [{ id, config: found.config, type: found.factory.type }];
  });
}

function member(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  return Object.entries(value).find(([name]) => name === key)?.[1];
}

function numberIn(value: unknown, key: string): number {
  const found = member(value, key);
  return typeof found === "number" ? found : 0;
}

function hooksOf(config: unknown): Needs["hooks"] {
  const hooks = member(config, "hooks");
  return hooks === "sock" || hooks === "syscalls" ? hooks : "auto";
}

function namesContainers(config: unknown): boolean {
  return ["targets", "exclude"].some((key) => {
    const list = member(config, key);
    return Array.isArray(list) && list.some((each) => member(each, "container") !== undefined);
  });
}

/** The schema types `endpoint()` give an address to listen on, `clientEndpoint()` one with a scheme. */
function listensOf(owner: string, config: unknown): readonly Place[] {
  return addressesIn(config)
    .filter((each) => !("scheme" in each))
    .flatMap((each) => placeOf(owner, each));
}

function connectsOf(owner: string, config: unknown): readonly Place[] {
  const urls = urlsIn(config).map((url) => ({
    owner,
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port),
  }));
  const clients = addressesIn(config).filter((each) => "scheme" in each);
  return [...urls, ...clients.flatMap((each) => placeOf(owner, each))];
}

function placeOf(owner: string, address: object): readonly Place[] {
  const [host, port] = [member(address, "host"), member(address, "port")];
  return typeof host === "string" && typeof port === "number" ? [{ owner, host, port }] : [];
}

function urlsIn(value: unknown): readonly URL[] {
  if (value instanceof URL) return [value];
  if (typeof value !== "object" || value === null) return [];
  return Object.values(value).flatMap(urlsIn);
}

/** Objects of a host, a port and the text that they were written as. */
function addressesIn(value: unknown): readonly object[] {
  if (typeof value !== "object" || value === null || value instanceof URL) return [];
  const isAddress = "host" in value && "port" in value && "text" in value;
  return isAddress ? [value] : Object.values(value).flatMap(addressesIn);
}
