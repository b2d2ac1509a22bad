// SPDX-License-Identifier: Apache-2.0
/** The recorded conversations of all protocols as packets: the spans are those of the parsers. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { z } from "zod";
import type { Protocol } from "../../src/model/protocol.ts";
import { PROTOCOLS } from "../../src/protocols/registry.ts";
import { Conversation } from "../../src/protocols/testing.ts";
import { pcapFile, TcpTalk } from "./testing/captures.ts";
import { readBytes } from "./testing/run.ts";

/** The form that most protocols' goldens have; the others have tests of their own. */
const goldenSchema = z.looseObject({
  title: z.string(),
  records: z.array(z.looseObject({ from: z.enum(["client", "server"]), text: z.string() })).min(1),
});
type Golden = z.infer<typeof goldenSchema>;

/** Not the registered port of any protocol. */
const STRANGE_PORT = 12_345;
const CLIENT = { address: "10.0.0.1", port: 40_001 };

function goldensOf({ name }: Protocol): readonly Golden[] {
  const folder = new URL(`../../src/protocols/${name}/goldens/`, import.meta.url);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((file) => file.endsWith(".json"))
    .map((file) => goldenSchema.safeParse(JSON.parse(readFileSync(new URL(file, folder), "utf8"))))
    .flatMap(({ data }) => (data === undefined ? [] : [data]));
}

function parsed(protocol: Protocol, { records }: Golden): readonly string[] {
  const talk = new Conversation(protocol);
  for (const { from, text } of records) {
    if (from === "client") talk.sent(text);
    else talk.received(text);
  }
  return talk.close().names;
}

function packets({ records }: Golden, port: number, segmentBytes: number): Buffer {
  const talk = new TcpTalk({ client: CLIENT, server: { address: "10.0.0.2", port } }).open();
  for (const { from, text } of records) {
    if (from === "client") talk.request(text, segmentBytes);
    else talk.response(text, segmentBytes);
  }
  return pcapFile(talk.close().packets);
}

describe("goldens as packets", () => {
  for (const protocol of PROTOCOLS) {
    for (const golden of goldensOf(protocol)) {
      it(`${protocol.name}, ${golden.title}`, async () => {
        const expected = parsed(protocol, golden).toSorted();
        const [port = STRANGE_PORT] = protocol.ports ?? [];
        for (const [server, segmentBytes] of [
          [port, 1400],
          [port, 61],
          [STRANGE_PORT, 1400],
        ] as const) {
          const ports = { [server]: protocol.name };
          const config = server === STRANGE_PORT ? { protocols: { ports } } : {};
          const { spans } = await readBytes(packets(golden, server, segmentBytes), { config });
          assert.deepEqual(spans.map(({ name }) => name).toSorted(), expected);
        }
      });
    }
  }

  it("are those of many protocols", () => {
    assert.ok(PROTOCOLS.filter((protocol) => goldensOf(protocol).length > 0).length >= 5);
  });
});
