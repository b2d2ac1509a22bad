// SPDX-License-Identifier: Apache-2.0
// The kernel's own connection tracking, in a namespace of the test.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { ConntrackWatcher } from "../../src/conntrack/conntrack-watcher.ts";
import { addressText } from "../../src/conntrack/nat-entry.ts";
import { NatTable } from "../../src/conntrack/nat-table.ts";
import { look } from "../../src/conntrack/testing.ts";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import { eventually } from "../support/eventually.ts";
import { ConntrackMaker } from "./conntrack-maker.ts";

const UDP = 17;

function watch(namespaces: readonly string[], resyncMs = 60_000) {
  const { telemetry, value } = createMemoryTelemetry();
  const table = new NatTable(262_144);
  const watcher = new ConntrackWatcher({
    ...{ telemetry, id: "nat_rewrite", table, namespaces, namespacesMax: 8 },
    ...{ resyncMs, rememberMs: 60_000, nowMs: Date.now },
  });
  const count = async (name: string): Promise<number> =>
    await value(`backstitch_conntrack_${name}{processor="nat_rewrite"}`);
  return { table, watcher, count, [Symbol.dispose]: () => watcher.stop() };
}

async function listed(watched: ReturnType<typeof watch>, count: number): Promise<void> {
  const { table, watcher } = watched;
  watcher.catchUp();
  await eventually(
    async () => table.live,
    (live) => live === count && !watcher.isListing,
  );
  assert.equal(table.live, count);
}

/** Of `ConntrackMaker`'s connection 0. */
const VIEW = { from: ["10.1.0.0", 1000], to: ["10.99.0.1", 53] } as const;

test("what was there before is listed; what comes and goes is followed", async () => {
  using maker = new ConntrackMaker();
  maker.add(0, 100);
  using watched = watch([maker.path]);
  watched.watcher.start();
  await listed(watched, 100);
  const { resolution, lookup } = look(watched.table, VIEW, Date.now() * 1e6, UDP);
  assert.equal(resolution, "found");
  assert.equal(`${addressText(lookup.real, 0)} ${lookup.realPort}`, "10.2.0.0 5353");
  maker.add(100, 50);
  maker.remove(120, 10);
  watched.watcher.catchUp();
  assert.equal(watched.table.live, 140);
  assert.equal(await watched.count("events"), 60);
});

test("a connection older than the listener ends with the next listing", async () => {
  using maker = new ConntrackMaker();
  maker.add(0, 10);
  using watched = watch([maker.path], 1);
  watched.watcher.start();
  await listed(watched, 10);
  maker.remove(0, 4);
  await eventually(
    async () => watched.table.live,
    (live) => live === 6,
  );
  assert.equal(watched.table.live, 6);
});

test("when the kernel dropped events all is listed again, and it is counted", async () => {
  using maker = new ConntrackMaker();
  using watched = watch([maker.path]);
  watched.watcher.start();
  await listed(watched, 0);
  // Synchronous: nobody reads meanwhile.
  maker.add(0, 60_000);
  await listed(watched, 60_000);
  assert.ok((await watched.count("lost_events")) >= 1);
  assert.ok((await watched.count("listings")) >= 2);
});

test("a namespace that vanishes takes its connections with it; one that is missing is no error", async () => {
  using maker = new ConntrackMaker();
  maker.add(0, 10);
  using watched = watch([maker.path, "/run/netns/bstest-none"], 1);
  watched.watcher.start();
  await listed(watched, 10);
  maker.deleteNamespace();
  await eventually(
    async () => watched.watcher.size,
    (size) => size === 0,
  );
  assert.deepEqual([watched.watcher.size, watched.table.live], [0, 0]);
});

test("without the capability it is said once, and nothing else happens", () => {
  const source = (path: string): string =>
    JSON.stringify(new URL(`../../src/${path}`, import.meta.url).href);
  const script = `
    import { ConntrackWatcher } from ${source("conntrack/conntrack-watcher.ts")};
    import { NatTable } from ${source("conntrack/nat-table.ts")};
    import { createMemoryTelemetry } from ${source("telemetry/memory-telemetry.ts")};
    const { telemetry } = createMemoryTelemetry();
    const lines = [];
    const logger = { ...telemetry.logger, warn: (message) => lines.push(message) };
    const watcher = new ConntrackWatcher({
      telemetry: { ...telemetry, logger }, id: "x", table: new NatTable(1000),
      namespaces: ["self"], namespacesMax: 8, resyncMs: 1, rememberMs: 1, nowMs: Date.now });
    watcher.start(); watcher.catchUp(); watcher.catchUp(); watcher.stop();
    console.log(lines.length, watcher.size, lines[0]);`;
  const denied = ["--bounding-set=-net_admin", "--inh-caps=-net_admin", "--"];
  const node = [process.execPath, "--input-type=module", "-e", script];
  const { stdout, stderr } = spawnSync("setpriv", [...denied, ...node], { encoding: "utf8" });
  assert.match(stdout, /^1 0 Connection tracking cannot be read\. Needs CAP_NET_ADMIN/, stderr);
});
