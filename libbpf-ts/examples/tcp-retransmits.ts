// SPDX-License-Identifier: Apache-2.0
// Prints each second which IPv4 peers TCP had to send to again. sudo node tcp-retransmits.ts [NETNS]
import { openObject } from "libbpf-ts";

import { maps, setRodata } from "./generated/tcp-retransmits.ts";

const object = openObject(`${import.meta.dirname}/tcp-retransmits.bpf.o`);
setRodata(object, { only_netns: Number(process.argv[2] ?? 0) });
const loaded = object.load();
const retransmits = maps.retransmits(loaded);
loaded.attachAll();
console.log("remote retransmits");
setInterval(() => {
  for (const [{ address, port }, count] of retransmits.takeAll()) {
    console.log(`${address.join(".")}:${port}`, String(count));
  }
}, 1000);
process.once("SIGINT", () => {
  loaded.close();
  process.exit();
});
