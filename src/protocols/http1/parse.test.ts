// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RECEIVED, SENT } from "../../model/protocol.ts";
import { Conversation, TEST_OPTIONS } from "../testing.ts";
import { HTTP1 } from "./protocol.ts";

const GET = "GET /a HTTP/1.1\r\nHost: shop\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

function conversation(options: Partial<typeof TEST_OPTIONS> = {}): Conversation {
  return new Conversation(HTTP1, { ...TEST_OPTIONS, ...options });
}

function statuses(talk: Conversation): readonly unknown[] {
  return talk.observed.ended.map((seen) => seen.attributes["http.response.status_code"]);
}

function paths(talk: Conversation): readonly unknown[] {
  return talk.observed.ended.map((seen) => seen.attributes["url.path"]);
}

function assertClean(talk: Conversation): void {
  assert.deepEqual([talk.observed.losses, talk.observed.abandoned], [[], []]);
  assert.equal(talk.observed.openCount, 0);
}

describe("HTTP/1 messages", () => {
  it("pairs requests and responses on a kept connection, with times and threads", () => {
    const talk = conversation().received(GET, undefined, 11).sent(OK, undefined, 12);
    talk.received(GET).sent(OK);
    assertClean(talk);
    const [first, second] = talk.observed.ended;
    assert.deepEqual(first?.timesNs, [1000, 1000, 2000, 2000]);
    assert.deepEqual(first?.threads, [11, 12]);
    assert.equal(first?.role, "server");
    assert.deepEqual([first?.position, second?.position], [0, GET.length]);
    assert.ok(talk.observed.parser.idle);
  });

  it("takes the side that sends the first request for the client", () => {
    const talk = conversation().sent(GET).received(OK);
    assert.equal(talk.observed.ended[0]?.role, "client");
  });

  it("answers pipelined requests in order", () => {
    const talk = conversation()
      .received(GET + GET.replace("/a", "/b"))
      .sent(OK + OK);
    assert.deepEqual(paths(talk), ["/a", "/b"]);
    assertClean(talk);
  });

  it("counts a request beyond the pipelining limit and keeps those before it", () => {
    const talk = conversation({ pipelinedMax: 2 }).received(GET + GET + GET);
    assert.deepEqual(talk.observed.losses, ["pipeline_limit"]);
    talk.sent(OK).sent(OK);
    assert.deepEqual(statuses(talk), [200, 200]);
    talk.sent(OK).received(GET).sent(OK);
    assert.equal(talk.observed.ended.length, 2);
    assert.equal(talk.observed.openCount, 0);
  });

  it("measures from the first byte of the request to the last byte of the response", () => {
    const talk = conversation();
    talk.received("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab").received("cd");
    talk.sent("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n").sent("ab").sent("cd");
    assert.deepEqual(talk.observed.ended[0]?.timesNs, [1000, 2000, 3000, 5000]);
  });

  it("reads a head that comes one byte at a time", () => {
    const talk = conversation();
    for (const byte of GET) talk.received(byte);
    for (const byte of OK) talk.sent(byte);
    assert.deepEqual(talk.observed.ended[0]?.timesNs[0], 1000);
    assert.deepEqual(statuses(talk), [200]);
    assertClean(talk);
  });

  it("accepts bare LF and empty lines before a request (RFC 9112 section 2.2)", () => {
    const talk = conversation().received("\r\n\r\nGET /a HTTP/1.1\nHost: x\n\n");
    talk.sent("HTTP/1.0 200 OK\nContent-Length: 0\n\n").received(`\r\n${GET}`).sent(OK);
    assert.deepEqual(statuses(talk), [200, 200]);
    assert.equal(talk.observed.ended[0]?.position, 4);
    assertClean(talk);
  });

  it("skips bodies of any size by arithmetic", () => {
    const head = "HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n";
    const talk = conversation().received(GET).sent(head);
    for (let count = 0; count < 50; count++) talk.sent("x".repeat(100_000), 0);
    talk.received(GET).sent(OK);
    assert.equal(talk.observed.ended[0]?.attributes["http.response.body.size"], 5_000_000);
    assert.equal(talk.observed.ended.length, 2);
    assertClean(talk);
  });

  it("ends a response without length when the connection ends (RFC 9112 section 6.3)", () => {
    const talk = conversation().received(GET).sent("HTTP/1.0 200 OK\r\n\r\nabc").sent("def");
    assert.equal(talk.observed.ended.length, 0);
    talk.close();
    const [seen] = talk.observed.ended;
    assert.equal(seen?.error, undefined);
    assert.equal(seen?.attributes["http.response.body.size"], 6);
    assert.equal(seen?.timesNs[3], 3000);
  });

  it("knows the responses that have no body", () => {
    const talk = conversation().received(GET.replace("GET", "HEAD"));
    talk.sent("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n");
    talk.received(GET).sent("HTTP/1.1 204 No Content\r\n\r\n");
    talk.received(GET).sent("HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n");
    assert.deepEqual(statuses(talk), [200, 204, 304]);
    assertClean(talk);
  });

  it("takes interim responses for what they are", () => {
    const talk = conversation();
    talk.received(
      "PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
    );
    talk.sent("HTTP/1.1 100 Continue\r\n\r\n").received("ab");
    talk.sent("HTTP/1.1 103 Early Hints\r\nLink: </s>\r\n\r\nHTTP/1.1 201 Created\r\n");
    talk.sent("Content-Length: 0\r\n\r\n");
    assert.deepEqual(statuses(talk), [201]);
    assert.deepEqual(talk.observed.ended[0]?.timesNs, [1000, 3000, 4000, 5000]);
    assertClean(talk);
  });

  it("takes a response that comes before the request's end", () => {
    const talk = conversation();
    talk.received("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab").sent(OK);
    talk.received("cd").received(GET).sent(OK);
    assert.deepEqual(statuses(talk), [200, 200]);
    assert.equal(talk.observed.ended[0]?.timesNs[1], 0);
    assertClean(talk);
  });

  it("only counts what follows an upgrade or a tunnel", () => {
    const upgrade = conversation();
    upgrade.received(
      "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: private\r\nConnection: upgrade\r\n\r\n",
    );
    upgrade.sent("HTTP/1.1 101 Switching Protocols\r\nUpgrade: private\r\n\r\n");
    upgrade.received("\x81\x02hi").sent("HTTP/1.1 200 OK\r\n\r\n").received(GET);
    assert.deepEqual(statuses(upgrade), [101]);
    assert.deepEqual(upgrade.observed.losses, ["after_upgrade", "after_upgrade", "after_upgrade"]);
    const tunnel = conversation().sent(
      "CONNECT db.example:443 HTTP/1.1\r\nHost: db.example\r\n\r\n",
    );
    tunnel.received("HTTP/1.1 200 Connection established\r\n\r\n").sent("\x16\x03\x01");
    assert.deepEqual(statuses(tunnel), [200]);
    assert.deepEqual(tunnel.observed.losses, ["after_upgrade"]);
    const refused = conversation().sent("CONNECT db:443 HTTP/1.1\r\nHost: db\r\n\r\n");
    refused.received("HTTP/1.1 403 Forbidden\r\nContent-Length: 1\r\n\r\nx").sent(GET).received(OK);
    assert.deepEqual(statuses(refused), [403, 200]);
  });
});

