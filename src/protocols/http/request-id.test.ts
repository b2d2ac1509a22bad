// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  FIELD_B3,
  FIELD_HOST,
  FIELD_REQUEST_ID,
  FIELD_SW8,
  FIELD_UBER_TRACE_ID,
} from "./fields.ts";
import { RequestId } from "./request-id.ts";

function idOf(...fields: readonly (readonly [number, string])[]): number {
  const id = new RequestId();
  for (const [code, text] of fields) {
    const bytes = new TextEncoder().encode(`..${text}..`);
    id.note(code, bytes, 2, bytes.length - 2);
  }
  return id.value;
}

const UUID = "6f1b2f3e-2f0a-4b7e-9c70-0a9b6b3f1c55";

test("equal ids are equal numbers, and others are not", () => {
  assert.equal(idOf([FIELD_REQUEST_ID, UUID]), idOf([FIELD_REQUEST_ID, UUID]));
  assert.notEqual(idOf([FIELD_REQUEST_ID, UUID]), idOf([FIELD_REQUEST_ID, `${UUID.slice(1)}0`]));
  assert.ok(Number.isSafeInteger(idOf([FIELD_REQUEST_ID, UUID])));
});

test("of b3, uber-trace-id and sw8 the trace's id counts, which stays from service to service", () => {
  const trace = "463ac35c9f6413ad48485a3953bb6124";
  assert.equal(idOf([FIELD_B3, `${trace}-0020000000000001-1`]), idOf([FIELD_B3, `${trace}-2-1-3`]));
  assert.equal(
    idOf([FIELD_UBER_TRACE_ID, `${trace}:1:0:1`]),
    idOf([FIELD_UBER_TRACE_ID, `${trace}%3A2%3A1%3A1`]),
  );
  const sw8 = (segment: string): string =>
    `1-MmE0ZjY4ZDkxYQ==-${segment}-3-Zm9v-Zm9v-L2E=-YTo4MA==`;
  assert.equal(idOf([FIELD_SW8, sw8("NWU=")]), idOf([FIELD_SW8, sw8("NjY=")]));
});

test("x-request-id goes before trace ids; two of them, short values and other fields are none", () => {
  const both = idOf([FIELD_REQUEST_ID, UUID], [FIELD_B3, "463ac35c9f6413ad-1-1"]);
  assert.equal(both, idOf([FIELD_REQUEST_ID, UUID]));
  assert.equal(idOf([FIELD_REQUEST_ID, UUID], [FIELD_REQUEST_ID, UUID]), 0);
  assert.equal(idOf([FIELD_REQUEST_ID, "17"]), 0);
  assert.equal(idOf([FIELD_HOST, "example.org:8080"]), 0);
});
