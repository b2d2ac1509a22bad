// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { FIXTURES } from "../../test/config/fixture-components.ts";
import { loadConfig } from "./load.ts";
import { ConfigError } from "./problem.ts";

const CASES = new URL("../../test/config/valid/", import.meta.url);

function load(text: string, env: Record<string, string> = {}): void {
  loadConfig({
    uris: ["a.yaml"],
    sets: [],
    env,
    factories: FIXTURES,
    readFile: (path) => {
      if (path === "a.yaml") return text;
      throw new Error("there is no such file here");
    },
  });
}

/** Whatever the text: it is accepted, or refused with messages; never another error. */
function survives(text: string, env?: Record<string, string>): void {
  try {
    load(text, env);
  } catch (error) {
    assert.ok(error instanceof ConfigError, `${String(error)}\n${text}`);
    assert.ok(error.problems.length > 0 && error.message !== "");
  }
}

test("no text makes the loader throw anything but located problems", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => survives(text)),
    { numRuns: 300 },
  );
});

test("a valid configuration with any part cut, doubled or replaced is accepted or refused", () => {
  const texts = readdirSync(CASES).map((name) => {
    const text = readFileSync(new URL(name, CASES), "utf8");
    return text.slice(0, text.lastIndexOf("---\n"));
  });
  const piece = fc.oneof(
    fc.constantFrom(
      "",
      ":",
      "- ",
      "{",
      "]",
      "${",
      "${env:",
      "}",
      "&a ",
      "*a",
      "|\n",
      "\t",
      "<<: ",
      "null",
    ),
    fc.string({ maxLength: 5 }),
  );
  const mutation = fc.record({
    text: fc.constantFrom(...texts),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    cut: fc.nat(20),
    piece,
  });
  fc.assert(
    fc.property(mutation, ({ text, at, cut, piece: added }) => {
      const start = Math.floor(at * text.length);
      survives(text.slice(0, start) + added + text.slice(start + cut));
    }),
    { numRuns: 500 },
  );
});

test("no value of a variable makes the loader throw or hang", () => {
  const text = `receivers: {source: {any: "\${env:A}", label: "x\${env:A}\${env:B:-\${A}}"}}
exporters: {nothing: {}}
service: {pipelines: {traces: {receivers: [source], exporters: [nothing]}}}`;
  const value = fc
    .array(
      fc.constantFrom(
        "${",
        "}",
        "env:",
        "A",
        "B",
        "$",
        "[",
        "]",
        ",",
        "{",
        "x",
        ":-",
        "'",
        '"',
        "\n",
      ),
      {
        maxLength: 12,
      },
    )
    .map((parts) => parts.join(""));
  fc.assert(
    fc.property(value, value, (a, b) => survives(text, { A: a, B: b })),
    { numRuns: 300 },
  );
});

test("a variable that doubles itself is refused in bounded time", () => {
  const startMs = Date.now();
  const self = "$" + "{env:A}";
  for (const [text, value] of [
    [`a: ${self}`, `[${self},${self}]`],
    [`a: x${self}`, `${self}${self}`],
  ] as const) {
    assert.throws(() => load(text, { A: value }), /too many recursive expansions/);
  }
  assert.ok(Date.now() - startMs < 5_000);
});

test("deep nesting and very long lines are refused or accepted, not fatal", () => {
  survives("[".repeat(5_000));
  survives(`a: ${"{a: ".repeat(2_000)}${"}".repeat(2_000)}`);
  survives(`receivers: {source: {label: ${"x".repeat(200_000)}, prots: 1}}`);
  survives(`a${"::a".repeat(20_000)}: 1`);
});
