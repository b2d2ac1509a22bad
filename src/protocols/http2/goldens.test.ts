// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { z } from "zod";
import { Conversation, type SeenExchange, TEST_OPTIONS } from "../testing.ts";
import { HTTP2 } from "./protocol.ts";

const FOLDER = new URL("./goldens/", import.meta.url);

/** Captures of own sessions: what the client's script did is what is expected. */
const goldenSchema = z.strictObject({
  title: z.string(),
  records: z.array(z.strictObject({ from: z.enum(["client", "server"]), hex: z.string() })),
  /** Of each exchange: name as a server sees it, status, messages of a call, the client's error. */
  exchanges: z.array(z.string()),
});

const OPTIONS = { ...TEST_OPTIONS, pipelinedMax: 128 };
/** Between two records of the capture: so that the timeout of 150 ms in the script is over. */
const STEP_NS = 60e6;

function lineOf({ name, attributes }: SeenExchange): string {
  if (attributes["rpc.system.name"] === undefined) {
    const status = String(attributes["http.response.status_code"] ?? "-");
    const error = attributes["error.type"];
    return error === undefined ? `${name} ${status}` : `${name} ${status} !${String(error)}`;
  }
  const parts = [name, attributes["rpc.status_code"], attributes["rpc.request.message_count"]];
  parts.push(attributes["rpc.response.message_count"]);
  const error = attributes["error.type"];
  return error === undefined ? parts.join(" ") : `${parts.join(" ")} !${String(error)}`;
}

/** A client's span has no route. */
function asClient(line: string): string {
  return line.replace(/^([A-Z]+) \/\S+/, "$1");
}

/** Errors of a client that are none of the server: by the conventions for gRPC, and 4xx. */
function asServer(line: string): string {
  // A path that the server does not have is no route.
  const found = line.replace(/^(\S+) \S+ 404 !404$/, "$1 404");
  return found.replace(/ !(NOT_FOUND|CANCELLED)$/, "");
}

describe("HTTP/2 goldens", () => {
  for (const file of readdirSync(FOLDER)) {
    const golden = goldenSchema.parse(JSON.parse(readFileSync(new URL(file, FOLDER), "utf8")));
    for (const role of ["server", "client"] as const) {
      it(`${golden.title}, seen by the ${role}`, () => {
        const talk = new Conversation(HTTP2, { ...OPTIONS });
        for (const { from, hex } of golden.records) {
          talk.timeNs += STEP_NS;
          const text = Buffer.from(hex, "hex").toString("latin1");
          if (from === role) talk.sent(text);
          else talk.received(text);
        }
        const adapt = role === "client" ? asClient : asServer;
        assert.deepEqual(
          talk.observed.ended.map(lineOf).sort(),
          golden.exchanges.map(adapt).sort(),
        );
        assert.deepEqual(talk.observed.losses, []);
        const positions = new Set(talk.observed.ended.map(({ position }) => position));
        assert.equal(positions.size, golden.exchanges.length);
      });
    }
  }
});
