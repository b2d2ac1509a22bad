// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  KEY_POOL_BUSY,
  KEY_TRIGGER_OPEN,
  ROLE_CLIENT,
  ROLE_SERVER,
  TRIGGER_NONE,
  TRIGGER_REQUEST,
  TRIGGER_REQUEST_ID,
  TRIGGER_RESPONSE,
} from "../../../src/model/stitch-key.ts";
import { StitchKey } from "../key.ts";
import { asyncId, requestId } from "./runtime.ts";

function key(fields: Partial<Pick<StitchKey, "role" | "flags" | "triggerKind" | "isByAsyncId">>) {
  return Object.assign(new StitchKey(), { role: ROLE_CLIENT, isByAsyncId: true }, fields);
}

test("Node's ids name the request that is open, or the call before", () => {
  const open = { triggerKind: TRIGGER_REQUEST, flags: KEY_TRIGGER_OPEN };
  assert.ok(asyncId.offer(key(open)) > 0);
  assert.ok(asyncId.offer(key({ triggerKind: TRIGGER_RESPONSE })) > 0);
  assert.equal(asyncId.offer(key({ triggerKind: TRIGGER_REQUEST })), 0, "it was answered");
  assert.equal(asyncId.offer(key({ triggerKind: TRIGGER_NONE })), 0);
  assert.equal(asyncId.offer(key({ ...open, isByAsyncId: false })), 0);
  assert.equal(asyncId.offer(key({ ...open, role: ROLE_SERVER })), 0);
});

test("where the application may have held the call back itself, Node's ids say nothing", () => {
  assert.equal(asyncId.offer(key({ triggerKind: TRIGGER_RESPONSE, flags: KEY_POOL_BUSY })), 0);
});

test("a request's id counts while that request is open", () => {
  const named = { triggerKind: TRIGGER_REQUEST_ID, isByAsyncId: false };
  assert.ok(requestId.offer(key({ ...named, flags: KEY_TRIGGER_OPEN })) > 0);
  assert.equal(requestId.offer(key(named)), 0);
});
