// SPDX-License-Identifier: Apache-2.0
/** `k8s_attributes` on a real kube-apiserver, with the rights of `deploy/kubernetes` and no others. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Subject } from "rxjs";
import { parse } from "yaml";
import { configSchema } from "../../processors/k8s_attributes/config.ts";
import { createK8sAttributesProcessor } from "../../processors/k8s_attributes/k8s-attributes.ts";
import { configSchema as natSchema } from "../../processors/nat_rewrite/config.ts";
import { ServiceWatcher } from "../../processors/nat_rewrite/service-watcher.ts";
import type { Processor } from "../../src/component/component.ts";
import { addressText, readAddressText } from "../../src/conntrack/nat-entry.ts";
import { Lookup } from "../../src/conntrack/nat-table.ts";
import { ApiClient, ApiStatusError } from "../../src/kubernetes/api-client.ts";
import { clusterAccess, type Surroundings } from "../../src/kubernetes/credentials.ts";
import { INFORMER_TIMES } from "../../src/kubernetes/informer.ts";
import { type JsonObject, listOf, objectOf, textOf } from "../../src/kubernetes/json.ts";
import type { Batch } from "../../src/model/batch.ts";
import { fromOtlpJson } from "../../src/pdata/json-decode.ts";
import { toOtlpJson } from "../../src/pdata/json-encode.ts";
import { REQUESTS } from "../../src/pdata/requests.ts";
import {
  createMemoryTelemetry,
  type MemoryTelemetry,
} from "../../src/telemetry/memory-telemetry.ts";
import { eventually } from "../support/eventually.ts";
import { type ApiServer, startApiServer } from "./api-server.ts";
import { ALL_VALUES, allObjects, chartObjects, configIn, objectsIn, pathOf } from "./manifests.ts";

const AGENT = "system:serviceaccount:backstitch:backstitch-agent";
const NOBODY = "nobody";
const NAT = "nat";
const HOST = { extension: () => undefined, fatal: () => undefined };

let server: ApiServer;

before(async () => {
  server = await startApiServer([AGENT, NOBODY, NAT]);
  for (const object of [...objectsIn("namespace.yaml"), ...objectsIn("rbac.yaml")]) {
    await apply(object);
  }
  await create("/api/v1/namespaces", { metadata: { name: "shop" } });
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
});

async function apply(object: JsonObject, query = ""): Promise<void> {
  const path = `${pathOf(object)}?fieldManager=test&fieldValidation=Strict${query}`;
  const { status, body } = await server.call("PATCH", path, JSON.stringify(object));
  assert.ok(status === 200 || status === 201, `${path}: ${status} ${textOf(body["message"])}`);
}

async function create(path: string, object: JsonObject): Promise<JsonObject> {
  const { status, body } = await server.call("POST", path, object);
  assert.equal(status, 201, textOf(body["message"]));
  return objectOf(body["metadata"]);
}

const PODS = "/api/v1/namespaces/shop/pods";

interface PodOptions {
  readonly name: string;
  readonly ip: string;
  readonly owner?: JsonObject;
}

/** A pod that runs, as a kubelet would report it; gives its uid. */
async function createPod({ name, ip, owner }: PodOptions): Promise<string> {
  const meta = await create(PODS, {
    metadata: { name, ...(owner && { ownerReferences: [owner] }) },
    spec: { nodeName: "node-a", containers: [{ name: "app", image: "registry/shop/cart:1.4" }] },
  });
  const containerID = `containerd://${containerId(ip)}`;
  const { status } = await server.call(
    "PATCH",
    `${PODS}/${name}/status?fieldManager=kubelet&force=true`,
    JSON.stringify({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, namespace: "shop" },
      status: {
        phase: "Running",
        podIP: ip,
        podIPs: [{ ip }],
        startTime: "2026-01-01T00:00:00Z",
        containerStatuses: [
          {
            name: "app",
            image: "registry/shop/cart:1.4",
            imageID: "",
            ready: true,
            restartCount: 0,
            containerID,
          },
        ],
      },
    }),
  );
  assert.equal(status, 200);
  return textOf(meta["uid"]);
}

