// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Conversation, type SeenExchange, TEST_OPTIONS } from "../testing.ts";
import { HTTP1 } from "./protocol.ts";

type Options = Partial<typeof TEST_OPTIONS>;

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

function asServer(request: string, response = OK, options: Options = {}): SeenExchange {
  return only(
    new Conversation(HTTP1, { ...TEST_OPTIONS, ...options }).received(request).sent(response),
  );
}

function asClient(request: string, response = OK, options: Options = {}): SeenExchange {
  return only(
    new Conversation(HTTP1, { ...TEST_OPTIONS, ...options }).sent(request).received(response),
  );
}

function only(talk: Conversation): SeenExchange {
  const [seen] = talk.observed.ended;
  assert.ok(seen !== undefined && talk.observed.ended.length === 1);
  return seen;
}

function get(target: string, fields = "Host: shop.example:8080\r\n"): string {
  return `GET ${target} HTTP/1.1\r\n${fields}\r\n`;
}

function status(code: number): string {
  return `HTTP/1.1 ${code} X\r\nContent-Length: 0\r\n\r\n`;
}

// Expected values: https://opentelemetry.io/docs/specs/semconv/http/http-spans/
describe("HTTP/1 spans", () => {
  it("describes a server's exchange by the conventions", () => {
    const seen = asServer(
      get("/orders/17?secret=1"),
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    );
    assert.equal(seen.name, "GET /orders/{id}");
    assert.equal(seen.error, undefined);
    assert.deepEqual(seen.attributes, {
      "http.request.method": "GET",
      "url.scheme": "http",
      "url.path": "/orders/17",
      "http.route": "/orders/{id}",
      "server.address": "shop.example",
      "server.port": 8080,
      "network.protocol.version": "1.1",
      "http.response.status_code": 200,
      "http.response.body.size": 5,
    });
  });

  it("describes a client's exchange by the conventions", () => {
    const request = "POST /orders?secret=1 HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\n\r\nab";
    const seen = asClient(request);
    assert.equal(seen.name, "POST");
    assert.deepEqual(seen.attributes, {
      "http.request.method": "POST",
      "url.full": "http://shop/orders",
      "server.address": "shop",
      "server.port": 80,
      "network.protocol.version": "1.1",
      "http.response.status_code": 200,
      "http.request.body.size": 2,
      "http.response.body.size": 0,
    });
  });

  it("describes measurements by the conventions", () => {
    assert.deepEqual(asServer(get("/orders/17"), status(503)).metric, {
      instrument: "http.server.request.duration",
      "http.request.method": "GET",
      "url.scheme": "http",
      "http.route": "/orders/{id}",
      "network.protocol.version": "1.1",
      "http.response.status_code": 503,
      "error.type": "503",
    });
    assert.deepEqual(asClient(get("/orders/17")).metric, {
      instrument: "http.client.request.duration",
      "http.request.method": "GET",
      "url.scheme": "http",
      "server.address": "shop.example",
      "server.port": 8080,
      "network.protocol.version": "1.1",
      "http.response.status_code": 200,
    });
  });

  it("makes an error of 5xx for servers, and of 4xx too for clients", () => {
    const cases: readonly (readonly [number, boolean, boolean])[] = [
      [302, false, false],
      [404, false, true],
      [500, true, true],
      [599, true, true],
    ];
    for (const [code, serverError, clientError] of cases) {
      const server = asServer(get("/"), status(code));
      const client = asClient(get("/"), status(code));
      assert.equal(server.error !== undefined, serverError, `server ${code}`);
      assert.equal(client.error !== undefined, clientError, `client ${code}`);
      assert.equal(server.attributes["error.type"], serverError ? String(code) : undefined);
      assert.equal(client.attributes["error.type"], clientError ? String(code) : undefined);
    }
  });

  it("calls methods that nobody knows _OTHER and keeps the original", () => {
    const seen = asServer("get / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert.equal(seen.name, "HTTP /");
    assert.equal(seen.attributes["http.request.method"], "_OTHER");
    assert.equal(seen.attributes["http.request.method_original"], "get");
    const query = asServer("QUERY / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert.equal(query.attributes["http.request.method"], "QUERY");
  });

  it("leaves credentials out and gives the query only when configured", () => {
    const target = "http://user:pa%40ss@shop:81/a?x=1&sig=abc&Signature=&signature=y&b";
    const closed = asClient(get(target));
    assert.equal(closed.attributes["url.full"], "http://shop:81/a");
    assert.equal(closed.attributes["server.port"], 81);
    const open = asClient(get(target), OK, { urlQuery: true });
    assert.equal(
      open.attributes["url.full"],
      "http://shop:81/a?x=1&sig=REDACTED&Signature=REDACTED&signature=y&b",
    );
    const server = asServer(get("/a?AWSAccessKeyId=k&y=2"), OK, { urlQuery: true });
    assert.equal(server.attributes["url.query"], "AWSAccessKeyId=REDACTED&y=2");
    assert.equal(asServer(get("/a?y=2")).attributes["url.query"], undefined);
  });

  it("believes the target's authority before the Host field (RFC 9112 section 3.2.2)", () => {
    const seen = asServer(get("http://real:81/a"));
    assert.equal(seen.attributes["server.address"], "real");
    assert.equal(seen.attributes["url.path"], "/a");
    assert.equal(asServer(get("http://real")).attributes["url.path"], "/");
  });

  it("reads hosts of every form", () => {
    const host = (value: string): readonly unknown[] => {
      const { attributes } = asServer(get("/", `Host: ${value}\r\n`));
      return [attributes["server.address"], attributes["server.port"]];
    };
    assert.deepEqual(host("10.0.0.1:65535"), ["10.0.0.1", 65535]);
    assert.deepEqual(host("[2001:db8::1]:81"), ["2001:db8::1", 81]);
    assert.deepEqual(host("[::1]"), ["::1", 80]);
    assert.deepEqual(host("shop:"), ["shop", 80]);
    for (const bad of ["", ":80", "shop:65536", "shop:8x", "a b", "[::1", `${"a".repeat(400)}`]) {
      assert.deepEqual(host(bad), [undefined, undefined], bad);
    }
    const two = asServer(get("/", "Host: a\r\nHost: b\r\n"));
    assert.equal(two.attributes["server.address"], undefined);
  });

  it("records headers that are configured, as arrays", () => {
    const options = { requestHeaders: ["x-id", "accept"], responseHeaders: ["content-type"] };
    const request = get("/", "Host: x\r\nX-ID: 1\r\nX-Id:  2 \r\nAuthorization: secret\r\n");
    const response = "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 0\r\n\r\n";
    const { attributes } = asServer(request, response, options);
    assert.deepEqual(attributes["http.request.header.x-id"], ["1", "2"]);
    assert.deepEqual(attributes["http.response.header.content-type"], ["a/b"]);
    assert.equal(attributes["http.request.header.accept"], undefined);
    assert.ok(!JSON.stringify(attributes).includes("secret"));
    const agent = get("/", "User-Agent: curl/8\r\n");
    const { attributes: asked } = asServer(agent, OK, { requestHeaders: ["user-agent"] });
    assert.equal(asked["user_agent.original"], "curl/8");
    assert.ok(!JSON.stringify(asServer(agent).attributes).includes("curl"));
  });

  it("takes the lower version of both sides", () => {
    const seen = asServer(get("/"), "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert.equal(seen.attributes["network.protocol.version"], "1.0");
  });

  it("gives no route to what the server does not have", () => {
    const seen = asServer(get("/wp-admin.php"), status(404));
    assert.equal(seen.name, "GET");
    assert.equal(seen.attributes["http.route"], undefined);
  });

  it("reads CONNECT and OPTIONS targets that are no paths", () => {
    const connect = asClient(
      "CONNECT db.example:443 HTTP/1.1\r\nHost: x\r\n\r\n",
      "HTTP/1.1 200 OK\r\n\r\n",
    );
    assert.equal(connect.attributes["server.address"], "db.example");
    assert.equal(connect.attributes["server.port"], 443);
    assert.equal(connect.attributes["url.full"], undefined);
    const options = asClient("OPTIONS * HTTP/1.1\r\nHost: shop\r\n\r\n");
    assert.equal(options.attributes["url.full"], "http://shop");
  });

  it("cuts a target that is very long", () => {
    const seen = asServer(get(`/${"a".repeat(5000)}`));
    assert.equal(String(seen.attributes["url.path"]).length, 2048);
  });
});

// https://www.w3.org/TR/trace-context/ section 3.2
describe("traceparent", () => {
  const ID = "0af7651916cd43dd8448eb211c80319c";
  const PARENT = "b7ad6b7169203331";

  function read(...values: readonly string[]): string | undefined {
    const fields = values.map((value) => `Traceparent: ${value}\r\n`).join("");
    return asServer(get("/", fields)).traceContext;
  }

  it("is read", () => {
    assert.equal(read(`00-${ID}-${PARENT}-01`), `${ID}-${PARENT}-true`);
    assert.equal(read(`00-${ID}-${PARENT}-00`), `${ID}-${PARENT}-false`);
    assert.equal(read(`01-${ID}-${PARENT}-03-more`), `${ID}-${PARENT}-true`);
  });

  it("is ignored when it is invalid", () => {
    const invalid = [
      `ff-${ID}-${PARENT}-01`,
      `00-${ID}-${PARENT}-01-more`,
      `01-${ID}-${PARENT}-01more`,
      `00-${ID.toUpperCase()}-${PARENT}-01`,
      `00-${"0".repeat(32)}-${PARENT}-01`,
      `00-${ID}-${"0".repeat(16)}-01`,
      `00-${ID}-${PARENT}-0`,
      `00-${ID}-${PARENT}-0g`,
      `00_${ID}-${PARENT}-01`,
      "",
    ];
    for (const value of invalid) assert.equal(read(value), undefined, value);
    assert.equal(read(`00-${ID}-${PARENT}-01`, `00-${ID}-${PARENT}-01`), undefined);
  });
});
