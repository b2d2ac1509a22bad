// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { createMemoryTelemetry, type MemoryTelemetry } from "../telemetry/memory-telemetry.ts";
import { ApiClient } from "./api-client.ts";
import { clusterAccess } from "./credentials.ts";
import { type ApiResource, INFORMER_TIMES, Informer, type InformerTimes } from "./informer.ts";
import { type JsonObject, objectOf, textOf } from "./json.ts";
import { ScriptedApi } from "./testing/scripted-api.ts";

const PODS: ApiResource = { name: "pods", group: "", isNamespaced: true, metadataOnly: false };
const FAST: InformerTimes = { ...INFORMER_TIMES, backOffMinMs: 20, backOffMaxMs: 40 };

function object(name: string, extra: JsonObject = {}): JsonObject {
  return { metadata: { uid: `uid-${name}`, name, namespace: "shop" }, ...extra };
}

interface Followed {
  readonly informer: Informer<string>;
  readonly names: Set<string>;
  readonly memory: MemoryTelemetry;
}

function follow(
  context: TestContext,
  api: ScriptedApi,
  options: { resource?: ApiResource; namespace?: string; times?: InformerTimes } = {},
): Followed {
  const access = clusterAccess(
    { authType: "kubeConfig", context: "" },
    { env: { KUBECONFIG: "config" }, readFile: () => api.kubeConfig, nowMs: () => 0 },
  );
  const memory = createMemoryTelemetry();
  const names = new Set<string>();
  const client = new ApiClient(access);
  const informer = new Informer<string>({
    client,
    telemetry: memory.telemetry,
    resource: options.resource ?? PODS,
    namespace: options.namespace ?? "",
    labelSelector: "",
    fieldSelector: "",
    times: options.times ?? FAST,
    decode: (item) => textOf(objectOf(item["metadata"])["name"]),
    onChange: (next, previous) => {
      if (previous !== undefined) names.delete(previous);
      if (next !== undefined) names.add(next);
    },
  });
  context.after(async () => {
    await informer.stop();
    client.close();
  });
  informer.start();
  return { informer, names, memory };
}

async function started(context: TestContext): Promise<ScriptedApi> {
  const api = await ScriptedApi.start();
  context.after(() => api.stop());
  return api;
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 5_000;
  while (!condition()) {
    if (performance.now() > end) assert.fail(`not within 5 s: ${what}`);
    await delay(5);
  }
}

test("a list of several pages is followed by a watch from its version", async (context) => {
  const api = await started(context);
  for (let at = 0; at < 1_234; at++) api.put("pods", object(`p${at}`));
  const { informer, names } = follow(context, api);
  await informer.synced;
  assert.equal(names.size, 1_234);
  const lists = api.asked.filter(({ query }) => query.get("watch") === null);
  assert.deepEqual(
    lists.map(({ query }) => query.get("limit")),
    Array(7).fill("200"),
  );
  await until(() => api.watches === 1, "a watch");
  api.put("pods", object("late"));
  api.delete("pods", "uid-p7");
  await until(() => names.has("late") && !names.has("p7"), "both changes");
  const watch = api.asked.at(-1)?.query;
  assert.equal(watch?.get("allowWatchBookmarks"), "true");
  assert.equal(watch?.get("resourceVersion"), "1334");
});

test("a watch that breaks goes on where it was, without a new list", async (context) => {
  const api = await started(context);
  api.put("pods", object("a"));
  const { names, memory } = follow(context, api);
  await until(() => api.watches === 1, "a watch");
  api.put("pods", object("b"));
  await until(() => names.has("b"), "b");
  api.breakWatches();
  api.put("pods", object("c"));
  await until(() => names.has("c"), "c, told while there was no watch");
  assert.equal(api.asked.filter(({ query }) => query.get("watch") === null).length, 1);
  assert.equal(
    await memory.value(
      'backstitch_k8s_informer_events{change="added",namespace="",resource="pods"}',
    ),
    3,
  );
});

test("a bookmark moves the version that the next watch asks for", async (context) => {
  const api = await started(context);
  api.put("pods", object("a"));
  follow(context, api);
  await until(() => api.watches === 1, "a watch");
  api.bookmark("pods");
  await delay(50);
  api.breakWatches();
  await until(() => api.watches === 1, "the next watch");
  assert.equal(api.asked.at(-1)?.query.get("resourceVersion"), "102");
});

test("410 Gone leads to a new list, and what is not in it is gone", async (context) => {
  const api = await started(context);
  api.put("pods", object("a"));
  api.put("pods", object("b"));
  const { names, memory } = follow(context, api);
  await until(() => api.watches === 1, "a watch");
  api.breakWatches();
  api.delete("pods", "uid-a");
  api.put("pods", object("c"));
  api.compact();
  await until(() => names.has("c"), "c");
  assert.deepEqual([...names].sort(), ["b", "c"]);
  const lists = 'backstitch_k8s_informer_lists{namespace="",resource="pods"}';
  assert.equal(await memory.value(lists), 2);
});

