// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { configSchema } from "./config.ts";
import { pcapFile, TcpTalk } from "./testing/captures.ts";
import { readBytes } from "./testing/run.ts";

const CUSTOM = {
  name: "shop_wire",
  magic: "53 48 4f 50",
  length: { offset: 4, bytes: 1 },
  kind: { offset: 5, bytes: 1, request: [1], response: [2] },
  id: { offset: 6, bytes: 1 },
  method: { offset: 7, bytes: 1, names: { 1: "buy" } },
};

test("a protocol that the configuration describes is found in a capture", async () => {
  const server = { address: "10.0.0.2", port: 12_345 };
  const talk = new TcpTalk({ client: { address: "10.0.0.1", port: 40_001 }, server }).open();
  talk.request("SHOP\x08\x01\x07\x01", 3).response("SHOP\x08\x02\x07\x00", 5);
  const config = { protocols: { custom: [CUSTOM] } };
  const { spans } = await readBytes(pcapFile(talk.close().packets), { config });
  assert.deepEqual(
    spans.map(({ name, attributes }) => [name, attributes.get("rpc.system.name")]),
    [["buy", "shop_wire"]],
  );
});

test("a description that cannot work is refused, with what is wrong", () => {
  const problems = (custom: readonly unknown[]): string => {
    const { error } = configSchema.safeParse({ path: "x.pcap", protocols: { custom } });
    return (error?.issues ?? [])
      .map(({ path, message }) => `${path.join(".")}: ${message}`)
      .join("; ");
  };
  assert.equal(problems([CUSTOM]), "");
  assert.match(problems([{ ...CUSTOM, magic: "" }]), /custom\.0: needs `ports`, or a `magic`/);
  assert.match(
    problems([{ ...CUSTOM, magic: "5" }]),
    /custom\.0\.magic: must be hexadecimal bytes/,
  );
  assert.match(problems([CUSTOM, CUSTOM]), /custom: has two protocols of the same name/);
  assert.match(
    problems([{ ...CUSTOM, name: "redis" }]),
    /custom: has a protocol with the name of one/,
  );
  assert.match(
    problems([{ ...CUSTOM, length: { offset: 0, bytes: 9 } }]),
    /custom\.0\.length\.bytes/,
  );
  assert.match(problems([{ ...CUSTOM, lenght: 1 }]), /lenght/);
});
