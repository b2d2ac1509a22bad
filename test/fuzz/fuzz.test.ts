// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PROTOCOLS } from "../../src/protocols/registry.ts";
import { fuzzProtocol } from "./feed.ts";
import { InputSource } from "./inputs.ts";

const SECONDS = 1;

/** What is spoken in datagrams, too, with goldens of its own. */
const DATAGRAMS = PROTOCOLS.flatMap(({ name, datagrams }) =>
  datagrams === undefined ? [] : [{ name: `${name}/datagrams`, ...datagrams }],
);

describe("fuzzing", () => {
  for (const protocol of [...PROTOCOLS, ...DATAGRAMS]) {
    it(`finds nothing in ${protocol.name} within ${SECONDS} second`, () => {
      const seed = Math.floor(Math.random() * 2 ** 32);
      let last = seed;
      try {
        const result = fuzzProtocol(protocol, seed, SECONDS, (inputSeed) => {
          last = inputSeed;
        });
        assert.ok(result.inputs > 100);
      } catch (cause) {
        throw new Error(`Input ${last} fails: npm run fuzz -- --seed ${last} --seconds 5`, {
          cause,
        });
      }
    });

    it(`makes the same input for ${protocol.name} from the same seed`, () => {
      const [one, other] = [new InputSource(protocol), new InputSource(protocol)];
      assert.deepEqual(one.create(12345), other.create(12345));
    });
  }
});