function containerId(ip: string): string {
  return Buffer.from(ip).toString("hex").padStart(64, "0");
}

function surroundings(user: string): Surroundings {
  return {
    env: { KUBECONFIG: "config", K8S_NODE_NAME: "node-a" },
    readFile: () => server.kubeConfig(user),
    nowMs: () => performance.now(),
  };
}

interface Running {
  readonly processor: Processor;
  readonly memory: MemoryTelemetry;
  ask(id: string): Readonly<Record<string, string>>;
  until(id: string, isEnough: (found: Readonly<Record<string, string>>) => boolean): Promise<void>;
}

/** The processor with the body that the agent's ConfigMap has. */
function processorOf(user: string, more: JsonObject = {}): Running {
  const agent = objectOf(parse(configIn("backstitch-agent")));
  const body = objectOf(objectOf(agent["processors"])["k8s_attributes"]);
  const memory = createMemoryTelemetry();
  const processor = createK8sAttributesProcessor(
    {
      id: "k8s_attributes",
      telemetry: memory.telemetry,
      buildInfo: { version: "0" },
      signal: "traces",
      pipelineId: "traces",
    },
    configSchema.parse({ ...body, auth_type: "kubeConfig", wait_for_metadata: true, ...more }),
    {
      surroundings: surroundings(user),
      times: { ...INFORMER_TIMES, backOffMinMs: 100, backOffMaxMs: 500 },
    },
  );
  const input = new Subject<Batch>();
  const out: Batch[] = [];
  processor.process(input).subscribe((batch) => out.push(batch));
  const ask = (id: string): Readonly<Record<string, string>> => {
    input.next(batchOf(id));
    return attributesOf(out.pop());
  };
  const until: Running["until"] = async (id, isEnough) => {
    for (let tries = 0; tries < 300; tries++) {
      if (isEnough(ask(id))) return;
      await delay(50);
    }
    assert.fail(`not within 15 s: ${JSON.stringify(ask(id))}`);
  };
  return { processor, memory, ask, until };
}

function batchOf(id: string): Batch {
  const attributes = [{ key: "container.id", value: { stringValue: id } }];
  const request = { resourceSpans: [{ resource: { attributes }, scopeSpans: [{ spans: [{}] }] }] };
  const encoded = fromOtlpJson(REQUESTS.traces.request, JSON.stringify(request));
  assert.ok(encoded.ok);
  const { bytes } = encoded;
  return { signal: "traces", chunks: [bytes], items: 1, bytes: bytes.length };
}

function attributesOf(batch: Batch | undefined): Readonly<Record<string, string>> {
  const decoded = toOtlpJson(REQUESTS.traces.request, Buffer.concat(batch?.chunks ?? []));
  assert.ok(decoded.ok);
  const [first] = listOf(objectOf(JSON.parse(decoded.json))["resourceSpans"]).map(objectOf);
  const list = listOf(objectOf(first?.["resource"])["attributes"]).map(objectOf);
  return Object.fromEntries(
    list.map(({ key, value }) => [textOf(key), textOf(objectOf(value)["stringValue"])]),
  );
}

test("a real API server takes every manifest and the chart's objects in a strict dry run", async () => {
  const objects = [...allObjects(), ...chartObjects([]), ...chartObjects(ALL_VALUES)];
  assert.ok(objects.length >= 25);
  for (const object of objects) await apply(object, "&dryRun=All&force=true");
});

