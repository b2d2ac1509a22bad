// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Subject } from "rxjs";
import type { Processor } from "../../../src/component/component.ts";
import { INFORMER_TIMES } from "../../../src/kubernetes/informer.ts";
import type { JsonObject } from "../../../src/kubernetes/json.ts";
import { ScriptedApi } from "../../../src/kubernetes/testing/scripted-api.ts";
import type { Batch } from "../../../src/model/batch.ts";
import { fromOtlpJson } from "../../../src/pdata/json-decode.ts";
import { toOtlpJson } from "../../../src/pdata/json-encode.ts";
import { REQUESTS } from "../../../src/pdata/requests.ts";
import {
  createMemoryTelemetry,
  type MemoryTelemetry,
} from "../../../src/telemetry/memory-telemetry.ts";
import { configSchema } from "../config.ts";
import { createK8sAttributesProcessor } from "../k8s-attributes.ts";

export const CART_ID: string = "1".repeat(64);
export const OLD_ID: string = "0".repeat(64);
const PROXY_ID = "2".repeat(64);

/** A pod as the API gives it (kubernetes.io/docs/reference, Pod v1). */
export const CART: JsonObject = {
  metadata: {
    name: "cart-6d5f8c9b7-x2x4z",
    namespace: "shop",
    uid: "uid-cart",
    labels: { app: "cart", "pod-template-hash": "6d5f8c9b7", "example.com/team": "blue" },
    annotations: { "example.com/owner": "kim", "resource.opentelemetry.io/tier": "gold" },
    ownerReferences: [
      { kind: "ReplicaSet", name: "cart-6d5f8c9b7", uid: "uid-rs", controller: true },
    ],
  },
  spec: {
    nodeName: "node-a",
    containers: [
      { name: "app", image: "registry.example:5000/shop/cart:1.4" },
      { name: "proxy", image: "envoy@sha256:abc" },
    ],
  },
  status: {
    phase: "Running",
    podIP: "10.1.0.7",
    podIPs: [{ ip: "10.1.0.7" }, { ip: "fd00::7" }],
    startTime: "2026-01-01T00:00:00Z",
    containerStatuses: [
      {
        name: "app",
        restartCount: 1,
        containerID: `containerd://${CART_ID}`,
        imageID: "registry.example:5000/shop/cart@sha256:feed",
        lastState: { terminated: { containerID: `containerd://${OLD_ID}` } },
      },
      { name: "proxy", restartCount: 0, containerID: `containerd://${PROXY_ID}` },
    ],
  },
};
const REPLICA_SET: JsonObject = {
  metadata: {
    name: "cart-6d5f8c9b7",
    namespace: "shop",
    uid: "uid-rs",
    ownerReferences: [{ kind: "Deployment", name: "cart", uid: "uid-dep", controller: true }],
  },
};

export interface Running {
  readonly api: ScriptedApi;
  readonly processor: Processor;
  readonly memory: MemoryTelemetry;
  send(resource: Attributes, span?: Attributes, sender?: string): Promise<Sent>;
}
export type Attributes = Readonly<Record<string, string>>;
interface Sent {
  readonly resource: Readonly<Record<string, unknown>>;
  readonly span: Readonly<Record<string, unknown>>;
}

export async function running(
  context: TestContext,
  body: JsonObject = {},
  put: (api: ScriptedApi) => void = shop,
): Promise<Running> {
  const api = await ScriptedApi.start();
  context.after(() => api.stop());
  put(api);
  const memory = createMemoryTelemetry();
  const processor = create(api, memory, { wait_for_metadata: true, ...body });
  context.after(() => processor.shutdown(AbortSignal.timeout(1_000)));
  await processor.start({ extension: () => undefined, fatal: () => undefined });
  const input = new Subject<Batch>();
  const out: Batch[] = [];
  processor.process(input).subscribe((batch) => out.push(batch));
  return {
    api,
    processor,
    memory,
    send: async (resource, span = {}, sender = undefined) => {
      input.next({ ...batchOf(resource, span), ...(sender && { sender }) });
      return sentOf(out.pop());
    },
  };
}

export function create(api: ScriptedApi, memory: MemoryTelemetry, body: JsonObject): Processor {
  const env = { KUBECONFIG: "config", NODE: "node-a" };
  const surroundings = { env, readFile: () => api.kubeConfig, nowMs: () => 0 };
  return createK8sAttributesProcessor(
    {
      id: "k8s_attributes",
      telemetry: memory.telemetry,
      buildInfo: { version: "0" },
      signal: "traces",
      pipelineId: "traces",
    },
    configSchema.parse({ auth_type: "kubeConfig", ...body }),
    { surroundings, times: { ...INFORMER_TIMES, backOffMinMs: 20, backOffMaxMs: 40 } },
  );
}

export function shop(api: ScriptedApi): void {
  api.put("pods", CART);
  api.put("replicasets", REPLICA_SET);
}

function batchOf(resource: Attributes, span: Attributes): Batch {
  const list = (attributes: Attributes): object[] =>
    Object.entries(attributes).map(([key, stringValue]) => ({ key, value: { stringValue } }));
  const request = {
    resourceSpans: [
      {
        resource: { attributes: list(resource) },
        scopeSpans: [{ spans: [{ name: "s", attributes: list(span) }] }],
      },
    ],
  };
  const encoded = fromOtlpJson(REQUESTS.traces.request, JSON.stringify(request));
  assert.ok(encoded.ok);
  const { bytes } = encoded;
  return { signal: "traces", chunks: [bytes], items: 1, bytes: bytes.length };
}

function sentOf(batch: Batch | undefined): Sent {
  const decoded = toOtlpJson(REQUESTS.traces.request, Buffer.concat(batch?.chunks ?? []));
  assert.ok(decoded.ok);
  const [first] = JSON.parse(decoded.json).resourceSpans;
  return {
    resource: flat(first.resource?.attributes),
    span: flat(first.scopeSpans[0].spans[0].attributes),
  };
}

interface Attribute {
  readonly key: string;
  readonly value: { readonly stringValue?: string; readonly arrayValue?: { values: Value[] } };
}
interface Value {
  readonly stringValue: string;
}

function flat(attributes: readonly Attribute[] = []): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [
      key,
      value.arrayValue?.values.map((one) => one.stringValue) ?? value.stringValue,
    ]),
  );
}

export async function changed(
  send: Running["send"],
  resource: Attributes,
  key: string,
): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if ((await send(resource)).resource[key] !== undefined) return;
    await delay(5);
  }
  assert.fail(`${key} did not come`);
}
