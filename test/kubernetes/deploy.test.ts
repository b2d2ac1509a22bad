// SPDX-License-Identifier: Apache-2.0
/** What can be known of `deploy/` without a container engine. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { loadConfig } from "../../src/config/load.ts";
import { type JsonObject, listOf, objectOf } from "../../src/kubernetes/json.ts";
import { FACTORIES } from "../../src/registry.ts";
import {
  ALL_VALUES,
  allObjects,
  chartObjects,
  configIn,
  DEPLOY,
  helm,
  nameOf,
  objectsIn,
} from "./manifests.ts";

/** Loads it as the agent does; gives the text. */
function validated(text: string): string {
  assert.notEqual(text, "");
  const { config } = loadConfig({
    uris: [`yaml:${text}`],
    sets: [],
    env: { OTLP_ENDPOINT: "backend:4317" },
    readFile: () => "",
    factories: FACTORIES,
  });
  assert.ok(config.processors.size > 0);
  return text;
}

test("the configurations in the manifests are valid", () => {
  for (const name of ["backstitch-agent", "backstitch-gateway"]) validated(configIn(name));
});

test("the chart is linted, and its configurations are valid with all that it can be asked for", () => {
  assert.match(helm(["lint", "--strict"], []), /0 chart\(s\) failed/);
  for (const sets of [[], ALL_VALUES]) {
    const objects = chartObjects(sets);
    const agent = validated(configIn("shop-agent", objects));
    const gateway = validated(configIn("shop-gateway", objects));
    const isAll = sets.length > 0;
    assert.equal(agent.includes("routing_key: stitch"), isAll);
    assert.equal(agent.includes("nat_rewrite:"), isAll);
    assert.equal(gateway.includes("servicegraph:"), isAll);
    const names = objects.map(nameOf);
    assert.equal(names.includes("shop-gateway-headless"), isAll);
  }
});

test("the chart refuses values that it does not know, and takes a whole configuration", () => {
  assert.throws(() => chartObjects(["gateway.replica=2"]), /additional properties 'replica'/);
  assert.throws(() => chartObjects(["gateway.replicas=0"]), /minimum/);
  const own = chartObjects(["gateway.config.receivers.otlp.protocols.grpc.endpoint=:1234"]);
  assert.match(configIn("shop-gateway", own), /endpoint: :1234/);
});

test("the chart's agent has the manifests' rights and capabilities", () => {
  const rules = (objects: readonly JsonObject[]): unknown =>
    objects.find((object) => object["kind"] === "ClusterRole")?.["rules"];
  const container = (objects: readonly JsonObject[]): JsonObject => {
    const daemonSet = objects.find((object) => object["kind"] === "DaemonSet");
    const pod = objectOf(objectOf(objectOf(daemonSet?.["spec"])["template"])["spec"]);
    return objectOf(listOf(pod["containers"])[0]);
  };
  const chart = chartObjects([]);
  assert.deepEqual(rules(chart), rules(allObjects()));
  for (const key of ["securityContext", "volumeMounts", "livenessProbe", "env"]) {
    assert.deepEqual(container(chart)[key], container(allObjects())[key], key);
  }
});

for (const [what, objects] of [
  ["a manifest", allObjects],
  ["the chart", () => chartObjects(ALL_VALUES)],
] as const) {
  test(`what ${what} refers to is there`, () => refersToWhatIsThere(objects()));
}

function refersToWhatIsThere(objects: readonly JsonObject[]): void {
  const names = new Set(objects.map((object) => `${String(object["kind"])} ${nameOf(object)}`));
  for (const object of objects) {
    const pod = objectOf(objectOf(objectOf(object["spec"])["template"])["spec"]);
    if (pod["containers"] === undefined) continue;
    assert.ok(names.has(`ServiceAccount ${String(pod["serviceAccountName"])}`));
    const volumes = listOf(pod["volumes"]).map(objectOf);
    for (const volume of volumes.filter((one) => one["configMap"] !== undefined)) {
      assert.ok(names.has(`ConfigMap ${String(objectOf(volume["configMap"])["name"])}`));
    }
    const known = volumes.map((volume) => volume["name"]);
    for (const container of listOf(pod["containers"]).map(objectOf)) {
      for (const mount of listOf(container["volumeMounts"]).map(objectOf)) {
        assert.ok(known.includes(mount["name"]), String(mount["name"]));
      }
    }
  }
}

/** The agent's capabilities in the DaemonSet, without the prefix. */
function agentCapabilities(): readonly string[] {
  const daemonSet = objectsIn("agent.yaml").find((object) => object["kind"] === "DaemonSet");
  const pod = objectOf(objectOf(objectOf(daemonSet?.["spec"])["template"])["spec"]);
  const context = objectOf(objectOf(listOf(pod["containers"])[0])["securityContext"]);
  assert.equal(context["privileged"], false);
  assert.deepEqual(objectOf(context["capabilities"])["drop"], ["ALL"]);
  return listOf(objectOf(context["capabilities"])["add"]).map(String);
}

test("the systemd unit is accepted, and has the DaemonSet's capabilities", (context) => {
  const unit = readFileSync(join(DEPLOY, "systemd", "backstitch.service"), "utf8");
  const folder = mkdtempSync(join(tmpdir(), "backstitch-unit-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "backstitch.service");
  // What the unit starts is not installed here.
  writeFileSync(path, unit.replace(/^ExecStart=\S+/m, "ExecStart=/bin/true"));
  const said = execFileSync("systemd-analyze", ["verify", path], { encoding: "utf8" });
  assert.equal(said, "");
  for (const key of ["CapabilityBoundingSet", "AmbientCapabilities"]) {
    const line = new RegExp(`^${key}=(.*)$`, "m").exec(unit)?.[1] ?? "";
    const names = line.split(" ").map((name) => name.replace("CAP_", ""));
    assert.deepEqual(names.sort(), [...agentCapabilities()].sort());
  }
});

test("the image is made of folders that exist, and of all that the agent imports", () => {
  const dockerfile = readFileSync(join(DEPLOY, "Dockerfile"), "utf8");
  const root = join(DEPLOY, "..");
  const copied = [...dockerfile.matchAll(/^COPY --from=build \/src\/(\S+)/gm)].map(
    (match) => match[1] ?? "",
  );
  const built = new Set(["node_modules", "build/bpf"]);
  for (const path of copied) assert.ok(built.has(path) || existsSync(join(root, path)), path);
  const sources = ["src", "receivers", "processors", "connectors", "exporters", "extensions"];
  for (const folder of [...sources, "libbpf-ts", "bpf/generated"]) {
    assert.ok(copied.includes(folder), folder);
  }
  for (const line of dockerfile.split("\n").filter((text) => text.startsWith("FROM "))) {
    assert.match(line, /^FROM \S+:\S+/, "a version is named");
  }
});