test("with the rights of the manifests a pod has all its names, and its deletion is told", async (context) => {
  const set = "/apis/apps/v1/namespaces/shop/replicasets";
  const labels = { app: "cart" };
  const owner = { apiVersion: "apps/v1", kind: "Deployment", name: "cart", uid: "d-1" };
  const { uid } = await create(set, {
    metadata: { name: "cart-6d5f8c9b7", ownerReferences: [{ ...owner, controller: true }] },
    spec: {
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: "app", image: "x" }] } },
    },
  });
  const own = {
    apiVersion: "apps/v1",
    kind: "ReplicaSet",
    name: "cart-6d5f8c9b7",
    uid,
    controller: true,
  };
  const podUid = await createPod({ name: "cart-6d5f8c9b7-abcde", ip: "10.1.0.7", owner: own });
  const { processor, ask, until, memory } = processorOf(AGENT, { deleted_pods_grace_period: "1s" });
  context.after(() => processor.shutdown(AbortSignal.timeout(1_000)));
  await processor.start(HOST);
  assert.deepEqual(ask(containerId("10.1.0.7")), {
    "container.id": containerId("10.1.0.7"),
    "k8s.pod.name": "cart-6d5f8c9b7-abcde",
    "k8s.pod.uid": podUid,
    "k8s.deployment.name": "cart",
    "k8s.namespace.name": "shop",
    "k8s.node.name": "node-a",
    "service.name": "cart",
    "service.namespace": "shop",
    "k8s.container.name": "app",
    "container.image.name": "registry/shop/cart",
    "container.image.tag": "1.4",
  });
  await createPod({ name: "late", ip: "10.1.0.8" });
  await until(containerId("10.1.0.8"), (found) => found["k8s.pod.name"] === "late");
  await server.call("DELETE", `${PODS}/late?gracePeriodSeconds=0`);
  await until(containerId("10.1.0.8"), (found) => found["k8s.pod.name"] === undefined);
  assert.deepEqual(memory.lines, [], "no warnings");
});

test("each right that the manifests give is used", async (context) => {
  const rules = objectsIn("rbac.yaml")
    .filter((object) => object["kind"] === "ClusterRole")
    .flatMap((role) => listOf(role["rules"]).map(objectOf));
  const granted = rules.flatMap((rule) => listOf(rule["resources"]).map(String));
  const { processor, memory } = processorOf(AGENT);
  context.after(() => processor.shutdown(AbortSignal.timeout(1_000)));
  await processor.start(HOST);
  const used = [...(await memory.scrape()).matchAll(/informer_lists\{.*resource="(\w+)"/g)];
  assert.deepEqual([...new Set(used.map((match) => match[1]))].sort(), granted.sort());
});

test("a Service's cluster address and NodePort are the endpoint that a real API server tells", async (context) => {
  const rights = [
    { apiGroups: [""], resources: ["services", "nodes"], verbs: ["get", "list", "watch"] },
    {
      apiGroups: ["discovery.k8s.io"],
      resources: ["endpointslices"],
      verbs: ["get", "list", "watch"],
    },
  ];
  const rbac = "/apis/rbac.authorization.k8s.io/v1";
  await create(`${rbac}/clusterroles`, { metadata: { name: NAT }, rules: rights });
  await create(`${rbac}/clusterrolebindings`, {
    metadata: { name: NAT },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: NAT },
    subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: NAT }],
  });
  const { memory, watcher } = watchServices();
  context.after(() => watcher.stop());
  const { status, body } = await server.call("POST", "/api/v1/namespaces/shop/services", {
    metadata: { name: "stock" },
    spec: { type: "NodePort", ports: [{ name: "http", port: 80, targetPort: 8080 }] },
  });
  assert.equal(status, 201);
  const spec = objectOf(body["spec"]);
  const [port] = listOf(spec["ports"]).map(objectOf);
  await create("/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices", {
    metadata: { name: "stock-1", labels: { "kubernetes.io/service-name": "stock" } },
    addressType: "IPv4",
    endpoints: [{ addresses: ["10.1.0.77"] }],
    ports: [{ name: "http", port: 8080 }],
  });
  await create("/api/v1/nodes", { metadata: { name: "node-n" } });
  const node = { apiVersion: "v1", kind: "Node", metadata: { name: "node-n" } };
  await server.call(
    "PATCH",
    "/api/v1/nodes/node-n/status?fieldManager=kubelet&force=true",
    JSON.stringify({
      ...node,
      status: { addresses: [{ type: "InternalIP", address: "10.0.0.9" }] },
    }),
  );
  for (const [address, at] of [
    [textOf(spec["clusterIP"]), 80],
    ["10.0.0.9", Number(port?.["nodePort"])],
  ] as const) {
    const answer = await eventually(
      async () => whoAnswers(watcher, address, at),
      (text) => text === "10.1.0.77 8080",
      30_000,
    );
    assert.equal(answer, "10.1.0.77 8080");
  }
  assert.deepEqual(memory.lines, [], "no warnings");
});

