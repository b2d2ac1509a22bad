// SPDX-License-Identifier: Apache-2.0
// A histogram of a process's waits on its sockets. sudo node socket-latency.ts PID [SECONDS]
import { setTimeout as sleep } from "node:timers/promises";
import { openObject } from "libbpf-ts";

import { setRodata } from "./generated/socket-latency.ts";

const [pid, seconds = 5] = process.argv.slice(2).map(Number);
if (pid === undefined) {
  throw new Error("usage: socket-latency.ts PID [SECONDS]");
}
const object = openObject(`${import.meta.dirname}/socket-latency.bpf.o`);
setRodata(object, { target_pid: pid });
using loaded = object.load();
using bss = loaded.mapGlobal(".bss");
loaded.attachAll();
await sleep(seconds * 1000);
const { offset } = bss.variable("slots");
const counts = Array.from({ length: 32 }, (_, slot) =>
  Number(bss.view.getBigUint64(offset + slot * 8, true)),
);
const most = Math.max(1, ...counts);
console.log("from µs      count");
for (const [slot, count] of counts.entries()) {
  if (count > 0) {
    const bar = "#".repeat(Math.ceil((count / most) * 40));
    console.log(String(slot === 0 ? 0 : 2 ** slot).padStart(7), String(count).padStart(10), bar);
  }
}