describe("HTTP/1 chunked bodies", () => {
  const CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

  it("reads sizes, extensions and trailers", () => {
    const talk = conversation().received(GET);
    talk.sent(
      `${CHUNKED}4\r\nWiki\r\nA;name="v;\\"x"\r\n0123456789\r\n00\r\nExpires: never\r\n\r\n`,
    );
    talk.received(GET).sent(OK);
    assert.equal(talk.observed.ended[0]?.attributes["http.response.body.size"], 14);
    assert.equal(talk.observed.ended.length, 2);
    assertClean(talk);
  });

  it("sees the end in the last bytes of a call that was not captured", () => {
    const body = `ffff\r\n${"x".repeat(0xffff)}\r\n10\r\n${"y".repeat(16)}\r\n0\r\n\r\n`;
    const talk = conversation()
      .received(GET)
      .sent(CHUNKED + body, CHUNKED.length + 6);
    assert.deepEqual(talk.observed.ended[0]?.timesNs, [1000, 1000, 2000, 2000]);
    talk.received(GET).sent(CHUNKED).sent(`5\r\nhello\r\n`, 0).sent("0\r\n\r\n", 0);
    assert.equal(talk.observed.ended.length, 2);
    assertClean(talk);
  });

  it("takes an upload of which only the head is captured", () => {
    const head = "POST /up HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    const talk = conversation();
    for (let count = 0; count < 3; count++) {
      talk.sent(`${head}5\r\nhello\r\n`, head.length).sent("5\r\nworld\r\n", 0);
      talk.sent("0\r\n\r\n", 0).received(OK);
    }
    assert.deepEqual(statuses(talk), [200, 200, 200]);
    assert.deepEqual(talk.observed.ended[2]?.timesNs, [9000, 11000, 12000, 12000]);
    assertClean(talk);
  });

  it("lets the next request end a response whose end was not seen", () => {
    const talk = conversation().received(GET).sent(CHUNKED).sent("5\r\nhello\r\n", 0);
    talk.sent("0\r\nDigest: x\r\n\r\n", 0).received(GET).sent(OK);
    assert.deepEqual(talk.observed.ended[0]?.timesNs, [1000, 1000, 2000, 4000]);
    assert.equal(talk.observed.ended[0]?.attributes["http.response.body.size"], undefined);
    assert.deepEqual(statuses(talk), [200, 200]);
    assertClean(talk);
  });

  it("abandons a response whose chunks make no sense", () => {
    for (const bad of [
      "xyz\r\n",
      "\r\n",
      "5 5\r\nhello\r\nGET",
      "5\r\nhelloX",
      "-1\r\n",
      "5\rhello",
    ]) {
      const talk = conversation()
        .received(GET)
        .sent(`${CHUNKED}${bad}${"z".repeat(20)}`);
      assert.deepEqual(talk.observed.abandoned, ["malformed"], JSON.stringify(bad));
      talk.received(GET.replace("/a", "/next")).sent(OK);
      assert.deepEqual(paths(talk), ["/next"]);
    }
  });

  it("gives up an endless chunk extension", () => {
    const talk = conversation({ headBytesMax: 1000 }).received(GET).sent(`${CHUNKED}5;`);
    for (let count = 0; count < 20; count++) talk.sent("x".repeat(100));
    assert.deepEqual(talk.observed.abandoned, ["malformed"]);
    assert.equal(talk.observed.openCount, 0);
  });
});

