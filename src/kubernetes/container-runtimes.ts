// SPDX-License-Identifier: Apache-2.0
import { request } from "node:http";
import { messageOf } from "../component/errors.ts";
import type { Counter, Telemetry } from "../component/telemetry.ts";
import { FieldReader, WIRE_BYTES } from "../pdata/wire.ts";
import { objectOf, parseJson, textOf } from "./json.ts";
import { stringField, unaryCall } from "./unix-grpc.ts";

const KNOWN_MAX = 4_096;
const CONCURRENT_MAX = 8;
/** A container that nobody knew may be asked for again: runtimes list it after it started. */
const UNKNOWN_MS = 10_000;
const BODY_BYTES_MAX = 4 << 20;
/** Of containerd: Kubernetes', nerdctl's and ctr's, and Docker's. */
const NAMESPACES = ["k8s.io", "default", "moby"];

/** What a runtime says of a container; empty where it does not. */
export interface RuntimeContainer {
  readonly name: string;
  /** As it was asked for: `registry/name:tag@digest`. */
  readonly image: string;
}

type Ask = (id: string, timeoutMs: number) => Promise<RuntimeContainer | undefined>;

interface Known {
  readonly container: RuntimeContainer | undefined;
  readonly atMs: number;
}

/**
 * Asks the runtimes of this host for containers by id, over their sockets. A look-up gives what is
 * known and starts a question in the background: nothing waits for a runtime.
 */
export class ContainerRuntimes {
  readonly #runtimes: readonly { readonly path: string; readonly ask: Ask }[];
  readonly #timeoutMs: number;
  readonly #telemetry: Telemetry;
  readonly #nowMs: () => number;
  readonly #known = new Map<string, Known>();
  readonly #asking = new Set<string>();
  readonly #said = new Map<string, string>();
  readonly #failures: Counter;
  #isStopped = false;

  constructor(options: {
    /** `unix:///path`. Docker's and podman's by their name, all others speak gRPC. */
    readonly endpoints: readonly string[];
    readonly timeoutMs: number;
    readonly telemetry: Telemetry;
    readonly nowMs: () => number;
  }) {
    this.#runtimes = options.endpoints.map((endpoint) => {
      const path = endpoint.replace(/^unix:\/\//, "");
      const isDocker = /docker|podman/.test(path);
      return { path, ask: isDocker ? dockerAsk(path) : grpcAsk(path) };
    });
    this.#timeoutMs = options.timeoutMs;
    this.#telemetry = options.telemetry;
    this.#nowMs = options.nowMs;
    this.#failures = options.telemetry.counter("backstitch_container_runtime_failures", {
      description: "Questions to a container runtime that had no answer.",
      unit: "{request}",
    });
  }

  find(id: string): RuntimeContainer | undefined {
    const known = this.#known.get(id);
    const isStale = known?.container === undefined;
    if (isStale && this.#nowMs() - (known?.atMs ?? -UNKNOWN_MS) >= UNKNOWN_MS) this.#start(id);
    return known?.container;
  }

  stop(): void {
    this.#isStopped = true;
  }

  #start(id: string): void {
    if (this.#isStopped || this.#asking.has(id) || this.#asking.size >= CONCURRENT_MAX) return;
    if (!/^[0-9a-f]{12,64}$/.test(id)) return;
    this.#asking.add(id);
    void this.#ask(id).finally(() => this.#asking.delete(id));
  }

  async #ask(id: string): Promise<void> {
    let container: RuntimeContainer | undefined;
    for (const { path, ask } of this.#runtimes) {
      try {
        container ??= await ask(id, this.#timeoutMs);
        this.#said.delete(path);
      } catch (error) {
        this.#failures.add(1);
        this.#warn(path, messageOf(error));
      }
    }
    if (this.#known.size >= KNOWN_MAX) {
      const oldest = this.#known.keys().next().value;
      if (oldest !== undefined) this.#known.delete(oldest);
    }
    this.#known.delete(id);
    this.#known.set(id, { container, atMs: this.#nowMs() });
  }

  #warn(path: string, error: string): void {
    if (this.#said.get(path) === error) return;
    this.#said.set(path, error);
    const advice = "Is the socket mounted, and may we write to it?";
    this.#telemetry.logger.warn(`The container runtime does not answer. ${advice}`, {
      path,
      error,
    });
  }
}

