// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parse } from "yaml";
import type { FoundProcess, Target } from "./api-types.ts";
import { targetsYaml } from "./targets-yaml.ts";

function processWith(target: Target): FoundProcess {
  const nothing = { name: "", exe: "", ports: [], watched: false, service: "", reason: "" };
  return { pid: 7, ...nothing, targets: [target] };
}

test("ports, programs and commands become targets, each once", () => {
  const yaml = targetsYaml([
    processWith({ ports: "8080" }),
    processWith({ exe: "/usr/sbin/nginx" }),
    processWith({ exe: "/usr/sbin/nginx" }),
    processWith({ command: "gunicorn .* shop" }),
  ]);
  assert.equal(
    yaml,
    `extensions:
  discovery:
    targets:
      - ports: 8080
      - exe: /usr/sbin/nginx
      - command: "gunicorn .* shop"
`,
  );
});

test("whatever a program is called, the YAML says that and nothing else", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (exe) => {
      const document: unknown = parse(targetsYaml([processWith({ exe })]));
      const expected = exe.replaceAll("$", "$$$$");
      assert.deepEqual(document, { extensions: { discovery: { targets: [{ exe: expected }] } } });
    }),
  );
});

test("words that YAML takes for something else are quoted", () => {
  for (const exe of ["true", "no", "null", "1e3", "0x10", "2026-01-02", "- a", "a: b", "#x"]) {
    const document: unknown = parse(targetsYaml([processWith({ exe })]), { version: "1.1" });
    assert.deepEqual(document, { extensions: { discovery: { targets: [{ exe }] } } });
  }
});
