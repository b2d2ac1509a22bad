// SPDX-License-Identifier: Apache-2.0
// Rules by prometheus.io/docs/prometheus/latest/configuration/configuration/#relabel_config.
import assert from "node:assert/strict";
import { test } from "node:test";
import { relabelSchema } from "./relabel.ts";

/** Labels after the rules; undefined when dropped. */
function relabelled(rules: readonly object[], labels: Readonly<Record<string, string>>): unknown {
  const changed = new Map(Object.entries(labels));
  const isKept = relabelSchema.parse(rules)(changed);
  return isKept ? Object.fromEntries(changed) : undefined;
}

test("replace writes groups into a label, and an empty value takes it away", () => {
  const rule = {
    ...{ source_labels: ["a", "b"], separator: "/", regex: "(\\w+)/(.*)" },
    ...{ target_label: "$" + "{1}_t", replacement: "<$2>" },
  };
  assert.deepEqual(relabelled([rule], { a: "x", b: "y" }), { a: "x", b: "y", x_t: "<y>" });
  assert.deepEqual(relabelled([rule], { a: "", b: "y" }), { a: "", b: "y" }, "no match, no change");
  const cleared = { target_label: "a", replacement: "" };
  assert.deepEqual(relabelled([cleared], { a: "x" }), {});
});

test("a regular expression must match the whole value", () => {
  const keep = { source_labels: ["a"], regex: "x|y", action: "keep" };
  assert.deepEqual(relabelled([keep], { a: "x" }), { a: "x" });
  assert.equal(relabelled([keep], { a: "xx" }), undefined);
  assert.equal(relabelled([{ ...keep, action: "drop" }], { a: "y" }), undefined);
  assert.deepEqual(relabelled([{ ...keep, action: "drop" }], { a: "z" }), { a: "z" });
});

test("labels are renamed, removed and kept by their names", () => {
  const map = { regex: "__meta_(.+)", action: "labelmap" };
  assert.deepEqual(relabelled([map], { __meta_zone: "z" }), { __meta_zone: "z", zone: "z" });
  assert.deepEqual(relabelled([{ regex: "a.*", action: "labeldrop" }], { ab: "1", b: "2" }), {
    b: "2",
  });
  assert.deepEqual(relabelled([{ regex: "a.*", action: "labelkeep" }], { ab: "1", b: "2" }), {
    ab: "1",
  });
});

test("values are compared and cased", () => {
  const equal = { source_labels: ["a"], target_label: "b", action: "keepequal" };
  assert.equal(relabelled([equal], { a: "1", b: "2" }), undefined);
  assert.equal(relabelled([{ ...equal, action: "dropequal" }], { a: "1", b: "1" }), undefined);
  const upper = { source_labels: ["a"], target_label: "b", action: "uppercase" };
  assert.deepEqual(relabelled([upper], { a: "x" }), { a: "x", b: "X" });
});

test("hashmod takes the last eight bytes of the MD5", () => {
  // md5("foo") = acbd18db4cc2f85cedef654fccc4a4d8; 0xedef654fccc4a4d8 % 1000 = 216
  const rule = { source_labels: ["a"], target_label: "h", modulus: 1000, action: "hashmod" };
  const expected = String(0xedef654fccc4a4d8n % 1000n);
  assert.deepEqual(relabelled([rule], { a: "foo" }), { a: "foo", h: expected });
});

test("what a rule lacks is said", () => {
  const message = (rule: object): string =>
    relabelSchema
      .safeParse([rule])
      .error?.issues.map((issue) => issue.message)
      .join() ?? "";
  assert.match(message({ action: "replace" }), /requires 'target_label'/);
  assert.match(message({ action: "hashmod", target_label: "a" }), /non-zero modulus/);
  assert.match(message({ action: "rename" }), /unknown relabel action/);
  assert.match(message({ regex: "(", target_label: "a" }), /./);
});
