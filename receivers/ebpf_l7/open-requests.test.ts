// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { OpenRequests } from "./open-requests.ts";

const SECOND = 1e9;

test("what is open counts until it is closed", () => {
  const requests = new OpenRequests();
  const first = requests.open(100 * SECOND);
  const second = requests.open(101 * SECOND);
  assert.equal(requests.count(101 * SECOND), 2);
  requests.close(first);
  assert.equal(requests.count(101 * SECOND), 1);
  requests.close(second);
  assert.equal(requests.count(101 * SECOND), 0);
});

test("what is open for more than ten seconds does not count, nor does its end", () => {
  const requests = new OpenRequests();
  const poll = requests.open(104 * SECOND);
  const next = requests.open(106 * SECOND);
  assert.equal(requests.count(109 * SECOND), 2);
  assert.equal(requests.count(110 * SECOND), 1);
  requests.close(poll);
  assert.equal(requests.count(111 * SECOND), 1);
  requests.close(next);
  assert.equal(requests.count(112 * SECOND), 0);
  assert.equal(requests.count(500 * SECOND), 0);
});

test("a request that cannot be followed counts until its response, or what follows it", () => {
  const requests = new OpenRequests();
  const [one, other] = [{}, {}];
  requests.unread(one, false, 100 * SECOND);
  requests.unread(other, false, 101 * SECOND);
  assert.equal(requests.unreadCount(101 * SECOND), 2);
  assert.equal(requests.count(101 * SECOND), 2);
  requests.unread(one, true, 102 * SECOND);
  assert.equal(requests.unreadCount(102 * SECOND), 1);
  requests.follows(other);
  assert.equal(requests.unreadCount(102 * SECOND), 0);
  requests.unread(one, false, 103 * SECOND);
  assert.equal(requests.unreadCount(113 * SECOND), 0, "at most ten seconds");
});

test("there may be one more that is not known, until nothing lasts so long", () => {
  const requests = new OpenRequests();
  requests.open(100 * SECOND);
  assert.equal(requests.isUnsettled(100 * SECOND), false);
  requests.foundUnknown(100 * SECOND);
  assert.equal(requests.isUnsettled(109 * SECOND), true);
  assert.equal(requests.count(104 * SECOND), 2);
  assert.equal(requests.isUnsettled(110 * SECOND), false);
  requests.took(0.5 * SECOND);
  requests.took(0.1 * SECOND);
  assert.equal(requests.isUnsettled(101 * SECOND), true);
  assert.equal(requests.isUnsettled(102 * SECOND), false);
});