function watchServices(): { readonly memory: MemoryTelemetry; readonly watcher: ServiceWatcher } {
  const memory = createMemoryTelemetry();
  const { kubernetes: config } = natSchema.parse({
    kubernetes: { enabled: true, auth_type: "kubeConfig" },
  });
  const { telemetry } = memory;
  const watcher = new ServiceWatcher(
    { config, telemetry, id: "nat_rewrite", nowMs: Date.now },
    { surroundings: surroundings(NAT), times: INFORMER_TIMES },
  );
  watcher.start();
  return { memory, watcher };
}

/** Of a span some time from now: what is heard of last. */
function whoAnswers(watcher: ServiceWatcher, address: string, port: number): string {
  const lookup = new Lookup();
  lookup.startNs = (Date.now() + 60_000) * 1e6;
  lookup.protocol = 6;
  const words = new Int32Array(4);
  const bytes = Buffer.from(address);
  assert.ok(readAddressText(bytes, 0, bytes.length, words, 0));
  const resolution = watcher.endpoints.resolve(words, 0, port, lookup);
  return resolution === "found" ? `${addressText(lookup.real, 0)} ${lookup.realPort}` : resolution;
}

test("a user without rights is told which to give", async (context) => {
  const { processor } = processorOf(NOBODY, { wait_for_metadata_timeout: "500ms" });
  context.after(() => processor.shutdown(AbortSignal.timeout(1_000)));
  await assert.rejects(processor.start(HOST), (error) => {
    assert.ok(error instanceof Error);
    for (const resource of ["pods", "replicasets", "services"]) {
      assert.match(error.message, new RegExp(`get, list, watch on ${resource} in API group`));
    }
    assert.match(error.message, /User \\?"nobody\\?" cannot list resource/);
    return true;
  });
});

test("a version that is forgotten is 410 Gone, as the informer reads it", async (context) => {
  const client = new ApiClient(
    clusterAccess({ authType: "kubeConfig", context: "" }, surroundings(AGENT)),
  );
  context.after(() => client.close());
  // The watch cache begins anew, so that version 1 is before all it knows.
  await server.restart();
  let code = 0;
  const request = {
    path: `${PODS}?watch=true&resourceVersion=1&timeoutSeconds=2`,
    accept: "application/json",
    signal: AbortSignal.timeout(10_000),
    silenceMaxMs: 10_000,
  };
  try {
    await client.lines(request, (line) => {
      const event = objectOf(JSON.parse(line));
      if (event["type"] === "ERROR") code = Number(objectOf(event["object"])["code"]);
    });
  } catch (error) {
    assert.ok(error instanceof ApiStatusError, String(error));
    code = error.status;
  }
  assert.equal(code, 410);
});

test("pods from before, during and after a restart of the API server are known", async (context) => {
  await createPod({ name: "before", ip: "10.1.1.1" });
  const { processor, ask, until, memory } = processorOf(AGENT);
  context.after(() => processor.shutdown(AbortSignal.timeout(1_000)));
  await processor.start(HOST);
  await server.restart();
  await createPod({ name: "after", ip: "10.1.1.2" });
  await server.call("DELETE", `${PODS}/before?gracePeriodSeconds=0`);
  await until(containerId("10.1.1.2"), (found) => found["k8s.pod.name"] === "after");
  assert.equal(ask(containerId("10.1.1.1"))["k8s.pod.name"], "before", "in its grace period");
  const events = 'backstitch_k8s_informer_events{change="deleted",namespace="",resource="pods"}';
  const deleted = await eventually(
    () => memory.value(events),
    (count) => count === 1,
  );
  assert.equal(deleted, 1);
  const said = memory.lines.map(({ message }) => message);
  assert.ok(
    said.some((message) => message === "The Kubernetes API answers again."),
    said.join(),
  );
});
