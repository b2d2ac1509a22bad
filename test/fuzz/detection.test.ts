// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ConnectionParser, Protocol } from "../../src/model/protocol.ts";
import { createDetectingParser } from "../../src/protocols/detection.ts";
import { PROTOCOLS } from "../../src/protocols/registry.ts";
import { fuzzProtocol } from "./feed.ts";

const SECONDS = 0.3;
const CLIENT_PORT = 50_001;
const FOREIGN_PORT = 40_001;

/** Detection among all protocols, by the name of the one whose captures it is fed with. */
function detecting({ name, ports }: Protocol): Protocol {
  return {
    name,
    detect: () => "no",
    createParser: (options, events): ConnectionParser =>
      createDetectingParser(options, events, {
        localPort: ports?.[0] ?? FOREIGN_PORT,
        remotePort: CLIENT_PORT,
        transport: "tcp",
      }),
  };
}

describe("fuzzing detection", () => {
  for (const protocol of PROTOCOLS) {
    it(`finds nothing in what looks like ${protocol.name} within ${SECONDS} seconds`, () => {
      const seed = Math.floor(Math.random() * 2 ** 32);
      let last = seed;
      try {
        const result = fuzzProtocol(detecting(protocol), seed, SECONDS, (inputSeed) => {
          last = inputSeed;
        });
        assert.ok(result.inputs > 10);
      } catch (cause) {
        throw new Error(`Input ${last} fails`, { cause });
      }
    });
  }
});
