// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { AgentError } from "../component/errors.ts";
import { countItems } from "../pdata/count.ts";
import { itemPath } from "../pdata/levels.ts";
import { validateRequest } from "../pdata/validate.ts";
import { encodeAnyValue } from "./any-value.ts";
import { AttributeList } from "./attribute-list.ts";
import { Pruner } from "./pruner.ts";
import { Rewriter } from "./rewriter.ts";

const TRACES = readFileSync(new URL("../pdata/goldens/traces.bin", import.meta.url));
const KEY = Buffer.from("added.by.test");

function adding(): Rewriter {
  const list = new AttributeList();
  return new Rewriter({
    path: itemPath("traces"),
    visitor: {
      enter: () => true,
      visit: (bytes, start, stop) => {
        list.read(bytes, start, stop, 9);
        list.put(KEY, encodeAnyValue("x".repeat(200)));
        return true;
      },
      write: (out) => list.writeTo(out),
    },
  });
}

function removing(isRemoved: (item: number) => boolean): Pruner {
  let seen = 0;
  return new Pruner({
    path: itemPath("traces"),
    emptyBelowLevel: 2,
    isRemoved: (level) => level === 2 && isRemoved(seen++),
  });
}

test("what is rewritten is well-formed, has all items, and is the same again without the change", () => {
  const before = new Uint8Array(TRACES);
  const after = adding().rewrite(before);
  assert.equal(validateRequest("traces", after), countItems("traces", before));
  const list = new AttributeList();
  const undo = new Rewriter({
    path: itemPath("traces"),
    visitor: {
      enter: () => true,
      visit: (bytes, start, stop) => {
        list.read(bytes, start, stop, 9);
        list.remove(list.find(KEY));
        return true;
      },
      write: (out) => list.writeTo(out),
    },
  });
  assert.deepEqual(undo.rewrite(after), before);
});

test("any choice of items can be taken out, and the rest is well-formed", () => {
  const before = new Uint8Array(TRACES);
  const items = countItems("traces", before);
  fc.assert(
    fc.property(fc.array(fc.boolean(), { minLength: items, maxLength: items }), (choice) => {
      const left = removing((item) => choice[item] === true).prune(before);
      const kept = choice.filter((isRemoved) => !isRemoved).length;
      assert.equal(left === undefined ? 0 : validateRequest("traces", left), kept);
    }),
  );
});

test("malformed bytes are refused or passed on, and never read outside", () => {
  const change = fc.record({
    cut: fc.nat(TRACES.length),
    at: fc.nat(TRACES.length),
    byte: fc.nat(255),
  });
  fc.assert(
    fc.property(change, ({ cut, at, byte }) => {
      const bytes = Uint8Array.from(TRACES.subarray(0, cut));
      if (at < cut) bytes[at] = byte;
      for (const work of [
        () => adding().rewrite(bytes),
        () => removing((item) => item % 2 === 0).prune(bytes),
      ]) {
        try {
          work();
        } catch (error) {
          assert.ok(error instanceof AgentError, String(error));
        }
      }
    }),
    { numRuns: 500 },
  );
});
