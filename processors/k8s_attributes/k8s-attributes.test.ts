// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { JsonObject } from "../../src/kubernetes/json.ts";
import { ScriptedApi } from "../../src/kubernetes/testing/scripted-api.ts";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import { configSchema } from "./config.ts";
import {
  type Attributes,
  CART,
  CART_ID,
  changed,
  create,
  OLD_ID,
  running,
  shop,
} from "./testing/shop.ts";

test("a container's id leads to pod, workload, node and image", async (context) => {
  const { send } = await running(context);
  const { resource } = await send({ "container.id": CART_ID });
  assert.deepEqual(resource, {
    "container.id": CART_ID,
    "k8s.pod.name": "cart-6d5f8c9b7-x2x4z",
    "k8s.pod.uid": "uid-cart",
    "k8s.pod.start_time": "2026-01-01T00:00:00Z",
    "k8s.deployment.name": "cart",
    "k8s.namespace.name": "shop",
    "k8s.node.name": "node-a",
    "k8s.container.name": "app",
    "container.image.name": "registry.example:5000/shop/cart",
    "container.image.tag": "1.4",
  });
});

test("pod uid, pod address in both families and the sender's address lead to the pod", async (context) => {
  const { send } = await running(context);
  for (const [attributes, sender] of [
    [{ "k8s.pod.uid": "uid-cart" }],
    [{ "k8s.pod.ip": "10.1.0.7" }],
    [{ "k8s.pod.ip": "fd00::7" }],
    [{}, "10.1.0.7"],
    [{}, "::ffff:10.1.0.7"],
  ] as const) {
    const { resource } = await send(attributes, {}, sender);
    assert.equal(resource["k8s.deployment.name"], "cart", JSON.stringify(attributes));
    assert.equal(resource["k8s.container.name"], undefined, "one of two containers");
  }
  const { resource } = await send({ "k8s.pod.ip": "10.1.0.8" });
  assert.deepEqual(resource, { "k8s.pod.ip": "10.1.0.8" });
});

test("what a resource has is kept, unless overwrite names it", async (context) => {
  const body = {
    extract: { metadata: ["service.name", "k8s.namespace.name"] },
    overwrite: ["service.name"],
  };
  const { send } = await running(context, body);
  const given = { "k8s.pod.uid": "uid-cart", "service.name": "node", "k8s.namespace.name": "mine" };
  const { resource } = await send(given);
  assert.equal(resource["service.name"], "cart");
  assert.equal(resource["k8s.namespace.name"], "mine");
});

test("a rule with several sources needs all of them", async (context) => {
  const names = ["k8s.pod.name", "k8s.namespace.name"];
  const sources = names.map((name) => ({ from: "resource_attribute", name }));
  const { send, memory } = await running(context, { pod_association: [{ sources }] });
  const name = "cart-6d5f8c9b7-x2x4z";
  const whole = await send({ "k8s.pod.name": name, "k8s.namespace.name": "shop" });
  assert.equal(whole.resource["k8s.pod.uid"], "uid-cart");
  for (const part of [{ "k8s.pod.name": name }, { "k8s.pod.uid": "uid-cart" }]) {
    assert.deepEqual((await send(part)).resource, part);
  }
  const series = (result: string): string =>
    `otelcol_processor_k8sattributes_pod_association_${result}{otel_signal="traces",processor="k8s_attributes"}`;
  assert.equal(await memory.value(series("success")), 1);
  assert.equal(await memory.value(series("error")), 2);
});

