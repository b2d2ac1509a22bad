// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { NameHash, type RequestName } from "./ids.ts";

const word = fc.integer({ min: 0, max: 0xffffffff });
const name: fc.Arbitrary<RequestName> = fc.record({
  clientStart: word,
  serverStart: word,
  position: fc.maxSafeNat(),
});

function ids(of: RequestName): { client: bigint; server: bigint; trace: string } {
  const view = new DataView(new ArrayBuffer(32));
  const hash = new NameHash();
  hash.set(of);
  hash.writeSpanId(view, 0, "client");
  hash.writeSpanId(view, 8, "server");
  hash.writeTraceId(view, 16);
  return {
    client: view.getBigUint64(0),
    server: view.getBigUint64(8),
    trace: Buffer.from(view.buffer, 16, 16).toString("hex"),
  };
}

function bitsOf(value: bigint): number {
  return value.toString(2).replaceAll("0", "").length;
}

describe("ids", () => {
  it("are a function of the name: both ends compute the same", () => {
    fc.assert(fc.property(name, (of) => assert.deepEqual(ids(of), ids({ ...of }))));
  });

  it("differ between the roles and between names, and are never zero", () => {
    const check = (one: RequestName, other: RequestName): void => {
      const a = ids(one);
      const b = ids(other);
      assert.notEqual(a.client, a.server);
      assert.ok(a.client !== 0n && a.server !== 0n && a.trace !== "0".repeat(32));
      if (JSON.stringify(one) === JSON.stringify(other)) return;
      assert.notEqual(a.client, b.client);
      assert.notEqual(a.trace, b.trace);
    };
    fc.assert(fc.property(name, name, check));
  });

  it("do not collide over many close names", () => {
    const seen = new Set<bigint>();
    let count = 0;
    for (let connection = 0; connection < 200; connection++) {
      for (let request = 0; request < 500; request++) {
        const position = request * 80 + (request % 7 === 0 ? 2 ** 32 : 0);
        const of = { clientStart: connection * 64000, serverStart: 99, position };
        seen.add(ids(of).client).add(ids(of).server);
        count += 2;
      }
    }
    assert.equal(seen.size, count);
  });

  it("change half of their bits for any bit of the name", () => {
    for (const field of ["clientStart", "serverStart", "position"] as const) {
      for (let bit = 0; bit < 32; bit++) {
        let changed = 0;
        for (let round = 0; round < 64; round++) {
          const base = {
            clientStart: round * 77777,
            serverStart: round * 31,
            position: round * 80,
          };
          const flipped = { ...base, [field]: (base[field] ^ (1 << bit)) >>> 0 };
          changed += bitsOf(ids(base).client ^ ids(flipped).client);
        }
        const mean = changed / 64;
        // 32 expected; the mean of 64 draws has a standard deviation of 0.5.
        assert.ok(mean > 28 && mean < 36, `${field} bit ${bit}: ${mean}`);
      }
    }
  });
});
