// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { existsSync, readlinkSync } from "node:fs";
import { test } from "node:test";
import { createNetworkBed } from "../../support/netns.ts";

const SERVER = `require("net").createServer((s) => s.end("from " + s.remoteAddress)).listen(8080, "::")`;
const client = (address: string) =>
  `require("net").connect(8080, "${address}").on("data", (d) => console.log(d + ";"))`;

test("hosts of a bed reach each other by IPv4 and IPv6 and leave nothing behind", async () => {
  const bed = createNetworkBed(["client", "server"]);
  try {
    const node = process.execPath;
    const server = await bed.start("server", {
      command: node,
      args: ["-e", SERVER],
      readyPort: 8080,
    });
    assert.notEqual(readlinkSync(`/proc/${server.pid}/ns/net`), readlinkSync("/proc/self/ns/net"));
    for (const address of [bed.host("server").ipv4, bed.host("server").ipv6]) {
      const asking = await bed.start("client", {
        command: node,
        args: ["-e", client(address)],
        readyOutput: /;/,
      });
      assert.match(asking.output(), /^from (::ffff:10\.213\.0\.1|fd00:213::1);/);
    }
  } finally {
    await bed.close();
  }
  assert.equal(existsSync(`/run/netns/${bed.host("client").netns}`), false);
  assert.equal(existsSync(`/run/netns/${bed.host("server").netns}`), false);
});
