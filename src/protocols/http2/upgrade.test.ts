// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HTTP1 } from "../http1/protocol.ts";
import { Conversation } from "../testing.ts";
import { data, fields, get, headers, PREFACE_TEXT, settings, status } from "./testing.ts";

const REQUEST =
  "GET /first HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n";
const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";

// RFC 7540 section 3.2.
describe("HTTP/2 after an upgrade from HTTP/1.1", () => {
  it("answers the request that asked for it on stream 1, and goes on with HTTP/2", () => {
    for (const together of [true, false]) {
      const talk = new Conversation(HTTP1).received(REQUEST);
      const rest = settings() + headers(1, fields(status(200))) + data(1, "hello", 1);
      if (together) talk.sent(SWITCH + rest);
      else
        talk
          .sent(SWITCH)
          .received(PREFACE_TEXT + settings())
          .sent(rest);
      if (together) talk.received(PREFACE_TEXT + settings());
      talk.received(headers(3, fields(get("/second")), 1)).sent(headers(3, fields(status(404)), 1));
      assert.deepEqual(
        talk.observed.ended.map(({ attributes }) => [
          attributes["url.path"],
          attributes["http.response.status_code"],
          attributes["network.protocol.version"],
        ]),
        [
          ["/first", 200, "1.1"],
          ["/second", 404, "2"],
        ],
      );
      assert.equal(talk.observed.ended[0]?.position, 0);
      assert.deepEqual(talk.observed.losses, []);
    }
  });

  it("ends the request with the connection when no answer comes", () => {
    const talk = new Conversation(HTTP1).received(REQUEST).sent(SWITCH).close(104);
    assert.equal(talk.observed.ended[0]?.attributes["error.type"], "ECONNRESET");
  });
});