test("labels and annotations become attributes by key, by pattern and with groups", async (context) => {
  const extract = {
    metadata: [],
    otel_annotations: true,
    labels: [
      { key: "app" },
      { tag_name: "$1", key_regex: "example\\.com/(.*)" },
      { key: "zone", from: "node", tag_name: "zone" },
      { key: "env", from: "namespace" },
      { key: "tier", from: "deployment" },
    ],
    annotations: [{ key: "example.com/owner", from: "pod" }],
  };
  const { send, api } = await running(context, { extract }, (put) => {
    shop(put);
    put.put("nodes", { metadata: { name: "node-a", uid: "n", labels: { zone: "z1" } } });
    put.put("namespaces", { metadata: { name: "shop", uid: "ns", labels: { env: "prod" } } });
    put.put("deployments", { metadata: { name: "cart", uid: "uid-dep", labels: { tier: "t" } } });
  });
  const { resource } = await send({ "k8s.pod.uid": "uid-cart" });
  assert.deepEqual(resource, {
    "k8s.pod.uid": "uid-cart",
    "k8s.pod.label.app": "cart",
    team: "blue",
    "k8s.pod.annotation.example.com/owner": "kim",
    "k8s.deployment.label.tier": "t",
    "k8s.namespace.label.env": "prod",
    zone: "z1",
    tier: "gold",
  });
  const asked = new Set(api.asked.map(({ path }) => path));
  assert.deepEqual([...asked].sort(), [
    "/api/v1/namespaces",
    "/api/v1/nodes",
    "/api/v1/pods",
    "/apis/apps/v1/deployments",
    "/apis/apps/v1/replicasets",
  ]);
});

test("service attributes follow the conventions' rules for Kubernetes", async (context) => {
  const metadata = ["service.name", "service.namespace", "service.version", "service.instance.id"];
  const { send, api } = await running(context, { extract: { metadata } });
  const cart = await send({ "container.id": CART_ID });
  assert.deepEqual(cart.resource, {
    "container.id": CART_ID,
    "service.name": "cart",
    "service.namespace": "shop",
    "service.version": "1.4",
    "service.instance.id": "shop.cart-6d5f8c9b7-x2x4z.app",
  });
  const labels = { "app.kubernetes.io/instance": "cart-blue", "app.kubernetes.io/version": "2.0" };
  api.put("pods", {
    metadata: { name: "p", namespace: "shop", uid: "u", labels },
    spec: { containers: [{ name: "c", image: "i" }] },
  });
  await changed(send, { "k8s.pod.uid": "u" }, "service.name");
  const labelled = await send({ "k8s.pod.uid": "u" });
  assert.equal(labelled.resource["service.name"], "cart-blue");
  assert.equal(labelled.resource["service.version"], "2.0");
});

test("jobs, their CronJob, and a Deployment from its ReplicaSet's name need no more watches", async (context) => {
  const extract = {
    metadata: ["k8s.job.name", "k8s.cronjob.name", "k8s.deployment.name", "k8s.pod.hostname"],
    deployment_name_from_replicaset: true,
  };
  const { send, api } = await running(context, { extract }, (put) => {
    put.put("pods", CART);
    put.put("pods", {
      metadata: {
        name: "backup-28123456-abcde",
        uid: "uid-job-pod",
        ownerReferences: [{ kind: "Job", name: "backup-28123456", uid: "j", controller: true }],
      },
    });
  });
  assert.deepEqual((await send({ "k8s.pod.uid": "uid-job-pod" })).resource, {
    "k8s.pod.uid": "uid-job-pod",
    "k8s.pod.hostname": "backup-28123456-abcde",
    "k8s.job.name": "backup-28123456",
    "k8s.cronjob.name": "backup",
  });
  const cart = await send({ "k8s.pod.uid": "uid-cart" });
  assert.equal(cart.resource["k8s.deployment.name"], "cart");
  assert.deepEqual([...new Set(api.asked.map(({ path }) => path))], ["/api/v1/pods"]);
});

test("a pod's only container is it without an id, and before the API knows the id", async (context) => {
  const { send } = await running(context, {}, (put) => {
    put.put("pods", {
      metadata: { name: "young", uid: "uid-young" },
      spec: { containers: [{ name: "app", image: "a:1" }], initContainers: [{ name: "init" }] },
    });
    put.put("pods", {
      metadata: { name: "grown", uid: "uid-grown" },
      spec: { containers: [{ name: "app", image: "a:1" }] },
      status: { containerStatuses: [{ name: "app", containerID: `containerd://${CART_ID}` }] },
    });
  });
  const nameFor = async (resource: Attributes): Promise<unknown> =>
    (await send(resource)).resource["k8s.container.name"];
  assert.equal(await nameFor({ "k8s.pod.uid": "uid-young" }), "app");
  assert.equal(await nameFor({ "k8s.pod.uid": "uid-young", "container.id": OLD_ID }), "app");
  assert.equal(await nameFor({ "k8s.pod.uid": "uid-grown" }), "app");
  assert.equal(await nameFor({ "k8s.pod.uid": "uid-grown", "container.id": OLD_ID }), undefined);
});

