// SPDX-License-Identifier: Apache-2.0
// Prints each program that is started. sudo node exec-snoop.ts [PARENT_PID]
import { openObject } from "libbpf-ts";

import { events, setRodata } from "./generated/exec-snoop.ts";

const object = openObject(`${import.meta.dirname}/exec-snoop.bpf.o`);
setRodata(object, { only_parent: Number(process.argv[2] ?? 0) });
using loaded = object.load();
using ring = loaded.ring("execs");
loaded.attach("on_exec");
console.log("pid parent comm filename");
for await (const { pid, parent, comm, filename } of ring.records(events.execs)) {
  console.log(pid, parent, comm, filename);
}
