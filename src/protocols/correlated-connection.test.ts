// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RECEIVED, SENT } from "../model/protocol.ts";
import { createToyProtocol, toyFrame } from "./correlated-testing.ts";
import { Conversation, TEST_OPTIONS } from "./testing.ts";

const GROWING = createToyProtocol(false);
const REUSED = createToyProtocol(true);

function pairs(talk: Conversation): readonly string[] {
  return talk.observed.ended.map(({ role, attributes, error }) => {
    const { "toy.request": request, "toy.response": response, "error.type": type } = attributes;
    return `${role} ${request}-${response}${type === undefined ? "" : ` ${type}`}${error ?? ""}`;
  });
}

describe("a connection whose responses name their requests", () => {
  it("pairs by id, in any order", () => {
    const talk = new Conversation(GROWING);
    talk.received(toyFrame("Q", 1, 10) + toyFrame("Q", 2, 20)).sent(toyFrame("A", 2, 21));
    talk.sent(toyFrame("A", 1, 11)).close();
    assert.deepEqual(pairs(talk), ["server 20-21", "server 10-11"]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("lets both ends ask with the same id", () => {
    const talk = new Conversation(GROWING);
    talk.received(toyFrame("Q", 1, 10)).sent(toyFrame("Q", 1, 30) + toyFrame("A", 1, 11));
    talk.received(toyFrame("A", 1, 31)).close();
    assert.deepEqual(pairs(talk), ["server 10-11", "client 30-31"]);
  });

  it("names an exchange by its request's first byte and takes its thread", () => {
    const talk = new Conversation(GROWING).received(toyFrame("E", 0, 5));
    const text = toyFrame("Q", 1, 10, "x".repeat(100));
    talk.received(text.slice(0, 3), undefined, 71).received(text.slice(3), undefined, 72);
    talk.sent(toyFrame("A", 1, 11), undefined, 73).close();
    const [event, exchange] = talk.observed.ended;
    assert.equal(event?.position, 0);
    assert.deepEqual(event?.timesNs, [1000, 1000, 0, 1000]);
    assert.equal(exchange?.position, 10);
    assert.deepEqual(exchange?.timesNs, [2000, 3000, 4000, 4000]);
    assert.deepEqual(exchange?.threads, [71, 73]);
  });

  it("passes a body that was not captured, and bytes lost inside of it", () => {
    const talk = new Conversation(GROWING);
    const text = toyFrame("Q", 1, 10, "x".repeat(100_000));
    talk.received(text.slice(0, 50_000), 100).lost(RECEIVED, 50_000).received(text.slice(100_000));
    talk
      .sent(toyFrame("A", 1, 11))
      .received(toyFrame("Q", 2, 20))
      .sent(toyFrame("A", 2, 21));
    assert.deepEqual(pairs(talk), ["server 10-11", "server 20-21"]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("keeps a response that is reported before its request", () => {
    const talk = new Conversation(REUSED).sent(toyFrame("Q", 2, 20)).received(toyFrame("A", 2, 21));
    talk
      .received(toyFrame("A", 1, 11))
      .sent(toyFrame("Q", 1, 10))
      .close();
    assert.deepEqual(pairs(talk), ["client 20-21", "client 10-11"]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("does not keep it where it is the first that is seen, and ids come again", () => {
    const talk = new Conversation(REUSED).received(toyFrame("A", 1, 11)).sent(toyFrame("Q", 1, 20));
    talk.received(toyFrame("A", 1, 21)).close();
    assert.deepEqual(pairs(talk), ["client 20-21"]);
    const growing = new Conversation(GROWING).received(toyFrame("A", 1, 11));
    growing.sent(toyFrame("Q", 1, 10)).close();
    assert.deepEqual(pairs(growing), ["client 10-11"]);
  });

  it("does not keep it past a gap, or past the next record", () => {
    const gap = new Conversation(REUSED).received(toyFrame("A", 1, 11)).lost(SENT, 10);
    gap
      .sent(toyFrame("Q", 1, 20))
      .received(toyFrame("A", 1, 21))
      .close();
    assert.deepEqual(pairs(gap), ["client 20-21"]);
    const late = new Conversation(REUSED).sent(toyFrame("E", 0, 1)).received(toyFrame("A", 1, 11));
    late
      .sent(toyFrame("Q", 9, 90))
      .sent(toyFrame("Q", 1, 20))
      .received(toyFrame("A", 1, 21));
    assert.deepEqual(pairs(late), ["client 1--1", "client 20-21"]);
    assert.deepEqual(late.observed.losses, ["response_without_request"]);
  });

  it("follows an older connection from the first record that starts with a frame", () => {
    const talk = new Conversation(GROWING).lost(RECEIVED, 7).lost(SENT, 7);
    talk
      .received("tail of a frame")
      .received(toyFrame("Q", 1, 10))
      .sent("tail");
    talk.sent(toyFrame("A", 1, 11)).close();
    assert.deepEqual(pairs(talk), ["server 10-11"]);
    assert.deepEqual(talk.observed.losses, ["mid_stream", "mid_stream"]);
  });

  it("after lost responses trusts ids that grow, and gives up ids that come again", () => {
    for (const [protocol, expected] of [
      [GROWING, ["server 20-21"]],
      [REUSED, []],
    ] as const) {
      const talk = new Conversation(protocol);
      talk
        .received(toyFrame("Q", 1, 10))
        .received(toyFrame("Q", 2, 20))
        .lost(SENT, 10);
      talk.sent(toyFrame("A", 2, 21)).close();
      assert.deepEqual(pairs(talk), expected);
      assert.deepEqual(talk.observed.losses[0], "gap");
      assert.ok(talk.observed.abandoned.every((reason) => reason === "gap"));
      assert.equal(talk.observed.abandoned.length + expected.length, 2);
    }
  });

  it("gives up the older of two requests with one id", () => {
    const talk = new Conversation(GROWING).received(toyFrame("Q", 1, 10));
    talk
      .received(toyFrame("Q", 1, 20))
      .sent(toyFrame("A", 1, 21))
      .close();
    assert.deepEqual(pairs(talk), ["server 20-21"]);
    assert.deepEqual(talk.observed.abandoned, ["gap"]);
  });

  it("ends what is open with the connection, and says how that ended", () => {
    const talk = new Conversation(GROWING).received(toyFrame("Q", 1, 10));
    talk.received(toyFrame("Q", 2, 20).slice(0, 9)).close(104);
    assert.deepEqual(pairs(talk), ["server 10--1 ECONNRESET"]);
    assert.deepEqual(talk.observed.abandoned, ["malformed"]);
  });

  it("reports nothing as unanswered when the connection's last bytes are missing", () => {
    const talk = new Conversation(GROWING).received(toyFrame("Q", 1, 10)).lost(SENT, 20);
    talk.close(0, true);
    assert.deepEqual(pairs(talk), []);
    assert.deepEqual(talk.observed.abandoned, ["gap"]);
  });

  it("gives up the oldest of too many", () => {
    const talk = new Conversation(GROWING, { ...TEST_OPTIONS, pipelinedMax: 3 });
    for (let id = 1; id <= 5; id++) talk.received(toyFrame("Q", id, id));
    for (let id = 1; id <= 5; id++) talk.sent(toyFrame("A", id, id));
    talk.close();
    assert.deepEqual(pairs(talk), ["server 3-3", "server 4-4", "server 5-5"]);
    assert.deepEqual(talk.observed.abandoned, ["pipeline_limit", "pipeline_limit"]);
    assert.equal(talk.observed.losses.length, 2);
  });

  it("gives up a connection after three breaches of its framing, and counts the rest", () => {
    const talk = new Conversation(GROWING);
    for (let round = 0; round < 4; round++) {
      talk.received(toyFrame("Q", round, 1)).received("garbage");
    }
    assert.deepEqual(talk.observed.losses, [
      ...["malformed", "malformed", "malformed"],
      ...["malformed", "malformed"],
    ]);
    assert.equal(talk.observed.openCount, 0);
  });
});