/** Docker's Engine API, "Inspect a container". */
function dockerAsk(socketPath: string): Ask {
  return (id, timeoutMs) =>
    new Promise((resolve, reject) => {
      const signal = AbortSignal.timeout(timeoutMs);
      const path = `/containers/${id}/json`;
      const asked = request({ socketPath, path, signal, host: "localhost" }, (response) => {
        let body = "";
        response.setEncoding("utf8");
        response.on("data", (text: string) => {
          body += text;
          if (body.length > BODY_BYTES_MAX) response.destroy(new Error("an answer is too long"));
        });
        response.on("error", reject);
        response.on("end", () => {
          if (response.statusCode === 404) resolve(undefined);
          else if (response.statusCode !== 200) reject(new Error(`status ${response.statusCode}`));
          else resolve(fromDocker(body));
        });
      });
      asked.on("error", reject).end();
    });
}

function fromDocker(body: string): RuntimeContainer {
  const found = objectOf(parseJson(body));
  const name = textOf(found["Name"]).replace(/^\//, "");
  return { name, image: textOf(objectOf(found["Config"])["Image"]) };
}

const GRPC_NOT_FOUND = 5;
const GRPC_UNIMPLEMENTED = 12;

/** The Container Runtime Interface, and where a containerd has none, its own service. */
function grpcAsk(socketPath: string): Ask {
  return async (id, timeoutMs) => {
    const cri = await unaryCall({
      socketPath,
      path: "/runtime.v1.RuntimeService/ContainerStatus",
      message: stringField(1, id),
      timeoutMs,
      headers: {},
    });
    if (cri.status === 0) return fromCri(cri.message);
    if (cri.status !== GRPC_NOT_FOUND && cri.status !== GRPC_UNIMPLEMENTED) throw cri.problem;
    for (const namespace of NAMESPACES) {
      const own = await unaryCall({
        socketPath,
        path: "/containerd.services.containers.v1.Containers/Get",
        message: stringField(1, id),
        timeoutMs,
        headers: { "containerd-namespace": namespace },
      });
      if (own.status === 0) return fromContainerd(own.message);
      if (own.status === GRPC_UNIMPLEMENTED) return undefined;
      if (own.status !== GRPC_NOT_FOUND) throw own.problem;
    }
    return undefined;
  };
}

/** ContainerStatusResponse.status (1) has metadata.name (2.1) and image.image (8.1). */
function fromCri(message: Uint8Array): RuntimeContainer {
  const status = messageIn(message, 1);
  return { name: textIn(messageIn(status, 2), 1), image: textIn(messageIn(status, 8), 1) };
}

const NAME_LABELS = ["io.kubernetes.container.name", "nerdctl/name"];

/** GetContainerResponse.container (1) has labels (2) and image (3). */
function fromContainerd(message: Uint8Array): RuntimeContainer {
  const container = messageIn(message, 1);
  const labels = new Map<string, string>();
  const reader = new FieldReader().reset(container, 0, container.length);
  while (reader.next()) {
    if (reader.field !== 2 || reader.wireType !== WIRE_BYTES) continue;
    const entry = container.subarray(reader.start, reader.stop);
    labels.set(textIn(entry, 1), textIn(entry, 2));
  }
  const name = NAME_LABELS.map((label) => labels.get(label)).find((text) => text !== undefined);
  return { name: name ?? "", image: textIn(container, 3) };
}

function messageIn(message: Uint8Array, field: number): Uint8Array {
  const reader = new FieldReader().reset(message, 0, message.length);
  while (reader.next()) {
    if (reader.field === field && reader.wireType === WIRE_BYTES) {
      return message.subarray(reader.start, reader.stop);
    }
  }
  return message.subarray(0, 0);
}

function textIn(message: Uint8Array, field: number): string {
  return Buffer.from(messageIn(message, field)).toString("utf8");
}