test("a container's earlier life is found by its id and by its restart count", async (context) => {
  const extract = { metadata: ["k8s.container.name", "container.id"] };
  const { send } = await running(context, { extract });
  const byId = await send({ "container.id": OLD_ID });
  assert.equal(byId.resource["k8s.container.name"], "app");
  const named = { "k8s.pod.uid": "uid-cart", "k8s.container.name": "app" };
  assert.equal((await send(named)).resource["container.id"], CART_ID);
  const first = await send({ ...named, "k8s.container.restart_count": "0" });
  assert.equal(first.resource["container.id"], OLD_ID);
});

test("a deleted pod still gives attributes in its grace period, and not after", async (context) => {
  const { send, api } = await running(context, { deleted_pods_grace_period: "300ms" });
  api.delete("pods", "uid-cart");
  await delay(100);
  const within = await send({ "container.id": CART_ID });
  assert.equal(within.resource["k8s.pod.uid"], "uid-cart");
  await delay(400);
  assert.deepEqual((await send({ "container.id": CART_ID })).resource, { "container.id": CART_ID });
});

test("an address that was given again is the running pod's, and the youngest's", async (context) => {
  const pod = (uid: string, phase: string, startTime: string): JsonObject => ({
    metadata: { uid, name: uid },
    status: { phase, startTime, podIP: "10.1.0.9" },
  });
  const { send, api } = await running(context, {}, (put) => {
    put.put("pods", pod("done", "Succeeded", "2026-01-03T00:00:00Z"));
    put.put("pods", pod("new", "Running", "2026-01-02T00:00:00Z"));
    put.put("pods", pod("old", "Running", "2026-01-01T00:00:00Z"));
    const host = pod("host", "Running", "2026-01-09T00:00:00Z");
    put.put("pods", { ...host, spec: { hostNetwork: true } });
  });
  const ask = { "k8s.pod.ip": "10.1.0.9" };
  assert.equal((await send(ask)).resource["k8s.pod.uid"], "new");
  api.delete("pods", "new");
  await delay(100);
  assert.equal((await send(ask)).resource["k8s.pod.uid"], "old");
});

test("filters become selectors: node from the environment, namespaces, labels and fields", async (context) => {
  const filter = {
    node_from_env_var: "NODE",
    namespace: ["shop", "pay"],
    labels: [
      { key: "a", value: "b" },
      { key: "c", op: "exists" },
      { key: "d", op: "does-not-exist" },
    ],
    fields: [{ key: "status.phase", value: "Failed", op: "not-equals" }],
  };
  const extract = { metadata: ["k8s.pod.name"] };
  const { api } = await running(context, { filter, extract });
  const first = api.asked.filter(({ query }) => !query.has("watch"));
  assert.deepEqual(first.map(({ path }) => path).sort(), [
    "/api/v1/namespaces/pay/pods",
    "/api/v1/namespaces/shop/pods",
  ]);
  assert.equal(first[0]?.query.get("labelSelector"), "a=b,c,!d");
  assert.equal(first[0]?.query.get("fieldSelector"), "status.phase!=Failed,spec.nodeName=node-a");
});

test("excluded pods give nothing", async (context) => {
  const { send } = await running(context, { exclude: { pods: [{ name: "^cart-" }] } });
  const asked = { "container.id": CART_ID };
  assert.deepEqual((await send(asked)).resource, asked);
});

test("wait_for_metadata fails the start with what is missing", async (context) => {
  const api = await ScriptedApi.start();
  context.after(() => api.stop());
  api.refusals.set("replicasets", { status: 403, message: "forbidden by the test" });
  const processor = create(api, createMemoryTelemetry(), {
    wait_for_metadata: true,
    wait_for_metadata_timeout: "200ms",
  });
  context.after(() => processor.shutdown(AbortSignal.timeout(1_000)));
  await assert.rejects(
    processor.start({ extension: () => undefined, fatal: () => undefined }),
    /no Kubernetes metadata within 200 ms.*get, list, watch on replicasets in API group "apps"/,
  );
});

