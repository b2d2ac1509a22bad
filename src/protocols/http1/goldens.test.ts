// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { z } from "zod";
import { Conversation } from "../testing.ts";
import { HTTP1 } from "./protocol.ts";

const FOLDER = new URL("./goldens/", import.meta.url);

const attributes = z.record(z.string(), z.union([z.string(), z.number()]));
const goldenSchema = z.strictObject({
  title: z.string(),
  records: z.array(z.strictObject({ from: z.enum(["client", "server"]), text: z.string() })),
  /** errno of the connection's end */
  close: z.number().optional(),
  exchanges: z.array(z.strictObject({ server: attributes, client: attributes })),
});

describe("HTTP/1 goldens", () => {
  for (const file of readdirSync(FOLDER).filter((name) => name.endsWith(".json"))) {
    const golden = goldenSchema.parse(JSON.parse(readFileSync(new URL(file, FOLDER), "utf8")));
    for (const role of ["server", "client"] as const) {
      it(`${golden.title}, seen by the ${role}`, () => {
        const talk = new Conversation(HTTP1);
        for (const { from, text } of golden.records) {
          if (from === role) talk.sent(text);
          else talk.received(text);
        }
        if (golden.close !== undefined) talk.close(golden.close);
        const actual = talk.observed.ended.map((seen) => ({ name: seen.name, ...seen.attributes }));
        assert.deepEqual(
          actual,
          golden.exchanges.map((exchange) => exchange[role]),
        );
      });
    }
  }
});
