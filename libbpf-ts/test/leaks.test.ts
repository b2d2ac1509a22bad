// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";

import { BpfError, BpfMap, openObject, PERF_EVENT, Symbolizer } from "../src/index.ts";
import {
  buildObjects,
  kernelTest,
  libcPath,
  loadAttach,
  nextTurn,
  objectPath,
  openFdCount,
} from "./support.ts";

buildObjects();

const INDEX = new URL("../src/index.ts", import.meta.url).href;

kernelTest(
  "50 rounds of every kind of link, perf buffers and symbols leave no descriptor",
  async () => {
    const round = async (): Promise<void> => {
      const programs = ["on_trace", "on_tracepoint", "on_multi", "on_uprobe", "on_perf"];
      const loaded = loadAttach(programs);
      const inLibc = { path: libcPath(), pid: process.pid } as const;
      loaded.attach("on_trace", { kind: "trace" });
      loaded.attach("on_tracepoint");
      loaded.attach("on_uprobe", { kind: "uprobe", symbol: "getppid", ...inLibc });
      const targets = [{ symbol: "getppid" }, { symbol: "getpid" }];
      loaded.attach("on_multi", { kind: "uprobe_multi", targets, ...inLibc });
      loaded.attach("on_perf", { kind: "perf_event", event: PERF_EVENT.cpuClock, frequency: 10 });
      const maps = openObject(objectPath("maps")).load();
      const perf = maps.perf("samples");
      perf.close();
      maps.typedMap("lru").set(1, 1n);
      maps.close();
      const symbolizer = new Symbolizer();
      symbolizer.process(process.pid, [1n]);
      symbolizer.close();
      loaded.close();
      await nextTurn();
    };
    await round();
    const fds = openFdCount();
    for (let count = 0; count < 50; count++) {
      await round();
    }
    assert.equal(openFdCount(), fds);
  },
);

kernelTest("an attach that fails half-way leaves no link", () => {
  using loaded = loadAttach(["on_perf"]);
  const target = { kind: "perf_event", event: PERF_EVENT.cpuClock, frequency: 10 } as const;
  const fds = openFdCount();
  assert.throws(() => loaded.attach("on_perf", { ...target, cpus: [0, 4095] }), BpfError);
  assert.equal(openFdCount(), fds, "the event on CPU 0 is closed again");
});

kernelTest("what a killed process had loaded and attached is gone from the kernel", async () => {
  const code = `
    const { openObject } = await import(${JSON.stringify(INDEX)});
    const object = openObject(${JSON.stringify(objectPath("attach"))});
    object.program("on_trace").setAutoload(true);
    const loaded = object.load();
    loaded.attach("on_trace");
    console.log(loaded.map("sockets").id);
    setInterval(() => loaded.close, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", code]);
  const [said] = await once(child.stdout, "data");
  const id = Number(said);
  BpfMap.openId(id).close();
  child.kill("SIGKILL");
  await once(child, "exit");
  const end = performance.now() + 10_000;
  while (performance.now() < end) {
    try {
      BpfMap.openId(id).close();
    } catch (error) {
      assert.ok(error instanceof BpfError && error.errno === "ENOENT");
      return;
    }
    await sleep(50);
  }
  assert.fail("the map is still there");
});