test("without an answer of the API data passes as it is", async (context) => {
  const { send, api } = await running(context, { wait_for_metadata: false }, (put) => {
    put.refusals.set("pods", { status: 503, message: "starting" });
  });
  assert.deepEqual((await send({ "container.id": "x" })).resource, { "container.id": "x" });
  await delay(50);
  assert.ok(api.asked.length > 0);
  assert.deepEqual((await send({ "container.id": "x" })).resource, { "container.id": "x" });
});

test("passthrough adds the sender's address and does not ask the API", async (context) => {
  const { send, api } = await running(context, { passthrough: true });
  const { resource } = await send({ a: "b" }, {}, "10.1.0.7");
  assert.deepEqual(resource, { a: "b", "k8s.pod.ip": "10.1.0.7" });
  assert.equal(api.asked.length, 0);
});

test("the other end of a span is named: pod by address, service by its virtual address", async (context) => {
  const { send, api } = await running(context, { peer: { enabled: true } }, (put) => {
    shop(put);
    put.put("services", {
      metadata: { name: "pay", namespace: "money", uid: "uid-pay" },
      spec: { clusterIP: "10.96.0.8", clusterIPs: ["10.96.0.8"] },
    });
  });
  const address = (text: string): Attributes => ({ "network.peer.address": text });
  const pod = await send({}, address("10.1.0.7"));
  assert.deepEqual(pod.span, {
    "network.peer.address": "10.1.0.7",
    "service.peer.name": "cart",
    "peer.service": "cart",
    "service.peer.namespace": "shop",
    "peer.k8s.pod.name": "cart-6d5f8c9b7-x2x4z",
    "peer.k8s.pod.uid": "uid-cart",
    "peer.k8s.pod.start_time": "2026-01-01T00:00:00Z",
    "peer.k8s.deployment.name": "cart",
    "peer.k8s.namespace.name": "shop",
    "peer.k8s.node.name": "node-a",
  });
  const service = await send({}, address("10.96.0.8"));
  assert.equal(service.span["service.peer.name"], "pay");
  assert.equal(service.span["peer.k8s.service.name"], "pay");
  assert.deepEqual((await send({}, address("192.0.2.1"))).span, address("192.0.2.1"));
  const known = { ...address("10.1.0.7"), "service.peer.name": "by the SDK" };
  assert.deepEqual((await send({}, known)).span, known);
  api.delete("services", "uid-pay");
  await delay(100);
  assert.deepEqual((await send({}, address("10.96.0.8"))).span, address("10.96.0.8"));
});

test("without Kubernetes the host's runtime gives a container's name and image", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "backstitch-docker-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "docker.sock");
  const docker = createServer((_, response) => {
    response.end(JSON.stringify({ Name: "/web", Config: { Image: "nginx:1.29" } }));
  });
  await new Promise<void>((resolve) => docker.listen(path, resolve));
  context.after(() => {
    docker.close();
  });
  const endpoints = [`unix://${path}`];
  const { send, api } = await running(context, {
    auth_type: "none",
    container_runtime: { endpoints },
  });
  const asked = { "container.id": CART_ID };
  await changed(send, asked, "container.name");
  assert.deepEqual((await send(asked)).resource, {
    ...asked,
    "container.name": "web",
    "container.image.name": "nginx",
    "container.image.tags": ["1.29"],
  });
  assert.equal(api.asked.length, 0);
});

test("configurations that cannot work are refused with what to do", () => {
  const messageOf = (body: object): string =>
    configSchema
      .safeParse(body)
      .error?.issues.map(({ message }) => message)
      .join() ?? "";
  assert.match(messageOf({ extract: { metadata: ["pod.name"] } }), /is not one of.*k8s\.pod\.name/);
  assert.match(messageOf({ extract: { labels: [{ tag_name: "a" }] } }), /needs key or key_regex/);
  const sources = [{ from: "connection", name: "k8s.pod.ip" }];
  assert.match(messageOf({ pod_association: [{ sources }] }), /connection has none/);
  assert.match(messageOf({ exclude: { pods: [{ name: "(" }] } }), /regular expression/i);
});
