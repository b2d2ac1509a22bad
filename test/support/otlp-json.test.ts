// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readOtlpJsonLines } from "./otlp-json.ts";

// OTLP/JSON: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
const LINE = JSON.stringify({
  resourceSpans: [
    {
      resource: { attributes: [{ key: "service.name", value: { stringValue: "orders" } }] },
      scopeSpans: [
        {
          spans: [
            {
              traceId: "5b8efff798038103d269b633813fc60c",
              spanId: "eee19b7ec3c1b174",
              parentSpanId: "eee19b7ec3c1b173",
              name: "GET /order/{id}",
              kind: 2,
              startTimeUnixNano: "1544712660300000001",
              endTimeUnixNano: "1544712660600000002",
              attributes: [
                { key: "url.path", value: { stringValue: "/order/7" } },
                { key: "http.response.status_code", value: { intValue: "200" } },
                { key: "ratio", value: { doubleValue: 0.5 } },
                { key: "list", value: { arrayValue: { values: [{ boolValue: true }] } } },
              ],
              status: { code: 2 },
            },
          ],
        },
      ],
    },
  ],
});

function written(text: string): string {
  const directory = mkdtempSync(join(tmpdir(), "otlp-json-"));
  const file = join(directory, "spans.json");
  writeFileSync(file, text);
  process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
  return file;
}

test("a line of OTLP JSON becomes flat spans with exact times", () => {
  const [span, ...more] = readOtlpJsonLines(written(`${LINE}\n`));
  assert.equal(more.length, 0);
  assert.deepEqual(span, {
    traceId: "5b8efff798038103d269b633813fc60c",
    spanId: "eee19b7ec3c1b174",
    parentSpanId: "eee19b7ec3c1b173",
    name: "GET /order/{id}",
    kind: "server",
    startNs: 1544712660300000001n,
    endNs: 1544712660600000002n,
    attributes: new Map<string, unknown>([
      ["url.path", "/order/7"],
      ["http.response.status_code", 200n],
      ["ratio", 0.5],
      ["list", [true]],
    ]),
    resource: new Map([["service.name", "orders"]]),
    service: "orders",
    statusCode: 2,
  });
});

test("a last line that is still being written is left out", () => {
  assert.equal(readOtlpJsonLines(written(`${LINE}\n${LINE.slice(0, 50)}`)).length, 1);
});

test("a broken line is an error that names its number", () => {
  assert.throws(() => readOtlpJsonLines(written(`${LINE}\nnonsense\n`)), /:2: not OTLP JSON/);
});

test("ids of the wrong length, in base64 or of zeros are refused", () => {
  const broken = ["5b8efff798038103", "W47/95gDgQPSabYzgT/GDA==", "0".repeat(32)];
  for (const traceId of broken) {
    const line = LINE.replace("5b8efff798038103d269b633813fc60c", traceId);
    assert.throws(() => readOtlpJsonLines(written(`${line}\n`)));
  }
});