test("410 Gone as the whole of a short answer leads to a new list, too", async (context) => {
  const api = await started(context);
  api.put("pods", object("a"));
  const { names } = follow(context, api);
  await until(() => api.watches === 1, "a watch");
  for (const name of ["b", "c", "d"]) {
    api.put("pods", object(name));
    api.compact();
    api.breakWatches();
    await until(() => names.has(name) && api.watches === 1, name);
  }
});

test("a server that says nothing on a watch is given up", async (context) => {
  const api = await started(context);
  const access = clusterAccess(
    { authType: "kubeConfig", context: "" },
    { env: { KUBECONFIG: "config" }, readFile: () => api.kubeConfig, nowMs: () => 0 },
  );
  const client = new ApiClient(access);
  context.after(() => client.close());
  const { signal } = new AbortController();
  const path = "/api/v1/pods?watch=true&resourceVersion=100";
  const request = { path, accept: "application/json", signal, silenceMaxMs: 100 };
  await assert.rejects(
    client.lines(request, () => undefined),
    /no word .* for 100 ms/,
  );
});

test("what is not permitted is said with verbs, resource and namespace, once", async (context) => {
  const api = await started(context);
  const said = 'pods is forbidden: User "u" cannot list resource "pods"';
  api.refusals.set("pods", { status: 403, message: said });
  const { informer, memory } = follow(context, api, { namespace: "shop" });
  await until(() => api.asked.length >= 3, "three tries");
  assert.equal(
    informer.problem,
    "The Kubernetes API does not permit to list and watch pods in namespace shop. Give our " +
      "service account a Role in namespace shop with the verbs get, list, watch on pods in API " +
      `group "" (the server says: ${said})`,
  );
  assert.equal(memory.lines.filter(({ level }) => level === "warn").length, 1);
  assert.equal(api.asked[0]?.path, "/api/v1/namespaces/shop/pods");
  api.refusals.clear();
  await informer.synced;
  assert.equal(informer.problem, undefined);
  assert.equal(memory.lines.at(-1)?.message, "The Kubernetes API answers again.");
});

test("tries come at growing intervals, and not before the server said", async (context) => {
  const api = await started(context);
  const headers = { "retry-after": "1" };
  api.refusals.set("pods", { status: 429, message: "too many requests", headers });
  const times = { ...FAST, backOffMaxMs: 5_000 };
  follow(context, api, { times });
  await until(() => api.asked.length === 1, "the first try");
  await delay(700);
  assert.equal(api.asked.length, 1);
  await until(() => api.asked.length === 2, "the second try");
});

test("a server that is absent, then there, is found", async (context) => {
  const api = await started(context);
  const port = Number(new URL(api.url).port);
  api.put("pods", object("a"));
  await api.stop();
  const { informer, names } = follow(context, api);
  await until(() => informer.problem !== undefined, "a problem");
  assert.match(informer.problem ?? "", /cannot be asked for pods in all namespaces.*ECONNREFUSED/);
  await api.listen(port);
  await informer.synced;
  assert.deepEqual([...names], ["a"]);
});

test("a server that ends each watch at once is not asked in a loop", async (context) => {
  const api = await started(context);
  const times = { ...FAST, backOffMinMs: 200, backOffMaxMs: 400 };
  const { informer } = follow(context, api, { times });
  await informer.synced;
  const ending = setInterval(() => api.endWatches(), 1);
  context.after(() => clearInterval(ending));
  await delay(500);
  assert.ok(api.asked.length <= 5, `${api.asked.length} requests in half a second`);
});

test("of a resource with only metadata nothing else is transferred", async (context) => {
  const api = await started(context);
  const resource = { name: "replicasets", group: "apps", isNamespaced: true, metadataOnly: true };
  const { informer } = follow(context, api, { resource });
  await informer.synced;
  await until(() => api.watches === 1, "a watch");
  assert.deepEqual(
    api.asked.map(({ path, accept }) => [path, accept]),
    [
      [
        "/apis/apps/v1/replicasets",
        "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
      ],
      ["/apis/apps/v1/replicasets", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"],
    ],
  );
});

test("the lists are read again when they are older than the resync period", async (context) => {
  const api = await started(context);
  const { memory } = follow(context, api, { times: { ...FAST, resyncMs: 1 } });
  await until(() => api.watches === 1, "a watch");
  api.breakWatches();
  await until(() => api.watches === 1, "the next watch");
  const lists = 'backstitch_k8s_informer_lists{namespace="",resource="pods"}';
  assert.equal(await memory.value(lists), 2);
});
