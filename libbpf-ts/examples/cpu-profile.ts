// SPDX-License-Identifier: Apache-2.0
// Where a process spends its CPU time, as folded stacks. sudo node cpu-profile.ts PID [SECONDS]
import { setTimeout as sleep } from "node:timers/promises";
import { openObject, PERF_EVENT, Symbolizer } from "libbpf-ts";

import { maps, setRodata } from "./generated/cpu-profile.ts";

const [pid, seconds = 5] = process.argv.slice(2).map(Number);
if (pid === undefined) {
  throw new Error("usage: cpu-profile.ts PID [SECONDS]");
}
const object = openObject(`${import.meta.dirname}/cpu-profile.bpf.o`);
setRodata(object, { target_pid: pid });
using loaded = object.load();
using symbolizer = new Symbolizer();
loaded.attach("on_sample", { kind: "perf_event", event: PERF_EVENT.cpuClock, frequency: 99 });
await sleep(seconds * 1000);
for (const [id, count] of maps.samples(loaded)) {
  const stack = loaded.map("stacks").getStack(id) ?? [];
  const frames = symbolizer.process(pid, stack, { isStack: true });
  const names = frames.map(({ name, module, address }) => name ?? module ?? address.toString(16));
  console.log(names.reverse().join(";"), String(count));
}
