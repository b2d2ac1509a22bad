// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SENT } from "../../model/protocol.ts";
import { messagingLine } from "../messaging-testing.ts";
import { Conversation } from "../testing.ts";
import { NATS } from "./protocol.ts";

/** By https://docs.nats.io/reference/reference-protocols/nats-protocol, with its examples. */
const INFO =
  'INFO {"server_id":"Zk0GQ3JBSrg3oyxCRRlE09","version":"1.2.0","max_payload":1048576}\r\n';
const CONNECT = 'CONNECT {"verbose":false,"pass":"hunter2","name":"shop","lang":"go"}\r\n';

const lines = (talk: Conversation): readonly string[] => talk.observed.ended.map(messagingLine);

function detect(text: string): string {
  const bytes = Buffer.from(text, "latin1");
  return NATS.detect(bytes, 0, bytes.length);
}

describe("NATS", () => {
  it("makes a producer's span of a publication and a consumer's of a delivery", () => {
    const talk = new Conversation(NATS)
      .received(INFO)
      .sent(`${CONNECT}PING\r\n`)
      .received("PONG\r\n");
    talk.sent("PUB FOO 11\r\nHello NATS!\r\n").received("MSG FOO.BAR 9 11\r\nHello World\r\n");
    assert.deepEqual(lines(talk), ["connect", "publish FOO bytes=11", "deliver FOO.BAR bytes=11"]);
    const [, publish, deliver] = talk.observed.ended;
    assert.equal(publish?.role, "client");
    assert.equal(publish?.attributes["messaging.operation.type"], "send");
    assert.equal(deliver?.role, "server");
    assert.equal(deliver?.attributes["messaging.operation.type"], "receive");
    assert.deepEqual(talk.observed.losses, []);
  });

  it("pairs a request with the message to its reply subject", () => {
    const talk = new Conversation(NATS).sent("PUB FRONT.DOOR JOKE.22 11\r\nKnock Knock\r\n");
    talk.received("MSG other 1 2\r\nhi\r\n").received("MSG JOKE.22 9 11\r\nWho's there\r\n");
    assert.deepEqual(lines(talk), ["deliver other bytes=2", "request FRONT.DOOR bytes=11"]);
    assert.deepEqual(talk.observed.ended[1]?.timesNs, [1000, 1000, 3000, 3000]);
  });

  it("says when nobody answers a request", () => {
    const talk = new Conversation(NATS).sent("PUB a _INBOX.x 0\r\n\r\n");
    talk
      .received("HMSG _INBOX.x 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n")
      .sent("PUB b _INBOX.y 0\r\n\r\n");
    talk.close();
    assert.deepEqual(lines(talk), [
      "request a bytes=0 error=503",
      "request b bytes=0 error=connection_closed",
    ]);
  });

  it("reads the sizes of headers and payload", () => {
    const talk = new Conversation(NATS).sent(
      "HPUB FOO 22 33\r\nNATS/1.0\r\nBar: Baz\r\n\r\nHello NATS!\r\n",
    );
    talk.received(
      "HMSG FOO.BAR 9 34 45\r\nNATS/1.0\r\nFoodGroup: vegetable\r\n\r\nHello World\r\n",
    );
    assert.deepEqual(lines(talk), ["publish FOO bytes=11", "deliver FOO.BAR bytes=11"]);
  });

  it("ends the connecting with the server's refusal", () => {
    const talk = new Conversation(NATS).received(INFO).sent(CONNECT);
    talk.received("-ERR 'Authorization Violation'\r\n").close();
    assert.deepEqual(lines(talk), ["connect error=Authorization Violation"]);
    assert.equal(talk.observed.ended[0]?.attributes["messaging.client.id"], "shop");
    assert.ok(!JSON.stringify(talk.observed.ended).includes("hunter2"));
  });

  it("passes payloads that look like messages, lost bytes in them included", () => {
    const payload = "PUB x 1\r\n1\r\n".repeat(2000);
    const text = `PUB big ${payload.length}\r\n${payload}\r\n`;
    const talk = new Conversation(NATS).sent(text.slice(0, 9000), 100).lost(SENT, 9000);
    talk.sent(text.slice(18_000)).sent("PUB next 0\r\n\r\n");
    assert.deepEqual(lines(talk), [`publish big bytes=${payload.length}`, "publish next bytes=0"]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("is recognised by what no other text protocol says", () => {
    for (const text of [INFO, CONNECT, "PUB a.b 3\r\nabc\r\n", "MSG a 1 _INBOX.1 3\r\nabc\r\n"]) {
      assert.equal(detect(text), "yes", text);
    }
    for (const text of ["PING\r\n", "PONG\r\n", "+OK\r\n", "SUB a 1\r\n"])
      assert.equal(detect(text), "weak");
    for (const text of ["CON", "INFO ", "PUB a.b"]) assert.equal(detect(text), "more", text);
    for (const text of [
      "CONNECT a:443 HTTP/1.1\r\n",
      "INFO\r\n",
      "GET / HTTP/1.1\r\n",
      "PUB\r\n",
    ]) {
      assert.equal(detect(text), "no", text);
    }
  });
});
