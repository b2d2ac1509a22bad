// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { type JsonObject, objectOf } from "../../src/kubernetes/json.ts";
import { ScriptedApi } from "../../src/kubernetes/testing/scripted-api.ts";

const PODS = 10_000;
const MIB = 1024 * 1024;

/** A pod of some 4 KB, as they are with probes, mounts and managed fields. */
function pod(at: number): JsonObject {
  const name = `shop-${at % 400}-6d5f8c9b7-${at.toString(36).padStart(5, "0")}`;
  const id = at.toString(16).padStart(64, "0");
  const uid = `00000000-0000-4000-8000-${at.toString(16).padStart(12, "0")}`;
  const mounts = Array.from({ length: 6 }, (_, nth) => ({
    name: `volume-${nth}`,
    mountPath: `/var/run/secrets/example.com/mount-${nth}`,
    readOnly: true,
  }));
  return {
    metadata: {
      name,
      uid,
      namespace: `team-${at % 40}`,
      labels: { app: `shop-${at % 400}`, "pod-template-hash": "6d5f8c9b7" },
      annotations: { "example.com/config": "x".repeat(600) },
      managedFields: [{ manager: "kubelet", fieldsV1: { "f:status": "x".repeat(1_500) } }],
      ownerReferences: [
        { kind: "ReplicaSet", name: `shop-${at % 400}-6d5f8c9b7`, uid: "r", controller: true },
      ],
    },
    spec: {
      nodeName: `node-${at % 100}`,
      volumes: mounts.map(({ name: volume }) => ({ name: volume, secret: { secretName: volume } })),
      containers: [{ name: "app", image: `registry.example/shop:${at % 7}`, volumeMounts: mounts }],
    },
    status: {
      phase: "Running",
      podIP: `10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`,
      startTime: "2026-01-01T00:00:00Z",
      containerStatuses: [{ name: "app", restartCount: 0, containerID: `containerd://${id}` }],
    },
  };
}

test("10,000 pods are known within five seconds of CPU, and cost less than 100 MB", async (context) => {
  const api = await ScriptedApi.start();
  context.after(() => api.stop());
  for (let at = 0; at < PODS; at++) api.put("pods", pod(at));
  const folder = mkdtempSync(join(tmpdir(), "backstitch-scale-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const config = join(folder, "config");
  writeFileSync(config, api.kubeConfig);
  // As bin/backstitch starts the agent.
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [
      "--max-semi-space-size=4",
      "--initial-old-space-size=64",
      join(import.meta.dirname, "watch-main.ts"),
    ],
    { env: { ...process.env, KUBECONFIG: config, NODE_TEST_CONTEXT: undefined } },
  );
  const { elapsedMs, cpuMs, objects, rssBeforeBytes, rssBytes } = objectOf(JSON.parse(stdout));
  const addedBytes = Number(rssBytes) - Number(rssBeforeBytes);
  const said = `${elapsedMs} ms, CPU ${cpuMs} ms, ${addedBytes / MIB} MiB more`;
  context.diagnostic(said);
  assert.equal(objects, PODS);
  assert.ok(Number(cpuMs) < 5_000, said);
  assert.ok(addedBytes < 100e6, said);
});
