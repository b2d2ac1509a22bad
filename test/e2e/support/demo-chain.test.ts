// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { startChain } from "../../../demo/chain.ts";
import { startTraffic } from "../../../demo/traffic.ts";
import { eventually } from "../../support/eventually.ts";
import { runLoad } from "../../support/load.ts";
import { isPortFree, listeningPorts } from "../../support/proc-net.ts";

test("the demo's chain answers through all its services and leaves nothing behind", async () => {
  const chain = await startChain(() => undefined);
  const { services } = chain;
  try {
    assert.deepEqual(
      services.map((one) => one.name),
      ["nginx", "orders", "prices", "stock"],
    );
    assert.equal(chain.ports, `${services[0]?.port}-${services.at(-1)?.port}`);
    for (const { pid, port } of services) assert.deepEqual(listeningPorts(pid), [port]);

    const traffic = startTraffic(services[0]?.port ?? 0);
    const answered = await eventually(
      async () => traffic.answered,
      (count) => count >= 2,
    );
    traffic.stop();
    assert.ok(answered >= 2);
    assert.equal(traffic.failed, 0);
  } finally {
    await chain.stop();
  }
  for (const { pid, port } of services) {
    assert.equal(existsSync(`/proc/${pid}/exe`), false);
    assert.ok(await isPortFree(port));
  }
});

test("two chains at once take different ports", async () => {
  const first = await startChain(() => undefined);
  const second = await startChain(() => undefined);
  try {
    assert.notEqual(first.ports, second.ports);
    const { statuses } = await runLoad({
      ...{ host: "127.0.0.1", port: second.services[0]?.port ?? 0, paths: ["/order/{id}"] },
      ...{ requests: 4, concurrency: 2 },
    });
    assert.deepEqual(statuses, { 200: 4 });
  } finally {
    await second.stop();
    await first.stop();
  }
});