describe("HTTP/1 faulty framing", () => {
  const NEXT = GET.replace("/a", "/next");

  /** The first request is answered; whatever it hid is not taken for a request. */
  function assertNothingSmuggled(request: string): void {
    const smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    const talk = conversation()
      .received(request + smuggled)
      .sent(OK)
      .sent(OK);
    talk.received(NEXT).sent(OK).close();
    assert.deepEqual(
      paths(talk).filter((path) => path === "/smuggled"),
      [],
      JSON.stringify(request),
    );
    for (const seen of talk.observed.ended.slice(1))
      assert.equal(seen.attributes["url.path"], "/next");
  }

  it("does not guess where a faulty request ends (RFC 9112 section 6)", () => {
    const start = "POST /a HTTP/1.1\r\nHost: x\r\n";
    assertNothingSmuggled(`${start}Content-Length: 5\r\nContent-Length: 6\r\n\r\n0\r\n\r\n`);
    assertNothingSmuggled(`${start}Content-Length: 5, 6\r\n\r\n0\r\n\r\n`);
    assertNothingSmuggled(`${start}Content-Length: +5\r\n\r\n0\r\n\r\n`);
    assertNothingSmuggled(`${start}Content-Length: 99999999999999999999\r\n\r\n`);
    assertNothingSmuggled(`${start}Content-Length: 5\r\n 6\r\n\r\n0\r\n\r\n`);
    assertNothingSmuggled(`${start}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`);
    assertNothingSmuggled(`${start}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`);
    assertNothingSmuggled(
      `${start}Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n`,
    );
    assertNothingSmuggled(`${start}Content-Length : 5\r\n\r\n`);
    assertNothingSmuggled(`${start}Transfer-Encoding: chunked\r\n\r\n5x\r\nhello\r\n0\r\n\r\n`);
    assertNothingSmuggled("POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
  });

  it("lets a transfer coding overrule a length, and believes nothing after a loss", () => {
    const both = "POST /a HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n";
    const talk = conversation().received(`${both}2\r\nab\r\n0\r\n\r\n`).sent(OK);
    assert.equal(talk.observed.ended[0]?.attributes["http.request.body.size"], 2);
    talk.lost(RECEIVED, 10).received(GET).sent(OK).received(GET).sent(OK);
    assert.equal(talk.observed.ended.length, 1);
  });

  it("takes equal lengths for one", () => {
    const talk = conversation();
    talk
      .received("POST /a HTTP/1.1\r\nContent-Length: 2, 2\r\nContent-Length: 2\r\n\r\nab")
      .sent(OK);
    assert.equal(talk.observed.ended[0]?.attributes["http.request.body.size"], 2);
    assertClean(talk);
  });

  it("reads a folded field as one (RFC 9112 section 5.2)", () => {
    const talk = conversation()
      .received("GET /a HTTP/1.1\r\nX-Y: 1\r\n  2\r\nHost: x\r\n\r\n")
      .sent(OK);
    assert.equal(talk.observed.ended[0]?.attributes["server.address"], "x");
    assertClean(talk);
  });

  it("counts a head that is no head, and what answers it", () => {
    const bad = [
      "GET /a HTTP/1.1\r\nHost: a\0b\r\n\r\n",
      "GET /a HTTP/1.1\r\nno colon\r\n\r\n",
      "GET /a HTTP/1.1\r\n: empty\r\n\r\n",
      "GET /a HTTP/1.1\r\n folded: first\r\n\r\n",
      "GET /a HTTP/1.1\rHost: x\r\n\r\n",
      "GET /a b HTTP/1.1\r\n\r\n",
      "GET  /a HTTP/1.1\r\n\r\n",
      "GET /a\r\n\r\n",
      "GET /a HTTP/2.0\r\n\r\n",
      "\x16\x03\x01\x02\x00\x01\x00",
    ];
    for (const head of bad) {
      const talk = conversation().received(head).sent("HTTP/1.1 400 Bad Request\r\n\r\n").close();
      assert.deepEqual(talk.observed.ended, [], JSON.stringify(head));
      assert.ok(talk.observed.losses.includes("malformed"), JSON.stringify(head));
      assert.equal(talk.observed.openCount, 0);
    }
  });

  it("gives up a head beyond the limit", () => {
    const talk = conversation({ headBytesMax: 1000 }).received("GET /a HTTP/1.1\r\nHost: x\r\n");
    for (let count = 0; count < 20; count++) talk.received(`X-Long: ${"x".repeat(100)}\r\n`);
    assert.deepEqual(talk.observed.abandoned, ["head_too_large"]);
    assert.equal(talk.observed.openCount, 0);
    const whole = conversation({ headBytesMax: 1000 });
    whole.received(`GET /a HTTP/1.1\r\nHost: x\r\nX: ${"x".repeat(2000)}\r\n\r\n`).sent(OK);
    assert.deepEqual(whole.observed.abandoned, ["head_too_large"]);
    assert.deepEqual(whole.observed.ended, []);
  });

  it("keeps a request whose head was captured in part", () => {
    const head = `GET /long HTTP/1.1\r\nHost: x\r\nCookie: ${"c".repeat(500)}\r\n\r\n`;
    const talk = conversation().received(head, 100).sent(OK).received(GET).sent(OK);
    assert.deepEqual(paths(talk), ["/long", "/a"]);
    assertClean(talk);
  });

  it("keeps a response whose head was captured in part", () => {
    const head = `HTTP/1.1 302 Found\r\nSet-Cookie: ${"c".repeat(500)}\r\nContent-Length: 0\r\n\r\n`;
    const talk = conversation().received(GET).sent(head, 100).received(GET).sent(OK);
    assert.deepEqual(statuses(talk), [302, 200]);
    assertClean(talk);
  });
});

describe("HTTP/1 losses", () => {
  it("waits in mid-stream for a request after a response", () => {
    const talk = conversation().lost(RECEIVED, 100).lost(SENT, 100);
    talk.received("body of something").sent("rest of it").received(GET).sent(OK);
    assert.deepEqual(statuses(talk), [200]);
    assert.deepEqual(talk.observed.losses, ["mid_stream", "mid_stream"]);
  });

  it("does not take the response to an unseen request", () => {
    const talk = conversation().lost(RECEIVED, 100).lost(SENT, 100);
    talk.sent(OK).received(GET).sent(OK.replace("200", "201"));
    assert.deepEqual(statuses(talk), [201]);
  });

  it("goes on when only bytes of a body are missing", () => {
    const talk = conversation().received("POST /a HTTP/1.1\r\nContent-Length: 1000\r\n\r\n");
    talk.lost(RECEIVED, 600).received("x".repeat(400));
    talk.sent("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n").lost(SENT, 50);
    talk.received(GET).sent(OK);
    assert.deepEqual(statuses(talk), [200, 200]);
    // When the lost bytes of the first response came is not known: its end is the last one seen.
    assert.deepEqual(talk.observed.ended[0]?.timesNs, [1000, 2000, 3000, 3000]);
    assertClean(talk);
  });

  it("abandons what is open after a gap in the responses, and goes on after silence", () => {
    const talk = conversation().received(GET).lost(SENT, OK.length).received(GET).sent(OK);
    assert.deepEqual(talk.observed.ended, []);
    assert.deepEqual(talk.observed.abandoned, ["gap", "gap"]);
    talk.received(GET).sent(OK);
    assert.deepEqual(talk.observed.ended, []);
    talk.timeNs += 1e9;
    talk.received(GET).sent(OK);
    assert.deepEqual(statuses(talk), [200]);
  });

  it("goes on at once when both directions were lost for a while", () => {
    const talk = conversation()
      .received(GET)
      .lost(SENT, 5 * OK.length);
    talk
      .lost(RECEIVED, 4 * GET.length)
      .received(GET)
      .sent(OK);
    assert.deepEqual(talk.observed.ended, []);
    talk.received(GET).sent(OK);
    assert.deepEqual(statuses(talk), [200]);
  });

  it("does not take a lost interim response for the answer to the first of two requests", () => {
    const early = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    const talk = conversation().received(GET).received(GET).lost(SENT, early.length);
    // The first request's response; the second's comes after the third request.
    talk.sent(OK).received(GET.replace("/a", "/third")).sent(OK).received(GET).sent(OK);
    assert.deepEqual(talk.observed.ended, []);
    assert.deepEqual(talk.observed.abandoned, ["gap", "gap"]);
  });

  it("waits for a response whose record was reported before its request's", () => {
    const talk = conversation().sent(GET).received(OK);
    talk.received(OK.replace("200", "201")).sent(GET).received(OK);
    talk.sent(GET).received(OK);
    assert.deepEqual(statuses(talk), [200, 201, 200]);
    const [, second] = talk.observed.ended;
    assert.deepEqual(second?.timesNs, [4000, 4000, 4000, 4000]);
  });

  it("counts a response that nobody asked for", () => {
    const talk = conversation().received(GET).sent(OK);
    talk.sent("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n").close();
    assert.deepEqual(statuses(talk), [200]);
    assert.deepEqual(talk.observed.losses, ["response_without_request"]);
  });
});

describe("HTTP/1 connection ends", () => {
  function failure(talk: Conversation): unknown {
    const [seen] = talk.observed.ended;
    assert.equal(talk.observed.openCount, 0);
    assert.notEqual(seen?.error, undefined);
    return seen?.attributes["error.type"];
  }

  it("says that a request got no response, and invents no status", () => {
    const closed = conversation().received(GET).close();
    assert.equal(failure(closed), "connection_closed");
    assert.deepEqual(statuses(closed), [undefined]);
    assert.deepEqual(closed.observed.ended[0]?.timesNs, [1000, 1000, 0, 2000]);
    assert.equal(failure(conversation().sent(GET).close(104)), "ECONNRESET");
    assert.equal(failure(conversation().sent(GET).close(110)), "ETIMEDOUT");
    assert.equal(failure(conversation().sent(GET).close(4095)), "errno_4095");
  });

  it("says that a response was cut short", () => {
    const talk = conversation()
      .received(GET)
      .sent("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab");
    assert.equal(failure(talk.close()), "connection_closed");
    assert.deepEqual(statuses(talk), [200]);
    const reset = conversation().received(GET).sent("HTTP/1.1 200 OK\r\n\r\nab").close(104);
    assert.equal(failure(reset), "ECONNRESET");
    const head = conversation().received(GET).sent("HTTP/1.1 200 OK\r\nContent-").close();
    assert.equal(failure(head), "connection_closed");
    assert.deepEqual(statuses(head), [undefined]);
  });

  it("names a request that was cut in its fields, and counts one that was cut before", () => {
    const talk = conversation().received("GET /cut HTTP/1.1\r\nHos").close(104);
    assert.equal(failure(talk), "ECONNRESET");
    assert.deepEqual(paths(talk), ["/cut"]);
    const line = conversation().received("GET /cu").close(104);
    assert.deepEqual(line.observed.ended, []);
    assert.deepEqual(line.observed.abandoned, ["malformed"]);
  });

  it("does not call a response cut short when its last records are lost", () => {
    const head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
    const whole = conversation().received(GET).sent(head).lost(SENT, 1000).close(0, true);
    assert.deepEqual(statuses(whole), [200]);
    assert.equal(whole.observed.ended[0]?.error, undefined);
    const none = conversation().received(GET).lost(SENT, 500).close(0, true);
    assert.deepEqual(none.observed.ended, []);
    assert.deepEqual(none.observed.abandoned, ["gap"]);
  });

  it("ends every open request of a pipeline", () => {
    const talk = conversation()
      .received(GET + GET + GET)
      .sent(OK)
      .close(104);
    assert.deepEqual(statuses(talk), [200, undefined, undefined]);
  });
});
