// SPDX-License-Identifier: Apache-2.0
/** What can be known of `deploy/` without a container engine. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { loadConfig } from "../../src/config/load.ts";
import { listOf, objectOf } from "../../src/kubernetes/json.ts";
import { FACTORIES } from "../../src/registry.ts";
import { allObjects, configIn, DEPLOY, nameOf, objectsIn } from "./manifests.ts";

test("the configurations in the manifests are valid", () => {
  for (const name of ["backstitch-agent", "backstitch-gateway"]) {
    const text = configIn(name);
    assert.notEqual(text, "");
    const { config } = loadConfig({
      uris: [`yaml:${text}`],
      sets: [],
      env: { OTLP_ENDPOINT: "backend:4317" },
      readFile: () => "",
      factories: FACTORIES,
    });
    assert.ok(config.processors.size > 0);
  }
});

test("what a manifest refers to is there", () => {
  const objects = allObjects();
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
});

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
